//! What must not run: replays in every guise, wrong seals, wrong times, wrong places.

use protocol::documents::Order;
use protocol::frames::{Answer, Ask, Stop};
use protocol::{Digest, EndpointId, Mode, PublicKey};
use trust::Signer as _;

use crate::desk::{Desk, dispatch, key, sealed, submit};
use crate::world::World;

/// Submits one changed order on a fresh session; gives the code of the refusal, if it was one.
fn code_of(
    world: &mut World,
    mode: Mode,
    signer: &str,
    change: impl FnOnce(&mut Order),
) -> Option<String> {
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", mode, now);
    change(&mut order);
    let dispatcher = if order.dispatch_key == key("other").public_key() { "other" } else { signer };
    let order = sealed(&order, signer);
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), dispatcher);
    world.ask(session, 1, &submit(&order, &dispatch));
    world.wait(61_000);
    match world.on(session, 1).last() {
        Some(Answer::Stop { code }) => Some(format!("{code:?}")),
        _ => world.record_on(session, 1).unwrap().predicate.reason,
    }
}

fn other() -> PublicKey {
    key("other").public_key()
}

#[test]
fn every_wrong_order_is_refused_by_its_own_reason() {
    let mut world = World::new();
    type Change = fn(&mut Order);
    let later = |seconds: u64| {
        move |o: &mut Order| {
            o.not_before = o.not_before.plus(seconds);
        }
    };
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", later(1)), None);
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", later(119)), None);
    let far = code_of(&mut world, Mode::Fix, "a.kaya", later(121));
    assert_eq!(far.as_deref(), Some("not-yet-valid"));
    let table: &[(&str, &str, Change)] = &[
        ("order-expired", "a.kaya", |o| {
            o.not_before = o.not_before.minus(100);
            o.not_after = o.not_before.plus(99);
        }),
        ("order-too-long", "a.kaya", |o| o.not_after = o.not_before.plus(86_401)),
        ("wrong-endpoint", "a.kaya", |o| o.targets = vec![EndpointId([1; 16])]),
        ("wrong-endpoint", "a.kaya", |o| o.targets = vec![o.targets[0]; 65]),
        ("signer-mismatch", "t.new", |o| o.dispatch_key = key("t.new").public_key()),
        ("Seal", "stranger", |_| {}),
        ("Seal", "stranger", |o| o.agent = "stranger".parse().unwrap()),
        ("catalogue-behind", "a.kaya", |o| o.catalogue.policy = 99),
        ("script-unknown", "a.kaya", |o| o.script.version = 2),
        ("script-digest", "a.kaya", |o| o.script.digest = Digest([0; 32])),
        ("parameter-unknown", "a.kaya", |o| {
            o.parameters.insert("x".into(), protocol::ParamValue::Bool(true));
        }),
        ("parameter-range", "a.kaya", |o| {
            o.parameters.insert("user".into(), protocol::ParamValue::Text("../x".into()));
        }),
        ("ticket-required", "a.kaya", |o| o.ticket = None),
        ("consent-required", "a.kaya", |o| o.consent = None),
        ("consent-required", "a.kaya", |o| {
            if let Some(consent) = &mut o.consent {
                consent.question = "something else".into();
            }
        }),
        ("plan-unknown", "a.kaya", |o| o.plan = Some(Digest([3; 32]))),
    ];
    for (code, signer, change) in table {
        let got = code_of(&mut world, Mode::Fix, signer, change);
        assert_eq!(got.as_deref(), Some(*code), "{signer}");
    }
    assert_eq!(code_of(&mut world, Mode::Undo, "a.kaya", |_| {}).unwrap(), "mode-unsupported");
    let high = |o: &mut Order| {
        o.script.name = "user.reset".parse().unwrap();
        o.script.digest = Digest::of(&crate::desk::source("user.reset"));
    };
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", high).unwrap(), "identity-required");
    let borrowed = |o: &mut Order| {
        high(o);
        o.dispatch_key = other();
    };
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", borrowed).unwrap(), "dispatch-key");
    let low = |o: &mut Order| o.dispatch_key = other();
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", low), None, "low risk, a key of its own");
    assert_eq!(world.started(), 3);
    world.settle_and_check();
}

