//! Several founders: thresholds count people from the first day on, nobody signs for another.

use std::ops::ControlFlow;
use std::sync::Arc;

use policy::Profile;
use protocol::documents::Invitation;
use protocol::{AgentName, PublicKey, Risk, Time};
use trust::catalogue::{Catalogue, Files};
use trust::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::tests::NOW;
use super::*;
use crate::catalogue::{self, CatalogueTrouble, ScriptFile};
use crate::enrol::{AgentGuest, Door, EnrolError, Joined, Place, join};
use crate::home::{Held, Home};

pub(crate) fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

pub(crate) fn secret(person: &str) -> String {
    format!("the passphrase of {person}")
}

fn script(name: &str, risk: &str) -> Vec<u8> {
    format!(
        r#"const ABOUT = #{{
    id: "{name}", version: 1, title: "Look at something",
    does: "looks at something", risk: "{risk}", consent: "none", platforms: ["linux"], limit: "1m",
    params: #{{}}, permissions: #{{}}, words: ["disk full"],
}};

fn detect(p) {{ healthy("fine") }}
fn remediate(p, found) {{ }}
fn verify(p, found) {{ healthy("fine") }}
"#
    )
    .into_bytes()
}

fn read(source: &[u8], by: &str) -> ScriptFile {
    ScriptFile::read(source, &name(by)).unwrap()
}

pub(crate) fn founding(profile: Profile, people: &[&str]) -> Founding {
    let founder =
        |person: &&str| Founder { name: name(person), passphrase: Zeroizing::new(secret(person)) };
    Founding {
        name: "Demo Ltd".to_owned(),
        profile,
        me: name(people[0]),
        passphrase: Zeroizing::new(secret(people[0])),
        others: people[1..].iter().map(founder).collect(),
        units: Vec::new(),
        scripts: ["low", "medium", "high"]
            .map(|risk| read(&script(&format!("disk.{risk}"), risk), people[0]))
            .into(),
    }
}

pub(crate) const THREE: [&str; 3] = ["a.kaya", "m.ruiz", "s.okafor"];

fn go(home: &Home, founding: &Founding) -> Result<Ready, InitError> {
    init(home, founding, NOW, &mut |_| ControlFlow::Continue(()))
}

pub(crate) fn small() -> (tempfile::TempDir, Home, Ready) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let ready = go(&home, &founding(Profile::Small, &THREE)).unwrap();
    (dir, home, ready)
}

pub(crate) fn key(home: &Home, kind: Held, person: &str) -> SigningKey {
    home.held_key(kind, &name(person), &secret(person)).unwrap()
}

/// As an endpoint takes it, with people counted by the policy inside.
pub(crate) fn as_an_endpoint(home: &Home, now: Time) -> Catalogue {
    let files = catalogue::files(home).unwrap();
    let root = home.first_root().unwrap();
    let (taken, _) = Catalogue::update(&Files::new(), &root, &files, now).unwrap();
    let policy = policy::PolicyFile::read(taken.policy_text()).unwrap();
    let person_of = |key: &PublicKey| policy.person_of(key).map(|p| p.name.clone());
    taken.check_people(&person_of).unwrap();
    taken.check_administrators(&|key| policy.counts(key, now)).unwrap();
    taken
}

fn signed_by(home: &Home, script: &str) -> Vec<String> {
    let policy = catalogue::policy(home, NOW).unwrap();
    let catalogue = as_an_endpoint(home, NOW);
    let entry = catalogue.latest(&script.parse().unwrap()).unwrap();
    let person = |key: &PublicKey| policy.person_of(key).unwrap().name.to_string();
    let mut people: Vec<String> = entry.signers.iter().map(person).collect();
    people.sort();
    people
}

