//! Whole runs: good ones, hanging ones, dying ones, recalled ones. Each ends in one record.

use protocol::frames::{Answer, Ask, Event, Stop};
use protocol::{Mode, Outcome};

use crate::desk::{dispatch, recall, sealed, submit};
use crate::world::{Manner, World};

fn go(world: &mut World, script: &str, mode: Mode) -> (u32, protocol::Digest) {
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order(script, mode, now), "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    (session, order.digest())
}

#[test]
fn a_fix_runs_once_and_its_record_is_the_last_frame() {
    let mut world = World::new();
    let (session, order) = go(&mut world, "cache.clear", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, Outcome::Succeeded, "{record:?}");
    assert_eq!(record.effects.by_function["fs.remove"].done, 1);
    assert_eq!((record.output.bytes, record.output.kept), (11, 11));
    assert!(record.kernel_held && record.classes == ["look", "files"], "{record:?}");
    assert!(record.weaknesses.iter().any(|w| w.contains("every risk")), "{record:?}");
    assert!(record.defences.contains_key("keeper cgroup"));
    assert!(matches!(world.on(session, 1).last(), Some(Answer::Record { .. })));
    assert!(world.core.index().accepted(&order).is_some());
    world.settle_and_check();
}

#[test]
fn the_record_confirms_the_events_that_were_sent() {
    let mut world = World::new();
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let mut sent = Vec::new();
    for answer in world.on(session, 1) {
        if let Answer::Event { event } = answer {
            sent.extend(minicbor::to_vec(event).unwrap());
        }
    }
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.events.digest, protocol::Digest::of(&sent));
    assert!(record.events.count >= 2 && record.events.dropped == 0);
}

#[test]
fn a_plan_is_kept_and_a_fix_may_be_bound_to_it_for_an_hour() {
    for (wait, parameter, code) in [
        (0, false, None),
        (3_700_000, false, Some("plan-unknown")),
        (0, true, Some("plan-mismatch")),
    ] {
        let mut world = World::new();
        let (session, _) = go(&mut world, "cache.clear", Mode::Plan);
        let plan = world.record_on(session, 1).unwrap().predicate.plan.unwrap();
        world.wait(wait);
        let (session, challenge) = world.session();
        let now = world.time();
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        order.plan = Some(plan);
        if parameter {
            let text = protocol::ParamValue::Text("root".into());
            order.parameters.insert("user".into(), text);
        }
        let order = sealed(&order, "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        let record = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(record.reason.as_deref(), code, "{record:?}");
        assert_eq!(record.plan, Some(plan));
        world.settle_and_check();
    }
}

#[test]
fn a_run_that_hangs_ends_at_its_deadline_and_one_that_dies_says_what_was_in_flight() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    world.wait(59_000);
    assert!(world.record_on(session, 1).is_none());
    world.wait(1_000);
    world.wait(2_000);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, Outcome::TimedOut, "{record:?}");
    assert!((60_000..=63_000).contains(&record.duration_ms), "{record:?}");
    world.settle_and_check();

    let mut world = World::new();
    world.manner = Manner::Dies;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.reason.as_deref(), Some("executor-died"), "{record:?}");
    assert_eq!(record.in_flight.unwrap().noun, "/tmp/a");
    world.settle_and_check();

    let mut world = World::new();
    world.manner = Manner::Unborn;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!((record.outcome, record.reason.as_deref()), (Outcome::Failed, Some("spawn")));
    world.settle_and_check();
}

#[test]
fn a_one_time_secret_is_in_escrow_before_anybody_has_it() {
    let mut world = World::new();
    let (session, _) = go(&mut world, "user.reset", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, Outcome::Succeeded, "{record:?}");
    assert!(!record.kernel_held);
    // Its digest is in the record, and the bytes that follow it are those.
    let [secret] = &record.secrets[..] else { panic!("{record:?}") };
    assert_eq!((secret.handle, secret.not_after), (1, record.accepted.plus(3600)));
    let escrow = world.on(session, 1).into_iter().find_map(|answer| match answer {
        Answer::Escrow { sealed, not_after } => Some((sealed.clone(), *not_after)),
        _ => None,
    });
    let (sealed, not_after) = escrow.unwrap();
    assert_eq!((protocol::Digest::of(&sealed.0), not_after), (secret.sealed, secret.not_after));
    world.settle_and_check();
}

