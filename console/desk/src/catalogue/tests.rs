//! Scripts wait until enough people signed; what is published is what was signed.

use protocol::Risk;
use trust::SigningKey;

use super::*;
use crate::home::{Held, Home};
use crate::org::tests::{NOW, PASSPHRASE, bare};

fn script(name: &str, version: u32, body: &str) -> Vec<u8> {
    format!(
        r#"const ABOUT = #{{
    id: "{name}", version: {version}, title: "Look at something",
    does: "looks at something", risk: "low", consent: "none", platforms: ["linux"], limit: "1m",
    params: #{{}}, permissions: #{{}}, words: ["disk full"],
}};

fn detect(p) {{ healthy("{body}") }}
fn remediate(p, found) {{ }}
fn verify(p, found) {{ healthy("{body}") }}
"#
    )
    .into_bytes()
}

fn read(source: &[u8]) -> ScriptFile {
    ScriptFile::read(source, &"a.kaya".parse().unwrap()).unwrap()
}

/// A script that can be published anywhere.
pub(crate) fn a_script(name: &str) -> ScriptFile {
    read(&script(name, 1, "fine"))
}

fn ready() -> (tempfile::TempDir, Home, SigningKey) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let me = bare(&home);
    let vetter = home.held_key(Held::Vetter, &me, PASSPHRASE).unwrap();
    (dir, home, vetter)
}

#[test]
fn signed_scripts_wait_and_are_in_force_only_when_published() {
    let (_dir, home, vetter) = ready();
    let (one, two) = (script("disk.look", 1, "a"), script("net.look", 1, "b"));
    sign(&home, &[read(&one)], &vetter, NOW).unwrap();
    let waiting = sign(&home, &[read(&two)], &vetter, NOW).unwrap();
    assert_eq!(waiting.len(), 1);
    let names: Vec<&str> = waiting[0].scripts.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["disk.look", "net.look"]);
    assert_eq!((waiting[0].signed.len(), waiting[0].wanted), (1, 1));
    assert_eq!(open(&home, NOW).unwrap().scripts().count(), 0);

    let published = publish(&home, NOW).unwrap();
    assert_eq!(published.len(), 2);
    let catalogue = open(&home, NOW).unwrap();
    let entry = catalogue.latest(&"net.look".parse().unwrap()).unwrap();
    assert_eq!(entry.risk, Risk::Low);
    assert_eq!(entry.manifest.author.as_str(), "a.kaya");
    assert_eq!(catalogue.source(entry), Some(two.as_slice()));
    assert!(matches!(publish(&home, NOW), Err(CatalogueTrouble::NothingPending)));
}

#[test]
fn what_a_signature_means_is_shown_first_and_nothing_else_is_signed() {
    let (_dir, home, vetter) = ready();
    let one = [read(&script("disk.look", 1, "a"))];
    let shown = proposals(&home, &one, NOW).unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].added[0].manifest.name.as_str(), "disk.look");
    assert_eq!(shown[0].added[0].before, None);
    assert!(pending(&home, NOW).unwrap().is_empty(), "looking writes nothing");
    // Somebody adds another script to the same list meanwhile.
    sign(&home, &[read(&script("net.look", 1, "b"))], &vetter, NOW).unwrap();
    let signed = sign_shown(&home, &one, &shown, &vetter, NOW);
    let changed = |e: &CatalogueTrouble| matches!(e, CatalogueTrouble::NotWhatWasShown { .. });
    assert!(signed.is_err_and(|e| changed(&e)));
    let shown = proposals(&home, &one, NOW).unwrap();
    assert_eq!(shown[0].added.len(), 2);
    sign_shown(&home, &one, &shown, &vetter, NOW).unwrap();
    publish(&home, NOW).unwrap();
    let next = proposals(&home, &[read(&script("disk.look", 2, "c"))], NOW).unwrap();
    assert_eq!(next[0].added[0].before.as_ref().map(|m| m.version), Some(1));
}

#[test]
fn a_draft_that_hides_an_entry_meets_no_key() {
    let (_dir, home, vetter) = ready();
    sign(&home, &[read(&script("disk.look", 1, "a"))], &vetter, NOW).unwrap();
    let path = home.pending().join("risk-low.json");
    let mut draft: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let targets = draft["signed"]["targets"].as_object_mut().unwrap();
    let entry = targets.values().next().unwrap().clone();
    targets.insert("scripts/low/disk.spin-1.rhai".to_owned(), entry);
    draft["signatures"] = serde_json::json!({});
    crate::home::write_secret(&path, draft.to_string().as_bytes()).unwrap();
    for scripts in [vec![], vec![read(&script("net.look", 1, "b"))]] {
        let hidden = |e: &CatalogueTrouble| {
            matches!(
                e,
                CatalogueTrouble::Repository(trust::catalogue::RepositoryError::Misplaced { .. })
            )
        };
        let seen = proposals(&home, &scripts, NOW);
        assert!(seen.as_ref().is_err_and(hidden), "{seen:?}");
        let signed = sign(&home, &scripts, &vetter, NOW);
        assert!(signed.as_ref().is_err_and(hidden), "{signed:?}");
    }
}

