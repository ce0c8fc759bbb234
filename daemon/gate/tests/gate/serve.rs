//! The door: what reaches the keeper, what reaches the peer, and what a bad peer gets.

use std::time::Duration;

use hatch::{FromGate, PeerRole, ToGate};
use link::{LinkError, Objection, Role};
use protocol::frames::{self, Answer, Ask, Stop};
use protocol::{Bytes, Digest, Time, limits};
use rcgen::PublicKeyData as _;

use crate::support::{Ca, House, soon};

fn body(ask: &Ask) -> Bytes {
    Bytes(frames::encode(ask, limits::FRAME_BYTES_MAX).unwrap().split_off(4))
}

fn answer() -> Bytes {
    let stop = Answer::Stop { code: Stop::NoRun };
    Bytes(frames::encode(&stop, limits::FRAME_BYTES_MAX).unwrap().split_off(4))
}

/// The peer's word for the end of the connection.
fn app_code(end: quinn::ConnectionError) -> u64 {
    match end {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other:?}"),
    }
}

async fn opened(house: &mut House) -> u32 {
    let FromGate::Opened { session, role, peer, address } = house.keeper.hear().await else {
        panic!("not opened")
    };
    assert_eq!((role, peer.as_str()), (PeerRole::Agent, "a.kaya"));
    assert!(address.starts_with("127.0.0.1:"));
    session
}

