use protocol::documents::{Decision, Record, SealedSecret, SessionKey};
use protocol::{Digest, EndpointId, Envelope, Refusal};
use trust::{Signer as _, SigningKey};

use crate::fixture::{Fixture, NOW, bytes, papers, sealed, versions};
use crate::*;

/// The record with a change made before the endpoint signs it.
fn signed_with(f: &Fixture, change: impl FnOnce(&mut Record)) -> Vec<u8> {
    let mut record = f.record(&f.order());
    change(&mut record);
    bytes(&sealed(&record, &f.endpoint))
}

/// The words of the one line that is bad.
fn only_fault(report: &Report) -> (About, String) {
    let bad: Vec<_> = report.lines.iter().filter(|l| l.standing == Standing::Bad).collect();
    assert_eq!(bad.len(), 1, "{report:#?}");
    assert!(!report.verified);
    (bad[0].about, bad[0].words.clone())
}

#[test]
fn a_good_run_verifies_line_by_line() {
    let f = Fixture::default();
    let report = verify_record(&papers(&f), &f.anchors());
    assert!(report.verified, "{report:#?}");
    assert!(report.lines.iter().all(|line| line.standing == Standing::Good), "{report:#?}");
    assert_eq!(report.verdict(), "VERIFIED.");
    let run = report.run.unwrap();
    assert_eq!(verify_run(&run, &papers(&f), &f.anchors()), report);
    let other = verify_run(&protocol::RunId([1; 16]), &papers(&f), &f.anchors());
    assert!(only_fault(&other).1.starts_with("it is not that of run"), "{other:#?}");
    let about: Vec<_> = report.lines.iter().map(|l| l.about.word()).collect();
    assert_eq!(
        about,
        ["record", "card", "order", "script", "dispatch", "effects", "chain", "catalogue"]
    );
}

#[test]
fn every_altered_paper_is_named_and_the_others_stay_good() {
    let f = Fixture::default();
    // One byte of the record's payload: still JSON, still a record, another number of files.
    let mut p = papers(&f);
    let mut envelope = Envelope::read(&p.record).unwrap();
    let text = String::from_utf8(envelope.payload.0.clone()).unwrap();
    envelope.payload.0 = text.replace("\"done\":214", "\"done\":215").into_bytes();
    p.record = bytes(&envelope);
    let report = verify_record(&p, &f.anchors());
    let (about, words) = only_fault(&report);
    assert_eq!((about, words.as_str()), (About::Record, "it is not what lt-4411 signed"));
    assert_eq!(
        report.verdict(),
        "NOT VERIFIED: record: it is not what lt-4411 signed. Everything else is good."
    );

    let mut p = papers(&f);
    p.effects.as_mut().unwrap()[10] ^= 1;
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!((about, words.as_str()), (About::Effects, "the file was altered"));

    let mut p = papers(&f);
    p.effects.as_mut().unwrap().extend(b"{\"more\":1}\n");
    let (_, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(words, "the file has 3 lines, the endpoint signed 2");

    let mut p = papers(&f);
    let mut other = f.order();
    other.reason = "another".to_owned();
    p.order = Some(bytes(&sealed(&other, &f.agent)));
    p.dispatch = None;
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(
        (about, words.as_str()),
        (About::Order, "it is not the order that the record names")
    );
}

#[test]
fn a_sealed_secret_is_the_one_that_the_record_names() {
    let f = Fixture::default();
    let (sealed, until) = (b"sealed".to_vec(), NOW.plus(3600));
    let named = SealedSecret { handle: 1, sealed: Digest::of(&sealed), not_after: until };
    let mut p = papers(&f);
    p.record = signed_with(&f, |record| record.predicate.secrets = vec![named]);
    let line = |p: &Papers| {
        let report = verify_record(p, &f.anchors());
        let line = report.lines.iter().find(|line| line.about == About::Secret).cloned();
        (report.verified, line.map(|line| line.standing))
    };
    assert_eq!(line(&p), (true, Some(Standing::Absent)), "in an export it is not");
    p.escrow = Some((sealed.clone(), until));
    assert_eq!(line(&p), (true, Some(Standing::Good)));
    for other in [(b"swapped".to_vec(), until), (sealed.clone(), until.plus(1))] {
        p.escrow = Some(other);
        let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
        assert_eq!(about, About::Secret);
        assert_eq!(words, "the sealed bytes are not those that the record names");
    }
    let mut p = papers(&f);
    assert_eq!(line(&p), (true, None));
    p.escrow = Some((sealed, until));
    assert_eq!(line(&p), (false, Some(Standing::Bad)), "a record without secrets names none");
}

#[test]
fn a_card_that_no_enroller_signed_proves_nothing() {
    let f = Fixture::default();
    let thief = SigningKey::from_seed([99; 32]);
    let mut p = papers(&f);
    // The thief makes a card with his own record key and signs both.
    let mut card = f.card();
    card.record_key = trust::Signer::public_key(&thief);
    p.card = Some(bytes(&sealed(&card, &thief)));
    p.record = bytes(&sealed(&f.record(&f.order()), &thief));
    let report = verify_record(&p, &f.anchors());
    let (about, words) = only_fault(&report);
    assert_eq!(about, About::Card);
    assert!(words.starts_with("no enroller of the policy of Demo Ltd"), "{words}");
    // Without any card the record's key is not known: not verified, though nothing is wrong.
    p.card = None;
    let report = verify_record(&p, &f.anchors());
    assert!(!report.verified);
    assert!(report.verdict().starts_with("NOT VERIFIED: record: its key is not known"));
}

#[test]
fn another_endpoints_card_or_an_expired_one_does_not_fit() {
    let f = Fixture::default();
    let mut p = papers(&f);
    let mut card = f.card();
    card.endpoint = EndpointId([1; 16]);
    p.card = Some(bytes(&sealed(&card, &f.enroller)));
    let (_, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(words, "it is not the card that the record names");

    let mut card = f.card();
    card.not_after = NOW.minus(500);
    let digest = sealed(&card, &f.enroller).digest();
    p.card = Some(bytes(&sealed(&card, &f.enroller)));
    p.record = signed_with(&f, |r| r.predicate.endpoint.card = digest);
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Card);
    assert!(words.starts_with("not valid at 2026-"), "{words}");
}

#[test]
fn an_order_that_the_agent_did_not_sign_is_bad() {
    let f = Fixture::default();
    let mut p = papers(&f);
    let thief = SigningKey::from_seed([99; 32]);
    // Same payload, so the record's subject still fits; another signature.
    p.order = Some(bytes(&sealed(&f.order(), &thief)));
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Order);
    assert!(words.starts_with("a.kaya did not sign it"), "{words}");
    // An agent whom policy does not know is no agent.
    let mut anchors = f.anchors();
    anchors.agents.clear();
    let (about, words) = only_fault(&verify_record(&papers(&f), &anchors));
    assert_eq!(about, About::Order);
    assert_eq!(words, "a.kaya is not in the policy of Demo Ltd, version 3");
}

