//! Answers that are good, and answers that are not: each fault alone must be found.

use std::collections::BTreeMap;

use policy::{Initial, Person, PolicyFile, Profile};
use protocol::documents::{Card, EnrolAnswer};
use protocol::frames::encode;
use protocol::{Digest, EndpointId, Manifest, PublicKey, Risk};
use trust::Signer;
use trust::catalogue::{Lifetimes, Repository, RepositoryPlan, RoleKeys};
use trust::seal::seal;

use super::*;
use crate::state::Identity;

const NOW: Time = Time(1_795_000_000);

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(name.as_bytes()).0)
}

fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

fn person(name: &str, vetter_key: Option<PublicKey>) -> Person {
    Person {
        name: name.parse().unwrap(),
        roles: Vec::new(),
        signing_key: Some(public(name)),
        sealing_key: None,
        vetter_key,
        admin_key: None,
        valid_until: None,
        only_ticket: false,
    }
}

/// A catalogue with one script, in this folder.
fn repository(
    folder: &std::path::Path,
    vetters: RoleKeys,
    change: impl FnOnce(&mut PolicyFile),
) -> Repository {
    let mut policy = PolicyFile::initial(Initial {
        organisation: "Lab".into(),
        profile: Profile::Solo,
        people: vec![person("a.kaya", None), person("m.ruiz", Some(public("vetter")))],
        enroller_key: public("enroller"),
        ticket_key: public("ticket"),
        people_ca: vec![1],
        endpoints_ca: vec![2],
        units: Vec::new(),
    });
    change(&mut policy);
    let one = |name: &str| RoleKeys::new(1, [public(name)]);
    let plan = RepositoryPlan {
        root: one("root"),
        targets: one("admin"),
        policy: one("admin"),
        risks: Risk::ALL.into_iter().map(|risk| (risk, vetters.clone())).collect(),
        online: public("online"),
        lifetimes: Lifetimes::small(),
        policy_text: policy.write().unwrap(),
    };
    let signers = ["root", "admin", "vetter", "second vetter", "online"].map(key);
    let signers: Vec<&dyn Signer> = signers.iter().map(|k| k as &dyn Signer).collect();
    let mut repository =
        Repository::create(folder.join("repository"), plan, &signers, NOW).unwrap();
    let manifest = Manifest {
        name: "disk.look".parse().unwrap(),
        version: 1,
        title: "Look".into(),
        does: "looks".into(),
        author: "a.kaya".parse().unwrap(),
        risk: Risk::Low,
        consent: protocol::Consent::None,
        question: None,
        platforms: vec!["linux".into()],
        runs_on: protocol::RunsOn::Endpoint,
        limit_seconds: 60,
        parameters: BTreeMap::new(),
        permissions: BTreeMap::new(),
        words: Vec::new(),
    };
    repository.add_script(b"// look\n", &manifest, &signers, NOW).unwrap();
    repository
}

/// A desk that answers one token for one set of keys.
struct Desk {
    files: Files,
    token: Token<NamePatterns>,
    keys: pending::Keys,
    card: Card,
    certificate: Vec<u8>,
    issued: Time,
    enroller: SigningKey,
    desks: Option<Vec<String>>,
}

impl Desk {
    fn new() -> Self {
        Self::denying(Vec::new())
    }
    fn denying(keys: Vec<PublicKey>) -> Self {
        Self::of(RoleKeys::new(1, [public("vetter")]), |policy| policy.denied.keys = keys)
    }
    /// One whose scripts these people vet, with a policy that was changed so.
    fn of(vetters: RoleKeys, change: impl FnOnce(&mut PolicyFile)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path(), vetters, change);
        let root = repository.first_root().unwrap();
        let keys = pending::Keys {
            tls: key("tls"),
            record: key("record"),
            sealing: SealingSecret::from_seed([5; 32]),
        };
        let card = Card {
            endpoint: EndpointId([4; 16]),
            name: "lt-4411".parse().unwrap(),
            tls_key: Digest::of(&spki(&keys.tls.public_key())),
            record_key: keys.record.public_key(),
            sealing_key: keys.sealing.public().unwrap(),
            labels: BTreeMap::new(),
            serial: 1,
            issued: NOW,
            not_after: NOW.plus(86_400),
        };
        let mut certificate = vec![0x30, 0x82];
        certificate.extend(spki(&keys.tls.public_key()));
        let token = Token {
            name: "lt-4411".parse().unwrap(),
            desk: "127.0.0.1:1".into(),
            root: Digest::of(&root),
            desk_key: Digest([0; 32]),
            secret: Bytes(vec![9; 16]),
        };
        let files = repository.files().unwrap();
        let (issued, enroller) = (NOW, key("enroller"));
        Self { files, token, keys, card, certificate, issued, enroller, desks: None }
    }

    fn answer(&self) -> Result<answer::Proven, Untrusted> {
        let answer = EnrolAnswer {
            card: seal(&self.card, &[&self.enroller]).unwrap(),
            certificates: vec![Bytes(self.certificate.clone())],
            organisation: "Lab".into(),
            issued: self.issued,
            desks: self.desks.clone(),
        };
        let json = protocol::json::write(&answer).unwrap();
        let name = self.token.name.exact().unwrap();
        answer::read(&self.token, &name, &self.keys, self.files.clone(), &json, NOW)
    }

    fn fault(change: impl FnOnce(&mut Self)) -> String {
        let mut desk = Self::new();
        change(&mut desk);
        desk.answer().unwrap_err().to_string()
    }
}

