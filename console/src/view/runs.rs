//! Runs as the help desk sees them: one list, one page a run. A record that did not verify is never
//! shown as if it had.

use desk::inventory::{RunRow, RunState};
use protocol::documents::{ConsentAnswer, Decision, Record};
use protocol::{Mode, Outcome, Plan, Time};
use serde::Serialize;

use crate::view::outcome::{did, plan_lines, word};
use crate::view::verdict::verified_word;
use crate::view::{Table, ago, count, safe};

/// A run with its papers, read.
#[derive(Debug, Serialize)]
pub struct RunPage {
    /// The run.
    pub run: RunRow,
    /// The record as it claims to be.
    pub record: Option<Record>,
    /// The plan.
    pub plan: Option<Plan>,
    /// The effects file's lines, where asked for.
    pub effects: Option<Vec<String>>,
    /// Records that differ from the one filed first.
    pub others: usize,
    /// The secret, if there is one: until when, and when it was opened.
    pub secret: Option<(Time, Option<Time>)>,
    /// Whether a shared desk says what no record says.
    pub at_desk: bool,
}

/// The word for how a run stands.
#[must_use]
pub fn standing(run: &RunRow) -> String {
    match (run.state, run.outcome) {
        (RunState::Ended, Some(outcome)) => {
            let typed = run.mode.as_deref().unwrap_or_default();
            let modes = [Mode::Check, Mode::Plan, Mode::Undo];
            let mode = modes.into_iter().find(|mode| mode.word() == typed).unwrap_or(Mode::Fix);
            word(mode, outcome).to_owned()
        }
        (RunState::Ended, None) => "unknown".to_owned(),
        (RunState::Prepared, _) => "not sent yet".to_owned(),
        (RunState::Carried, _) => "out in a file".to_owned(),
        (RunState::Sent, _) => "sent, no answer".to_owned(),
        (RunState::Accepted, _) => "runs".to_owned(),
        (RunState::NotSent, _) => "not sent".to_owned(),
        (RunState::NotTaken, _) => "not taken, unsigned".to_owned(),
    }
}

/// The list, newest first.
#[must_use]
pub fn list(runs: &[RunRow], now: Time) -> String {
    if runs.is_empty() {
        return "No runs yet. Look at a machine:  salve check health.check --on NAME".to_owned();
    }
    let mut table =
        Table::new(["RUN", "WHEN", "SCRIPT", "MODE", "ENDPOINT", "ENDED", "RECORD", "TICKET"]);
    for run in runs {
        table.row([
            &run.id.short(),
            &ago(run.created, now),
            run.script.as_deref().unwrap_or_default(),
            run.mode.as_deref().unwrap_or_default(),
            &run.endpoint_name.clone().unwrap_or_else(|| run.endpoint.short()),
            &standing(run),
            verified_word(run.verified),
            run.ticket.as_ref().map_or("", |t| t.as_str()),
        ]);
    }
    table.render()
}

/// One run's page.
#[must_use]
pub fn page(page: &RunPage) -> String {
    let run = &page.run;
    let endpoint = run.endpoint_name.clone().unwrap_or_else(|| run.endpoint.short());
    let script = run.script.clone().unwrap_or_else(|| "unknown script".to_owned());
    let mut out = String::new();
    if run.verified == Some(false) {
        let why = run.reason.as_deref().unwrap_or("no reason was kept");
        out.push_str(&format!("NOT VERIFIED: {}\n", safe(why)));
        out.push_str("Everything below is what was sent, not what is proved.\n");
    }
    let word = standing(run).to_uppercase();
    out.push_str(&format!("{word}  {} on {}", safe(&script), safe(&endpoint)));
    let Some(record) = &page.record else {
        let record = match run.state {
            RunState::NotSent if page.at_desk => {
                "none: the desk says that the order never left it; nobody signed that".to_owned()
            }
            RunState::NotSent => "none: the order never left this desk, nothing ran".to_owned(),
            RunState::NotTaken => format!(
                "none: {}; one that comes later is filed",
                safe(run.reason.as_deref().unwrap_or("its door says that it never came in"))
            ),
            RunState::Carried => format!(
                "none here yet; a copy of the order is out in a file until {}{}\n           \
                 The file brings it:  salve orders import FILE;  or the endpoint, when it answers again.",
                run.carried.unwrap_or_default(),
                run.reason.as_deref().map_or_else(String::new, |why| format!(" ({})", safe(why)))
            ),
            _ => format!(
                "none here yet; it is fetched when the endpoint answers again:  salve runs follow {}",
                run.id.short()
            ),
        };
        out.push_str(&format!(
            "\n  Run      {}, ordered {}\n  Record   {record}\n",
            run.id, run.created
        ));
        return out;
    };
    let here = &record.predicate;
    out.push_str(&format!(": {}\n", safe(&here.summary)));
    let ticket = here.ticket.as_ref().map_or_else(String::new, |t| format!(" for ticket {t}"));
    out.push_str(&format!("  Ordered  {}{ticket}, {}\n", here.agent, here.mode.word()));
    out.push_str(&format!(
        "  Script   {} {} (sha256 {})\n",
        here.script.name,
        here.script.version,
        here.script.digest.short()
    ));
    people(&mut out, record);
    asked(&mut out, record);
    decision(&mut out, record);
    if let Some(found) = &here.found {
        out.push_str(&format!("  Found    {}\n", safe(found)));
    }
    plan(&mut out, page);
    effects(&mut out, page, record);
    for skipped in &here.skipped {
        out.push_str(&format!("  Left     {}\n", safe(skipped)));
    }
    if let Some(say) = &here.say {
        out.push_str(&format!("  Say      \"{}\"\n", safe(say)));
    }
    secret(&mut out, page);
    proof(&mut out, page, record);
    out
}

