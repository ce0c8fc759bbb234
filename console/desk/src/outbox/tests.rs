use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::documents::{Head, Order, SealedSecret, TicketState};
use protocol::{Digest, Outcome, RunId, TicketId, Time};
use store::{Filed, OutboxState, Store};
use tickets::contract::{self, Fake, Fault};
use tickets::{
    Audience, Caps, File, FileRef, NewTicket, Note, NoteRef, Ticket, TicketError, TicketSystem,
};

use super::*;
use crate::verify::fixture::{EFFECTS, Fixture, NOW, bytes, sealed};

const HEAD: Head = Head { epoch: Digest([9; 32]), counter: 0, hash: Digest([9; 32]) };

struct Room {
    f: Fixture,
    store: Store,
    fake: Fake,
    ticket: TicketId,
    _folder: tempfile::TempDir,
}

/// The address book's row of the fixture's endpoint.
fn enrol(f: &Fixture, store: &Store) {
    let new = store::NewEndpoint {
        id: Fixture::id(),
        name: "lt-4411".parse().unwrap(),
        card: bytes(&sealed(&f.card(), &f.enroller)),
        address: None,
        person: Some("jo.meyer".to_owned()),
        labels: std::collections::BTreeMap::new(),
        host: None,
        platform: Some("linux".to_owned()),
    };
    store.add_endpoint(&new, NOW.minus(900)).unwrap();
}

fn room() -> Room {
    room_with(Fake::default())
}

fn room_with(fake: Fake) -> Room {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    let f = Fixture::default();
    enrol(&f, &store);
    let new = NewTicket { subject: "Laptop full".to_owned(), ..NewTicket::default() };
    let key = Key::from_digest(&protocol::Digest([1; 32]), KeyKind::Ticket);
    let ticket = fake.create(&new, &key, NOW).unwrap();
    Room { f, store, fake, ticket, _folder: folder }
}

impl Room {
    fn send(&self, order: &Order) -> RunId {
        let envelope = sealed(order, &self.f.agent);
        let runs = promise(&self.store, order, &envelope, None, NOW).unwrap();
        let dispatch = bytes(&self.f.dispatch(&envelope.digest()));
        self.store.run_sent(&runs[0], &dispatch, &HEAD).unwrap();
        runs[0]
    }

    fn answer(&self, order: &Order, outcome: Outcome) -> Filing {
        let mut record = self.f.record(order);
        record.predicate.outcome = outcome;
        let record = bytes(&sealed(&record, &self.f.endpoint));
        self.file(order, &record)
    }

    fn file(&self, order: &Order, record: &[u8]) -> Filing {
        self.file_with(order, record, None)
    }

    fn file_with(&self, order: &Order, record: &[u8], escrow: Option<(&[u8], Time)>) -> Filing {
        let digest = sealed(order, &self.f.agent).digest();
        let arrived = Arrived {
            run: RunId::of(&digest, &Fixture::id(), 0),
            order: digest,
            endpoint: Fixture::id(),
            record,
            effects: Some(EFFECTS),
            plan: None,
            dispatch: None,
            card: None,
            escrow,
        };
        file(&self.store, &arrived, &self.f.anchors(), NOW).unwrap()
    }

    fn deliver(&self, now: Time) -> Delivery {
        deliver(&self.store, &self.fake, &self.ticket, now).unwrap()
    }

    fn seen(&self) -> Vec<(Audience, String)> {
        let first =
            |note: Note| (note.audience, note.body.lines().next().unwrap_or_default().to_owned());
        self.fake.notes(&self.ticket).into_iter().map(first).collect()
    }
}

const FIXED: &str = "FIXED: cache.clear on lt-4411: / has 38.6 GiB free (16 %)  (1.2 s)";

