//! Sessions: every message in every wrong state, and how many there may be of anything.

use hatch::messages::{FromGate, PeerRole, ToExecutor};
use keeper::core::{Effect, Event};
use protocol::frames::{Answer, Ask, Stop};
use protocol::{Bytes, Digest, Mode, RunId};

use crate::desk::{dispatch, recall, sealed, submit};
use crate::world::{Manner, World};

/// A question of every kind; the hello is the first.
fn every_ask() -> Vec<Ask> {
    let empty = || Bytes(Vec::new());
    vec![
        Ask::Hello { min: 1, max: 1 },
        Ask::Challenge,
        Ask::CatalogueFile { name: "a.json".into(), part: empty(), last: true },
        Ask::CatalogueEnd,
        Ask::Submit { order: empty(), dispatch: empty(), attestation: None, approvals: vec![] },
        Ask::Recall { recall: empty() },
        Ask::Follow { run: RunId([0; 16]) },
        Ask::Fetch { run: RunId([0; 16]) },
        Ask::Output { run: RunId([0; 16]) },
        Ask::Records { after: 0 },
        Ask::Order { run: RunId([0; 16]) },
        Ask::Filed { record: Digest([0; 32]) },
        Ask::Certificate { leaf: empty() },
    ]
}

#[test]
fn nothing_is_answered_before_the_hello_and_the_hello_once() {
    let mut world = World::new();
    for ask in every_ask().into_iter().skip(1) {
        let session = world.open();
        world.ask(session, 0, &ask);
        assert_eq!(world.closed.last(), Some(&(session, Stop::State)), "{ask:?}");
    }
    assert!(world.heard.is_empty());
    let (session, _) = world.session();
    world.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
    assert_eq!(world.closed.last(), Some(&(session, Stop::State)));
    for (min, max) in [(2, 3), (0, 0), (3, 1)] {
        let session = world.open();
        world.ask(session, 0, &Ask::Hello { min, max });
        assert_eq!(world.closed.last(), Some(&(session, Stop::Version)), "{min} {max}");
    }
    let session = world.open();
    world.ask(session, 0, &Ask::Hello { min: 0, max: 9 });
    assert_eq!(world.on(session, 0).len(), 1);
}

/// E44: what is no question ends the session before the hello and behind it; and every question is
/// in the list that the tests go by.
#[test]
fn what_is_no_question_ends_its_session_with_the_code_frame() {
    let tag = |ask: &Ask| minicbor::to_vec(ask).unwrap()[1];
    let mut known: Vec<u8> = every_ask().iter().map(tag).collect();
    known.sort_unstable();
    let count = u8::try_from(known.len()).unwrap();
    assert_eq!(known, (0..count).collect::<Vec<_>>(), "tags begin at zero and leave none out");
    let unknown = |tag: u8| minicbor::decode::<Ask>(&[0x82, tag, 0x80]).unwrap_err().to_string();
    assert!(unknown(count).contains("unknown"), "every_ask forgets a question: {}", unknown(count));
    assert!(!unknown(count - 1).contains("unknown"), "{}", unknown(count - 1));
    let mut world = World::new();
    let mut trailing = minicbor::to_vec(Ask::Challenge).unwrap();
    trailing.push(0);
    let mut bad =
        vec![vec![], b"\xff\x00 not cbor".to_vec(), trailing, vec![0x82, 0x18, 200, 0x80]];
    // Tags that nothing has, and those of questions without their fields, which two have not.
    bad.extend((count..24).map(|tag| vec![0x82, tag, 0x80]));
    bad.extend((0..count).filter(|tag| ![1, 3].contains(tag)).map(|tag| vec![0x82, tag, 0x80]));
    for bytes in bad {
        for greeted in [false, true] {
            let session = if greeted { world.session().0 } else { world.open() };
            let heard = world.heard.len();
            let bytes = Bytes(bytes.clone());
            world.gate(FromGate::Frame { session, stream: 1, bytes: bytes.clone() });
            assert_eq!(world.closed.last(), Some(&(session, Stop::Frame)), "{bytes:?} {greeted}");
            assert_eq!(world.heard.len(), heard, "{:?}", bytes.0);
        }
    }
}

