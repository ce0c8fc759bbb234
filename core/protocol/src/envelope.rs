//! DSSE envelopes (secure-systems-lab/dsse v1.0.2): the shape, not the checking; `trust` opens them.

use serde::{Deserialize, Serialize};

use crate::{Bytes, Digest, json, limits};

/// One signature. `keyid` is a hint that nobody signed; only the key that verifies counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Hex SHA-256 of the key in securesystemslib's canonical form.
    pub keyid: String,
    /// The 64 bytes of ed25519 (RFC 8032).
    pub sig: Bytes,
}

/// A sealed document. The payload's bytes are what was signed; they are never written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The document's bytes.
    pub payload: Bytes,
    /// What kind of document the signer meant.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Who signed.
    pub signatures: Vec<Signature>,
}

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than any document may be.
    #[error("envelope of {0} bytes is larger than {max}", max = limits::ENVELOPE_BYTES_MAX)]
    TooLarge(usize),
    /// Not an envelope.
    #[error("could not read the envelope")]
    Shape(#[source] json::BadJson),
    /// More signatures than any document needs.
    #[error("envelope has {0} signatures, at most {max} are read", max = limits::SIGNATURES_MAX)]
    Signatures(usize),
}

impl Envelope {
    /// Reads an envelope. Unknown envelope fields are ignored as DSSE asks; duplicates are not.
    ///
    /// # Errors
    /// [`EnvelopeError`] names the limit or the fault; never the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > limits::ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let envelope: Self = json::read(bytes).map_err(EnvelopeError::Shape)?;
        if envelope.signatures.len() > limits::SIGNATURES_MAX {
            return Err(EnvelopeError::Signatures(envelope.signatures.len()));
        }
        Ok(envelope)
    }

    /// The envelope's bytes.
    ///
    /// # Errors
    /// Never in practice; see [`json::write`].
    pub fn write(&self) -> Result<Vec<u8>, json::BadJson> {
        json::write(self)
    }

    /// SHA-256 of the payload: the document's name everywhere. Never of the envelope.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload.0)
    }

    /// DSSE's pre-authentication encoding: what is really signed.
    #[must_use]
    pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
        let head = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len());
        let mut out = Vec::with_capacity(head.len() + payload.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// A document type with its one payload type; checked before the payload is parsed.
pub trait PayloadType: serde::Serialize + serde::de::DeserializeOwned {
    /// As in `application/vnd.salve.order.v1+json`.
    const PAYLOAD_TYPE: &'static str;
    /// Largest payload, bytes.
    const PAYLOAD_BYTES_MAX: usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_is_the_one_of_the_specification() {
        assert_eq!(
            Envelope::pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
