use protocol::AgentName;
use trust::catalogue::Catalogue;

use super::*;
use crate::home::Held;
use crate::org::team_tests::{as_an_endpoint, key, small};
use crate::org::tests::{NOW, PASSPHRASE, bare};

const DAY: u64 = 86_400;

fn text(name: &str, version: u32, risk: &str, permissions: &str) -> Vec<u8> {
    let body = match permissions.trim() {
        "" => "",
        _ => r#"service::restart("cups.service", #{ wait: 60 });"#,
    };
    format!(
        r#"const ABOUT = #{{
    id: "{name}", version: {version}, title: "Look at something",
    does: "looks at something", risk: "{risk}", consent: "none", platforms: ["linux"], limit: "1m",
    params: #{{}}, permissions: #{{{permissions}}}, words: ["disk full"], author: "p.maker",
}};

fn detect(p) {{ healthy("fine") }}
fn remediate(p, found) {{ {body} }}
fn verify(p, found) {{ healthy("fine") }}
"#
    )
    .into_bytes()
}

fn file(source: &[u8]) -> ScriptFile {
    ScriptFile::read(source, &"p.maker".parse().unwrap()).unwrap()
}

/// The house that makes releases: one person who signs.
struct Maker {
    home: Home,
    vetter: SigningKey,
    me: AgentName,
    dir: tempfile::TempDir,
}

impl Maker {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let me = bare(&home);
        let vetter = home.held_key(Held::Vetter, &me, PASSPHRASE).unwrap();
        Self { home, vetter, me, dir }
    }
    fn publish(&self, sources: &[Vec<u8>], now: Time) {
        let scripts: Vec<ScriptFile> = sources.iter().map(|source| file(source)).collect();
        catalogue::sign(&self.home, &scripts, &self.vetter, now).unwrap();
        catalogue::publish(&self.home, now).unwrap();
    }
    fn policy(&self, change: impl FnOnce(&mut PolicyFile), now: Time) {
        let mut file = catalogue::policy(&self.home, now).unwrap().file().clone();
        change(&mut file);
        let admin = self.home.held_key(Held::Admin, &self.me, PASSPHRASE).unwrap();
        let text = catalogue::policy_text(&file).unwrap();
        catalogue::publish_policy(&self.home, &text, &[admin], now).unwrap();
    }
    fn root(&self) -> Vec<u8> {
        self.home.first_root().unwrap()
    }
    /// The release as it is now, as plain files.
    fn release(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        for (name, bytes) in catalogue::files(&self.home).unwrap().iter() {
            home::write_public(&folder.join(name), bytes).unwrap();
        }
        folder
    }
}

fn ours() -> (tempfile::TempDir, Desk) {
    let (dir, home, _) = small();
    (dir, Desk::open(home).unwrap())
}

fn vetters(desk: &Desk, people: &[&str]) -> Vec<SigningKey> {
    people.iter().map(|person| key(&desk.home, Held::Vetter, person)).collect()
}

fn has(catalogue: &Catalogue, name: &str) -> bool {
    catalogue.latest(&name.parse().unwrap()).is_some()
}

#[test]
fn a_release_is_adopted_under_our_own_peoples_keys_and_at_our_own_thresholds() {
    let (maker, (_dir, desk)) = (Maker::new(), ours());
    maker.publish(&[text("net.look", 1, "low", ""), text("net.mend", 1, "medium", "")], NOW);
    let release = maker.release("one");
    let none = read(&desk.home, &release, None, NOW);
    assert!(matches!(none, Err(ReleaseError::NoRoot)));
    let root = maker.root();
    // Weeks later its timestamp and snapshot have ended, and what people signed has not.
    let later = NOW.plus(30 * DAY);
    let offer = read(&desk.home, &release, Some(&root), later).unwrap();
    assert_eq!((offer.listed, offer.proposals.len(), offer.against.len()), (2, 2, 0));
    assert!(!is_there(&sources(&desk.home)), "looking pins nothing");

    // One of ours is enough for low risk, and not for medium, whoever signed the release.
    let three = crate::org::team_tests::THREE;
    let waiting = adopt(&desk, &offer, &vetters(&desk, &three[..1]), later).unwrap();
    let counts: Vec<_> = waiting.iter().map(|list| (list.signed.len(), list.wanted)).collect();
    assert_eq!(counts, [(1, 1), (1, 2)]);
    let few = catalogue::publish(&desk.home, later);
    assert!(matches!(few, Err(CatalogueTrouble::TooFewPeople { have: 1, wanted: 2, .. })));
    // The pinned root is asked for no more; a second person signs the same page.
    let offer = read(&desk.home, &release, None, later).unwrap();
    let waiting = adopt(&desk, &offer, &vetters(&desk, &three[..2]), later).unwrap();
    assert!(waiting.iter().all(|list| list.signed.len() == 2), "{waiting:?}");
    catalogue::publish(&desk.home, later).unwrap();
    catalogue::renew_if_old(&desk.home, later).unwrap();
    let taken = as_an_endpoint(&desk.home, later);
    assert!(has(&taken, "net.look") && has(&taken, "net.mend"));
    let entry = taken.latest(&"net.mend".parse().unwrap()).unwrap();
    let own = taken.role_keys("risk-medium");
    assert!(entry.signers.iter().all(|key| own.contains(key)), "nobody from another house");
    assert_eq!(taken.thresholds()["risk-medium"].0, 2, "no threshold was lowered");
    let again = read(&desk.home, &release, None, later).unwrap();
    assert!(again.proposals.is_empty(), "nothing is new");
}

