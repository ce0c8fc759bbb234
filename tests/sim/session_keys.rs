//! Orders under a session key: what it may sign, and each reason for which it may not.

use policy::PolicyFile;
use protocol::documents::{Approval, Order, Recall, Record, SessionKey};
use protocol::frames::{Answer, Ask, Stop};
use protocol::{Digest, Envelope, Mode, Risk, Time};
use trust::{Signer as _, SigningKey};

use crate::desk::{Desk, bytes, dispatch, key, sealed, source, submit};
use crate::world::World;

const HOUR: u64 = 3600;

/// What a.kaya lends for a working day.
fn lent(now: Time) -> SessionKey {
    SessionKey {
        person: "a.kaya".parse().unwrap(),
        key: key("session").public_key(),
        risk: Risk::Medium,
        machine: None,
        not_before: now.minus(60),
        not_after: now.plus(8 * HOUR),
    }
}

/// Who seals what.
struct Seals {
    paper: SigningKey,
    order: SigningKey,
    dispatch: SigningKey,
}

impl Seals {
    fn good() -> Self {
        Self { paper: key("a.kaya"), order: key("session"), dispatch: key("session") }
    }
}

fn seal<T: protocol::PayloadType>(document: &T, by: &SigningKey) -> Envelope {
    trust::seal::seal(document, &[by]).unwrap()
}

/// Submits an order under a session key; the code of the refusal, or the word of the stop.
fn code_by(
    world: &mut World,
    seals: &Seals,
    change: impl FnOnce(&mut SessionKey, &mut Order),
) -> Option<String> {
    let (session, challenge) = world.session();
    let now = world.time();
    let mut paper = lent(now);
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    order.dispatch_key = seals.dispatch.public_key();
    change(&mut paper, &mut order);
    order.session_key = Some(seal(&paper, &seals.paper));
    let order = seal(&order, &seals.order);
    let dispatch = seal(&dispatch(&order, challenge, 1, now), &seals.dispatch);
    world.ask(session, 1, &submit(&order, &dispatch));
    world.wait(61_000);
    match world.on(session, 1).last() {
        Some(Answer::Stop { code }) => Some(format!("{code:?}")),
        _ => world.record_on(session, 1).unwrap().predicate.reason,
    }
}

fn code(world: &mut World, change: impl FnOnce(&mut SessionKey, &mut Order)) -> Option<String> {
    code_by(world, &Seals::good(), change)
}

fn high(order: &mut Order) {
    order.script.name = "user.reset".parse().unwrap();
    order.script.digest = Digest::of(&source("user.reset"));
}

#[test]
fn a_session_key_signs_what_its_person_may_order_and_the_record_says_so() {
    let mut world = World::new();
    assert_eq!(code(&mut world, |_, _| {}), None);
    assert_eq!(code(&mut world, |paper, _| paper.risk = Risk::Low), None);
    // One that waits: its dispatch is by a key made for it.
    let waits = Seals { dispatch: key("made for it"), ..Seals::good() };
    assert_eq!(code_by(&mut world, &waits, |_, _| {}), None);
    world.settle_and_check();
    let said = world.records.iter().filter(|record| {
        let decision = format!("{:?}", record.predicate.decision);
        decision.contains("rule fix-low") && decision.contains("signed by a session key for")
    });
    assert_eq!(said.count(), 3, "{:?}", world.records);
    assert_eq!(world.started(), 3);
}

#[test]
fn a_session_key_is_refused_by_its_own_reason() {
    let mut world = World::new();
    type Change = fn(&mut SessionKey, &mut Order);
    let table: &[(&str, Change)] = &[
        ("session-key", |paper, order| {
            paper.not_after = order.not_after.minus(1);
        }),
        ("session-key", |paper, order| paper.not_before = order.not_before.plus(1)),
        ("session-key", |paper, _| paper.not_after = paper.not_before.plus(12 * HOUR + 1)),
        ("session-key", |paper, _| {
            std::mem::swap(&mut paper.not_before, &mut paper.not_after);
        }),
        ("session-key", |paper, _| paper.risk = Risk::High),
        // Found the day after: no order under it can still be in force.
        ("session-key", |paper, _| {
            paper.not_before = paper.not_before.minus(24 * HOUR);
            paper.not_after = paper.not_after.minus(24 * HOUR);
        }),
        ("order-expired", |paper, order| {
            paper.not_before = paper.not_before.minus(24 * HOUR);
            paper.not_after = paper.not_after.minus(24 * HOUR);
            order.not_before = order.not_before.minus(24 * HOUR);
            order.not_after = order.not_after.minus(24 * HOUR);
        }),
        // High risk and secrets, whatever the paper says.
        ("dispatch-key", |_, order| high(order)),
        ("dispatch-key", |paper, order| {
            paper.risk = Risk::Medium;
            high(order);
            order.mode = Mode::Check;
        }),
    ];
    for (place, (wanted, change)) in table.iter().enumerate() {
        assert_eq!(code(&mut world, change).as_deref(), Some(*wanted), "{place}");
    }
    assert_eq!(world.started(), 0);
    world.settle_and_check();
}

