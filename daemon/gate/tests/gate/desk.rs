//! The line to a desk, dialled by the gate: held, served as any session, and dialled again.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hatch::{FromGate, PeerRole, ToGate};
use link::{Connection, Identity, LinkError, Listener, Protocol, Role, Stream, Trust};
use protocol::frames::{self, Answer, Ask, Stop};
use protocol::{Bytes, Time, limits};
use tokio::task::JoinSet;

use crate::support::{Ca, Desks, House, Keeper, soon};

/// A desk of the same organisation as a house.
struct Desk {
    me: Identity,
    people: Trust,
    machines: Trust,
    listener: Listener,
    address: SocketAddr,
}

fn trust(ca: &Ca) -> Trust {
    let cas = vec![ca.der.clone()];
    Trust { cas, organisation: "demo".into(), denied: Vec::new(), floor: Time(0) }
}

impl Desk {
    fn open((people, machines): &(Ca, Ca)) -> Self {
        let me = people.issue(Role::Desk, "desk", 5);
        let (people, machines) = (trust(people), trust(machines));
        let listener = Listener::bind_desk("127.0.0.1:0", &me, &people, &machines).unwrap();
        let address = listener.address().unwrap();
        Self { me, people, machines, listener, address }
    }
    /// Gone without a word, and back on the same port.
    async fn restart(&mut self) {
        self.listener = Listener::bind_enrolment("127.0.0.1:0", &self.me).unwrap();
        let address = self.address.to_string();
        let back = async {
            loop {
                // The old socket closes when its endpoint's task next runs.
                match Listener::bind_desk(&address, &self.me, &self.people, &self.machines) {
                    Ok(listener) => break listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        self.listener = soon(back).await;
    }
    /// The next endpoint's line, with the first question asked.
    async fn greet(&mut self) -> (Connection, Stream) {
        let line = soon(self.listener.accept()).await.unwrap().unwrap();
        assert_eq!(line.protocol(), Protocol::Session);
        assert_eq!(line.peer().map(|peer| peer.role), Some(Role::Endpoint));
        let mut stream = line.open().await.unwrap();
        stream.send(&Ask::Hello { min: 1, max: 1 }).await.unwrap();
        (line, stream)
    }
}

fn cas() -> (Ca, Ca) {
    (Ca::new("people"), Ca::new("machines"))
}

fn body<M: minicbor::Encode<()>>(message: &M) -> Bytes {
    Bytes(frames::encode(message, limits::FRAME_BYTES_MAX).unwrap().split_off(4))
}

/// What the keeper hears of a line that a desk has just asked on; gives the session.
async fn opened(keeper: &mut Keeper, desk: SocketAddr) -> u32 {
    loop {
        match keeper.hear().await {
            FromGate::Desk { fault: None, desk: name, .. } => assert_eq!(name, desk.to_string()),
            FromGate::Desk { .. } | FromGate::Ended { .. } | FromGate::Closed { .. } => {}
            FromGate::Opened { session, role, peer, address } => {
                assert_eq!((role, peer.as_str()), (PeerRole::Desk, "desk"));
                assert_eq!(address, desk.to_string());
                let bytes = body(&Ask::Hello { min: 1, max: 1 });
                loop {
                    match keeper.hear().await {
                        FromGate::Desk { .. } => {}
                        frame => {
                            assert_eq!(frame, FromGate::Frame { session, stream: 0, bytes });
                            return session;
                        }
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What the keeper hears when there is no line: who was tried, why not, and when again.
async fn fault(keeper: &mut Keeper) -> (String, String, u64) {
    loop {
        match keeper.hear().await {
            FromGate::Desk { desk, fault: Some(fault), again } => return (desk, fault, again),
            FromGate::Ended { .. } | FromGate::Closed { .. } | FromGate::Desk { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_line_that_was_dialled_out_is_a_session_like_any_other() {
    let cas = cas();
    let mut desk = Desk::open(&cas);
    let address = desk.address.to_string();
    let mut house = House::with(cas, Desks::at(&[&address])).await;
    let (line, mut stream) = desk.greet().await;
    let session = opened(&mut house.keeper, desk.address).await;
    let stop = Answer::Stop { code: Stop::NoRun };
    house.keeper.say(ToGate::Frame { session, stream: 0, bytes: body(&stop) }).await;
    assert_eq!(soon(stream.recv()).await.unwrap(), Some(stop.clone()));
    // Another stream, numbered on, and its end.
    let mut other = line.open().await.unwrap();
    other.send(&Ask::Challenge).await.unwrap();
    let bytes = body(&Ask::Challenge);
    assert_eq!(house.keeper.hear().await, FromGate::Frame { session, stream: 1, bytes });
    house.keeper.say(ToGate::Frame { session, stream: 1, bytes: body(&stop) }).await;
    house.keeper.say(ToGate::Finish { session, stream: 1 }).await;
    assert_eq!(soon(other.recv()).await.unwrap(), Some(stop));
    assert_eq!(soon(other.recv::<Answer>()).await, Ok(None));
    // A console still comes in by the port that the line goes out from.
    let console = house.agent(2).await;
    assert_eq!(line.address().to_string(), house.address);
    let mut asking = console.open().await.unwrap();
    asking.send(&Ask::Challenge).await.unwrap();
    let heard = loop {
        match house.keeper.hear().await {
            FromGate::Ended { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(heard, FromGate::Opened { role: PeerRole::Agent, .. }));
}

#[tokio::test]
async fn a_desk_that_restarts_has_its_line_back_after_a_pause_by_chance() {
    let mut pauses = Vec::new();
    for chance in [7, 7, 8] {
        let cas = cas();
        let mut desk = Desk::open(&cas);
        let address = desk.address.to_string();
        let desks = Desks { chance, ..Desks::at(&[&address]) };
        let mut house = House::with(cas, desks).await;
        let (line, _stream) = desk.greet().await;
        let first = opened(&mut house.keeper, desk.address).await;
        line.close(Stop::Drain);
        let (name, why, again) = fault(&mut house.keeper).await;
        assert_eq!((name, why), (address, LinkError::Stopped(Stop::Drain).to_string()));
        assert!(again < limits::REDIAL_SPREAD_SECONDS);
        pauses.push(again);
        if pauses.len() == 1 {
            drop((line, _stream));
            desk.restart().await;
            let (_line, _stream) = desk.greet().await;
            assert_ne!(opened(&mut house.keeper, desk.address).await, first);
        }
    }
    assert_eq!(pauses[0], pauses[1], "one chance, one pause");
    assert_ne!(pauses[1], pauses[2], "another chance, another pause");
}

#[tokio::test]
async fn exactly_one_line_is_held_to_the_first_desk_that_answers() {
    let cas = cas();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut second, mut third) = (Desk::open(&cas), Desk::open(&cas));
    let addresses =
        [silent.local_addr().unwrap(), second.address, third.address].map(|a| a.to_string());
    let desks = Desks::at(&addresses.each_ref().map(String::as_str));
    let mut house = House::with(cas, desks).await;
    let (_line, _stream) = second.greet().await;
    opened(&mut house.keeper, second.address).await;
    let idle = Duration::from_millis(300);
    assert!(tokio::time::timeout(idle, third.listener.accept()).await.is_err());
}

/// A desk that lets us in and never asks must not keep us from the one in reserve.
#[tokio::test]
async fn a_desk_that_refuses_us_gives_way_to_the_next() {
    let cas = cas();
    let (mut first, mut second) = (Desk::open(&cas), Desk::open(&cas));
    // The first one no longer knows our CA.
    let others = trust(&Ca::new("machines"));
    first.listener.set_desk(&first.me, &first.people, &others).unwrap();
    let addresses = [first.address, second.address].map(|address| address.to_string());
    let mut refusing = JoinSet::new();
    refusing.spawn(async move { while first.listener.accept().await.is_some() {} });
    let desks = Desks::at(&[&addresses[0], &addresses[1]]);
    let mut house = House::with(cas, desks).await;
    let (desk, why, again) = fault(&mut house.keeper).await;
    assert_eq!((desk, again), (addresses[0].clone(), 0));
    assert!(why.contains("does not know the CA"), "{why}");
    let (_line, _stream) = second.greet().await;
    opened(&mut house.keeper, second.address).await;
}

#[tokio::test]
async fn a_withdrawn_desk_loses_its_line() {
    let cas = cas();
    let mut desk = Desk::open(&cas);
    let address = desk.address.to_string();
    let mut house = House::with(cas, Desks::at(&[&address])).await;
    let (line, _stream) = desk.greet().await;
    opened(&mut house.keeper, desk.address).await;
    let people_ca = vec![Bytes(house.people.der.clone())];
    let denied = vec![Bytes(vec![5])];
    house.keeper.say(ToGate::Trust { people_ca, denied, floor: Time(0) }).await;
    assert_eq!(soon(line.closed()).await, LinkError::Stopped(Stop::Withdrawn));
    fault(&mut house.keeper).await;
    // And does not get it back: the gate itself refuses the handshake.
    let mut served = JoinSet::new();
    served.spawn(async move { while desk.listener.accept().await.is_some() {} });
    let again = async { fault(&mut house.keeper).await.1 };
    let why = tokio::time::timeout(Duration::from_secs(15), again).await.unwrap();
    assert!(why.contains("wrong certificate") && why.contains("withdrawn"), "{why}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_next_and_the_line_goes_on() {
    let cas = cas();
    let mut desk = Desk::open(&cas);
    let address = desk.address.to_string();
    let mut house = House::with(cas, Desks::at(&[&address])).await;
    let (line, mut stream) = desk.greet().await;
    let session = opened(&mut house.keeper, desk.address).await;
    let renewed = house.machines.issue_for(Role::Endpoint, "e1", 77, &house.key);
    let certificates = renewed.certificates.iter().cloned().map(Bytes).collect();
    house.keeper.say(ToGate::Certificate { certificates }).await;
    let stop = Answer::Stop { code: Stop::NoRun };
    house.keeper.say(ToGate::Frame { session, stream: 0, bytes: body(&stop) }).await;
    assert_eq!(soon(stream.recv()).await.unwrap(), Some(stop));
    let console = house.agent(2).await;
    assert_eq!(console.peer().unwrap().serial, [77]);
    assert_eq!(line.end(), None);
    // And on the line itself, when it is next dialled.
    line.close(Stop::Drain);
    let next = tokio::time::timeout(Duration::from_secs(15), desk.listener.accept());
    let next = next.await.unwrap().unwrap().unwrap();
    assert_eq!(next.peer().unwrap().serial, [77]);
}

/// The desk must hear that its endpoint stops, and not find out by silence.
#[tokio::test]
async fn draining_takes_leave_of_the_desk_when_its_answers_are_out() {
    let cas = cas();
    let mut desk = Desk::open(&cas);
    let address = desk.address.to_string();
    let mut house = House::with(cas, Desks::at(&[&address])).await;
    let (line, _stream) = desk.greet().await;
    let session = opened(&mut house.keeper, desk.address).await;
    let mut asking = line.open().await.unwrap();
    asking.send(&Ask::Challenge).await.unwrap();
    let bytes = body(&Ask::Challenge);
    assert_eq!(house.keeper.hear().await, FromGate::Frame { session, stream: 1, bytes });
    let stop = Answer::Stop { code: Stop::NoRun };
    house.keeper.say(ToGate::Frame { session, stream: 1, bytes: body(&stop) }).await;
    house.keeper.say(ToGate::Drain).await;
    assert_eq!(soon(asking.recv()).await.unwrap(), Some(stop));
    assert_eq!(line.end(), None);
    house.keeper.say(ToGate::Finish { session, stream: 1 }).await;
    assert_eq!(soon(asking.recv::<Answer>()).await, Ok(None));
    assert_eq!(soon(line.closed()).await, LinkError::Stopped(Stop::Drain));
    while !matches!(house.keeper.hear().await, FromGate::Closed { .. }) {}
    assert!(house.keeper.ended().await.success());
}

/// It sleeps: the desk pings, the gate only acknowledges.
#[tokio::test]
async fn a_gate_that_holds_an_idle_line_is_not_woken() {
    let cas = cas();
    let mut desk = Desk::open(&cas);
    let address = desk.address.to_string();
    let mut house = House::with(cas, Desks::at(&[&address])).await;
    let (_line, _stream) = desk.greet().await;
    opened(&mut house.keeper, desk.address).await;
    let woken = |house: &House| house.keeper.status("voluntary_ctxt_switches");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = woken(&house);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(woken(&house), before);
}

/// Names are looked up once, before the lock: the gate ends so that the next one looks again.
#[tokio::test]
async fn a_gate_that_finds_no_desk_by_name_ends_and_says_why() {
    let desks = Desks { look_up: 1, ..Desks::at(&["no-such-desk.invalid:7434"]) };
    let mut house = House::with(cas(), desks).await;
    loop {
        match house.keeper.hear().await {
            FromGate::Desk { desk, fault: Some(fault), .. } => {
                assert_eq!(desk, "no-such-desk.invalid:7434");
                assert!(fault.contains("was not found"), "{fault}");
            }
            last => {
                assert_eq!(last, FromGate::LookUp);
                break;
            }
        }
    }
    assert!(house.keeper.ended().await.success());
}

/// Somebody is connected: he is not thrown out for a name.
#[tokio::test]
async fn a_gate_with_a_session_stays_and_goes_on_dialling() {
    let desks = Desks { look_up: 1, ..Desks::at(&["no-such-desk.invalid:7434"]) };
    let mut house = House::with(cas(), desks).await;
    let console = house.agent(2).await;
    let mut asking = console.open().await.unwrap();
    asking.send(&Ask::Challenge).await.unwrap();
    let mut faults = 0;
    while faults < 3 {
        match house.keeper.hear().await {
            FromGate::Desk { .. } => faults += 1,
            FromGate::Opened { .. } | FromGate::Frame { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    console.leave().await;
    while house.keeper.hear().await != FromGate::LookUp {}
}