#[test]
fn there_are_only_so_many_sessions_and_none_while_it_stops() {
    let mut world = World::new();
    for _ in 0..protocol::limits::INCOMING_MAX {
        world.open();
    }
    assert!(world.closed.is_empty());
    let one_more = world.open();
    assert_eq!(world.closed, [(one_more, Stop::Rate)]);
    world.gate(FromGate::Closed { session: 1 });
    world.open();
    assert_eq!(world.closed.len(), 1);
    let mut world = World::new();
    world.feed(Event::Drain);
    let late = world.open();
    assert_eq!(world.closed, [(late, Stop::Drain)]);
}

#[test]
fn a_gate_that_breaks_its_word_is_replaced_and_runs_go_on() {
    let broken = [
        FromGate::Answer { bytes: Bytes(vec![]) },
        FromGate::Result { steps: vec![] },
        FromGate::Opened {
            session: 1,
            role: PeerRole::Desk,
            peer: "x".into(),
            address: "y".into(),
        },
    ];
    for message in broken {
        let mut world = World::new();
        world.manner = Manner::Hangs;
        let (session, challenge) = world.session();
        assert_eq!(session, 1);
        let now = world.time();
        let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        world.gate(message);
        assert_eq!(world.restarts_of_gate, 1);
        assert_eq!(world.core.active(), 1);
        // The old session's challenge died with it.
        world.ask(session, 2, &Ask::Challenge);
        assert!(world.on(session, 2).is_empty());
        world.settle_and_check();
    }
}

#[test]
fn recalls_of_orders_that_never_came_are_rationed() {
    let mut world = World::new();
    let (session, _) = world.session();
    let now = world.time();
    for n in 1..=12u8 {
        world.ask(session, u32::from(n), &recall(Digest([n; 32]), "t.new", now));
    }
    assert_eq!(world.on(session, 10), [&Answer::Recalled { was_running: false }]);
    assert_eq!(world.on(session, 11), [&Answer::Stop { code: Stop::Rate }]);
}

