//! Who answered, over real QUIC on loopback with a machine's double.

use protocol::documents::CatalogueVersions;

use super::double::{House, Machine, Quirk, house, now};
use super::*;

/// Opens a session while the machine serves.
async fn meet(house: &House, machine: Machine) -> Result<Session, SessionError> {
    tokio::select! {
        opened = Session::open(&house.agent, &house.row, now()) => opened,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    }
}

#[tokio::test]
async fn a_session_is_with_the_machine_that_the_card_names() {
    let (house, machine) = house(Quirk::None);
    let session = meet(&house, machine).await.unwrap();
    assert_eq!(session.card().name, house.row.name);
    assert_eq!(session.hello().card, session.card().digest());
    assert_eq!(session.card_envelope(), house.row.card);
    assert!(house.seen.lock().unwrap().files.is_empty(), "nothing was behind");
}

#[tokio::test]
async fn whoever_cannot_prove_it_is_not_spoken_with() {
    use BadPeer::{Hello, Seal, Version};
    let said = |quirk| async move {
        let (house, machine) = house(quirk);
        match meet(&house, machine).await {
            Err(SessionError::Peer(peer)) => peer,
            other => panic!("{quirk:?}: {other:?}"),
        }
    };
    assert!(matches!(said(Quirk::ForeignCard).await, Seal("card", _)));
    assert!(matches!(said(Quirk::ForeignHello).await, Seal("hello", _)));
    assert!(matches!(said(Quirk::HelloOfAnotherCard).await, Hello));
    assert!(matches!(said(Quirk::OtherVersion).await, Version { min: 9, max: 9 }));
}

#[tokio::test]
async fn a_good_card_of_another_machine_or_time_is_refused() {
    let resealed = |machine: &mut Machine, house: &House| {
        let enroller = house.desk.home.online_key(crate::home::Online::Enroller).unwrap();
        machine.card_envelope = trust::seal::seal(&machine.card, &[&enroller]).unwrap();
    };
    let (house_, mut machine) = house(Quirk::None);
    machine.card.name = "pc-1".parse().unwrap();
    resealed(&mut machine, &house_);
    let error = meet(&house_, machine).await.unwrap_err();
    assert!(matches!(error, SessionError::Peer(BadPeer::Another { .. })), "{error:?}");

    let (house_, mut machine) = house(Quirk::None);
    machine.card.tls_key = Digest([1; 32]);
    resealed(&mut machine, &house_);
    let error = meet(&house_, machine).await.unwrap_err();
    assert!(matches!(error, SessionError::Peer(BadPeer::Key)), "{error:?}");

    let (house_, mut machine) = house(Quirk::None);
    machine.card.not_after = now().minus(1);
    resealed(&mut machine, &house_);
    let error = meet(&house_, machine).await.unwrap_err();
    assert!(matches!(error, SessionError::Peer(BadPeer::CardExpired { .. })), "{error:?}");

    let (house_, mut machine) = house(Quirk::None);
    machine.card.serial = 6;
    resealed(&mut machine, &house_);
    let error = meet(&house_, machine).await.unwrap_err();
    let old = BadPeer::OldCard { shown: 6, known: 7 };
    assert!(matches!(&error, SessionError::Peer(peer) if peer.to_string() == old.to_string()));
}

#[tokio::test]
async fn a_second_key_under_one_id_is_refused_whoever_signed_its_card() {
    let (house, machine) = house(Quirk::None);
    let mut before = machine.card.clone();
    before.record_key = protocol::PublicKey([5; 32]);
    house.agent.machines.meet(&before, |_| false, now()).unwrap();
    let error = meet(&house, machine).await.unwrap_err();
    assert!(matches!(error, SessionError::Peer(BadPeer::Stranger(_))), "{error:?}");
}

#[tokio::test]
async fn a_machine_that_is_behind_gets_what_it_lacks() {
    let (house, mut machine) = house(Quirk::None);
    machine.versions = CatalogueVersions::default();
    meet(&house, machine).await.unwrap();
    let seen = house.seen.lock().unwrap();
    let sent: std::collections::BTreeMap<_, _> = seen.files.iter().cloned().collect();
    let all = trust::catalogue::delta(CatalogueVersions::default(), &house.agent.files);
    assert!(!sent.is_empty());
    assert_eq!(sent, all.0);
}

#[tokio::test]
async fn a_refused_update_is_told_with_its_code() {
    let (house, mut machine) = house(Quirk::RefusesUpdate);
    machine.versions.timestamp = 0;
    let error = meet(&house, machine).await.unwrap_err();
    assert!(matches!(&error, SessionError::Catalogue { code, .. } if code == "rollback"));
}

#[tokio::test]
async fn a_machine_that_is_away_is_told_from_one_nobody_can_find() {
    let (mut house, machine) = house(Quirk::None);
    drop(machine);
    let error = Session::open(&house.agent, &house.row, now()).await.unwrap_err();
    let SessionError::Dial(dial) = &error else { panic!("{error:?}") };
    assert!(matches!(dial, DialError::NothingListens { .. }), "{dial:?}");
    assert!(!error.may_have_arrived());
    house.row.address = None;
    let error = Session::open(&house.agent, &house.row, now()).await.unwrap_err();
    assert!(matches!(error, SessionError::NoAddress { .. }));
}

#[tokio::test]
async fn a_withdrawn_agent_hears_that_it_was_refused() {
    let (house, machine) = house(Quirk::None);
    let leaf = house.agent.identity.certificates.first().unwrap();
    let serial = certs::read(leaf).unwrap().serial;
    let people = &house.agent.policy.file().cas.people;
    let trust = link::Trust {
        cas: people.iter().map(|der| der.0.clone()).collect(),
        organisation: house.agent.organisation.clone(),
        denied: vec![serial.to_vec()],
        floor: protocol::Time(0),
    };
    machine.listener.set_trust(&trust).unwrap();
    let error = meet(&house, machine).await.unwrap_err();
    let refused = LinkError::Refused(Objection::Withdrawn);
    assert!(matches!(&error, SessionError::Line(line) if *line == refused), "{error:?}");
}

#[tokio::test]
async fn dispatches_count_up_under_one_challenge() {
    let (house, machine) = house(Quirk::None);
    let session = meet(&house, machine).await.unwrap();
    for number in 1..4 {
        let sealed = session.dispatch(Digest([5; 32]), &house.agent.signing, now()).await.unwrap();
        let key = house.agent.signing.public_key();
        let dispatch = trust::seal::open_one::<Dispatch>(&sealed, &key).unwrap();
        assert_eq!((dispatch.number, dispatch.challenge), (number, Digest([0x55; 32])));
        assert_eq!(dispatch.endpoint, house.row.id);
    }
}
