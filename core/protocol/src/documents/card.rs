//! Endpoint card: an enroller says which keys are this machine's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bytes, Digest, EndpointId, EndpointName, Label, PayloadType, PublicKey, Time, limits};

/// A public key that secrets are sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingKey {
    /// `xwing-hkdf-sha256-chacha20poly1305`: HPKE (RFC 9180) with the X-Wing hybrid, draft 10.
    pub algorithm: String,
    /// The raw public key, 1,216 bytes for X-Wing.
    pub key: Bytes,
}

/// Who an endpoint is. Signed by an enroller that policy lists; revoked by serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The endpoint's id for ever.
    pub endpoint: EndpointId,
    /// What people call it.
    pub name: EndpointName,
    /// SHA-256 of the SubjectPublicKeyInfo of its TLS key.
    pub tls_key: Digest,
    /// Verifies its hellos and records.
    pub record_key: PublicKey,
    /// Secrets for it are sealed to this key.
    pub sealing_key: SealingKey,
    /// Labels that its enroller may give.
    pub labels: BTreeMap<Label, Label>,
    /// Counts up per organisation.
    pub serial: u64,
    /// When it was signed.
    pub issued: Time,
    /// When it ends.
    pub not_after: Time,
}

impl PayloadType for Card {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.card.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
