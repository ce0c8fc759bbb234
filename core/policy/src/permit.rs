//! The permit: proof that policy said yes. Never made anywhere but in `decide`.

/// Policy's yes, with the rule that said it. Starting a run takes one by value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    rule: String,
    reasons: Vec<String>,
}

impl Permit {
    pub(crate) const fn new(rule: String, reasons: Vec<String>) -> Self {
        Self { rule, reasons }
    }
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
    /// The rule that decided first, then what it waived or did not ask; for the record.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}
