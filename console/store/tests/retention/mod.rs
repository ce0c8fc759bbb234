//! What is erased is gone: from the file, from its log, and from nothing else.

use protocol::documents::ContactKind;
use protocol::{AgentName, Erased, ErasedBy, Retention};

use super::*;

const DAY: u64 = 86_400;
const ID: EndpointId = EndpointId([1; 16]);

fn agent(name: &str) -> AgentName {
    name.parse().unwrap()
}

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
    ran_at(room, n, script, (NOW.plus(after), NOW.plus(after)))
}

/// The same, ordered now.
fn ran_until(room: &Room, n: u8, script: &str, ended: Time) -> RunId {
    ran_at(room, n, script, (NOW, ended))
}

fn ran_at(room: &Room, n: u8, script: &str, (at, ended): (Time, Time)) -> RunId {
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
        ended: Some(ended),
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
    let kept = || room.store.retention(NOW).unwrap();
    assert_eq!(kept().rule, Retention { days: 400, high_days: 400 });
    assert_eq!(room.store.erase_old(&names, NOW.plus(300 * DAY)).unwrap(), Erasure::default());
    let shorter = Retention { days: 100, high_days: 200 };
    room.store.set_retention(shorter, &agent("m.ruiz"), NOW).unwrap();
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
    let done =
        room.store.erase_ticket(&"2".parse().unwrap(), &agent("m.ruiz"), NOW.plus(5)).unwrap();
    assert_eq!(done, Erasure::default(), "another ticket");
    let own = |at| room.store.erase_ticket(&"1".parse().unwrap(), &agent("m.ruiz"), at).unwrap();
    assert_eq!(own(NOW.plus(9)), Erasure { runs: 1, notes: 1 });
    for what in BODIES {
        assert!(!holds(&room, &format!("canary-{what}-1")), "{what} is there still");
    }
    assert!(!holds(&room, "canary-note") && !holds(&room, "canary-subject"));
    let by = room.store.erased(&run).unwrap().unwrap().by;
    assert_eq!(by, ErasedBy::Request);
    assert_eq!(own(NOW.plus(10)), Erasure::default(), "once");
    // Who had it done stays, and nothing of the ticket but its number.
    let told = room.store.retention(NOW.plus(11)).unwrap().erasures;
    let seen: Vec<_> = told.iter().map(|one| (one.at, one.done.runs)).collect();
    assert_eq!(seen, [(NOW.plus(10), 0), (NOW.plus(9), 1), (NOW.plus(5), 0)]);
    assert_eq!((&told[1].ticket, &told[1].by), (&"1".parse().ok(), &Some(agent("m.ruiz"))));
}

#[test]
fn a_run_that_goes_on_keeps_its_order_however_old_it_is() {
    let room = filled();
    room.store.add_order(&order(1, &[ID], None), NOW).unwrap();
    let late = NOW.plus(1000 * DAY);
    assert_eq!(room.store.erase_old(&[], late).unwrap().runs, 0);
    assert_eq!(room.store.order(&Digest([1; 32])).unwrap().unwrap().envelope, b"order");
    let own = room.store.erase_ticket(&"1".parse().unwrap(), &agent("m.ruiz"), late).unwrap();
    assert_eq!(own.runs, 0);
}

