//! Approval: another person says yes or no to an order and the plan that was shown.

use serde::{Deserialize, Serialize};

use crate::{AgentName, Digest, PayloadType, Time, limits};

/// Signed by the approver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The order.
    pub order: Digest,
    /// The plan that was shown.
    pub plan: Digest,
    /// Who answers; never the order's agent.
    pub person: AgentName,
    /// Yes or no.
    pub yes: bool,
    /// Not after.
    pub not_after: Time,
}

impl PayloadType for Approval {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.approval.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
