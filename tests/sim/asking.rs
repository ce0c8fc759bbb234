//! The person at the machine is asked about a plan, and a fix that is bound to it goes by the answer.

use keeper::core::Event;
use protocol::documents::{ConsentAnswer, Decision, Heard, Record};
use protocol::frames::{Answer, Event as Live};
use protocol::{Digest, Mode, Outcome, RunId, limits};
use trust::Signer as _;

use crate::desk::{Desk, HERE, dispatch, key, recall, sealed, submit};
use crate::screen::heard;
use crate::world::World;

/// A plan that asks; gives the session and the order's digest.
fn asks(world: &mut World) -> (u32, Digest) {
    world.desk.asks = true;
    let (session, challenge) = world.session();
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Plan, now), "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    (session, order.digest())
}

/// A fix bound to this plan, for which the agent states this.
fn fix(world: &mut World, plan: Digest, stated: Option<ConsentAnswer>) -> Record {
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    order.plan = Some(plan);
    order.consent = order.consent.zip(stated).map(|(mut said, answer)| {
        said.answer = answer;
        said
    });
    let order = sealed(&order, "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    world.record_on(session, 1).unwrap()
}

#[test]
fn what_the_person_said_to_the_plan_decides_the_fix() {
    let spoken = Some(ConsentAnswer::Spoken);
    for (said, stated, code) in [
        (Heard::Yes, None, None),
        (Heard::Yes, spoken, None),
        (Heard::No, None, Some("consent-refused")),
        // E22: whatever the agent states.
        (Heard::No, spoken, Some("consent-refused")),
        (Heard::NobodyThere, None, Some("consent-required")),
        (Heard::NobodyThere, spoken, None),
        (Heard::NoAnswer, spoken, None),
        (Heard::NotShown, None, Some("consent-required")),
        // To ask is no answer.
        (Heard::NotShown, Some(ConsentAnswer::Ask), Some("consent-required")),
    ] {
        let mut world = World::new();
        world.screen.answer = Some(said);
        let (session, _) = asks(&mut world);
        let planned = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(planned.outcome, Outcome::Succeeded);
        assert_eq!(planned.asked.as_ref().unwrap().answer, said);
        let live = world.on(session, 1).into_iter().any(|answer| {
            matches!(answer, Answer::Event { event: Live::Asking { question, .. } } if question == "May I?")
        });
        assert!(live, "whoever watches sees that somebody is asked");
        let record = fix(&mut world, planned.plan.unwrap(), stated).predicate;
        assert_eq!(record.reason.as_deref(), code, "{said:?} {stated:?}: {record:?}");
        if said == Heard::Yes {
            let Decision::Permit { reasons } = &record.decision else { panic!("{record:?}") };
            let words = "consent: jo said yes at the machine (terminal tty2)".to_owned();
            assert!(reasons.contains(&words), "{reasons:?}");
            assert_eq!(record.asked, planned.asked);
        }
        world.settle_and_check();
    }
}

#[test]
fn a_yes_is_for_one_fix_of_whom_it_was_asked_for_and_a_no_for_everybody() {
    let planned = |world: &mut World, said| {
        world.screen.answer = Some(said);
        let (session, _) = asks(world);
        world.record_on(session, 1).unwrap().predicate.plan.unwrap()
    };
    let ordered = |world: &mut World, plan, by: &str, ticket: &str| {
        let (session, challenge) = world.session();
        let now = world.time();
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        (order.agent, order.dispatch_key) = (by.parse().unwrap(), key(by).public_key());
        (order.ticket, order.plan, order.consent) =
            (Some(ticket.parse().unwrap()), Some(plan), None);
        let order = sealed(&order, by);
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), by);
        world.ask(session, 1, &submit(&order, &dispatch));
        world.record_on(session, 1).unwrap().predicate.reason
    };
    let mut world = World::new();
    let plan = planned(&mut world, Heard::Yes);
    let wanted = Some("consent-required".to_owned());
    assert_eq!(ordered(&mut world, plan, "m.ruiz", "1482"), wanted, "another agent");
    assert_eq!(ordered(&mut world, plan, "a.kaya", "9"), wanted, "another ticket");
    assert_eq!(ordered(&mut world, plan, "a.kaya", "1482"), None);
    let spent = Some("plan-unknown".to_owned());
    assert_eq!(ordered(&mut world, plan, "a.kaya", "1482"), spent, "once");
    let plan = planned(&mut world, Heard::No);
    let refused = Some("consent-refused".to_owned());
    assert_eq!(ordered(&mut world, plan, "m.ruiz", "9"), refused);
    assert_eq!(ordered(&mut world, plan, "a.kaya", "1482"), refused);
    world.settle_and_check();
}

#[test]
fn a_rule_may_let_only_the_persons_own_word_count() {
    for (said, stated, code) in [
        (Heard::Yes, None, None),
        (Heard::NobodyThere, Some(ConsentAnswer::Spoken), Some("consent-required")),
        (Heard::NobodyThere, Some(ConsentAnswer::Waived), Some("consent-required")),
    ] {
        let own = |policy: &mut policy::PolicyFile| {
            policy.rules.iter_mut().for_each(|rule| rule.consent.spoken = false);
        };
        let mut world = World::of(Desk::with(own));
        world.screen.answer = Some(said);
        let (session, _) = asks(&mut world);
        let plan = world.record_on(session, 1).unwrap().predicate.plan.unwrap();
        let record = fix(&mut world, plan, stated).predicate;
        assert_eq!(record.reason.as_deref(), code, "{said:?} {stated:?}: {record:?}");
    }
}

