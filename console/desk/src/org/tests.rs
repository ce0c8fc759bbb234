//! A set-up is whole or goes on; keys are private and other people's tools read them.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use policy::Profile;
use protocol::Time;
use trust::Signer as _;
use zeroize::Zeroizing;

use super::*;
use crate::catalogue;
use crate::home::{Held, Home, Online};

pub(crate) const NOW: Time = Time(1_795_000_000);
pub(crate) const PASSPHRASE: &str = "correct horse battery";

pub(crate) fn founding() -> Founding {
    Founding {
        name: "Demo Ltd".to_owned(),
        profile: Profile::Solo,
        me: "a.kaya".parse().unwrap(),
        passphrase: Zeroizing::new(PASSPHRASE.to_owned()),
        others: Vec::new(),
        units: vec!["nginx.service".to_owned()],
        scripts: vec![crate::catalogue::tests::a_script("disk.look")],
    }
}

pub(crate) fn set_up(home: &Home) -> Ready {
    init(home, &founding(), NOW, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// A home without scripts.
pub(crate) fn bare(home: &Home) -> protocol::AgentName {
    let asked = Founding { scripts: Vec::new(), ..founding() };
    init(home, &asked, NOW, &mut |_| ControlFlow::Continue(())).unwrap().organisation.me
}

fn all_files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        out.push(path.clone());
        if path.is_dir() {
            all_files(&path, out);
        }
    }
}

#[test]
fn a_new_organisation_has_a_catalogue_that_endpoints_take_and_says_what_is_weak() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let ready = set_up(&home);
    assert_eq!(ready.organisation.id.as_str(), "demo-ltd");
    assert!(!ready.resumed);
    assert!(ready.weaknesses.iter().any(|w| w.contains("need one signature of 1")));
    let policy = catalogue::policy(&home, NOW).unwrap();
    assert_eq!(policy.organisation(), "demo-ltd");
    let me = policy.person(&ready.organisation.me).unwrap();
    let signing = home.agent_signing_key(&ready.organisation.me, None).unwrap();
    assert_eq!(me.signing_key, Some(signing.public_key()));
    let vetter = home.held_key(Held::Vetter, &ready.organisation.me, PASSPHRASE).unwrap();
    assert_eq!(me.vetter_key, Some(vetter.public_key()));
    let files = catalogue::files(&home).unwrap();
    let none = trust::catalogue::Files::new();
    let root = home.first_root().unwrap();
    let (taken, _) = trust::catalogue::Catalogue::update(&none, &root, &files, NOW).unwrap();
    let person_of = |key: &protocol::PublicKey| policy.person_of(key).map(|p| p.name.clone());
    taken.check_people(&person_of).unwrap();
    let desk = Desk::open(home).unwrap();
    assert!(desk.store.endpoints().unwrap().is_empty());
}

#[test]
fn an_init_interrupted_at_any_step_is_completed_by_the_same_command() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let mut held: Vec<(std::path::PathBuf, Vec<u8>)> = Vec::new();
    for stop in Step::ALL {
        let mut seen = Vec::new();
        let stopped = init(&home, &founding(), NOW, &mut |step| {
            seen.push(step);
            if step == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(InitError::Stopped(at)) if at == stop), "{stopped:?}");
        assert_eq!(seen.last(), Some(&stop));
        if stop != Step::Ready {
            assert!(matches!(Desk::open(home.clone()), Err(OpenError::Interrupted { .. })));
        }
        for (path, bytes) in &held {
            assert_eq!(std::fs::read(path).unwrap(), *bytes, "{stop:?} replaced {path:?}");
        }
        let mut files = Vec::new();
        all_files(home.path(), &mut files);
        let kept = |path: &Path| path.extension().is_some_and(|end| end == "pem" || end == "crt");
        files.retain(|path| kept(path));
        held = files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    }
    assert!(held.len() >= 15, "{held:?}");
    assert!(set_up(&home).resumed);
    assert!(!home.init_marker().exists());
    let catalogue = catalogue::open(&home, NOW).unwrap();
    assert_eq!(catalogue.scripts().count(), 1);
    Desk::open(home).unwrap();
}