#[test]
fn a_published_version_is_one_digest_for_ever() {
    let (_dir, home, vetter) = ready();
    sign(&home, &[read(&script("disk.look", 1, "a"))], &vetter, NOW).unwrap();
    publish(&home, NOW).unwrap();
    let same = sign(&home, &[read(&script("disk.look", 1, "a"))], &vetter, NOW).unwrap();
    assert!(same.is_empty());
    let other = sign(&home, &[read(&script("disk.look", 1, "changed"))], &vetter, NOW);
    assert!(matches!(other, Err(CatalogueTrouble::Repository(_))), "{other:?}");
    sign(&home, &[read(&script("disk.look", 2, "changed"))], &vetter, NOW).unwrap();
    publish(&home, NOW).unwrap();
    let catalogue = open(&home, NOW).unwrap();
    assert_eq!(catalogue.scripts().count(), 2);
    assert_eq!(catalogue.latest(&"disk.look".parse().unwrap()).unwrap().manifest.version, 2);
}

#[test]
fn a_key_that_is_no_vetters_signs_nothing() {
    let (_dir, home, _) = ready();
    let stranger = SigningKey::from_seed([9; 32]);
    let refused = sign(&home, &[read(&script("disk.look", 1, "a"))], &stranger, NOW);
    assert!(matches!(refused, Err(CatalogueTrouble::NotAVetter { risk: Risk::Low, .. })));
    assert!(pending(&home, NOW).unwrap().is_empty());
}

#[test]
fn a_script_with_faults_is_not_read_at_all() {
    let author = "a.kaya".parse().unwrap();
    let faults = ScriptFile::read(b"fn detect(p) { eval(\"x\") }", &author);
    assert!(matches!(faults, Err(CatalogueTrouble::Script(list)) if !list.is_empty()));
    let huge = vec![b' '; protocol::limits::SCRIPT_BYTES_MAX + 1];
    assert!(matches!(ScriptFile::read(&huge, &author), Err(CatalogueTrouble::NotText)));
    assert!(matches!(ScriptFile::read(&[0xff], &author), Err(CatalogueTrouble::NotText)));
}

fn only_one_signed(error: &CatalogueTrouble) -> bool {
    matches!(error, CatalogueTrouble::TooFewPeople { wanted: 2, have: 1, .. })
}

#[test]
fn too_few_people_publish_nothing() {
    use std::collections::BTreeMap;
    use trust::Signer as _;
    use trust::catalogue::RoleKeys;

    let (_dir, home, vetter) = ready();
    let me = "a.kaya".parse().unwrap();
    let admin = home.held_key(Held::Admin, &me, PASSPHRASE).unwrap();
    let online = home.online_key(crate::home::Online::SnapshotTimestamp).unwrap();
    let second = SigningKey::from_seed([8; 32]);
    let both = RoleKeys::new(2, [vetter.public_key(), second.public_key()]);
    let risks = Risk::ALL.into_iter().map(|risk| (risk, both.clone())).collect::<BTreeMap<_, _>>();
    let policy = RoleKeys::new(1, [admin.public_key()]);
    repository(&home)
        .unwrap()
        .set_roles(policy, risks, &[&admin, &online, &vetter, &second], NOW)
        .unwrap();

    let waiting = sign(&home, &[read(&script("disk.look", 1, "a"))], &vetter, NOW).unwrap();
    assert_eq!((waiting[0].signed.len(), waiting[0].wanted), (1, 2));
    assert!(publish(&home, NOW).is_err_and(|e| only_one_signed(&e)));
    // The second key belongs to nobody in the policy, so it counts for nobody.
    sign(&home, &[], &second, NOW).unwrap();
    assert!(publish(&home, NOW).is_err_and(|e| only_one_signed(&e)));
    assert_eq!(open(&home, NOW).unwrap().scripts().count(), 0);
}

#[test]
fn lists_that_near_their_end_are_renewed_as_they_are() {
    let (_dir, home, vetter) = ready();
    sign(&home, &[read(&script("disk.look", 1, "a"))], &vetter, NOW).unwrap();
    publish(&home, NOW).unwrap();
    let admin = home.held_key(Held::Admin, &"a.kaya".parse().unwrap(), PASSPHRASE).unwrap();
    let later = NOW.plus(80 * certs::DAY);
    let before = open(&home, NOW).unwrap();
    assert_eq!(before.expired(NOW.plus(91 * certs::DAY)).unwrap().0, "timestamp");
    let ends = renew_lists(&home, &[admin, vetter], later).unwrap();
    let roles: Vec<&str> = ends.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["policy", "risk-low", "risk-medium", "risk-high"]);
    let after = open(&home, later).unwrap();
    assert!(after.expired(later.plus(6 * certs::DAY)).is_none());
    assert_eq!(after.policy_text(), before.policy_text());
    assert_eq!(after.scripts().count(), 1);
    let nobody = renew_lists(&home, &[], later);
    assert!(matches!(nobody, Err(CatalogueTrouble::TooFewSigners { have: 0, .. })));
}
