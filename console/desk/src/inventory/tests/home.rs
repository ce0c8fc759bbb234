use protocol::documents::{CatalogueVersions, Head, SealedSecret};
use protocol::{Digest, EndpointId, Mode, OrderId, RunId, Time};
use store::{NewEndpoint, NewOrder, NewRecord, Seen};

use crate::catalogue;
use crate::home::{Held, Home};
use crate::inventory::*;
use crate::org::Desk;
use crate::org::tests::{NOW, bare};
use crate::verify::fixture::{self, Fixture, bytes};

struct Room {
    desk: Desk,
    _folder: tempfile::TempDir,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"));
    bare(&home);
    Room { desk: Desk::open(home).unwrap(), _folder: folder }
}

const ENDPOINT: EndpointId = EndpointId([1; 16]);

fn enrol(desk: &Desk) {
    let new = NewEndpoint {
        id: ENDPOINT,
        name: "lt-4411".parse().unwrap(),
        card: Vec::new(),
        address: None,
        person: None,
        labels: std::collections::BTreeMap::new(),
        host: None,
        platform: None,
    };
    desk.store.add_endpoint(new, NOW).unwrap();
}

fn order(desk: &Desk, agent: &str) -> (RunId, Digest) {
    let digest = Digest([7; 32]);
    let new = NewOrder {
        digest,
        id: OrderId([7; 16]),
        script: "user.password.reset".parse().unwrap(),
        version: 1,
        mode: Mode::Fix,
        agent: agent.parse().unwrap(),
        ticket: Some("1".parse().unwrap()),
        envelope: b"",
        support: None,
        targets: &[ENDPOINT],
        note_key: Some("0000000000000000000000000a:note"),
        glass: None,
        file_key: None,
    };
    (desk.store.here().unwrap().add_order(&new, NOW).unwrap()[0], digest)
}

/// Files a run with a secret sealed to the home's agent.
fn with_secret(desk: &Desk, agent: &str) -> RunId {
    with_secret_named(desk, agent, Digest::of)
}

/// The same; `named` is what the record says of the sealed bytes.
fn with_secret_named(desk: &Desk, agent: &str, named: fn(&[u8]) -> Digest) -> RunId {
    let (run, order) = order(desk, agent);
    let me = &desk.organisation.me;
    let key = desk.home.agent_sealing_secret(me).unwrap().public().unwrap();
    let info = trust::secret::info(&order, &agent.parse().unwrap(), &ENDPOINT);
    let sealed =
        trust::secret::seal_to(&key, &info, b"one-time-word", crate::chance::fresh().unwrap());
    let sealed = protocol::json::write(&sealed.unwrap()).unwrap();
    let f = Fixture::default();
    let mut record = f.record(&f.order());
    let named = SealedSecret { handle: 1, sealed: named(&sealed), not_after: NOW.plus(3600) };
    record.predicate.secrets = vec![named];
    let record = bytes(&fixture::sealed(&record, &f.endpoint));
    let new = NewRecord {
        run,
        order,
        endpoint: ENDPOINT,
        outcome: None,
        ended: None,
        envelope: &record,
        hash: Digest::of(&record),
        place: None,
        effects: None,
        plan: None,
        dispatch: None,
        card: None,
        unverified: Some("no card"),
        escrow: Some((&sealed, NOW.plus(3600))),
        reply: None,
    };
    desk.store.here().unwrap().file_record(&new, NOW).unwrap();
    run
}

#[test]
fn a_secret_opens_once_for_its_receiver_and_in_time() {
    let room = room();
    enrol(&room.desk);
    let run = with_secret(&room.desk, "a.kaya");
    let late = open_secret(&room.desk, &run, NOW.plus(3600));
    assert!(matches!(late, Err(SecretError::Ended(_))), "{late:?}");
    let opened = open_secret(&room.desk, &run, NOW.plus(60)).unwrap();
    assert_eq!(opened.clear.as_slice(), b"one-time-word");
    // It hides in every debug print.
    assert!(!format!("{opened:?}").contains("one-time-word"));
    let again = open_secret(&room.desk, &run, NOW.plus(61)).unwrap_err();
    assert!(matches!(again, SecretError::Opened(at) if at == NOW.plus(60)));
    let other = open_secret(&room.desk, &RunId([9; 16]), NOW).unwrap_err();
    assert!(matches!(other, SecretError::None(_)));
}

