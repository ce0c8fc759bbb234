//! A desk's one port: three protocols, and for each exactly one kind of peer.

use protocol::frames::{Answer, Ask, Stop};
use protocol::limits;
use tokio::time::timeout;

use super::papers::CLIENT;
use super::*;
use crate::{
    CertificateFault, DialError, Identity, Objection, Protocol, dial_desk, dial_pinned, spki_digest,
};

const DAY: u64 = 86_400;

/// A desk, and a machine that listens (and dials out) on a port of its own.
struct Desk {
    people: Ca,
    machines: Ca,
    me: Identity,
    listener: Listener,
    address: std::net::SocketAddr,
}

fn desk() -> Desk {
    let (people, machines) = (Ca::new("people"), Ca::new("machines"));
    let me = people.issue(&Leaf::desk("desk-1"));
    let listener =
        Listener::bind_desk("127.0.0.1:0", &me, &trust(&people), &trust(&machines)).unwrap();
    let address = listener.address().unwrap();
    Desk { people, machines, me, listener, address }
}

type Told = Result<Option<Answer>, LinkError>;

impl Desk {
    /// The next peer, asked one question on a stream that the desk opened.
    async fn ask_next(&mut self) -> (Result<Connection, Rejected>, Told) {
        let accepted = timeout(WAIT, self.listener.accept()).await.unwrap().unwrap();
        let told = match &accepted {
            Ok(connection) => first_answer(connection).await,
            Err(rejected) => Err(rejected.into()),
        };
        (accepted, told)
    }
    /// This leaf dials out as an endpoint does; what both sides saw.
    async fn line(&mut self, leaf: &Identity) -> (Result<Connection, Rejected>, Told) {
        let gate = Listener::bind("127.0.0.1:0", leaf, &trust(&self.people)).unwrap();
        let (dialler, trust, address) = (gate.dialler(), trust(&self.people), self.address);
        let endpoint = async {
            let line = dialler.dial(address, leaf, &trust).await.unwrap();
            assert_eq!(line.peer().map(|peer| peer.role), Some(Role::Desk));
            let mut stream = line.accept().await?;
            let ask: Option<Ask> = stream.recv_within(WAIT).await?;
            assert_eq!(ask, Some(Ask::Challenge));
            stream.send(&Answer::Stop { code: Stop::Rate }).await?;
            stream.finish();
            stream.split().0.delivered().await;
            Ok(())
        };
        let (seen, answered): (_, Result<(), LinkError>) = tokio::join!(self.ask_next(), endpoint);
        match answered {
            Ok(()) => seen,
            Err(why) => (seen.0, Err(why)),
        }
    }
    /// This leaf dials as a console does.
    async fn console(&mut self, leaf: &Identity) -> (Result<Connection, Rejected>, Told) {
        let (trust, address) = (trust(&self.people), self.address.to_string());
        let console = async {
            let line = dial_desk(&address, leaf, &trust, Some("desk-1")).await.unwrap();
            first_answer(&line).await
        };
        let (told, seen) = tokio::join!(console, serve_one(&mut self.listener));
        (seen, told)
    }
    /// Without a certificate, by this protocol.
    async fn nobody(&mut self, protocol: Protocol) -> (Result<Connection, Rejected>, Told) {
        let key = spki_digest(&self.me.certificates[0]).unwrap();
        let address = self.address.to_string();
        let client = async {
            let line = dial_pinned(&address, key, protocol.alpn()).await.unwrap();
            first_answer(&line).await
        };
        let (told, seen) = tokio::join!(client, serve_one(&mut self.listener));
        (seen, told)
    }
}

const RATE: Told = Ok(Some(Answer::Stop { code: Stop::Rate }));
const ROLE: Told = Err(LinkError::Stopped(Stop::Role));

#[tokio::test]
async fn each_protocol_admits_its_own_peer() {
    let mut desk = desk();
    let machine = desk.machines.issue(&Leaf::machine("e1"));
    let (line, told) = desk.line(&machine).await;
    assert_eq!(told, RATE);
    let line = line.unwrap();
    assert_eq!((line.protocol(), line.is_expired()), (Protocol::Session, false));
    let peer = line.peer().unwrap();
    assert_eq!((peer.role, peer.id.as_str()), (Role::Endpoint, "e1"));
    assert_eq!(line.certificate(), Some(machine.certificates[0].clone()));

    let agent = desk.people.issue(&Leaf::agent("a.kaya"));
    let (line, told) = desk.console(&agent).await;
    assert_eq!(told, RATE);
    let line = line.unwrap();
    assert_eq!((line.protocol(), line.peer().unwrap().role), (Protocol::Console, Role::Agent));

    let (line, told) = desk.nobody(Protocol::Enrolment).await;
    assert_eq!(told, RATE);
    let line = line.unwrap();
    assert_eq!((line.protocol(), line.peer()), (Protocol::Enrolment, None));
    assert_eq!(line.certificate(), None);
}

