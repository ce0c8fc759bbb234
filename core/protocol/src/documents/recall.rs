//! Recall: take back a run that runs, or keep one from starting.

use serde::{Deserialize, Serialize};

use super::BySession;
use crate::{AgentName, Digest, Envelope, PayloadType, Time, limits};

/// What is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecallScope {
    /// The run that runs or waits now; the order may not start later either.
    CancelRun,
    /// No further occurrence of a standing order; what runs goes on.
    NoFurtherOccurrence,
}

/// Signed by the order's agent, an approver, or whom policy names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// The order.
    pub order: Digest,
    /// Who recalls.
    pub agent: AgentName,
    /// What.
    pub scope: RecallScope,
    /// Why.
    pub reason: String,
    /// When it was signed.
    pub issued: Time,
    /// The paper of the session key that signed this, as in an order. Such a recall takes back the
    /// agent's own orders only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<Envelope>,
}

impl PayloadType for Recall {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.recall.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}

impl BySession for Recall {
    fn person(&self) -> &AgentName {
        &self.agent
    }
    fn session_key(&self) -> Option<&Envelope> {
        self.session_key.as_ref()
    }
}
