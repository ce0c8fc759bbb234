//! Ticket attestation: the desk says what a ticket is like. It can only narrow.

use serde::{Deserialize, Serialize};

use crate::{AgentName, EndpointId, PayloadType, TicketId, Time, limits};

/// State class of a ticket.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum TicketState {
    /// Work may go on.
    #[n(0)]
    Open,
    /// Waits for somebody.
    #[n(1)]
    Pending,
    /// Solved, may be reopened.
    #[n(2)]
    Resolved,
    /// Ended.
    #[n(3)]
    Closed,
}

/// Signed by the desk's ticket key, which policy lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketAttestation {
    /// The ticket.
    pub ticket: TicketId,
    /// Whose it is.
    pub assignee: Option<AgentName>,
    /// Endpoints that it names.
    pub endpoints: Vec<EndpointId>,
    /// Its state.
    pub state: TicketState,
    /// When it was signed.
    pub issued: Time,
    /// At most 10 min later.
    pub not_after: Time,
}

impl PayloadType for TicketAttestation {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.ticket-attestation.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