#[test]
fn an_interrupted_run_names_the_secret_that_it_had_made() {
    let mut world = World::new();
    world.crash = Some(("WriteEscrow", 1));
    let _ = go(&mut world, "user.reset", Mode::Fix);
    assert_eq!(world.crashes, 1);
    world.settle_and_check();
    let record = &world.records[0].predicate;
    assert_eq!((record.outcome, record.secrets.len()), (Outcome::Interrupted, 1), "{record:?}");
}

#[test]
fn only_who_may_recalls_a_run_and_a_recalled_order_never_starts() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, order) = go(&mut world, "cache.clear", Mode::Fix);
    let now = world.time();
    world.ask(session, 2, &recall(order, "t.new", now));
    assert_eq!(world.on(session, 2), [&Answer::Stop { code: Stop::NotYours }]);
    world.ask(session, 3, &recall(order, "m.ruiz", now));
    assert_eq!(world.on(session, 3), [&Answer::Recalled { was_running: true }]);
    world.wait(3_000);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, Outcome::Cancelled);
    assert!(record.summary.contains("m.ruiz"), "{record:?}");

    world.manner = Manner::Good;
    for (by, code) in [("t.new", None), ("m.ruiz", Some("recalled")), ("a.kaya", Some("recalled"))]
    {
        let (session, challenge) = world.session();
        let now = world.time();
        let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
        world.ask(session, 2, &recall(order.digest(), by, now));
        assert_eq!(world.on(session, 2), [&Answer::Recalled { was_running: false }]);
        if by == "m.ruiz" {
            world.restart();
            world.settle_and_check();
            let (session, challenge) = world.session();
            let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
            world.ask(session, 1, &submit(&order, &dispatch));
            assert_eq!(world.record_on(session, 1).unwrap().predicate.reason.as_deref(), code);
            continue;
        }
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        let record = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(record.reason.as_deref(), code, "{by}");
    }
    world.settle_and_check();
}

#[test]
fn one_change_at_a_time_several_looks_a_queue_of_eight_then_busy() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, challenge) = world.session();
    let now = world.time();
    let send = |world: &mut World, mode: Mode, n: u32| {
        let order = sealed(&world.desk.order("cache.clear", mode, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, u64::from(n), now), "a.kaya");
        world.ask(session, n, &submit(&order, &dispatch));
    };
    for n in 1..=9 {
        send(&mut world, Mode::Fix, n);
    }
    assert_eq!(world.started(), 1);
    for n in 1..=9u32 {
        let ahead = n - 1;
        let said = world.on(session, n);
        assert!(
            matches!(said[..], [Answer::Event { event: Event::Accepted { ahead: a, .. } }] if *a == ahead),
            "{n}: {said:?}"
        );
    }
    send(&mut world, Mode::Check, 10);
    assert_eq!(world.started(), 2, "a look runs beside a change");
    send(&mut world, Mode::Fix, 11);
    let record = world.record_on(session, 11).unwrap().predicate;
    assert_eq!(record.reason.as_deref(), Some("busy"), "{record:?}");
    assert!(record.summary.contains("a.kaya"), "{record:?}");
    world.manner = Manner::Good;
    world.wait(60_000);
    world.wait(2_000);
    assert!(world.record_on(session, 9).is_some());
    world.settle_and_check();
}

#[test]
fn output_is_kept_to_its_limit_and_hashed_to_its_end() {
    use hatch::messages::FromExecutor;
    use keeper::core::{Effect, Event};
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let run = *world.spawns.keys().next().unwrap();
    // Out of turn: nobody asked for the effects file yet.
    let effects = keeper::record::EffectsSummary::of(b"");
    let out_of_turn = Event::EffectsRead { run, effects, secrets: vec![] };
    assert!(world.core.step(out_of_turn, world.now).is_empty());
    let text = "x".repeat(600_000);
    let mut kept = 0;
    for _ in 0..3 {
        let message = FromExecutor::Output { name: String::new(), text: text.clone() };
        for effect in world.core.step(Event::Executor { run, message }, world.now) {
            let Effect::AppendOutput { bytes, .. } = effect else { panic!("{effect:?}") };
            kept += bytes.0.len();
        }
    }
    assert_eq!(kept, protocol::limits::OUTPUT_BYTES_MAX);
    world.wait(60_000);
    world.wait(2_000);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!((record.output.bytes, record.output.kept), (1_800_000, kept as u64));
    assert_eq!(record.output.digest, protocol::Digest::of(text.repeat(3).as_bytes()));
    assert!(record.limits_hit.contains(&"output".to_owned()), "{record:?}");
    world.settle_and_check();
}

