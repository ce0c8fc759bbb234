//! Enrolment and joining: one token, one request, one answer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SealingKey;
use crate::{
    AgentName, Bytes, Digest, EndpointName, Envelope, PayloadType, PublicKey, Time, limits,
};

/// What the pasted line carries. The text form is base64url without padding over the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token<N> {
    /// The name that the new one will have.
    pub name: N,
    /// Where the desk listens, `HOST:PORT`.
    pub desk: String,
    /// SHA-256 of the organisation's first `root.json`.
    pub root: Digest,
    /// SHA-256 of the SubjectPublicKeyInfo of the desk's TLS key.
    pub desk_key: Digest,
    /// 16 random bytes; the desk keeps their SHA-256 only.
    pub secret: Bytes,
}

/// A text that is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a whole token: paste the line again, from `sudo` to its end")]
pub struct BadToken;

impl<N: Serialize> fmt::Display for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json))
    }
}

impl<N: serde::de::DeserializeOwned> FromStr for Token<N> {
    type Err = BadToken;
    fn from_str(text: &str) -> Result<Self, BadToken> {
        use base64::Engine as _;
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| BadToken)?;
        let token: Self = crate::json::read(&json).map_err(|_| BadToken)?;
        if token.secret.0.len() == 16 { Ok(token) } else { Err(BadToken) }
    }
}

/// An invitation for a colleague, as [`Token`] with an agent's name.
pub type Invitation = Token<AgentName>;

/// Signed by the record key that it names: proof of possession. At most 8 KiB with its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The token's secret.
    pub secret: Bytes,
    /// The token's name.
    pub name: EndpointName,
    /// SubjectPublicKeyInfo (DER) of the TLS key the endpoint made.
    pub tls_key: Bytes,
    /// The record key it made.
    pub record_key: PublicKey,
    /// The sealing key it made.
    pub sealing_key: SealingKey,
    /// UDP port on which its gate will listen.
    pub port: u16,
    /// `linux`.
    pub platform: String,
    /// Host name as the machine has it, for people.
    pub host: String,
}

impl PayloadType for EnrolRequest {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.enrol-request.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::ENROL_REQUEST_BYTES_MAX;
}

/// What an accepted endpoint gets. The catalogue itself follows in frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolAnswer {
    /// Its card, signed by the enroller.
    pub card: Envelope,
    /// Its certificate chain (DER), leaf first.
    pub certificates: Vec<Bytes>,
    /// The organisation's name, for people and certificates.
    pub organisation: String,
    /// Answered at.
    pub issued: Time,
    /// `HOST:PORT` of the desks that it dials and holds a line to, best first; an empty list is the
    /// desk that answered, as the token names it. None: nobody is dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desks: Option<Vec<String>>,
}

/// Signed by the signing key that it names: a colleague's public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The invitation's secret.
    pub secret: Bytes,
    /// The invitation's name.
    pub name: AgentName,
    /// SubjectPublicKeyInfo (DER) of his TLS key.
    pub tls_key: Bytes,
    /// Verifies his orders.
    pub signing_key: PublicKey,
    /// Secrets for him are sealed to this key.
    pub sealing_key: SealingKey,
}

impl PayloadType for JoinRequest {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.join-request.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::ENROL_REQUEST_BYTES_MAX;
}

/// What an accepted colleague gets. The catalogue follows in frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinAnswer {
    /// His certificate chain (DER), leaf first.
    pub certificates: Vec<Bytes>,
    /// The organisation's name.
    pub organisation: String,
    /// Answered at.
    pub issued: Time,
}
