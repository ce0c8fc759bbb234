use protocol::documents::{Decision, InFlight, Record};
use protocol::{BusyWith, Digest, Outcome, Refusal, RunId};
use tickets::{Key, KeyKind};

use super::*;
use crate::verify::fixture::{Fixture, NOW};

fn key() -> Key {
    Key::of_order(&Digest([0x11; 32]), KeyKind::Note)
}

fn told(change: impl FnOnce(&mut Record)) -> Told {
    let f = Fixture::default();
    let mut record = f.record(&f.order());
    change(&mut record);
    let hash = Digest([0x9a; 32]);
    Told {
        run: RunId([0x22; 16]),
        endpoint: "lt-4411".to_owned(),
        record: Some((record, hash)),
        unverified: None,
        absent: None,
        secret_until: None,
    }
}

fn note(one: &Told) -> String {
    internal(&key(), &Fixture::default().order(), std::slice::from_ref(one))
}

#[test]
fn the_note_of_a_fix_reads_like_this() {
    assert_eq!(
        note(&told(|_| ())),
        "\
FIXED: cache.clear on lt-4411: / has 38.6 GiB free (16 %)  (1.2 s)
Who:    ordered by a.kaya for ticket 1
        reason: cannot save
        person identified by a call back to the number on file, as a.kaya states
        consent: spoken yes to \"May I delete caches? Your own files stay.\", as a.kaya states
        allowed by rule low: any agent
What:   script cache.clear 3 (sha256 3f3f3f3f), fix on lt-4411
Change: 214 files removed, 812 MiB
Check:  read again after the last step: / has 38.6 GiB free (16 %); before: / has 0 B of 237 GiB free
Next:   when the person agrees: salve tickets close 1
WEAK:   scripts of every risk need one signature of one
Proof:  run 1248h248, record 9a9a9a9a (verified), number 1 of lt-4411
        class files: held by the kernel; policy 3; ended 2026-11-22T10:42:08Z
[salve:0h248h248h248h248h248h248h:note]"
    );
}

#[test]
fn a_refused_fix_gets_a_note_that_says_why_and_what_next() {
    let text = note(&told(|r| {
        r.predicate.outcome = Outcome::Refused;
        r.predicate.effects.by_function.clear();
        let by = BusyWith {
            agent: "m.ruiz".parse().unwrap(),
            script: "pkg.update".parse().unwrap(),
            ticket: Some("1479".parse().unwrap()),
            since: NOW,
            run: RunId([1; 16]),
        };
        r.predicate.decision = Decision::Refuse { refusal: Refusal::Busy { by } };
    }));
    assert!(
        text.starts_with(
            "REFUSED: cache.clear on lt-4411: did not run: busy: m.ruiz runs pkg.update since"
        ),
        "{text}"
    );
    assert!(text.contains("\nChange: nothing; it never started\n"), "{text}");
    assert!(text.contains("\nNext:   watch it: `salve runs follow RUN`, or try again later\n"));
    assert!(!text.contains("Check:"), "{text}");
}

#[test]
fn an_interrupted_run_names_what_was_in_flight_and_promises_no_repeat() {
    let text = note(&told(|r| {
        r.predicate.outcome = Outcome::Interrupted;
        r.predicate.effects.by_function.clear();
        r.predicate.in_flight = Some(InFlight {
            function: "service.restart".to_owned(),
            noun: "demo-web.service".to_owned(),
        });
    }));
    assert!(text.starts_with("UNKNOWN: cache.clear on lt-4411: was interrupted, state unknown"));
    let wanted = "Change: nothing finished. IN FLIGHT, state unknown: service.restart on \
                  demo-web.service";
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains("it is not repeated by itself"), "{text}");
}

#[test]
fn what_does_not_verify_is_loud_in_the_first_line_and_in_the_proof() {
    let mut one = told(|_| ());
    one.unverified = Some("record: it is not what lt-4411 signed".to_owned());
    let text = note(&one);
    assert!(text.starts_with("NOT VERIFIED, says FIXED: cache.clear"), "{text}");
    assert!(text.contains("\nNOT VERIFIED: record: it is not what lt-4411 signed\n"));
    assert!(text.contains("(NOT VERIFIED), number 1"), "{text}");
    assert!(text.contains("Next:   trust nothing of this"), "{text}");
    assert!(reply(&Key::of_order(&Digest([1; 32]), KeyKind::Reply), &one).is_none());
    one.record = None;
    let text = note(&one);
    assert!(text.starts_with("NOT VERIFIED, UNKNOWN: cache.clear"), "{text}");
    assert!(key().marks(&text));
}

#[test]
fn a_secret_is_named_with_its_end_and_never_shown() {
    let mut one = told(|_| ());
    one.secret_until = Some(NOW.plus(3600));
    let text = note(&one);
    assert!(text.contains("Secret: sealed for a.kaya, not shown or stored here in clear\n"));
    assert!(
        text.contains("open it once, until 2026-11-22T11:42:07Z: salve secrets open 1248h248\n")
    );
    assert!(text.contains("unopened in time, the person needs a new reset"));
}

#[test]
fn outcomes_stand_in_the_first_sixty_characters() {
    for outcome in Outcome::ALL {
        let text = note(&told(|r| {
            r.predicate.outcome = outcome;
            r.predicate.summary = "x".repeat(400);
        }));
        let head: String = text.chars().take(60).collect();
        assert!(head.contains(&outcome.for_people().to_uppercase()), "{outcome:?}: {head}");
    }
}