fn people(out: &mut String, record: &Record) {
    let here = &record.predicate;
    match (&here.identity_checked, &here.identified) {
        (Some(check), _) => {
            let (who, how) = (safe(&check.person), safe(&check.to_string()));
            out.push_str(&format!("  Person   {who} identified {how}\n"));
        }
        (None, Some(how)) => {
            let how = safe(&how.to_string());
            out.push_str(&format!("  Person   identified {how}; stated by {}\n", here.agent));
        }
        (None, None) => out.push_str("  Person   not identified\n"),
    }
    if let Some(consent) = &here.consent {
        let answer = match consent.answer {
            ConsentAnswer::Spoken => format!("spoken yes; stated by {}", here.agent),
            ConsentAnswer::Waived => "WAIVED by policy, not asked".to_owned(),
            ConsentAnswer::Ask => "asked at the machine".to_owned(),
        };
        out.push_str(&format!("  Consent  {answer}: \"{}\"\n", safe(&consent.question)));
    }
}

fn asked(out: &mut String, record: &Record) {
    if let Some(asked) = &record.predicate.asked {
        out.push_str(&format!("  Asked    {}\n", safe(&asked.to_string())));
    }
}

fn decision(out: &mut String, record: &Record) {
    match &record.predicate.decision {
        Decision::Permit { reasons } => {
            out.push_str(&format!("  Allowed  {}\n", safe(&reasons.join("; "))));
        }
        Decision::Refuse { refusal } => {
            out.push_str(&format!("  Refused  {}\n", safe(&refusal.sentence())));
            out.push_str(&format!("  Next     {}\n", refusal.next_step()));
        }
    }
    if let Some(reason) = &record.predicate.reason {
        out.push_str(&format!("  Reason   {}\n", safe(reason)));
    }
}

fn plan(out: &mut String, page: &RunPage) {
    let Some(plan) = &page.plan else { return };
    out.push_str(&format!("  Plan     made {}{}\n", plan.made, plan_lines(&plan.lines)));
    if let Some(unknowable) = &plan.unknowable {
        out.push_str(&format!("           ends here: {}\n", safe(unknowable)));
    }
}

fn effects(out: &mut String, page: &RunPage, record: &Record) {
    let here = &record.predicate;
    let mut line = |text: String| out.push_str(&format!("  Did      {text}\n"));
    line(did(&here.effects.by_function).unwrap_or_else(|| "nothing".to_owned()));
    if let Some(flight) = &here.in_flight {
        line(format!(
            "IN FLIGHT, state unknown: {} on {}",
            safe(&flight.function),
            safe(&flight.noun)
        ));
    }
    for limit in &here.limits_hit {
        out.push_str(&format!("  Limit    {} was cut at its limit\n", safe(limit)));
    }
    for effect in page.effects.iter().flatten() {
        out.push_str(&format!("           {}\n", safe(effect)));
    }
}

fn secret(out: &mut String, page: &RunPage) {
    let line = match page.secret {
        None => return,
        Some((_, Some(opened))) => format!("opened {opened}"),
        Some((until, None)) => {
            format!("salve secrets open {}    (once, until {until})", page.run.id.short())
        }
    };
    out.push_str(&format!("  Secret   {line}\n"));
}

fn proof(out: &mut String, page: &RunPage, record: &Record) {
    let here = &record.predicate;
    for weakness in &here.weaknesses {
        out.push_str(&format!("  WEAK     {}\n", safe(weakness)));
    }
    let held = if here.kernel_held { "held by the kernel" } else { "NOT held by the kernel" };
    out.push_str(&format!("  Classes  {}, {held}\n", safe(&here.classes.join(" "))));
    out.push_str(&format!(
        "  Ran      {} to {}, salved {}\n",
        here.accepted,
        here.ended,
        safe(&here.version)
    ));
    if let Some(hash) = page.run.record_hash {
        let verified = verified_word(page.run.verified);
        out.push_str(&format!(
            "  Record   {}, number {}, sha256 {} ({verified})\n",
            page.run.id,
            here.counter,
            hash.short()
        ));
    }
    if page.others > 0 {
        out.push_str(&format!(
            "  STRAY    {} for this run came beside the filed one; kept\n",
            count(page.others as u64, "other record")
        ));
    }
    if here.outcome == Outcome::Interrupted {
        out.push_str("  Next     look at the machine first; it is not repeated by itself\n");
    }
}