#[test]
fn a_dispatch_is_bound_to_its_order_endpoint_challenge_and_number() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let other = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let good = dispatch(&order, challenge, 1, now);
    let mut table = vec![("dispatch-mismatch", dispatch(&other, challenge, 1, now)); 5];
    table[1] = ("dispatch-mismatch", good.clone());
    table[1].1.endpoint = EndpointId([1; 16]);
    table[2] = ("challenge-unknown", good.clone());
    table[2].1.challenge = Digest([0; 32]);
    table[3] = ("challenge-used", good.clone());
    table[3].1.number = 0;
    table[4] = ("dispatch-expired", good);
    table[4].1.not_after = now.plus(301);
    table[4].1.number = 5;
    for (n, (code, dispatch)) in table.iter().enumerate() {
        let stream = u32::try_from(n).unwrap() + 1;
        world.ask(session, stream, &submit(&order, &sealed(dispatch, "a.kaya")));
        let record = world.record_on(session, stream).unwrap().predicate;
        assert_eq!(record.reason.as_deref(), Some(*code), "{n}");
    }
    let forged = sealed(&dispatch(&order, challenge, 6, now), "t.new");
    world.ask(session, 9, &submit(&order, &forged));
    assert_eq!(world.on(session, 9), [&Answer::Stop { code: Stop::Seal }]);
    // None of it spent the order.
    let good = sealed(&dispatch(&order, challenge, 7, now), "a.kaya");
    world.ask(session, 10, &submit(&order, &good));
    assert_eq!(world.record_on(session, 10).unwrap().predicate.reason, None);
    world.settle_and_check();
}

#[test]
fn captured_bytes_never_run_again() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let bytes = submit(&order, &sealed(&dispatch(&order, challenge, 1, now), "a.kaya"));
    world.ask(session, 1, &bytes);
    let first = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(first.reason, None);
    let refused = |world: &mut World, session: u32, stream: u32| {
        world.ask(session, stream, &bytes);
        let record = world.record_on(session, stream).unwrap().predicate;
        assert_eq!(record.reason.as_deref(), Some("already-run"));
        assert_ne!(record.run, first.run, "a refusal never stands in for the run's record");
    };
    refused(&mut world, session, 2);
    let (new, _) = world.session();
    refused(&mut world, new, 1);
    world.restart();
    world.settle_and_check();
    let (after, _) = world.session();
    refused(&mut world, after, 1);
    world.wait(61_000);
    refused(&mut world, after, 2);
    world.ask(after, 3, &Ask::Fetch { run: first.run });
    assert_eq!(world.record_on(after, 3).unwrap().predicate, first);
    assert_eq!(world.spawns.values().sum::<u32>(), 1);
    world.settle_and_check();
}

#[test]
fn a_restored_ledger_runs_no_live_order_again_and_shows_as_a_rewind() {
    let mut world = World::new();
    let old = world.backup();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let bytes = submit(&order, &sealed(&dispatch(&order, challenge, 1, now), "a.kaya"));
    world.ask(session, 1, &bytes);
    assert_eq!(world.core.index().head().counter, 1);
    world.restore(old);
    assert_eq!(world.core.index().head().counter, 0, "the next hello says so");
    let (session, _) = world.session();
    world.ask(session, 1, &bytes);
    let reason = world.record_on(session, 1).unwrap().predicate.reason;
    assert_eq!(reason.as_deref(), Some("challenge-unknown"));
    assert_eq!(world.spawns.values().sum::<u32>(), 1);
}