#[test]
fn a_paper_that_its_person_did_not_seal_opens_nothing() {
    let mut world = World::new();
    let good = Seals::good;
    let foreign = [
        // By another person, by the session key itself, by nobody known.
        Seals { paper: key("m.ruiz"), ..good() },
        Seals { paper: key("session"), ..good() },
        Seals { paper: key("stranger"), ..good() },
        // A good paper, and an order by another key; even by the person's own.
        Seals { order: key("stranger"), ..good() },
        Seals { order: key("a.kaya"), ..good() },
    ];
    for seals in &foreign {
        assert_eq!(code_by(&mut world, seals, |_, _| {}).as_deref(), Some("Seal"));
    }
    // m.ruiz lends it to herself and names somebody else in the order, or in the paper.
    let ruiz = Seals { paper: key("m.ruiz"), ..good() };
    let order = code_by(&mut world, &ruiz, |paper, _| paper.person = "m.ruiz".parse().unwrap());
    assert_eq!(order.as_deref(), Some("Seal"));
    let paper = code_by(&mut world, &ruiz, |_, order| order.agent = "m.ruiz".parse().unwrap());
    assert_eq!(paper.as_deref(), Some("Seal"));
    assert_eq!(world.started(), 0);
    // The paper taken away: the session key alone is nobody's.
    let (session, challenge) = world.session();
    let now = world.time();
    let mut bare = world.desk.order("cache.clear", Mode::Fix, now);
    bare.dispatch_key = key("session").public_key();
    let bare = sealed(&bare, "session");
    let by = sealed(&dispatch(&bare, challenge, 1, now), "session");
    world.ask(session, 1, &submit(&bare, &by));
    assert_eq!(world.on(session, 1), [&Answer::Stop { code: Stop::Seal }]);
}

fn under(change: impl FnOnce(&mut PolicyFile)) -> World {
    World::of(Desk::with(change))
}

#[test]
fn only_a_rule_that_says_so_takes_a_session_key() {
    let mut never =
        under(|policy| policy.rules.iter_mut().for_each(|rule| rule.session_key = false));
    assert_eq!(code(&mut never, |_, _| {}).as_deref(), Some("session-key"));
    let looks = code(&mut never, |_, order| order.mode = Mode::Check);
    assert_eq!(looks.as_deref(), Some("session-key"));
    let mut own = under(|policy| {
        for rule in &mut policy.rules {
            (rule.session_key, rule.own_key) = (false, true);
        }
    });
    assert_eq!(code(&mut own, |_, _| {}).as_deref(), Some("dispatch-key"));
    // Raised above what was lent.
    let mut raised = under(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.roles = Vec::new());
        policy.rules.iter_mut().for_each(|rule| rule.agents = vec!["m.ruiz".parse().unwrap()]);
    });
    assert_eq!(
        code(&mut raised, |_, _| {}).as_deref(),
        Some("not-allowed"),
        "lends no more than it has"
    );
}

#[test]
fn whoever_is_withdrawn_has_lent_nothing() {
    let denied: [fn(&mut PolicyFile); 4] = [
        |policy| policy.denied.keys.push(key("session").public_key()),
        |policy| policy.denied.keys.push(key("a.kaya").public_key()),
        |policy| policy.denied.people.push("a.kaya".parse().unwrap()),
        |policy| policy.people[0].valid_until = Some(Time(1)),
    ];
    for change in denied {
        let mut world = under(change);
        assert_eq!(code(&mut world, |_, _| {}).as_deref(), Some("signer-withdrawn"));
        // One that waits shows another key in its dispatch.
        let waits = Seals { dispatch: key("made for it"), ..Seals::good() };
        let code = code_by(&mut world, &waits, |_, _| {});
        assert_eq!(code.as_deref(), Some("signer-withdrawn"));
    }
    // Another key in the place of the one that lent.
    let mut world = under(|policy| policy.people[0].signing_key = Some(key("new").public_key()));
    assert_eq!(code(&mut world, |_, _| {}).as_deref(), Some("Seal"));
}

