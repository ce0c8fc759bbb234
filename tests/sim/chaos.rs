//! Seeded days of everything at once: good orders, replays, garbage from a taken gate, crashes.

use hatch::messages::{FromExecutor, FromGate, FromInterpreter, PeerRole};
use keeper::core::{Child, Effect, Event};
use protocol::frames::{Answer, Ask, Event as Live};
use protocol::{Bytes, Digest, Envelope, Mode, Outcome, RunId};

use crate::desk::{dispatch, recall, sealed, submit};
use crate::world::{Manner, World};

/// xorshift64*: enough chance for a test, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.roll(most)).map(|_| self.roll(256) as u8).collect()
    }
}

fn garbage(dice: &mut Dice, captured: &[Vec<u8>]) -> Vec<u8> {
    if captured.is_empty() || dice.roll(4) == 0 {
        return dice.bytes(200);
    }
    let mut bytes = captured[dice.roll(captured.len() as u64) as usize].clone();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len() as u64) as usize;
        match dice.roll(3) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, dice.roll(256) as u8),
        }
    }
    bytes
}

fn from_gate(dice: &mut Dice, captured: &[Vec<u8>]) -> FromGate {
    let (session, stream) = (dice.roll(6) as u32, dice.roll(4) as u32);
    match dice.roll(14) {
        0 => FromGate::Opened {
            session,
            role: PeerRole::Desk,
            peer: "x".into(),
            address: "y".into(),
        },
        1 => FromGate::Closed { session },
        2 => FromGate::Ended { session, stream },
        3 => FromGate::Answer { bytes: Bytes(dice.bytes(50)) },
        4 => FromGate::Ready { address: "z".into(), defences: Default::default() },
        5 => {
            let ask = minicbor::to_vec(Ask::Hello { min: 1, max: 1 }).unwrap();
            FromGate::Frame { session, stream, bytes: Bytes(ask) }
        }
        6 if !captured.is_empty() => {
            let whole = captured[dice.roll(captured.len() as u64) as usize].clone();
            FromGate::Frame { session, stream, bytes: Bytes(whole) }
        }
        7 => FromGate::Desk { desk: "d".into(), fault: None, again: dice.roll(u64::MAX) },
        8 => FromGate::LookUp,
        _ => FromGate::Frame { session, stream, bytes: Bytes(garbage(dice, captured)) },
    }
}

#[test]
fn no_bytes_of_a_taken_gate_ever_start_a_run() {
    // Captured from another endpoint's honest sessions, and therefore never good here.
    let mut honest = World::new();
    let (_, challenge) = honest.session();
    let now = honest.time();
    let mut captured = Vec::new();
    for mode in [Mode::Check, Mode::Plan, Mode::Fix] {
        let order = sealed(&honest.desk.order("cache.clear", mode, now), "a.kaya");
        let by = if mode == Mode::Fix { "a.kaya" } else { "stranger" };
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), by);
        captured.push(minicbor::to_vec(submit(&order, &dispatch)).unwrap());
        captured.push(minicbor::to_vec(recall(order.digest(), "a.kaya", now)).unwrap());
    }
    for seed in 1..=40 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        // Its own challenges are other ones: the gate may know them, it cannot sign for them.
        world.wait(1);
        for _ in 0..400 {
            let message = from_gate(&mut dice, &captured);
            let chance = Digest::of(&dice.roll(u64::MAX).to_be_bytes()).0;
            world.feed(Event::Gate { message, chance });
        }
        assert!(world.spawns.is_empty(), "seed {seed}");
        world.settle_and_check();
    }
}

