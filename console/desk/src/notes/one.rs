//! The note of an order that went to one endpoint: Who, What, Change, Check, Secret, Next, Proof.

use protocol::documents::{
    ConsentAnswer, ConsentStatement, Decision, Heard, Order, Record, RecordPredicate,
};
use protocol::{Digest, Outcome};
use tickets::Key;

use super::{Absent, Sheet, Told, inert, loud, seconds, sums};

pub(super) fn note(key: &Key, order: &Order, told: &Told) -> String {
    let mut sheet = Sheet::of(order);
    if let Some(absent) = &told.absent {
        return without(key, order, told, absent);
    }
    let Some((record, hash)) = &told.record else {
        return unreadable(key, order, told);
    };
    let here = &record.predicate;
    sheet.must(headline(here, told));
    if let Some(why) = &told.unverified {
        sheet.must(format!("NOT VERIFIED: {}", inert(why, 160)));
        sheet.must("        Everything below is what was sent, not what is proved.");
    }
    who(&mut sheet, order, here);
    sheet.must(format!(
        "What:   script {} {} (sha256 {}), {} on {}",
        here.script.name,
        here.script.version,
        here.script.digest.short(),
        here.mode.word(),
        inert(&told.endpoint, 64)
    ));
    sheet.must(format!("Change: {}", change(here)));
    if let Some(check) = check(here) {
        sheet.must(format!("Check:  {check}"));
    }
    if let Some(until) = told.secret_until {
        sheet
            .must(format!("Secret: sealed for {}, not shown or stored here in clear", order.agent));
        sheet.must(format!(
            "        open it once, until {until}: salve secrets open {}",
            told.run.short()
        ));
    }
    for skipped in here.skipped.iter().take(3) {
        sheet.may(format!("Left:   {}", inert(skipped, 120)));
    }
    sheet.must(format!("Next:   {}", next(here, told)));
    weak(&mut sheet, here);
    proof(&mut sheet, record, hash, told);
    sheet.finish(key)
}

fn headline(here: &RecordPredicate, told: &Told) -> String {
    let word = loud(Some(here.outcome));
    let doubt = if told.unverified.is_some() { "NOT VERIFIED, says " } else { "" };
    let what = match (here.outcome, &here.decision) {
        (Outcome::Refused, Decision::Refuse { refusal }) => {
            format!("did not run: {}", inert(&refusal.sentence(), 160))
        }
        (Outcome::Interrupted, _) => "was interrupted, state unknown".to_owned(),
        _ => inert(&here.summary, 160),
    };
    let head =
        format!("{doubt}{word}: {} on {}: {what}", here.script.name, inert(&told.endpoint, 64));
    format!("{head}  ({})", seconds(here.duration_ms))
}

fn who(sheet: &mut Sheet, order: &Order, here: &RecordPredicate) {
    let ticket = here.ticket.as_ref().map_or_else(String::new, |t| format!(" for ticket {t}"));
    sheet.must(format!("Who:    ordered by {}{ticket}", here.agent));
    if !order.reason.trim().is_empty() {
        sheet.may(format!("        reason: {}", inert(&order.reason, 120)));
    }
    let person = match (&here.identity_checked, &here.identified) {
        (Some(check), _) => {
            format!("{} identified {}", inert(&check.person, 64), inert(&check.to_string(), 160))
        }
        // The words before a manager's name, and 64 characters of it.
        (None, Some(how)) => {
            format!("person identified {}, as {} states", inert(&how.to_string(), 79), here.agent)
        }
        (None, None) => "person not identified".to_owned(),
    };
    sheet.must(format!("        {person}"));
    sheet.must(format!("        {}", consent(here.consent.as_ref(), here)));
    if let Decision::Permit { reasons } = &here.decision {
        let reasons: Vec<String> = reasons.iter().map(|r| inert(r, 100)).collect();
        if !reasons.is_empty() {
            sheet.may(format!("        allowed by {}", inert(&reasons.join("; "), 220)));
        }
    }
}

fn consent(statement: Option<&ConsentStatement>, here: &RecordPredicate) -> String {
    let asked = here.asked.as_ref().map(|asked| (asked.answer, inert(&asked.to_string(), 160)));
    let asked = match asked {
        Some((Heard::Yes | Heard::No, words)) => return format!("consent: {words}"),
        Some((_, words)) => format!("; {words}"),
        None => String::new(),
    };
    let Some(statement) = statement else {
        return format!("consent: none on the order{asked}");
    };
    let question = inert(&statement.question, 120);
    match statement.answer {
        ConsentAnswer::Spoken => {
            format!("consent: spoken yes to \"{question}\", as {} states{asked}", here.agent)
        }
        ConsentAnswer::Waived => {
            format!("consent: WAIVED by policy, not asked: \"{question}\"{asked}")
        }
        ConsentAnswer::Ask => format!("consent: to be asked at the machine: \"{question}\""),
    }
}

fn change(here: &RecordPredicate) -> String {
    let done: Vec<String> = here
        .effects
        .by_function
        .iter()
        .map(|(function, by)| inert(&sums(function, by), 80))
        .take(6)
        .collect();
    let more = here.effects.by_function.len().saturating_sub(6);
    let mut text = match (done.is_empty(), here.outcome) {
        (true, Outcome::Refused) => "nothing; it never started".to_owned(),
        (true, _) if here.in_flight.is_none() => "nothing".to_owned(),
        (true, _) => "nothing finished".to_owned(),
        (false, _) => done.join("; "),
    };
    if more > 0 {
        text.push_str(&format!("; and {more} more functions"));
    }
    if let Some(flight) = &here.in_flight {
        text.push_str(&format!(
            ". IN FLIGHT, state unknown: {} on {}",
            inert(&flight.function, 40),
            inert(&flight.noun, 80)
        ));
    }
    text
}

