//! Heads that were seen: what does not fit is told, by whoever saw more, and stays.

use protocol::documents::{Misfit, Sighting};

use super::*;

const ID: EndpointId = EndpointId([1; 16]);

fn head(counter: u64, hash: u8) -> Head {
    Head { epoch: HEAD.epoch, counter, hash: Digest([hash; 32]) }
}

/// What a hello with this head does not fit, `after` seconds.
fn see(store: &Store, head: Head, after: u64) -> Vec<Misfit> {
    let (versions, at) = (CatalogueVersions::default(), NOW.plus(after));
    let seen = Seen { versions, head, daemon: "0.1.0", clock: at, at };
    let doubts = store.endpoint_seen(&ID, &seen, at).unwrap();
    doubts.into_iter().map(|doubt| doubt.misfit).collect()
}

fn by(name: &str, head: Head, after: u64) -> Sighting {
    let at = NOW.plus(after);
    Sighting { head, clock: at, seen: at, by: name.parse().ok() }
}

fn machine() -> Room {
    let room = room();
    room.store.add_endpoint(&endpoint(1, "lt-1"), NOW).unwrap();
    room
}

#[test]
fn a_rewound_ledger_is_seen_at_the_next_hello_and_stays_told() {
    let room = machine();
    let store = &room.store;
    assert_eq!(see(store, head(4, 4), 1), []);
    assert_eq!(see(store, head(4, 4), 2), []);
    assert_eq!(see(store, head(6, 6), 3), []);
    assert_eq!(store.doubts_page(None, 9).unwrap(), []);
    assert_eq!(see(store, head(5, 5), 4), [Misfit::Rewound]);
    // It grew past what was known: what was seen of it before stays.
    for counter in 7..40 {
        see(store, head(counter, 100), u64::from(counter as u8));
    }
    let page = store.doubts_page(None, 9).unwrap();
    let [told] = page.as_slice() else { panic!("{page:?}") };
    assert_eq!((told.endpoint, told.name.as_str()), (ID, "lt-1"));
    assert_eq!((told.doubt.had.head.counter, told.doubt.shows.head.counter), (6, 5));
    // One that was taken out of service needs nobody.
    store.set_endpoint_state(&ID, EndpointState::Replaced).unwrap();
    assert_eq!(store.doubts_page(None, 9).unwrap(), []);
}

#[test]
fn a_head_that_went_back_to_what_was_seen_once_is_the_later_sighting() {
    let room = machine();
    assert_eq!(see(&room.store, head(4, 4), 1), []);
    assert_eq!(see(&room.store, head(6, 6), 2), []);
    assert_eq!(see(&room.store, head(4, 4), 9), [Misfit::Rewound]);
    let page = room.store.doubts_page(None, 9).unwrap();
    assert_eq!(page[0].doubt.shows.seen, NOW.plus(9));
}

#[test]
fn whoever_saw_more_tells_it_to_the_desk_whatever_came_first() {
    let room = machine();
    let store = &room.store;
    assert_eq!(see(store, head(5, 5), 9), []);
    let more = by("m.ruiz", head(7, 7), 5);
    let doubts = store.add_head(&ID, &more, Some((b"seen", b"hello")), &|_| true).unwrap();
    assert_eq!(doubts.len(), 1);
    assert_eq!((doubts[0].misfit, &doubts[0].had), (Misfit::Rewound, &more));
    let rows = store.heads(&ID).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].envelope, Some(protocol::Bytes(b"seen".to_vec())));
    // The desk saw the same head first: the person's papers are added, and nothing is told twice.
    let same = by("a.kaya", head(5, 5), 10);
    let proves = |row: &HeadRow| row.envelope.is_some();
    store.add_head(&ID, &same, Some((b"seen", b"hello")), &proves).unwrap();
    let rows = store.heads(&ID).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.hello.is_some()));
    assert_eq!(store.doubts_page(None, 9).unwrap().len(), 1);
}

#[test]
fn papers_that_prove_nothing_make_way_and_the_first_that_do_stay() {
    let room = machine();
    let store = &room.store;
    let kept = || {
        let row = store.heads(&ID).unwrap().remove(0);
        (row.sighting.by.unwrap().to_string(), row.envelope.unwrap().0)
    };
    let proves = |row: &HeadRow| row.envelope.as_ref().is_some_and(|bytes| bytes.0 != b"junk");
    let add = |name, after, seen: &[u8]| {
        let sighting = by(name, head(5, 5), after);
        store.add_head(&ID, &sighting, Some((seen, b"hello")), &proves).unwrap();
    };
    add("m.ruiz", 1, b"junk");
    assert_eq!(kept(), ("m.ruiz".to_owned(), b"junk".to_vec()));
    add("a.kaya", 2, b"good");
    assert_eq!(kept(), ("a.kaya".to_owned(), b"good".to_vec()));
    add("c.lange", 3, b"later");
    assert_eq!(kept(), ("a.kaya".to_owned(), b"good".to_vec()));
    assert_eq!(store.heads(&ID).unwrap().len(), 1);
}

#[test]
fn a_record_that_is_here_contradicts_a_head_as_another_head_does() {
    let room = machine();
    for counter in [1, 2] {
        audit::filed(&room.store, counter, true);
    }
    assert_eq!(see(&room.store, head(2, 2), 10), []);
    assert_eq!(see(&room.store, head(2, 9), 11)[0], Misfit::Forked);
    let room = machine();
    for counter in [1, 2, 3] {
        audit::filed(&room.store, counter, true);
    }
    // A hello that was made before the last record is no doubt; one that was made after it is.
    assert_eq!(see(&room.store, head(2, 2), 2), []);
    assert_eq!(see(&room.store, head(2, 2), 10), [Misfit::Rewound]);
    let page = room.store.doubts_page(None, 9).unwrap();
    assert_eq!(page[0].doubt.had.head.counter, 3);
}

#[test]
fn the_newest_heads_are_kept_and_of_older_ones_the_first_of_each_week() {
    let room = machine();
    let day = 86_400;
    for n in 1..=60_u64 {
        assert_eq!(see(&room.store, head(n, u8::try_from(n).unwrap()), n * day), []);
    }
    let rows = room.store.heads(&ID).unwrap();
    let after = |n| room.store.head_after(&ID, &HEAD.epoch, n).unwrap();
    assert_eq!(after(1), None, "nobody countersigned one");
    let papers: (&[u8], &[u8]) = (b"seen", b"hello");
    room.store
        .add_head(&ID, &by("m.ruiz", head(60, 60), 60 * day), Some(papers), &|row| {
            row.envelope.is_some()
        })
        .unwrap();
    assert_eq!(after(9).unwrap().sighting.head.counter, 60);
    assert_eq!(after(61), None);
    let counters: Vec<u64> = rows.iter().map(|row| row.sighting.head.counter).collect();
    assert_eq!(counters[..8], [60, 59, 58, 57, 56, 55, 54, 53]);
    let older = &counters[8..];
    assert!((7..=9).contains(&older.len()), "{older:?}");
    assert!(older.windows(2).all(|two| two[0] - two[1] <= 7), "{older:?}");
    assert_eq!(older.last(), Some(&1));
}
