//! Updates over what is trusted: nothing goes back, nothing goes half way, expiry loses no floor.

use protocol::documents::CatalogueVersions;
use protocol::{Risk, Time, limits};
use trust::catalogue::{Catalogue, CatalogueError, Files, Lifetimes, Repository, delta};
use trust::{Signer as _, SigningKey};

use crate::sample::{self, NOW, all, key, keys, manifest, role};

const DAY: u64 = 24 * 3600;

struct Endpoint {
    root: Vec<u8>,
    files: Files,
}

impl Endpoint {
    fn take(&mut self, new: &Files, now: Time) -> Result<CatalogueVersions, CatalogueError> {
        let (catalogue, kept) = Catalogue::update(&self.files, &self.root, new, now)?;
        self.files = kept;
        Ok(catalogue.versions())
    }

    fn refuses(&mut self, new: &Files, now: Time) -> &'static str {
        let before = self.files.clone();
        let code = self.take(new, now).unwrap_err().code();
        assert_eq!(self.files, before);
        code
    }
}

fn full(repository: &Repository) -> Files {
    delta(CatalogueVersions::default(), &repository.files().unwrap())
}

fn made() -> (tempfile::TempDir, Repository, Endpoint) {
    let folder = tempfile::tempdir().unwrap();
    let repository = sample::repository(folder.path()).unwrap();
    let root = repository.first_root().unwrap();
    let mut endpoint = Endpoint { root, files: Files::new() };
    endpoint.take(&full(&repository), NOW.plus(200)).unwrap();
    (folder, repository, endpoint)
}

fn everybody() -> Vec<SigningKey> {
    keys(&sample::EVERYBODY)
}

#[test]
fn nothing_goes_back() {
    // E9, E10: an older catalogue, validly signed.
    let (_folder, mut repository, mut endpoint) = made();
    let old = full(&repository);
    let keys = everybody();
    let next = manifest("cache.clear", 4, Risk::Low).unwrap();
    repository.add_script(b"4", &next, &all(&keys), NOW.plus(300)).unwrap();
    endpoint.take(&full(&repository), NOW.plus(400)).unwrap();
    assert_eq!(endpoint.refuses(&old, NOW.plus(500)), "rollback");
    // The same when what is trusted has expired meanwhile: expiry loses no floor.
    let late = NOW.plus(100 * DAY);
    let held = Catalogue::open(&endpoint.files, &endpoint.root, late).unwrap();
    assert!(held.expired(late).is_some());
    assert_eq!(endpoint.refuses(&old, late), "rollback");
}

#[test]
fn a_newer_timestamp_over_older_lists_is_refused() {
    // A thief of the online key alone: he can pin, but not go back behind what is trusted.
    let (_folder, mut repository, mut endpoint) = made();
    let (other_folder, keys) = (tempfile::tempdir().unwrap(), everybody());
    let mut behind = sample::repository(other_folder.path()).unwrap();
    let next = manifest("cache.clear", 4, Risk::Low).unwrap();
    repository.add_script(b"4", &next, &all(&keys), NOW.plus(300)).unwrap();
    endpoint.take(&full(&repository), NOW.plus(400)).unwrap();
    for day in 2..9 {
        assert!(behind.renew_online(&key("online"), NOW.plus(day * DAY)).unwrap());
    }
    assert_eq!(endpoint.refuses(&full(&behind), NOW.plus(9 * DAY)), "rollback");
}

#[test]
fn an_update_that_was_cut_moves_no_floor() {
    let (_folder, mut repository, mut endpoint) = made();
    let old = full(&repository);
    let keys = everybody();
    repository.set_policy("# new\n", &all(&keys), NOW.plus(300)).unwrap();
    let versions = Catalogue::open(&endpoint.files, &endpoint.root, NOW).unwrap().versions();
    let update = delta(versions, &repository.files().unwrap());
    for (missing, _) in update.iter() {
        let mut cut = update.clone();
        cut.0.remove(missing);
        if missing == "timestamp.json" {
            // Nothing names the new files, so that nothing is new.
            assert_eq!(endpoint.take(&cut, NOW.plus(400)).unwrap(), versions);
        } else {
            assert_eq!(endpoint.refuses(&cut, NOW.plus(400)), "incomplete");
        }
        assert_eq!(endpoint.take(&old, NOW.plus(400)).unwrap(), versions, "the old one is good");
    }
    assert_eq!(endpoint.take(&update, NOW.plus(400)).unwrap().policy, 2);
}

#[test]
fn what_is_offered_must_be_fresh() {
    let (_folder, repository, endpoint) = made();
    let new = full(&repository);
    let mut born = Endpoint { root: endpoint.root, files: Files::new() };
    assert_eq!(born.refuses(&new, NOW.plus(120 + 7 * DAY)), "stale");
    assert!(born.take(&new, NOW.plus(119 + 7 * DAY)).is_ok());
}

