//! The catalogue as people use it: written, read, updated, renewed, kept through any crash.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::documents::CatalogueVersions;
use protocol::{Risk, ScriptName, limits};
use trust::Signer as _;
use trust::SigningKey;
use trust::catalogue::{
    Catalogue, Draft, Files, FolderStore, Repository, RepositoryError, TrustedStore, delta,
};

use crate::sample::{self, NOW, POLICY, SOURCE, all, key, keys, manifest, role};

const DAY: u64 = 24 * 3600;

fn made() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let repository = sample::repository(folder.path()).unwrap();
    (folder, repository)
}

fn everybody() -> Vec<SigningKey> {
    keys(&sample::EVERYBODY)
}

/// An endpoint that took what the repository publishes.
fn endpoint(repository: &Repository) -> (Vec<u8>, Files) {
    let root = repository.first_root().unwrap();
    let all = delta(CatalogueVersions::default(), &repository.files().unwrap());
    let (_, kept) = Catalogue::update(&Files::new(), &root, &all, NOW.plus(200)).unwrap();
    assert_eq!(kept, all, "a first delta is exactly what is kept");
    (root, kept)
}

fn name(text: &str) -> ScriptName {
    text.parse().unwrap()
}

#[test]
fn what_is_written_reads_back_whole() {
    let (_folder, repository) = made();
    let catalogue = repository.catalogue(NOW).unwrap();
    assert_eq!(catalogue.policy_text(), POLICY);
    assert_eq!(catalogue.issued(), NOW.plus(120));
    let wanted = CatalogueVersions {
        root: 1,
        timestamp: 3,
        snapshot: 3,
        targets: 1,
        policy: 1,
        risk_low: 2,
        risk_medium: 2,
        risk_high: 1,
    };
    assert_eq!(catalogue.versions(), wanted);
    let entry = catalogue.script(&name("cache.clear"), 3).unwrap();
    assert_eq!(entry.manifest, manifest("cache.clear", 3, Risk::Low).unwrap());
    assert_eq!(catalogue.source(entry), Some(SOURCE));
    assert_eq!(entry.signers.len(), 2, "everybody of the role who signed is named");
    assert_eq!(catalogue.scripts().count(), 2);
    assert!(catalogue.latest(&name("cache.clear")).is_some_and(|e| e.manifest.version == 3));
    assert_eq!(catalogue.thresholds().get("risk-medium"), Some(&(2, 3)));
    assert_eq!(catalogue.role_keys("root").len(), 3);
    assert_eq!(
        catalogue.weaknesses(),
        [
            "scripts of low risk need one signature of 3",
            "changes of roles need one signature of 2",
            "policy changes need one signature of 2",
        ]
    );
}

