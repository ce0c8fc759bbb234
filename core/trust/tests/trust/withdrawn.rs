//! Whoever was withdrawn counts towards no threshold; a stolen online key ends with its time.

use protocol::documents::CatalogueVersions;
use protocol::{PublicKey, Time};
use serde_json::json;
use trust::Signer as _;
use trust::catalogue::{Catalogue, Files, Repository, delta};

use crate::forge::Forge;
use crate::sample::{self, NOW, all, key, keys};

const DAY: u64 = 24 * 3600;

fn made() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let repository = sample::repository(folder.path()).unwrap();
    (folder, repository)
}

/// Every key but these counts.
fn without(names: &'static [&'static str]) -> impl Fn(&PublicKey) -> bool {
    move |one| !names.iter().any(|name| key(name).public_key() == *one)
}

#[test]
fn a_script_is_vetted_by_those_who_were_not_withdrawn() {
    let (_folder, repository) = made();
    let catalogue = repository.catalogue(NOW).unwrap();
    let person_of = |one: &PublicKey| {
        let known = ["vetter a", "vetter b"].into_iter().find(|n| key(n).public_key() == *one)?;
        known.replace(' ', ".").parse().ok()
    };
    let vetted = |script: &str, names| {
        let entry = catalogue.latest(&script.parse().unwrap()).unwrap();
        catalogue.vetted(entry, &without(names), &person_of)
    };
    assert_eq!(vetted("service.restart", &[]), (2, 2));
    assert_eq!(vetted("service.restart", &["vetter c", "admin a"]), (2, 2));
    assert_eq!(vetted("service.restart", &["vetter b"]), (1, 2));
    assert_eq!(vetted("service.restart", &["vetter a", "vetter b"]), (0, 2));
    assert_eq!(vetted("cache.clear", &["vetter b"]), (1, 1), "both signed, one is enough");
    assert_eq!(vetted("cache.clear", &["vetter a", "vetter b"]), (0, 1));
}

#[test]
fn policy_and_roles_rest_on_nobody_who_was_withdrawn() {
    let (_folder, mut repository) = made();
    let check = |repository: &Repository, names| {
        let (catalogue, counts) = (repository.catalogue(NOW).unwrap(), without(names));
        let checked = catalogue.check_administrators(&counts);
        let signed = ["targets", "policy"].map(|role| catalogue.is_signed(role, &counts));
        assert_eq!(signed == [true, true], checked.is_ok(), "{signed:?}");
        checked.map_err(|error| (error.code(), error.to_string().split(';').next().unwrap().into()))
    };
    let refusal = |role: &str| {
        let words = "has 0 of 1 signatures of people who were not withdrawn";
        Err::<(), (_, String)>(("withdrawn", format!("role `{role}` {words}")))
    };
    assert_eq!(check(&repository, &[]), Ok(()));
    assert_eq!(check(&repository, &["admin b", "vetter a"]), Ok(()));
    assert_eq!(check(&repository, &["admin a"]), refusal("targets"));
    let others = keys(&["admin b", "vetter a", "vetter b", "online"]);
    repository.renew_roles(&all(&others), NOW.plus(200)).unwrap();
    assert_eq!(check(&repository, &["admin a"]), refusal("policy"));
    repository.set_policy("# new\n", &all(&others), NOW.plus(300)).unwrap();
    assert_eq!(check(&repository, &["admin a"]), Ok(()));
    let versions = repository.catalogue(NOW).unwrap().versions();
    assert_eq!((versions.targets, versions.risk_medium), (2, 2), "the lists stay as they are");
}

/// A timestamp as the thief of the online key signs it: of any time.
fn stolen(issued: Time, version: u64) -> Forge {
    let mut forge = Forge::new();
    let mut timestamp = forge.signed("timestamp.json");
    timestamp["issued"] = json!(issued);
    timestamp["expires"] = json!(issued.plus(700 * DAY));
    timestamp["version"] = json!(version);
    let mut snapshot = forge.signed("3.snapshot.json");
    snapshot["expires"] = json!(issued.plus(700 * DAY));
    forge.put("3.snapshot.json", &snapshot, &["online"]);
    let bytes = forge.files.get("3.snapshot.json").unwrap();
    timestamp["meta"]["snapshot.json"] = crate::forge::pin_of(3, bytes);
    forge.put("timestamp.json", &timestamp, &["online"]);
    forge
}

#[test]
fn a_stolen_online_key_moves_time_no_further_than_the_policys_end() {
    let far = NOW.plus(600 * DAY);
    let catalogue = stolen(far, 9).read().unwrap();
    assert_eq!(catalogue.issued(), far);
    assert_eq!(catalogue.floor(), catalogue.end_of("policy").unwrap());
    assert!(catalogue.floor() <= NOW.plus(90 * DAY));
    // An honest one that comes after the policy's end says what it said before: it has expired.
    assert_eq!(catalogue.expired(catalogue.floor()).unwrap().0, "policy");
    let near = NOW.plus(3 * DAY);
    assert_eq!(stolen(near, 9).read().unwrap().floor(), near);
}

#[test]
fn a_root_that_replaces_the_stolen_online_key_brings_the_time_back() {
    let thief = stolen(NOW.plus(600 * DAY), 9);
    let now = NOW.plus(DAY);
    let (_, held) = Catalogue::update(&Files::new(), &thief.root, &thief.files, now).unwrap();
    let (_folder, mut repository) = made();
    let update = |repository: &Repository| {
        let new = delta(CatalogueVersions::default(), &repository.files().unwrap());
        Catalogue::update(&held, &thief.root, &new, now).map(|(catalogue, _)| catalogue)
    };
    // Under the same root the thief's version and time are floors.
    repository.renew_online(&key("online"), now).unwrap();
    assert_eq!(update(&repository).unwrap_err().code(), "rollback");
    let signers = keys(&["root a", "root b", "admin a", "online 2"]);
    let plan = sample::plan();
    let online = key("online 2").public_key();
    repository.rotate_root(plan.root, plan.targets, online, &all(&signers), now).unwrap();
    let next = update(&repository).unwrap();
    assert_eq!((next.versions().root, next.floor()), (2, now));
}

#[test]
fn a_clock_behind_what_is_held_revives_nothing_that_expired() {
    let (_folder, mut repository) = made();
    let root = repository.first_root().unwrap();
    let all_of = |r: &Repository| delta(CatalogueVersions::default(), &r.files().unwrap());
    let first = all_of(&repository);
    repository.renew_online(&key("online"), NOW.plus(20 * DAY)).unwrap();
    let update = |held: &Files, new: &Files| Catalogue::update(held, &root, new, Time(0));
    let (_, held) = update(&Files::new(), &all_of(&repository)).unwrap();
    // A dead battery: 1970. Its first catalogue may be any, its second none from before the first.
    assert!(update(&Files::new(), &first).is_ok());
    assert_eq!(update(&held, &first).unwrap_err().code(), "rollback");
    let mut forge = Forge::new();
    forge.files = all_of(&repository);
    let mut timestamp = forge.signed("timestamp.json");
    let version = timestamp["version"].as_u64().unwrap();
    timestamp["version"] = json!(version + 1);
    timestamp["issued"] = json!(NOW);
    timestamp["expires"] = json!(NOW.plus(7 * DAY));
    forge.put("timestamp.json", &timestamp, &["online"]);
    assert_eq!(update(&held, &forge.files).unwrap_err().code(), "stale");
}