#[test]
fn a_home_is_initialised_once_and_an_interrupted_one_for_one_organisation() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let go = &mut |_| ControlFlow::Continue(());
    let stop = &mut |_| ControlFlow::Break(());
    init(&home, &founding(), NOW, stop).unwrap_err();
    let other = Founding { name: "Other".to_owned(), ..founding() };
    let refused = init(&home, &other, NOW, go).unwrap_err();
    assert!(matches!(&refused, InitError::Other { name, .. } if name == "Demo Ltd"), "{refused}");
    set_up(&home);
    let again = init(&home, &founding(), NOW, go).unwrap_err();
    assert!(matches!(&again, InitError::AlreadyReady { name, .. } if name == "Demo Ltd"));
}

#[test]
fn a_rerun_with_another_passphrase_stops_before_it_changes_anything() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    init(&home, &founding(), NOW, &mut |step| match step {
        Step::HeldKeys => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap_err();
    let other = Founding { passphrase: Zeroizing::new("another one".to_owned()), ..founding() };
    let wrong = init(&home, &other, NOW, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(&wrong, InitError::Home(e) if e.is_passphrase()), "{wrong}");
    assert!(!home.online(Online::Enroller).exists());
}

#[test]
fn profiles_that_separate_duties_need_more_than_one_person() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    for profile in [Profile::Small, Profile::Regulated] {
        let asked = Founding { profile, ..founding() };
        let refused = init(&home, &asked, NOW, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(refused, InitError::NeedsMorePeople(_)));
    }
    assert!(!home.path().exists());
}

#[test]
fn nobody_else_can_read_the_home() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    set_up(&home);
    let mut files = vec![home.path().to_owned()];
    all_files(home.path(), &mut files);
    for path in files {
        let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        let name = path.to_string_lossy().into_owned();
        if name.ends_with(".pem") || name.ends_with(".db") || name.contains("init.toml") {
            assert_eq!(mode, 0o600, "{name}");
        }
        if path.is_dir() && !name.contains("org/repository") {
            assert_eq!(mode, 0o700, "{name}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test asks OpenSSL what it reads")]
fn openssl(path: &Path, passphrase: Option<&str>) -> bool {
    let mut command = Command::new("openssl");
    command.args(["pkey", "-noout", "-in"]).arg(path);
    if let Some(passphrase) = passphrase {
        command.args(["-passin", &format!("pass:{passphrase}")]);
    }
    command.stderr(std::process::Stdio::null()).status().unwrap().success()
}

#[test]
fn openssl_reads_the_keys_with_the_passphrase_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let me = set_up(&home).organisation.me;
    for key in Held::ALL {
        let path = home.held(key, &me);
        assert!(openssl(&path, Some(PASSPHRASE)), "{key:?}");
        assert!(!openssl(&path, Some("wrong")), "{key:?}");
    }
    for key in Online::ALL {
        assert!(openssl(&home.online(key), None), "{key:?}");
    }
}

#[test]
fn old_timestamps_are_renewed_by_whoever_comes_and_others_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    set_up(&home);
    let day = certs::DAY;
    assert!(!catalogue::renew_if_old(&home, NOW.plus(day / 2)).unwrap());
    let before = catalogue::open(&home, NOW).unwrap().versions();
    assert!(catalogue::renew_if_old(&home, NOW.plus(day + 1)).unwrap());
    let after = catalogue::open(&home, NOW).unwrap();
    assert!(after.versions().timestamp > before.timestamp);
    assert_eq!(after.issued(), NOW.plus(day + 1));
    assert!(!catalogue::renew_if_old(&home, NOW.plus(day + 2)).unwrap());
    std::fs::remove_file(home.online(Online::SnapshotTimestamp)).unwrap();
    assert!(!catalogue::renew_if_old(&home, NOW.plus(9 * day)).unwrap());
}

#[test]
fn a_desk_that_looks_every_hour_may_be_away_for_four_days_from_any_hour() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    set_up(&home);
    let mut renewed = 0;
    for hour in 0..60 {
        let now = NOW.plus(hour * 3600);
        renewed += usize::from(catalogue::renew_if_old(&home, now).unwrap());
        let gone = now.plus(4 * certs::DAY);
        assert_eq!(catalogue::open(&home, now).unwrap().expired(gone), None, "hour {hour}");
    }
    assert_eq!(renewed, 2, "once a day");
}

