//! Who is here, what lists show, and stores of the version before.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use protocol::{AgentName, EndpointId, Time};
use store::*;

const NOW: Time = Time(1_795_344_000);

struct Room {
    store: Store,
    _folder: tempfile::TempDir,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    Room { store: Store::create(&folder.path().join("desk.db")).unwrap(), _folder: folder }
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

#[test]
fn who_is_here_is_noted_and_nobody_else() {
    let room = room();
    for (n, name) in [(1, "lt-1"), (2, "lt-2"), (3, "lt-3")] {
        room.store.add_endpoint(&endpoint(n, name), NOW).unwrap();
    }
    let [kept, dialled, unknown] = [1, 2, 9].map(|n| EndpointId([n; 16]));
    let lines = [(kept, Way::Kept), (dialled, Way::Dialled), (unknown, Way::Kept)];
    room.store.endpoints_here(&lines, NOW.plus(60)).unwrap();
    let listed = |after: u64| -> Vec<_> {
        let all = room.store.listed(&ListFilter::default(), NOW.plus(after)).unwrap();
        all.into_iter().map(|one| (one.last_seen, one.here, one.way)).collect()
    };
    let at = Some(NOW.plus(60));
    let [first, second, third] =
        [(at, true, Some(Way::Kept)), (at, true, Some(Way::Dialled)), (None, false, None)];
    assert_eq!(listed(61), [first, second, third]);
    let seen: Vec<_> =
        room.store.endpoints().unwrap().into_iter().map(|row| row.last_seen).collect();
    assert_eq!(seen, [at, at, None]);
    room.store.endpoint_left(&dialled, NOW.plus(70)).unwrap();
    let left = (Some(NOW.plus(70)), false, Some(Way::Dialled));
    assert_eq!(listed(71), [first, left, third]);
    // A desk that was killed said nothing: after a while what it had said counts no more.
    let silent = (at, false, Some(Way::Kept));
    assert_eq!(listed(60 + store::HERE_SECONDS), [silent, left, third]);
    room.store.nobody_here().unwrap();
    assert_eq!(listed(71), [silent, left, third]);
}

#[test]
fn agents_are_here_while_a_line_of_theirs_is_up() {
    let room = room();
    let [anna, mia]: [AgentName; 2] = ["a.kaya", "m.ruiz"].map(|name| name.parse().unwrap());
    room.store.agents_here(&[anna.clone(), mia.clone()], NOW).unwrap();
    room.store.agent_left(&mia, NOW.plus(5)).unwrap();
    let seen = room.store.agents_seen(None, 0, NOW.plus(6)).unwrap();
    let seen: Vec<_> = seen.iter().map(|one| (one.name.as_str(), one.seen, one.here)).collect();
    assert_eq!(seen, [("a.kaya", NOW, true), ("m.ruiz", NOW.plus(5), false)]);
    assert_eq!(room.store.agents_seen(Some(&anna), 9, NOW.plus(6)).unwrap().len(), 1);
}

#[test]
fn a_list_has_what_is_asked_for_in_order_and_in_pages() {
    let room = room();
    for n in 0..30u8 {
        room.store.add_endpoint(&endpoint(n, &format!("lt-{n:02}")), NOW).unwrap();
    }
    room.store.set_endpoint_state(&EndpointId([7; 16]), EndpointState::Withdrawn).unwrap();
    let later = NOW.plus(100);
    room.store.endpoints_here(&[(EndpointId([3; 16]), Way::Kept)], later).unwrap();
    room.store.endpoints_here(&[(EndpointId([4; 16]), Way::Kept)], NOW.plus(10)).unwrap();
    room.store.endpoint_left(&EndpointId([4; 16]), NOW.plus(10)).unwrap();
    let names = |filter: &ListFilter| -> Vec<String> {
        let listed = room.store.listed(filter, later).unwrap();
        listed.iter().map(|one| one.name.to_string()).collect()
    };
    let all = names(&ListFilter::default());
    assert_eq!((all.len(), all.first().unwrap().as_str()), (29, "lt-00"));
    assert_eq!(all, room.store.endpoint_names().unwrap());
    let mut paged = Vec::new();
    let mut filter = ListFilter { limit: 7, ..ListFilter::default() };
    loop {
        let page = room.store.listed(&filter, later).unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.place());
        paged.extend(page.iter().map(|one| one.name.to_string()));
    }
    assert_eq!(paged, all);
    let begins = ListFilter { prefix: Some("lt-1".into()), ..ListFilter::default() };
    assert_eq!(names(&begins).len(), 10);
    let stale = ListFilter { unseen_since: Some(NOW.plus(50)), ..ListFilter::default() };
    let stale = names(&stale);
    assert!(!stale.contains(&"lt-03".to_owned()) && stale.contains(&"lt-04".to_owned()));
    assert_eq!(stale.len(), 28);
}

#[test]
fn a_store_of_the_version_before_opens_with_all_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/schema/1.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO endpoints (id, name, card, labels, enrolled, last_seen, state)
         VALUES ('0g40r40m30e209185gr38e1w8c', 'lt-1', x'00', '{}', 5, 77, 'active'),
                ('0g40r40m30e209185gr38e1w8d', 'lt-2', x'00', '{}', 5, NULL, 'active');
         PRAGMA application_id = 1935764598; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap();
    let rows: Vec<_> = store.endpoints().unwrap().into_iter().map(|row| row.last_seen).collect();
    assert_eq!(rows, [Some(Time(77)), None]);
}