#[test]
fn an_order_that_was_captured_unused_dies_with_its_challenge() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
    let bytes = submit(&order, &sealed(&dispatch(&order, challenge, 1, now), "a.kaya"));
    let code = |world: &mut World, session: u32| {
        world.ask(session, 1, &bytes);
        world.record_on(session, 1).unwrap().predicate.reason.unwrap()
    };
    let (other, _) = world.session();
    assert_eq!(code(&mut world, other), "challenge-unknown", "another session's challenge");
    world.wait(61_000);
    assert_eq!(code(&mut world, session), "challenge-unknown", "after a minute");
    world.restart();
    let (after, _) = world.session();
    assert_eq!(code(&mut world, after), "challenge-unknown", "after a restart");
    assert!(world.spawns.is_empty());
    world.settle_and_check();
}

#[test]
fn an_order_id_is_used_once() {
    type Change = fn(&mut Order);
    let changes: [Change; 3] = [
        |order| order.reason = "another".into(),
        |order| {
            let root = protocol::ParamValue::Text("root".into());
            order.parameters.insert("user".into(), root);
        },
        |order| order.mode = Mode::Check,
    ];
    for change in changes {
        let mut world = World::new();
        let (session, challenge) = world.session();
        let now = world.time();
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        for (n, code) in [(1, None), (2, Some("order-id-reused"))] {
            let sealed_order = sealed(&order, "a.kaya");
            let dispatch = sealed(&dispatch(&sealed_order, challenge, n.into(), now), "a.kaya");
            world.ask(session, n, &submit(&sealed_order, &dispatch));
            assert_eq!(world.record_on(session, n).unwrap().predicate.reason.as_deref(), code);
            change(&mut order);
        }
        assert_eq!(world.spawns.len(), 1);
        world.settle_and_check();
    }
}

#[test]
fn a_clock_that_is_set_back_revives_nothing() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    order.not_after = now.plus(60);
    let order = sealed(&order, "a.kaya");
    world.wait(50_000);
    world.now.wall = world.now.wall.minus(365 * 86_400);
    world.now.mono_ms += 11_000;
    world.ask(session, 5, &Ask::Challenge);
    let fresh = world.on(session, 5).into_iter().find_map(|answer| match answer {
        Answer::Challenge { hello } => Some(hello.clone()),
        _ => None,
    });
    let hello = protocol::Envelope::read(&fresh.unwrap().0).unwrap();
    let hello: protocol::documents::Hello = trust::seal::peek(&hello).unwrap();
    assert_ne!(hello.challenge, challenge);
    let dispatch = sealed(&dispatch(&order, hello.challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.reason.as_deref(), Some("order-expired"));
    assert!(record.accepted > now, "{:?}", record.accepted);
}

#[test]
fn too_many_orders_and_too_many_refusals_are_not_recorded_for_ever() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Undo, now), "a.kaya");
    for n in 1..=12u32 {
        let dispatch = sealed(&dispatch(&order, challenge, u64::from(n), now), "a.kaya");
        world.ask(session, n, &submit(&order, &dispatch));
    }
    assert_eq!(world.records.len(), 10);
    assert_eq!(world.on(session, 11), [&Answer::Stop { code: Stop::Rate }]);
    world.wait(60_000);
    let (session, challenge) = world.session();
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    assert_eq!(world.records.len(), 11);
    world.settle_and_check();
}

#[test]
fn a_session_that_sends_bad_seals_is_closed() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "stranger");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "stranger");
    for n in 1..=9 {
        world.ask(session, n, &submit(&order, &dispatch));
    }
    assert_eq!(world.closed, [(session, Stop::Rate)]);
    assert_eq!(world.core.unsealed(), 8);
    assert!(world.records.is_empty());
}