#[test]
fn one_fix_leaves_one_note_then_the_record_then_one_reply() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 0 });
    let filing = room.answer(&order, Outcome::Succeeded);
    assert_eq!(filing.filed, Filed::New);
    assert!(filing.report.verified, "{:#?}", filing.report);
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 3 });
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 0 });
    let wanted = [
        (Audience::Internal, FIXED.to_owned()),
        (Audience::Public, "There is room again, please save your work.".to_owned()),
    ];
    assert_eq!(room.seen(), wanted);
    assert!(room.store.outbox_todo().unwrap().is_empty());
}

#[test]
fn a_refused_fix_leaves_its_one_note_and_no_reply() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Refused);
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 2 });
    let seen = room.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].0, Audience::Internal);
    assert!(seen[0].1.starts_with("REFUSED: "), "{}", seen[0].1);
}

#[test]
fn check_and_plan_leave_nothing() {
    let room = room();
    for mode in [protocol::Mode::Check, protocol::Mode::Plan] {
        let mut order = room.f.order();
        order.mode = mode;
        order.id = protocol::OrderId([mode as u8; 16]);
        room.send(&order);
        assert!(room.answer(&order, Outcome::Succeeded).report.verified);
    }
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 0 });
    assert!(room.seen().is_empty());
    assert!(room.store.outbox_todo().unwrap().is_empty());
}

#[test]
fn filing_the_same_record_again_leaves_one_note() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    room.deliver(NOW);
    assert_eq!(room.answer(&order, Outcome::Succeeded).filed, Filed::Again);
    room.deliver(NOW);
    assert_eq!(room.seen().len(), 2);
}

#[test]
fn a_record_that_does_not_verify_is_filed_loudly_and_the_person_is_told_nothing() {
    let room = room();
    let order = room.f.order();
    let run = room.send(&order);
    let mut envelope = sealed(&room.f.record(&order), &room.f.endpoint);
    let text = String::from_utf8(envelope.payload.0.clone()).unwrap();
    envelope.payload.0 = text.replace("38.6", "99.9").into_bytes();
    let filing = room.file(&order, &bytes(&envelope));
    assert!(!filing.report.verified);
    assert_eq!(room.store.run(&run).unwrap().unwrap().verified, Some(false));
    room.deliver(NOW);
    let seen = room.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].1.starts_with("NOT VERIFIED, says FIXED"), "{}", seen[0].1);
    // The good one that comes later takes its place; the note is not written twice.
    assert_eq!(room.answer(&order, Outcome::Succeeded).filed, Filed::Replaced);
    room.deliver(NOW);
    let internal = room.seen().into_iter().filter(|(a, _)| *a == Audience::Internal).count();
    assert_eq!(internal, 1);
}

#[test]
fn a_good_record_of_another_run_is_not_this_runs_record() {
    let room = room();
    let (order, mut other) = (room.f.order(), room.f.order());
    other.id = protocol::OrderId([7; 16]);
    other.reason = "another".to_owned();
    room.send(&order);
    room.send(&other);
    let record = bytes(&sealed(&room.f.record(&other), &room.f.endpoint));
    let filing = room.file(&order, &record);
    assert!(!filing.report.verified, "{:#?}", filing.report);
}

/// Every fault of one call, and every pair of faults of two: always one note, never a double.
#[test]
fn lost_answers_never_double_a_note_and_never_lose_one() {
    let faults = [Fault::None, Fault::LostBefore, Fault::LostAfter, Fault::RateLimited];
    for first in faults {
        for second in faults {
            let room = room();
            let order = room.f.order();
            room.send(&order);
            room.answer(&order, Outcome::Succeeded);
            room.fake.fail([first, second]);
            let mut now = NOW;
            for _ in 0..10 {
                if matches!(room.deliver(now), Delivery::Done { .. }) {
                    break;
                }
                now = now.plus(3600);
            }
            let seen = room.seen();
            assert_eq!(seen.len(), 2, "{first:?} {second:?}: {seen:?}");
            assert_eq!(seen[0], (Audience::Internal, FIXED.to_owned()));
            assert_eq!(seen[1].0, Audience::Public);
        }
    }
}

