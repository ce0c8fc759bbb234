//! A desk goes into a file and comes back, and nothing that is not whole does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use trust::catalogue::delta;

use super::*;
use crate::catalogue::{self, tests::a_script};
use crate::home::{Held, Online, write_public};
use crate::org::Desk;
use crate::org::tests::{NOW, PASSPHRASE, set_up};

struct Room {
    desk: Desk,
    file: PathBuf,
    folder: tempfile::TempDir,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"));
    set_up(&home);
    let file = folder.path().join("desk.backup");
    Room { desk: Desk::open(home).unwrap(), file, folder }
}

impl Room {
    fn elsewhere(&self) -> Home {
        Home::new(self.folder.path().join("elsewhere"))
    }
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_desk_comes_back_with_everything_but_the_keys_of_people() {
    let room = room();
    let draft = crate::inventory::Draft { subject: "browser".into(), ..Default::default() };
    crate::inventory::open_ticket(&room.desk, draft, NOW).unwrap();
    let manifest = backup(&room.desk, &room.file, NOW).unwrap();
    assert_eq!(mode(&room.file), 0o600);
    assert_eq!(room.left(), ["desk.backup", "home"], "nothing lies beside it");
    assert_eq!(verify(&room.file).unwrap(), manifest);
    // Again over it, as every night.
    backup(&room.desk, &room.file, NOW.plus(1)).unwrap();

    let home = room.elsewhere();
    let back = restore(&home, &room.file, NOW.plus(60)).unwrap();
    assert_eq!(back.made, NOW.plus(1));
    let desk = Desk::open(home.clone()).unwrap();
    assert_eq!(desk.organisation, room.desk.organisation);
    assert_eq!(crate::inventory::find_ticket(&desk.store, "1").unwrap().1.subject, "browser");
    let versions = |home: &Home| catalogue::open(home, NOW).unwrap().versions();
    assert_eq!(versions(&home), versions(&room.desk.home));
    for online in Online::ALL {
        assert_eq!(
            read(&home.online(online)).unwrap(),
            read(&room.desk.home.online(online)).unwrap()
        );
        assert_eq!(mode(&home.online(online)), 0o600);
    }
    assert_eq!(mode(&home.database()), 0o600);
    assert_eq!(mode(home.path()), 0o700);
    home.desk_identity().unwrap();
    for held in Held::ALL {
        assert!(room.desk.home.path().join("keys").join(held.word()).exists());
        assert!(!home.path().join("keys").join(held.word()).exists(), "{}", held.word());
    }
    assert!(room.desk.home.path().join("agents").exists() && !home.path().join("agents").exists());
    let whole = fs::read(&room.file).unwrap();
    for secret in [Held::Root, Held::Admin, Held::Vetter] {
        let pem = read(&room.desk.home.held(secret, &desk.organisation.me)).unwrap();
        assert!(!whole.windows(pem.len()).any(|bytes| bytes == pem));
    }
    let told = Restored { made: NOW.plus(1), restored: NOW.plus(60) };
    assert_eq!(Restored::of(&home), Some(told));
    assert_eq!(Restored::of(&room.desk.home), None);
}

#[test]
fn what_is_cut_off_or_altered_anywhere_is_refused_and_the_home_stays_empty() {
    let room = room();
    backup(&room.desk, &room.file, NOW).unwrap();
    let whole = fs::read(&room.file).unwrap();
    let bad = room.folder.path().join("bad");
    let home = room.elsewhere();
    let refused = |bytes: &[u8]| {
        write_public(&bad, bytes).unwrap();
        let error = restore(&home, &bad, NOW).unwrap_err();
        assert!(matches!(error, BackupError::Unreadable { .. }), "{error:?}");
        assert!(!home.path().exists());
    };
    let step = whole.len() / 40;
    for cut in (0..whole.len()).step_by(step).chain([5, 20, whole.len() - 1]) {
        refused(&whole[..cut]);
    }
    for place in (0..whole.len()).step_by(step + 1) {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        refused(&altered);
    }
    refused(&[whole.as_slice(), b"x"].concat());
    write_public(&bad, &whole).unwrap();
    restore(&home, &bad, NOW).unwrap();
}

#[test]
fn nothing_is_written_outside_the_places_of_a_home() {
    let room = room();
    let whole = backup(&room.desk, &room.file, NOW).unwrap();
    for path in [
        "../x",
        "/etc/passwd",
        "agents/a.kaya/signing.pem",
        "keys/root/a.kaya.pem",
        "org/../desk.toml",
        "org/repository/../../x",
        "org/repository/.lock",
        "keys/online/other.pem",
        "desk.toml",
        "",
    ] {
        let mut manifest = whole.clone();
        let extra = Part { path: path.into(), bytes: 0, sha256: protocol::Digest::of(b"") };
        manifest.files.push(extra);
        let read = read_manifest(&mut manifest.head().unwrap().as_slice());
        assert!(matches!(read, Err(Unreadable::Damaged(_))), "{path}: {read:?}");
    }
    assert_eq!(read_manifest(&mut whole.head().unwrap().as_slice()).unwrap(), whole);
    let newer = String::from_utf8(whole.head().unwrap()).unwrap().replacen(" 1 ", " 2 ", 1);
    let read = read_manifest(&mut newer.as_bytes());
    assert!(matches!(read, Err(Unreadable::Newer { have: 2 })), "{read:?}");
}

#[test]
fn a_home_in_use_and_a_file_of_somebody_else_stay_as_they_are() {
    let room = room();
    backup(&room.desk, &room.file, NOW).unwrap();
    let error = restore(&room.desk.home, &room.file, NOW).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error:?}");
    assert!(!room.desk.home.restored_file().exists());
    let letter = room.folder.path().join("letter.txt");
    write_public(&letter, b"dear").unwrap();
    let error = backup(&room.desk, &letter, NOW).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error:?}");
    assert_eq!(fs::read(&letter).unwrap(), b"dear");
    // What an interrupted restore left is no obstacle.
    let home = room.elsewhere();
    fs::create_dir_all(home.path().join("restore.new/keys")).unwrap();
    restore(&home, &room.file, NOW).unwrap();
    assert!(!home.path().join("restore.new").exists());
}