#[test]
fn an_endpoint_takes_only_what_it_lacks() {
    let (_folder, mut repository) = made();
    let (root, kept) = endpoint(&repository);
    let before = Catalogue::open(&kept, &root, NOW).unwrap();
    let (keys, next) = (everybody(), manifest("cache.clear", 4, Risk::Low).unwrap());
    repository.add_script(b"fn detect() { 2 }\n", &next, &all(&keys), NOW.plus(300)).unwrap();
    let files = repository.files().unwrap();
    let update = delta(before.versions(), &files);
    let names: Vec<&str> = update.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in ["3.risk-low.json", "4.snapshot.json", "timestamp.json"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (after, kept) = Catalogue::update(&kept, &root, &update, NOW.plus(400)).unwrap();
    assert_eq!(after.scripts().count(), 3, "older versions stay listed");
    assert_eq!(after.latest(&name("cache.clear")).map(|e| e.manifest.version), Some(4));
    assert_eq!(kept, delta(CatalogueVersions::default(), &files));
    assert!(delta(after.versions(), &files).is_empty());
}

#[test]
fn a_withdrawn_version_is_gone_and_its_number_is_used_up() {
    let (_folder, mut repository) = made();
    let keys = everybody();
    let same = manifest("cache.clear", 3, Risk::Low).unwrap();
    repository.add_script(SOURCE, &same, &all(&keys), NOW.plus(300)).unwrap();
    let versions = repository.catalogue(NOW).unwrap().versions();
    assert_eq!(versions.risk_low, 2, "the same again publishes nothing");
    let other = repository.add_script(b"other", &same, &all(&keys), NOW.plus(300));
    assert!(matches!(other, Err(RepositoryError::Taken { .. })));
    repository.withdraw(&name("cache.clear"), 3, &all(&keys), NOW.plus(400)).unwrap();
    assert!(repository.catalogue(NOW).unwrap().script(&name("cache.clear"), 3).is_none());
    let twice = repository.withdraw(&name("cache.clear"), 3, &all(&keys), NOW.plus(500));
    assert!(matches!(twice, Err(RepositoryError::Unlisted { .. })));
}

#[test]
fn an_older_generation_is_there_while_its_files_are_and_verifies_by_the_keys_of_then() {
    let (_folder, mut repository) = made();
    let keys = everybody();
    let old = repository.catalogue(NOW).unwrap().versions();
    repository.set_policy("# new\n", &all(&keys), NOW.plus(300)).unwrap();
    repository.withdraw(&name("cache.clear"), 3, &all(&keys), NOW.plus(400)).unwrap();
    let root = repository.first_root().unwrap();
    let files = repository.files().unwrap();
    let then = Catalogue::then(&files, &root, &old).unwrap();
    assert_eq!(then.policy, POLICY);
    let listed = then.scripts.get(&(name("cache.clear"), 3)).unwrap();
    assert_eq!((listed.digest, listed.wanted), (protocol::Digest::of(SOURCE), 1));
    let both = ["vetter a", "vetter b"].map(|name| key(name).public_key());
    assert_eq!(listed.signers, both);
    let new = repository.catalogue(NOW).unwrap();
    let now = Catalogue::then(&files, &root, &new.versions()).unwrap();
    assert_eq!((now.policy.as_str(), now.scripts.len()), ("# new\n", then.scripts.len() - 1));

    // Every file of it counts, and none may be altered or missing.
    for file in ["1.targets.json", "1.policy.json", "2.risk-low.json"] {
        let mut altered = files.clone();
        let text = String::from_utf8(files.get(file).unwrap().to_vec()).unwrap();
        // In what is signed: one signature of more than enough may be altered.
        let (before, signed) = text.split_once("expires").unwrap();
        let signed = signed.replacen("20", "21", 1);
        altered.insert(file, format!("{before}expires{signed}").into_bytes());
        assert_eq!(Catalogue::then(&altered, &root, &old), None, "{file}");
        altered.0.remove(file);
        assert_eq!(Catalogue::then(&altered, &root, &old), None, "{file}");
    }
    let never = CatalogueVersions { policy: 9, ..old };
    assert_eq!(Catalogue::then(&files, &root, &never), None);
    let no_root = CatalogueVersions { root: 2, ..old };
    assert_eq!(Catalogue::then(&files, &root, &no_root), None);
    // Lists are handed out for eight versions, and kept for judging for ever.
    for number in 0..8 {
        let text = format!("# {number}\n");
        repository.set_policy(&text, &all(&keys), NOW.plus(500 + number)).unwrap();
    }
    assert_eq!(Catalogue::then(&repository.files().unwrap(), &root, &old), None);
    let all = repository.files_with_past().unwrap();
    assert_eq!(Catalogue::then(&all, &root, &old), Some(then.clone()));
    // What judging takes is a small part of it, without a script's source.
    let newest = Catalogue::newest(&all, &root).unwrap();
    let today = repository.catalogue(NOW).unwrap();
    assert_eq!((newest.versions, newest.issued), (today.versions(), today.issued()));
    let some = Catalogue::evidence(&all, &[old, newest.versions]);
    assert!(some.iter().all(|(name, _)| !name.starts_with("scripts/")));
    assert!(some.len() < all.len());
    assert_eq!(Catalogue::newest(&some, &root).unwrap(), newest);
    assert_eq!(Catalogue::then(&some, &root, &old), Some(then));
    assert!(Catalogue::then(&some, &root, &newest.versions).is_some());
    for file in ["timestamp.json", "1.root.json"] {
        let mut altered = some.clone();
        altered.insert(file, b"{}".to_vec());
        let other_root = altered.get("1.root.json").unwrap_or_default().to_vec();
        assert!(Catalogue::newest(&altered, &other_root).is_err(), "{file}");
    }
    assert_eq!(Catalogue::root_version(&root), Some(1));
    assert_eq!(Catalogue::root_version(b"{}"), None);
}

#[test]
fn a_script_waits_for_its_second_vetter() {
    let (_folder, mut repository) = made();
    let restart = manifest("service.restart", 2, Risk::Medium).unwrap();
    let alone = keys(&["vetter a", "online"]);
    let early = repository.add_script(b"new", &restart, &all(&alone), NOW.plus(300));
    assert!(matches!(
        early,
        Err(RepositoryError::Signatures { role, good: 1, wanted: 2 }) if role == "risk-medium"
    ));

    let mut draft = repository.draft_script(b"new", &restart, NOW.plus(300)).unwrap().unwrap();
    draft.sign(&key("vetter a")).unwrap();
    let mut draft = Draft::read(&draft.write().unwrap()).unwrap();
    draft.sign(&key("vetter a")).unwrap();
    let online = key("online");
    assert!(repository.publish(draft.clone(), &online, NOW.plus(310)).is_err(), "one person twice");
    draft.sign(&key("a.kaya")).unwrap();
    assert!(repository.publish(draft.clone(), &online, NOW.plus(310)).is_err(), "not a vetter");
    draft.sign(&key("vetter c")).unwrap();
    repository.publish(draft.clone(), &online, NOW.plus(320)).unwrap();
    let entry = repository.catalogue(NOW).unwrap();
    let entry = entry.script(&name("service.restart"), 2).unwrap();
    let wanted = ["vetter a", "vetter c"].map(|n| trust::Signer::public_key(&key(n)));
    assert_eq!(entry.signers, wanted, "who is no vetter is not kept");
    let again = repository.publish(draft, &online, NOW.plus(330));
    assert!(matches!(again, Err(RepositoryError::OutOfDate { .. })));
}

#[test]
fn a_draft_that_says_low_and_lists_high_is_not_signed() {
    let (_folder, repository) = made();
    let low = manifest("cache.clear", 9, Risk::Low).unwrap();
    let draft = repository.draft_script(b"x", &low, NOW).unwrap().unwrap();
    let text = String::from_utf8(draft.write().unwrap()).unwrap();
    let moved = text.replace("scripts/low/cache.clear-9", "scripts/high/cache.clear-9");
    let mut moved = Draft::read(moved.as_bytes()).unwrap();
    assert!(matches!(moved.sign(&key("vetter a")), Err(RepositoryError::Misplaced { .. })));
    let mut root =
        Draft::read(text.replace("\"role\":\"risk-low\"", "\"role\":\"root\"").as_bytes()).unwrap();
    assert!(root.sign(&key("vetter a")).is_err());
}

#[test]
fn a_catalogue_that_no_endpoint_could_take_is_not_published() {
    let (_folder, mut repository) = made();
    let large = |version| {
        let manifest = manifest("cache.large", version, Risk::Low).unwrap();
        let mut source = vec![b' '; limits::SCRIPT_BYTES_MAX];
        source[0] = u8::try_from(version).unwrap();
        (source, manifest)
    };
    let (source, first) = large(1);
    let mut draft = repository.draft_script(&source, &first, NOW).unwrap().unwrap();
    for version in 2..=64 {
        let (source, manifest) = large(version);
        draft.add_script(&source, &manifest).unwrap();
    }
    draft.sign(&key("vetter a")).unwrap();
    let published = repository.publish(draft, &key("online"), NOW.plus(300));
    let what = "catalogue";
    assert!(matches!(published, Err(RepositoryError::TooLarge { what: w, .. }) if w == what));
    assert_eq!(repository.catalogue(NOW).unwrap().scripts().count(), 2);
    let (mut source, manifest) = large(1);
    source.push(b' ');
    let script = repository.draft_script(&source, &manifest, NOW);
    assert!(matches!(script, Err(RepositoryError::TooLarge { what: "script", .. })));
}

#[test]
fn a_vetter_is_shown_all_that_a_signature_means() {
    let (_folder, repository) = made();
    let manifests = [4, 5].map(|version| manifest("cache.clear", version, Risk::Low).unwrap());
    let mut draft = repository.draft_script(b"4", &manifests[0], NOW).unwrap().unwrap();
    draft.sign(&key("vetter a")).unwrap();
    draft.add_script(b"5", &manifests[1]).unwrap();
    assert!(draft.signers().is_empty(), "a signature is for one list");
    assert_eq!(draft.manifests(), manifests);
    let review = repository.review(&draft).unwrap();
    let [first, second] = manifests;
    assert_eq!(review.added, [(first.clone(), b"4".to_vec()), (second, b"5".to_vec())]);
    assert!(review.withdrawn.is_empty() && review.ends == NOW.plus(180 * DAY));
    assert!(draft.add_script(b"other", &first).is_err());
    let medium = manifest("cache.clear", 6, Risk::Medium).unwrap();
    assert!(draft.add_script(b"6", &medium).is_err());

    let gone = repository.draft_withdrawal(&name("cache.clear"), 3, NOW).unwrap();
    let gone = repository.review(&gone).unwrap();
    assert_eq!(gone.withdrawn, ["scripts/low/cache.clear-3.rhai"]);
    let policy = repository.draft_policy("# new\n", NOW).unwrap();
    assert_eq!(repository.review(&policy).unwrap().policy.as_deref(), Some("# new\n"));

    // An entry without its file, a file that nothing lists, another manifest for a published
    // version, bytes that are not the listed ones: nobody can be shown what they mean.
    let text = String::from_utf8(draft.write().unwrap()).unwrap();
    let digest = |bytes: &[u8]| protocol::Digest::of(bytes).to_string();
    for (from, to) in [
        (format!("scripts/low/{}.cache.clear-5.rhai", digest(b"5")), "scripts/low/x".to_owned()),
        (digest(b"5"), digest(b"6")),
        ("\"author\":\"s.okafor\"".to_owned(), "\"author\":\"m.ruiz\"".to_owned()),
        ("\"NQ==\"".to_owned(), "\"Ng==\"".to_owned()),
    ] {
        assert!(text.contains(&from), "{from}");
        let hidden = Draft::read(text.replacen(&from, &to, 1).as_bytes()).unwrap();
        let review = repository.review(&hidden);
        assert!(matches!(review, Err(RepositoryError::Misplaced { .. })), "{from}: {review:?}");
    }
}

#[test]
fn the_online_key_renews_once_a_day_and_no_more() {
    let (_folder, mut repository) = made();
    let online = key("online");
    assert!(!repository.renew_online(&online, NOW.plus(DAY)).unwrap());
    assert!(repository.renew_online(&online, NOW.plus(DAY + 121)).unwrap());
    assert!(!repository.renew_online(&online, NOW.plus(DAY + 122)).unwrap());
    let catalogue = repository.catalogue(NOW).unwrap();
    assert_eq!(catalogue.issued(), NOW.plus(DAY + 121));
    assert_eq!(catalogue.end_of("timestamp"), Some(NOW.plus(8 * DAY + 121)));
    assert_eq!(catalogue.end_of("snapshot"), Some(NOW.plus(31 * DAY + 121)));
    assert!(repository.renew_online(&key("vetter a"), NOW.plus(3 * DAY)).is_err());
    for days in 3..40 {
        assert!(repository.renew_online(&online, NOW.plus(days * DAY)).unwrap());
    }
    let snapshots = repository.files().unwrap();
    let snapshots = snapshots.iter().filter(|(name, _)| name.ends_with(".snapshot.json")).count();
    assert_eq!(snapshots, 8, "old ones go");
}

#[test]
fn expired_lists_are_told_apart() {
    let (_folder, repository) = made();
    let catalogue = repository.catalogue(NOW).unwrap();
    assert_eq!(catalogue.expired(NOW.plus(7 * DAY)), None);
    let role = |days| catalogue.expired(NOW.plus(days * DAY + 121)).map(|(role, _)| role);
    assert_eq!(role(7).as_deref(), Some("timestamp"));
    let fresh = {
        let (_folder, mut repository) = made();
        let keys = everybody();
        let late = NOW.plus(179 * DAY);
        repository.set_policy(POLICY, &all(&keys), late).unwrap();
        let low = manifest("cache.clear", 4, Risk::Low).unwrap();
        repository.add_script(b"x", &low, &all(&keys), late).unwrap();
        repository.catalogue(late).unwrap()
    };
    let now = NOW.plus(180 * DAY + 121);
    assert_eq!(fresh.expired_for(Risk::Low, now), None);
    assert_eq!(fresh.expired_for(Risk::Medium, now).map(|e| e.0).as_deref(), Some("risk-medium"));
    assert_eq!(fresh.expired(now).map(|e| e.0).as_deref(), Some("risk-medium"));
}

#[test]
fn roles_and_root_get_other_keys_and_endpoints_follow() {
    let (_folder, mut repository) = made();
    let (root, kept) = endpoint(&repository);
    let names = ["root a", "root b", "admin a", "admin b", "admin c", "vetter a", "vetter b"];
    let keys = keys(&[&names[..], &["vetter d", "online", "online 2"]].concat());
    let signers = all(&keys);

    let risks = BTreeMap::from([
        (Risk::Low, role(1, &["vetter a"])),
        (Risk::Medium, role(2, &["vetter b", "vetter d"])),
        (Risk::High, role(2, &["vetter a", "vetter b", "vetter d"])),
    ]);
    repository.set_roles(role(2, &["admin a", "admin b"]), risks, &signers, NOW.plus(500)).unwrap();
    let versions = repository.catalogue(NOW).unwrap().versions();
    assert_eq!((versions.targets, versions.risk_medium, versions.policy), (2, 3, 2));
    assert_eq!(
        (versions.risk_low, versions.risk_high),
        (2, 1),
        "lists with enough good signatures stay"
    );

    let admins = role(2, &["admin a", "admin c"]);
    let new_online = trust::Signer::public_key(&key("online 2"));
    let new_root = role(2, &["root a", "root b", "root d"]);
    repository
        .rotate_root(new_root.clone(), admins.clone(), new_online, &signers, NOW.plus(600))
        .unwrap();
    let files = repository.files().unwrap();
    let update = delta(Catalogue::open(&kept, &root, NOW).unwrap().versions(), &files);
    let (after, kept) = Catalogue::update(&kept, &root, &update, NOW.plus(700)).unwrap();
    assert_eq!((after.versions().root, after.versions().targets), (2, 3));
    assert_eq!(after.thresholds().get("targets"), Some(&(2, 2)));
    assert!(repository.renew_online(&key("online"), NOW.plus(9 * DAY)).is_err());
    assert!(repository.renew_online(&key("online 2"), NOW.plus(9 * DAY)).unwrap());
    assert!(Catalogue::open(&kept, &root, NOW).is_ok());
    // Each generation by the root that it names.
    let all = repository.files_with_past().unwrap();
    let newest = Catalogue::newest(&all, &root).unwrap();
    assert_eq!(newest.versions, repository.catalogue(NOW).unwrap().versions());
    assert_eq!(newest.versions.root, 2);
    assert!(Catalogue::then(&all, &root, &newest.versions).is_some());
    assert!(Catalogue::then(&all, &root, &versions).is_some());
    repository.rotate_root(new_root, admins, new_online, &signers, NOW.plus(10 * DAY)).unwrap();
    assert_eq!(repository.catalogue(NOW).unwrap().versions().root, 2, "nothing new, no new root");
}

/// Every file of a folder, by path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn lay(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
    }
}