#[test]
fn a_rule_that_was_shortened_counts_a_week_later_and_says_who() {
    let room = filled();
    ran(&room, 1, "cache.clear", 0);
    let at = |day| NOW.plus(day * DAY);
    let rule = |days, high_days| Retention { days, high_days };
    let set = |rule, by, day| room.store.set_retention(rule, &agent(by), at(day)).unwrap();
    set(rule(30, 500), "m.ruiz", 99);
    let seen = room.store.retention(at(99)).unwrap();
    // What is longer is at once.
    assert_eq!(
        (seen.rule, seen.set_by, seen.set_at),
        (rule(400, 500), Some(agent("m.ruiz")), Some(at(99)))
    );
    let next = seen.next.unwrap();
    assert_eq!((next.rule, next.from), (rule(30, 500), at(106)));
    let nothing = Erasure::default();
    assert_eq!(room.store.erase_old(&[], at(106).minus(1)).unwrap(), nothing);
    // Somebody sees it, and sets it back.
    set(rule(400, 500), "a.kaya", 105);
    assert_eq!(room.store.retention(at(105)).unwrap().next, None);
    assert_eq!(room.store.erase_old(&[], at(120)).unwrap(), nothing);
    // Asked again it begins again.
    set(rule(30, 500), "m.ruiz", 120);
    set(rule(30, 500), "m.ruiz", 122);
    assert_eq!(room.store.erase_old(&[], at(128)).unwrap(), nothing);
    assert_eq!(room.store.retention(at(129)).unwrap().rule, rule(30, 500));
    assert_eq!(room.store.erase_old(&[], at(129)).unwrap().runs, 1);
    let told = room.store.retention(at(129)).unwrap().erasures;
    assert_eq!((told.len(), &told[0].ticket, &told[0].by), (1, &None, &Some(agent("m.ruiz"))));
    // Once in force it stays, also when another field is set longer.
    set(rule(30, 600), "a.kaya", 130);
    let seen = room.store.retention(at(130)).unwrap();
    assert_eq!((seen.rule, seen.next), (rule(30, 600), None));
}

#[test]
fn a_run_is_as_old_as_its_end_but_no_clock_keeps_it() {
    let room = filled();
    let [late, liar] = [(1, DAY), (2, 9999 * DAY)]
        .map(|(n, ended)| ran_until(&room, n, "cache.clear", NOW.plus(ended)));
    let gone = |day: u64| {
        room.store.erase_old(&[], NOW.plus(day * DAY)).unwrap();
        [late, liar].map(|run| room.store.erased(&run).unwrap().is_some())
    };
    assert_eq!(gone(400), [false, false]);
    assert_eq!(gone(401), [true, false]);
    assert_eq!(gone(402), [true, true]);
}

/// A code of a ticket, said or not.
fn code(room: &Room, ticket: &str, said: bool) {
    let (ticket, agent, script) =
        (ticket.parse().unwrap(), agent("a.kaya"), "cache.clear".parse().unwrap());
    let new = NewCode {
        of: CodeFor { ticket: &ticket, agent: &agent, script: &script },
        endpoint: Some(ID),
        person: &format!("canary-person-{ticket}"),
        kind: ContactKind::Mail,
        masked: "j…@example.com",
        on_file: NOW,
        nonce: [0; 16],
        mark: Digest([0; 32]),
    };
    let id = room.store.add_code(&new, NOW).unwrap().unwrap();
    if said {
        room.store.code_right(id, NOW).unwrap();
    }
}

#[test]
fn codes_end_with_their_last_order_or_with_their_ticket() {
    let room = filled();
    let there = || ["1", "2"].map(|ticket| holds(&room, &format!("canary-person-{ticket}")));
    code(&room, "1", true);
    code(&room, "2", false);
    let jo = "canary-person-contact";
    room.store
        .set_contact(jo, (ContactKind::Mail, "jo@example.com"), &agent("m.ruiz"), NOW)
        .unwrap();
    // An order that rests on it may wait for a day.
    room.store.erase_old(&[], NOW.plus(DAY)).unwrap();
    assert_eq!(there(), [true, true]);
    room.store.erase_ticket(&"1".parse().unwrap(), &agent("m.ruiz"), NOW.plus(DAY)).unwrap();
    assert_eq!(there(), [false, true]);
    room.store.erase_old(&[], NOW.plus(2 * DAY)).unwrap();
    assert_eq!(there(), [false, false]);
    assert!(room.store.contact(jo).unwrap().is_some(), "a contact is no ticket's");
}