#[test]
fn what_changes_is_shown_and_what_the_release_speaks_against_is_named() {
    let (maker, (_dir, desk)) = (Maker::new(), ours());
    let (first, gone) = (text("net.look", 1, "medium", ""), text("net.old", 1, "low", ""));
    maker.publish(&[first, gone.clone()], NOW);
    let root = maker.root();
    let keys = vetters(&desk, &crate::org::team_tests::THREE[..2]);
    let take = |release: &Path, root: Option<&[u8]>| {
        let offer = read(&desk.home, release, root, NOW).unwrap();
        adopt(&desk, &offer, &keys, NOW).unwrap();
        if !offer.proposals.is_empty() {
            catalogue::publish(&desk.home, NOW).unwrap();
        }
        offer
    };
    let old = maker.release("one");
    take(&old, Some(&root));
    let wants = r#" "service.restart": ["cups.service"] "#;
    maker.publish(&[text("net.look", 2, "medium", wants)], NOW.plus(60));
    maker.policy(|policy| policy.denied.scripts.push(Digest::of(&gone)), NOW.plus(60));
    let offer = take(&maker.release("two"), None);
    let [proposal] = offer.proposals.as_slice() else { panic!("{:?}", offer.proposals) };
    let [added] = proposal.added.as_slice() else { panic!("{proposal:?}") };
    assert_eq!(added.before.as_ref().map(|before| before.version), Some(1));
    let gained = added.permissions();
    assert!(gained.len() == 1 && gained[0].gained && gained[0].function == "service.restart");
    let against = Against { name: "net.old".parse().unwrap(), version: 1, denied: true };
    assert_eq!(offer.against, [against]);
    // An older release is a way back, and is not taken; nor is it after the root is named again.
    for root in [None, Some(root.as_slice())] {
        let back = read(&desk.home, &old, root, NOW);
        assert!(matches!(back, Err(ReleaseError::Catalogue(_))), "{back:?}");
    }
}

#[test]
fn what_does_not_verify_from_the_pinned_root_is_not_shown() {
    let (maker, other, (_dir, desk)) = (Maker::new(), Maker::new(), ours());
    maker.publish(&[text("net.look", 1, "low", "")], NOW);
    other.publish(&[text("net.look", 1, "low", " ")], NOW);
    let (root, release) = (maker.root(), maker.release("one"));
    let foreign = read(&desk.home, &release, Some(&other.root()), NOW);
    assert!(matches!(foreign, Err(ReleaseError::Catalogue(_))), "{foreign:?}");
    let empty = read(&desk.home, &maker.dir.path().join("none"), Some(&root), NOW);
    assert!(empty.is_err());
    // Long after what its people signed has ended.
    let late = read(&desk.home, &release, Some(&root), NOW.plus(400 * DAY));
    assert!(matches!(late, Err(ReleaseError::Expired { .. })), "{late:?}");
    // A script whose bytes were altered.
    let mut sources = Files::from_folder(&release).unwrap();
    let path = sources.iter().map(|(name, _)| name.to_owned()).find(|n| n.ends_with(".rhai"));
    let path = path.unwrap();
    let mut bytes = sources.get(&path).unwrap().to_vec();
    bytes.push(b'\n');
    sources.insert(path.clone(), bytes.clone());
    let altered = release.join(&path);
    std::fs::remove_file(&altered).unwrap();
    home::write_public(&altered, &bytes).unwrap();
    let bad = read(&desk.home, &release, Some(&root), NOW);
    assert!(matches!(bad, Err(ReleaseError::Catalogue(_))), "{bad:?}");
    // Two houses: which is meant must be said; and one version is one text.
    let offer = read(&desk.home, &maker.release("two"), Some(&root), NOW).unwrap();
    let keys = vetters(&desk, &crate::org::team_tests::THREE[..2]);
    adopt(&desk, &offer, &keys, NOW).unwrap();
    catalogue::publish(&desk.home, NOW).unwrap();
    let clash = read(&desk.home, &other.release("one"), Some(&other.root()), NOW);
    assert!(matches!(clash, Err(ReleaseError::Clash { .. })), "{clash:?}");
    home::write_public(&sources_of_another(&desk.home), b"{}").unwrap();
    let several = read(&desk.home, &release, None, NOW);
    assert!(matches!(several, Err(ReleaseError::Several(2))), "{several:?}");
}

fn sources_of_another(home: &Home) -> PathBuf {
    pinned(&sources(home).join("0123456789abcdef"))
}