#[test]
fn an_executor_gets_no_secret_that_its_order_does_not_allow() {
    for (script, mode, allowed) in [
        ("cache.clear", Mode::Fix, false),
        ("user.reset", Mode::Check, false),
        ("user.reset", Mode::Fix, true),
    ] {
        let mut world = World::new();
        world.manner = Manner::Hangs;
        let (session, challenge) = world.session();
        let now = world.time();
        let order = sealed(&world.desk.order(script, mode, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        let run = *world.spawns.keys().next().unwrap();
        for handle in 1..=6 {
            let message =
                hatch::messages::FromExecutor::OneTime { handle, length: 16, minutes: 60 };
            let effects = world.core.step(Event::Executor { run, message }, world.now);
            let made = matches!(effects[..], [Effect::MakeSecret { .. }]);
            let denied = matches!(
                effects[..],
                [Effect::ToExecutor { message: ToExecutor::Secret { clear: None, .. }, .. }]
            );
            assert_eq!(
                (made, denied),
                (allowed && handle <= 4, !allowed || handle > 4),
                "{script}"
            );
        }
    }
}

#[test]
fn followers_of_one_run_are_counted_and_all_get_the_record() {
    let mut world = World::new();
    world.manner = Manner::Hangs;
    let session = world.ordered("cache.clear", Mode::Fix);
    let run = *world.spawns.keys().next().unwrap();
    for stream in 2..=5 {
        let ask = if stream % 2 == 0 { Ask::Fetch { run } } else { Ask::Follow { run } };
        world.ask(session, stream, &ask);
    }
    assert_eq!(world.on(session, 5), [&Answer::Stop { code: Stop::Rate }]);
    let (other, _) = world.session();
    world.gate(FromGate::Closed { session: other });
    world.ask(session, 3, &Ask::Follow { run });
    world.wait(60_000);
    world.wait(2_000);
    for stream in 1..=4 {
        assert!(world.record_on(session, stream).is_some(), "{stream}");
        let records = world.on(session, stream);
        let count = records.iter().filter(|a| matches!(a, Answer::Record { .. })).count();
        assert_eq!(count, 1, "{stream}");
    }
    world.settle_and_check();
}

#[test]
fn whole_runs_are_read_for_two_at_a_time_and_not_into_a_full_pipe() {
    let mut world = World::new();
    let session = world.ordered("cache.clear", Mode::Fix);
    let run = world.records[0].predicate.run;
    // As the gate says them in one turn: nothing is read between the questions.
    let bytes = Bytes(minicbor::to_vec(Ask::Fetch { run }).unwrap());
    let mut fetches = |stream: u32| {
        let message = FromGate::Frame { session, stream, bytes: bytes.clone() };
        let event = Event::Gate { message, chance: [0; 32] };
        let effects = world.core.step(event, world.now);
        effects.iter().filter(|effect| matches!(effect, Effect::Fetch { .. })).count()
    };
    assert_eq!((2..=9).map(&mut fetches).sum::<usize>(), 2);
    let line = |stream| keeper::core::Line { session, stream };
    world.feed(Event::Fetched { line: line(2), run, found: Some(Box::default()) });
    // A disk that does not give it back: that question's fault, and nobody else's.
    world.feed(Event::Fetched { line: line(3), run, found: None });
    assert_eq!(world.on(session, 3), [&Answer::Stop { code: Stop::Fault }]);
    world.ask(session, 20, &Ask::Fetch { run });
    assert!(world.record_on(session, 20).is_some());
    world.feed(Event::GateSlow(true));
    world.ask(session, 21, &Ask::Fetch { run });
    assert_eq!(world.on(session, 21), [&Answer::Stop { code: Stop::Rate }]);
    world.feed(Event::GateSlow(false));
    world.ask(session, 22, &Ask::Fetch { run });
    assert!(world.record_on(session, 22).is_some());
}

#[test]
fn processes_wait_for_a_look_while_one_is_likely_and_no_longer() {
    let mut world = World::new();
    assert_eq!(world.core.wake_at(), None);
    let (session, challenge) = world.session();
    assert!(world.spare, "who says hello is about to order something");
    let look = |world: &mut World, number| {
        let now = world.time();
        let order = sealed(&world.desk.order("cache.clear", Mode::Check, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, number, now), "a.kaya");
        world.ask(session, u32::try_from(number).unwrap(), &submit(&order, &dispatch));
    };
    look(&mut world, 1);
    assert!(!world.spare, "it was taken, and one command has come to its end");
    assert_eq!(world.core.wake_at(), None);
    look(&mut world, 2);
    assert!(!world.spare);
    look(&mut world, 3);
    assert!(world.spare, "this session looks again and again");
    world.wait(14_999);
    assert!(world.spare);
    world.wait(1);
    assert!(!world.spare);
    assert_eq!(world.core.wake_at(), None, "an idle endpoint sleeps");
    // What changes the machine makes its own, with room for what it will write down.
    world.ask(session, 9, &Ask::Challenge);
    assert!(world.spare);
    world.feed(Event::Drain);
    assert!(!world.spare);
}

#[test]
fn only_a_desk_or_the_orders_own_agent_says_that_a_record_arrived() {
    let run_of = |world: &World| world.records.last().unwrap().predicate.run;
    let filed = |world: &World| world.core.index().unfiled(64).is_empty();
    for (role, peer, believed) in [
        (PeerRole::Agent, "m.ruiz", false),
        (PeerRole::Agent, "nobody", false),
        (PeerRole::Agent, "not a name", false),
        (PeerRole::Agent, "a.kaya", true),
        (PeerRole::Desk, "desk-1", true),
    ] {
        let mut world = World::new();
        let (session, challenge) = world.session();
        let now = world.time();
        let order = sealed(&world.desk.order("cache.clear", Mode::Check, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        let (run, record) = (run_of(&world), world.records[0].digest());
        let (other, _) = world.session_of(role, peer);
        world.ask(other, 1, &Ask::Filed { record });
        assert_eq!(filed(&world), believed, "{role:?} {peer}");
        // Whatever was said, also by a gate that lies: it is there for whoever asks.
        world.restart();
        let (session, _) = world.session();
        world.ask(session, 1, &Ask::Fetch { run });
        assert!(world.record_on(session, 1).is_some(), "{role:?} {peer}");
    }
}

#[test]
fn whoever_was_withdrawn_files_nothing_any_more() {
    let mut world = World::new();
    let now = world.time();
    let session = world.ordered("cache.clear", Mode::Check);
    let record = world.records[0].digest();
    let kaya = "a.kaya".parse().unwrap();
    let files = world.desk.publish(|policy| policy.denied.people = vec![kaya], now);
    crate::kill_points::update(&mut world, session, 10, &files);
    world.ask(session, 11, &Ask::Filed { record });
    assert_eq!(world.core.index().unfiled(64).len(), 1);
}

#[test]
fn whoever_lost_records_and_orders_hears_which_there_are_and_gets_them_as_they_came() {
    let mut world = World::new();
    world.ordered("cache.clear", Mode::Fix);
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Check, now), "a.kaya");
    // The same order again is refused: the third record.
    for number in [1, 2] {
        let dispatch = dispatch(&order, challenge, number, now);
        let dispatch = sealed(&dispatch, "a.kaya");
        world.ask(session, 20 + number as u32, &submit(&order, &dispatch));
    }
    assert_eq!(world.records.len(), 3);
    let asked = |world: &mut World, stream, ask: &Ask| {
        world.ask(session, stream, ask);
        world.on(session, stream).into_iter().cloned().collect::<Vec<_>>()
    };
    let of = |answers: &[Answer]| match answers {
        [Answer::Records { places, .. }] => places.clone(),
        other => panic!("{other:?}"),
    };
    let all = of(&asked(&mut world, 2, &Ask::Records { after: 0 }));
    let runs: Vec<_> = world.records.iter().map(|record| record.predicate.run).collect();
    assert_eq!(all.iter().map(|place| place.run).collect::<Vec<_>>(), runs);
    assert_eq!(all.iter().map(|place| place.counter).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(of(&asked(&mut world, 3, &Ask::Records { after: 2 })), all[2..]);
    assert!(of(&asked(&mut world, 4, &Ask::Records { after: u64::MAX })).is_empty());
    let given = asked(&mut world, 5, &Ask::Order { run: runs[0] });
    let [Answer::Order { order }] = &given[..] else { panic!("{given:?}") };
    let envelope = protocol::Envelope::read(&order.0).unwrap();
    assert_eq!(protocol::RunId::of(&envelope.digest(), &crate::desk::HERE, 0), runs[0]);
    // A refusal keeps no order, and nobody has what never ran.
    for (stream, run) in [(6, runs[2]), (7, protocol::RunId([1; 16]))] {
        let none = asked(&mut world, stream, &Ask::Order { run });
        assert_eq!(none, [Answer::Stop { code: Stop::NoRun }]);
    }
    world.settle_and_check();
}

#[test]
fn what_a_run_put_out_is_given_to_whoever_has_its_record_and_its_digest() {
    let mut world = World::new();
    let session = world.ordered("cache.clear", Mode::Fix);
    let record = world.record_on(session, 1).unwrap().predicate;
    assert!(record.output.bytes > 0, "it says something");
    world.ask(session, 2, &Ask::Output { run: record.run });
    let mut whole = Vec::new();
    let mut ended = false;
    for answer in world.on(session, 2) {
        let Answer::Output { part, last } = answer else { panic!("{answer:?}") };
        assert!(!ended, "nothing follows the last part");
        whole.extend_from_slice(&part.0);
        ended = *last;
    }
    assert!(ended);
    assert_eq!(protocol::Digest::of(&whole), record.output.digest);
    world.ask(session, 3, &Ask::Output { run: protocol::RunId([1; 16]) });
    assert_eq!(world.on(session, 3), [&Answer::Stop { code: Stop::NoRun }]);
    world.settle_and_check();
}

/// E31: the connection's certificate admits its peer and orders nothing; the seal is whose order it is.
#[test]
fn an_order_over_the_connection_of_another_agent_is_its_signers() {
    let peers =
        [(PeerRole::Agent, "t.new"), (PeerRole::Agent, "x.left"), (PeerRole::Desk, "desk-1")];
    for (role, peer) in peers {
        let mut world = World::new();
        let (session, challenge) = world.session_of(role, peer);
        let now = world.time();
        let order = sealed(&world.desk.order("cache.clear", Mode::Fix, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        world.ask(session, 1, &submit(&order, &dispatch));
        let record = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(
            (record.outcome, &record.reason),
            (protocol::Outcome::Succeeded, &None),
            "{record:?}"
        );
        assert_eq!(record.agent.as_str(), "a.kaya");
        let text = protocol::json::write(&record).unwrap();
        let named = text.windows(peer.len()).any(|part| part == peer.as_bytes());
        assert!(!named, "{peer} has no part in it: {record:?}");
        world.settle_and_check();
    }
}
