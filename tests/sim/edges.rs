//! The edges of each check: the last that is taken beside the first that is refused, and what differs
//! in one thing only. A changed comparison in `authorize` fails one of them.

use protocol::documents::{Approval, Dispatch, Order, Sealed};
use protocol::frames::{Answer, Stop};
use protocol::{Digest, EndpointId, Label, Mode, Plan, Time, json};
use trust::Signer as _;

use crate::desk::{Desk, HERE, START, dispatch, key, recall, sealed, source, submit};
use crate::narrowing;
use crate::world::World;

/// Submits a good order, changed; gives the reason where it was refused.
fn reason(
    world: &mut World,
    change: impl FnOnce(&mut Order),
    and: impl FnOnce(&mut Dispatch),
) -> Option<String> {
    world.wait(61_000);
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    change(&mut order);
    let lent = order.dispatch_key == key("lent").public_key();
    let order = sealed(&order, "a.kaya");
    let mut dispatch = dispatch(&order, challenge, 1, now);
    and(&mut dispatch);
    let dispatch = sealed(&dispatch, if lent { "lent" } else { "a.kaya" });
    world.ask(session, 1, &submit(&order, &dispatch));
    world.record_on(session, 1).unwrap().predicate.reason
}

/// So many seconds later, or earlier.
fn moved(time: Time, seconds: i64) -> Time {
    time.minus(1_000).plus((1_000 + seconds).unsigned_abs())
}

#[test]
fn an_order_holds_from_its_first_to_its_last_second_and_no_longer_than_policy_lets_it() {
    let mut world = World::of(Desk::with(|policy| policy.limits.order_seconds = 600));
    // From and until, in seconds from now.
    let table = [
        (0, 600, None),
        (0, 601, Some("order-too-long")),
        (120, 120, None),
        (121, 121, Some("not-yet-valid")),
        (-10, 0, None),
        (-10, -1, Some("order-expired")),
        (100, 99, Some("order-expired")),
    ];
    for (from, until, code) in table {
        let got = reason(
            &mut world,
            |order| {
                let at = |seconds| moved(order.not_before, seconds);
                (order.not_before, order.not_after) = (at(from), at(until));
            },
            |_| {},
        );
        assert_eq!(got.as_deref(), code, "from {from} until {until}");
    }
    world.settle_and_check();
}

#[test]
fn a_dispatch_lives_five_minutes_at_most_and_never_ends_before_it_begins() {
    let mut world = World::new();
    for (seconds, code) in [(0, None), (300, None), (301, Some("dispatch-expired"))] {
        let until = |dispatch: &mut Dispatch| dispatch.not_after = dispatch.issued.plus(seconds);
        assert_eq!(reason(&mut world, |_| {}, until).as_deref(), code, "{seconds}");
    }
    let turned = |dispatch: &mut Dispatch| dispatch.not_after = dispatch.issued.minus(1);
    assert_eq!(reason(&mut world, |_| {}, turned).as_deref(), Some("dispatch-expired"));
}

#[test]
fn an_order_names_64_endpoints_and_no_more() {
    let mut world = World::new();
    for (more, code) in [(63, None), (64, Some("wrong-endpoint"))] {
        let many = |order: &mut Order| {
            order.targets = (0..more).map(|n| EndpointId([100 + n; 16])).collect();
            order.targets.push(HERE);
        };
        assert_eq!(reason(&mut world, many, |_| {}).as_deref(), code, "{more}");
    }
}

#[test]
fn a_dispatch_with_secrets_is_by_the_agents_own_key() {
    let mut world = World::new();
    let secrets = |dispatch: &mut Dispatch| {
        let (enc, ciphertext) = (vec![1].into(), vec![2].into());
        dispatch.secrets = Some(Sealed { algorithm: "a".into(), enc, ciphertext });
    };
    let lent = |order: &mut Order| order.dispatch_key = key("lent").public_key();
    assert_eq!(reason(&mut world, lent, |_| {}), None);
    assert_eq!(reason(&mut world, lent, secrets).as_deref(), Some("dispatch-key"));
}

/// A plan of cache.clear as this endpoint made and kept it.
fn planned(world: &mut World) -> Digest {
    let session = world.ordered("cache.clear", Mode::Plan);
    world.record_on(session, 1).unwrap().predicate.plan.unwrap()
}

#[test]
fn a_plan_binds_where_policy_asks_and_means_nothing_to_a_look() {
    let mut world = World::of(Desk::with(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.plan_bound = rule.ticket_required);
    }));
    let plan = planned(&mut world);
    assert_eq!(reason(&mut world, |_| {}, |_| {}).as_deref(), Some("plan-required"));
    assert_eq!(reason(&mut world, |order| order.plan = Some(plan), |_| {}), None);
    let unknown = Some(Digest([3; 32]));
    let look = |order: &mut Order| (order.mode, order.plan) = (Mode::Check, unknown);
    assert_eq!(reason(&mut world, look, |_| {}), None);
}