#[test]
fn the_question_is_the_scripts_own_and_says_what_would_change() {
    let mut world = World::new();
    world.screen.answer = Some(Heard::No);
    world.desk.asks = true;
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Plan, now);
    order.consent.as_mut().unwrap().question = "Type your password here:".into();
    let order = sealed(&order, "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &submit(&order, &dispatch));
    let [question] = &world.screen.questions[..] else { panic!("{:?}", world.screen) };
    assert_eq!((question.question.as_str(), question.agent.as_str()), ("May I?", "a.kaya"));
    assert_eq!(question.lines, ["tmp: 1 file, 1 B"]);
    assert_eq!(question.seconds, limits::ASK_SECONDS);
}

#[test]
fn without_an_answer_the_plan_ends_in_its_time_and_asks_one_at_a_time() {
    let mut world = World::new();
    let (first, _) = asks(&mut world);
    assert!(world.record_on(first, 1).is_none());
    // A second question waits for nothing: it is not shown, and that is said.
    let (second, _) = asks(&mut world);
    let not_shown = world.record_on(second, 1).unwrap().predicate.asked.unwrap();
    assert_eq!(not_shown.answer, Heard::NotShown);
    assert_eq!(not_shown.because.as_deref(), Some("another question is on the screen"));
    // Nothing else stands still meanwhile.
    let check = world.ordered("cache.clear", Mode::Check);
    assert!(world.record_on(check, 1).is_some());
    world.wait(limits::ASK_SECONDS * 1000);
    assert!(world.record_on(first, 1).is_none(), "its process may still say that nobody answered");
    world.wait(5_000);
    let record = world.record_on(first, 1).unwrap().predicate;
    assert_eq!(record.asked.unwrap().answer, Heard::NoAnswer);
    assert_eq!(world.screen.unasked, 1);
    world.settle_and_check();
}

#[test]
fn an_answer_counts_once_and_for_its_own_run_only() {
    let mut world = World::new();
    let (session, order) = asks(&mut world);
    let run = RunId::of(&order, &HERE, 0);
    world.feed(heard(RunId([9; 16]), Heard::Yes));
    assert!(world.record_on(session, 1).is_none());
    world.feed(heard(run, Heard::No));
    world.feed(heard(run, Heard::Yes));
    let record = world.record_on(session, 1).unwrap().predicate;
    assert_eq!(record.asked.unwrap().answer, Heard::No);
    world.settle_and_check();
}

#[test]
fn a_plan_that_is_taken_back_asks_no_more() {
    for drain in [false, true] {
        let mut world = World::new();
        let (session, order) = asks(&mut world);
        if drain {
            world.feed(Event::Drain);
        } else {
            let now = world.time();
            world.ask(session, 2, &recall(order, "a.kaya", now));
        }
        assert_eq!(world.screen.unasked, 1);
        let record = &world.records.last().unwrap().predicate;
        assert_eq!((record.outcome, record.plan), (Outcome::Cancelled, None), "{record:?}");
        world.settle_and_check();
    }
}

#[test]
fn power_that_goes_while_somebody_is_asked_leaves_an_interrupted_plan() {
    let mut world = World::new();
    world.crash = Some(("Ask", 1));
    asks(&mut world);
    assert_eq!(world.crashes, 1);
    world.settle_and_check();
    let record = &world.records[0].predicate;
    assert_eq!((record.outcome, record.plan), (Outcome::Interrupted, None));
}

#[test]
fn people_are_not_asked_without_end() {
    let mut world = World::new();
    world.screen.answer = Some(Heard::NoAnswer);
    let asked = |world: &mut World| {
        let (session, _) = asks(world);
        world.record_on(session, 1).unwrap().predicate.asked.unwrap()
    };
    for _ in 0..limits::ASKS_MAX {
        assert_eq!(asked(&mut world).answer, Heard::NoAnswer);
    }
    let often = asked(&mut world);
    assert_eq!(often.answer, Heard::NotShown);
    assert!(often.because.unwrap().contains("too many questions"));
    world.wait(limits::ASK_SPAN_SECONDS * 1000);
    assert_eq!(asked(&mut world).answer, Heard::NoAnswer);
}

#[test]
fn nothing_is_asked_where_nothing_would_change_or_nobody_wants_it() {
    let mut world = World::new();
    world.screen.answer = Some(Heard::Yes);
    // A plan that does not ask, a check, a script that asks nobody, and one that fails.
    let plain = world.ordered("cache.clear", Mode::Plan);
    assert_eq!(world.record_on(plain, 1).unwrap().predicate.asked, None);
    world.desk.asks = true;
    world.ordered("user.reset", Mode::Plan);
    world.ordered("cache.clear", Mode::Check);
    world.manner = crate::world::Manner::Dies;
    asks(&mut world);
    assert_eq!(world.screen.questions, Vec::new());
}