#[test]
fn an_interrupted_publish_is_completed_by_the_same_call() {
    let (folder, mut repository) = made();
    let before = tree(folder.path());
    let restart = manifest("service.restart", 2, Risk::Medium).unwrap();
    let (keys, when) = (everybody(), NOW.plus(900));
    repository.add_script(b"new", &restart, &all(&keys), when).unwrap();
    let after = tree(folder.path());
    let mut written: Vec<&String> =
        after.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
    written.sort_by_key(|name| (name.ends_with("timestamp.json"), name.contains("snapshot")));
    assert_eq!(written.len(), 4, "{written:?}");
    // Whatever part of the files was written, the catalogue is the old one, and the same call gives
    // the new one.
    for part in 0_u32..8 {
        let place = tempfile::tempdir().unwrap();
        lay(place.path(), &before);
        let some = written.iter().enumerate().filter(|(n, _)| part & (1 << n) != 0);
        lay(place.path(), &some.map(|(_, name)| ((*name).clone(), after[*name].clone())).collect());
        lay(place.path(), &BTreeMap::from([(".next".to_owned(), b"half a fi".to_vec())]));
        let mut again = Repository::open(place.path()).unwrap();
        assert_eq!(again.catalogue(NOW).unwrap().versions().risk_medium, 2);
        again.add_script(b"new", &restart, &all(&keys), when).unwrap();
        assert_eq!(again.catalogue(NOW).unwrap().versions().risk_medium, 3);
        assert_eq!(again.files().unwrap(), repository.files().unwrap());
    }
}

