//! What narrows an order: attestations, approvals, risk, platform, rates, room. Each check has a
//! case that fails without it.

use policy::PolicyFile;
use protocol::documents::{Approval, Order, TicketAttestation, TicketState};
use protocol::frames::{Answer, Ask, Stop};
use protocol::{Digest, EndpointId, Envelope, Mode, Risk};
use trust::Signer as _;

use crate::desk::{Desk, HERE, bytes, dispatch, key, sealed};
use crate::kill_points::update;
use crate::world::World;

/// A world whose catalogue has this policy.
pub(crate) fn world(change: impl FnOnce(&mut PolicyFile)) -> World {
    let mut world = World::new();
    world.wait(20_000);
    let now = world.time();
    let files = world.desk.publish(change, now);
    let (session, _) = world.session();
    update(&mut world, session, 1, &files);
    let taken =
        world.on(session, 1).into_iter().any(|a| matches!(a, Answer::CatalogueTaken { .. }));
    assert!(taken, "{:?}", world.on(session, 1));
    world
}

/// Submits an order with what supports it; gives the reason where it was refused.
pub(crate) fn reason(
    world: &mut World,
    change: impl FnOnce(&mut Order),
    support: impl FnOnce(&Envelope) -> (Option<Envelope>, Vec<Envelope>),
) -> Option<String> {
    world.wait(61_000);
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    change(&mut order);
    let order = sealed(&order, "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    let (attestation, approvals) = support(&order);
    let ask = Ask::Submit {
        order: bytes(&order),
        dispatch: bytes(&dispatch),
        attestation: attestation.as_ref().map(bytes),
        approvals: approvals.iter().map(bytes).collect(),
    };
    world.ask(session, 1, &ask);
    world.record_on(session, 1).unwrap().predicate.reason
}

pub(crate) fn attestation(world: &World) -> TicketAttestation {
    // The order is sealed a minute from now.
    let issued = world.time().plus(61);
    TicketAttestation {
        ticket: "1482".parse().unwrap(),
        assignee: Some("a.kaya".parse().unwrap()),
        endpoints: vec![HERE],
        state: TicketState::Open,
        issued,
        not_after: issued.plus(600),
        identity_checked: None,
    }
}

#[test]
fn an_attestation_narrows_and_vouches_only_when_it_fits() {
    let wants = |policy: &mut PolicyFile| {
        policy.rules.iter_mut().for_each(|rule| rule.attestation_required = rule.ticket_required);
    };
    type Change = fn(&mut TicketAttestation);
    let bad: &[(&str, &str, Change)] = &[
        ("ticket-attestation", "ticket", |a| a.ticket = "1483".parse().unwrap()),
        ("ticket-attestation", "ticket", |a| a.assignee = Some("m.ruiz".parse().unwrap())),
        ("ticket-attestation", "ticket", |a| a.endpoints = vec![EndpointId([1; 16])]),
        ("ticket-attestation", "ticket", |a| a.not_after = a.issued.minus(1)),
        ("ticket-attestation", "ticket", |a| a.not_after = a.issued.plus(601)),
        ("ticket-attestation", "ticket", |a| {
            a.issued = a.issued.plus(121);
            a.not_after = a.issued.plus(60);
        }),
        ("ticket-closed", "ticket", |a| a.state = TicketState::Closed),
        ("ticket-attestation", "a.kaya", |_| {}),
    ];
    let silent: &[Change] = &[|a| a.assignee = None, |a| a.endpoints = vec![]];
    for needed in [false, true] {
        let mut world = if needed { world(wants) } else { World::new() };
        for (code, by, change) in bad {
            let mut said = attestation(&world);
            change(&mut said);
            let said = sealed(&said, by);
            let got = reason(&mut world, |_| {}, |_| (Some(said), vec![]));
            assert_eq!(got.as_deref(), Some(*code), "{needed} {by}");
        }
        for change in silent {
            let mut said = attestation(&world);
            change(&mut said);
            let said = sealed(&said, "ticket");
            let got = reason(&mut world, |_| {}, |_| (Some(said), vec![]));
            assert_eq!(got.is_some(), needed, "{got:?}");
        }
        let none = reason(&mut world, |_| {}, |_| (None, vec![]));
        assert_eq!(none.as_deref(), needed.then_some("ticket-attestation"));
        let good = sealed(&attestation(&world), "ticket");
        assert_eq!(reason(&mut world, |_| {}, |_| (Some(good), vec![])), None);
        world.settle_and_check();
    }
}

/// E20: what a ticket system's key said ends with the policy that denies the key, though it is listed.
#[test]
fn a_ticket_key_that_policy_denies_vouches_for_nothing() {
    let wants = |policy: &mut PolicyFile| {
        policy.rules.iter_mut().for_each(|rule| rule.attestation_required = rule.ticket_required);
        policy.ticket_keys.push(key("other ticket").public_key());
    };
    for needed in [false, true] {
        let desk = if needed { Desk::with(wants) } else { Desk::new() };
        let mut world = World::of(desk);
        let with = |world: &mut World, by: &str| {
            let said = sealed(&attestation(world), by);
            reason(world, |_| {}, |_| (Some(said), vec![]))
        };
        assert_eq!(with(&mut world, "ticket"), None, "listed");
        world.wait(20_000);
        let now = world.time();
        let denied = key("ticket").public_key();
        let files = world.desk.publish(|policy| policy.denied.keys.push(denied), now);
        let (session, _) = world.session();
        update(&mut world, session, 1, &files);
        assert!(matches!(world.on(session, 1)[..], [Answer::CatalogueTaken { .. }]));
        assert!(world.desk.policy.ticket_keys.contains(&denied), "listed and denied");
        assert_eq!(with(&mut world, "ticket").as_deref(), Some("ticket-attestation"));
        let other = with(&mut world, "other ticket");
        assert_eq!(other.is_none(), needed, "the other key, where it is listed: {other:?}");
        world.settle_and_check();
    }
}

#[test]
fn only_another_person_with_the_role_approves_this_order_and_plan() {
    let mut world = world(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.approvals = u32::from(rule.ticket_required));
    });
    let (session, challenge) = world.session();
    let now = world.time();
    let look = sealed(&world.desk.order("cache.clear", Mode::Plan, now), "a.kaya");
    let first = sealed(&dispatch(&look, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &crate::desk::submit(&look, &first));
    let plan = world.record_on(session, 1).unwrap().predicate.plan.unwrap();
    let until = now.plus(3000);
    let approval = move |order: &Envelope, by: &str| Approval {
        order: order.digest(),
        plan,
        person: by.parse().unwrap(),
        yes: true,
        not_after: until,
    };
    let bound = move |order: &mut Order| order.plan = Some(plan);
    type Change = fn(&mut Approval);
    let table: &[(&str, &str, Option<&str>, Change)] = &[
        ("m.ruiz", "m.ruiz", None, |_| {}),
        ("a.kaya", "a.kaya", Some("approval-required"), |_| {}),
        ("t.new", "t.new", Some("approval-required"), |_| {}),
        ("m.ruiz", "t.new", Some("approval-required"), |_| {}),
        ("m.ruiz", "m.ruiz", Some("approval-required"), |a| a.order = Digest([0; 32])),
        ("m.ruiz", "m.ruiz", Some("approval-required"), |a| a.plan = Digest([0; 32])),
        ("m.ruiz", "m.ruiz", Some("approval-required"), |a| a.not_after = a.not_after.minus(3000)),
        ("m.ruiz", "m.ruiz", Some("not-allowed"), |a| a.yes = false),
    ];
    for (person, by, code, change) in table {
        let got = reason(&mut world, bound, |order| {
            let mut said = approval(order, person);
            change(&mut said);
            (None, vec![sealed(&said, by)])
        });
        assert_eq!(got.as_deref(), *code, "{person} by {by}");
    }
    let twice = reason(&mut world, bound, |_| (None, vec![]));
    assert_eq!(twice.as_deref(), Some("approval-required"));
    world.settle_and_check();
}