#[test]
fn three_founders_have_a_catalogue_that_two_of_them_signed_and_no_record_says_otherwise() {
    let (_dir, home, ready) = small();
    assert_eq!(ready.people, THREE.map(name));
    assert_eq!(ready.vetted_by, ["a.kaya", "m.ruiz"].map(name));
    let taken = as_an_endpoint(&home, NOW);
    for (role, (threshold, keys)) in taken.thresholds() {
        let one = matches!(role.as_str(), "snapshot" | "timestamp" | "risk-low");
        assert_eq!(threshold, if one { 1 } else { 2 }, "{role}");
        let online = matches!(role.as_str(), "snapshot" | "timestamp");
        assert_eq!(keys, if online { 1 } else { 3 }, "{role}");
    }
    assert_eq!(taken.weaknesses(), ["scripts of low risk need one signature of 3"]);
    // What records carry is both: nothing in it speaks of one person.
    let rules = catalogue::policy(&home, NOW).unwrap().weaknesses();
    assert_eq!(ready.weaknesses, [taken.weaknesses(), rules].concat());
    assert!(ready.weaknesses.iter().all(|weak| !weak.contains("signature of 1")));
    for risk in Risk::ALL {
        assert_eq!(signed_by(&home, &format!("disk.{risk}")), ["a.kaya", "m.ruiz"]);
    }
    let policy = catalogue::policy(&home, NOW).unwrap();
    for person in THREE {
        let listed = policy.person(&name(person)).unwrap();
        assert_eq!(listed.signing_key.is_some(), person == "a.kaya");
        assert_eq!(listed.sealing_key.is_some(), person == "a.kaya");
        assert!(listed.vetter_key.is_some() && listed.admin_key.is_some());
        for kind in Held::ALL {
            assert!(home.held(kind, &name(person)).is_file());
        }
    }
    assert_eq!(listed_keys(&taken, "risk-high").len(), 3);
    let (vetter, other) = (home.held(Held::Vetter, &name("m.ruiz")), secret("a.kaya"));
    assert!(Home::open_held_key(&vetter, &other).is_err(), "one passphrase opens another's key");
}

fn listed_keys(catalogue: &Catalogue, role: &str) -> std::collections::BTreeSet<PublicKey> {
    catalogue.role_keys(role).into_iter().collect()
}

#[test]
fn five_founders_of_a_regulated_organisation_live_by_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let five = ["a.kaya", "m.ruiz", "s.okafor", "l.brandt", "j.ito"];
    go(&home, &founding(Profile::Regulated, &five)).unwrap();
    let taken = as_an_endpoint(&home, NOW);
    let thresholds = taken.thresholds();
    assert_eq!(thresholds["root"], (3, 5));
    for role in ["targets", "policy", "risk-low", "risk-medium", "risk-high"] {
        assert_eq!(thresholds[role], (2, 5), "{role}");
    }
    assert_eq!(taken.weaknesses(), Vec::<String>::new());
    assert_eq!(taken.end_of("timestamp"), Some(NOW.plus(certs::DAY)));
    assert_eq!(taken.end_of("policy"), Some(NOW.plus(45 * certs::DAY)));
}

#[test]
fn people_who_cannot_found_it_are_refused_before_a_key_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let refused = |profile, people: &[&str]| go(&home, &founding(profile, people)).unwrap_err();
    let few = refused(Profile::Small, &THREE[..2]);
    assert!(matches!(few, InitError::People { wanted: 3, named: 2, .. }), "{few}");
    let few = refused(Profile::Regulated, &THREE);
    assert!(matches!(few, InitError::People { wanted: 5, named: 3, .. }), "{few}");
    let many = refused(Profile::Solo, &THREE);
    assert!(matches!(many, InitError::People { wanted: 1, named: 3, .. }), "{many}");
    let twice = refused(Profile::Small, &["a.kaya", "m.ruiz", "a.kaya"]);
    assert!(matches!(&twice, InitError::NamedTwice(name) if name.as_str() == "a.kaya"), "{twice}");
    let mut same = founding(Profile::Small, &THREE);
    same.others[1].passphrase = Zeroizing::new(secret("a.kaya"));
    let same = go(&home, &same).unwrap_err();
    assert_eq!(same.to_string(), "a.kaya and s.okafor chose the same passphrase");
    assert!(!home.path().exists());
}

