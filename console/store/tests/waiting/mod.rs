//! What waits is sent once or never, its key is gone afterwards, and its ticket hears of it.

use super::*;

const SEED: [u8; 32] = *b"the seed of a key for one order.";

fn seen() -> Seen<'static> {
    Seen {
        versions: CatalogueVersions::default(),
        head: HEAD,
        daemon: "0.1.0",
        clock: NOW,
        at: NOW,
    }
}

/// A room in which order 1 waits for endpoint 7 for an hour.
fn waits() -> (Room, RunId) {
    let room = room();
    let target = EndpointId([7; 16]);
    room.store.add_endpoint(&endpoint(7, "lt-4411"), NOW).unwrap();
    let targets = [target];
    let new = order(1, &targets, Some("note"));
    let run = room.store.add_waiting(&new, (&target, &SEED), NOW.plus(3600), NOW).unwrap();
    (room, run)
}

/// Whether the key's bytes lie anywhere in the store's files.
fn lies_there(room: &Room) -> bool {
    let log = PathBuf::from(format!("{}-wal", room.path.display()));
    let has = |path: &PathBuf| {
        fs::read(path).unwrap_or_default().windows(SEED.len()).any(|bytes| bytes == SEED)
    };
    has(&room.path) || has(&log)
}

fn note(room: &Room) -> OutboxState {
    room.store.outbox_row("note").unwrap().unwrap().state
}

#[test]
fn what_waits_is_signed_once_and_its_key_is_erased() {
    let (room, run) = waits();
    assert!(lies_there(&room), "the key waits with its order");
    let store = Store::open(&room.path).unwrap();
    let row = store.waiting(&run).unwrap().unwrap();
    assert_eq!((row.since, row.until), (NOW, NOW.plus(3600)));
    assert_eq!(row.endpoint_name.as_deref(), Some("lt-4411"));

    // A key that does not sign leaves everything as it was.
    let none = store.send_waiting(&run, &seen(), None, NOW, |_| None).unwrap();
    assert_eq!((none, store.waiting(&run).unwrap()), (None, Some(row)));

    let sign = |seed: [u8; 32]| (seed == SEED).then(|| b"dispatch".to_vec());
    let sent = store.send_waiting(&run, &seen(), Some(b"word"), NOW, sign).unwrap();
    assert_eq!(sent.as_deref(), Some(b"dispatch".as_slice()));
    let again = store.send_waiting(&run, &seen(), None, NOW, |_| panic!("a second signature"));
    assert_eq!(again.unwrap(), None);
    assert_eq!(store.run(&run).unwrap().unwrap().state, RunState::Sent);
    assert_eq!(store.run_dispatch(&run).unwrap().as_deref(), Some(b"dispatch".as_slice()));
    let support = store.order(&Digest([1; 32])).unwrap().unwrap().support;
    assert_eq!(support.as_deref(), Some(b"word".as_slice()));
    let late = store.end_waiting(&run, "too late", NOW).unwrap();
    assert_eq!(late, EndedWaiting::Nothing, "it has left");
    assert_eq!(note(&room), OutboxState::Waiting);
    assert!(!lies_there(&room), "the key was used");
}

#[test]
fn what_is_taken_back_or_over_is_never_signed_and_its_note_is_due_once() {
    let (room, run) = waits();
    let end = |why| room.store.end_waiting(&run, why, NOW).unwrap();
    assert_eq!(end("taken back by m.ruiz"), EndedWaiting::NotSent);
    assert_eq!(end("again"), EndedWaiting::Nothing);
    let row = room.store.run(&run).unwrap().unwrap();
    assert_eq!(row.state, RunState::NotSent);
    assert_eq!(row.reason.as_deref(), Some("taken back by m.ruiz"));
    assert_eq!(note(&room), OutboxState::Due);
    assert!(!lies_there(&room), "the key was erased");

    let (room, run) = waits();
    let end = NOW.plus(3600);
    assert_eq!(room.store.expire_waiting("over", end).unwrap(), 0);
    // Not sent in the second after its end, whoever looks first.
    let late = end.plus(1);
    let sent = room.store.send_waiting(&run, &seen(), None, late, |_| panic!("it is over"));
    assert_eq!(sent.unwrap(), None);
    assert_eq!(room.store.expire_waiting("over", late).unwrap(), 1);
    assert_eq!(room.store.expire_waiting("over", late).unwrap(), 0);
    assert_eq!(note(&room), OutboxState::Due);
    assert!(!lies_there(&room), "the key was erased");
}