#[test]
fn a_founder_who_has_not_joined_orders_nothing_with_any_key() {
    let mut world = World::new();
    let now = world.time().plus(20);
    world.wait(20_000);
    let vetter = key("founder's vetter").public_key();
    let files = world.desk.publish(
        |policy| {
            let mut founder = policy.people[0].clone();
            founder.name = "f.new".parse().unwrap();
            (founder.signing_key, founder.sealing_key) = (None, None);
            founder.vetter_key = Some(vetter);
            policy.people.push(founder);
        },
        now,
    );
    let (session, _) = world.session();
    crate::kill_points::update(&mut world, session, 1, &files);
    let taken =
        world.on(session, 1).into_iter().any(|a| matches!(a, Answer::CatalogueTaken { .. }));
    assert!(taken, "{:?}", world.on(session, 1));
    let as_founder = |o: &mut Order| {
        o.agent = "f.new".parse().unwrap();
        o.dispatch_key = key("founder's vetter").public_key();
    };
    let own = code_of(&mut world, Mode::Fix, "founder's vetter", as_founder);
    assert_eq!(own.as_deref(), Some("Seal"));
    let lent = |o: &mut Order| o.agent = "f.new".parse().unwrap();
    let lent = code_of(&mut world, Mode::Fix, "a.kaya", lent);
    assert_eq!(lent.as_deref(), Some("signer-mismatch"));
    assert_eq!(world.started(), 0);
}

#[test]
fn a_withdrawn_person_and_a_denied_script_stop_with_the_next_update() {
    let mut world = World::new();
    let now = world.time().plus(20);
    world.wait(20_000);
    let files = world.desk.publish(
        |policy| {
            policy.denied.people.push("a.kaya".parse().unwrap());
            policy.denied.scripts.push(Digest::of(&crate::desk::source("cache.clear")));
        },
        now,
    );
    let (session, _) = world.session();
    crate::kill_points::update(&mut world, session, 1, &files);
    let taken =
        world.on(session, 1).into_iter().any(|a| matches!(a, Answer::CatalogueTaken { .. }));
    assert!(taken, "{:?}", world.on(session, 1));
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}).unwrap(), "signer-withdrawn");
    let ruiz = |o: &mut Order| {
        o.agent = "m.ruiz".parse().unwrap();
        o.dispatch_key = key("m.ruiz").public_key();
    };
    assert_eq!(code_of(&mut world, Mode::Fix, "m.ruiz", ruiz).unwrap(), "script-withdrawn");
    world.settle_and_check();
}

/// Publishes a policy with this change; gives the code with which the endpoint refused it, if it did.
fn policy_refused(
    world: &mut World,
    change: impl FnOnce(&mut policy::PolicyFile),
) -> Option<String> {
    let now = world.time().plus(20);
    world.wait(20_000);
    let files = world.desk.publish(change, now);
    let (session, _) = world.session();
    crate::kill_points::update(world, session, 1, &files);
    world.on(session, 1).into_iter().find_map(|answer| match answer {
        Answer::CatalogueRefused { code, sentence } => {
            assert!(sentence.contains("sign it again"), "a next step: {sentence}");
            Some(code.clone())
        }
        _ => None,
    })
}

#[test]
fn a_script_of_withdrawn_vetters_stops_with_the_next_update() {
    let mut world = World::new();
    world.manner = crate::world::Manner::Hangs;
    let session = world.ordered("cache.clear", Mode::Fix);
    let denied = key("vetter").public_key();
    assert_eq!(policy_refused(&mut world, |policy| policy.denied.keys = vec![denied]), None);
    world.wait(3_000);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.outcome, protocol::Outcome::Cancelled, "{record:?}");
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}).unwrap(), "script-vetters");
    world.settle_and_check();
}

#[test]
fn a_vetters_word_ends_with_the_date_that_policy_gives() {
    let mut world = World::new();
    let until = world.time().plus(3600);
    let dated = |policy: &mut policy::PolicyFile| {
        policy.people[2].vetter_key = Some(key("vetter").public_key());
        policy.people[2].valid_until = Some(until);
    };
    assert_eq!(policy_refused(&mut world, dated), None);
    assert_eq!(code_of(&mut world, Mode::Check, "a.kaya", |_| {}), None);
    world.wait(3_600_000);
    assert_eq!(code_of(&mut world, Mode::Check, "a.kaya", |_| {}).unwrap(), "script-vetters");
}

