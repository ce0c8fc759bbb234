//! The store's promises: whole or not at all, once, and never empty by accident.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::fs;
use std::io::{Seek, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use protocol::documents::{CatalogueVersions, Head, TicketState};
use protocol::{Digest, EndpointId, Mode, OrderId, Outcome, RunId, Time};
use store::*;

mod audit;
mod heads;
mod retention;
mod tokens;
mod waiting;

const NOW: Time = Time(1_795_344_000);
const HEAD: Head = Head { epoch: Digest([9; 32]), counter: 1, hash: Digest([8; 32]) };

struct Room {
    store: Store,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    Room { store: Store::create(&path).unwrap(), path, _folder: folder }
}

fn endpoint(n: u8, name: &str) -> NewEndpoint {
    NewEndpoint {
        id: EndpointId([n; 16]),
        name: name.parse().unwrap(),
        card: b"card".to_vec(),
        address: None,
        person: None,
        labels: [("group".parse().unwrap(), "office".parse().unwrap())].into(),
        host: None,
        platform: None,
    }
}

fn order<'a>(n: u8, targets: &'a [EndpointId], key: Option<&'a str>) -> NewOrder<'a> {
    NewOrder {
        digest: Digest([n; 32]),
        id: OrderId([n; 16]),
        script: "cache.clear".parse().unwrap(),
        version: 3,
        mode: Mode::Fix,
        agent: "a.kaya".parse().unwrap(),
        ticket: Some("1".parse().unwrap()),
        envelope: b"order",
        support: None,
        targets,
        glass: None,
        note_key: key,
        file_key: None,
    }
}

fn record(run: RunId, n: u8, target: EndpointId) -> NewRecord<'static> {
    NewRecord {
        run,
        order: Digest([n; 32]),
        endpoint: target,
        outcome: Some(Outcome::Succeeded),
        ended: Some(NOW),
        envelope: b"record",
        hash: Digest::of(b"record"),
        place: Some((Digest([9; 32]), 2)),
        effects: Some(b"effects"),
        plan: None,
        dispatch: None,
        card: Some(b"card"),
        unverified: None,
        escrow: None,
        reply: None,
    }
}

fn ticket(key: &str) -> NewTicketRow {
    NewTicketRow {
        key: key.to_owned(),
        subject: "Laptop full".to_owned(),
        kind: "incident".to_owned(),
        channel: "desk".to_owned(),
        ..NewTicketRow::default()
    }
}

