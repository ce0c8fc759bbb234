//! Answers that were lost on the way, and address books that are large.

use super::*;

#[test]
fn an_answer_that_did_not_arrive_is_given_again_and_leaves_the_name_free() {
    let (_dir, desk) = desk();
    let token = wave(&desk);
    let request = of_wave(&token, "lt-1", 1);
    let card = |granted: &admit::Granted| {
        let answer: EnrolAnswer = protocol::json::read(&granted.answer).unwrap();
        answer.card
    };
    let first = asked(&desk, &request, 1, NOW).unwrap();
    first.take_back(&desk).unwrap();
    let named = || desk.store.endpoint_named("lt-1".parse().unwrap()).unwrap();
    assert!(named().is_none());
    // The same machine, by the keys that it kept: the same card, and no other place.
    let again = asked(&desk, &request, 1, NOW).unwrap();
    assert_eq!((card(&again), &again.joined), (card(&first), &first.joined));
    assert_eq!(
        (named().unwrap().state, places_taken(&desk, &token)),
        (store::EndpointState::Active, 1)
    );
    // Also where the desk believed that it arrived.
    assert_eq!(card(&asked(&desk, &request, 1, NOW).unwrap()), card(&first));
    let twin =
        EnrolRequest { sealing_key: of_wave(&token, "lt-1", 7).sealing_key, ..request.clone() };
    assert_eq!(asked(&desk, &twin, 1, NOW).unwrap_err(), Stop::Held, "one key is another one's");

    // Others do not get its answer, and its name is free for them where it never came.
    again.take_back(&desk).unwrap();
    asked(&desk, &of_wave(&token, "lt-1", 2), 2, NOW).unwrap();
    assert!(named().is_some());
    assert_eq!(places_taken(&desk, &token), 2);
    assert_eq!(asked(&desk, &request, 1, NOW).unwrap_err(), Stop::Held, "somebody else has it");
}

#[test]
fn who_was_seen_or_withdrawn_is_not_answered_again() {
    let (_dir, desk) = desk();
    let token = wave(&desk);
    let request = of_wave(&token, "lt-1", 1);
    asked(&desk, &request, 1, NOW).unwrap();
    assert_eq!(asked(&desk, &request, 1, NOW.plus(3600)).unwrap_err(), Stop::Token, "it is over");
    let row = desk.store.endpoint_named("lt-1".parse().unwrap()).unwrap().unwrap();
    let head =
        protocol::documents::Head { epoch: Digest([1; 32]), counter: 0, hash: Digest([1; 32]) };
    let versions = protocol::documents::CatalogueVersions::default();
    let seen = store::Seen { versions, head, daemon: "0.1.0", clock: NOW, at: NOW };
    desk.store.here().unwrap().endpoint_seen(&row.id, &seen, NOW).unwrap();
    assert_eq!(asked(&desk, &request, 1, NOW).unwrap_err(), Stop::Held, "it was here");

    let other = of_wave(&token, "lt-2", 2);
    asked(&desk, &other, 2, NOW).unwrap();
    let admins = [desk.home.held_key(Held::Admin, &"a.kaya".parse().unwrap(), PASSPHRASE).unwrap()];
    let row = desk.store.endpoint_named("lt-2".parse().unwrap()).unwrap().unwrap();
    desk.withdraw_endpoint(&row, &admins, NOW).unwrap();
    assert_eq!(asked(&desk, &other, 2, NOW).unwrap_err(), Stop::Token, "its card is denied");
}

#[tokio::test]
async fn a_colleague_joins_an_organisation_of_thousands() {
    let (dir, desk) = desk();
    let enroller = desk.home.online_key(Online::Enroller).unwrap();
    let known: Vec<store::NewEndpoint> = (0..3000u64)
        .map(|n| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let card = Card {
                endpoint: protocol::EndpointId(id),
                name: format!("lt-{n}").parse().unwrap(),
                tls_key: Digest([1; 32]),
                record_key: enroller.public_key(),
                sealing_key: SealingSecret::from_seed([5; 32]).public().unwrap(),
                labels: BTreeMap::new(),
                serial: n,
                issued: NOW,
                not_after: NOW.plus(3600),
            };
            store::NewEndpoint {
                id: card.endpoint,
                name: card.name.clone(),
                card: seal::seal(&card, &[&enroller]).unwrap().write().unwrap(),
                address: Some(format!("10.0.0.1:{n}")),
                person: None,
                labels: BTreeMap::new(),
                host: None,
                platform: None,
            }
        })
        .collect();
    assert_eq!(desk.store.here().unwrap().add_unknown_endpoints(&known, NOW).unwrap(), 3000);
    assert_eq!(desk.store.here().unwrap().add_unknown_endpoints(&known, NOW).unwrap(), 0);
    // Its address book is larger than any catalogue.
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let mut door = Door::for_agent(desk.clone(), HERE, colleague(&desk), now).unwrap();
    let invitation: Invitation = door.token().parse().unwrap();
    let home = Home::new(dir.path().join("theirs"));
    let (joined, organisation) =
        tokio::join!(door.wait(&mut nobody), join(&home, &invitation, None, NOW));
    assert!(joined.is_ok() && organisation.is_ok(), "{joined:?} {organisation:?}");
    let theirs = Desk::open(home).unwrap();
    assert_eq!(theirs.store.endpoints().unwrap().len(), 3000);
}