/// A system whose worker dies at its n-th call of one kind, before or after the work was done.
struct Deadly<'a> {
    fake: &'a Fake,
    calls: AtomicU32,
    dies_at: u32,
    after: bool,
}

impl Deadly<'_> {
    fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        let dies = self.calls.fetch_add(1, Ordering::Relaxed) == self.dies_at;
        assert!(!dies || self.after, "killed before the call");
        let done = work();
        assert!(!dies, "killed after the call");
        done
    }
}

impl TicketSystem for Deadly<'_> {
    fn caps(&self) -> Caps {
        self.fake.caps()
    }
    fn get(&self, id: &TicketId) -> Result<Ticket, TicketError> {
        self.work(|| self.fake.get(id))
    }
    fn find_note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError> {
        self.work(|| self.fake.find_note(id, key))
    }
    fn add_note(&self, id: &TicketId, n: &Note, now: Time) -> Result<NoteRef, TicketError> {
        self.work(|| self.fake.add_note(id, n, now))
    }
    fn set_state(
        &self,
        id: &TicketId,
        to: TicketState,
        why: &str,
        now: Time,
    ) -> Result<Ticket, TicketError> {
        self.work(|| self.fake.set_state(id, to, why, now))
    }
    fn attach(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        now: Time,
    ) -> Result<FileRef, TicketError> {
        self.work(|| self.fake.attach(id, file, audience, now))
    }
    fn create(&self, new: &NewTicket, key: &Key, now: Time) -> Result<TicketId, TicketError> {
        self.work(|| self.fake.create(new, key, now))
    }
}

#[test]
fn a_worker_killed_at_any_call_leaves_exactly_one_note_and_one_reply() {
    for dies_at in 0..3 {
        for after in [false, true] {
            let room = room();
            let order = room.f.order();
            room.send(&order);
            room.answer(&order, Outcome::Succeeded);
            let deadly = Deadly { fake: &room.fake, calls: AtomicU32::new(0), dies_at, after };
            let killed =
                catch_unwind(AssertUnwindSafe(|| deliver(&room.store, &deadly, &room.ticket, NOW)));
            assert!(killed.is_err(), "{dies_at} {after}: it was not killed");
            // Nobody waits for it: the next one takes over at once, and looks before it posts.
            let done = room.deliver(NOW);
            assert!(matches!(done, Delivery::Done { .. }), "{dies_at} {after}: {done:?}");
            let audiences: Vec<_> = room.seen().into_iter().map(|(a, _)| a).collect();
            assert_eq!(audiences, [Audience::Internal, Audience::Public], "{dies_at} {after}");
            assert!(room.store.outbox_todo().unwrap().is_empty());
        }
    }
}

#[test]
fn a_desk_killed_between_sending_and_filing_still_owes_the_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    let f = Fixture::default();
    let order = f.order();
    let envelope = sealed(&order, &f.agent);
    let store = Store::create(&path).unwrap();
    promise(&store, &order, &envelope, None, NOW).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let todo = store.outbox_todo().unwrap();
    let states: Vec<_> = todo.iter().map(|row| row.state).collect();
    assert_eq!(states, [OutboxState::Waiting, OutboxState::Waiting]);
    assert_eq!(store.open_orders().unwrap()[0].digest, envelope.digest());
}

#[test]
fn two_workers_at_once_post_one_note() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| room.deliver(NOW));
        }
    });
    assert_eq!(room.seen().len(), 2);
}

#[test]
fn a_system_without_internal_notes_keeps_the_note_and_says_why() {
    let poor = Caps { internal_notes: false, private_files: false, ..Fake::default().caps() };
    let room = room_with(Fake::with_caps(poor));
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    let failed = room.deliver(NOW);
    assert!(matches!(&failed, Delivery::Failed { why, .. } if why.contains("cannot keep a note")));
    // Nothing became public, not even the reply behind it.
    assert!(room.seen().is_empty());
    let todo = room.store.outbox_todo().unwrap();
    assert_eq!(
        todo[0].last_error.as_deref(),
        Some("this ticket system cannot keep a note from the requester")
    );
}