#[test]
fn an_interrupted_change_of_root_is_completed_by_the_same_call() {
    let (folder, mut repository) = made();
    let before = tree(folder.path());
    let names = ["root a", "root b", "admin c", "online 2"];
    let (keys, plan) = (keys(&names), sample::plan());
    let online = trust::Signer::public_key(&key("online 2"));
    let admins = role(1, &["admin c"]);
    let rotate = |repository: &mut Repository| {
        let (root, targets) = (plan.root.clone(), admins.clone());
        repository.rotate_root(root, targets, online, &all(&keys), NOW.plus(900)).unwrap();
    };
    rotate(&mut repository);
    let after = tree(folder.path());
    let place = tempfile::tempdir().unwrap();
    lay(place.path(), &before);
    let half = ["2.targets.json", "2.root.json"].map(|n| (n.to_owned(), after[n].clone()));
    lay(place.path(), &BTreeMap::from(half));
    let mut again = Repository::open(place.path()).unwrap();
    assert!(again.catalogue(NOW).is_err(), "endpoints wait until it is complete");
    rotate(&mut again);
    assert_eq!(again.files().unwrap(), repository.files().unwrap());
    assert_eq!(again.catalogue(NOW).unwrap().versions().root, 2);
}

#[test]
fn an_interrupted_creation_begins_anew_and_a_finished_one_is_left_alone() {
    let (folder, _repository) = made();
    let keys = everybody();
    let again = Repository::create(folder.path(), sample::plan(), &all(&keys), NOW);
    assert!(matches!(again, Err(RepositoryError::Exists(_))));
    std::fs::remove_file(folder.path().join("timestamp.json")).unwrap();
    assert!(matches!(Repository::open(folder.path()), Err(RepositoryError::NotThere(_))));
    Repository::create(folder.path(), sample::plan(), &all(&keys), NOW).unwrap();
    assert_eq!(
        Repository::open(folder.path()).unwrap().catalogue(NOW).unwrap().scripts().count(),
        0
    );
}