#[test]
fn a_laptop_from_a_drawer_comes_back_in_one_update() {
    let (_folder, mut repository, mut endpoint) = made();
    let (keys, late) = (everybody(), NOW.plus(400 * DAY));
    for risk in [Risk::Low, Risk::Medium, Risk::High] {
        repository.renew(risk.role(), &all(&keys), late).unwrap();
    }
    repository.renew("policy", &all(&keys), late).unwrap();
    let held = Catalogue::open(&endpoint.files, &endpoint.root, late).unwrap();
    assert_eq!(held.expired(late).map(|(role, _)| role).as_deref(), Some("timestamp"));
    let update = delta(held.versions(), &repository.files().unwrap());
    endpoint.take(&update, late.plus(60)).unwrap();
    let fresh = Catalogue::open(&endpoint.files, &endpoint.root, late).unwrap();
    assert_eq!(fresh.expired(late.plus(60)), None);
}

#[test]
fn a_script_that_was_withdrawn_is_gone_with_the_next_update() {
    let (_folder, mut repository, mut endpoint) = made();
    let name = "cache.clear".parse().unwrap();
    let listed = |endpoint: &Endpoint| {
        let held = Catalogue::open(&endpoint.files, &endpoint.root, NOW).unwrap();
        held.script(&name, 3).is_some()
    };
    assert!(listed(&endpoint));
    repository.withdraw(&name, 3, &all(&everybody()), NOW.plus(300)).unwrap();
    endpoint.take(&full(&repository), NOW.plus(400)).unwrap();
    assert!(!listed(&endpoint));
}

#[test]
fn one_version_is_one_content_for_ever() {
    // E9: equal versions with other bytes, by people who hold every key.
    let (_folder, _repository, mut endpoint) = made();
    let (folder, keys) = (tempfile::tempdir().unwrap(), everybody());
    let mut twin = Repository::create(folder.path(), sample::plan(), &all(&keys), NOW).unwrap();
    assert_eq!(twin.first_root().unwrap(), endpoint.root);
    let same = manifest("cache.clear", 3, Risk::Low).unwrap();
    twin.add_script(b"other source", &same, &all(&keys), NOW.plus(60)).unwrap();
    let mut fork = full(&twin);
    assert_eq!(endpoint.refuses(&fork, NOW.plus(200)), "rollback");
    let restart = manifest("service.restart", 1, Risk::Medium).unwrap();
    twin.add_script(b"fn detect() { 1 }\n", &restart, &all(&keys), NOW.plus(120)).unwrap();
    fork = full(&twin);
    assert_eq!(endpoint.refuses(&fork, NOW.plus(200)), "equivocation", "equal timestamps");
    twin.renew_online(&key("online"), NOW.plus(2 * DAY)).unwrap();
    assert_eq!(endpoint.refuses(&full(&twin), NOW.plus(2 * DAY)), "equivocation", "equal lists");
    let third = manifest("cache.other", 1, Risk::Low).unwrap();
    twin.add_script(b"x", &third, &all(&keys), NOW.plus(2 * DAY)).unwrap();
    let error = endpoint.take(&full(&twin), NOW.plus(2 * DAY)).unwrap_err();
    assert!(
        matches!(&error, CatalogueError::Equivocation { name } if name == "scripts/low/cache.clear-3.rhai"),
        "{error}"
    );
}

/// A repository whose root was renewed so many times.
fn chain(renewals: u64) -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let mut repository = sample::repository(folder.path()).unwrap();
    let keys = keys(&["root a", "root b", "root c", "admin a", "online"]);
    for step in 0..renewals {
        // Another threshold each time, so that each root is a new one.
        let threshold = if step % 2 == 0 { 3 } else { 2 };
        let root = role(threshold, &["root a", "root b", "root c"]);
        let (targets, online) = (sample::plan().targets, key("online").public_key());
        repository.rotate_root(root, targets, online, &all(&keys), NOW.plus(200 + step)).unwrap();
    }
    (folder, repository)
}

#[test]
fn a_chain_of_64_roots_is_followed_in_one_update_and_no_more() {
    let (_folder, repository) = chain(65);
    let root = repository.first_root().unwrap();
    let mut new = full(&repository);
    let mut endpoint = Endpoint { root, files: Files::new() };
    assert_eq!(endpoint.refuses(&new, NOW.plus(300)), "root-chain");
    // The keys of snapshot and timestamp are the same, so that root 65 verifies them as well.
    new.0.remove("66.root.json");
    assert_eq!(endpoint.take(&new, NOW.plus(300)).unwrap().root, 65);
    assert_eq!(endpoint.take(&full(&repository), NOW.plus(300)).unwrap().root, 66);
    assert_eq!(limits::ROOT_CHAIN_MAX, 64);
}