#[test]
fn a_fix_is_held_to_a_plan_of_this_very_script_endpoint_and_parameters() {
    let mut world = World::new();
    let made = planned(&mut world);
    let made: Plan = json::read(&world.plans[&made]).unwrap();
    type Change = fn(&mut Plan);
    let table: [(&str, Option<&str>, Change); 5] = [
        ("nothing", None, |plan| plan.found = "more".into()),
        ("name", Some("plan-mismatch"), |plan| plan.script = "cache.other".parse().unwrap()),
        ("digest", Some("plan-mismatch"), |plan| plan.script_digest = Digest([1; 32])),
        ("endpoint", Some("plan-mismatch"), |plan| plan.endpoint = EndpointId([1; 16])),
        ("parameters", Some("plan-mismatch"), |plan| plan.parameters = Digest([1; 32])),
    ];
    for (what, code, change) in table {
        let mut other = made.clone();
        change(&mut other);
        let bytes = json::write(&other).unwrap();
        let digest = Digest::of(&bytes);
        world.plans.insert(digest, bytes);
        world.restart();
        let got = reason(&mut world, |order| order.plan = Some(digest), |_| {});
        assert_eq!(got.as_deref(), code, "{what}");
    }
    world.settle_and_check();
}

#[test]
fn a_script_for_management_runs_where_the_card_says_so() {
    let table: [(&[(&str, &str)], _); 4] = [
        (&[("group", "office"), ("role", "management")], None),
        (&[("role", "office")], Some("platform")),
        (&[("group", "management")], Some("platform")),
        (&[("group", "office")], Some("platform")),
    ];
    for (labels, code) in table {
        let mut world = World::new();
        let label = |text: &str| text.parse::<Label>().unwrap();
        world.desk.card.labels = labels.iter().map(|(k, v)| (label(k), label(v))).collect();
        world.restart();
        let central = |order: &mut Order| {
            order.script.name = "dir.unlock".parse().unwrap();
            order.script.digest = Digest::of(&source("dir.unlock"));
        };
        assert_eq!(reason(&mut world, central, |_| {}).as_deref(), code, "{labels:?}");
    }
}

#[test]
fn whoever_was_withdrawn_recalls_nothing() {
    let order = Digest([3; 32]);
    for (withdrawn, heard) in [
        ("t.new", Answer::Recalled { was_running: false }),
        ("m.ruiz", Answer::Stop { code: Stop::Seal }),
    ] {
        let mut world = World::of(Desk::with(|policy| {
            policy.denied.people.push(withdrawn.parse().unwrap());
        }));
        let (session, _) = world.session();
        world.ask(session, 1, &recall(order, "m.ruiz", START));
        assert_eq!(world.on(session, 1), [&heard], "{withdrawn}");
    }
}

#[test]
fn an_attestation_holds_from_its_first_to_its_last_second() {
    let mut world = World::new();
    // Issued and ending, in seconds from now.
    let table = [
        (0_i64, 600_i64, None),
        (0, 601, Some("ticket-attestation")),
        (120, 720, None),
        (121, 721, Some("ticket-attestation")),
        (-600, 0, None),
        (-600, -1, Some("ticket-attestation")),
    ];
    for (issued, ends, code) in table {
        let mut paper = narrowing::attestation(&world);
        let at = |seconds| moved(paper.issued, seconds);
        (paper.issued, paper.not_after) = (at(issued), at(ends));
        let paper = sealed(&paper, "ticket");
        let got = narrowing::reason(&mut world, |_| {}, |_| (Some(paper), vec![]));
        assert_eq!(got.as_deref(), code, "issued {issued} ends {ends}");
    }
}

#[test]
fn an_approval_holds_to_its_last_second() {
    let mut world = World::of(Desk::with(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.approvals = u32::from(rule.ticket_required));
    }));
    let plan = planned(&mut world);
    for (seconds, code) in [(61, None), (60, Some("approval-required"))] {
        // The order is judged 61 s from now.
        let not_after = world.time().plus(seconds);
        let approved = |order: &protocol::Envelope| {
            let (person, order) = ("m.ruiz".parse().unwrap(), order.digest());
            let yes = Approval { order, plan, person, yes: true, not_after };
            (None, vec![sealed(&yes, "m.ruiz")])
        };
        let bound = |order: &mut Order| order.plan = Some(plan);
        assert_eq!(narrowing::reason(&mut world, bound, approved).as_deref(), code, "{seconds}");
    }
}
