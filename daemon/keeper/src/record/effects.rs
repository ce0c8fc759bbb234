//! What an effects file says. Never trusts its lines: the executor wrote them, a crash may cut them.

use std::collections::BTreeMap;

use protocol::Digest;
use protocol::documents::{ByFunction, InFlight};

/// The gist of one effects file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectsSummary {
    /// SHA-256 of the file as it lies there.
    pub digest: Digest,
    /// Whole lines.
    pub lines: u64,
    /// Summary per host function.
    pub by_function: BTreeMap<String, ByFunction>,
    /// The last `about` without an end.
    pub in_flight: Option<InFlight>,
}