#[test]
fn a_root_is_signed_by_the_one_before_it() {
    // E11: a root of the next number by its own keys alone; one that skips a number.
    let (_folder, _repository, mut endpoint) = made();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = sample::plan();
    plan.root = role(2, &["thief a", "thief b"]);
    let thieves = keys(&["thief a", "thief b", "admin a", "vetter a", "vetter b", "online"]);
    let mut own = Repository::create(folder.path(), plan.clone(), &all(&thieves), NOW).unwrap();
    let next = role(1, &["thief a", "thief b"]);
    let online = key("online").public_key();
    own.rotate_root(next, plan.targets, online, &all(&thieves), NOW.plus(9)).unwrap();
    let forged = own.files().unwrap().get("2.root.json").unwrap().to_vec();
    let offer = Files([("2.root.json".to_owned(), forged.clone())].into());
    assert_eq!(endpoint.refuses(&offer, NOW.plus(300)), "threshold");
    let skip = Files([("3.root.json".to_owned(), forged.clone())].into());
    assert_eq!(endpoint.take(&skip, NOW.plus(300)).unwrap().root, 1, "nobody asks for it");

    let (_folder, chain) = chain(2);
    let mut files = full(&chain);
    let third = files.get("3.root.json").unwrap().to_vec();
    files.insert("2.root.json", third);
    let mut born = Endpoint { root: chain.first_root().unwrap(), files: Files::new() };
    assert_eq!(born.refuses(&files, NOW.plus(300)), "root-chain");
}

#[test]
fn an_expired_root_takes_nothing_but_a_newer_root() {
    let folder = tempfile::tempdir().unwrap();
    let signers = everybody();
    let mut plan = sample::plan();
    plan.lifetimes = Lifetimes { root: 5 * DAY, ..Lifetimes::small() };
    let mut repository = Repository::create(folder.path(), plan, &all(&signers), NOW).unwrap();
    let mut endpoint = Endpoint { root: repository.first_root().unwrap(), files: Files::new() };
    assert_eq!(endpoint.refuses(&full(&repository), NOW.plus(6 * DAY)), "stale");
    let third = keys(&["root a", "root b", "root c", "admin a", "online"]);
    let (targets, online) = (sample::plan().targets, key("online").public_key());
    let root = role(3, &["root a", "root b", "root c"]);
    repository.rotate_root(root, targets, online, &all(&third), NOW.plus(6 * DAY)).unwrap();
    assert_eq!(endpoint.take(&full(&repository), NOW.plus(6 * DAY)).unwrap().root, 2);
}

#[test]
fn a_stolen_online_key_is_replaced_and_its_floor_with_it() {
    // The thief signed timestamp 9007199254740991: without recovery no update would ever follow.
    let (_folder, mut repository, mut endpoint) = made();
    let files = full(&repository);
    let text = String::from_utf8(files.get("timestamp.json").unwrap().to_vec()).unwrap();
    let mut signed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut signed = signed["signed"].take();
    signed["version"] = serde_json::json!(protocol::json::INTEGER_MAX);
    let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(&signed).unwrap();
    let sig: String =
        key("online").sign(&bytes).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    let id = trust::key_id(&key("online").public_key());
    let forged =
        serde_json::json!({ "signatures": [{ "keyid": id, "sig": sig }], "signed": signed });
    let forged = serde_json::to_vec(&forged).unwrap();
    endpoint.take(&Files([("timestamp.json".to_owned(), forged)].into()), NOW.plus(300)).unwrap();

    let keys = keys(&["root a", "root b", "admin a", "online 2"]);
    let plan = sample::plan();
    let online = key("online 2").public_key();
    repository.rotate_root(plan.root, plan.targets, online, &all(&keys), NOW.plus(400)).unwrap();
    let versions = endpoint.take(&full(&repository), NOW.plus(500)).unwrap();
    assert_eq!((versions.root, versions.timestamp), (2, 4));
}

#[test]
fn every_changed_byte_of_a_catalogue_is_refused_or_changes_nothing() {
    let (_folder, repository, endpoint) = made();
    let good = Catalogue::open(&endpoint.files, &endpoint.root, NOW).unwrap();
    let (mut refused, mut equal) = (0, 0);
    for (name, bytes) in endpoint.files.iter().filter(|(name, _)| *name != "1.root.json") {
        for place in 0..bytes.len() {
            let mut changed = endpoint.files.clone();
            changed.0.get_mut(name).unwrap()[place] ^= 1;
            match Catalogue::open(&changed, &endpoint.root, NOW) {
                Err(_) => refused += 1,
                Ok(same) => {
                    assert_eq!(same.versions(), good.versions());
                    assert!(same.scripts().eq(good.scripts()), "{name} at {place}");
                    assert_eq!(
                        (same.policy_text(), same.issued()),
                        (good.policy_text(), good.issued())
                    );
                    equal += 1;
                }
            }
        }
    }
    let (_, total) = (repository, endpoint.files.bytes() - endpoint.root.len());
    println!("catalogue: {refused} changes refused, {equal} changed nothing");
    assert_eq!(refused + equal, total);
    assert_eq!(equal, 0, "every file but the root is pinned or signed to its last byte");
}
