//! Faults of a script: where it was read (with line and caret) and where it ran. Never panics on
//! odd positions: a caret beyond its line is a caret at its end.

use std::fmt;

use protocol::frames::Phase;

/// Something wrong in a script's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule it breaks, as in `about-key`; `docs/lint.md` explains each.
    pub rule: &'static str,
    /// Line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column, from 1; 0 where the whole line is meant.
    pub column: u32,
    /// The line's text.
    pub text: String,
    /// What is wrong, one sentence.
    pub why: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl Fault {
    pub(crate) fn at(source: &str, rule: &'static str, at: At, why: impl Into<String>) -> Self {
        let index = usize::try_from(at.line).unwrap_or(0);
        let text = index.checked_sub(1).and_then(|n| source.lines().nth(n)).unwrap_or_default();
        Self {
            rule,
            line: at.line,
            column: at.column,
            text: text.chars().take(200).collect(),
            why: why.into(),
            hint: None,
        }
    }
    pub(crate) fn file(rule: &'static str, why: impl Into<String>) -> Self {
        Self::at("", rule, At::default(), why)
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.rule, self.why)?;
        } else {
            write!(f, "line {}: {}: {}", self.line, self.rule, self.why)?;
            write!(f, "\n  {}", self.text)?;
            if self.column > 0 {
                let before = usize::try_from(self.column - 1).unwrap_or(0);
                let tab = |c| if c == '\t' { '\t' } else { ' ' };
                let pad: String = self.text.chars().take(before).map(tab).collect();
                write!(f, "\n  {pad}^")?;
            }
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  try: {hint}"))
    }
}

/// All faults, one under the other.
#[must_use]
pub fn faults_text(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct At {
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

/// What a phase found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The phase.
    pub phase: Phase,
    /// `needed` or `healthy`.
    pub needed: bool,
    /// One sentence.
    pub summary: String,
}

/// How a script went wrong while it ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} failed in line {line}: {message} ({code})", phase_word(*.phase))]
pub struct ScriptFault {
    /// The phase.
    pub phase: Phase,
    /// Stable code: the script's own, a host function's, `limit_*`, `parse` or `script`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Line in the source, 0 where unknown.
    pub line: u32,
}

/// The function that a phase calls.
#[must_use]
pub(crate) const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Detect => "detect",
        Phase::Remediate => "remediate",
        Phase::Verify => "verify",
    }
}
