//! A run in words while it is made: what is about to run, what was found and planned, how it ended
//! and what proves it. `view::run` shows a filed one.

use std::collections::BTreeMap;

pub use desk::notes::seconds;
use desk::notes::{amount, sums, thing};
use desk::runs::{Live, RunResult, ScriptEntry, can_be_undone};
use protocol::documents::{ByFunction, Decision, RecordPredicate};
use protocol::{Mode, Outcome, Plan, PlanLine, Refusal, TicketId, Time};
use serde::Serialize;

use super::{bytes, safe};

/// What is about to run.
#[derive(Debug, Clone, Serialize)]
pub struct Heading {
    /// The script.
    pub script: String,
    /// Its version.
    pub version: u32,
    /// Where.
    pub endpoint: String,
    /// The ticket that named the machine.
    pub named_by: Option<TicketId>,
    /// The script's class.
    pub risk: String,
    /// Whether it can be taken back; nothing where it changes nothing.
    pub undo: Option<bool>,
}

impl Heading {
    /// Of a script on a machine.
    #[must_use]
    pub fn of(script: &ScriptEntry, endpoint: &str, named_by: Option<TicketId>) -> Self {
        Self {
            script: script.manifest.name.to_string(),
            version: script.manifest.version,
            endpoint: endpoint.to_owned(),
            named_by,
            risk: script.risk.to_string(),
            undo: can_be_undone(&script.manifest),
        }
    }
    /// The line.
    #[must_use]
    pub fn words(&self) -> String {
        let named = self.named_by.as_ref().map(|t| format!(" (named by ticket {t})"));
        let undo = match self.undo {
            Some(false) => ", cannot be undone",
            Some(true) => ", can be undone",
            None => "",
        };
        format!(
            "{} {} on {}{}: {} risk{undo}",
            safe(&self.script),
            self.version,
            safe(&self.endpoint),
            named.unwrap_or_default(),
            self.risk
        )
    }
}

/// `  Found    ...      0.4 s`.
#[must_use]
pub fn found(words: &str, ms: u64) -> String {
    format!("  Found    {:<72} {}", safe(words), seconds(ms))
}

/// Name, how many, how much: one row of a plan.
type Row = (String, String, String);

fn plan_row(line: &PlanLine) -> Row {
    let size = if line.bytes > 0 { bytes(line.bytes) } else { String::new() };
    (safe(&thing(line)), amount(&line.function, line.count).unwrap_or_default(), size)
}

/// The rows under each other: names to the left, numbers to the right.
pub(super) fn plan_lines(lines: &[PlanLine]) -> String {
    let rows: Vec<Row> = lines.iter().map(plan_row).collect();
    let widest = |cell: fn(&Row) -> &String, least: usize| {
        rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0).max(least)
    };
    let (name, many, size) = (widest(|r| &r.0, 16), widest(|r| &r.1, 10), widest(|r| &r.2, 9));
    let line = |row: &Row| {
        let text = format!("\n           {:<name$} {:>many$}  {:>size$}", row.0, row.1, row.2);
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The plan's lines, as the fix will be held to them.
#[must_use]
pub fn plan_words(plan: &Plan, endpoint: &str) -> String {
    let mut out = format!("  Plan     made on {} at {}", safe(endpoint), plan.made.clock());
    out.push_str(&plan_lines(&plan.lines));
    if plan.lines.is_empty() {
        out.push_str("\n           changes nothing");
    }
    if let Some(unknowable) = &plan.unknowable {
        out.push_str(&format!("\n           then: {}", safe(unknowable)));
    }
    for skipped in &plan.skipped {
        out.push_str(&format!("\n  Untouched  {}", safe(skipped)));
    }
    if let Some(asked) = &plan.asked {
        out.push_str(&format!("\n  Asked    {}", safe(&asked.to_string())));
    }
    out
}

/// How a run ended, for people and for programs.
#[derive(Debug, Clone, Serialize)]
pub struct RunView {
    /// The run.
    pub run: String,
    /// Its order's digest.
    pub order: String,
    /// The script.
    pub script: String,
    /// Its version.
    pub version: u32,
    /// Where.
    pub endpoint: String,
    /// How.
    pub mode: Mode,
    /// How it ended, in the record's word.
    pub outcome: Outcome,
    /// The same for people.
    pub word: &'static str,
    /// One sentence. The endpoint's words.
    pub summary: String,
    /// Stable reason where it did not go well.
    pub reason: Option<String>,
    /// What detect found.
    pub found: Option<String>,
    /// What was planned.
    pub plan: Option<Plan>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// What to do now.
    pub next: Option<String>,
    /// What was done.
    pub effects: BTreeMap<String, ByFunction>,
    /// What was left alone.
    pub skipped: Vec<String>,
    /// The sentence to read aloud.
    pub say: Option<String>,
    /// What the ticket was told.
    pub ticket: Option<String>,
    /// Until when the one-time secret may be opened.
    pub secret_until: Option<Time>,
    /// Milliseconds on the endpoint.
    pub duration_ms: u64,
    /// Whether the record verified.
    pub verified: bool,
    /// Why it did not.
    pub fault: Option<String>,
    /// Whether what was shown live is what was signed.
    pub live: &'static str,
    /// What is weak by configuration.
    pub weaknesses: Vec<String>,
}

/// How a run ended, in the word for people: only a fix is ever *fixed*.
#[must_use]
pub const fn word(mode: Mode, outcome: Outcome) -> &'static str {
    match (mode, outcome) {
        (Mode::Check, Outcome::Succeeded) => "found",
        (Mode::Plan, Outcome::Succeeded) => "planned",
        (Mode::Undo, Outcome::Succeeded) => "undone",
        (
            Mode::Check | Mode::Plan,
            Outcome::Failed | Outcome::Partial | Outcome::TimedOut | Outcome::Cancelled,
        ) => "unknown",
        (_, outcome) => outcome.for_people(),
    }
}