#[test]
fn what_was_published_after_the_copy_comes_back_and_no_version_goes_back() {
    let room = room();
    let original = &room.desk.home;
    backup(&room.desk, &room.file, NOW).unwrap();
    let me = &room.desk.organisation.me;
    let vetter = original.held_key(Held::Vetter, me, PASSPHRASE).unwrap();
    catalogue::sign(original, &[a_script("net.look")], &vetter, NOW).unwrap();
    catalogue::publish(original, NOW).unwrap();
    let newer = catalogue::open(original, NOW).unwrap().versions();

    // The desk that came back has gone on by itself, with other bytes under the same versions.
    let home = room.elsewhere();
    restore(&home, &room.file, NOW).unwrap();
    let late = NOW.plus(4 * certs::DAY);
    for day in 1..=4 {
        catalogue::renew_if_old(&home, NOW.plus(day * certs::DAY + 60)).unwrap();
    }
    let base = catalogue::open(&home, late).unwrap().versions();
    assert!(base.lists().behind(&newer.lists()).is_some() && base.timestamp > newer.timestamp);
    let brought = delta(base.lists(), &catalogue::files(original).unwrap());
    let joined = catalogue::take(&home, &brought, base, late).unwrap().versions();
    assert_eq!(joined.lists(), newer.lists());
    assert!(joined.snapshot > newer.snapshot.max(base.snapshot));
    assert!(joined.timestamp > newer.timestamp.max(base.timestamp));
    // Whoever has either catalogue takes it.
    let held = catalogue::files(original).unwrap();
    let root = original.first_root().unwrap();
    let update = delta(newer, &catalogue::files(&home).unwrap());
    trust::catalogue::Catalogue::update(&held, &root, &update, late).unwrap();
    // A desk that was not put back joins nothing.
    fs::remove_file(home.restored_file()).unwrap();
    let stale = delta(newer.lists(), &held);
    assert!(catalogue::take(&home, &stale, joined, late).is_err());
}

#[test]
fn snapshot_and_timestamp_go_on_behind_what_endpoints_have_seen() {
    let room = room();
    backup(&room.desk, &room.file, NOW).unwrap();
    let home = room.elsewhere();
    restore(&home, &room.file, NOW).unwrap();
    let desk = Desk::open(home.clone()).unwrap();
    let store = desk.store.here().unwrap();
    let id = protocol::EndpointId([4; 16]);
    let new = store::NewEndpoint {
        id,
        name: "pc".parse().unwrap(),
        card: Vec::new(),
        address: None,
        person: None,
        labels: Default::default(),
        host: None,
        platform: None,
    };
    store.add_endpoint(&new, NOW).unwrap();
    let held = catalogue::open(&home, NOW).unwrap().versions();
    assert!(!catalogue::catch_up(&desk, NOW).unwrap());
    let see = |versions| {
        let epoch = protocol::Digest([9; 32]);
        let head = protocol::documents::Head { epoch, counter: 0, hash: epoch };
        let seen = store::Seen { versions, head, daemon: "0", clock: NOW, at: NOW };
        store.endpoint_seen(&id, &seen, NOW).unwrap();
    };
    let (snapshot, timestamp) = (held.snapshot + 5, held.timestamp + 9);
    see(protocol::documents::CatalogueVersions { snapshot, timestamp, ..held });
    assert!(catalogue::catch_up(&desk, NOW).unwrap());
    let now = catalogue::open(&home, NOW).unwrap().versions();
    assert_eq!((now.snapshot, now.timestamp), (snapshot + 1, timestamp + 1));
    assert_eq!(now.lists(), held.lists());
    assert!(!catalogue::catch_up(&desk, NOW).unwrap());
    // An endpoint that lies does not push the versions to their end.
    see(protocol::documents::CatalogueVersions { timestamp: u64::MAX, ..now });
    assert!(!catalogue::catch_up(&desk, NOW).unwrap());
}

/// The head of a backup, as a file of the project's vectors.
const VECTOR: &str = include_str!("../../../../tests/vectors/backup.txt");

#[test]
fn the_head_is_its_vector() {
    let part = |path: &str, bytes: &[u8]| Part {
        path: path.into(),
        bytes: bytes.len() as u64,
        sha256: protocol::Digest::of(bytes),
    };
    let manifest = Manifest {
        made: NOW,
        salve: "0.1.0".into(),
        organisation: "demo-ltd".parse().unwrap(),
        catalogue: protocol::documents::CatalogueVersions {
            root: 1,
            policy: 3,
            ..Default::default()
        },
        files: vec![
            part("desk.db", b"store"),
            part("org/organisation.toml", b"organisation"),
            part("org/repository/timestamp.json", b"{}"),
            part("keys/online/desk-tls.pem", b"key"),
        ],
    };
    let head = String::from_utf8(manifest.head().unwrap()).unwrap();
    assert_eq!(head, VECTOR, "a new vector:\n{head}");
    assert_eq!(read_manifest(&mut VECTOR.as_bytes()).unwrap(), manifest);
}