#[test]
fn an_order_that_waits_until_it_expires_is_given_back() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    go(&mut world, "cache.clear", Mode::Fix);
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    order.not_after = now.plus(30);
    let order = sealed(&order, "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    world.wait(60_000);
    world.wait(2_000);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, Outcome::Cancelled, "{record:?}");
    assert!(record.summary.contains("expired"), "{record:?}");
    assert_eq!(world.spawns.len(), 1);
    world.settle_and_check();
}

#[test]
fn a_run_is_asked_to_end_before_it_is_killed() {
    use keeper::core::{Child, Effect, Event};
    let mut world = World::new();
    world.manner = Manner::Hangs;
    go(&mut world, "cache.clear", Mode::Fix);
    let at = |world: &mut World, ms: u64| {
        world.now.mono_ms += ms;
        let effects = world.core.step(Event::Tick, world.now);
        effects.iter().map(Effect::name).collect::<Vec<_>>()
    };
    assert_eq!(at(&mut world, 15_000), ["DropSpare"]);
    assert_eq!(world.core.wake_at(), Some(world.now.mono_ms + 45_000));
    assert!(at(&mut world, 44_999).is_empty());
    world.now.mono_ms += 1;
    let effects = world.core.step(Event::Tick, world.now);
    assert!(matches!(effects[..], [Effect::End { child: Child::Interpreter, .. }]), "{effects:?}");
    assert!(at(&mut world, 1_999).is_empty());
    assert_eq!(at(&mut world, 1), ["Kill"]);
    assert_eq!(at(&mut world, 5_000), ["Kill"], "until it is gone");
}

/// E16: a deadline is a length of time, whatever the wall clock does meanwhile.
#[test]
fn a_clock_that_jumps_in_the_middle_of_a_run_moves_no_deadline_and_revives_nothing() {
    const YEAR: u64 = 365 * 86_400;
    type Jump = fn(protocol::Time) -> protocol::Time;
    let jumps: [Jump; 2] = [|wall| wall.plus(YEAR), |wall| wall.minus(YEAR)];
    for jump in jumps {
        let mut world = World::new();
        world.manner = Manner::Hangs;
        let began = world.time();
        let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
        let mut brief = world.desk.order("cache.clear", Mode::Check, began);
        brief.not_after = began.plus(10);
        let brief = sealed(&brief, "a.kaya");
        world.wait(20_000);
        world.now.wall = jump(world.now.wall);
        world.feed(keeper::core::Event::Tick);
        world.wait(39_999);
        assert!(world.record_on(session, 1).is_none(), "a minute is a minute");
        // What had expired before the jump is no better now.
        let (late, challenge) = world.session();
        let dispatch = sealed(&dispatch(&brief, challenge, 1, world.time()), "a.kaya");
        world.ask(late, 1, &submit(&brief, &dispatch));
        let refused = world.record_on(late, 1).unwrap().predicate;
        assert_eq!(refused.reason.as_deref(), Some("order-expired"));
        assert!(refused.accepted >= began.plus(59), "{refused:?}");
        world.wait(1);
        world.wait(2_000);
        let record = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(record.outcome, Outcome::TimedOut, "{record:?}");
        assert!((60_000..=63_000).contains(&record.duration_ms), "{record:?}");
        assert_eq!(record.accepted, began, "and it began when it began");
        assert_eq!(world.spawns.len(), 1);
        world.settle_and_check();
    }
}

#[test]
fn a_slow_line_gets_no_progress_and_the_record_says_so() {
    let mut world = World::new();
    world.feed(keeper::core::Event::GateSlow(true));
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.events.dropped, 0, "nothing droppable was sent");
    assert!(record.events.count > 0);
}

#[test]
fn a_stopping_daemon_takes_no_orders_and_ends_what_runs() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    world.feed(keeper::core::Event::Drain);
    let late = session;
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let dispatch = sealed(&dispatch(&order, protocol::Digest([0; 32]), 1, now), "a.kaya");
    world.ask(late, 7, &submit(&order, &dispatch));
    assert_eq!(world.on(late, 7), [&Answer::Stop { code: Stop::Drain }]);
    world.wait(3_000);
    assert!(world.stopped);
    assert_eq!(world.record_on(session, 1).unwrap().predicate.outcome, Outcome::Cancelled);
    world.settle_and_check();
}

