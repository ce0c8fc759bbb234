//! What a dialling side is told when it does not get through: each cause apart from the others.

use std::time::Duration;

use protocol::{Digest, limits};
use tokio::time::timeout;

use super::papers::{CLIENT, SERVER};
use super::*;
use crate::{CertificateFault, DialError, Objection, dial, dial_pinned, spki_digest};

/// What an agent is told about an endpoint that shows this leaf.
async fn told(leaf: &Leaf, expect: &Expect, change: impl FnOnce(&mut Trust)) -> DialError {
    let (people, machines) = (Ca::new("people"), Ca::new("machines"));
    let me = machines.issue(leaf);
    let mut listener = Listener::bind("127.0.0.1:0", &me, &trust(&people)).unwrap();
    let address = listener.address().unwrap().to_string();
    let agent = people.issue(&Leaf::agent("a.kaya"));
    let mut trust = trust(&machines);
    change(&mut trust);
    let dialled = dial(&address, &agent, &trust, expect);
    tokio::select! {
        dialled = dialled => dialled.unwrap_err(),
        _ = listener.accept() => panic!("a client that refuses the server was admitted"),
    }
}

fn fault(error: DialError) -> CertificateFault {
    match error {
        DialError::Certificate { source, .. } | DialError::Expired { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_server_certificate_is_named() {
    let good = Leaf::endpoint("e1");
    let e1 = endpoint("e1");
    let other_ca = told(&good, &e1, |trust| trust.cas = vec![Ca::new("machines").der()]).await;
    assert_eq!(fault(other_ca), CertificateFault::UnknownIssuer);
    let machine = told(&good, &endpoint("e2"), |_| {}).await;
    assert_eq!(fault(machine), CertificateFault::Id);
    let role = told(&Leaf::of(Role::Agent, "e1", SERVER), &e1, |_| {}).await;
    assert_eq!(fault(role), CertificateFault::Role);
    let key = Expect { key: Some(Digest([7; 32])), ..e1.clone() };
    assert_eq!(fault(told(&good, &key, |_| {}).await), CertificateFault::Key);
    let purpose = told(&Leaf::of(Role::Endpoint, "e1", CLIENT), &e1, |_| {}).await;
    let both = Leaf { purposes: vec![CLIENT, SERVER], ..good.clone() };
    assert_eq!(fault(told(&both, &endpoint("e2"), |_| {}).await), CertificateFault::Id);
    assert_eq!(fault(purpose), CertificateFault::Purpose);
    let denied = told(&good, &e1, |trust| trust.denied = vec![vec![0x11, 0x22]]).await;
    assert_eq!(fault(denied), CertificateFault::Withdrawn);
    let name = Leaf { uris: vec![], ..good.clone() };
    assert_eq!(fault(told(&name, &e1, |_| {}).await), CertificateFault::Name);
}

#[tokio::test]
async fn an_expired_server_is_a_matter_of_time_not_of_trust() {
    let past = Leaf { not_after: now().minus(5), ..Leaf::endpoint("e1") };
    let error = told(&past, &endpoint("e1"), |_| {}).await;
    assert_eq!(error.step(), "clock");
    assert_eq!(fault(error), CertificateFault::Expired);
    let floor = now().plus(3600);
    let error = told(&Leaf::endpoint("e1"), &endpoint("e1"), |trust| trust.floor = floor).await;
    assert_eq!(fault(error), CertificateFault::Expired);
    let future = Leaf { not_before: now().plus(300), ..Leaf::endpoint("e1") };
    let error = told(&future, &endpoint("e1"), |_| {}).await;
    assert!(matches!(error, DialError::Expired { source: CertificateFault::NotYetValid, .. }));
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_ours_to_fix() {
    let gate = gate();
    let (one, other) = (gate.people.issue(&Leaf::agent("a")), gate.people.issue(&Leaf::agent("a")));
    let mixed = crate::Identity { certificates: one.certificates, key: other.key };
    let error = dial(&gate.address, &mixed, &trust(&gate.machines), &endpoint("e1")).await;
    assert!(matches!(error, Err(DialError::Identity(_))), "{error:?}");
}

#[tokio::test]
async fn another_protocol_is_a_refusal() {
    let mut gate = gate();
    let key = spki_digest(&gate.certificate()).unwrap();
    let error = tokio::select! {
        error = dial_pinned(&gate.address, key, limits::ALPN_ENROL) => error.unwrap_err(),
        Some(Ok(_)) = gate.listener.accept() => panic!("admitted with another ALPN"),
    };
    let DialError::Refused { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source, LinkError::Refused(Objection::Protocol));
}

#[tokio::test]
async fn a_dead_port_is_told_at_once() {
    let gate = gate();
    let dead = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let agent = gate.people.issue(&Leaf::agent("a.kaya"));
    let trust = trust(&gate.machines);
    let expect = endpoint("e1");
    let error = timeout(Duration::from_secs(1), dial(&dead, &agent, &trust, &expect)).await;
    let error = error.expect("not told within a second").unwrap_err();
    assert!(matches!(error, DialError::NothingListens { .. }), "{error:?}");
    assert_eq!(error.step(), "udp");
}

#[tokio::test]
async fn silence_is_told_after_the_connect_timeout() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let limit = Duration::from_secs(limits::CONNECT_SECONDS_MAX + 1);
    let dialled = timeout(limit, dial_pinned(&address, Digest([0; 32]), limits::ALPN)).await;
    let error = dialled.expect("later than the connect timeout").unwrap_err();
    assert!(matches!(error, DialError::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn name_route_and_spelling_are_told_apart() {
    let pinned = |address: &'static str| async move {
        dial_pinned(address, Digest([0; 32]), limits::ALPN).await.unwrap_err()
    };
    for address in ["nowhere", "h:", "h:0", "h:99999", ":7433", "[]:1"] {
        assert!(matches!(pinned(address).await, DialError::Address { .. }), "{address}");
    }
    assert!(matches!(pinned("no-such-host.invalid:7433").await, DialError::Name { .. }));
    // The broadcast address: the kernel itself refuses the way there.
    let route = pinned("255.255.255.255:7433").await;
    assert!(matches!(route, DialError::Route { .. }), "{route:?}");
}

#[tokio::test]
async fn enrolment_pins_the_desks_key_and_nothing_else() {
    let desk = Leaf::of(Role::Desk, "desk-1", SERVER).self_signed();
    let key = spki_digest(&desk.certificates[0]).unwrap();
    let mut listener = Listener::bind_enrolment("127.0.0.1:0", &desk).unwrap();
    let address = listener.address().unwrap().to_string();
    let wrong = tokio::select! {
        error = dial_pinned(&address, Digest([1; 32]), limits::ALPN_ENROL) => error.unwrap_err(),
        Some(Ok(_)) = listener.accept() => panic!("went on with another key"),
    };
    assert_eq!(fault(wrong), CertificateFault::Key);
    let client = async {
        let connection = dial_pinned(&address, key, limits::ALPN_ENROL).await.unwrap();
        assert_eq!(connection.peer(), None);
        first_answer(&connection).await
    };
    let server = async {
        // The rejected handshake of before may come first.
        loop {
            if let Ok(connection) = serve_one(&mut listener).await {
                return connection;
            }
        }
    };
    let (answer, _connection) = tokio::join!(client, server);
    assert!(answer.is_ok());
}