#[test]
fn a_failed_try_waits_longer_each_time() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Refused);
    room.fake.fail([Fault::LostBefore; 3]);
    assert!(matches!(room.deliver(NOW), Delivery::Failed { .. }));
    assert_eq!(room.deliver(NOW.plus(9)), Delivery::Later { at: NOW.plus(10) });
    assert!(matches!(room.deliver(NOW.plus(10)), Delivery::Failed { .. }));
    assert_eq!(room.deliver(NOW.plus(29)), Delivery::Later { at: NOW.plus(30) });
}

#[test]
fn the_built_in_system_keeps_the_contract() {
    let room = room();
    contract::check(&builtin(&room.store), "x", NOW).unwrap();
}

#[test]
fn the_built_in_system_never_takes_a_key_twice() {
    let room = room();
    let system = builtin(&room.store);
    let new = NewTicket { subject: "x".to_owned(), ..NewTicket::default() };
    let key = |n: u8, kind| Key::from_digest(&protocol::Digest([n; 32]), kind);
    let one = system.create(&new, &key(1, KeyKind::Ticket), NOW).unwrap();
    assert_eq!(system.create(&new, &key(1, KeyKind::Ticket), NOW).unwrap(), one);
    let two = system.create(&new, &key(2, KeyKind::Ticket), NOW).unwrap();
    let note = Note {
        key: key(3, KeyKind::Note),
        audience: Audience::Internal,
        author: None,
        body: "x".to_owned(),
    };
    let first = system.add_note(&one, &note, NOW).unwrap();
    assert_eq!(system.add_note(&one, &note, NOW).unwrap(), first);
    assert!(matches!(system.add_note(&two, &note, NOW), Err(TicketError::Conflict)));
    for odd in ["01", "RT#1", "9999999999999999999999"] {
        let odd: TicketId = odd.parse().unwrap();
        assert!(matches!(system.get(&odd), Err(TicketError::NotFound { .. })), "{odd}");
    }
}

/// P6: one note per order of mode fix that names a ticket, also where the door says that it never
/// came in; and the record that comes all the same is no second note.
#[test]
fn an_order_that_was_not_taken_leaves_its_one_note_which_says_that_nobody_signed_that() {
    let room = room();
    let order = room.f.order();
    let run = room.send(&order);
    room.store.run_not_taken(&run, "its door says so; that is not signed", NOW).unwrap();
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 1 });
    let note = room.fake.notes(&room.ticket).remove(0);
    assert_eq!(note.audience, Audience::Internal);
    let first = "NOT TAKEN: cache.clear on lt-4411: its door says so; that is not signed\n";
    assert!(note.body.starts_with(first), "{}", note.body);
    assert!(note.body.contains("Change: none as far as known"), "{}", note.body);
    assert!(room.store.outbox_todo().unwrap().is_empty());
    // The file of its record, then what the person is told.
    room.answer(&order, Outcome::Succeeded);
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 2 });
    let audiences: Vec<_> = room.seen().into_iter().map(|(a, _)| a).collect();
    assert_eq!(audiences, [Audience::Internal, Audience::Public]);
}

#[test]
fn the_built_in_ticket_shows_note_record_and_reply() {
    let room = room();
    let system = builtin(&room.store);
    let new = NewTicket { subject: "Laptop full".to_owned(), ..NewTicket::default() };
    let key = Key::from_digest(&protocol::Digest([1; 32]), KeyKind::Ticket);
    let ticket = system.create(&new, &key, NOW).unwrap();
    assert_eq!(ticket, room.ticket);
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    let all = deliver_builtin(&room.store, NOW).unwrap();
    assert_eq!(all, [(ticket, Delivery::Done { posted: 3 })]);
    let notes = room.store.notes(1).unwrap();
    assert_eq!(notes.iter().map(|n| n.public).collect::<Vec<_>>(), [false, true]);
    assert!(notes[0].body.starts_with(FIXED));
    let files = room.store.files(1).unwrap();
    assert_eq!((files[0].name.as_str(), files[0].public), ("records.jsonl", false));
    assert!(deliver_builtin(&room.store, NOW).unwrap().is_empty());
}