#[tokio::test]
async fn frames_cross_both_ways_by_session_and_stream() {
    let mut house = House::open().await;
    for wanted in 0..2 {
        let connection = house.agent(2).await;
        let mut streams = Vec::new();
        for stream in 0..3 {
            let mut open = connection.open().await.unwrap();
            open.send(&Ask::Challenge).await.unwrap();
            if stream == 0 {
                assert_eq!(opened(&mut house).await, wanted);
            }
            let bytes = body(&Ask::Challenge);
            let seen = house.keeper.hear().await;
            assert_eq!(seen, FromGate::Frame { session: wanted, stream, bytes });
            streams.push(open);
        }
        // The answer to the second stream, then its end, then the others.
        house.keeper.say(ToGate::Frame { session: wanted, stream: 1, bytes: answer() }).await;
        house.keeper.say(ToGate::Finish { session: wanted, stream: 1 }).await;
        let got: Option<Answer> = soon(streams[1].recv()).await.unwrap();
        assert_eq!(got, Some(Answer::Stop { code: Stop::NoRun }));
        assert_eq!(soon(streams[1].recv::<Answer>()).await, Ok(None));
        streams[2].finish();
        let ended = house.keeper.hear().await;
        assert_eq!(ended, FromGate::Ended { session: wanted, stream: 2 });
        connection.leave().await;
        loop {
            match house.keeper.hear().await {
                FromGate::Ended { session, .. } => assert_eq!(session, wanted),
                last => {
                    assert_eq!(last, FromGate::Closed { session: wanted });
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn frames_are_not_looked_at() {
    let mut house = House::open().await;
    let connection = house.agent(2).await;
    let (mut sending, _receiving) = connection.open().await.unwrap().split();
    sending.send_bytes(b"\xff\x00 not cbor").await.unwrap();
    opened(&mut house).await;
    let bytes = Bytes(b"\xff\x00 not cbor".to_vec());
    assert_eq!(house.keeper.hear().await, FromGate::Frame { session: 0, stream: 0, bytes });
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_closed_and_never_mentioned() {
    let mut house = House::open().await;
    let silent = house.agent(2).await;
    let stream = silent.open().await.unwrap();
    let limit = Duration::from_secs(limits::HELLO_SECONDS_MAX + 2);
    let end = tokio::time::timeout(limit, silent.closed()).await.unwrap();
    assert_eq!(end, LinkError::Stopped(Stop::Late));
    assert!(house.keeper.hears_nothing_for(Duration::from_millis(100)).await);
    drop(stream);
}

/// E1: whoever is refused at the door is nobody for the keeper.
#[tokio::test]
async fn the_keeper_hears_nothing_of_a_peer_that_was_refused() {
    let mut house = House::open().await;
    let strangers = [
        Ca::new("people").issue(Role::Agent, "a.kaya", 2),
        house.machines.issue(Role::Endpoint, "e2", 3),
        house.machines.issue(Role::Agent, "a.kaya", 4),
        // Of the people's CA, and neither an agent nor a desk.
        house.people.issue(Role::Endpoint, "e2", 5),
    ];
    for stranger in strangers {
        let connection = house.dial(&stranger).await;
        if let Ok(stream) = connection.open().await {
            let _ = stream.split().0.send(&Ask::Hello { min: 1, max: 1 }).await;
        }
        let end = soon(connection.closed()).await;
        assert!(matches!(end, LinkError::Refused(_) | LinkError::Stopped(Stop::Role)), "{end:?}");
    }
    let key = rcgen::KeyPair::try_from(house.key.as_slice()).unwrap().subject_public_key_info();
    let nobody = link::dial_pinned(&house.address, Digest::of(&key), limits::ALPN);
    let end = soon(soon(nobody).await.unwrap().closed()).await;
    assert_eq!(end, LinkError::Refused(Objection::NoCertificate));
    // Its first words are about the first who was admitted.
    let known = house.agent(6).await;
    let (mut sending, _receiving) = known.open().await.unwrap().split();
    sending.send(&Ask::Hello { min: 1, max: 1 }).await.unwrap();
    assert_eq!(opened(&mut house).await, 0);
}

#[tokio::test]
async fn bad_lengths_close_the_session_with_a_code() {
    let mut house = House::open().await;
    for bytes in [vec![0; 4], vec![0xff; 8], vec![0x7f, 0xff, 0xff, 0xff], vec![0, 0, 0, 9, 1]] {
        // As a first frame: the keeper never hears of it.
        let (_endpoint, connection) = house.rude().await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        let code = app_code(soon(connection.closed()).await);
        assert_eq!(code, u64::from(Stop::Frame.code()), "{bytes:?}");
        // After a good frame, on another stream: the session is closed and said to be.
        let (_endpoint, connection) = house.rude().await;
        let (mut good, _recv) = connection.open_bi().await.unwrap();
        good.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
        assert!(matches!(house.keeper.hear().await, FromGate::Opened { .. }));
        assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        let code = app_code(soon(connection.closed()).await);
        assert_eq!(code, u64::from(Stop::Frame.code()), "{bytes:?}");
        assert!(matches!(house.keeper.hear().await, FromGate::Closed { .. }));
    }
}

/// A byte now and then keeps a connection alive and holds our memory: a frame has a deadline.
#[tokio::test]
async fn a_frame_that_does_not_end_closes_the_session() {
    let mut house = House::open().await;
    let (_endpoint, connection) = house.rude().await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
    assert!(matches!(house.keeper.hear().await, FromGate::Opened { .. }));
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
    send.write_all(&[0, 0, 1, 0]).await.unwrap();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if send.write_all(&[7]).await.is_err() {
                break;
            }
        }
        connection.closed().await
    };
    let limit = Duration::from_secs(limits::IDLE_SECONDS_MAX + 5);
    let end = tokio::time::timeout(limit, trickle).await.expect("held for ever");
    assert_eq!(app_code(end), u64::from(Stop::Late.code()));
    assert!(matches!(house.keeper.hear().await, FromGate::Closed { .. }));
}

/// E38: whoever said its first frame on every stream, and nothing more, holds these eight and nobody up.
#[tokio::test]
async fn eight_silent_streams_hold_nobody_up() {
    let mut house = House::open().await;
    let (_endpoint, silent) = house.rude().await;
    let mut held = Vec::new();
    for number in 0..limits::STREAMS_MAX {
        let (mut send, recv) = silent.open_bi().await.unwrap();
        send.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
        if number == 0 {
            assert!(matches!(house.keeper.hear().await, FromGate::Opened { session: 0, .. }));
        }
        assert!(matches!(house.keeper.hear().await, FromGate::Frame { session: 0, .. }));
        // Answered to the end, which gives no stream back as long as the peer holds its half.
        house.keeper.say(ToGate::Finish { session: 0, stream: number }).await;
        held.push((send, recv));
    }
    let wait = Duration::from_millis(200);
    assert!(tokio::time::timeout(wait, silent.open_bi()).await.is_err(), "a ninth one");
    let honest = house.agent(2).await;
    let mut stream = honest.open().await.unwrap();
    stream.send(&Ask::Challenge).await.unwrap();
    assert_eq!(opened(&mut house).await, 1);
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { session: 1, .. }));
    house.keeper.say(ToGate::Frame { session: 1, stream: 0, bytes: answer() }).await;
    assert!(soon(stream.recv::<Answer>()).await.unwrap().is_some());
    // Its end is heard like any other, and not one of its streams is said to have ended before.
    silent.close(0u32.into(), b"");
    assert_eq!(house.keeper.hear().await, FromGate::Closed { session: 0 });
}

#[tokio::test]
async fn a_peer_opens_no_more_streams_than_the_limit_and_none_of_one_way() {
    let house = House::open().await;
    let (_endpoint, connection) = house.rude().await;
    let wait = Duration::from_millis(200);
    assert!(tokio::time::timeout(wait, connection.open_uni()).await.is_err());
    let mut open = Vec::new();
    for _ in 0..limits::STREAMS_MAX {
        open.push(connection.open_bi().await.unwrap());
    }
    assert!(tokio::time::timeout(wait, connection.open_bi()).await.is_err());
    assert_eq!(connection.max_datagram_size(), None);
}

#[tokio::test]
async fn a_withdrawn_certificate_loses_its_live_session() {
    let mut house = House::open().await;
    let (bad, good) = (house.agent(2).await, house.agent(3).await);
    let mut streams = Vec::new();
    for connection in [&bad, &good] {
        let mut stream = connection.open().await.unwrap();
        stream.send(&Ask::Challenge).await.unwrap();
        opened(&mut house).await;
        assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
        streams.push(stream);
    }
    let people_ca = vec![Bytes(house.people.der.clone())];
    let denied = vec![Bytes(vec![2])];
    house.keeper.say(ToGate::Trust { people_ca, denied, floor: Time(0) }).await;
    assert_eq!(soon(bad.closed()).await, LinkError::Stopped(Stop::Withdrawn));
    assert_eq!(house.keeper.hear().await, FromGate::Closed { session: 0 });
    // The other one is served still.
    house.keeper.say(ToGate::Frame { session: 1, stream: 0, bytes: answer() }).await;
    assert!(soon(streams[1].recv::<Answer>()).await.unwrap().is_some());
    // And nobody comes back with it.
    let again = house.agent(2).await;
    assert!(matches!(soon(again.closed()).await, LinkError::Refused(_)));
}

#[tokio::test]
async fn the_keeper_closes_a_session_with_its_reason() {
    let mut house = House::open().await;
    let connection = house.agent(2).await;
    connection.open().await.unwrap().send(&Ask::Challenge).await.unwrap();
    let session = opened(&mut house).await;
    house.keeper.say(ToGate::Close { session, stop: Stop::Seal }).await;
    assert_eq!(soon(connection.closed()).await, LinkError::Stopped(Stop::Seal));
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_own_session_only() {
    let mut house = House::open().await;
    let (_endpoint, deaf) = house.rude().await;
    let (mut send, _never_read) = deaf.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
    assert!(matches!(house.keeper.hear().await, FromGate::Opened { session: 0, .. }));
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
    let honest = house.agent(2).await;
    let mut stream = honest.open().await.unwrap();
    stream.send(&Ask::Challenge).await.unwrap();
    assert_eq!(opened(&mut house).await, 1);
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
    // More than may wait for one session.
    let part = Bytes(vec![7; limits::FRAME_BYTES_MAX]);
    for _ in 0..(40 * 1024 * 1024 / limits::FRAME_BYTES_MAX) {
        house.keeper.say(ToGate::Frame { session: 0, stream: 0, bytes: part.clone() }).await;
    }
    assert_eq!(app_code(soon(deaf.closed()).await), u64::from(Stop::Rate.code()));
    house.keeper.say(ToGate::Frame { session: 1, stream: 0, bytes: answer() }).await;
    assert!(soon(stream.recv::<Answer>()).await.unwrap().is_some());
}

#[tokio::test]
async fn draining_lets_open_streams_finish_and_then_ends() {
    let mut house = House::open().await;
    let connection = house.agent(2).await;
    let mut stream = connection.open().await.unwrap();
    stream.send(&Ask::Challenge).await.unwrap();
    opened(&mut house).await;
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
    house.keeper.say(ToGate::Drain).await;
    house.keeper.say(ToGate::Frame { session: 0, stream: 0, bytes: answer() }).await;
    assert!(soon(stream.recv::<Answer>()).await.unwrap().is_some());
    house.keeper.say(ToGate::Finish { session: 0, stream: 0 }).await;
    assert_eq!(soon(stream.recv::<Answer>()).await, Ok(None));
    assert_eq!(soon(connection.closed()).await, LinkError::Stopped(Stop::Drain));
    assert_eq!(house.keeper.hear().await, FromGate::Closed { session: 0 });
    let House { keeper, .. } = house;
    assert!(keeper.ended().await.success());
}

#[tokio::test]
async fn without_its_keeper_the_gate_ends() {
    let mut house = House::open().await;
    let connection = house.agent(2).await;
    let mut stream = connection.open().await.unwrap();
    stream.send(&Ask::Challenge).await.unwrap();
    opened(&mut house).await;
    assert!(matches!(house.keeper.hear().await, FromGate::Frame { .. }));
    house.keeper.to_gate = None;
    let House { keeper, .. } = house;
    assert!(keeper.ended().await.success());
}

#[tokio::test]
async fn more_sessions_than_the_limit_are_turned_away() {
    let house = House::open().await;
    let mut held = Vec::new();
    for number in 0..4u8 {
        let me = house.people.issue(Role::Agent, &format!("agent{number}"), 2 + number);
        for _ in 0..16 {
            held.push(house.dial(&me).await);
        }
        // One peer's are counted by themselves: the others still come in.
        let one_more = house.dial(&me).await;
        assert_eq!(soon(one_more.closed()).await, LinkError::Stopped(Stop::Rate), "{number}");
    }
    let other = house.people.issue(Role::Agent, "a.kaya", 9);
    let one_more = house.dial(&other).await;
    assert_eq!(soon(one_more.closed()).await, LinkError::Stopped(Stop::Rate));
}

#[tokio::test]
async fn idle_it_is_one_small_quiet_thread() {
    let house = House::open().await;
    assert_eq!(house.keeper.status("Threads"), "1");
    assert_eq!(house.keeper.status("NoNewPrivs"), "1");
    assert_eq!(house.keeper.status("Seccomp"), "2");
    assert_eq!(house.keeper.status("CapEff"), "0000000000000000");
    let rss: u64 = house.keeper.status("VmRSS").trim_end_matches(" kB").parse().unwrap();
    // A debug build; the release build is measured in the benches.
    assert!(rss < 24 * 1024, "{rss} kB");
    // It has slept since it said that it is ready, and nothing wakes it.
    let woken = |house: &House| house.keeper.status("voluntary_ctxt_switches");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = woken(&house);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(woken(&house), before);
}

#[tokio::test]
async fn it_does_not_serve_without_being_told_how() {
    let mut keeper = crate::support::Keeper::start();
    keeper.say(ToGate::Drain).await;
    assert!(!keeper.ended().await.success());
}