#[test]
fn a_good_answer_proves_itself() {
    let proven = Desk::new().answer().unwrap();
    assert_eq!(proven.certificates.len(), 1);
}

#[test]
fn the_desks_to_dial_are_the_one_that_answered_or_those_it_names() {
    let desks = |desks: Option<Vec<String>>| {
        let mut desk = Desk::new();
        desk.desks = desks;
        desk.answer().map(|proven| proven.desks)
    };
    assert!(desks(None).unwrap().is_empty());
    assert_eq!(desks(Some(Vec::new())).unwrap(), ["127.0.0.1:1"]);
    let two = vec!["desk.example:7435".to_owned(), "[fd00::9]:7435".to_owned()];
    assert_eq!(desks(Some(two.clone())).unwrap(), two);
    for bad in [vec!["desk".to_owned()], vec!["a b:1".to_owned()], vec!["h:1".to_owned(); 5]] {
        assert!(matches!(desks(Some(bad)), Err(Untrusted::Desks)));
    }
}

#[test]
fn what_the_desk_named_is_dialled_unless_the_file_names_another() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    let mut desk = Desk::new();
    desk.desks = Some(Vec::new());
    let answer = desk.answer().unwrap();
    Pending::new(&desk.token, &desk.keys, answer).finish(&layout, NOW).unwrap();
    let file = folder.path().join("salved.toml");
    let write = |more: &str| {
        let state = layout.root().display();
        crate::state::write(&file, format!("state = \"{state}\"\n{more}").as_bytes()).unwrap();
        crate::config::load(Some(&file)).unwrap().desks
    };
    assert_eq!(write(""), ["127.0.0.1:1"]);
    assert_eq!(write("desk = \"other:9\"\n"), ["other:9"]);
    // Enrolled anew at a console's own door: nobody is dialled any more.
    let desk = Desk::new();
    Pending::new(&desk.token, &desk.keys, desk.answer().unwrap()).finish(&layout, NOW).unwrap();
    assert!(write("").is_empty());
}

#[test]
fn an_image_keeps_nothing_but_a_line_for_many() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    let mut desk = Desk::new();
    assert!(matches!(prepare(&layout, &desk.token), Err(ImageError::One)));
    desk.token.name = "lt-*".parse().unwrap();
    // What an enrolment that was cut leaves behind goes; the account of one that was left does not.
    crate::state::make(&layout).unwrap();
    crate::state::write(&layout.enrolling(), b"{}").unwrap();
    let account = layout.root().join("left-pc-1");
    crate::state::make_folder(&account).unwrap();
    let kept = prepare(&layout, &desk.token);
    assert!(matches!(kept, Err(ImageError::Account(path)) if path == account));
    assert!(account.exists() && layout.enrolling().exists(), "nothing was removed");
    std::fs::remove_dir(&account).unwrap();
    prepare(&layout, &desk.token).unwrap();
    let left: Vec<_> = std::fs::read_dir(layout.root()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(first_start(&layout).unwrap().as_ref(), Some(&desk.token));
    // A copy asks until it is admitted, and then never again.
    let refusals = [EnrolError::Held("lt-1".parse().unwrap()), EnrolError::Answer(None)];
    let mut answers = refusals.map(Err).into_iter().chain([Ok("lt-1".parse().unwrap())]);
    let mut waits = 0;
    let mut join = || answers.next().unwrap();
    join_at_first_start(&layout, &mut join, &mut |_| waits += 1).unwrap();
    assert_eq!((waits, first_start(&layout).unwrap()), (2, None));
    let mut refused = || Err(EnrolError::Refused(Stop::Token));
    assert!(join_at_first_start(&layout, &mut refused, &mut |_| {}).is_err());
    // And an enrolled machine is no image.
    desk.token.name = "lt-4411".parse().unwrap();
    let answer = desk.answer().unwrap();
    Pending::new(&desk.token, &desk.keys, answer).finish(&layout, NOW).unwrap();
    desk.token.name = "lt-*".parse().unwrap();
    assert!(
        matches!(prepare(&layout, &desk.token), Err(ImageError::Enrolled(name)) if name == "lt-4411")
    );
}

