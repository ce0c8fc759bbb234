//! From what a run's processes said and how they ended to its outcome. Never believes a success
//! that both processes did not report.

use hatch::messages::{Finding, ScriptFault};
use protocol::frames::Phase;
use protocol::{Mode, Outcome};

/// Why a run was stopped from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Own,
    /// Its time was over.
    TimedOut,
    /// A person took it back, or the daemon had to stop.
    Cancelled(String),
    /// It could not be started, or a process broke its word: stable reason and sentence.
    Broken(String, String),
}

/// All that outcomes depend on.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The mode.
    pub mode: Mode,
    /// Why it ended.
    pub end: &'a End,
    /// What the interpreter reported; none where it did not.
    pub findings: Option<&'a [Finding]>,
    /// What went wrong in the script.
    pub fault: Option<&'a ScriptFault>,
    /// Whether the executor reported its end.
    pub finished: bool,
    /// Where the fix left its plan.
    pub drift: Option<&'a str>,
    /// Whether any action was done.
    pub changed: bool,
}

/// Outcome, reason and sentence of a run.
#[must_use]
pub fn judge(ending: &Ending<'_>) -> (Outcome, Option<String>, String) {
    let stopped = |outcome, reason: &str, words: String| (outcome, Some(reason.to_owned()), words);
    let failed = if ending.changed { Outcome::Partial } else { Outcome::Failed };
    match ending.end {
        End::TimedOut => {
            let words = "its time was over before it was done".to_owned();
            return stopped(Outcome::TimedOut, "deadline", words);
        }
        End::Cancelled(why) => return stopped(Outcome::Cancelled, "cancelled", why.clone()),
        End::Broken(reason, why) => return stopped(failed, reason, why.clone()),
        End::Own => {}
    }
    if let Some(drift) = ending.drift {
        let words = format!("stopped, it would have left its plan: {drift}");
        return stopped(failed, "plan-drift", words);
    }
    if let Some(fault) = ending.fault {
        return stopped(failed, &fault.code.replace('_', "-"), fault.message.clone());
    }
    let Some(findings) = ending.findings else {
        return stopped(failed, "interpreter-died", "the script's process died".to_owned());
    };
    if !ending.finished {
        return stopped(failed, "executor-died", "the executor's process died".to_owned());
    }
    let Some(last) = findings.last() else {
        return stopped(failed, "no-finding", "the script found nothing and no fault".to_owned());
    };
    let words = last.summary.clone();
    match (ending.mode, last.phase, last.needed) {
        (Mode::Fix | Mode::Undo, Phase::Verify, true) => stopped(Outcome::Failed, "verify", words),
        (Mode::Fix | Mode::Undo, Phase::Detect, true) => stopped(failed, "not-verified", words),
        (Mode::Fix | Mode::Undo, _, _) if ending.changed => (Outcome::Succeeded, None, words),
        (Mode::Check | Mode::Plan, _, true) => (Outcome::Succeeded, None, words),
        _ => (Outcome::Unchanged, None, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(phase: Phase, needed: bool) -> Finding {
        Finding { phase, needed, summary: "s".into() }
    }
    fn own<'a>(mode: Mode, findings: Option<&'a [Finding]>, changed: bool) -> Ending<'a> {
        let finished = true;
        Ending { mode, end: &End::Own, findings, fault: None, finished, drift: None, changed }
    }

    #[test]
    fn only_a_verified_change_is_a_success() {
        use Outcome::{Failed, Partial, Succeeded, Unchanged};
        use Phase::{Detect, Verify};
        type Row<'a> = (Mode, &'a [(Phase, bool)], bool, Outcome);
        let table: &[Row<'_>] = &[
            (Mode::Check, &[(Detect, true)], false, Succeeded),
            (Mode::Check, &[(Detect, false)], false, Unchanged),
            (Mode::Plan, &[(Detect, true)], false, Succeeded),
            (Mode::Plan, &[(Detect, false)], false, Unchanged),
            (Mode::Fix, &[(Detect, false)], false, Unchanged),
            (Mode::Fix, &[(Detect, true), (Verify, false)], true, Succeeded),
            (Mode::Fix, &[(Detect, true), (Verify, false)], false, Unchanged),
            (Mode::Fix, &[(Detect, true), (Verify, true)], true, Failed),
            (Mode::Fix, &[(Detect, true)], true, Partial),
            (Mode::Fix, &[(Detect, true)], false, Failed),
            (Mode::Fix, &[], false, Failed),
        ];
        for (mode, phases, changed, outcome) in table {
            let findings: Vec<_> = phases.iter().map(|(p, n)| finding(*p, *n)).collect();
            let got = judge(&own(*mode, Some(&findings), *changed));
            assert_eq!(got.0, *outcome, "{mode:?} {phases:?} {changed}");
            assert_eq!(got.1.is_none(), matches!(outcome, Succeeded | Unchanged), "{got:?}");
        }
    }

    #[test]
    fn a_process_that_died_or_was_stopped_is_never_a_success() {
        let good = [finding(Phase::Detect, true), finding(Phase::Verify, false)];
        let base = own(Mode::Fix, Some(&good), true);
        assert_eq!(judge(&base).0, Outcome::Succeeded);
        assert_eq!(judge(&Ending { finished: false, ..base }).0, Outcome::Partial);
        assert_eq!(judge(&Ending { findings: None, ..base }).0, Outcome::Partial);
        assert_eq!(judge(&Ending { drift: Some("x"), ..base }).0, Outcome::Partial);
        assert_eq!(judge(&Ending { end: &End::TimedOut, ..base }).0, Outcome::TimedOut);
        let cancelled = End::Cancelled("recalled".into());
        assert_eq!(judge(&Ending { end: &cancelled, ..base }).0, Outcome::Cancelled);
        let broken = End::Broken("spawn".into(), "no".into());
        let none = Ending { end: &broken, changed: false, ..base };
        assert_eq!(judge(&none).0, Outcome::Failed);
    }
}