/// The papers of a run whose order a session key signed, under this paper of a.kaya's.
fn lent(f: &Fixture, change: impl FnOnce(&mut SessionKey)) -> Papers {
    let key = SigningKey::from_seed([77; 32]);
    let mut paper = SessionKey {
        person: "a.kaya".parse().unwrap(),
        key: key.public_key(),
        risk: protocol::Risk::Medium,
        machine: None,
        not_before: NOW.minus(3600),
        not_after: NOW.plus(4 * 3600),
    };
    change(&mut paper);
    let mut order = f.order();
    order.dispatch_key = key.public_key();
    order.session_key = Some(sealed(&paper, &f.agent));
    let signed = sealed(&order, &key);
    Papers {
        record: bytes(&sealed(&f.record(&order), &f.endpoint)),
        order: Some(bytes(&signed)),
        dispatch: None,
        ..papers(f)
    }
}

#[test]
fn an_order_under_a_session_key_is_its_persons_as_long_as_the_paper_says() {
    let f = Fixture::default();
    let good = verify_record(&lent(&f, |_| {}), &f.anchors());
    assert!(good.verified, "{good:#?}");
    assert!(good.lines[2].words.contains("by a session key until 2026-"), "{good:#?}");
    type Change = fn(&mut SessionKey);
    let bad: [(Change, &str); 4] = [
        (|paper| paper.not_after = NOW.plus(3599), "what it signed would outlive it"),
        (|paper| paper.not_before = NOW.minus(59), "it was not good yet"),
        (|paper| paper.not_before = NOW.minus(9 * 3600), "it lives longer than allowed"),
        (|paper| paper.person = "m.ruiz".parse().unwrap(), "its session key is another person's"),
    ];
    for (change, why) in bad {
        let (about, words) = only_fault(&verify_record(&lent(&f, change), &f.anchors()));
        assert_eq!(about, About::Order);
        assert!(words.contains(why), "{words}");
    }
    // Denied in the policy that decided.
    let mut anchors = f.anchors();
    anchors.denied_keys = vec![SigningKey::from_seed([77; 32]).public_key()];
    let (_, words) = only_fault(&verify_record(&lent(&f, |_| {}), &anchors));
    assert!(words.ends_with("it was withdrawn already when this was decided"), "{words}");
    // Handed over as a file of keys it says the same.
    let handed = Anchors::from_json(&anchors.to_json(NOW), "m.ruiz").unwrap();
    assert_eq!(handed.denied_keys, anchors.denied_keys);
}