#[test]
fn a_line_for_many_is_for_machines_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::new();
    desk.token.name = "lt-*".parse().unwrap();
    let config = Config { state: folder.path().join("state"), ..Config::default() };
    let host = "MAIL.example.org".to_owned();
    let wish = Wish { config: &config, token: &desk.token, now: NOW, host };
    let error = enrol(&wish).unwrap_err();
    assert!(error.to_string().contains("`MAIL.example.org`"), "{error}");
    assert!(error.to_string().contains("lt-*"), "{error}");
    assert!(!config.state.exists(), "nothing was made, and nobody was asked");
}

#[test]
fn each_fault_of_an_answer_is_found() {
    fn fault(change: impl FnOnce(&mut Desk)) -> String {
        Desk::fault(change)
    }
    assert!(fault(|d| d.token.root = Digest([1; 32])).contains("its root"));
    assert!(fault(|d| d.files = Files::new()).contains("its root"));
    let flipped = fault(|d| {
        let bytes = d.files.get("timestamp.json").unwrap().to_vec();
        let text = String::from_utf8(bytes).unwrap().replace("\"version\":2", "\"version\":7");
        d.files.insert("timestamp.json", text.into_bytes());
    });
    assert!(flipped.contains("its catalogue"), "{flipped}");
    assert!(fault(|d| d.enroller = key("somebody")).contains("no enroller"));
    let denied = |name| Desk::denying(vec![key(name).public_key()]).answer().unwrap_err();
    assert!(denied("enroller").to_string().contains("no enroller"));
    let admin = denied("admin");
    let Untrusted::Catalogue(why) = &admin else { panic!("{admin:?}") };
    assert_eq!(why.code(), "withdrawn");
    assert!(fault(|d| d.card.name = "lt-1".parse().unwrap()).contains("its name"));
    assert!(fault(|d| d.card.tls_key = Digest([1; 32])).contains("its TLS key"));
    assert!(fault(|d| d.card.record_key = key("x").public_key()).contains("its record key"));
    let other = SealingSecret::from_seed([6; 32]).public().unwrap();
    assert!(fault(|d| d.card.sealing_key = other).contains("its sealing key"));
    assert!(fault(|d| d.card.not_after = NOW).contains("ended already"));
    let label: protocol::Label = "group".parse().unwrap();
    let given = fault(|d| {
        let unheard = "never-allowed".parse().unwrap();
        d.card.labels.insert(unheard, label);
    });
    assert!(given.contains("a label"), "{given}");
    assert!(fault(|d| d.certificate.truncate(20)).contains("certificate"));
}

/// E8: keys are not people, and a machine that joins counts for itself.
#[test]
fn a_catalogue_whose_vetters_are_fewer_people_than_keys_is_not_joined() {
    let answer = |threshold, change: fn(&mut PolicyFile)| {
        let both = ["vetter", "second vetter"].map(public);
        Desk::of(RoleKeys::new(threshold, both), change).answer()
    };
    let two = |policy: &mut PolicyFile| {
        policy.people.push(person("t.new", Some(public("second vetter"))));
    };
    assert!(answer(2, two).is_ok());
    let refused = |threshold, change| {
        let error = answer(threshold, change).unwrap_err();
        let Untrusted::Catalogue(why) = &error else { panic!("{error:?}") };
        assert_eq!(why.code(), "people");
        why.to_string()
    };
    for threshold in [1, 2] {
        let one = |policy: &mut PolicyFile| {
            policy.people[1].admin_key = Some(public("second vetter"));
        };
        let why = refused(threshold, one);
        assert!(why.contains("two keys of m.ruiz"), "{why}");
    }
    let why = refused(2, |_| {});
    assert!(why.contains("was vetted by 1 people, 2 are needed"), "{why}");
}

#[test]
fn clocks_that_differ_are_named() {
    let mut desk = Desk::new();
    desk.issued = NOW;
    let answer = EnrolAnswer {
        card: seal(&desk.card, &[&desk.enroller]).unwrap(),
        certificates: vec![Bytes(desk.certificate.clone())],
        organisation: "Lab".into(),
        issued: desk.issued,
        desks: None,
    };
    let json = protocol::json::write(&answer).unwrap();
    // A battery died: here it is years later, and everything has expired.
    let here = NOW.plus(5 * 365 * 86_400);
    let read = answer::read(&desk.token, &desk.card.name, &desk.keys, desk.files, &json, here);
    assert!(matches!(read.unwrap_err(), Untrusted::Clock { .. }));
}