#[test]
fn an_update_that_rests_on_a_withdrawn_administrator_is_refused() {
    let denied = key("admin").public_key();
    type Change = fn(&mut policy::PolicyFile);
    let changes: [Change; 2] = [
        |policy| policy.denied.keys = vec![key("admin").public_key()],
        |policy| {
            policy.people[2].admin_key = Some(key("admin").public_key());
            policy.denied.people = vec!["t.new".parse().unwrap()];
        },
    ];
    for change in changes {
        let mut world = World::new();
        assert_eq!(policy_refused(&mut world, change).unwrap(), "withdrawn");
        assert_eq!(code_of(&mut world, Mode::Check, "a.kaya", |_| {}), None, "as before");
    }
    // What is trusted withdrew her: that the new policy takes it back is her own word.
    let mut world = World::of(Desk::with(|policy| policy.denied.keys = vec![denied]));
    assert_eq!(
        policy_refused(&mut world, |policy| policy.denied.keys.clear()).unwrap(),
        "withdrawn"
    );
}

/// E8: keys are not people, and the endpoint itself counts.
#[test]
fn an_update_whose_vetters_are_fewer_people_than_keys_is_refused() {
    type Change = fn(&mut policy::PolicyFile);
    let (one, both) = (["vetter"], ["vetter", "second vetter"]);
    let [ruiz, new] = [1, 2];
    let second = || Some(key("second vetter").public_key());
    let first_of_ruiz: Change =
        |policy| policy.people[1].vetter_key = Some(key("vetter").public_key());
    type Row<'a> = (&'a str, usize, &'a [&'a str], &'a dyn Fn(&mut policy::PolicyFile));
    let table: [Row<'_>; 5] = [
        ("", 2, &both, &|policy| policy.people[new].vetter_key = second()),
        ("", 1, &one, &|policy| policy.people[ruiz].admin_key = second()),
        ("two keys of m.ruiz", 1, &both, &|policy| policy.people[ruiz].admin_key = second()),
        ("two keys of m.ruiz", 2, &both, &|policy| policy.people[ruiz].admin_key = second()),
        ("was vetted by 1 people, 2 are needed", 2, &both, &|_| {}),
    ];
    for (why, threshold, vetters, change) in table {
        let mut world = World::new();
        world.wait(20_000);
        let now = world.time();
        let files = world.desk.publish_vetters(
            (threshold, vetters),
            |policy| {
                first_of_ruiz(policy);
                change(policy);
            },
            now,
        );
        let (session, _) = world.session();
        crate::kill_points::update(&mut world, session, 1, &files);
        match world.on(session, 1)[..] {
            [Answer::CatalogueTaken { .. }] => assert_eq!(why, ""),
            [Answer::CatalogueRefused { code, sentence }] => {
                assert_eq!(code, "people", "{sentence}");
                assert!(!why.is_empty() && sentence.contains(why), "{sentence}");
            }
            ref other => panic!("{why}: {other:?}"),
        }
        assert_eq!(code_of(&mut world, Mode::Check, "a.kaya", |_| {}), None, "as before");
    }
}

#[test]
fn a_long_weekend_without_the_desk_stops_nothing() {
    const DAY_MS: u64 = 86_400_000;
    let mut world = World::new();
    // The timestamp was a day old, and about to be renewed, when the desk went away.
    world.wait(DAY_MS);
    for day in 0..=4 {
        assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}), None, "day {day}");
        world.wait(DAY_MS);
    }
    world.settle_and_check();
}

#[test]
fn an_expired_catalogue_runs_nothing_and_an_update_brings_it_back() {
    let mut world = World::new();
    world.wait(8 * 86_400_000);
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}).unwrap(), "catalogue-expired");
    let now = world.time();
    let files = world.desk.publish(|_| {}, now);
    let (session, _) = world.session();
    crate::kill_points::update(&mut world, session, 1, &files);
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}), None);
    // At once again from the same session is too early.
    crate::kill_points::update(&mut world, session, 2, &files);
    assert_eq!(code_of(&mut world, Mode::Fix, "a.kaya", |_| {}), None);
    world.settle_and_check();
}