/// A plan of `cache.clear` that this endpoint made and keeps.
pub(crate) fn planned(world: &mut World) -> Digest {
    let (session, challenge) = world.session();
    let now = world.time();
    let look = sealed(&world.desk.order("cache.clear", Mode::Plan, now), "a.kaya");
    let dispatch = sealed(&dispatch(&look, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &crate::desk::submit(&look, &dispatch));
    world.record_on(session, 1).unwrap().predicate.plan.unwrap()
}

/// E21: two papers of one person are one person.
#[test]
fn two_approvals_of_one_person_are_one() {
    let mut world = world(|policy| {
        policy.rules.iter_mut().for_each(|r| r.approvals = 2 * u32::from(r.ticket_required));
        policy.people[2].roles.push("lead".parse().unwrap());
    });
    let plan = planned(&mut world);
    let until = world.time().plus(3000);
    type Papers<'a> = &'a [(&'a str, u64)];
    let table: [(Papers<'_>, Option<&str>); 5] = [
        (&[("m.ruiz", 0)], Some("approval-required")),
        (&[("m.ruiz", 0), ("m.ruiz", 0)], Some("approval-required")),
        (&[("m.ruiz", 0), ("m.ruiz", 1)], Some("approval-required")),
        (&[("m.ruiz", 0), ("a.kaya", 0)], Some("approval-required")),
        (&[("m.ruiz", 0), ("t.new", 0)], None),
    ];
    for (papers, code) in table {
        let got = reason(
            &mut world,
            |order| order.plan = Some(plan),
            |order| {
                let paper = |(by, later): &(&str, u64)| {
                    let (person, order) = (by.parse().unwrap(), order.digest());
                    let not_after = until.plus(*later);
                    sealed(&Approval { order, plan, person, yes: true, not_after }, by)
                };
                (None, papers.iter().map(paper).collect())
            },
        );
        assert_eq!(got.as_deref(), code, "{papers:?}");
    }
    world.settle_and_check();
}

/// E21: an approval is of one order, before that has run and afterwards.
#[test]
fn an_approval_that_is_sent_with_another_order_approves_nothing() {
    let mut world = world(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.approvals = u32::from(rule.ticket_required));
    });
    let plan = planned(&mut world);
    let now = world.time();
    let order = |world: &mut World| {
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        order.plan = Some(plan);
        sealed(&order, "a.kaya")
    };
    let (first, second) = (order(&mut world), order(&mut world));
    let yes = |order: &Envelope| {
        let (person, order) = ("m.ruiz".parse().unwrap(), order.digest());
        sealed(&Approval { order, plan, person, yes: true, not_after: now.plus(3000) }, "m.ruiz")
    };
    let (of_first, of_second) = (yes(&first), yes(&second));
    let with = |world: &mut World, order: &Envelope, approvals: &[&Envelope]| {
        let (session, challenge) = world.session();
        let time = world.time();
        let dispatch = sealed(&dispatch(order, challenge, 1, time), "a.kaya");
        let ask = Ask::Submit {
            order: bytes(order),
            dispatch: bytes(&dispatch),
            attestation: None,
            approvals: approvals.iter().copied().map(bytes).collect(),
        };
        world.ask(session, 1, &ask);
        world.record_on(session, 1).unwrap().predicate.reason
    };
    let lacks = Some("approval-required".to_owned());
    assert_eq!(with(&mut world, &second, &[&of_first]), lacks, "before its order ran");
    assert_eq!(with(&mut world, &first, &[&of_first]), None);
    assert_eq!(with(&mut world, &second, &[&of_first, &of_first]), lacks, "and afterwards");
    assert_eq!(with(&mut world, &first, &[&of_first]).as_deref(), Some("already-run"));
    assert_eq!(with(&mut world, &second, &[&of_first, &of_second]), None, "its own");
    world.settle_and_check();
}

#[test]
fn what_is_withdrawn_approves_and_dispatches_nothing() {
    let mut world = world(|policy| {
        policy.rules.iter_mut().for_each(|rule| rule.approvals = u32::from(rule.ticket_required));
        policy.denied.people.push("m.ruiz".parse().unwrap());
        policy.denied.keys.push(key("made for one order").public_key());
    });
    let (session, challenge) = world.session();
    let now = world.time();
    let look = sealed(&world.desk.order("cache.clear", Mode::Plan, now), "a.kaya");
    let first = sealed(&dispatch(&look, challenge, 1, now), "a.kaya");
    world.ask(session, 1, &crate::desk::submit(&look, &first));
    let plan = world.record_on(session, 1).unwrap().predicate.plan.unwrap();
    let bound = |order: &mut Order| order.plan = Some(plan);
    let got = reason(&mut world, bound, |order| {
        let (person, order) = ("m.ruiz".parse().unwrap(), order.digest());
        let said = Approval { order, plan, person, yes: true, not_after: now.plus(3000) };
        (None, vec![sealed(&said, "m.ruiz")])
    });
    assert_eq!(got.as_deref(), Some("approval-required"));
    let (session, challenge) = world.session();
    let mut order = world.desk.order("cache.clear", Mode::Check, now);
    order.dispatch_key = key("made for one order").public_key();
    let order = sealed(&order, "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "made for one order");
    world.ask(session, 1, &crate::desk::submit(&order, &dispatch));
    let reason = world.record_on(session, 1).unwrap().predicate.reason;
    assert_eq!(reason.as_deref(), Some("signer-withdrawn"));
}

#[test]
fn policy_may_raise_a_permission_above_a_script() {
    let mut world = world(|policy| {
        policy.least_risk.insert("fs.remove".into(), Risk::Medium);
    });
    let got = reason(&mut world, |_| {}, |_| (None, vec![]));
    assert_eq!(got.as_deref(), Some("script-risk"));
}

#[test]
fn a_script_runs_only_where_it_is_made_for() {
    let mut world = World::new();
    for name in ["win.clear", "dir.unlock"] {
        let other = |order: &mut Order| {
            order.script.name = name.parse().unwrap();
            order.script.digest = Digest::of(&crate::desk::source(name));
        };
        let got = reason(&mut world, other, |_| (None, vec![]));
        assert_eq!(got.as_deref(), Some("platform"), "{name}");
    }
    assert!(world.spawns.is_empty());
}

#[test]
fn a_denied_key_stops_its_person() {
    let mut world = world(|policy| policy.denied.keys.push(key("a.kaya").public_key()));
    let got = reason(&mut world, |_| {}, |_| (None, vec![]));
    assert_eq!(got.as_deref(), Some("signer-withdrawn"));
}

#[test]
fn more_orders_in_a_minute_than_policy_allows_are_refused() {
    let mut world = world(|policy| policy.limits.orders_a_minute = 2);
    let (session, challenge) = world.session();
    let now = world.time();
    for (n, code) in [(1, None), (2, None), (3, Some("rate-limited"))] {
        let order = sealed(&world.desk.order("cache.clear", Mode::Check, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, u64::from(n), now), "a.kaya");
        world.ask(session, n, &crate::desk::submit(&order, &dispatch));
        assert_eq!(world.record_on(session, n).unwrap().predicate.reason.as_deref(), code);
    }
    assert_eq!(reason(&mut world, |_| {}, |_| (None, vec![])), None, "a minute later");
}

/// E23: the limit is each agent's own.
#[test]
fn a_hundred_orders_in_a_second_limit_the_agent_who_sends_them_and_nobody_else() {
    const ALLOWED: u32 = 60;
    let mut world = world(|policy| policy.limits.orders_a_minute = ALLOWED);
    let (session, challenge) = world.session();
    let now = world.time();
    let send = |world: &mut World, n: u32, agent: &str| {
        let mut order = world.desk.order("cache.clear", Mode::Check, now);
        order.agent = agent.parse().unwrap();
        order.dispatch_key = key(agent).public_key();
        let order = sealed(&order, agent);
        let dispatch = sealed(&dispatch(&order, challenge, n.into(), now), agent);
        world.ask(session, n, &crate::desk::submit(&order, &dispatch));
        match world.on(session, n).last() {
            Some(Answer::Stop { code: Stop::Rate }) => "not recorded".to_owned(),
            _ => world.record_on(session, n).unwrap().predicate.reason.unwrap_or_default(),
        }
    };
    for n in 1..=100 {
        let wanted = match n {
            ..=ALLOWED => "",
            n if n <= ALLOWED + protocol::limits::REFUSALS_A_MINUTE => "rate-limited",
            _ => "not recorded",
        };
        assert_eq!(send(&mut world, n, "a.kaya"), wanted, "{n}");
        world.now.mono_ms += 10;
    }
    assert_eq!(world.spawns.len() as u32, ALLOWED);
    assert_eq!(send(&mut world, 101, "m.ruiz"), "", "she sent one");
    assert_eq!(send(&mut world, 102, "a.kaya"), "not recorded", "who is limited still");
    world.settle_and_check();
}

#[test]
fn without_room_for_what_a_run_does_nothing_runs() {
    let mut world = World::new();
    world.feed(keeper::core::Event::Reserve(false));
    let got = reason(&mut world, |_| {}, |_| (None, vec![]));
    assert_eq!(got.as_deref(), Some("no-reserve"));
    world.feed(keeper::core::Event::Reserve(true));
    assert_eq!(reason(&mut world, |_| {}, |_| (None, vec![])), None);
}

#[test]
fn a_refused_update_changes_nothing() {
    let mut world = World::new();
    let before = world.core.index().head();
    let good = world.desk.files();
    let now = world.time().plus(60);
    let newer = world.desk.publish(|policy| policy.limits.orders_a_minute = 7, now);
    world.wait(60_000);
    type Spoil = fn(&str, &mut Vec<u8>);
    let spoil: &[(&str, Spoil)] = &[
        ("timestamp.json", |_, bytes| bytes[40] ^= 1),
        ("policy", |_, bytes| bytes.push(b'#')),
        ("snapshot", |_, bytes| bytes.truncate(10)),
    ];
    for (part, change) in spoil {
        let mut files = newer.clone();
        for (name, bytes) in &mut files.0 {
            if name.contains(part) && !good.0.contains_key(name) || name == part {
                change(name, bytes);
            }
        }
        let (session, _) = world.session();
        update(&mut world, session, 1, &files);
        let refused =
            world.on(session, 1).into_iter().any(|a| matches!(a, Answer::CatalogueRefused { .. }));
        assert!(refused, "{part}: {:?}", world.on(session, 1));
    }
    let (session, _) = world.session();
    world.full = true;
    update(&mut world, session, 1, &newer);
    let full = world.on(session, 1).into_iter().next().cloned();
    assert!(matches!(&full, Some(Answer::CatalogueRefused { code, .. }) if code == "store"));
    world.full = false;
    let (session, _) = world.session();
    update(&mut world, session, 1, &newer);
    let last = world.on(session, 1).into_iter().next().cloned();
    assert!(matches!(last, Some(Answer::CatalogueTaken { .. })), "{last:?}");
    // And never back again.
    let (session, _) = world.session();
    update(&mut world, session, 1, &good);
    let back = world.on(session, 1).into_iter().next().cloned();
    assert!(
        matches!(&back, Some(Answer::CatalogueRefused { code, .. }) if code == "rollback"),
        "{back:?}"
    );
    assert_eq!(world.core.index().head(), before);
}

#[test]
fn parts_of_an_update_out_of_place_are_refused() {
    let mut world = World::new();
    let part = |name: &str, last: bool| Ask::CatalogueFile {
        name: name.into(),
        part: vec![1].into(),
        last,
    };
    let table: &[&[Ask]] = &[
        &[part("../x", true)],
        &[part("a.json", false), part("b.json", true)],
        &[part("a.json", true), part("a.json", true)],
        &[part("a.json", false), Ask::CatalogueEnd],
        &[Ask::CatalogueEnd],
    ];
    for asks in table {
        let (session, _) = world.session();
        for ask in *asks {
            world.ask(session, 1, ask);
        }
        let last = world.on(session, 1).into_iter().next().cloned();
        assert!(
            matches!(last, Some(Answer::CatalogueRefused { .. } | Answer::Stop { .. })),
            "{asks:?}: {last:?}"
        );
        world.gate(hatch::messages::FromGate::Closed { session });
    }
    // Nobody else's update waits for one that stalled, and nobody is overtaken before that.
    let (first, _) = world.session();
    world.ask(first, 1, &part("a.json", false));
    let (second, _) = world.session();
    world.ask(second, 1, &part("a.json", false));
    assert!(matches!(world.on(second, 1)[..], [Answer::Stop { .. }]));
    world.wait(31_000);
    world.ask(second, 2, &part("a.json", false));
    assert!(world.on(second, 2).is_empty());
}

#[test]
fn what_a_new_policy_withdraws_is_ended_and_does_not_start() {
    type Change = fn(&mut PolicyFile);
    let changes: [(&str, Change); 3] = [
        ("a.kaya was withdrawn", |p| p.denied.people.push("a.kaya".parse().unwrap())),
        ("a.kaya was withdrawn", |p| p.denied.keys.push(key("a.kaya").public_key())),
        ("cache.clear was withdrawn", |p| {
            p.denied.scripts.push(Digest::of(&crate::desk::source("cache.clear")));
        }),
    ];
    for (why, change) in changes {
        let mut world = World::new();
        world.manner = crate::world::Manner::Hangs;
        world.wait(20_000);
        let (session, challenge) = world.session();
        let now = world.time();
        for number in 1..=2 {
            let order = world.desk.order("cache.clear", Mode::Fix, now);
            let order = sealed(&order, "a.kaya");
            let dispatch = sealed(&dispatch(&order, challenge, number.into(), now), "a.kaya");
            world.ask(session, number, &crate::desk::submit(&order, &dispatch));
        }
        assert_eq!((world.core.active(), world.started()), (2, 1), "one runs, one waits");
        let files = world.desk.publish(change, now);
        let (other, _) = world.session();
        update(&mut world, other, 1, &files);
        world.wait(3_000);
        for stream in [1, 2] {
            let record = world.record_on(session, stream).unwrap().predicate;
            assert_eq!(record.outcome, protocol::Outcome::Cancelled, "{record:?}");
            assert!(record.summary.contains(why), "{record:?}");
        }
        assert_eq!(world.started(), 1);
        world.settle_and_check();
    }
}

#[test]
fn a_rule_counts_in_its_hours_and_within_its_bounds() {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let today = (usize::try_from(crate::desk::START.0 / 86_400).unwrap() + 3) % 7;
    let on = |day: usize| format!("{} 00:00-24:00", days[day % 7]).parse().unwrap();
    for (day, wanted) in [(today, None), (today + 1, Some("not-allowed"))] {
        let mut world = world(|policy| {
            policy.rules.iter_mut().for_each(|rule| rule.hours = vec![on(day)]);
        });
        let got = reason(&mut world, |_| {}, |_| (None, vec![]));
        assert_eq!(got.as_deref(), wanted, "day {day}");
    }
    // A preset is a value as any other.
    for (only, given, wanted) in [
        ("jo", None, None),
        ("sam", None, Some("parameter-range")),
        ("sam", Some("sam"), None),
        ("jo", Some("sam"), Some("parameter-range")),
    ] {
        let mut world = world(|policy| {
            let bound = policy::Bound { only: vec![only.into()], ..policy::Bound::default() };
            policy.rules.iter_mut().for_each(|rule| {
                rule.parameters.insert("user".into(), bound.clone());
            });
        });
        let change = |order: &mut Order| {
            let given = given.map(|text| protocol::ParamValue::Text(text.into()));
            order.parameters.extend(given.map(|value| ("user".to_owned(), value)));
        };
        let got = reason(&mut world, change, |_| (None, vec![]));
        assert_eq!(got.as_deref(), wanted, "{only} {given:?}");
    }
}
