//! Break-glass: a key that lies in a safe stands in for the people who cannot be asked.

use serde::{Deserialize, Serialize};

use crate::{Digest, Label, PayloadType, Time, limits};

/// Signed by a break-glass key of the policy, never by a person's. A type of its own, so that no
/// approval is ever taken for it, nor it for an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// The order, which names this key and says why.
    pub order: Digest,
    /// The plan that was shown.
    pub plan: Digest,
    /// The key's name in the policy.
    pub key: Label,
    /// Not after.
    pub not_after: Time,
}

impl PayloadType for BreakGlass {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.break-glass.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
