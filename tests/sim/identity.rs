//! Who is calling: the desk's word that it checked counts for the order it was made for and for no other, and
//! stands in the record whatever becomes of the run.

use policy::PolicyFile;
use protocol::documents::{
    CheckedBy, ContactKind, Identified, IdentityCheck, Order, Record, TicketAttestation,
    TicketState,
};
use protocol::frames::Ask;
use protocol::{EndpointId, Mode, Time, limits};
use trust::Signer as _;

use crate::desk::{Desk, HERE, bytes, dispatch, key, sealed};
use crate::world::{Manner, World};

/// The word of a check an hour ago less a minute, for this order.
fn check(now: Time) -> IdentityCheck {
    IdentityCheck {
        by: CheckedBy::Code,
        contact: ContactKind::Mail,
        masked: "j…@example.com".to_owned(),
        on_file_since: now.minus(90 * 86_400),
        person: "jo.meyer".to_owned(),
        agent: "a.kaya".parse().unwrap(),
        script: "cache.clear".parse().unwrap(),
        at: now.minus(limits::IDENTITY_CHECK_SECONDS - 60),
        endpoint: Some(HERE),
    }
}

fn attestation(now: Time, identity_checked: Option<IdentityCheck>) -> TicketAttestation {
    TicketAttestation {
        ticket: "1482".parse().unwrap(),
        assignee: Some("a.kaya".parse().unwrap()),
        endpoints: vec![HERE],
        state: TicketState::Open,
        issued: now,
        not_after: now.plus(600),
        identity_checked,
    }
}

type Change = fn(&mut Order, &mut TicketAttestation);

fn of(said: &mut TicketAttestation) -> &mut IdentityCheck {
    said.identity_checked.as_mut().unwrap()
}

/// Submits an order that says "by a code", with the desk's word.
fn submit(world: &mut World, signer: &str, change: Change) -> u32 {
    world.wait(61_000);
    let (session, challenge) = world.session();
    let now = world.time();
    let mut order = world.desk.order("cache.clear", Mode::Fix, now);
    order.identified = Some(Identified::Code);
    let mut said = attestation(now, Some(check(now)));
    change(&mut order, &mut said);
    let order = sealed(&order, "a.kaya");
    let ask = Ask::Submit {
        order: bytes(&order),
        dispatch: bytes(&sealed(&dispatch(&order, challenge, 1, now), "a.kaya")),
        attestation: Some(bytes(&sealed(&said, signer))),
        approvals: vec![],
    };
    world.ask(session, 1, &ask);
    session
}

fn record(world: &mut World, signer: &str, change: Change) -> Record {
    let session = submit(world, signer, change);
    world.record_on(session, 1).unwrap()
}

fn demanding() -> World {
    World::of(Desk::with(|policy: &mut PolicyFile| {
        policy.rules.iter_mut().for_each(|rule| rule.identity_checked = rule.ticket_required);
    }))
}

#[test]
fn a_check_counts_for_its_own_order_and_no_other() {
    let bad: &[(&str, Change)] = &[
        ("another agent's", |_, said| of(said).agent = "m.ruiz".parse().unwrap()),
        ("another script's", |_, said| of(said).script = "service.restart".parse().unwrap()),
        ("another way than the order says", |order, _| {
            order.identified = Some(Identified::Callback);
        }),
        ("the order says none", |order, _| order.identified = None),
        ("another machine's", |_, said| of(said).endpoint = Some(EndpointId([9; 16]))),
        ("over an hour old and an order that says it is older", |order, said| {
            of(said).at = of(said).at.minus(120);
            order.not_before = order.not_before.minus(600);
        }),
        ("over an hour old", |_, said| of(said).at = of(said).at.minus(61)),
        ("made after the order", |order, said| of(said).at = order.not_before.plus(121)),
        ("made after it was attested", |_, said| of(said).at = said.issued.plus(1)),
        ("too many words", |_, said| of(said).masked = "x".repeat(261)),
        ("too long a name", |_, said| of(said).person = "x".repeat(201)),
        ("another ticket's", |_, said| said.ticket = "1483".parse().unwrap()),
    ];
    for mut world in [World::new(), demanding()] {
        for (what, change) in bad {
            let record = record(&mut world, "ticket", *change).predicate;
            assert_eq!(record.reason.as_deref(), Some("ticket-attestation"), "{what}");
            assert_eq!(record.identity_checked, None, "{what}");
        }
        // The desk's other keys say nothing, nor does the agent's own.
        for signer in ["a.kaya", "online"] {
            let record = record(&mut world, signer, |_, _| {}).predicate;
            assert_eq!(record.reason.as_deref(), Some("ticket-attestation"), "{signer}");
        }
        let good = record(&mut world, "ticket", |_, _| {}).predicate;
        assert_eq!((good.reason, good.identified), (None, Some(Identified::Code)));
        let said = good.identity_checked.unwrap();
        assert_eq!((said.person.as_str(), said.masked.as_str()), ("jo.meyer", "j…@example.com"));
        world.settle_and_check();
    }
}

#[test]
fn what_waited_rests_on_the_check_of_the_hour_before_it_and_what_is_live_does_not() {
    for (signer, taken) in [("made for one order", true), ("a.kaya", false)] {
        let mut world = World::new();
        let (session, challenge) = world.session();
        let now = world.time();
        let mut said = attestation(now, Some(check(now)));
        of(&mut said).at = now.minus(3 * 3600);
        let mut order = world.desk.order("cache.clear", Mode::Fix, now);
        order.identified = Some(Identified::Code);
        (order.not_before, order.dispatch_key) =
            (now.minus(2 * 3600 + 60), key(signer).public_key());
        let order = sealed(&order, "a.kaya");
        let ask = Ask::Submit {
            order: bytes(&order),
            dispatch: bytes(&sealed(&dispatch(&order, challenge, 1, now), signer)),
            attestation: Some(bytes(&sealed(&said, "ticket"))),
            approvals: vec![],
        };
        world.ask(session, 1, &ask);
        let record = world.record_on(session, 1).unwrap().predicate;
        assert_eq!(record.identity_checked.is_some(), taken, "{signer}: {:?}", record.reason);
        let stale = record.reason.as_deref() == Some("ticket-attestation");
        assert_eq!(stale, !taken, "{signer}: {:?}", record.reason);
    }
}

#[test]
fn a_rule_that_wants_the_check_takes_no_statement_for_it() {
    for (mut world, wants) in [(World::new(), false), (demanding(), true)] {
        let without: &[Change] = &[
            |_, said| said.identity_checked = None,
            |order, said| {
                said.identity_checked = None;
                order.identified = Some(Identified::Callback);
            },
            |order, said| {
                said.identity_checked = None;
                order.identified = None;
            },
        ];
        for change in without {
            let record = record(&mut world, "ticket", *change).predicate;
            assert_eq!(record.reason.as_deref(), wants.then_some("identity-check-required"));
            assert_eq!(record.identity_checked, None);
        }
        world.settle_and_check();
    }
}

#[test]
fn a_run_that_was_cut_off_keeps_what_was_checked() {
    let mut world = demanding();
    world.manner = Manner::Hangs;
    submit(&mut world, "ticket", |_, _| {});
    assert_eq!((world.started(), world.records.len()), (1, 0));
    world.restart();
    world.feed(keeper::core::Event::Tick);
    let cut = world.records.last().unwrap().predicate.clone();
    assert_eq!(cut.outcome, protocol::Outcome::Interrupted);
    assert_eq!(cut.identity_checked.unwrap().agent.as_str(), "a.kaya");
    world.settle_and_check();
}