#[test]
fn a_colleagues_secret_is_not_ours_and_stays_unopened() {
    let room = room();
    enrol(&room.desk);
    let run = with_secret(&room.desk, "m.ruiz");
    let refused = open_secret(&room.desk, &run, NOW).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this secret is sealed for m.ruiz: only their console can open it"
    );
    assert_eq!(room.desk.store.escrow(run).unwrap().unwrap().opened_at, None);
}

#[test]
fn a_secret_that_the_record_does_not_name_is_not_opened() {
    let room = room();
    enrol(&room.desk);
    let run = with_secret_named(&room.desk, "a.kaya", |_| Digest::of(b"other bytes"));
    let swapped = open_secret(&room.desk, &run, NOW).unwrap_err();
    assert!(matches!(swapped, SecretError::NotNamed(_)), "{swapped:?}");
    assert_eq!(room.desk.store.escrow(run).unwrap().unwrap().opened_at, None);
}

#[test]
fn a_secret_that_does_not_open_is_not_spent() {
    let room = room();
    enrol(&room.desk);
    let run = with_secret(&room.desk, "a.kaya");
    let path = room.desk.home.agent_sealing(&room.desk.organisation.me);
    let other = trust::SealingSecret::from_seed([5; 32]).to_pem();
    crate::home::write_secret(&path, other.as_bytes()).unwrap();
    let failed = open_secret(&room.desk, &run, NOW).unwrap_err();
    assert!(matches!(failed, SecretError::Seal(_)), "{failed:?}");
    assert_eq!(room.desk.store.escrow(run).unwrap().unwrap().opened_at, None);
}

