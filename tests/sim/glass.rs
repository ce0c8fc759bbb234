//! Breaking glass: the key from the safe stands in for approvals of this very order and plan, where the
//! policy lets it; everything else that could pass for that is refused.

use policy::{GlassKey, PolicyFile};
use protocol::documents::{Approval, BreakGlass, Decision, Order, RecordPredicate};
use protocol::frames::Ask;
use protocol::{Digest, Envelope, Mode, Time};
use trust::Signer as _;

use crate::desk::{bytes, dispatch, key, sealed};
use crate::narrowing::{planned, world};
use crate::world::World;

fn listed(name: &str, valid_until: Option<Time>) -> GlassKey {
    GlassKey { name: name.parse().unwrap(), key: key(name).public_key(), valid_until }
}

/// Two approvals, or the glass.
fn lets(policy: &mut PolicyFile) {
    policy.break_glass = vec![listed("safe-1", None), listed("safe-2", None)];
    for rule in policy.rules.iter_mut().filter(|rule| rule.ticket_required) {
        (rule.approvals, rule.break_glass) = (2, true);
    }
}

fn breaks(order: &mut Order, plan: Digest) {
    order.plan = Some(plan);
    order.break_glass = Some("safe-1".parse().unwrap());
    order.reason = "nobody awake".into();
}

fn paper(order: &Envelope, plan: Digest, until: Time) -> BreakGlass {
    let (order, key) = (order.digest(), "safe-1".parse().unwrap());
    BreakGlass { order, plan, key, not_after: until }
}

/// Sends an order of a.kaya with these papers; what the record says.
fn send(world: &mut World, order: &Envelope, papers: &[Envelope]) -> RecordPredicate {
    world.wait(61_000);
    let (session, challenge) = world.session();
    let now = world.time();
    let dispatch = sealed(&dispatch(order, challenge, 1, now), "a.kaya");
    let ask = Ask::Submit {
        order: bytes(order),
        dispatch: bytes(&dispatch),
        attestation: None,
        approvals: papers.iter().map(bytes).collect(),
    };
    world.ask(session, 1, &ask);
    world.record_on(session, 1).unwrap().predicate
}

fn sent(
    world: &mut World,
    change: impl FnOnce(&mut Order),
    papers: impl FnOnce(&Envelope) -> Vec<Envelope>,
) -> RecordPredicate {
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    change(&mut order);
    let order = sealed(&order, "a.kaya");
    let papers = papers(&order);
    send(world, &order, &papers)
}

/// The stable reason of a refusal, where it is one.
fn reason(
    world: &mut World,
    change: impl FnOnce(&mut Order),
    papers: impl FnOnce(&Envelope) -> Vec<Envelope>,
) -> Option<String> {
    sent(world, change, papers).reason
}

#[test]
fn the_key_from_the_safe_stands_in_for_approvals_and_the_record_says_so() {
    let mut world = world(lets);
    let plan = planned(&mut world);
    let until = world.time().plus(3000);
    let lacks = reason(&mut world, |order| order.plan = Some(plan), |_| vec![]);
    assert_eq!(lacks.as_deref(), Some("approval-required"));
    let good = |order: &Envelope| vec![sealed(&paper(order, plan, until), "safe-1")];
    let record = sent(&mut world, |order| breaks(order, plan), good);
    assert_eq!(record.reason, None);
    let Decision::Permit { reasons } = record.decision else { panic!("refused") };
    let said = "BREAK GLASS by a.kaya with key safe-1 instead of 2 approvals: \"nobody awake\"";
    assert!(reasons.iter().any(|reason| reason == said), "{reasons:?}");
    let weak = "a break-glass key can stand in for the approvals of rule fix-low";
    assert!(record.weaknesses.iter().any(|said| said == weak), "{:?}", record.weaknesses);
    world.settle_and_check();
}