/// What is withdrawn in the very policy that decided was withdrawn already.
#[test]
fn who_was_withdrawn_when_it_was_decided_proves_nothing() {
    let f = Fixture::default();
    let mut anchors = f.anchors();
    anchors.agents.values_mut().for_each(|a| a.withdrawn = true);
    let (about, words) = only_fault(&verify_record(&papers(&f), &anchors));
    assert_eq!(about, About::Order);
    assert!(words.ends_with("it was withdrawn already when this was decided"), "{words}");
    let mut anchors = f.anchors();
    anchors.agents.values_mut().for_each(|a| a.until = Some(NOW.minus(1)));
    assert_eq!(only_fault(&verify_record(&papers(&f), &anchors)).0, About::Order);
    let mut anchors = f.anchors();
    anchors.denied_cards = vec![7];
    let report = verify_record(&papers(&f), &anchors);
    assert!(report.fault.as_ref().unwrap().starts_with("card: lt-4411"), "{report:?}");
    let mut anchors = f.anchors();
    anchors.enrollers[0].withdrawn = true;
    assert!(!verify_record(&papers(&f), &anchors).verified);
    let mut anchors = f.anchors();
    anchors.scripts.as_mut().unwrap().clear();
    let (about, words) = only_fault(&verify_record(&papers(&f), &anchors));
    assert_eq!(about, About::Script);
    assert!(words.ends_with("the catalogue of then did not list it"), "{words}");
    // A refusal for that very reason is a good record.
    let mut anchors = f.anchors();
    anchors.agents.values_mut().for_each(|a| a.withdrawn = true);
    let mut p = papers(&f);
    p.record = signed_with(&f, |r| {
        r.predicate.outcome = protocol::Outcome::Refused;
        r.predicate.decision = Decision::Refuse { refusal: Refusal::RateLimited };
    });
    let report = verify_record(&p, &anchors);
    assert!(report.verified, "{report:#?}");
    assert!(report.lines[2].words.ends_with("; withdrawn already then"), "{report:#?}");
}

#[test]
fn where_the_catalogue_of_then_is_not_kept_the_report_says_so() {
    let f = Fixture::default();
    let mut anchors = f.anchors();
    anchors.versions.as_mut().unwrap().policy += 1;
    anchors.agents.values_mut().for_each(|a| a.withdrawn = true);
    anchors.scripts.as_mut().unwrap().clear();
    let report = verify_record(&papers(&f), &anchors);
    assert!(report.verified, "{report:#?}");
    let words = |about| report.lines.iter().find(|l| l.about == about).unwrap();
    let order = words(About::Order);
    let suffix = "; withdrawn today, and what was in force then is not kept here";
    assert!(order.words.ends_with(suffix), "{order:?}");
    let script = words(About::Script);
    assert_eq!(script.standing, Standing::Absent);
    assert!(script.words.ends_with("that it was vetted is not proven"), "{script:?}");
    let catalogue = words(About::Catalogue);
    assert!(catalogue.words.ends_with("not kept here, judged by policy 4"), "{catalogue:?}");
}

#[test]
fn without_its_order_it_is_not_proven_who_ordered_a_run() {
    let f = Fixture::default();
    let p = Papers { order: None, dispatch: None, ..papers(&f) };
    let report = verify_record(&p, &f.anchors());
    assert!(!report.verified);
    assert_eq!(
        report.verdict(),
        "NOT VERIFIED: order: the order is not here, so who ordered this is not proven; the record \
         names its digest only."
    );
    assert!(report.lines.iter().all(|line| line.standing != Standing::Bad), "{report:#?}");
}

#[test]
fn a_record_that_says_other_things_than_its_order_is_bad() {
    let f = Fixture::default();
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 5] = [
        ("identity check", |r| r.predicate.identity_checked = Some(crate::fixture::checked())),
        ("ticket", |r| r.predicate.ticket = None),
        ("mode", |r| r.predicate.mode = protocol::Mode::Check),
        ("consent", |r| r.predicate.consent = None),
        ("identity statement", |r| {
            r.predicate.identified = Some(protocol::documents::Identified::IdCard);
        }),
    ];
    for (what, change) in changes {
        let mut p = papers(&f);
        p.record = signed_with(&f, change);
        let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
        assert_eq!(about, About::Order);
        assert_eq!(words, format!("order and record disagree about the {what}"));
    }
}

