//! The daemon is killed after every kind of effect, at every place one happens in a full day, and
//! starts again. The list of kill points is the effect enum itself.

use std::collections::{BTreeMap, BTreeSet};

use hatch::messages::FromGate;
use keeper::core::{Effect, Event};
use protocol::frames::Ask;
use protocol::{Bytes, Digest, Mode};
use trust::catalogue::Files;

use crate::desk::{dispatch, recall, sealed, submit};
use crate::world::{Manner, World};

pub(crate) fn update(world: &mut World, session: u32, stream: u32, files: &Files) {
    for (name, bytes) in files.iter() {
        let (name, part) = (name.to_owned(), Bytes(bytes.to_vec()));
        world.ask(session, stream, &Ask::CatalogueFile { name, part, last: true });
    }
    world.ask(session, stream, &Ask::CatalogueEnd);
}

/// Opens a session and submits; a crash on the way is part of the day.
fn go(world: &mut World, script: &str, mode: Mode, manner: Manner) -> Option<(u32, Digest)> {
    world.manner = manner;
    let crashes = world.crashes;
    let session = world.open();
    world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
    let challenge = world.on(session, 0).into_iter().find_map(|answer| match answer {
        protocol::frames::Answer::Hello { hello, .. } => Some(hello.clone()),
        _ => None,
    })?;
    let hello = protocol::Envelope::read(&challenge.0).unwrap();
    let hello: protocol::documents::Hello = trust::seal::peek(&hello).unwrap();
    let now = world.time();
    let order = sealed(&world.desk.order(script, mode, now), "a.kaya");
    let dispatch = sealed(&dispatch(&order, hello.challenge, 1, now), "a.kaya");
    let bytes = submit(&order, &dispatch);
    world.ask(session, 1, &bytes);
    if world.crashes > crashes {
        // The console does not know what became of it and sends the very same bytes again.
        let session = world.open();
        world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
        world.ask(session, 1, &bytes);
    }
    Some((session, order.digest()))
}

/// A day in which every effect happens.
fn day(world: &mut World) {
    let first = go(world, "cache.clear", Mode::Plan, Manner::Good);
    go(world, "cache.clear", Mode::Fix, Manner::Good);
    go(world, "user.reset", Mode::Fix, Manner::Good);
    if let Some((session, order)) = go(world, "cache.clear", Mode::Fix, Manner::Hangs) {
        let now = world.time();
        world.ask(session, 2, &recall(order, "a.kaya", now));
    }
    world.wait(5_000);
    world.desk.asks = true;
    // One that is not answered, and one that is.
    go(world, "cache.clear", Mode::Plan, Manner::Good);
    world.wait((protocol::limits::ASK_SECONDS + 5) * 1000);
    world.screen.answer = Some(protocol::documents::Heard::Yes);
    go(world, "cache.clear", Mode::Plan, Manner::Good);
    world.desk.asks = false;
    go(world, "cache.clear", Mode::Fix, Manner::Dies);
    go(world, "cache.clear", Mode::Fix, Manner::Hangs);
    go(world, "cache.clear", Mode::Fix, Manner::Good);
    world.wait(61_000);
    world.wait(3_000);
    let session = world.open();
    world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
    if let Some((_, order)) = first {
        let run = protocol::RunId::of(&order, &crate::desk::HERE, 0);
        world.ask(session, 1, &Ask::Output { run });
        world.ask(session, 3, &Ask::Order { run });
    }
    let now = crate::desk::START.plus(60);
    let files = world.desk.publish(|policy| policy.limits.orders_a_minute = 999, now);
    let session = world.open();
    world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
    update(world, session, 1, &files);
    let end = crate::desk::START.plus(90 * 86_400);
    let leaf = crate::desk::leaf("tls", crate::desk::HERE, end);
    world.ask(session, 2, &Ask::Certificate { leaf });
    world.wait(3_700_000);
    go(world, "cache.clear", Mode::Plan, Manner::Good);
    go(world, "cache.clear", Mode::Undo, Manner::Good);
    world.gate(FromGate::Answer { bytes: Bytes(vec![1]) });
    world.feed(Event::Drain);
    world.wait(5_000);
}

fn effects_of_a_day() -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for name in Effect::NAMES {
        for nth in 1.. {
            let mut world = World::new();
            world.crash = Some((name, nth));
            day(&mut world);
            world.crash = None;
            world.settle_and_check();
            if world.crashes == 0 {
                break;
            }
            counts.insert(*name, nth);
        }
    }
    counts
}

#[test]
fn power_that_goes_in_mid_write_of_any_entry_keeps_every_promise() {
    // The nth entry of the day is torn: nothing of it stays, some, or all but the news of it.
    for keep in [0, 60, 600, usize::MAX] {
        for nth in (1..40).step_by(2) {
            let mut world = World::new();
            world.tear_at = Some((nth, keep));
            day(&mut world);
            world.tear_at = None;
            world.settle_and_check();
        }
    }
}

#[test]
fn killed_after_every_effect_nothing_runs_twice_and_nothing_goes_unrecorded() {
    let counts = effects_of_a_day();
    let hit: BTreeSet<_> = counts.keys().copied().collect();
    let all: BTreeSet<_> = Effect::NAMES.iter().copied().collect();
    assert_eq!(hit, all, "an effect without a kill point");
    assert!(counts["Spawn"] >= 7 && counts["AppendLedger"] >= 25, "{counts:?}");
}