#[test]
fn one_altered_word_of_the_record_on_the_ticket_is_not_verified_and_named() {
    let room = room();
    let order = room.f.order();
    room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    let system = builtin(&room.store);
    let new = NewTicket { subject: "Laptop full".to_owned(), ..NewTicket::default() };
    let key = Key::from_digest(&protocol::Digest([1; 32]), KeyKind::Ticket);
    system.create(&new, &key, NOW).unwrap();
    deliver_builtin(&room.store, NOW).unwrap();
    let file = room.store.files(1).unwrap().remove(0);
    let bytes = room.store.file_bytes(&file.key).unwrap().unwrap();
    let books = store::Store::open(room.store.path()).unwrap().into();
    let check = |bytes: &[u8]| {
        crate::verify::verify_lines(&books, bytes, &room.f.anchors()).unwrap().remove(0)
    };
    let good = check(&bytes);
    assert!(good.report.verified, "{good:#?}");
    assert_eq!(good.difference, None);
    let mut envelope = protocol::Envelope::read(&bytes[..bytes.len() - 1]).unwrap();
    let text = String::from_utf8(envelope.payload.0.clone()).unwrap();
    envelope.payload.0 = text.replace("38.6 GiB", "99.9 GiB").into_bytes();
    let bad = check(&envelope.write().unwrap());
    assert!(!bad.report.verified);
    let difference = bad.difference.unwrap();
    assert!(difference.contains("given `"), "{difference}");
    assert!(difference.contains("99.9 GiB"), "{difference}");
}

#[test]
fn a_later_refusal_of_the_same_order_never_stands_in_for_the_runs_record() {
    let room = room();
    let order = room.f.order();
    let run = room.send(&order);
    room.answer(&order, Outcome::Succeeded);
    room.deliver(NOW);
    // The endpoint refuses the same order again: a record with the counter as its occurrence.
    let digest = sealed(&order, &room.f.agent).digest();
    let first = sealed(&room.f.record(&order), &room.f.endpoint).digest();
    let mut record = room.f.record(&order);
    let here = &mut record.predicate;
    here.outcome = Outcome::Refused;
    here.decision =
        protocol::documents::Decision::Refuse { refusal: protocol::Refusal::AlreadyRun { run } };
    here.counter = 2;
    here.previous = first;
    here.run = RunId::of(&digest, &Fixture::id(), 2);
    let again = here.run;
    let filing = room.file(&order, &bytes(&sealed(&record, &room.f.endpoint)));
    assert!(filing.report.verified, "{:#?}", filing.report);
    assert_eq!(filing.filed, Filed::New);
    assert_eq!(room.store.run(&run).unwrap().unwrap().outcome, Some(Outcome::Succeeded));
    assert_eq!(room.store.run(&again).unwrap().unwrap().outcome, Some(Outcome::Refused));
    assert!(room.store.strays(&run).unwrap().is_empty());
    // One note per order stays one note.
    assert_eq!(room.deliver(NOW), Delivery::Done { posted: 0 });
    // A run may not use the refusal's id.
    record.predicate.outcome = Outcome::Succeeded;
    let forged = bytes(&sealed(&record, &room.f.endpoint));
    assert!(!room.file(&order, &forged).report.verified);
}