#[test]
fn open_never_makes_and_create_never_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    assert!(matches!(Store::open(&path), Err(StoreError::Missing { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(Store::create(&path).unwrap());
    assert!(matches!(Store::create(&path), Err(StoreError::Exists { .. })));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // A copy put back with a wide mode is narrowed before it is read.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_log_beside_the_file_is_not_readable_by_others_either() {
    let room = room();
    room.store.add_ticket(&ticket("k"), NOW).unwrap();
    let log = room.path.with_file_name("desk.db-wal");
    assert_eq!(fs::metadata(log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_interrupted_creation_leaves_no_half_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    fs::File::create(folder.path().join("desk.db.new")).unwrap().write_all(b"half").unwrap();
    drop(Store::create(&path).unwrap());
    let names = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    // The file and SQLite's log of it, which stays beside it.
    assert_eq!(names, ["desk.db", "desk.db-shm", "desk.db-wal"]);
}

#[test]
fn what_was_written_last_is_there_again_from_the_log_alone() {
    let room = room();
    room.store.add_ticket(&ticket("k"), NOW).unwrap();
    let before = fs::read(&room.path).unwrap();
    let path = room.path.clone();
    drop(room.store);
    assert_eq!(fs::read(&path).unwrap(), before, "closing waited for the disk");
    let again = Store::open(&path).unwrap();
    assert_eq!(again.tickets(&store::TicketFilter::default()).unwrap().len(), 1);
    again.check().unwrap();
}

#[test]
fn a_damaged_file_stops_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("empty", vec![]), ("text", b"not a database at all".repeat(300))] {
        let path = folder.path().join(name);
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains("put back your last copy"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn another_programs_database_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE x (y)").unwrap();
    drop(db);
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_newer_file_is_left_alone() {
    let room = room();
    drop(room.store);
    rusqlite::Connection::open(&room.path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(Store::open(&room.path), Err(StoreError::Newer { have: 99, .. })));
}

#[test]
fn pages_overwritten_in_the_middle_are_called_damage() {
    let room = room();
    for n in 0..200 {
        let mut new = ticket(&format!("k{n}"));
        new.body = "x".repeat(2000);
        room.store.add_ticket(&new, NOW).unwrap();
    }
    room.store.check().unwrap();
    drop(room.store);
    let size = fs::metadata(&room.path).unwrap().len();
    let mut file = fs::OpenOptions::new().write(true).open(&room.path).unwrap();
    file.seek(SeekFrom::Start(size / 2)).unwrap();
    file.write_all(&[0xa5; 64 * 1024]).unwrap();
    drop(file);
    let store = Store::open(&room.path).unwrap();
    assert!(matches!(store.check(), Err(StoreError::Damaged { .. })));
    let all = TicketFilter { all: true, ..TicketFilter::default() };
    assert!(matches!(store.tickets(&all), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_second_writer_waits_and_then_is_told_what_to_do() {
    let room = room();
    let other = rusqlite::Connection::open(&room.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = room.store.add_ticket(&ticket("k"), NOW).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().starts_with("store locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    room.store.add_ticket(&ticket("k"), NOW).unwrap();
}

#[test]
fn order_runs_and_promise_are_one_transaction() {
    let room = room();
    let targets = [EndpointId([1; 16]), EndpointId([2; 16])];
    let runs = room.store.add_order(&order(1, &targets, Some("one:note")), NOW).unwrap();
    assert_eq!(runs.len(), 2);
    let row = room.store.outbox_row("one:note").unwrap().unwrap();
    assert_eq!((row.state, row.kind), (OutboxState::Waiting, OutboxKind::Note));
    // The same note key for another order: nothing of that order may remain.
    let error = room.store.add_order(&order(2, &targets, Some("one:note")), NOW).unwrap_err();
    assert!(matches!(error, StoreError::Duplicate { .. }), "{error}");
    assert_eq!(room.store.order(&Digest([2; 32])).unwrap(), None);
    assert_eq!(room.store.runs(&RunFilter::default()).unwrap().len(), 2);
}

#[test]
fn the_note_is_due_when_the_last_record_is_filed() {
    let room = room();
    let targets = [EndpointId([1; 16]), EndpointId([2; 16])];
    let runs = room.store.add_order(&order(1, &targets, Some("one:note")), NOW).unwrap();
    let state = || room.store.outbox_row("one:note").unwrap().unwrap().state;
    let first = record(runs[0], 1, targets[0]);
    assert_eq!(room.store.file_record(&first, NOW).unwrap(), Filed::New);
    assert_eq!(state(), OutboxState::Waiting);
    room.store.file_record(&record(runs[1], 1, targets[1]), NOW).unwrap();
    assert_eq!(state(), OutboxState::Due);
    assert_eq!(room.store.order(&Digest([1; 32])).unwrap().unwrap().state, OrderState::Ended);
    assert_eq!(room.store.file_record(&first, NOW).unwrap(), Filed::Again);
}

#[test]
fn an_order_that_was_never_sent_owes_its_note_and_no_file() {
    let room = room();
    let targets = [EndpointId([1; 16])];
    let mut one = order(1, &targets, Some("one:note"));
    one.file_key = Some("one:file");
    let runs = room.store.add_order(&one, NOW).unwrap();
    room.store.run_not_sent(&runs[0], NOW).unwrap();
    let state = |key: &str| room.store.outbox_row(key).unwrap().unwrap().state;
    assert_eq!((state("one:note"), state("one:file")), (OutboxState::Due, OutboxState::Dropped));
    assert_eq!(room.store.order(&Digest([1; 32])).unwrap().unwrap().state, OrderState::NotSent);
    // What left this desk cannot be called not sent.
    let runs = room.store.add_order(&order(2, &targets, Some("two:note")), NOW).unwrap();
    room.store.run_sent(&runs[0], b"dispatch", &HEAD).unwrap();
    assert!(room.store.run_not_sent(&runs[0], NOW).is_err());
    assert_eq!(state("two:note"), OutboxState::Waiting);
}

#[test]
fn a_run_that_was_not_taken_has_its_record_filed_all_the_same() {
    let room = room();
    let targets = [EndpointId([1; 16])];
    let mut one = order(1, &targets, Some("one:note"));
    one.file_key = Some("one:file");
    let run = room.store.add_order(&one, NOW).unwrap()[0];
    assert!(room.store.run_not_taken(&run, "x", NOW).is_err(), "it has not left");
    room.store.run_sent(&run, b"dispatch", &HEAD).unwrap();
    room.store.run_not_taken(&run, "its door says so", NOW).unwrap();
    let row = room.store.run(&run).unwrap().unwrap();
    assert_eq!((row.state, row.sent_at), (RunState::NotTaken, Some((HEAD.epoch, HEAD.counter))));
    assert_eq!(row.reason.as_deref(), Some("its door says so"));
    let state = |key: &str| room.store.outbox_row(key).unwrap().unwrap().state;
    assert_eq!((state("one:note"), state("one:file")), (OutboxState::Due, OutboxState::Dropped));
    room.store.outbox_posted("one:note", NOW).unwrap();
    room.store.file_record(&record(run, 1, targets[0]), NOW).unwrap();
    // The one note is posted; the record is new to the ticket.
    assert_eq!((state("one:note"), state("one:file")), (OutboxState::Posted, OutboxState::Due));
    let row = room.store.run(&run).unwrap().unwrap();
    assert_eq!((row.state, row.verified, row.reason), (RunState::Ended, Some(true), None));
    // What was accepted cannot be called not taken.
    let run = room.store.add_order(&order(2, &targets, None), NOW).unwrap()[0];
    room.store.run_sent(&run, b"dispatch", &HEAD).unwrap();
    room.store.run_accepted(&run).unwrap();
    assert!(room.store.run_not_taken(&run, "x", NOW).is_err());
}

#[test]
fn a_record_that_does_not_verify_is_kept_and_a_good_one_takes_its_place() {
    let room = room();
    let targets = [EndpointId([1; 16])];
    let run = room.store.add_order(&order(1, &targets, None), NOW).unwrap()[0];
    let mut bad = record(run, 1, targets[0]);
    bad.envelope = b"forged";
    bad.hash = Digest::of(b"forged");
    bad.unverified = Some("the seal does not open");
    room.store.file_record(&bad, NOW).unwrap();
    assert_eq!(room.store.run(&run).unwrap().unwrap().verified, Some(false));
    let good = record(run, 1, targets[0]);
    assert_eq!(room.store.file_record(&good, NOW).unwrap(), Filed::Replaced);
    assert_eq!(room.store.run(&run).unwrap().unwrap().verified, Some(true));
    assert_eq!(room.store.strays(&run).unwrap()[0].record, b"forged");
    // Now nothing takes the good one's place.
    assert_eq!(room.store.file_record(&bad, NOW).unwrap(), Filed::Differs);
    let mut other = record(run, 1, targets[0]);
    other.envelope = b"another";
    other.hash = Digest::of(b"another");
    assert_eq!(room.store.file_record(&other, NOW).unwrap(), Filed::Differs);
    assert_eq!(room.store.run_record(&run).unwrap().unwrap(), b"record");
    assert_eq!(room.store.strays(&run).unwrap().len(), 2);
}

#[test]
fn a_record_of_nothing_we_know_is_kept() {
    let room = room();
    let run = RunId([7; 16]);
    let mut stranger = record(run, 7, EndpointId([7; 16]));
    stranger.unverified = Some("unknown endpoint");
    assert_eq!(room.store.file_record(&stranger, NOW).unwrap(), Filed::New);
    let row = room.store.run(&run).unwrap().unwrap();
    assert_eq!((row.script, row.verified), (None, Some(false)));
}

#[test]
fn neighbours_are_found_by_place() {
    let room = room();
    let here = EndpointId([1; 16]);
    for counter in 1..=3u8 {
        let mut one = record(RunId([counter; 16]), counter, here);
        one.place = Some((Digest([9; 32]), u64::from(counter)));
        room.store.file_record(&one, NOW).unwrap();
    }
    let (before, after) = room.store.neighbours(&here, &Digest([9; 32]), 2).unwrap();
    assert_eq!(before.unwrap().id, RunId([1; 16]));
    assert_eq!(after.unwrap().id, RunId([3; 16]));
    let (before, _) = room.store.neighbours(&here, &Digest([9; 32]), 1).unwrap();
    assert_eq!(before, None);
}

#[test]
fn a_secret_is_opened_once() {
    let room = room();
    let targets = [EndpointId([1; 16])];
    let run = room.store.add_order(&order(1, &targets, None), NOW).unwrap()[0];
    let mut with = record(run, 1, targets[0]);
    with.escrow = Some((b"sealed", NOW.plus(3600)));
    room.store.file_record(&with, NOW).unwrap();
    assert_eq!(room.store.unopened_escrows().unwrap().len(), 1);
    assert_eq!(room.store.open_escrow(&run, NOW.plus(5)).unwrap().sealed, b"sealed");
    let again = room.store.open_escrow(&run, NOW.plus(9));
    assert!(matches!(again, Err(StoreError::Opened { at }) if at == NOW.plus(5)));
    assert!(room.store.unopened_escrows().unwrap().is_empty());
}

#[test]
fn a_ticket_changes_hands_with_a_note_of_who_gave_it() {
    let room = room();
    let id = room.store.add_ticket(&ticket("k"), NOW).unwrap();
    let (kaya, ruiz) = ("a.kaya".parse().unwrap(), "m.ruiz".parse().unwrap());
    for _ in 0..2 {
        let row = room.store.assign_ticket(id, &ruiz, &kaya, NOW).unwrap();
        assert_eq!(row.assignee.as_ref(), Some(&ruiz));
    }
    room.store.assign_ticket(id, &kaya, &ruiz, NOW).unwrap();
    let notes = room.store.notes(id).unwrap();
    let said: Vec<_> = notes.iter().map(|note| (note.public, note.body.as_str())).collect();
    let first = "a.kaya gave this ticket to m.ruiz.";
    assert_eq!(said, [(false, first), (false, "m.ruiz handed this ticket to a.kaya.")]);
    assert!(room.store.assign_ticket(99, &kaya, &ruiz, NOW).is_err());
}

#[test]
fn a_name_comes_back_but_an_id_never() {
    let room = room();
    room.store.add_endpoint(&endpoint(1, "lt-1"), NOW).unwrap();
    let same_name = room.store.add_endpoint(&endpoint(2, "lt-1"), NOW).unwrap_err();
    assert_eq!(same_name.to_string(), "endpoint `lt-1` exists already");
    room.store.set_endpoint_state(&EndpointId([1; 16]), EndpointState::Replaced).unwrap();
    room.store.add_endpoint(&endpoint(2, "lt-1"), NOW).unwrap();
    assert!(room.store.add_endpoint(&endpoint(1, "lt-9"), NOW).is_err());
    let found = room.store.endpoint_named(&"lt-1".parse().unwrap()).unwrap().unwrap();
    assert_eq!(found.id, EndpointId([2; 16]));
}

#[test]
fn tickets_keep_their_times() {
    let room = room();
    let store = &room.store;
    let mut new = ticket("k");
    new.blocked = 3;
    let id = store.add_ticket(&new, NOW).unwrap();
    assert_eq!(id, 1);
    assert_eq!(store.add_ticket(&new, NOW.plus(1)).unwrap(), 1);
    let note = NewNote { ticket: id, key: "a:note", public: false, author: None, body: "looked" };
    store.add_note(&note, NOW.plus(10)).unwrap();
    assert!(matches!(store.add_note(&note, NOW.plus(11)), Err(StoreError::Duplicate { .. })));
    assert_eq!(store.ticket(id).unwrap().first_response, Some(NOW.plus(10)));
    let done = store.set_ticket_state(id, TicketState::Closed, NOW.plus(20)).unwrap();
    assert_eq!((done.resolved, done.closed), (Some(NOW.plus(20)), Some(NOW.plus(20))));
    assert_eq!((done.blocked, done.blocked_since), (0, None));
    let again = store.set_ticket_state(id, TicketState::Open, NOW.plus(30)).unwrap();
    assert_eq!((again.resolved, again.closed), (None, None));
    assert_eq!((again.reopened, again.reopens), (Some(NOW.plus(30)), 1));
}

#[test]
fn one_worker_delivers_at_a_time_and_one_that_is_gone_is_not_waited_for() {
    let room = room();
    let first = room.store.deliverer().unwrap();
    let other = Store::open(&room.path).unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _second = other.deliverer().unwrap();
            tell.send(()).unwrap();
        });
        // Nothing can come while the first is held.
        assert!(told.recv_timeout(std::time::Duration::from_millis(50)).is_err());
        drop(first);
        told.recv().unwrap();
    });
}

#[test]
fn counters_never_give_a_number_twice() {
    let room = room();
    assert_eq!(room.store.next_number("card").unwrap(), 1);
    drop(room.store);
    let again = Store::open(&room.path).unwrap();
    assert_eq!(again.next_number("card").unwrap(), 2);
    assert_eq!(again.next_number("other").unwrap(), 1);
}

#[test]
fn every_open_sets_full_sync_and_foreign_keys() {
    let room = room();
    let note = NewNote { ticket: 77, key: "k", public: false, author: None, body: "b" };
    assert!(matches!(room.store.add_note(&note, NOW), Err(StoreError::NotFound { .. })));
    let mut new = ticket("k");
    new.endpoint = Some(EndpointId([3; 16]));
    // No such endpoint: the foreign key says so.
    assert!(room.store.add_ticket(&new, NOW).is_err());
}

/// Pages of a full desk come fast, each one as the index walks it, and together they are the list.
#[test]
fn pages_of_ten_thousand_endpoints_are_quick_and_whole() {
    let room = room();
    let plain = rusqlite::Connection::open(&room.path).unwrap();
    plain
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO endpoints (id, name, card, labels, enrolled, state)
             SELECT printf('%026d', i), printf('pc-%05d', i), zeroblob(2000), '{}', i,
                    CASE WHEN i % 10 = 0 THEN 'withdrawn' ELSE 'active' END FROM n;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO orders (digest, id, script, version, mode, agent, ticket, envelope, state,
                                 created)
             SELECT printf('%064x', i), printf('%026d', i), 'cache.clear', 1, 'fix', 'a.kaya',
                    i % 50, x'00', 'ended', i FROM n;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO runs (id, order_digest, endpoint, state, created)
             SELECT printf('%026d', i), printf('%064x', i), printf('%026d', i % 100),
                    CASE WHEN i % 100 = 0 THEN 'sent' ELSE 'ended' END, i FROM n;",
        )
        .unwrap();
    let quick = |what: &str, since: std::time::Instant| {
        assert!(since.elapsed() < std::time::Duration::from_millis(200), "{what} was slow");
    };
    let mut listed: Vec<EndpointRow> = Vec::new();
    loop {
        let began = began();
        let after = listed.last().map(EndpointRow::place);
        let page = room.store.endpoints_page(after.as_ref(), 500).unwrap();
        quick("a page of endpoints", began);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), 10_000);
    assert!(listed.windows(2).all(|two| {
        let key = |row: &EndpointRow| (row.state.word(), row.name.clone(), row.id);
        key(&two[0]) < key(&two[1])
    }));
    let last = RunFilter { limit: 500, ..RunFilter::default() };
    let of = |filter: &RunFilter| {
        let began = began();
        let rows = room.store.runs(filter).unwrap();
        quick("a page of runs", began);
        rows
    };
    let first = of(&last);
    let next = of(&RunFilter { after: first.last().map(|run| run.id), ..last.clone() });
    assert_eq!((first.len(), next.len(), next[0].created), (500, 500, Time(9500)));
    let ticket = "7".parse().ok();
    assert_eq!(of(&RunFilter { ticket, ..last.clone() }).len(), 200);
    assert_eq!(of(&RunFilter { unanswered: true, ..last.clone() }).len(), 100);
    let endpoint = room.store.runs_starting("00000000000000000000000007").unwrap();
    assert_eq!(endpoint.len(), 1);
    let endpoint = Some(endpoint[0].endpoint);
    assert_eq!(of(&RunFilter { endpoint, ..last }).len(), 100);
}

#[expect(clippy::disallowed_methods, reason = "how long a page takes is what is asked")]
fn began() -> std::time::Instant {
    std::time::Instant::now()
}