fn from_child(dice: &mut Dice, run: RunId) -> Event {
    match dice.roll(9) {
        0 => Event::Garbled { run, child: Child::Executor },
        1 => Event::Garbled { run, child: Child::Interpreter },
        2 => Event::Executor {
            run,
            message: FromExecutor::OneTime { handle: dice.roll(3) as u32, length: 0, minutes: 9 },
        },
        3 => Event::Executor {
            run,
            message: FromExecutor::Event(Live::Ended { outcome: Outcome::Succeeded }),
        },
        4 => Event::Executor { run, message: FromExecutor::Finished(Default::default()) },
        5 => Event::Interpreter {
            run,
            message: FromInterpreter::Ended { findings: vec![], fault: None },
        },
        6 => Event::Spawned { run, cgroup: dice.roll(2) == 0 },
        7 => {
            let effects = keeper::record::EffectsSummary::of(&dice.bytes(40));
            Event::EffectsRead { run, effects, secrets: vec![] }
        }
        _ => Event::SpawnFailed { run, why: "x".into(), reason: "y".into() },
    }
}

#[test]
fn whole_days_of_chance_keep_every_promise() {
    let seeds = 25;
    let mut crashes = 0;
    let mut runs = 0;
    for seed in 1..=seeds {
        let mut dice = Dice(seed * 7919);
        let mut world = World::new();
        let mut captured: Vec<Ask> = Vec::new();
        let mut orders: Vec<Digest> = Vec::new();
        for _ in 0..60 {
            act(&mut world, &mut dice, &mut captured, &mut orders);
        }
        (world.crash, world.tear) = (None, None);
        world.manner = Manner::Good;
        for _ in 0..20 {
            world.wait(30_000);
        }
        world.settle_and_check();
        crashes += world.crashes;
        runs += world.spawns.len();
    }
    assert!(crashes > 40 && runs > 80, "{crashes} crashes, {runs} runs: too tame a day");
}

fn act(world: &mut World, dice: &mut Dice, captured: &mut Vec<Ask>, orders: &mut Vec<Digest>) {
    let manners = [Manner::Good, Manner::Good, Manner::Hangs, Manner::Dies, Manner::Unborn];
    world.manner = manners[dice.roll(5) as usize];
    if dice.roll(4) == 0 {
        let name = Effect::NAMES[dice.roll(Effect::NAMES.len() as u64) as usize];
        world.crash = Some((name, 1 + dice.roll(3) as u32));
    }
    if dice.roll(6) == 0 {
        let most = [1, 100, 700, 5_000][dice.roll(4) as usize];
        world.tear = Some(dice.roll(most) as usize);
    }
    let wait = dice.roll(20_000);
    world.wait(wait);
    let session = world.open();
    world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
    match dice.roll(10) {
        0..=4 => {
            let hello = world.on(session, 0).into_iter().find_map(|answer| match answer {
                Answer::Hello { hello, .. } => Envelope::read(&hello.0).ok(),
                _ => None,
            });
            let Some(hello) = hello else { return };
            let hello: protocol::documents::Hello = trust::seal::peek(&hello).unwrap();
            let script = ["cache.clear", "user.reset"][dice.roll(2) as usize];
            let mode = [Mode::Check, Mode::Plan, Mode::Fix, Mode::Fix][dice.roll(4) as usize];
            let now = world.time();
            let order = sealed(&world.desk.order(script, mode, now), "a.kaya");
            let ask = submit(&order, &sealed(&dispatch(&order, hello.challenge, 1, now), "a.kaya"));
            world.ask(session, 1, &ask);
            captured.push(ask);
            orders.push(order.digest());
        }
        5 | 6 if !captured.is_empty() => {
            let again = captured[dice.roll(captured.len() as u64) as usize].clone();
            world.ask(session, 1, &again);
        }
        7 if !orders.is_empty() => {
            let order = orders[dice.roll(orders.len() as u64) as usize];
            let by = ["a.kaya", "t.new", "m.ruiz"][dice.roll(3) as usize];
            let now = world.time();
            world.ask(session, 1, &recall(order, by, now));
        }
        8 if !world.spawns.is_empty() => {
            let place = dice.roll(world.spawns.len() as u64) as usize;
            let run = *world.spawns.keys().nth(place).unwrap();
            // Only of runs that are over: a living run's processes are the world's own.
            if world.records.iter().any(|record| record.predicate.run == run) {
                let event = from_child(dice, run);
                world.feed(event);
            }
        }
        9 => world.restart(),
        _ => world.gate(FromGate::Closed { session }),
    }
}