#[test]
fn a_session_key_approves_nothing() {
    let mut world = under(|policy| policy.rules.iter_mut().for_each(|rule| rule.approvals = 1));
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Check, now);
    order.plan = Some(Digest([3; 32]));
    let order = sealed(&order, "a.kaya");
    let yes = |by: &str| Approval {
        order: order.digest(),
        plan: Digest([3; 32]),
        person: by.parse().unwrap(),
        yes: true,
        not_after: now.plus(HOUR),
    };
    let mut asked = 0;
    let mut ask = |world: &mut World, approval: Envelope| {
        asked += 1;
        let dispatch = sealed(&dispatch(&order, challenge, asked, now), "a.kaya");
        let stream = u32::try_from(asked).unwrap();
        let ask = Ask::Submit {
            order: bytes(&order),
            dispatch: bytes(&dispatch),
            attestation: None,
            approvals: vec![bytes(&approval)],
        };
        world.ask(session, stream, &ask);
        world.record_on(session, stream).unwrap().predicate.reason
    };
    let lent = ask(&mut world, sealed(&yes("m.ruiz"), "session"));
    assert_eq!(lent.as_deref(), Some("approval-required"));
    assert_eq!(ask(&mut world, sealed(&yes("m.ruiz"), "m.ruiz")), None);
}

#[test]
fn a_session_key_recalls_its_persons_own_orders_that_are_here() {
    let mut world = World::new();
    world.manner = crate::world::Manner::Hangs;
    let (session, challenge) = world.session();
    let now = world.time();
    let ordered = |world: &mut World, stream: u32, by: &str| {
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        (order.agent, order.dispatch_key) = (by.parse().unwrap(), key(by).public_key());
        let order = sealed(&order, by);
        let dispatch = sealed(&dispatch(&order, challenge, stream.into(), now), by);
        world.ask(session, stream, &submit(&order, &dispatch));
        order.digest()
    };
    let (mine, theirs) = (ordered(&mut world, 1, "m.ruiz"), ordered(&mut world, 2, "a.kaya"));
    // m.ruiz is a lead: with her own key she may take back anybody's.
    let recall = |order: Digest, change: &dyn Fn(&mut SessionKey, &mut Recall)| {
        let mut paper = SessionKey { person: "m.ruiz".parse().unwrap(), ..lent(now) };
        let mut recall = Recall {
            order,
            agent: "m.ruiz".parse().unwrap(),
            scope: protocol::documents::RecallScope::CancelRun,
            reason: "test".into(),
            issued: now,
            session_key: None,
        };
        change(&mut paper, &mut recall);
        recall.session_key = Some(sealed(&paper, "m.ruiz"));
        Ask::Recall { recall: bytes(&sealed(&recall, "session")) }
    };
    type Change = fn(&mut SessionKey, &mut Recall);
    let bad: [(Digest, Stop, Change); 5] = [
        (theirs, Stop::NotYours, |_, _| {}),
        (Digest([9; 32]), Stop::NotYours, |_, _| {}),
        (mine, Stop::Seal, |paper, _| paper.not_after = paper.not_before.plus(59)),
        (mine, Stop::Seal, |_, recall| recall.issued = recall.issued.minus(61)),
        (mine, Stop::Seal, |_, recall| recall.agent = "a.kaya".parse().unwrap()),
    ];
    for (place, (order, code, change)) in (10u32..).zip(bad) {
        world.ask(session, place, &recall(order, &change));
        assert_eq!(world.on(session, place), [&Answer::Stop { code }], "{place}");
    }
    let reason = |world: &World, stream| {
        world.record_on(session, stream).map(|record: Record| record.predicate.outcome)
    };
    assert_eq!((reason(&world, 1), reason(&world, 2)), (None, None));
    world.ask(session, 20, &recall(mine, &|_, _| {}));
    assert_eq!(world.on(session, 20), [&Answer::Recalled { was_running: true }]);
    // It ended: the same again takes nothing back, and is no stranger's.
    world.wait(61_000);
    assert_eq!(reason(&world, 1), Some(protocol::Outcome::Cancelled));
}
