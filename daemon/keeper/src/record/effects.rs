//! What an effects file says. Never trusts its lines: the executor wrote them, a crash may cut them.

use std::collections::BTreeMap;

use protocol::documents::{ByFunction, InFlight};
use protocol::{Digest, EffectTally};

/// The gist of one effects file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectsSummary {
    /// SHA-256 of the file as it lies there.
    pub digest: Digest,
    /// Whole lines.
    pub lines: u64,
    /// Summary per host function.
    pub by_function: BTreeMap<String, ByFunction>,
    /// What had begun and not ended.
    pub in_flight: Option<InFlight>,
}

impl EffectsSummary {
    /// Of a file's bytes; of no bytes where there is no file.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let tally = EffectTally::of(file);
        let in_flight = tally.in_flight().cloned();
        let digest = Digest::of(file);
        Self { digest, lines: tally.lines, by_function: tally.by_function, in_flight }
    }
    /// Whether any action was done.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.by_function.values().any(|sum| sum.done > 0)
    }
}