/// The loud word of a result's first line.
const fn loud(mode: Mode, outcome: Outcome) -> &'static str {
    match (mode, outcome) {
        (_, Outcome::Unchanged) => "HEALTHY",
        (Mode::Check, Outcome::Succeeded) => "FOUND",
        (Mode::Plan, Outcome::Succeeded) => "PLANNED",
        (Mode::Undo, Outcome::Succeeded) => "UNDONE",
        (Mode::Fix, Outcome::Succeeded) => "FIXED",
        (_, Outcome::Cancelled) => "CANCELLED",
        (Mode::Check | Mode::Plan, Outcome::Failed | Outcome::Partial | Outcome::TimedOut) => {
            "NOT KNOWN"
        }
        (_, Outcome::Failed | Outcome::Partial | Outcome::TimedOut) => "NOT REPAIRED",
        (_, Outcome::Refused) => "REFUSED",
        (_, Outcome::Interrupted) => "UNKNOWN",
    }
}

impl RunView {
    /// Of a run with its record.
    #[must_use]
    pub fn of(result: &RunResult, endpoint: &str) -> Self {
        let record: &RecordPredicate = &result.record.predicate;
        let refusal = match &record.decision {
            Decision::Refuse { refusal } => Some(refusal.clone()),
            Decision::Permit { .. } => None,
        };
        Self {
            run: result.run.short(),
            order: result.order.to_string(),
            script: record.script.name.to_string(),
            version: record.script.version,
            endpoint: endpoint.to_owned(),
            mode: record.mode,
            outcome: record.outcome,
            word: word(record.mode, record.outcome),
            summary: record.summary.clone(),
            reason: record.reason.clone(),
            found: record.found.clone(),
            plan: result.plan.as_ref().map(|(_, plan)| plan.clone()),
            next: refusal.as_ref().map(|refusal| refusal.next_step().to_owned()),
            refusal,
            effects: record.effects.by_function.clone(),
            skipped: record.skipped.clone(),
            say: record.say.clone(),
            ticket: None,
            secret_until: None,
            duration_ms: record.duration_ms,
            verified: result.filing.report.verified,
            fault: result.filing.report.fault.clone(),
            live: match result.live {
                Live::Confirmed => "confirmed",
                Live::Incomplete => "incomplete",
                Live::Differs => "differs",
            },
            weaknesses: record.weaknesses.clone(),
        }
    }

    /// What was found and planned, where the closing lines do not say it.
    #[must_use]
    pub fn findings(&self) -> String {
        let mut out = String::new();
        if let Some(sentence) = self.found.as_ref().filter(|found| **found != self.summary) {
            out.push_str(&found(sentence, self.duration_ms));
            out.push('\n');
        }
        let planned = self
            .plan
            .as_ref()
            .filter(|plan| !(plan.lines.is_empty() && self.outcome == Outcome::Unchanged));
        if let Some(plan) = planned {
            out.push_str(&plan_words(plan, &self.endpoint));
            out.push('\n');
        }
        out
    }

    /// The closing lines: how it ended, what to say, what the ticket got, what proves it.
    #[must_use]
    pub fn words(&self) -> String {
        let mut lines = Vec::new();
        if !self.verified {
            let fault = self.fault.as_deref().unwrap_or("no reason is known");
            lines.push(format!("NOT VERIFIED  {}", safe(fault)));
            lines.push("  What follows is what came back, not what is proved.".to_owned());
        }
        lines.push(self.closing());
        if self.mode.mutates() {
            lines.extend(did(&self.effects).map(|each| format!("  Did      {each}")));
            lines.extend(self.skipped.iter().map(|s| format!("  Left     {}", safe(s))));
        }
        if let Some(say) = &self.say {
            lines.push(format!("  Say      \"{}\"", safe(say)));
        }
        if let Some(until) = self.secret_until {
            lines.push(format!(
                "  Secret   salve secrets open {}    (you, once, until {})",
                self.run,
                until.clock()
            ));
        }
        let verified = if self.verified { "verified" } else { "NOT VERIFIED" };
        let ticket = self.ticket.as_ref().map(|t| format!("Ticket   {}   ", safe(t)));
        lines.push(format!("  {}Record {} {verified}.", ticket.unwrap_or_default(), self.run));
        if self.live == "differs" {
            lines.push("  Note     what was shown live is not what the machine signed".to_owned());
        }
        if let Some(next) = &self.next {
            lines.push(format!("  Next     {}", safe(next)));
        }
        lines.join("\n")
    }

