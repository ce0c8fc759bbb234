//! What the accepting side admits. In TLS 1.3 the refused client's `connect` succeeds first, so
//! every test looks at the first answer.

use std::sync::Arc;

use protocol::frames::{Answer, Stop};
use protocol::limits;
use rustls::pki_types::ServerName;

use super::papers::{CLIENT, SERVER};
use super::*;
use crate::{CertificateFault, Objection, spki_digest, uri};

/// Refused in the handshake: what our side knew and what the peer was told.
async fn refused(leaf: impl FnOnce(&Gate) -> crate::Identity) -> (CertificateFault, Objection) {
    let mut gate = gate();
    let leaf = leaf(&gate);
    let (server, client) = meet(&mut gate, &leaf).await;
    let Err(LinkError::Refused(objection)) = client else { panic!("client saw {client:?}") };
    (server.unwrap_err().fault.unwrap(), objection)
}

/// Refused with a code of ours after the handshake.
async fn stopped(leaf: impl FnOnce(&Gate) -> crate::Identity) -> (Option<Stop>, LinkError) {
    let mut gate = gate();
    let leaf = leaf(&gate);
    let (server, client) = meet(&mut gate, &leaf).await;
    (server.unwrap_err().stop, client.unwrap_err())
}

#[tokio::test]
async fn an_agent_and_a_desk_are_admitted() {
    for (role, purposes) in [(Role::Agent, vec![CLIENT]), (Role::Desk, vec![CLIENT, SERVER])] {
        let mut gate = gate();
        let leaf = Leaf { purposes, ..Leaf::of(role, "a.kaya", CLIENT) };
        let leaf = gate.people.issue(&leaf);
        let (server, client) = meet(&mut gate, &leaf).await;
        assert_eq!(client, Ok(Some(Answer::Stop { code: Stop::Rate })));
        let server = server.unwrap();
        let peer = server.peer().unwrap();
        assert_eq!((peer.role, peer.id.as_str()), (role, "a.kaya"));
        assert_eq!(peer.serial, [0x11, 0x22]);
        assert_eq!(Some(peer.key), spki_digest(&leaf.certificates[0]));
    }
}

#[tokio::test]
async fn no_certificate_is_refused() {
    let mut gate = gate();
    let key = spki_digest(&gate.certificate()).unwrap();
    let address = gate.address.clone();
    let client = async {
        let connection = crate::dial_pinned(&address, key, limits::ALPN).await.unwrap();
        first_answer(&connection).await
    };
    let (client, server) = tokio::join!(client, serve_one(&mut gate.listener));
    assert_eq!(client, Err(LinkError::Refused(Objection::NoCertificate)));
    assert_eq!(server.unwrap_err().stop, None);
}

#[tokio::test]
async fn another_ca_and_a_self_signed_certificate_are_refused() {
    let other = refused(|_| Ca::new("people").issue(&Leaf::agent("a.kaya"))).await;
    assert_eq!(other, (CertificateFault::UnknownIssuer, Objection::UnknownIssuer));
    let own = refused(|_| Leaf::agent("a.kaya").self_signed()).await;
    assert_eq!(own, (CertificateFault::UnknownIssuer, Objection::UnknownIssuer));
    let machines = refused(|gate| gate.machines.issue(&Leaf::agent("a.kaya"))).await;
    assert_eq!(machines, (CertificateFault::UnknownIssuer, Objection::UnknownIssuer));
}

#[tokio::test]
async fn expired_and_not_yet_valid_are_refused() {
    for seconds in [1, 3600] {
        let leaf = Leaf { not_after: now().minus(seconds), ..Leaf::agent("a.kaya") };
        let leaf = Leaf { not_before: now().minus(7200), ..leaf };
        let seen = refused(|gate| gate.people.issue(&leaf)).await;
        assert_eq!(seen, (CertificateFault::Expired, Objection::Expired), "{seconds}");
    }
    for seconds in [120, 3600] {
        let from = now().plus(seconds);
        let leaf = Leaf { not_before: from, not_after: from.plus(600), ..Leaf::agent("a.kaya") };
        let seen = refused(|gate| gate.people.issue(&leaf)).await;
        assert_eq!(seen, (CertificateFault::NotYetValid, Objection::Expired), "{seconds}");
    }
}

