//! A desk's session: many consoles behind one line, and renewals of the endpoint's certificate.

use hatch::messages::{FromGate, PeerRole};
use protocol::documents::Hello;
use protocol::frames::{Answer, Ask, Stop};
use protocol::{Bytes, Digest, EndpointId, Envelope, Mode, Time, limits};

use crate::desk::{HERE, START, dispatch, leaf, recall, sealed, submit};
use crate::world::World;

const DAY: u64 = 86_400;

/// Asks for a challenge on a stream of its own.
fn challenge(world: &mut World, session: u32, stream: u32) -> Digest {
    world.ask(session, stream, &Ask::Challenge);
    let Some(Answer::Challenge { hello }) = world.on(session, stream).pop() else {
        panic!("no challenge")
    };
    let hello: Hello = trust::seal::peek(&Envelope::read(&hello.0).unwrap()).unwrap();
    hello.challenge
}

/// Submits a look under this challenge; what was answered first.
fn look(world: &mut World, session: u32, stream: u32, challenge: Digest) -> Option<Answer> {
    let now = world.time();
    let order = sealed(&world.desk.order("cache.clear", Mode::Check, now), "a.kaya");
    let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
    world.ask(session, stream, &submit(&order, &dispatch));
    world.on(session, stream).first().map(|answer| (*answer).clone())
}

fn is_accepted(answer: Option<Answer>) -> bool {
    matches!(answer, Some(Answer::Event { event: protocol::frames::Event::Accepted { .. } }))
}

#[test]
fn many_consoles_have_their_own_challenges_on_one_line() {
    let mut world = World::new();
    let (session, first) = world.session_as(PeerRole::Desk);
    let most = u32::try_from(limits::DESK_CHALLENGES_MAX).unwrap();
    let asked: Vec<Digest> =
        (1..most).map(|stream| challenge(&mut world, session, stream)).collect();
    // The oldest of as many as may live is still good, and the newest.
    assert!(is_accepted(look(&mut world, session, 1000, first)));
    assert!(is_accepted(look(&mut world, session, 1001, *asked.last().unwrap())));
    challenge(&mut world, session, 1002);
    let pushed_out = look(&mut world, session, 1003, first);
    assert!(!is_accepted(pushed_out));
    // Each lives its minute.
    world.wait(61_000);
    assert!(!is_accepted(look(&mut world, session, 1004, asked[10])));
    world.settle_and_check();
}

#[test]
fn a_consoles_own_session_has_few_challenges() {
    let mut world = World::new();
    let (session, first) = world.session();
    for stream in 1..4 {
        challenge(&mut world, session, stream);
    }
    // Four live: that of the hello is the oldest of them, and dies with the next one.
    let mut other = World::new();
    let (again, oldest) = other.session();
    for stream in 1..=4 {
        challenge(&mut other, again, stream);
    }
    assert!(is_accepted(look(&mut world, session, 10, first)));
    assert!(!is_accepted(look(&mut other, again, 10, oldest)));
    world.settle_and_check();
}

#[test]
fn a_challenge_on_its_own_stream_ends_it_and_on_the_first_does_not() {
    let mut world = World::new();
    let (session, _) = world.session_as(PeerRole::Desk);
    for (stream, ends) in [(0, false), (7, true)] {
        world.finished.clear();
        challenge(&mut world, session, stream);
        assert_eq!(!world.finished.is_empty(), ends, "{stream}");
    }
}

fn bad(n: u32) -> Ask {
    recall(Digest::of(&n.to_be_bytes()), "nobody", START)
}

#[test]
fn bad_seals_close_a_console_and_only_slow_a_desk() {
    let mut world = World::new();
    let (console, _) = world.session();
    (1..=8).for_each(|n| world.ask(console, n, &bad(n)));
    assert_eq!(world.closed, [(console, Stop::Rate)]);
    let (desk, _) = world.session_as(PeerRole::Desk);
    let most = limits::DESK_BAD_SEALS_A_MINUTE;
    for n in 1..=most {
        world.ask(desk, n, &bad(n));
        assert_eq!(world.on(desk, n), [&Answer::Stop { code: Stop::Seal }]);
    }
    world.ask(desk, 900, &bad(900));
    assert_eq!(world.on(desk, 900), [&Answer::Stop { code: Stop::Rate }]);
    assert_eq!(world.closed, [(console, Stop::Rate)]);
    // A minute later it is heard again, and so are its good consoles.
    world.wait(60_000);
    world.ask(desk, 901, &bad(901));
    assert_eq!(world.on(desk, 901), [&Answer::Stop { code: Stop::Seal }]);
    let fresh = challenge(&mut world, desk, 902);
    assert!(is_accepted(look(&mut world, desk, 903, fresh)));
    world.settle_and_check();
}