    fn closing(&self) -> String {
        let word = loud(self.mode, self.outcome);
        match &self.refusal {
            Some(Refusal::Busy { by }) => {
                let ticket = by.ticket.as_ref().map(|t| format!(" (ticket {t})"));
                format!(
                    "{} is busy: {} runs {} there since {}{}. Nothing was done.\n  Watch it:   \
                     salve runs follow {}",
                    safe(&self.endpoint),
                    by.agent,
                    by.script,
                    by.since.clock(),
                    ticket.unwrap_or_default(),
                    by.run.short()
                )
            }
            Some(refusal) => format!("{word:<8} {}", safe(&refusal.sentence())),
            None => format!("{word:<8} {}  {}", safe(&self.summary), seconds(self.duration_ms)),
        }
    }
}

/// What was done, in one line.
pub(super) fn did(effects: &BTreeMap<String, ByFunction>) -> Option<String> {
    let each: Vec<String> = effects.iter().map(|(name, by)| safe(&sums(name, by))).collect();
    (!each.is_empty()).then(|| each.join(" · "))
}

#[cfg(test)]
mod tests {
    use protocol::PlanReach;

    use super::*;

    fn line(reach: PlanReach, key: &str, label: &str, count: u64, bytes: u64) -> PlanLine {
        PlanLine {
            function: "fs.remove".into(),
            key: key.into(),
            reach,
            count,
            bytes,
            label: label.into(),
        }
    }

    #[test]
    fn a_plan_reads_as_what_it_would_touch() {
        let firefox = "{homes}/.cache/mozilla/firefox/**";
        let lines = [
            line(PlanReach::Within, "/var/cache/**", "package cache", 214, 851_443_712),
            line(PlanReach::Within, firefox, firefox, 1, 9 << 20),
        ];
        assert_eq!(
            plan_lines(&lines),
            "
           package cache            214 files    812 MiB
           browser cache (firefox)     1 file    9.0 MiB"
        );
        let hostile = line(PlanReach::Exact, "/tmp/\u{1b}[2Jx", "", 1, 0);
        let shown = plan_lines(&[hostile]);
        assert!(shown.contains("\\u{1b}"), "{shown}");
    }

    #[test]
    fn what_was_done_is_one_line_of_words() {
        let by = |done, bytes| ByFunction { done, failed: 0, bytes };
        let effects = BTreeMap::from([
            ("fs.remove".to_owned(), by(206, 69 << 20)),
            ("pkg.clean_cache".to_owned(), by(1, 72 << 20)),
        ]);
        assert_eq!(
            did(&effects).unwrap(),
            "206 files removed, 69 MiB · 1 package file removed, 72 MiB"
        );
        assert_eq!(did(&BTreeMap::new()), None);
    }

    #[test]
    fn only_a_fix_is_ever_fixed() {
        for mode in [Mode::Check, Mode::Plan, Mode::Fix, Mode::Undo] {
            for outcome in Outcome::ALL {
                let fixed = (mode, outcome) == (Mode::Fix, Outcome::Succeeded);
                assert_eq!(word(mode, outcome) == "fixed", fixed, "{mode:?} {outcome:?}");
                assert_eq!(loud(mode, outcome) == "FIXED", fixed, "{mode:?} {outcome:?}");
            }
        }
        assert_eq!(word(Mode::Plan, Outcome::Succeeded), "planned");
        assert_eq!(word(Mode::Check, Outcome::Succeeded), "found");
    }

    #[test]
    fn every_outcome_has_its_loud_word() {
        assert_eq!(loud(Mode::Fix, Outcome::Succeeded), "FIXED");
        assert_eq!(loud(Mode::Fix, Outcome::Partial), "NOT REPAIRED");
        assert_eq!(loud(Mode::Check, Outcome::Succeeded), "FOUND");
        assert_eq!(loud(Mode::Fix, Outcome::Interrupted), "UNKNOWN");
        assert_eq!(loud(Mode::Plan, Outcome::Refused), "REFUSED");
        assert_eq!(loud(Mode::Check, Outcome::Unchanged), "HEALTHY");
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(seconds(4), "4 ms");
        assert_eq!(seconds(440), "0.4 s");
        assert_eq!(seconds(12_000), "12 s");
        assert_eq!(seconds(184_000), "3 min 4 s");
    }
}
