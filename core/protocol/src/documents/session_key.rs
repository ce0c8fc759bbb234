//! Session key: a person lends the right to order to a key that lives for a working day at most.

use serde::{Deserialize, Serialize};

use crate::{AgentName, Envelope, Label, PayloadType, PublicKey, Risk, Time, limits};

/// Signed by the person's own signing key. Travels inside everything that the session key signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionKey {
    /// Whose right is lent; an order under the key names the same person.
    pub person: AgentName,
    /// Verifies orders, and the dispatches of those that are sent at once.
    pub key: PublicKey,
    /// Up to which risk of script; never high.
    pub risk: Risk,
    /// The machine that holds the key, as its console names it; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Label>,
    /// No order under it begins before.
    pub not_before: Time,
    /// No order under it lives longer; at most [`limits::SESSION_KEY_SECONDS_MAX`] after `not_before`.
    pub not_after: Time,
}

impl PayloadType for SessionKey {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.session-key.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::SESSION_KEY_BYTES_MAX;
}

/// What a session key may sign in its person's place.
pub trait BySession: PayloadType {
    /// Who is meant to have signed.
    fn person(&self) -> &AgentName;
    /// The paper of the session key that signed; none where the person's own key did.
    fn session_key(&self) -> Option<&Envelope>;
}
