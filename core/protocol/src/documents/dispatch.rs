//! Dispatch: the short-lived, endpoint-bound half of a live order.

use serde::{Deserialize, Serialize};

use crate::{Bytes, Digest, EndpointId, PayloadType, Time, limits};

/// Bytes sealed with HPKE (RFC 9180) in base mode, single shot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// As in [`super::SealingKey::algorithm`].
    pub algorithm: String,
    /// The encapsulated key.
    pub enc: Bytes,
    /// The ciphertext with its tag.
    pub ciphertext: Bytes,
}

/// Signed by the order's `dispatch_key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// The order.
    pub order: Digest,
    /// The one endpoint.
    pub endpoint: EndpointId,
    /// That endpoint's challenge of this session.
    pub challenge: Digest,
    /// Counts up from 1 under one challenge; each pair is taken once, in a window of 64.
    pub number: u64,
    /// One sealed map of this endpoint's secrets (JSON object of texts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Sealed>,
    /// When it was signed.
    pub issued: Time,
    /// At most 5 min after `issued`; advice for people, the challenge's life is what binds.
    pub not_after: Time,
}

impl PayloadType for Dispatch {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.dispatch.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