#[test]
fn an_order_whose_command_was_killed_before_sending_is_swept_after_an_hour_and_noted() {
    let room = room();
    let order = room.f.order();
    let envelope = sealed(&order, &room.f.agent);
    let run = promise(&room.store, &order, &envelope, None, NOW).unwrap()[0];
    assert_eq!(sweep(&room.store, NOW.plus(3600)).unwrap(), 0);
    assert_eq!(sweep(&room.store, NOW.plus(3601)).unwrap(), 1);
    assert_eq!(room.store.run(&run).unwrap().unwrap().state, store::RunState::NotSent);
    assert_eq!(room.deliver(NOW.plus(3601)), Delivery::Done { posted: 1 });
    let first = "NOT SENT: cache.clear on lt-4411: it never left this desk; nothing ran".to_owned();
    assert_eq!(room.seen(), [(Audience::Internal, first)]);
    assert_eq!(sweep(&room.store, NOW.plus(7200)).unwrap(), 0);
    assert_eq!(room.deliver(NOW.plus(7200)), Delivery::Done { posted: 0 });
    // What was sent is never swept: it may run.
    let mut other = room.f.order();
    other.id = protocol::OrderId([8; 16]);
    room.send(&other);
    assert_eq!(sweep(&room.store, NOW.plus(999_999)).unwrap(), 0);
}

#[test]
fn only_a_secret_that_the_record_names_is_kept_and_it_may_come_later() {
    let room = room();
    let order = room.f.order();
    let run = room.send(&order);
    let (ours, until) = (b"{\"ours\":1}".as_slice(), NOW.plus(3600));
    let mut record = room.f.record(&order);
    let sha256 = protocol::Digest::of(ours);
    record.predicate.secrets = vec![SealedSecret { handle: 0, sealed: sha256, not_after: until }];
    let signed = bytes(&sealed(&record, &room.f.endpoint));
    let kept = || room.store.escrow(&run).unwrap().map(|row| row.sealed);

    let swapped = room.file_with(&order, &signed, Some((b"{}", until)));
    assert_eq!((swapped.filed, swapped.report.verified), (Filed::New, false));
    assert_eq!(kept(), None);
    // Its own record would name it, but nobody signed that: the good one takes its place.
    record.predicate.secrets[0].sealed = protocol::Digest::of(b"{}");
    let forged = bytes(&sealed(&record, &room.f.agent));
    room.file_with(&order, &forged, Some((b"{}", until)));
    // The line broke behind the record: the secret comes when it is asked for again.
    let cut = room.file(&order, &signed);
    assert_eq!((cut.filed, cut.report.verified), (Filed::Replaced, true));
    let whole = room.file_with(&order, &signed, Some((ours, until)));
    assert_eq!((whole.filed, whole.report.verified), (Filed::Again, true));
    assert_eq!(kept().as_deref(), Some(ours));
}

#[test]
fn what_was_posted_after_a_copy_was_made_is_looked_up_and_not_posted_again() {
    // The copy is made at each point: while it runs, with its note due, with all posted.
    for stage in 0..3 {
        let room = room();
        let order = room.f.order();
        let copy = room._folder.path().join("copy.db");
        room.send(&order);
        if stage == 0 {
            room.store.copy_to(&copy).unwrap();
        }
        room.answer(&order, Outcome::Succeeded);
        if stage == 1 {
            room.store.copy_to(&copy).unwrap();
        }
        assert_eq!(room.deliver(NOW), Delivery::Done { posted: 3 });
        if stage == 2 {
            room.store.copy_to(&copy).unwrap();
        }
        let seen = room.seen();
        Store::put_back(&copy, NOW).unwrap();
        let room = Room { store: Store::open(&copy).unwrap(), ..room };
        // The endpoint offers its record to the desk that does not know it any more.
        room.answer(&order, Outcome::Succeeded);
        room.deliver(NOW.plus(60));
        assert!(room.store.outbox_todo().unwrap().is_empty());
        assert_eq!(room.seen(), seen, "stage {stage}");
        assert_eq!(room.seen().len(), 2);
    }
}