#[test]
fn hostile_text_is_inert_and_the_note_stays_short() {
    let nasty = "\u{1b}[2J\u{202e}evil\r\n[salve:0h248h248h248h248h248h248h:note]\n=cmd|'x'!A1";
    let text = note(&told(|r| {
        let p = &mut r.predicate;
        p.summary = nasty.repeat(20);
        p.found = Some(nasty.repeat(20));
        p.reason = Some(nasty.repeat(20));
        p.outcome = Outcome::Partial;
        p.skipped = vec![nasty.repeat(20); 40];
        p.weaknesses = vec![nasty.repeat(20); 40];
        p.limits_hit = vec![nasty.repeat(20); 40];
        p.classes = vec![nasty.repeat(20)];
        p.decision = Decision::Permit { reasons: vec![nasty.repeat(20); 10] };
        p.consent.as_mut().unwrap().question = nasty.repeat(20);
        for n in 0..40 {
            let by = p.effects.by_function["fs.remove"].clone();
            p.effects.by_function.insert(format!("{n}{nasty}"), by);
        }
    }));
    assert!(text.chars().count() <= NOTE_CHARS, "{}", text.chars().count());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}'));
    // The one marker is ours, on the last line.
    assert_eq!(text.matches("[salve:").count(), 1);
    assert!(key().marks(&text));
    assert!(text.starts_with("NOT REPAIRED: cache.clear"), "{text}");
    assert!(text.lines().all(|line| !line.starts_with('=')));
    assert!(text.contains("(cut: `salve runs show` has the rest)"), "{text}");
}

#[test]
fn the_reply_is_the_scripts_sentence_and_nothing_of_machines() {
    let key = Key::of_order(&Digest([0x11; 32]), KeyKind::Reply);
    let good = told(|_| ());
    let text = reply(&key, &good).unwrap();
    assert_eq!(
        text,
        "There is room again, please save your work.\n\
         If it does not help, answer here or call the help desk.\n\
         [salve:0h248h248h248h248h248h248h:reply]"
    );
    assert!(!text.contains("lt-4411") && !text.contains("cache.clear"));
    assert_eq!(reply(&key, &told(|r| r.predicate.say = None)), None);
    for outcome in [Outcome::Failed, Outcome::Partial, Outcome::Refused, Outcome::Interrupted] {
        assert_eq!(reply(&key, &told(|r| r.predicate.outcome = outcome)), None);
    }
}

#[test]
fn check_and_plan_leave_no_note() {
    let mut order = Fixture::default().order();
    let digest = Digest([1; 32]);
    assert!(note_key(&order, &digest).is_some());
    order.mode = protocol::Mode::Undo;
    assert!(note_key(&order, &digest).is_some());
    for mode in [protocol::Mode::Check, protocol::Mode::Plan] {
        order.mode = mode;
        assert_eq!(note_key(&order, &digest), None);
    }
    order.mode = protocol::Mode::Fix;
    order.ticket = None;
    assert_eq!(note_key(&order, &digest), None);
}

#[test]
fn many_endpoints_make_one_note_with_the_worst_on_top() {
    let mut fixed = told(|_| ());
    fixed.endpoint = "lt-1".to_owned();
    let failed = told(|r| {
        r.predicate.outcome = Outcome::Failed;
        r.predicate.summary = "mirror timed out".to_owned();
    });
    let text = internal(&key(), &Fixture::default().order(), &[fixed.clone(), failed]);
    assert!(text.starts_with("1 NOT REPAIRED, 1 FIXED: cache.clear on 2 endpoints\n"), "{text}");
    let failed_at = text.find("NOT REPAIRED  lt-4411").unwrap();
    assert!(failed_at < text.find("FIXED  lt-1").unwrap());
    assert!(text.contains("WEAK:   scripts of every risk"));
    let long = internal(&key(), &Fixture::default().order(), &vec![fixed; 64]);
    assert!(long.chars().count() <= NOTE_CHARS);
    assert!(key().marks(&long));
}

fn absent(absent: Absent) -> Told {
    Told { record: None, absent: Some(absent), ..told(|_| ()) }
}

#[test]
fn the_notes_of_what_never_began_read_like_this() {
    assert_eq!(
        note(&absent(Absent::NotSent)),
        format!(
            "\
NOT SENT: cache.clear on lt-4411: it never left this desk; nothing ran
Who:    ordered by a.kaya
        reason: cannot save
Change: nothing
Next:   order it again if it is still wanted; run 1248h248 will not start
Proof:  none; the order stayed here
{}",
            key().marker()
        )
    );
    let waited = note(&absent(Absent::NotRun("machine did not come back".to_owned())));
    assert!(waited.starts_with("NOT RUN: cache.clear on lt-4411: machine did not come back\n"));
    assert!(waited.contains("Change: nothing\n"), "{waited}");
    let not_taken = note(&absent(Absent::NotTaken("its door says so; not signed".to_owned())));
    let first = "NOT TAKEN: cache.clear on lt-4411: its door says so; not signed\n";
    assert!(not_taken.starts_with(first), "{not_taken}");
    assert!(not_taken.contains("Next:   look before it is ordered again: salve check cache.clear"));
}

#[test]
fn among_many_what_is_not_signed_stands_above_what_was_never_sent() {
    let all =
        [absent(Absent::NotSent), absent(Absent::NotTaken("not signed".to_owned())), told(|_| ())];
    let text = internal(&key(), &Fixture::default().order(), &all);
    let first = "1 NOT TAKEN, 1 NOT SENT, 1 FIXED: cache.clear on 3 endpoints\n";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("Next:   those on top need a person"), "{text}");
}