#[test]
fn an_interrupted_enrolment_is_finished_by_the_same_line() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    let desk = Desk::new();
    let pending = Pending::new(&desk.token, &desk.keys, desk.answer().unwrap());
    crate::state::make(&layout).unwrap();
    pending.write(&layout).unwrap();
    assert!(!layout.is_enrolled());
    // Cut here; the same line goes on without a gate, a desk or the token's life.
    let config = Config { state: layout.root().to_owned(), ..Config::default() };
    let wish = Wish { config: &config, token: &desk.token, now: NOW, host: "x".into() };
    assert_eq!(enrol(&wish).unwrap(), desk.card.name);
    let identity = Identity::load(&layout).unwrap();
    assert_eq!(identity.card, desk.card);
    assert!(!layout.enrolling().exists());
    // Again: it is enrolled, and nothing is made anew.
    assert!(matches!(enrol(&wish), Err(EnrolError::Already(_))));
}

#[test]
fn a_line_asks_again_with_the_keys_that_it_asked_with() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    crate::state::make(&layout).unwrap();
    let desk = Desk::new();
    let ask = |token: &Token<NamePatterns>| {
        let keys = pending::Keys::for_token(&layout, token).unwrap();
        let sealing = keys.sealing.public().unwrap();
        (keys.tls.public_key(), keys.record.public_key(), sealing)
    };
    let first = ask(&desk.token);
    assert_eq!(ask(&desk.token), first, "the same machine");
    // Another line is another request, also where what was kept is damaged.
    let other = Token { secret: Bytes(vec![8; 16]), ..desk.token.clone() };
    let second = ask(&other);
    assert!(second.0 != first.0 && second.1 != first.1 && second.2 != first.2);
    crate::state::write(&layout.asking(), b"{").unwrap();
    assert!(ask(&other) != second);
    // Nothing of it outlives the enrolment.
    Pending::new(&desk.token, &desk.keys, desk.answer().unwrap()).finish(&layout, NOW).unwrap();
    assert!(!layout.asking().exists());
}

#[test]
fn leaving_destroys_the_keys_and_archives_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    let desk = Desk::new();
    let pending = Pending::new(&desk.token, &desk.keys, desk.answer().unwrap());
    pending.finish(&layout, NOW).unwrap();
    {
        let _daemon = crate::ledger::FolderDisk::open(&layout.ledger()).unwrap();
        assert!(matches!(leave(&layout, NOW), Err(LeaveError::Running)));
        assert!(layout.is_enrolled());
    }
    let left = leave(&layout, NOW).unwrap();
    assert!(!layout.is_enrolled());
    assert_eq!(std::fs::read_dir(layout.root().join("keys")).unwrap().count(), 0);
    assert!(left.archive.join("ledger").exists() && left.archive.join("card.json").exists());
    // It may belong to somebody again, and then begins anew.
    pending.finish(&layout, NOW).unwrap();
    assert!(Identity::load(&layout).is_ok());
}

#[test]
fn a_folder_whose_parts_are_of_two_endpoints_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("state"));
    let desk = Desk::new();
    let proven = desk.answer().unwrap();
    Pending::new(&desk.token, &desk.keys, proven).finish(&layout, NOW).unwrap();
    let other = key("other").to_pem();
    crate::state::write(&layout.key(crate::state::KeyName::Record), other.as_bytes()).unwrap();
    let error = Identity::load(&layout).unwrap_err().to_string();
    assert!(error.contains("another record key"), "{error}");
}

#[test]
fn frames_are_gathered_in_order_and_within_limits() {
    let frame = |frame: &EnrolFrame| encode(frame, 1 << 20).unwrap().split_off(4);
    let part = |name: &str, bytes: usize, last| {
        let name = name.to_owned();
        frame(&EnrolFrame::CatalogueFile { name, part: Bytes(vec![7; bytes]), last })
    };
    let gather = |frames: &[Vec<u8>]| {
        let mut gathered = Gathered::default();
        frames.iter().for_each(|bytes| gathered.take(bytes));
        gathered
    };
    let json = frame(&EnrolFrame::Answer { json: Bytes(b"{}".to_vec()) });
    let wait = frame(&EnrolFrame::Wait);
    let good = gather(&[wait, part("a", 3, false), part("a", 2, true), json.clone()]);
    assert!(good.fault.is_none() && good.json.is_some());
    assert_eq!(good.files.get("a"), Some([7u8; 5].as_slice()));
    let bad: [&[Vec<u8>]; 6] = [
        &[part("a", 1, false), part("b", 1, true)],
        &[part("a", 1, false), json.clone()],
        &[part("a", 1, true), part("a", 1, true)],
        &[json.clone(), part("a", 1, true)],
        &[vec![0xff]],
        &[frame(&EnrolFrame::Refused { stop: Stop::Token })],
    ];
    for frames in bad {
        assert!(gather(frames).fault.is_some());
    }
    let many: Vec<Vec<u8>> = (0..40).map(|_| part("a", 128 * 1024, false)).collect();
    assert!(matches!(gather(&many).fault, Some(EnrolError::TooMuch)));
}
