//! What is erased is gone: from the file, from its log, and from nothing else.

use protocol::{Erased, ErasedBy, Retention};

use super::*;

const DAY: u64 = 86_400;
const ID: EndpointId = EndpointId([1; 16]);

/// Whether these bytes lie anywhere in the file or in its log.
fn holds(room: &Room, canary: &str) -> bool {
    let files = [room.path.clone(), room.path.with_file_name("desk.db-wal")];
    let found = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
    };
    files.iter().any(found)
}

/// A run with a body in every place, each longer than a page so that some lie on pages of their own.
fn ran(room: &Room, n: u8, script: &str, after: u64) -> RunId {
    let at = NOW.plus(after);
    let body = |what: &str| format!("canary-{what}-{n} ").repeat(600).into_bytes();
    let [order_, support, effects, plan, dispatch, sealed] = BODIES.map(body);
    let (note, envelope) = (format!("note-{n}"), format!("record-{n}").into_bytes());
    let new = NewOrder {
        script: script.parse().unwrap(),
        envelope: &order_,
        support: Some(&support),
        ..order(n, &[ID], Some(&note))
    };
    room.store.add_order(&new, at).unwrap();
    let run = RunId::of(&Digest([n; 32]), &ID, 0);
    let filed = NewRecord {
        run,
        order: Digest([n; 32]),
        endpoint: ID,
        outcome: Some(Outcome::Succeeded),
        ended: Some(at),
        envelope: &envelope,
        hash: Digest([n; 32]),
        place: Some((HEAD.epoch, u64::from(n))),
        effects: Some(&effects),
        plan: Some(&plan),
        dispatch: Some(&dispatch),
        card: Some(b"card"),
        unverified: None,
        escrow: Some((&sealed, at.plus(60))),
        reply: None,
    };
    room.store.file_record(&filed, at).unwrap();
    run
}

const BODIES: [&str; 6] = ["order", "support", "effects", "plan", "dispatch", "sealed"];

fn filled() -> Room {
    let room = room();
    room.store.add_endpoint(&endpoint(1, "lt-1"), NOW).unwrap();
    let subject = "canary-subject".to_owned();
    room.store.add_ticket(&NewTicketRow { subject, ..ticket("k") }, NOW).unwrap();
    let body = "canary-note ".repeat(500);
    let note = NewNote { ticket: 1, key: "n", public: false, author: None, body: &body };
    room.store.add_note(&note, NOW).unwrap();
    room
}

#[test]
fn what_the_rule_erases_is_in_neither_the_file_nor_its_log() {
    let room = filled();
    let (old, high) = (ran(&room, 1, "cache.clear", 0), ran(&room, 2, "user.password.reset", 0));
    let young = ran(&room, 3, "cache.clear", 50 * DAY);
    let names = ["user.password.reset".to_owned()];
    assert_eq!(room.store.retention().unwrap(), Retention { days: 400, high_days: 400 });
    assert_eq!(room.store.erase_old(&names, NOW.plus(300 * DAY)).unwrap(), Erasure::default());
    room.store.set_retention(Retention { days: 100, high_days: 200 }).unwrap();
    for what in BODIES {
        assert!(holds(&room, &format!("canary-{what}-1")), "{what} was there");
    }
    let now = NOW.plus(101 * DAY);
    assert!(room.store.retention_due(now).unwrap());
    assert_eq!(room.store.erase_old(&names, now).unwrap(), Erasure { runs: 1, notes: 0 });
    assert!(!room.store.retention_due(now.plus(DAY - 1)).unwrap());
    assert!(room.store.retention_due(now.plus(DAY)).unwrap());
    for what in BODIES {
        assert!(!holds(&room, &format!("canary-{what}-1")), "{what} is there still");
        assert!(holds(&room, &format!("canary-{what}-2")), "{what} of high risk stays longer");
        assert!(holds(&room, &format!("canary-{what}-3")), "{what} of a younger run stays");
    }
    let erased = room.store.erased(&old).unwrap();
    assert_eq!(erased, Some(Erased { at: now, by: ErasedBy::Rule }));
    assert_eq!(erased.unwrap().to_string(), "erased by rule on 2027-03-03");
    for other in [high, young] {
        assert_eq!(room.store.erased(&other).unwrap(), None);
    }
    // The record stays, and so does the word of its order.
    assert_eq!(room.store.run_record(&old).unwrap(), Some(b"record-1".to_vec()));
    assert_eq!(room.store.run_effects(&old).unwrap(), None);
    let kept = room.store.order(&Digest([1; 32])).unwrap().unwrap();
    assert!(kept.envelope.is_empty() && kept.script.as_str() == "cache.clear");

    // Notes stand for runs of both kinds: they go with the longer time.
    assert!(holds(&room, "canary-note"));
    let later = room.store.erase_old(&names, NOW.plus(201 * DAY)).unwrap();
    assert_eq!(later, Erasure { runs: 2, notes: 1 });
    assert!(!holds(&room, "canary-note") && !holds(&room, "canary-order-2"));
    assert_eq!(room.store.notes(1).unwrap()[0].body, "erased by rule on 2027-06-11");
    room.store.check().unwrap();
}

#[test]
fn a_person_asks_and_one_ticket_is_erased_at_once() {
    let room = filled();
    let run = ran(&room, 1, "cache.clear", 0);
    let done = room.store.erase_ticket("2", NOW.plus(5)).unwrap();
    assert_eq!(done, Erasure::default(), "another ticket");
    assert_eq!(room.store.erase_ticket("1", NOW.plus(9)).unwrap(), Erasure { runs: 1, notes: 1 });
    for what in BODIES {
        assert!(!holds(&room, &format!("canary-{what}-1")), "{what} is there still");
    }
    assert!(!holds(&room, "canary-note") && !holds(&room, "canary-subject"));
    let by = room.store.erased(&run).unwrap().unwrap().by;
    assert_eq!(by, ErasedBy::Request);
    assert_eq!(room.store.erase_ticket("1", NOW.plus(10)).unwrap(), Erasure::default(), "once");
}

#[test]
fn a_run_that_goes_on_keeps_its_order_however_old_it_is() {
    let room = filled();
    room.store.add_order(&order(1, &[ID], None), NOW).unwrap();
    let late = NOW.plus(1000 * DAY);
    assert_eq!(room.store.erase_old(&[], late).unwrap().runs, 0);
    assert_eq!(room.store.order(&Digest([1; 32])).unwrap().unwrap().envelope, b"order");
    assert_eq!(room.store.erase_ticket("1", late).unwrap().runs, 0);
}
