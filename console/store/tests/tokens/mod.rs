//! Tokens and who is admitted with them; a store of an older version.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_token_has_one_winner() {
    let room = room();
    let secret = Digest::of(b"secret");
    let later = NOW.plus(900);
    room.store.add_token(&secret, TokenKind::Endpoint, "lt-1", NOW, later).unwrap();
    assert!(matches!(
        room.store.take_token(&secret, TokenKind::Agent, NOW),
        Err(StoreError::Token)
    ));
    assert!(matches!(
        room.store.take_token(&secret, TokenKind::Endpoint, later),
        Err(StoreError::Token)
    ));
    let winners = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mine = Store::open(&room.path).unwrap();
                    mine.take_token(&secret, TokenKind::Endpoint, NOW).is_ok()
                })
            })
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
}

#[test]
fn a_store_of_the_first_version_opens_with_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../src/schema/1.sql")).unwrap();
    old.pragma_update(None, "application_id", 0x7361_6c76).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let secret = Digest::of(b"old");
    let sql =
        "INSERT INTO tokens (secret, kind, name, made, expires) VALUES (?1, 'endpoint', 'x', 1, 9)";
    old.execute(sql, [secret.to_string()]).unwrap();
    drop(old);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        let store = Store::open(&path).unwrap();
        assert_eq!(store.token(&secret).unwrap().unwrap().enrolment, None);
        assert!(store.held().unwrap().is_empty());
    }
}

#[test]
fn a_token_admits_as_many_as_it_has_places_and_a_failure_takes_none() {
    let room = room();
    let (secret, later) = (Digest::of(b"wave"), NOW.plus(900));
    let wave = Enrolment { labels: BTreeMap::new(), person: None, places: 3, taken: 0 };
    room.store.add_enrolment(&secret, "lt-*", &wave, NOW, later).unwrap();
    let admit = |n: u8, name: &str, at| room.store.admit_endpoint(&secret, &endpoint(n, name), at);
    admit(1, "lt-1", NOW).unwrap();
    assert!(matches!(admit(2, "lt-1", NOW), Err(StoreError::Duplicate { .. })), "a taken name");
    assert!(matches!(admit(2, "lt-2", later), Err(StoreError::Token)), "too late");
    let taken = || room.store.token(&secret).unwrap().unwrap().enrolment.unwrap().taken;
    assert_eq!(taken(), 1);
    let winners = std::thread::scope(|scope| {
        let tries: Vec<_> = (2..8u8)
            .map(|n| scope.spawn(move || (n, format!("lt-{n}"))))
            .map(|named| named.join().unwrap())
            .map(|(n, name)| scope.spawn(move || admit(n, &name, NOW).is_ok()))
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((winners, taken()), (2, 3));
    assert_eq!(room.store.endpoints().unwrap().len(), 3);
    assert!(!room.store.void_token(&secret, NOW).unwrap(), "it is used up");
    let other = Digest::of(b"other");
    room.store.add_enrolment(&other, "lt-*", &wave, NOW, later).unwrap();
    assert!(room.store.void_token(&other, NOW).unwrap());
    assert!(matches!(
        room.store.admit_endpoint(&other, &endpoint(99, "lt-99"), NOW),
        Err(StoreError::Token)
    ));
}

#[test]
fn who_comes_under_a_taken_name_is_held_until_a_person_decides() {
    let room = room();
    let row = |name: &str, at| HeldRow {
        name: name.parse().unwrap(),
        host: "LAPTOP".into(),
        address: "192.0.2.7:9".into(),
        at,
    };
    for n in 0..=protocol::limits::HELD_MAX as u64 {
        room.store.hold(&row(&format!("lt-{n}"), NOW.plus(n))).unwrap();
    }
    room.store.hold(&row("lt-5", NOW.plus(99_999))).unwrap();
    let held = room.store.held().unwrap();
    assert_eq!((held.len(), held[0].name.as_str()), (protocol::limits::HELD_MAX, "lt-5"));
    assert!(room.store.forget_held(&"lt-5".parse().unwrap()).unwrap());
    assert!(!room.store.forget_held(&"lt-5".parse().unwrap()).unwrap());
}