#[test]
fn orders_in_made_up_names_have_one_budget_for_all_of_them() {
    let mut world = World::new();
    let (session, challenge) = world.session();
    let now = world.time();
    for n in 1..=12u32 {
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        order.agent = format!("nobody{n}").parse().unwrap();
        order.dispatch_key = key("t.new").public_key();
        let order = sealed(&order, "t.new");
        let dispatch = sealed(&dispatch(&order, challenge, n.into(), now), "t.new");
        world.ask(session, n, &submit(&order, &dispatch));
    }
    assert_eq!(world.records.len(), 10);
    assert_eq!(world.on(session, 11), [&Answer::Stop { code: Stop::Rate }]);
    // Nobody whose name was used pays for it.
    assert_eq!(
        code_of(&mut world, Mode::Fix, "a.kaya", |o| o.ticket = None).as_deref(),
        Some("ticket-required")
    );
}

/// What a desk that was taken can do with the key that an order left waiting came with (decision 0021).
#[test]
fn a_stolen_one_order_key_runs_its_own_order_once_in_its_time_and_nothing_else() {
    let mut world = World::new();
    let now = world.time();
    let waiting = |world: &mut World, change: fn(&mut Order)| {
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        order.dispatch_key = other();
        change(&mut order);
        sealed(&order, "a.kaya")
    };
    let own = waiting(&mut world, |_| {});
    let brief = waiting(&mut world, |order| order.not_after = order.not_before.plus(30));
    let elsewhere = waiting(&mut world, |order| order.targets = vec![EndpointId([1; 16])]);
    let high = {
        let mut order = world.desk.order("user.reset", Mode::Fix, now);
        order.dispatch_key = other();
        sealed(&order, "a.kaya")
    };
    // The agent's order of another day: its dispatches are the agent's own to sign.
    let mut day = world.desk.order("cache.clear", Mode::Fix, now);
    let agents = sealed(&day, "a.kaya");
    // And one that the thief makes.
    (day.dispatch_key, day.reason) = (other(), "made by a thief".into());
    let made = sealed(&day, "other");
    // The agent's seal under other words, and the dispatch of one order with another.
    let longer = waiting(&mut world, |order| order.not_after = order.not_before.plus(3600));
    let changed = protocol::Envelope { payload: longer.payload.clone(), ..own.clone() };
    world.wait(61_000);
    let with =
        |world: &mut World, order: &protocol::Envelope, bound: &protocol::Envelope, later| {
            let (session, challenge) = world.session();
            let time = world.time();
            let dispatch = sealed(&dispatch(bound, challenge, 1, time), "other");
            if later {
                world.wait(61_000);
            }
            world.ask(session, 1, &submit(order, &dispatch));
            match world.on(session, 1).last() {
                Some(Answer::Stop { code }) => format!("{code:?}"),
                _ => world.record_on(session, 1).unwrap().predicate.reason.unwrap_or_default(),
            }
        };
    let tried = |world: &mut World, order: &protocol::Envelope, later: bool| {
        with(world, order, order, later)
    };
    assert_eq!(with(&mut world, &own, &longer, false), "dispatch-mismatch");
    for (order, later, code) in [
        (&changed, false, "Seal"),
        (&agents, false, "Seal"),
        (&made, false, "Seal"),
        (&elsewhere, false, "wrong-endpoint"),
        (&high, false, "dispatch-key"),
        (&brief, false, "order-expired"),
        (&own, true, "challenge-unknown"),
    ] {
        assert_eq!(tried(&mut world, order, later), code);
    }
    assert!(world.spawns.is_empty(), "nothing ran");
    assert_eq!(
        tried(&mut world, &own, false),
        "",
        "late, within its time: that is what waiting is"
    );
    assert_eq!(tried(&mut world, &own, false), "already-run", "by a dispatch of its own");
    world.restart();
    assert_eq!(tried(&mut world, &own, false), "already-run", "after a restart");
    assert_eq!(world.spawns.values().sum::<u32>(), 1);
    world.settle_and_check();
}
