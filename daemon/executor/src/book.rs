//! The plan: written down in every mode, and held to in a fix that is bound to one (P8).
//!
//! Only counts; never acts. Whoever acts asks here first, with the whole of what it wants.

use protocol::{PlanDrift, PlanLine, PlanReach, Risk, limits};

use crate::fail::Fail;

/// What was wanted so far, and what a plan allows.
#[derive(Debug)]
pub(crate) struct Book {
    risk: Risk,
    bound: Option<Vec<Bound>>,
    lines: Vec<PlanLine>,
    drift: Option<String>,
}

/// A line of the binding plan and what was taken of it.
#[derive(Debug)]
struct Bound {
    line: PlanLine,
    count: u64,
    bytes: u64,
}

/// What one action wants: a line with a count of one.
pub(crate) fn exact(function: &str, key: &str, label: &str) -> PlanLine {
    let (function, key, label) = (function.to_owned(), key.to_owned(), label.to_owned());
    PlanLine { function, key, reach: PlanReach::Exact, count: 1, bytes: 0, label }
}

/// What one batch wants.
pub(crate) fn within(function: &str, key: &str, label: &str, count: u64, bytes: u64) -> PlanLine {
    let bytes = sum(bytes, 0);
    PlanLine { reach: PlanReach::Within, count, bytes, ..exact(function, key, label) }
}

/// A sum of bytes that a document can carry: sparse files claim any size, and one that cannot be
/// written down would cost the run its plan and its record.
pub(crate) fn sum(bytes: u64, more: u64) -> u64 {
    bytes.saturating_add(more).min(protocol::json::INTEGER_MAX)
}

impl Book {
    /// A book for a run of this risk, bound to these lines if there are any.
    pub(crate) fn new(risk: Risk, plan: Option<Vec<PlanLine>>) -> Self {
        let open = |line| Bound { line, count: 0, bytes: 0 };
        let bound = plan.map(|lines| lines.into_iter().map(open).collect());
        Self { risk, bound, lines: Vec::new(), drift: None }
    }
    /// Takes what an action wants, all of it or nothing.
    pub(crate) fn take(&mut self, want: &PlanLine) -> Result<(), Fail> {
        if let Err(drift) = self.allow(want) {
            let drift = drift.to_string();
            self.drift.get_or_insert_with(|| drift.clone());
            return Err(Fail::fatal("plan_drift", drift));
        }
        let same = |line: &&mut PlanLine| {
            line.function == want.function && line.key == want.key && line.reach == want.reach
        };
        if let Some(line) = self.lines.iter_mut().find(same) {
            line.count = line.count.saturating_add(want.count);
            line.bytes = sum(line.bytes, want.bytes);
        } else {
            self.lines.push(want.clone());
        }
        let size = serde_json::to_vec(&self.lines).map_or(usize::MAX, |json| json.len());
        // Room for the plan's other words: digests, the finding, what is skipped.
        if size > limits::PLAN_BYTES_MAX / 2 {
            return Err(Fail::fatal("limit_plan", "the plan has more lines than a plan may hold"));
        }
        Ok(())
    }
    fn allow(&mut self, want: &PlanLine) -> Result<(), PlanDrift> {
        let Some(bound) = &mut self.bound else { return Ok(()) };
        let mut over = None;
        for open in bound.iter_mut().filter(|open| covers(&open.line, want)) {
            let count = open.count.saturating_add(want.count);
            let bytes = sum(open.bytes, want.bytes);
            let grown = |planned, wanted| {
                Some(PlanDrift::Grown { key: open.line.key.clone(), planned, wanted })
            };
            if count > open.line.count_max(self.risk) {
                over = grown(open.line.count, count);
            } else if bytes > open.line.bytes_max(self.risk) {
                over = grown(open.line.bytes, bytes);
            } else {
                (open.count, open.bytes) = (count, bytes);
                return Ok(());
            }
        }
        Err(over.unwrap_or_else(|| PlanDrift::NotPlanned {
            function: want.function.clone(),
            noun: want.key.clone(),
        }))
    }
    /// The lines so far.
    pub(crate) fn lines(&self) -> &[PlanLine] {
        &self.lines
    }
    /// Why an action was stopped, if one was.
    pub(crate) fn drift(&self) -> Option<&str> {
        self.drift.as_deref()
    }
}