#[test]
fn certificates_are_renewed_near_their_end_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let me = set_up(&home).organisation.me;
    let end = || {
        let pem = crate::home::read_text(&home.agent_certificate(&me)).unwrap();
        certs::read(&certs::from_pem(&pem).unwrap()[0]).unwrap().not_after
    };
    // The desk's has a name of its own, is signed by the people's CA and lives longer.
    let desk = || certs::read(&home.desk_identity().unwrap().certificates[0]).unwrap();
    assert_eq!(desk().uris, ["salve://demo-ltd/desk/desk"]);
    let (first, first_of_desk) = (end(), desk().not_after);
    renew_certificates(&home, &me, NOW.plus(certs::DAY)).unwrap();
    assert_eq!(end(), first);
    let late = NOW.plus(25 * certs::DAY);
    renew_certificates(&home, &me, late).unwrap();
    assert_eq!(end(), late.plus(certs::AGENT_DAYS * certs::DAY));
    assert_eq!(desk().not_after, first_of_desk);
    let later = NOW.plus(61 * certs::DAY);
    renew_certificates(&home, &me, later).unwrap();
    assert_eq!(desk().not_after, later.plus(certs::DESK_DAYS * certs::DAY));
    // The desk's alone, as the running desk does it.
    let agents = end();
    assert!(!renew_desk_certificate(&home, later).unwrap());
    assert!(renew_desk_certificate(&home, later.plus(61 * certs::DAY)).unwrap());
    assert_eq!(end(), agents);
}

/// A shared desk that gives this answer to everything.
#[derive(Debug, Clone)]
struct Says(protocol::frames::DeskAnswer);

impl crate::books::Ask for Says {
    fn desk(&self) -> &str {
        "desk.example:7435"
    }
    fn ask(
        &self,
        _: Vec<protocol::frames::DeskAsk>,
    ) -> Result<Vec<protocol::frames::DeskAnswer>, crate::books::LineFault> {
        Ok(vec![self.0.clone()])
    }
}

#[test]
fn a_colleagues_certificate_is_taken_from_the_desk_when_it_is_due_and_only_its_own() {
    use protocol::frames::DeskAnswer;
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let me = set_up(&home).organisation.me;
    let policy = catalogue::policy(&home, NOW).unwrap();
    let at = NOW.plus(25 * certs::DAY);
    let spki = certs::spki_of(&home.agent_tls_key(&me).unwrap().public_key());
    let issued = |spki: &[u8], name: &str, days: u64| {
        let (begin, end) = (not_before(at), at.plus(days * certs::DAY));
        let ca = home.ca(certs::Kind::People).unwrap();
        ca.issue_agent(spki, &name.parse().unwrap(), [7; 16], begin, end).unwrap()
    };
    let stranger = trust::SigningKey::from_seed([9; 32]);
    let forged = {
        let (begin, end) = (not_before(at), at.plus(30 * certs::DAY));
        let (kind, key) = (certs::Kind::People, stranger.pkcs8_der());
        let ca = certs::Ca::create(kind, "demo-ltd", &key, [3; 16], begin, end).unwrap();
        ca.issue_agent(&spki, &me, [7; 16], begin, end).unwrap()
    };
    let good = issued(&spki, me.as_str(), 30);
    let kept = || home.agent_identity(&me).unwrap().certificates.remove(0);
    let before = kept();
    let ask = |answer: DeskAnswer, now| {
        let mut desk = Desk::open(home.clone()).unwrap();
        desk.store = crate::books::Books::There(crate::books::Line::new(Says(answer)));
        agent_certificate_by_desk(&desk, &policy, now).unwrap();
    };
    let renewed = |leaf: &[u8]| DeskAnswer::Renewed { leaf: Some(leaf.to_vec().into()) };
    let other = certs::spki_of(&stranger.public_key());
    for answer in [
        renewed(&forged),
        renewed(&issued(&other, me.as_str(), 30)),
        renewed(&issued(&spki, "m.ruiz", 30)),
        renewed(&issued(&spki, me.as_str(), 5)),
        renewed(b"no certificate"),
        renewed(&[0; 5000]),
        DeskAnswer::Renewed { leaf: None },
        DeskAnswer::Recalled { was_running: false },
    ] {
        ask(answer, at);
        assert!(kept() == before, "something else was taken");
    }
    ask(renewed(&good), NOW);
    assert!(kept() == before, "it was not due");
    ask(renewed(&good), at);
    assert!(kept() == good);
}
