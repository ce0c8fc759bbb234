//! Order: what an agent signs to have something run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BySession, CatalogueVersions};
use crate::{
    AgentName, Digest, EndpointId, Envelope, Label, Mode, OrderId, Params, PayloadType, PublicKey,
    ScriptName, TicketId, Time, limits,
};

/// Which script, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptRef {
    /// Its name.
    pub name: ScriptName,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its source.
    pub digest: Digest,
}

/// How the agent says the person was identified. Stated by the agent; of a code the desk's word may come
/// beside it, as [`super::IdentityCheck`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Identified {
    /// A one-time code to the contact on file.
    Code,
    /// Called back on the number on file.
    Callback,
    /// A manager vouched.
    Manager {
        /// Which manager.
        name: String,
    },
    /// Showed a card.
    IdCard,
}

/// What follows "identified" in a sentence. The manager's name stands as it was stated: foreign text,
/// to be made harmless by whoever shows it.
impl fmt::Display for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("by a code to the contact on file"),
            Self::Callback => f.write_str("by a call back to the number on file"),
            Self::Manager { name } => write!(f, "by the manager {name}"),
            Self::IdCard => f.write_str("by a card"),
        }
    }
}

/// What the person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentAnswer {
    /// The question was read aloud and the person said yes.
    Spoken,
    /// Policy waives the question for this order.
    Waived,
    /// None yet: a plan asks the person at the machine, with the script's own question.
    Ask,
}

/// Consent as the agent records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentStatement {
    /// The answer.
    pub answer: ConsentAnswer,
    /// The question as it was read.
    pub question: String,
}

/// A live order. Its digest is the replay key; nothing outside its signature steers the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Random.
    pub id: OrderId,
    /// Who orders; must be the signer.
    pub agent: AgentName,
    /// Signs this order's dispatches: the agent's own key, or one made for this order.
    pub dispatch_key: PublicKey,
    /// What runs.
    pub script: ScriptRef,
    /// How.
    pub mode: Mode,
    /// With what; secrets are never here.
    pub parameters: Params,
    /// Where: 1 to 64 endpoints.
    pub targets: Vec<EndpointId>,
    /// For which ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// Why, in the agent's words.
    pub reason: String,
    /// How the person was identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<Identified>,
    /// What the person answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentStatement>,
    /// The break-glass key that stands in for the approvals that policy wants; `reason` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Label>,
    /// Digest of the plan this fix is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The catalogue that the agent saw; an endpoint with an older one refuses.
    pub catalogue: CatalogueVersions,
    /// Not before.
    pub not_before: Time,
    /// Not after.
    pub not_after: Time,
    /// The paper of the session key that signed this, an envelope of [`super::SessionKey`]; none where
    /// the agent's own key did. Inside the order, so that it goes wherever the order goes and nobody
    /// can put another in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<Envelope>,
}

impl PayloadType for Order {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.order.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::ORDER_BYTES_MAX;
}

impl BySession for Order {
    fn person(&self) -> &AgentName {
        &self.agent
    }
    fn session_key(&self) -> Option<&Envelope> {
        self.session_key.as_ref()
    }
}