/// Whether a plan line speaks of the same thing. Keys are what the manifest or the order names,
/// so a plan and its fix spell them alike.
fn covers(line: &PlanLine, want: &PlanLine) -> bool {
    line.function == want.function && line.key == want.key && line.reach == want.reach
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(result: Result<(), Fail>) -> Option<(&'static str, bool)> {
        result.err().map(|fail| (fail.code, fail.fatal))
    }

    #[test]
    fn a_bound_fix_takes_what_is_planned_and_a_tenth_at_low_risk() {
        let plan = vec![
            within("fs.remove", "/tmp/**", "", 20, 1000),
            exact("service.restart", "cups.service", ""),
        ];
        let mut book = Book::new(Risk::Low, Some(plan.clone()));
        assert_eq!(code(book.take(&within("fs.remove", "/tmp/**", "", 15, 900))), None);
        assert_eq!(code(book.take(&within("fs.remove", "/tmp/**", "", 7, 200))), None);
        let over = book.take(&within("fs.remove", "/tmp/**", "", 1, 0));
        assert_eq!(code(over), Some(("plan_drift", true)));
        assert_eq!(book.drift(), Some("more than planned under `/tmp/**`: planned 20, wanted 23"));
        assert_eq!(code(book.take(&exact("service.restart", "cups.service", ""))), None);
        assert!(book.take(&exact("service.restart", "cups.service", "")).is_err());
        assert!(book.take(&exact("service.restart", "ssh.service", "")).is_err());

        let mut book = Book::new(Risk::Medium, Some(plan));
        assert!(book.take(&within("fs.remove", "/tmp/**", "", 21, 0)).is_err());
        assert!(book.take(&within("fs.remove", "/tmp/**", "", 20, 1001)).is_err());
        assert_eq!(code(book.take(&within("fs.remove", "/tmp/**", "", 20, 1000))), None);
    }

    #[test]
    fn files_that_claim_any_size_leave_a_plan_that_can_be_written_and_read() {
        let mut plan = Book::new(Risk::Low, None);
        for _ in 0..3 {
            plan.take(&within("fs.remove", "/tmp/**", "", 1, u64::MAX)).unwrap();
        }
        let json = protocol::json::write(&plan.lines()).unwrap();
        let lines: Vec<PlanLine> = protocol::json::read(&json).unwrap();
        assert_eq!((lines[0].count, lines[0].bytes), (3, protocol::json::INTEGER_MAX));
        let mut fix = Book::new(Risk::High, Some(lines));
        assert_eq!(code(fix.take(&within("fs.remove", "/tmp/**", "", 3, u64::MAX))), None);
    }

    #[test]
    fn an_empty_plan_allows_nothing() {
        let mut book = Book::new(Risk::Low, Some(Vec::new()));
        assert!(book.take(&exact("service.restart", "a.service", "")).is_err());
    }

    proptest! {
        #[test]
        fn what_a_plan_wrote_its_fix_may_take(
            wants in proptest::collection::vec((0usize..3, 0u64..50, 0u64..5000), 0..20),
        ) {
            let keys = ["/tmp/**", "/var/crash/*", "{homes}/.cache/x/**"];
            let wants: Vec<_> = wants
                .into_iter()
                .map(|(key, count, bytes)| within("fs.remove", keys[key], "", count, bytes))
                .collect();
            let mut plan = Book::new(Risk::High, None);
            for want in &wants {
                prop_assert!(plan.take(want).is_ok());
            }
            let mut fix = Book::new(Risk::High, Some(plan.lines().to_vec()));
            for want in &wants {
                prop_assert!(fix.take(want).is_ok());
            }
            prop_assert_eq!(fix.lines(), plan.lines());
            prop_assert!(fix.take(&within("fs.remove", "/elsewhere/**", "", 0, 0)).is_err());
        }
    }
}