#[test]
fn records_are_offered_until_they_are_filed() {
    let mut world = World::new();
    let (session, _) = go(&mut world, "cache.clear", Mode::Check);
    let run = world.record_on(session, 1).unwrap().predicate.run;
    let record = world.records[0].digest();
    assert_eq!(world.core.index().unfiled(64), [run]);
    world.ask(session, 2, &Ask::Filed { record: protocol::Digest([1; 32]) });
    assert_eq!(world.core.index().unfiled(64), [run]);
    world.restart();
    let (session, _) = world.session();
    let hello = world.on(session, 0);
    assert!(matches!(hello[0], Answer::Hello { unfiled, .. } if *unfiled == [run]), "{hello:?}");
    world.ask(session, 1, &Ask::Fetch { run });
    assert_eq!(world.record_on(session, 1).unwrap().predicate.run, run);
    world.ask(session, 2, &Ask::Filed { record });
    assert!(world.core.index().unfiled(64).is_empty());
    world.ask(session, 3, &Ask::Fetch { run });
    assert!(world.record_on(session, 3).is_some(), "kept for who asks again");
    world.ask(session, 4, &Ask::Fetch { run: protocol::RunId([0; 16]) });
    assert_eq!(world.on(session, 4), [&Answer::Stop { code: Stop::NoRun }]);
}

#[test]
fn a_child_that_sends_no_messages_but_bytes_ends_its_run() {
    use keeper::core::{Child, Effect, Event};
    for child in [Child::Executor, Child::Interpreter] {
        for recalled in [false, true] {
            let mut world = World::new();
            world.manner = Manner::Hangs;
            let (session, order) = go(&mut world, "cache.clear", Mode::Fix);
            let run = *world.spawns.keys().next().unwrap();
            if recalled {
                let now = world.time();
                world.ask(session, 2, &recall(order, "a.kaya", now));
            }
            let effects = world.core.step(Event::Garbled { run, child }, world.now);
            let ends = |which: Child| {
                let ended = |e: &Effect| matches!(e, Effect::End { child, .. } if *child == which);
                effects.iter().any(ended)
            };
            assert_eq!(ends(Child::Executor), child == Child::Executor, "{effects:?}");
            world.wait(3_000);
            let record = world.record_on(session, 1).unwrap().predicate;
            let wanted = if recalled { "cancelled" } else { "garbled" };
            assert_eq!(record.reason.as_deref(), Some(wanted), "{record:?}");
            world.settle_and_check();
        }
    }
}

#[test]
fn no_words_of_a_process_cost_a_run_its_record() {
    use hatch::messages::{ExecutorReport, FromExecutor};
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let run = *world.spawns.keys().next().unwrap();
    let long = |n: u32| "\u{1}".repeat(4000) + &n.to_string();
    for flood in 0..100 {
        let defences = (0..32).map(|n| (long(flood * 32 + n), long(n))).collect();
        let message = FromExecutor::Ready { defences };
        world.feed(keeper::core::Event::Executor { run, message });
    }
    let report = ExecutorReport {
        skipped: (0..100).map(long).collect(),
        limits_hit: (0..100).map(long).collect(),
        effects_dropped: u64::MAX,
        ..ExecutorReport::default()
    };
    let message = FromExecutor::Finished(Box::new(report));
    world.feed(keeper::core::Event::Executor { run, message });
    world.settle_and_check();
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.limits_hit, ["record"]);
    assert!(record.defences.is_empty() && record.skipped.is_empty());
}

#[test]
fn a_process_that_says_findings_without_end_does_not_fill_the_gates_pipe() {
    use hatch::messages::FromExecutor;
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let (session, _) = go(&mut world, "cache.clear", Mode::Fix);
    let run = *world.spawns.keys().next().unwrap();
    world.feed(keeper::core::Event::GateSlow(true));
    let before = world.on(session, 1).len();
    for _ in 0..6000 {
        let text = "left".to_owned();
        let message = FromExecutor::Event(Event::Skipped { text });
        world.feed(keeper::core::Event::Executor { run, message });
    }
    let sent = world.on(session, 1).len() - before;
    assert!((4000..=4096).contains(&sent), "{sent}");
    world.settle_and_check();
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.events.count, record.events.dropped + u64::try_from(sent).unwrap() + 2);
}