#[test]
fn a_creation_without_enough_signers_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let few = keys(&["root a", "admin a", "vetter a", "vetter b", "online"]);
    let made = Repository::create(folder.path(), sample::plan(), &all(&few), NOW);
    assert!(matches!(made, Err(RepositoryError::Signatures { role, .. }) if role == "root"));
    assert!(!folder.path().join("1.root.json").exists());
}

#[test]
fn the_store_keeps_one_whole_catalogue_through_any_crash() {
    let (_folder, mut repository) = made();
    let (root, old) = endpoint(&repository);
    let keys = everybody();
    repository.set_policy("# new\n", &all(&keys), NOW.plus(300)).unwrap();
    let files = repository.files().unwrap();
    let update = delta(Catalogue::open(&old, &root, NOW).unwrap().versions(), &files);
    let (_, new) = Catalogue::update(&old, &root, &update, NOW.plus(300)).unwrap();

    let place = tempfile::tempdir().unwrap();
    let mut store = FolderStore::open(place.path().join("catalogue")).unwrap();
    assert!(store.load().unwrap().is_empty());
    store.replace(&old).unwrap();
    assert_eq!(store.load().unwrap(), old);
    let before = tree(place.path());
    store.replace(&new).unwrap();
    assert_eq!(store.load().unwrap(), new);
    assert!(tree(place.path()).keys().all(|name| name.starts_with("catalogue/g2/")));

    // Killed with any number of the next generation's files written, and at the worst byte of one.
    let next: Vec<(String, Vec<u8>)> = new
        .iter()
        .map(|(name, bytes)| (format!("catalogue/next/{name}"), bytes.to_vec()))
        .collect();
    for written in 0..=next.len() {
        let place = tempfile::tempdir().unwrap();
        lay(place.path(), &before);
        lay(place.path(), &next[..written].iter().cloned().collect());
        if let Some((name, bytes)) = next.get(written) {
            lay(place.path(), &BTreeMap::from([(name.clone(), bytes[..bytes.len() / 2].to_vec())]));
        }
        let mut store = FolderStore::open(place.path().join("catalogue")).unwrap();
        assert_eq!(store.load().unwrap(), old);
        assert_eq!(tree(place.path()), before, "what was half written is cleared");
        store.replace(&new).unwrap();
        assert_eq!(store.load().unwrap(), new);
    }
    // Killed between the rename and the clearing: the new one is current, the old one goes.
    let both = tempfile::tempdir().unwrap();
    lay(both.path(), &before);
    let renamed = next.iter().map(|(name, bytes)| (name.replace("/next/", "/g2/"), bytes.clone()));
    lay(both.path(), &renamed.collect());
    let store = FolderStore::open(both.path().join("catalogue")).unwrap();
    assert_eq!(store.load().unwrap(), new);
    assert!(!both.path().join("catalogue/g1").exists());
}

#[test]
fn a_store_that_cannot_write_says_so_and_keeps_the_old_one() {
    let place = tempfile::tempdir().unwrap();
    let mut store = FolderStore::open(place.path()).unwrap();
    let old = Files([("timestamp.json".to_owned(), b"old".to_vec())].into());
    store.replace(&old).unwrap();
    for name in ["../escape", "/etc/x", "a/.hidden", "x".repeat(201).as_str()] {
        let bad = Files([(name.to_owned(), b"x".to_vec())].into());
        assert!(store.replace(&bad).is_err(), "{name}");
        assert_eq!(store.load().unwrap(), old);
    }
    // A file where the next generation's folder must be made.
    let blocked = Files([("a/b".to_owned(), vec![]), ("a".to_owned(), vec![])].into());
    assert!(store.replace(&blocked).is_err());
    assert_eq!(store.load().unwrap(), old);
}