#[test]
fn nothing_else_passes_for_broken_glass() {
    let mut world = world(lets);
    let plan = planned(&mut world);
    let until = world.time().plus(3000);
    type Change = fn(&mut BreakGlass);
    let table: &[(&str, Change)] = &[
        // By another key of the policy's own, by people, by strangers.
        ("safe-2", |_| {}),
        ("a.kaya", |_| {}),
        ("m.ruiz", |_| {}),
        ("stranger", |_| {}),
        ("safe-1", |paper| paper.order = Digest([0; 32])),
        ("safe-1", |paper| paper.plan = Digest([0; 32])),
        ("safe-1", |paper| paper.key = "safe-2".parse().unwrap()),
        ("safe-1", |paper| paper.not_after = paper.not_after.minus(3000)),
    ];
    for (by, change) in table {
        let papers = |order: &Envelope| {
            let mut paper = paper(order, plan, until);
            change(&mut paper);
            vec![sealed(&paper, by)]
        };
        let got = reason(&mut world, |order| breaks(order, plan), papers);
        assert_eq!(got.as_deref(), Some("break-glass"), "{by}");
    }
    let good = |order: &Envelope| vec![sealed(&paper(order, plan, until), "safe-1")];
    type OfOrder = fn(&mut Order);
    let orders: &[(&str, OfOrder)] = &[
        ("approval-required", |order| order.break_glass = None),
        ("break-glass", |order| order.break_glass = Some("safe-3".parse().unwrap())),
        ("break-glass", |order| order.break_glass = Some("safe-2".parse().unwrap())),
        ("break-glass", |order| order.plan = None),
        ("break-glass", |order| order.reason = " \n".into()),
        ("ticket-required", |order| order.ticket = None),
        ("consent-required", |order| order.consent = None),
    ];
    for (code, change) in orders {
        let breaks = |order: &mut Order| {
            breaks(order, plan);
            change(order);
        };
        assert_eq!(reason(&mut world, breaks, good).as_deref(), Some(*code));
    }
    assert!(world.spawns.len() <= 1, "the plan alone");
    world.settle_and_check();
}

#[test]
fn an_approval_is_no_broken_glass_and_broken_glass_no_approval() {
    let mut world = world(|policy| {
        lets(policy);
        policy.rules.iter_mut().filter(|rule| rule.break_glass).for_each(|rule| rule.approvals = 1);
    });
    let plan = planned(&mut world);
    let until = world.time().plus(3000);
    let yes = move |order: &Envelope, by: &str| {
        let (person, order) = ("m.ruiz".parse().unwrap(), order.digest());
        sealed(&Approval { order, plan, person, yes: true, not_after: until }, by)
    };
    for by in ["m.ruiz", "safe-1"] {
        let papers = |order: &Envelope| vec![yes(order, by)];
        let got = reason(&mut world, |order| breaks(order, plan), papers);
        assert_eq!(got.as_deref(), Some("break-glass"), "an approval by {by}");
    }
    for by in ["m.ruiz", "safe-1"] {
        let papers = |order: &Envelope| vec![sealed(&paper(order, plan, until), by)];
        let got = reason(&mut world, |order| order.plan = Some(plan), papers);
        assert_eq!(got.as_deref(), Some("approval-required"), "a paper by {by}");
    }
    // Somebody who is awake after all and says no is heard.
    let papers = |order: &Envelope| {
        let (person, digest) = ("m.ruiz".parse().unwrap(), order.digest());
        let no = Approval { order: digest, plan, person, yes: false, not_after: until };
        vec![sealed(&paper(order, plan, until), "safe-1"), sealed(&no, "m.ruiz")]
    };
    let got = reason(&mut world, |order| breaks(order, plan), papers);
    assert_eq!(got.as_deref(), Some("not-allowed"));
    world.settle_and_check();
}

#[test]
fn a_paper_is_of_one_order_and_that_runs_once() {
    let mut world = world(lets);
    let plan = planned(&mut world);
    let until = world.time().plus(3000);
    let now = world.time();
    let order = |world: &mut World| {
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        breaks(&mut order, plan);
        sealed(&order, "a.kaya")
    };
    let (first, second) = (order(&mut world), order(&mut world));
    let of_first = [sealed(&paper(&first, plan, until), "safe-1")];
    let code = |record: RecordPredicate| record.reason;
    let other = code(send(&mut world, &second, &of_first));
    assert_eq!(other.as_deref(), Some("break-glass"));
    assert_eq!(code(send(&mut world, &first, &of_first)), None);
    assert_eq!(code(send(&mut world, &first, &of_first)).as_deref(), Some("already-run"));
    let other = code(send(&mut world, &second, &of_first));
    assert_eq!(other.as_deref(), Some("break-glass"), "and afterwards");
    world.settle_and_check();
}

#[test]
fn policy_takes_key_and_rule_away_again() {
    type Change = fn(&mut PolicyFile);
    let table: &[Change] = &[
        |policy| policy.denied.keys.push(key("safe-1").public_key()),
        |policy| policy.break_glass[0].valid_until = Some(Time(1_795_000_000)),
        |policy| policy.break_glass.truncate(0),
        |policy| policy.rules.iter_mut().for_each(|rule| rule.break_glass = false),
        |policy| {
            for rule in &mut policy.rules {
                (rule.approvals, rule.break_glass) = (0, false);
            }
        },
    ];
    for (n, change) in table.iter().enumerate() {
        let mut world = world(|policy| {
            lets(policy);
            change(policy);
        });
        let plan = planned(&mut world);
        let until = world.time().plus(3000);
        let good = |order: &Envelope| vec![sealed(&paper(order, plan, until), "safe-1")];
        let got = reason(&mut world, |order| breaks(order, plan), good);
        assert_eq!(got.as_deref(), Some("break-glass"), "{n}");
    }
}