fn renew(world: &mut World, session: u32, stream: u32, leaf: Bytes) -> Answer {
    world.ask(session, stream, &Ask::Certificate { leaf });
    world.on(session, stream).pop().expect("an answer").clone()
}

fn code(answer: Answer) -> String {
    let Answer::CertificateRefused { code, sentence } = answer else { panic!("{answer:?}") };
    assert!(!sentence.is_empty());
    code
}

#[test]
fn a_renewed_certificate_is_durable_before_it_is_shown() {
    let mut world = World::new();
    let (session, _) = world.session_as(PeerRole::Desk);
    let end = |days: u64| START.plus(days * DAY);
    let taken = |days| Answer::CertificateTaken { not_after: end(days) };
    let first = leaf("tls", HERE, end(90));
    assert_eq!(renew(&mut world, session, 1, first.clone()), taken(90));
    assert_eq!(
        (world.certificate.as_ref(), world.shown.as_slice()),
        (Some(&first), &[first.clone()][..])
    );
    // The very same again, or an older one, is no renewal.
    assert_eq!(code(renew(&mut world, session, 2, first.clone())), "not-later");
    assert_eq!(code(renew(&mut world, session, 3, leaf("tls", HERE, end(60)))), "not-later");
    assert_eq!(renew(&mut world, session, 4, leaf("tls", HERE, end(91))), taken(91));
    assert_eq!(world.shown.len(), 2);
    assert!(world.closed.is_empty());
}

#[test]
fn another_certificate_is_refused_and_the_old_one_stays() {
    let mut world = World::new();
    let (session, _) = world.session_as(PeerRole::Desk);
    let end = START.plus(90 * DAY);
    let cases = [
        (leaf("other", HERE, end), "key"),
        (leaf("tls", EndpointId([5; 16]), end), "name"),
        (leaf("tls", HERE, START.plus(DAY)), "not-later"),
        (Bytes(Vec::new()), "profile"),
        (Bytes(vec![0x30; 9000]), "profile"),
    ];
    for (stream, (der, word)) in (1..).zip(cases) {
        assert_eq!(code(renew(&mut world, session, stream, der)), word);
    }
    world.full = true;
    assert_eq!(code(renew(&mut world, session, 20, leaf("tls", HERE, end))), "store");
    assert_eq!((world.certificate.clone(), world.shown.len()), (None, 0));
    world.full = false;
    let taken = Answer::CertificateTaken { not_after: end };
    assert_eq!(renew(&mut world, session, 21, leaf("tls", HERE, end)), taken);
}

#[test]
fn a_withdrawn_serial_is_no_renewal() {
    let mut world = World::new();
    let (session, _) = world.session_as(PeerRole::Desk);
    let der = leaf("tls", HERE, START.plus(90 * DAY));
    let serial = certs::read(&der.0).unwrap().serial;
    let hex: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    let now = Time(START.0 + 60);
    let files = world.desk.publish(|policy| policy.denied.serials.push(hex), now);
    world.wait(61_000);
    crate::kill_points::update(&mut world, session, 1, &files);
    assert_eq!(code(renew(&mut world, session, 2, der)), "denied");
}

/// For people: nothing is decided by them, and nothing asked twice.
#[test]
fn the_gates_news_of_its_desks_change_nothing() {
    let mut world = World::new();
    let (session, _) = world.session_as(PeerRole::Desk);
    let (desk, fault) = ("desk:7434".to_owned(), Some("silent".to_owned()));
    world.gate(FromGate::Desk { desk, fault, again: 3 });
    world.gate(FromGate::LookUp);
    assert_eq!(world.restarts_of_gate, 0);
    challenge(&mut world, session, 1);
}