#[test]
fn neighbours_must_fit() {
    let f = Fixture::default();
    let first = f.record(&f.order());
    let first_sealed = sealed(&first, &f.endpoint);
    let second = |previous: Digest| {
        signed_with(&f, |r| {
            r.predicate.counter = 2;
            r.predicate.previous = previous;
        })
    };
    let mut p = papers(&f);
    p.after = Some(second(first_sealed.digest()));
    assert!(verify_record(&p, &f.anchors()).verified);
    p.after = Some(second(Digest([1; 32])));
    let (about, _) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Chain);
    // The second with the wrong one before it.
    let mut p = papers(&f);
    p.record = second(first_sealed.digest());
    p.before = Some(bytes(&first_sealed));
    assert!(verify_record(&p, &f.anchors()).verified);
    p.before = Some(second(Digest([1; 32])));
    let (about, _) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Chain);
    // A first record must name the epoch.
    let mut p = papers(&f);
    p.record = signed_with(&f, |r| r.predicate.previous = Digest([1; 32]));
    let (about, _) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Chain);
}

#[test]
fn a_catalogue_that_was_never_published_is_bad() {
    let f = Fixture::default();
    let mut p = papers(&f);
    p.record = signed_with(&f, |r| r.predicate.catalogue.policy = 9);
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!(about, About::Catalogue);
    assert!(words.starts_with("policy 9 there, 3 is the newest"), "{words}");
    // Older than what the agent saw: fine for a refusal that says so, bad for a run.
    let mut older = versions();
    older.policy = 2;
    p.record = signed_with(&f, |r| r.predicate.catalogue = older);
    assert_eq!(only_fault(&verify_record(&p, &f.anchors())).0, About::Catalogue);
    p.record = signed_with(&f, |r| {
        r.predicate.catalogue = older;
        r.predicate.outcome = protocol::Outcome::Refused;
        let refusal = Refusal::CatalogueBehind { role: "policy".to_owned(), have: 2, want: 3 };
        r.predicate.decision = Decision::Refuse { refusal };
    });
    assert!(verify_record(&p, &f.anchors()).verified);
}

#[test]
fn bytes_that_are_no_record_are_not_verified() {
    let f = Fixture::default();
    for junk in [&b""[..], b"{}", b"\x1b[2J", &[0xff; 300_000]] {
        let p = Papers { record: junk.to_vec(), ..papers(&f) };
        let report = verify_record(&p, &f.anchors());
        assert!(!report.verified);
        assert_eq!(report.lines.len(), 1);
    }
    // An order sealed by the endpoint is not a record either.
    let p = Papers { record: bytes(&sealed(&f.order(), &f.endpoint)), ..papers(&f) };
    assert!(!verify_record(&p, &f.anchors()).verified);
}

#[test]
fn a_dispatch_or_plan_of_something_else_is_bad() {
    let f = Fixture::default();
    let mut p = papers(&f);
    p.dispatch = Some(bytes(&f.dispatch(&Digest([1; 32]))));
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!((about, words.as_str()), (About::Dispatch, "it is for another order or endpoint"));
    let mut p = papers(&f);
    p.plan = Some(b"{}".to_vec());
    assert_eq!(only_fault(&verify_record(&p, &f.anchors())).0, About::Plan);
    p.record = signed_with(&f, |r| r.predicate.plan = Some(Digest::of(b"{}")));
    assert!(verify_record(&p, &f.anchors()).verified);
}

#[test]
fn another_statement_or_other_subjects_are_no_record_of_ours() {
    let f = Fixture::default();
    let changes: [fn(&mut Record); 3] = [
        |r| r.predicate_type = "urn:salve:record:v9".to_owned(),
        |r| r.statement_type = "https://in-toto.io/Statement/v0".to_owned(),
        |r| r.subject.push(protocol::documents::RecordSubject::sha256("x", Digest([1; 32]))),
    ];
    for change in changes {
        let mut p = papers(&f);
        p.record = signed_with(&f, change);
        assert_eq!(only_fault(&verify_record(&p, &f.anchors())).0, About::Record);
    }
}

#[test]
fn a_card_with_a_second_signature_is_refused() {
    let f = Fixture::default();
    let thief = SigningKey::from_seed([99; 32]);
    let signers: [&dyn trust::Signer; 2] = [&f.enroller, &thief];
    let mut p = papers(&f);
    p.card = Some(bytes(&trust::seal::seal(&f.card(), &signers).unwrap()));
    let (about, words) = only_fault(&verify_record(&p, &f.anchors()));
    assert_eq!((about, words.as_str()), (About::Card, "it does not carry exactly one signature"));
}
