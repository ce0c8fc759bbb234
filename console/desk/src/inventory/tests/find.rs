use protocol::{Digest, EndpointId, Mode, OrderId, Time};
use store::{EndpointState, NewEndpoint, NewOrder, NewTicketRow, Store};

use crate::inventory::*;

const NOW: Time = Time(1_795_344_000);

struct Room {
    store: Books,
    _folder: tempfile::TempDir,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    Room { store: store.into(), _folder: folder }
}

fn endpoint(books: &Books, n: u8, name: &str) {
    let new = NewEndpoint {
        id: EndpointId([n; 16]),
        name: name.parse().unwrap(),
        card: Vec::new(),
        address: None,
        person: None,
        labels: std::collections::BTreeMap::new(),
        host: None,
        platform: None,
    };
    books.add_endpoint(new, NOW).unwrap();
}

fn order(books: &Books, n: u8) -> String {
    let targets = [EndpointId([1; 16])];
    let new = NewOrder {
        digest: Digest([n; 32]),
        id: OrderId([n; 16]),
        script: "cache.clear".parse().unwrap(),
        version: 1,
        mode: Mode::Check,
        agent: "a.kaya".parse().unwrap(),
        ticket: None,
        envelope: b"",
        support: None,
        targets: &targets,
        note_key: None,
        glass: None,
        file_key: None,
    };
    books.here().unwrap().add_order(&new, NOW).unwrap()[0].to_string()
}

fn candidates(unclear: Unclear) -> Vec<String> {
    match unclear {
        Unclear::Unknown { candidates, .. } | Unclear::Ambiguous { candidates, .. } => candidates,
        other => panic!("{other}"),
    }
}

#[test]
fn an_empty_store_says_none_yet() {
    let room = room();
    assert!(matches!(find_run(&room.store, "last"), Err(Unclear::None { kind: "run" })));
    assert!(matches!(find_endpoint(&room.store, "x"), Err(Unclear::None { kind: "endpoint" })));
    assert!(matches!(find_ticket(&room.store, "1"), Err(Unclear::None { kind: "ticket" })));
}

#[test]
fn runs_are_found_by_last_by_id_and_by_prefix() {
    let room = room();
    endpoint(&room.store, 1, "lt-4411");
    let ids: Vec<String> = (0..40).map(|n| order(&room.store, n)).collect();
    let newest = find_run(&room.store, "last").unwrap();
    assert_eq!(newest.id.to_string(), ids[39]);
    let one = find_run(&room.store, &ids[3]).unwrap();
    assert_eq!(one.id.to_string(), ids[3]);
    let short: String = ids[3].chars().take(8).collect();
    assert_eq!(find_run(&room.store, &short.to_uppercase()).unwrap().id, one.id);
    // Of 40 ids two begin alike; the answer names both.
    let begins = |n: usize| ids[n].chars().take(2).collect::<String>();
    let twice = (0..40).find(|a| (0..40).any(|b| *a != b && begins(*a) == begins(b)));
    if let Some(twice) = twice {
        let found = candidates(find_run(&room.store, &begins(twice)).unwrap_err());
        assert!(found.len() >= 2, "{found:?}");
        assert!(found[0].ends_with(" cache.clear on lt-4411"), "{found:?}");
    }
    let unknown = candidates(find_run(&room.store, "uuuu").unwrap_err());
    assert_eq!(unknown.len(), 5);
    assert!(find_run(&room.store, "").is_err());
    assert!(find_run(&room.store, "%").is_err());
}

#[test]
fn endpoints_are_found_by_name_and_unique_beginning() {
    let room = room();
    for (n, name) in [(1, "lt-44"), (2, "lt-4411"), (3, "pc-7")] {
        endpoint(&room.store, n, name);
    }
    assert_eq!(find_endpoint(&room.store, "lt-44").unwrap().id, EndpointId([1; 16]));
    assert_eq!(find_endpoint(&room.store, "PC").unwrap().id, EndpointId([3; 16]));
    let both = candidates(find_endpoint(&room.store, "lt").unwrap_err());
    assert_eq!(both, ["lt-44", "lt-4411"]);
    let near = candidates(find_endpoint(&room.store, "lt-4412").unwrap_err());
    assert_eq!(near[0], "lt-4411");
    // One character is a slip.
    assert!(find_endpoint(&room.store, "p").is_err());
    room.store.set_endpoint_state(EndpointId([3; 16]), EndpointState::Withdrawn).unwrap();
    assert!(find_endpoint(&room.store, "pc-7").is_err());
}

#[test]
fn tickets_are_found_by_number_and_last() {
    let room = room();
    for n in 1..=3 {
        let new = NewTicketRow {
            key: n.to_string(),
            subject: format!("subject {n}"),
            kind: "incident".to_owned(),
            channel: "desk".to_owned(),
            ..NewTicketRow::default()
        };
        room.store.here().unwrap().add_ticket(&new, NOW).unwrap();
    }
    assert_eq!(find_ticket(&room.store, "2").unwrap().1.subject, "subject 2");
    assert_eq!(find_ticket(&room.store, "#2").unwrap().1.id, 2);
    assert_eq!(find_ticket(&room.store, "last").unwrap().1.id, 3);
    let newest = candidates(find_ticket(&room.store, "77").unwrap_err());
    assert_eq!(newest[0], "3 subject 3");
    assert!(find_ticket(&room.store, "RT#1").is_err());
}

#[test]
fn callers_are_found_by_their_name_a_label_and_a_slip_and_who_is_here_comes_first() {
    let room = room();
    let books = &room.store;
    for (n, name, person) in
        [(1, "lt-2093", "jo.meyer"), (2, "lt-4411", "jo.meyer"), (3, "pc-1", "a.kaya")]
    {
        endpoint(books, n, name);
        books.set_person(EndpointId([n; 16]), person.to_owned()).unwrap();
    }
    let store = books.here().unwrap();
    store.endpoints_here(&[(EndpointId([2; 16]), Way::Kept)], NOW).unwrap();
    let names = |words: &str| -> Vec<String> {
        let found = books.search_endpoints(words.to_owned(), 9, NOW).unwrap();
        found.iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(names("meyer"), ["lt-4411", "lt-2093"]);
    assert_eq!(names("Meier"), ["lt-4411", "lt-2093"]);
    assert_eq!(names("mayer"), ["lt-4411", "lt-2093"]);
    assert_eq!(names("4411"), ["lt-4411"]);
    assert_eq!(names("pc"), ["pc-1"]);
    assert_eq!(names("nobody"), Vec::<String>::new());
    assert_eq!(names(" "), Vec::<String>::new());
    store.endpoint_left(&EndpointId([2; 16]), NOW.plus(1)).unwrap();
    let words = "disk space: / has 0 % free".to_owned();
    let health = Health { looked: NOW, level: Level::Bad, words };
    store.set_health(&EndpointId([1; 16]), &health).unwrap();
    assert_eq!(names("meyer"), ["lt-2093", "lt-4411"], "the worst comes first");
}