fn check(here: &RecordPredicate) -> Option<String> {
    let clause = |text: &str| inert(text.trim_end().trim_end_matches('.'), 120);
    let found = here.found.as_ref().map(|f| format!("; before: {}", clause(f)));
    let found = found.unwrap_or_default();
    let summary = clause(&here.summary);
    Some(match here.outcome {
        Outcome::Succeeded => format!("read again after the last step: {summary}{found}"),
        Outcome::Unchanged => format!("nothing needed changing: {summary}"),
        Outcome::Failed | Outcome::Partial => {
            let reason = here.reason.as_ref().map(|r| format!(" (reason: {})", inert(r, 60)));
            format!("NOT passed: {summary}{}{found}", reason.unwrap_or_default())
        }
        Outcome::TimedOut => format!("not reached: the deadline came first{found}"),
        Outcome::Cancelled => format!("not reached: recalled by a person{found}"),
        Outcome::Interrupted => format!("not reached{found}"),
        Outcome::Refused => return None,
    })
}

fn next(here: &RecordPredicate, told: &Told) -> String {
    if told.unverified.is_some() {
        return format!("trust nothing of this; look: salve verify {}", told.run.short());
    }
    let show = format!("salve runs show {} --effects", told.run.short());
    match here.outcome {
        Outcome::Succeeded if told.secret_until.is_some() => {
            "hand the secret over; unopened in time, the person needs a new reset".to_owned()
        }
        Outcome::Succeeded => here.ticket.as_ref().map_or_else(
            || "nothing".to_owned(),
            |t| format!("when the person agrees: salve tickets close {t}"),
        ),
        Outcome::Unchanged => "the cause lies elsewhere; nothing to do with this script".to_owned(),
        Outcome::Refused => match &here.decision {
            Decision::Refuse { refusal } => refusal.next_step().to_owned(),
            Decision::Permit { .. } => show,
        },
        Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Partial => {
            format!("see what was done, then run it again or hand over: {show}")
        }
        Outcome::Interrupted => {
            format!("look at the machine first; it is not repeated by itself: {show}")
        }
    }
}

fn weak(sheet: &mut Sheet, here: &RecordPredicate) {
    if let Some(line) = super::weak(here.weaknesses.iter().collect()) {
        sheet.must(line);
    }
    for limit in here.limits_hit.iter().take(2) {
        sheet.may(format!("LIMIT:  {} was cut at its limit", inert(limit, 60)));
    }
}

fn proof(sheet: &mut Sheet, record: &Record, hash: &Digest, told: &Told) {
    let here = &record.predicate;
    let seal = if told.unverified.is_some() { "NOT VERIFIED" } else { "verified" };
    sheet.must(format!(
        "Proof:  run {}, record {} ({seal}), number {} of {}",
        told.run.short(),
        hash.short(),
        here.counter,
        inert(&told.endpoint, 64)
    ));
    let held = if here.kernel_held { "held by the kernel" } else { "NOT held by the kernel" };
    sheet.may(format!(
        "        class {}: {held}; policy {}; ended {}",
        inert(&here.classes.join(" "), 60),
        here.catalogue.policy,
        here.ended
    ));
}

/// The note of an order that nothing came of: it says which, and what that rests on.
fn without(key: &Key, order: &Order, told: &Told, absent: &Absent) -> String {
    let mut sheet = Sheet::of(order);
    let endpoint = inert(&told.endpoint, 64);
    let script = &order.script.name;
    sheet.must(format!("{}: {script} on {endpoint}: {}", absent.loud(), absent.words()));
    sheet.must(format!("Who:    ordered by {}", order.agent));
    if !order.reason.trim().is_empty() {
        sheet.may(format!("        reason: {}", inert(&order.reason, 120)));
    }
    let (change, next, proof) = match absent {
        Absent::NotSent | Absent::NotRun(_) => (
            "nothing",
            format!(
                "order it again if it is still wanted; run {} will not start",
                told.run.short()
            ),
            "none; the order stayed here",
        ),
        Absent::NotTaken(_) => (
            "none as far as known; the endpoint signed nothing of it",
            format!("look before it is ordered again: salve check {script} --on {endpoint}"),
            "none; a record that comes later is added here",
        ),
    };
    sheet.must(format!("Change: {change}"));
    sheet.must(format!("Next:   {next}"));
    sheet.must(format!("Proof:  {proof}"));
    sheet.finish(key)
}

fn unreadable(key: &Key, order: &Order, told: &Told) -> String {
    let mut sheet = Sheet::of(order);
    let endpoint = inert(&told.endpoint, 64);
    sheet.must(format!(
        "NOT VERIFIED, UNKNOWN: {} on {endpoint}: its record cannot be read",
        order.script.name
    ));
    sheet.must(format!("Who:    ordered by {}", order.agent));
    sheet.must("Change: unknown");
    if let Some(why) = &told.unverified {
        sheet.must(format!("Why:    {}", inert(why, 160)));
    }
    sheet.must("Next:   look at the machine; the bytes that came are kept");
    sheet.must(format!("Proof:  none; salve verify {}", told.run.short()));
    sheet.finish(key)
}