/// E2 to the second: the floor stands in for the clock, which it is ahead of for the whole test.
#[tokio::test]
async fn a_certificate_begins_and_ends_with_its_second() {
    let mut gate = gate();
    let floor = now().plus(3600);
    gate.listener.set_trust(&Trust { floor, ..trust(&gate.people) }).unwrap();
    let (ended, early) = (CertificateFault::Expired, CertificateFault::NotYetValid);
    let table = [
        (floor.plus(1), floor.plus(600), Some(early)),
        (floor.plus(3600), floor.plus(7200), Some(early)),
        (floor, floor.plus(600), None),
        (floor.minus(600), floor, None),
        (floor.minus(600), floor.minus(1), Some(ended)),
    ];
    for (not_before, not_after, fault) in table {
        let leaf = Leaf { not_before, not_after, ..Leaf::agent("a.kaya") };
        let leaf = gate.people.issue(&leaf);
        let (server, client) = meet(&mut gate, &leaf).await;
        let bounds = (not_before.0.wrapping_sub(floor.0), not_after.0.wrapping_sub(floor.0));
        assert_eq!(server.err().and_then(|rejected| rejected.fault), fault, "{bounds:?}");
        assert_eq!(client.is_ok(), fault.is_none(), "{bounds:?}");
    }
}

/// E15: what an endpoint holds, as the endpoints' CA makes it, opens no endpoint's door.
#[tokio::test]
async fn an_endpoints_own_certificate_opens_no_endpoints_door() {
    let pkcs8 = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let (from, end) = (now().minus(600), now().plus(600));
    let (kind, key) = (certs::Kind::Endpoints, pkcs8().serialize_der());
    let machines = certs::Ca::create(kind, "demo", &key, [3; 16], from, end).unwrap();
    let key = pkcs8();
    let spki = certs::spki_of(&protocol::PublicKey(key.public_key_raw().try_into().unwrap()));
    let id = protocol::EndpointId([4; 16]);
    let leaf = machines.issue_endpoint(&spki, &id, [5; 16], from, end).unwrap();
    let leaf = crate::Identity { certificates: vec![leaf], key: key.serialize_der().into() };
    let seen = refused(|_| leaf.clone()).await;
    assert_eq!(seen, (CertificateFault::UnknownIssuer, Objection::UnknownIssuer));
    // Nor where the endpoints' CA stands among those of people by mistake: it is still no agent's.
    let mut gate = gate();
    let both = vec![gate.people.der(), machines.certificate().to_vec()];
    gate.listener.set_trust(&Trust { cas: both, ..trust(&gate.people) }).unwrap();
    let (server, client) = meet(&mut gate, &leaf).await;
    let seen = (server.unwrap_err().stop, client.unwrap_err());
    assert_eq!(seen, (Some(Stop::Role), LinkError::Stopped(Stop::Role)));
}

#[tokio::test]
async fn a_clock_set_back_makes_no_expired_certificate_valid() {
    let mut gate = gate();
    let floor = now().plus(3600);
    let trust = Trust { floor, ..trust(&gate.people) };
    gate.listener.set_trust(&trust).unwrap();
    // Valid by the clock, expired by the floor.
    let stale = gate.people.issue(&Leaf::agent("a.kaya"));
    let (server, client) = meet(&mut gate, &stale).await;
    assert_eq!(server.unwrap_err().fault, Some(CertificateFault::Expired));
    assert_eq!(client, Err(LinkError::Refused(Objection::Expired)));
    // Not yet valid by the clock, valid by the floor: a dead battery locks nobody out.
    let leaf =
        Leaf { not_before: now().plus(1800), not_after: now().plus(7200), ..Leaf::agent("b") };
    let leaf = gate.people.issue(&leaf);
    assert!(meet(&mut gate, &leaf).await.0.is_ok());
}

#[tokio::test]
async fn a_withdrawn_serial_is_refused_whatever_its_leading_zeros() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf { serial: vec![0x91, 0x22], ..Leaf::agent("a.kaya") });
    assert!(meet(&mut gate, &leaf).await.0.is_ok());
    // The same certificate again, after it was put on the list: no ticket saves it.
    let trust = Trust { denied: vec![vec![0, 0x91, 0x22]], ..trust(&gate.people) };
    gate.listener.set_trust(&trust).unwrap();
    let (server, client) = meet(&mut gate, &leaf).await;
    assert_eq!(server.unwrap_err().fault, Some(CertificateFault::Withdrawn));
    assert_eq!(client, Err(LinkError::Refused(Objection::Withdrawn)));
}