#[test]
fn an_endpoint_has_so_many_waiting_and_they_are_paged() {
    let (room, _) = waits();
    let target = EndpointId([7; 16]);
    let targets = [target];
    let max = u8::try_from(WAITING_MAX).unwrap();
    for n in 2..=max {
        let new = order(n, &targets, None);
        room.store.add_waiting(&new, (&target, &SEED), NOW.plus(60), NOW).unwrap();
    }
    let one_more = order(max + 1, &targets, None);
    let error = room.store.add_waiting(&one_more, (&target, &SEED), NOW, NOW).unwrap_err();
    assert!(matches!(error, StoreError::TooMany { .. }), "{error}");
    assert!(room.store.order(&one_more.digest).unwrap().is_none(), "whole or not at all");
    let first = room.store.waiting_page(Some(&target), None, 10).unwrap();
    let rest = room.store.waiting_page(None, first.last().map(|row| &row.run), 10).unwrap();
    assert_eq!((first.len(), rest.len()), (10, WAITING_MAX - 10));
    assert!(room.store.waiting_page(Some(&EndpointId([8; 16])), None, 10).unwrap().is_empty());
}

#[test]
fn what_waited_in_a_copy_is_never_sent_from_a_store_that_was_put_back() {
    let (room, run) = waits();
    let copy = room.path.with_file_name("copy.db");
    room.store.copy_to(&copy).unwrap();
    Store::put_back(&copy, NOW).unwrap();
    let store = Store::open(&copy).unwrap();
    let sent = store.send_waiting(&run, &seen(), None, NOW, |_| panic!("it may have run"));
    assert_eq!(sent.unwrap(), None);
    assert_eq!(store.run(&run).unwrap().unwrap().state, RunState::NotTaken);
    assert_eq!(store.outbox_row("note").unwrap().unwrap().state, OutboxState::Due);
    let back = Room { store, path: copy, _folder: room._folder };
    assert!(!lies_there(&back), "the key was erased");
}

#[test]
fn what_waits_and_is_out_in_a_file_is_never_called_not_sent() {
    for over in [false, true] {
        let (room, run) = waits();
        room.store.endpoint_seen(&EndpointId([7; 16]), &seen(), NOW).unwrap();
        let copy = room.store.carry_waiting(&run, NOW).unwrap().unwrap();
        assert_eq!((*copy.seed, copy.until), (SEED, NOW.plus(3600)));
        assert!(!format!("{copy:?}").contains("115"), "no key in a log");
        // It waits on, and may be copied again.
        assert!(room.store.waiting(&run).unwrap().is_some());
        assert!(room.store.carry_waiting(&run, NOW).unwrap().is_some());
        let row = room.store.run(&run).unwrap().unwrap();
        assert_eq!((row.state, row.carried), (RunState::Prepared, Some(NOW.plus(3600))));
        assert_eq!(row.sent_at, Some((HEAD.epoch, HEAD.counter)));

        if over {
            let late = NOW.plus(3601);
            assert!(room.store.carry_waiting(&run, late).unwrap().is_none());
            assert_eq!(room.store.expire_waiting("over", late).unwrap(), 1);
        } else {
            let ended = room.store.end_waiting(&run, "taken back", NOW).unwrap();
            assert_eq!(ended, EndedWaiting::Carried);
        }
        assert_eq!(room.store.run(&run).unwrap().unwrap().state, RunState::Carried);
        assert_eq!(note(&room), OutboxState::Waiting, "nobody knows yet");
        assert!(!lies_there(&room), "the key was erased here");
        room.store.run_not_taken(&run, "its door says so", NOW).unwrap();
        assert_eq!(note(&room), OutboxState::Due);
    }
}

#[test]
fn what_came_from_a_file_waits_no_more() {
    let (room, run) = waits();
    assert!(room.store.waiting_came(&run).unwrap());
    assert!(!room.store.waiting_came(&run).unwrap());
    assert_eq!(room.store.run(&run).unwrap().unwrap().state, RunState::Carried);
    assert!(room.store.waiting(&run).unwrap().is_none());
    assert!(!lies_there(&room));
}

#[test]
fn an_order_for_a_file_alone_is_carried_or_not_sent() {
    let room = room();
    let target = EndpointId([7; 16]);
    room.store.add_endpoint(&endpoint(7, "lt-4411"), NOW).unwrap();
    let targets = [target];
    let runs = room.store.add_order(&order(1, &targets, Some("note")), NOW).unwrap();
    let state = || room.store.run(&runs[0]).unwrap().unwrap().state;
    room.store.run_carried(&runs[0], NOW.plus(60)).unwrap();
    assert!(room.store.run_carried(&runs[0], NOW.plus(60)).is_err());
    assert_eq!((state(), note(&room)), (RunState::Carried, OutboxState::Waiting));
    room.store.run_not_carried(&runs[0], NOW).unwrap();
    assert_eq!((state(), note(&room)), (RunState::NotSent, OutboxState::Due));
    assert!(room.store.run_not_carried(&runs[0], NOW).is_err());
}
