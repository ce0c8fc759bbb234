//! Packets that are none, and far too many that are (E37): what they cost, and that others are served.

use std::time::Duration;

use hatch::FromGate;
use link::{Expect, Role};
use protocol::frames::Ask;
use protocol::limits;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::packets::{Heard, Stranger, crypto, parameter, varint};
use crate::support::House;

/// A gate's memory, resident, in a debug build with everything half-open that it lets in.
const MEMORY_KIB: u64 = 48 * 1024;

/// xorshift64*: the same noise everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll().to_be_bytes()[0]).collect()
    }
}

fn memory_kib(house: &House) -> u64 {
    house.keeper.status("VmHWM").trim_end_matches(" kB").parse().unwrap()
}

/// An honest console comes in and its first word arrives; how long that took.
async fn served(house: &mut House) -> Duration {
    let me = house.people.issue(Role::Agent, "a.kaya", 2);
    let begun = Instant::now();
    let connection = house.dial(&me).await;
    let mut stream = connection.open().await.unwrap();
    stream.send(&Ask::Challenge).await.unwrap();
    loop {
        match house.keeper.hear().await {
            FromGate::Opened { peer, .. } => assert_eq!(peer, "a.kaya"),
            FromGate::Frame { .. } => break,
            // Of the one before.
            FromGate::Ended { .. } | FromGate::Closed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let took = begun.elapsed();
    connection.leave().await;
    took
}

/// Datagrams that no client sends.
fn noise(stranger: &mut Stranger, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..60 {
        let len = 1 + dice.roll() as usize % 1500;
        let plain = dice.bytes(len);
        // The same as a first packet of version 1 would begin.
        let mut long = plain.clone();
        long.splice(..len.min(5), [0xc0 | plain[0], 0, 0, 0, 1]);
        all.extend([plain, long]);
    }
    // Good keys, and frames that are none; then a good packet with one bit turned, cut, or short.
    for _ in 0..60 {
        let frames = dice.bytes(900);
        all.push(stranger.initial(&frames));
    }
    let hello = stranger.hello();
    for _ in 0..60 {
        let mut turned = stranger.initial(&crypto(0, &hello));
        let place = dice.roll() as usize % turned.len();
        turned[place] ^= 1 << (dice.roll() % 8);
        let cut = turned[..1 + dice.roll() as usize % 1199].to_vec();
        all.extend([turned, cut]);
    }
    all
}

/// First messages that are too long, have holes, or are none.
fn hellos(stranger: &mut Stranger, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut sent = |stranger: &mut Stranger, dice: &mut Dice, frames: Vec<Vec<u8>>| {
        stranger.again(dice.roll());
        all.extend(frames.iter().map(|frames| stranger.initial(frames)));
    };
    // 16 MiB, as its own length says, of which 200 KiB come.
    let mut large = vec![1, 0xff, 0xff, 0xff];
    large.resize(200 * 1024, 7);
    let pieces = large.chunks(1000).zip(0..).map(|(part, n)| crypto(n * 1000, part));
    sent(stranger, dice, pieces.collect());
    // A good one whose session id, names and extensions go on and on.
    let hello = stranger.hello();
    sent(stranger, dice, vec![crypto(0, &[hello.clone(), vec![0; 700]].concat())]);
    // Every other byte, and never those between; then the same from the end.
    let holes = |from: u64| -> Vec<u8> {
        (0..60).flat_map(|n| crypto(from + 2 * n, &[hello[n as usize]])).collect()
    };
    let gaps: Vec<Vec<u8>> = (0..120).map(|n| holes(n * 120)).collect();
    sent(stranger, dice, gaps.iter().rev().cloned().collect());
    sent(stranger, dice, gaps);
    // Where no stream reaches.
    sent(stranger, dice, vec![crypto((1 << 62) - 1 - 2, &[1, 2])]);
    sent(stranger, dice, vec![crypto((1 << 62) - 1, &[1, 2])]);
    // No hello: noise, another message, nothing at all.
    for first in [dice.bytes(400), vec![2; 400], vec![1, 0, 0, 0], Vec::new()] {
        sent(stranger, dice, vec![crypto(0, &first)]);
    }
    all
}

/// Transport parameters that a client may not send.
fn parameters(stranger: &mut Stranger, dice: &mut Dice) -> Vec<Vec<u8>> {
    let name = parameter(0x0f, stranger.name());
    let with = |more: Vec<u8>| [name.clone(), more].concat();
    let table = [
        Vec::new(),
        parameter(0x0f, b"somebody"),
        with(name.clone()),
        // What only a server says: the first connection id, a reset token, where else it is.
        with(parameter(0x00, b"original")),
        with(parameter(0x02, &[7; 16])),
        with(parameter(0x0d, &[7; 41])),
        // Out of their bounds.
        with(parameter(0x03, &varint(1199))),
        with(parameter(0x0a, &varint(21))),
        with(parameter(0x0b, &varint(1 << 14))),
        with(parameter(0x08, &varint((1 << 60) + 1))),
        with(parameter(0x0e, &varint(1))),
        // Cut, or longer than what follows.
        with(vec![0x40]),
        with([varint(0x04), varint(1 << 61)].concat()),
        with(parameter(0x04, &[0xc0])),
        dice.bytes(300),
    ];
    let mut all = Vec::new();
    for parameters in table {
        stranger.again(dice.roll());
        let hello = stranger.hello_with(parameters);
        all.push(stranger.initial(&crypto(0, &hello)));
    }
    all
}

#[tokio::test]
async fn packets_that_are_none_are_dropped_and_others_are_served() {
    let mut house = House::open().await;
    let mut dice = Dice(37);
    let mut stranger = Stranger::at("127.0.0.2", &house.address, 1).await;
    // What is made by hand is what a client says, as long as nothing is wrong with it.
    stranger.begin().await;
    assert_eq!(stranger.hear().await, Heard::Handshake);
    for kind in [noise, hellos, parameters] {
        let packets = kind(&mut stranger, &mut dice);
        for some in packets.chunks(20) {
            for packet in some {
                stranger.send(packet).await;
            }
            stranger.until_answered().await;
        }
        // Behind all of them: the same gate, and it told its keeper of the honest one alone.
        served(&mut house).await;
    }
    assert!(memory_kib(&house) < MEMORY_KIB, "{} KiB", memory_kib(&house));
}

/// A thousand first packets a second, each of another connection, from somebody who hears nothing.
async fn flood(gate: String, mut end: oneshot::Receiver<()>) -> u64 {
    let mut stranger = Stranger::at("127.0.0.2", &gate, 1).await;
    let hello = crypto(0, &stranger.hello());
    let mut every = tokio::time::interval(Duration::from_millis(10));
    let mut sent = 0;
    while end.try_recv() == Err(TryRecvError::Empty) {
        every.tick().await;
        for _ in 0..10 {
            sent += 1;
            stranger.again(sent);
            let packet = stranger.initial(&hello);
            stranger.send(&packet).await;
        }
    }
    sent
}

#[tokio::test]
async fn a_flood_of_half_open_handshakes_keeps_nobody_out() {
    let mut house = House::open().await;
    let mut quiet = Vec::new();
    for _ in 0..10 {
        quiet.push(served(&mut house).await);
    }
    let (end, ended) = oneshot::channel();
    let mut flooding = JoinSet::new();
    flooding.spawn(flood(house.address.clone(), ended));
    let begun = Instant::now();
    let mut loud = Vec::new();
    // As long as it takes the first half-open ones to run out of time, and the next to come in.
    while begun.elapsed() < Duration::from_secs(limits::HELLO_SECONDS_MAX + 1) {
        loud.push(served(&mut house).await);
    }
    end.send(()).unwrap();
    let sent = flooding.join_next().await.unwrap().unwrap();
    quiet.sort();
    loud.sort();
    let half = |times: &[Duration]| times[times.len() / 2];
    let (quiet, loud, most) = (half(&quiet), half(&loud), loud[loud.len() - 1]);
    println!("{sent} first packets; served in {quiet:?}, meanwhile {loud:?}, at most {most:?}");
    assert!(memory_kib(&house) < MEMORY_KIB, "{} KiB", memory_kib(&house));
}

/// A stranger who shows that it hears, and then says nothing more.
struct HalfOpen {
    stranger: Stranger,
    /// The gate went on with its handshake.
    inside: bool,
}

impl HalfOpen {
    async fn take(&mut self, heard: &Heard) {
        match heard {
            Heard::Handshake => self.inside = true,
            Heard::Retry => self.stranger.begin().await,
            Heard::Versions => {}
        }
    }
}

#[derive(Default)]
struct Crowd(Vec<HalfOpen>);

impl Crowd {
    /// So many more, from this address.
    async fn grow(&mut self, house: &House, address: &str, count: usize) {
        for _ in 0..count {
            let stranger = Stranger::at(address, &house.address, self.0.len() as u64).await;
            let mut half = HalfOpen { stranger, inside: false };
            half.stranger.begin().await;
            half.stranger.ask().await;
            // One after the other: what the kernel drops would not be the gate's doing.
            loop {
                let heard = half.stranger.hear().await;
                half.take(&heard).await;
                if heard == Heard::Versions {
                    break;
                }
            }
            self.0.push(half);
        }
    }

    /// Hears and answers what there is; how many are inside by now.
    async fn inside(&mut self) -> usize {
        // What has come is known to this runtime only after it looked.
        tokio::task::yield_now().await;
        for half in &mut self.0 {
            while let Some(heard) = half.stranger.has_heard().await {
                half.take(&heard).await;
            }
        }
        self.0.iter().filter(|half| half.inside).count()
    }

    /// Whether so many come to be inside, and stay as many, while the first handshake may last.
    async fn are_inside(&mut self, count: usize, begun: Instant) -> bool {
        while self.inside().await < count && begun.elapsed() < HANDSHAKE {}
        for _ in 0..20 {
            self.0[0].stranger.ask().await;
            if self.inside().await != count {
                return false;
            }
        }
        true
    }
}

/// Handshakes of one address, those let in before a door asks for a Retry among them, and of all.
const OF_ONE: usize = 16 + 64;
const OF_ALL: usize = 128;

/// From its first packet on: afterwards places are given anew.
const HANDSHAKE: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);

/// Fills a door from one address, then from another; whether both limits held, unless this machine was
/// so busy that the first handshakes were over before the last began.
async fn filled(house: &mut House) -> Option<bool> {
    let begun = Instant::now();
    let mut crowd = Crowd::default();
    crowd.grow(house, "127.0.0.2", OF_ONE + 8).await;
    let of_one = crowd.are_inside(OF_ONE, begun).await;
    let alone = served(house).await;
    crowd.grow(house, "127.0.0.3", OF_ALL - OF_ONE + 8).await;
    let of_all = crowd.are_inside(OF_ALL, begun).await;
    println!("served in {alone:?} beside {OF_ONE} of one address");
    (begun.elapsed() < HANDSHAKE).then_some(of_one && of_all)
}

#[tokio::test]
async fn half_open_handshakes_have_a_limit_and_one_address_a_part_of_it() {
    let mut held = None;
    for _ in 0..4 {
        let mut house = House::open().await;
        held = filled(&mut house).await;
        // All places are taken, for no longer than a handshake may last.
        loop {
            let me = house.people.issue(Role::Agent, "a.kaya", 2);
            let expect = Expect { role: Role::Endpoint, id: Some("e1".into()), key: None };
            if let Ok(connection) = link::dial(&house.address, &me, &house.trust(), &expect).await {
                connection.leave().await;
                break;
            }
        }
        served(&mut house).await;
        assert!(memory_kib(&house) < MEMORY_KIB, "{} KiB", memory_kib(&house));
        if held.is_some() {
            break;
        }
    }
    assert_eq!(held, Some(true), "a limit did not hold, or nothing could be measured here");
}