#[tokio::test]
async fn no_protocol_admits_the_peer_of_another() {
    let mut desk = desk();
    let agent = desk.people.issue(&Leaf::agent("a.kaya"));
    let other = desk.people.issue(&Leaf::desk("desk-2"));
    let machine = desk.machines.issue(&Leaf::machine("e1"));
    for leaf in [&agent, &other] {
        let (seen, told) = desk.line(leaf).await;
        assert_eq!((seen.unwrap_err().fault, told), (Some(CertificateFault::Role), ROLE));
    }
    for leaf in [&machine, &other] {
        let (seen, told) = desk.console(leaf).await;
        assert_eq!((seen.unwrap_err().fault, told), (Some(CertificateFault::Role), ROLE));
    }
}

#[tokio::test]
async fn without_a_certificate_one_may_enrol_and_nothing_else() {
    let mut desk = desk();
    for protocol in [Protocol::Session, Protocol::Console] {
        let (seen, told) = desk.nobody(protocol).await;
        let seen = seen.unwrap_err();
        assert_eq!((seen.fault, seen.stop, told), (None, Some(Stop::Role), ROLE), "{protocol:?}");
    }
}

/// Who enrols shows nothing: a certificate there is somebody else's business.
#[tokio::test]
async fn with_a_certificate_nobody_enrols() {
    let mut desk = desk();
    let agent = desk.people.issue(&Leaf::agent("a.kaya"));
    let (trust, address) = (trust(&desk.people), desk.address.to_string());
    let judge = std::sync::Arc::new(crate::verify::Judge::new(&trust).unwrap());
    let expect = Expect { role: Role::Desk, id: None, key: None };
    let wanted = crate::verify::Wanted::Member { judge, expect };
    let tls = crate::tls::client(Some(&agent), wanted, trust.floor, limits::ALPN_ENROL).unwrap();
    let client = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = crate::transport::client(tls).unwrap();
    let connecting =
        client.connect_with(config, address.parse().unwrap(), "salve.invalid").unwrap();
    let dialled = async {
        let inner = connecting.await.unwrap();
        first_answer(&Connection::new(inner, None, None, Protocol::Enrolment)).await
    };
    let (told, seen) = tokio::join!(dialled, serve_one(&mut desk.listener));
    assert_eq!((seen.unwrap_err().fault, told), (Some(CertificateFault::Role), ROLE));
}

/// Each role has its own CAs: the people's makes no machine, the machines' no person.
#[tokio::test]
async fn a_ca_makes_only_its_own_role() {
    let mut desk = desk();
    let unknown = |told| matches!(told, Err(LinkError::Refused(Objection::UnknownIssuer)));
    let machine = desk.people.issue(&Leaf::machine("e1"));
    let (seen, told) = desk.line(&machine).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::UnknownIssuer));
    assert!(unknown(told));
    let agent = desk.machines.issue(&Leaf::agent("a.kaya"));
    let (seen, told) = desk.console(&agent).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::UnknownIssuer));
    assert!(unknown(told));
}

fn lapsed(seconds: u64) -> Leaf {
    let end = now().minus(seconds);
    Leaf { not_before: end.minus(90 * DAY), not_after: end, ..Leaf::machine("e1") }
}

#[tokio::test]
async fn an_endpoint_that_expired_lately_comes_in_marked() {
    let mut desk = desk();
    for age in [5, limits::EXPIRED_ENDPOINT_DAYS * DAY - 60] {
        let machine = desk.machines.issue(&lapsed(age));
        let (line, told) = desk.line(&machine).await;
        assert_eq!(told, RATE);
        assert!(line.unwrap().is_expired());
    }
}

#[tokio::test]
async fn nothing_else_that_expired_comes_in() {
    let mut desk = desk();
    let old = desk.machines.issue(&lapsed(limits::EXPIRED_ENDPOINT_DAYS * DAY + 60));
    let (seen, told) = desk.line(&old).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::Expired));
    assert_eq!(told, Err(LinkError::Refused(Objection::Expired)));
    // Expired and wrong in another way: the grace is for time alone.
    let forged = Ca::new("machines").issue(&lapsed(60));
    let (seen, _) = desk.line(&forged).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::UnknownIssuer));
    let purpose = Leaf { purposes: vec![super::papers::SERVER], ..lapsed(60) };
    let purpose = desk.machines.issue(&purpose);
    let (seen, _) = desk.line(&purpose).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::Purpose));
    let agent = Leaf { not_after: now().minus(5), ..Leaf::of(Role::Agent, "a.kaya", CLIENT) };
    let agent = desk.people.issue(&agent);
    let (seen, _) = desk.console(&agent).await;
    assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::Expired));
}