#[test]
fn a_ceremony_that_was_interrupted_goes_on_with_the_same_people_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let stop_at = |at: Step| {
        let asked = founding(Profile::Small, &THREE);
        let mut stop =
            |step| if step == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        init(&home, &asked, NOW, &mut stop).unwrap_err()
    };
    assert!(matches!(stop_at(Step::HeldKeys), InitError::Stopped(_)));
    let vetters = THREE.map(|person| key(&home, Held::Vetter, person).public_key());
    let others = ["a.kaya", "m.ruiz", "l.brandt"];
    let other = go(&home, &founding(Profile::Small, &others)).unwrap_err();
    assert_eq!(
        other.to_string(),
        format!(
            "a set-up of Demo Ltd by a.kaya, m.ruiz, s.okafor (profile small) was interrupted in \
             `{}`",
            home.path().display()
        )
    );
    assert!(matches!(stop_at(Step::Catalogue), InitError::Stopped(_)));
    // From here on the catalogue names the keys: one that is away is not made again.
    for kind in Held::ALL {
        std::fs::remove_file(home.held(kind, &name("a.kaya"))).unwrap();
    }
    let ready = go(&home, &founding(Profile::Small, &THREE)).unwrap();
    assert!(ready.resumed && !home.held(Held::Root, &name("a.kaya")).exists());
    assert_eq!(ready.vetted_by, ["m.ruiz", "s.okafor"].map(name));
    let listed = listed_keys(&as_an_endpoint(&home, NOW), "risk-medium");
    assert_eq!(listed, vetters.into_iter().collect());
}