#[test]
fn a_fresh_home_is_told_of_its_root_key_and_of_nothing_else() {
    let room = room();
    let state = status(&room.desk, NOW).unwrap();
    assert_eq!(state.needs_person.len(), 1, "{:?}", state.needs_person);
    assert!(state.needs_person[0].starts_with("a root key lies on this desk"));
    assert!(state.weaknesses.iter().any(|w| w.contains("one signature of 1")));
    let kinds: Vec<&str> = state.keys.iter().map(|k| k.kind.as_str()).collect();
    for kind in ["root", "admin", "vetter", "online", "agent"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let held = |k: &&KeyPlace| Held::ALL.iter().any(|h| h.word() == k.kind);
    assert!(state.keys.iter().filter(held).all(|key| key.encrypted));
    let what: Vec<&str> = state.endings.iter().map(|e| e.what.as_str()).collect();
    for wanted in ["catalogue role timestamp", "catalogue role root", "your certificate"] {
        assert!(what.contains(&wanted), "{what:?}");
    }
    assert!(state.endings.is_sorted_by_key(|e| e.ends));
    // Moved away, nothing is left to say.
    let root = room.desk.home.held(Held::Root, &room.desk.organisation.me);
    crate::home::remove(&root).unwrap();
    assert!(status(&room.desk, NOW).unwrap().needs_person.is_empty());
}

#[test]
fn what_ends_soon_is_told_before_it_ends() {
    let room = room();
    let day = 86_400;
    let told = |days: u64| status(&room.desk, NOW.plus(days * day)).unwrap().needs_person;
    assert!(!told(60).iter().any(|n| n.contains("policy")), "{:?}", told(60));
    assert!(told(80).iter().any(|n| n.starts_with("catalogue role policy ends 20")));
    assert!(told(95).iter().any(|n| n.starts_with("catalogue role policy ended 20")));
}

#[test]
fn endpoints_behind_and_away_and_notes_not_delivered_are_listed() {
    let room = room();
    let desk = &room.desk;
    enrol(desk);
    let ours = catalogue::open(&desk.home, NOW).unwrap().versions();
    let see = |versions| {
        let head = Head { epoch: Digest([1; 32]), counter: 0, hash: Digest([1; 32]) };
        desk.store
            .here()
            .unwrap()
            .endpoint_seen(
                &ENDPOINT,
                &Seen { versions, head, daemon: "0.1.0", clock: NOW, at: NOW },
                NOW,
            )
            .unwrap();
    };
    see(ours);
    assert!(status(desk, NOW).unwrap().behind.is_empty());
    see(CatalogueVersions { policy: 0, ..ours });
    let state = status(desk, NOW).unwrap();
    assert_eq!(state.behind[0].role, "policy");
    assert!(state.stale.is_empty());
    let later = Time(NOW.0 + 31 * 86_400);
    assert_eq!(status(desk, later).unwrap().stale.len(), 1);

    let (run, _) = order(desk, "a.kaya");
    let state = status(desk, NOW).unwrap();
    assert_eq!(state.unanswered, [run]);
    assert_eq!(state.undelivered[0].state, OutboxState::Waiting);
    // Waiting is no reason to worry; a try that failed is.
    assert!(!state.needs_person.iter().any(|n| n.contains("delivered")));
}

#[test]
fn a_ticket_typed_twice_is_two_tickets_and_mine() {
    let room = room();
    let draft = || Draft { subject: "Laptop full".to_owned(), ..Draft::default() };
    let one = open_ticket(&room.desk, draft(), NOW).unwrap();
    let two = open_ticket(&room.desk, draft(), NOW).unwrap();
    assert_ne!(one, two);
    let (_, row) = find_ticket(&room.desk.store, one.as_str()).unwrap();
    assert_eq!(row.assignee, Some(room.desk.organisation.me.clone()));
    let empty = open_ticket(&room.desk, Draft::default(), NOW);
    assert!(matches!(empty, Err(TicketTrouble::Ticket(TicketError::Invalid { .. }))));
    let long = Draft { subject: "x".repeat(201), ..Draft::default() };
    let long = open_ticket(&room.desk, long, NOW);
    assert!(matches!(long, Err(TicketTrouble::TooLong { field: "subject", .. })));
}

#[test]
fn a_run_whose_time_is_long_over_needs_a_person() {
    let room = room();
    enrol(&room.desk);
    let (run, _) = order(&room.desk, "a.kaya");
    let soon = status(&room.desk, NOW.plus(60)).unwrap();
    assert_eq!((soon.unanswered, soon.unknown), (vec![run], Vec::new()));
    let late = NOW.plus(protocol::limits::RUN_SECONDS_MAX + 3601);
    let late = status(&room.desk, late).unwrap();
    assert_eq!(late.unknown, [run]);
    let asked = format!("salve runs follow {}", run.short());
    assert!(late.needs_person.iter().any(|need| need.contains(&asked)), "{:?}", late.needs_person);
}

#[test]
fn a_colleagues_console_says_when_the_cas_end_and_who_renews_what() {
    let room = room();
    let home = &room.desk.home;
    crate::home::remove_folder(&home.path().join("keys/online")).unwrap();
    let told = status(&room.desk, NOW).unwrap();
    let of = |what: &str| told.endings.iter().find(|ending| ending.what == what);
    for what in ["the CA of people", "the CA of endpoints", "your certificate"] {
        assert!(of(what).is_some_and(|ending| ending.ends > NOW), "{what}");
    }
    assert!(of("the desk's certificate").is_none());
    let shared = crate::home::SharedDesk { address: "127.0.0.1:9".into(), key: None };
    shared.write(home).unwrap();
    let desk = Desk::open(home.clone()).unwrap();
    // The desk is away: that is an error, never an empty status.
    assert!(matches!(status(&desk, NOW), Err(StatusError::Store(_))));
}