#[tokio::test]
async fn a_withdrawn_endpoint_is_refused_expired_or_not() {
    let mut desk = desk();
    let endpoints = Trust { denied: vec![vec![0x11, 0x22]], ..trust(&desk.machines) };
    let (me, people) = (desk.me.clone(), trust(&desk.people));
    desk.listener.set_desk(&me, &people, &endpoints).unwrap();
    for leaf in [Leaf::machine("e1"), lapsed(60)] {
        let machine = desk.machines.issue(&leaf);
        let (seen, told) = desk.line(&machine).await;
        assert_eq!(seen.unwrap_err().fault, Some(CertificateFault::Withdrawn));
        assert_eq!(told, Err(LinkError::Refused(Objection::Withdrawn)));
    }
}

#[tokio::test]
async fn an_endpoint_takes_only_a_desk_for_its_desk() {
    let (people, machines) = (Ca::new("people"), Ca::new("machines"));
    let both = Leaf { purposes: vec![CLIENT, super::papers::SERVER], ..Leaf::agent("a.kaya") };
    let server = Leaf::of(Role::Agent, "a.kaya", super::papers::SERVER);
    let cases = [
        (people.issue(&both), CertificateFault::Purpose),
        (people.issue(&server), CertificateFault::Role),
        (machines.issue(&Leaf::desk("desk-1")), CertificateFault::UnknownIssuer),
    ];
    let machine = machines.issue(&Leaf::machine("e1"));
    let gate = Listener::bind("127.0.0.1:0", &machine, &trust(&people)).unwrap();
    for (me, fault) in cases {
        let mut listener =
            Listener::bind_desk("127.0.0.1:0", &me, &trust(&people), &trust(&machines)).unwrap();
        let address = listener.address().unwrap();
        let (dialler, trust) = (gate.dialler(), trust(&people));
        let told = tokio::select! {
            told = dialler.dial(address, &machine, &trust) => told.unwrap_err(),
            Some(Ok(_)) = listener.accept() => panic!("went on with a wrong desk"),
        };
        let DialError::Certificate { source, .. } = told else { panic!("{told:?}") };
        assert_eq!(source, fault);
    }
}

/// A desk speaks for many consoles: more streams at once than an agent may have.
#[tokio::test]
async fn a_desk_may_open_many_streams_on_the_line() {
    let mut desk = desk();
    let machine = desk.machines.issue(&Leaf::machine("e1"));
    let gate = Listener::bind("127.0.0.1:0", &machine, &trust(&desk.people)).unwrap();
    let (dialler, people, address) = (gate.dialler(), trust(&desk.people), desk.address);
    let dialled = async { dialler.dial(address, &machine, &people).await.unwrap() };
    let (line, accepted) = tokio::join!(dialled, desk.listener.accept());
    let accepted = accepted.unwrap().unwrap();
    let mut open = Vec::new();
    for _ in 0..limits::DESK_STREAMS_MAX {
        open.push(timeout(WAIT, accepted.open()).await.unwrap().unwrap());
    }
    assert!(timeout(Duration::from_millis(50), accepted.open()).await.is_err());
    // And the endpoint none beyond what anybody may.
    for _ in 0..limits::STREAMS_MAX {
        open.push(timeout(WAIT, line.open()).await.unwrap().unwrap());
    }
    assert!(timeout(Duration::from_millis(50), line.open()).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_dropping_live_connections() {
    let mut gate = gate();
    let agent = gate.people.issue(&Leaf::agent("a.kaya"));
    let (address, machines) = (gate.address.clone(), trust(&gate.machines));
    let expect = endpoint("e1");
    let first = async { crate::dial(&address, &agent, &machines, &expect).await.unwrap() };
    let (line, accepted) = tokio::join!(first, gate.listener.accept());
    let accepted = accepted.unwrap().unwrap();
    let renewed = gate.machines.issue(&Leaf { serial: vec![0x33], ..Leaf::machine("e1") });
    let people = trust(&gate.people);
    gate.listener.set_identity(&renewed, &people).unwrap();
    let again = async { crate::dial(&address, &agent, &machines, &expect).await.unwrap() };
    let (again, _second) = tokio::join!(again, gate.listener.accept());
    assert_eq!(again.peer().unwrap().serial, [0x33]);
    assert_eq!((line.peer().unwrap().serial.as_slice(), line.end()), (&[0x11, 0x22][..], None));
    drop(accepted);
}
