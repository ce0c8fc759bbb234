//! A copy made under the eyes of writers, and what a copy that was put back does not repeat.

use std::os::unix::fs::PermissionsExt as _;

use protocol::{Digest, Time};
use store::{NewTicketRow, Store, StoreError, TicketFilter};

const NOW: Time = Time(1_795_344_000);

fn ticket(n: u64) -> NewTicketRow {
    NewTicketRow {
        key: format!("key-{n}"),
        subject: format!("subject {n}"),
        body: String::new(),
        kind: "incident".to_owned(),
        category: None,
        channel: "phone".to_owned(),
        requester: None,
        assignee: None,
        endpoint: None,
        blocked: 0,
    }
}

#[test]
fn a_copy_is_one_moment_while_others_write_and_its_numbers_never_mean_another_ticket() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    let writer = Store::open(store.path()).unwrap();
    let copy = folder.path().join("copy.db");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let done = &done;
        scope.spawn(move || {
            for n in 1.. {
                writer.add_ticket(&ticket(n), NOW).unwrap();
                let _ = tell.try_send(());
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        told.recv().unwrap();
        store.copy_to(&copy).unwrap();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        matches!(store.copy_to(&copy), Err(StoreError::Open { .. })),
        "nothing is written over"
    );
    Store::put_back(&copy, NOW).unwrap();
    for beside in ["copy.db-wal", "copy.db-shm"] {
        assert!(!folder.path().join(beside).exists(), "{beside}");
    }
    let back = Store::open(&copy).unwrap();
    let held = back.tickets(&TicketFilter::default()).unwrap();
    let mut numbers: Vec<u64> = held.iter().map(|row| row.id).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=held.len() as u64).collect::<Vec<_>>());
    let next = back.add_ticket(&ticket(0), NOW).unwrap();
    assert_eq!(next, held.len() as u64 + 1001);
}

#[test]
fn a_token_that_was_open_when_the_copy_was_made_is_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    let secret = Digest([7; 32]);
    store.add_token(&secret, store::TokenKind::Endpoint, "lt-4411", NOW, NOW.plus(600)).unwrap();
    assert!(store.tokens().unwrap()[0].used.is_none());
    let copy = folder.path().join("copy.db");
    store.copy_to(&copy).unwrap();
    Store::put_back(&copy, NOW.plus(1)).unwrap();
    assert!(Store::open(&copy).unwrap().tokens().unwrap()[0].used.is_some());
}