#[tokio::test]
async fn the_purpose_must_be_exactly_the_profiles() {
    for purposes in [vec![], vec![SERVER], vec![CLIENT, SERVER]] {
        let leaf = Leaf { purposes: purposes.clone(), ..Leaf::agent("a.kaya") };
        let seen = refused(|gate| gate.people.issue(&leaf)).await;
        assert_eq!(seen, (CertificateFault::Purpose, Objection::Purpose), "{purposes:?}");
    }
    let any = Leaf {
        purposes: vec![CLIENT, rcgen::ExtendedKeyUsagePurpose::Any],
        ..Leaf::of(Role::Desk, "desk-1", CLIENT)
    };
    assert_eq!(refused(|gate| gate.people.issue(&any)).await.0, CertificateFault::Purpose);
}

#[tokio::test]
async fn a_ca_is_no_leaf() {
    let leaf = Leaf { is_ca: true, ..Leaf::agent("a.kaya") };
    assert_eq!(refused(|gate| gate.people.issue(&leaf)).await.0, CertificateFault::CaAsLeaf);
}

#[tokio::test]
async fn names_that_are_not_exactly_one_of_ours_get_our_code() {
    let good = uri("demo", Role::Agent, "a.kaya");
    let bad: [Vec<String>; 8] = [
        vec![],
        vec![good.clone(), uri("demo", Role::Agent, "b")],
        vec![uri("demo", Role::Agent, "*")],
        vec![uri("demo", Role::Agent, "")],
        vec![uri("other", Role::Agent, "a.kaya")],
        vec!["salve://demo/keeper/a.kaya".into()],
        vec![format!("{good}/x")],
        vec![uri("demo", Role::Endpoint, "e1")],
    ];
    for uris in bad {
        let leaf = Leaf { uris: uris.clone(), ..Leaf::agent("a.kaya") };
        let seen = stopped(|gate| gate.people.issue(&leaf)).await;
        assert_eq!(seen, (Some(Stop::Role), LinkError::Stopped(Stop::Role)), "{uris:?}");
    }
}

#[tokio::test]
async fn a_live_connection_learns_that_it_was_withdrawn() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, trust) = (gate.address.clone(), trust(&gate.machines));
    let client = async {
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        first_answer(&connection).await.unwrap();
        connection.closed().await
    };
    let server = async {
        let connection = serve_one(&mut gate.listener).await.unwrap();
        connection.close(Stop::Withdrawn);
        connection.closed().await
    };
    let (client, server) = tokio::join!(client, server);
    assert_eq!((client, server), (LinkError::Stopped(Stop::Withdrawn), LinkError::Closed));
}

#[tokio::test]
async fn leaving_in_order_is_seen_at_once() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, trust) = (gate.address.clone(), trust(&gate.machines));
    let client = async {
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        first_answer(&connection).await.unwrap();
        connection.leave().await;
    };
    let server = async {
        let connection = serve_one(&mut gate.listener).await.unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(1), connection.closed()).await
    };
    let ((), server) = tokio::join!(client, server);
    assert_eq!(server, Ok(LinkError::Ended));
}

/// What a client keeps that would love to resume.
#[derive(Debug, Default)]
struct Kept(std::sync::Mutex<Vec<rustls::client::Tls13ClientSessionValue>>);

impl rustls::client::ClientSessionStore for Kept {
    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        None
    }
    fn set_tls12_session(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls12ClientSessionValue,
    ) {
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(
        &self,
        _: ServerName<'static>,
        ticket: rustls::client::Tls13ClientSessionValue,
    ) {
        self.0.lock().unwrap().push(ticket);
    }
    fn take_tls13_ticket(
        &self,
        _: &ServerName<'static>,
    ) -> Option<rustls::client::Tls13ClientSessionValue> {
        self.0.lock().unwrap().pop()
    }
}

/// One client over several connections, with what it was given on each.
struct Resuming {
    client: quinn::Endpoint,
    config: quinn::ClientConfig,
    kept: Arc<Kept>,
}