#[test]
fn a_script_of_medium_risk_is_published_when_two_people_signed_and_not_before() {
    let (_dir, home, _) = small();
    let source = script("net.look", "medium");
    let author = key(&home, Held::Vetter, "m.ruiz");
    let one = catalogue::sign(&home, &[read(&source, "m.ruiz")], &author, NOW).unwrap();
    assert_eq!((one[0].signed.len(), one[0].wanted), (1, 2));
    let too_few = |e: CatalogueTrouble| {
        matches!(e, CatalogueTrouble::TooFewPeople { risk: Risk::Medium, have: 1, wanted: 2 })
    };
    assert!(too_few(catalogue::publish(&home, NOW).unwrap_err()));
    // The same person once more is still one person.
    catalogue::sign(&home, &[], &author, NOW).unwrap();
    assert!(too_few(catalogue::publish(&home, NOW).unwrap_err()));
    // The second vetter hands the same file in, which names no author: the first one stays it.
    let second = key(&home, Held::Vetter, "s.okafor");
    let two = catalogue::sign(&home, &[read(&source, "s.okafor")], &second, NOW).unwrap();
    assert_eq!(two[0].signed, ["m.ruiz", "s.okafor"].map(name));
    catalogue::publish(&home, NOW).unwrap();
    assert_eq!(signed_by(&home, "net.look"), ["m.ruiz", "s.okafor"]);
    let catalogue = catalogue::open(&home, NOW).unwrap();
    let entry = catalogue.latest(&"net.look".parse().unwrap()).unwrap();
    assert_eq!(entry.manifest.author.as_str(), "m.ruiz");
    let again = catalogue::sign(&home, &[read(&source, "s.okafor")], &second, NOW).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

fn guest(admins: Vec<SigningKey>) -> AgentGuest {
    AgentGuest { name: name("m.ruiz"), roles: vec!["night".parse().unwrap()], admins }
}

#[tokio::test]
async fn a_founder_joins_when_two_admins_sign_and_keeps_the_vetter_key() {
    let (dir, home, _) = small();
    let desk = Arc::new(Desk::open(home.clone()).unwrap());
    let here = Place { listen: "127.0.0.1:0", reach: None };
    let admin = |person: &str| key(&home, Held::Admin, person);
    let before = catalogue::policy(&home, NOW).unwrap();
    let founder = before.person(&name("m.ruiz")).unwrap().clone();
    for few in [vec![admin("a.kaya")], vec![admin("a.kaya"), admin("a.kaya")], Vec::new()] {
        let alone = Door::for_agent(desk.clone(), here, guest(few), || NOW);
        let few = |e: &EnrolError| {
            matches!(e, EnrolError::Catalogue(CatalogueTrouble::TooFewSigners { wanted: 2, .. }))
        };
        assert!(alone.is_err_and(|e| few(&e)));
    }
    // a.kaya is away: the other two let one of them in.
    let both = guest(vec![admin("m.ruiz"), admin("s.okafor")]);
    let mut door = Door::for_agent(desk.clone(), here, both, || NOW).unwrap();
    let invitation: Invitation = door.token().parse().unwrap();
    let theirs = Home::new(dir.path().join("theirs"));
    let mut nobody = |turned: &crate::enrol::Turned| panic!("{turned:?}");
    let (joined, organisation) =
        tokio::join!(door.wait(&mut nobody), join(&theirs, &invitation, None, NOW));
    assert_eq!(joined.unwrap(), Joined::Agent { name: name("m.ruiz") });
    assert_eq!(organisation.unwrap().profile, Profile::Small);
    let after = catalogue::policy(&home, NOW).unwrap();
    assert_eq!(after.file().people.len(), 3);
    let person = after.person(&name("m.ruiz")).unwrap();
    let signing = theirs.agent_signing_key(&name("m.ruiz"), None).unwrap().public_key();
    assert_eq!(person.signing_key, Some(signing));
    assert!(person.sealing_key.is_some());
    assert_eq!((person.vetter_key, person.admin_key), (founder.vetter_key, founder.admin_key));
    let roles: Vec<&str> = person.roles.iter().map(protocol::Label::as_str).collect();
    assert_eq!(roles, ["agent", "lead", "vetter", "administrator", "night"]);
    as_an_endpoint(&home, NOW);
}

#[test]
fn policy_and_lists_change_with_one_person_away_and_not_with_two() {
    let (_dir, home, _) = small();
    let desk = Desk::open(home.clone()).unwrap();
    let [ours, theirs] = ["m.ruiz", "s.okafor"].map(|person| key(&home, Held::Admin, person));
    let few = desk.withdraw_agent(&name("s.okafor"), std::slice::from_ref(&ours), NOW).unwrap_err();
    assert_eq!(few.to_string(), "policy needs 2 people, has 1");
    let last = desk.withdraw_agent(&name("a.kaya"), &[], NOW).unwrap_err();
    assert!(matches!(last, WithdrawError::Last { .. }), "only a.kaya may sign orders: {last}");
    let later = NOW.plus(60 * certs::DAY);
    let vetters = ["m.ruiz", "s.okafor"].map(|person| key(&home, Held::Vetter, person));
    let [first, second] = vetters;
    let alone = catalogue::renew_lists(&home, &[ours.clone(), first.clone()], later).unwrap_err();
    assert!(matches!(alone, CatalogueTrouble::TooFewSigners { have: 1, wanted: 2, .. }));
    catalogue::renew_lists(&home, &[ours.clone(), theirs.clone(), first, second], later).unwrap();
    assert!(as_an_endpoint(&home, later).expired(later.plus(6 * certs::DAY)).is_none());
    let both = [ours.clone(), theirs];
    let herself = desk.withdraw_agent(&name("s.okafor"), &both, later).unwrap_err();
    assert_eq!(herself.to_string(), "policy needs 2 people, has 1");
    let others = [ours, key(&home, Held::Admin, "a.kaya")];
    desk.withdraw_agent(&name("s.okafor"), &others, later).unwrap();
    as_an_endpoint(&home, later);
    let policy = catalogue::policy(&home, later).unwrap();
    assert!(policy.is_withdrawn(policy.person(&name("s.okafor")).unwrap(), later));
    // Whoever was withdrawn counts no more, as an administrator and as a vetter; nor does whoever is
    // being withdrawn.
    let gone = desk.withdraw_agent(&name("m.ruiz"), &both, later).unwrap_err();
    assert_eq!(gone.to_string(), "policy needs 2 people, has 0");
    let vetter = key(&home, Held::Vetter, "s.okafor");
    let script = read(&script("net.look", "low"), "s.okafor");
    let gone = catalogue::sign(&home, &[script], &vetter, later).unwrap_err();
    assert_eq!(gone.to_string(), "s.okafor was withdrawn and signs nothing any more");
}