impl Resuming {
    fn new(gate: &Gate, leaf: &crate::Identity) -> Self {
        let judge = Arc::new(crate::verify::Judge::new(&trust(&gate.machines)).unwrap());
        let wanted = crate::verify::Wanted::Member { judge, expect: endpoint("e1") };
        let mut tls = crate::tls::client(Some(leaf), wanted, Time(0), limits::ALPN).unwrap();
        let kept = Arc::new(Kept::default());
        tls.resumption = rustls::client::Resumption::store(kept.clone());
        tls.enable_early_data = true;
        tls.enable_sni = true;
        let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(quic));
        let client = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { client, config, kept }
    }
    /// One more connection: what both sides saw.
    async fn meet(
        &self,
        gate: &mut Gate,
    ) -> (Result<Connection, Rejected>, Result<Option<Answer>, LinkError>) {
        let peer = gate.address.parse().unwrap();
        let config = self.config.clone();
        let connecting = self.client.connect_with(config, peer, "salve.invalid").unwrap();
        let connecting = connecting.into_0rtt().map(|_| ()).expect_err("early data was offered");
        let talk = async {
            let connection =
                Connection::new(connecting.await.unwrap(), None, None, crate::Protocol::Session);
            let answer = first_answer(&connection).await;
            connection.leave().await;
            answer
        };
        let (answer, server) = tokio::join!(talk, serve_one(&mut gate.listener));
        (server, answer)
    }
    fn tickets(&self) -> usize {
        self.kept.0.lock().unwrap().len()
    }
}

/// A client that would love to resume: it gets no ticket and may send no early data.
#[tokio::test]
async fn there_are_no_tickets_and_no_early_data() {
    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    let client = Resuming::new(&gate, &leaf);
    for _ in 0..3 {
        let (server, answer) = client.meet(&mut gate).await;
        assert_eq!(answer, Ok(Some(Answer::Stop { code: Stop::Rate })));
        assert!(server.is_ok());
        assert_eq!(client.tickets(), 0);
    }
}

/// E5: what was agreed before a certificate was withdrawn, or ended, is worth nothing afterwards.
#[tokio::test]
async fn a_client_that_keeps_tickets_is_judged_anew_each_time() {
    let table = [
        (vec![vec![0x11, 0x22]], Time(0), CertificateFault::Withdrawn, Objection::Withdrawn),
        (vec![], now().plus(3600), CertificateFault::Expired, Objection::Expired),
    ];
    for (denied, floor, fault, objection) in table {
        let mut gate = gate();
        let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
        let client = Resuming::new(&gate, &leaf);
        assert!(client.meet(&mut gate).await.0.is_ok());
        assert_eq!(client.tickets(), 0, "there is nothing to come back with");
        gate.listener.set_trust(&Trust { denied, floor, ..trust(&gate.people) }).unwrap();
        let (server, answer) = client.meet(&mut gate).await;
        assert_eq!(server.unwrap_err().fault, Some(fault));
        assert_eq!(answer, Err(LinkError::Refused(objection)));
    }
}

/// With many handshakes under way an unknown address must first prove that it can hear us.
#[tokio::test]
async fn under_load_unknown_addresses_get_a_retry_and_others_are_served() {
    use std::net::UdpSocket;

    let mut gate = gate();
    let leaf = gate.people.issue(&Leaf::agent("a.kaya"));
    // First packets of clients that will never go on, caught by sockets that never answer.
    let mut initials = Vec::new();
    for _ in 0..20 {
        let sink = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = sink.local_addr().unwrap().to_string();
        let dial = crate::dial_pinned(&silent, protocol::Digest([0; 32]), limits::ALPN);
        let mut packet = vec![0u8; 2048];
        tokio::select! {
            _ = dial => panic!("a silent peer answered"),
            read = sink.recv(&mut packet) => packet.truncate(read.unwrap()),
        }
        initials.push(packet);
    }
    let (last, flood) = initials.split_last().unwrap();
    let sockets: Vec<UdpSocket> =
        flood.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for (socket, packet) in sockets.iter().zip(flood) {
        socket.send_to(packet, &gate.address).unwrap();
    }
    let late = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = gate.address.clone();
    let trust = trust(&gate.machines);
    let client = async {
        let mut answer = vec![0u8; 2048];
        // Long header of type Retry: the lower bits are not protected in a Retry packet.
        loop {
            late.send_to(last, &address).await.unwrap();
            let wait = std::time::Duration::from_millis(50);
            if let Ok(read) = tokio::time::timeout(wait, late.recv(&mut answer)).await {
                read.unwrap();
                break;
            }
        }
        assert_eq!(answer[0] & 0xf0, 0xf0, "no Retry");
        let connection = crate::dial(&address, &leaf, &trust, &endpoint("e1")).await.unwrap();
        first_answer(&connection).await
    };
    let server = async {
        loop {
            // Half-open ones fail in time; the honest one gets through before that.
            if let Ok(connection) = serve_one(&mut gate.listener).await {
                return connection;
            }
        }
    };
    let (answer, _connection) = tokio::join!(client, server);
    assert_eq!(answer, Ok(Some(Answer::Stop { code: Stop::Rate })));
}
