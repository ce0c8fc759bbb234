//! Ticket attestation: the desk says what a ticket is like. It can only narrow.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentName, EndpointId, PayloadType, ScriptName, TicketId, Time, limits};

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

/// How a code reached the person.
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
pub enum ContactKind {
    /// An e-mail address.
    #[n(0)]
    Mail,
}

impl ContactKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Mail];

    /// The word, as stored and shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
        }
    }
}

/// How the desk found out who is calling.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum CheckedBy {
    /// A one-time code went to the contact on file, and the caller said it.
    #[n(0)]
    Code,
}

/// The desk's word that it checked who is calling, for one agent, ticket and script. It proves that
/// whoever read the contact's messages took part; whether that is the person, nobody here can know.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct IdentityCheck {
    /// How.
    #[n(0)]
    pub by: CheckedBy,
    /// Where the code went.
    #[n(1)]
    pub contact: ContactKind,
    /// That contact, masked as agents see it: `j…@example.com`. At most
    /// [`limits::MASKED_CHARS_MAX`] characters.
    #[n(2)]
    pub masked: String,
    /// Since when that contact is on file: a young one is how help desks are robbed.
    #[n(3)]
    pub on_file_since: Time,
    /// Whose contact it is, as the ticket names the person. At most [`limits::PERSON_CHARS_MAX`]
    /// characters.
    #[n(4)]
    pub person: String,
    /// The agent who handed the code in; nobody else's order is supported by it.
    #[n(5)]
    pub agent: AgentName,
    /// The script that it was asked for; no other is supported by it.
    #[n(6)]
    pub script: ScriptName,
    /// When the code was right.
    #[n(7)]
    pub at: Time,
    /// The machine that it was asked for, where one was named; no order for another is supported by it.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
}

impl IdentityCheck {
    /// Whether its texts are within their limits.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.masked.chars().count() <= limits::MASKED_CHARS_MAX
            && self.person.chars().count() <= limits::PERSON_CHARS_MAX
    }

    /// Whether an order that is valid from `not_before` may rest on it: it was made before, up to
    /// [`limits::IDENTITY_CHECK_SECONDS`], clocks differing by [`limits::CLOCK_SKEW_SECONDS`].
    #[must_use]
    pub fn supports(&self, not_before: Time) -> bool {
        self.at <= not_before.plus(limits::CLOCK_SKEW_SECONDS)
            && not_before <= self.at.plus(limits::IDENTITY_CHECK_SECONDS)
    }

    /// Whether an order that was sent at `sent` may rest on it: up to
    /// [`limits::IDENTITY_CHECK_SECONDS`] after it was made. What an order says of itself is the agent's.
    #[must_use]
    pub fn is_fresh(&self, sent: Time) -> bool {
        sent <= self.at.plus(limits::IDENTITY_CHECK_SECONDS)
    }

    /// Whether the contact was younger than [`limits::CONTACT_YOUNG_SECONDS`] when the code was said.
    #[must_use]
    pub fn is_young(&self) -> bool {
        self.at < self.on_file_since.plus(limits::CONTACT_YOUNG_SECONDS)
    }
}

/// What follows "identified" in a sentence. The masked contact is the desk's text: to be made harmless by
/// whoever shows it.
impl fmt::Display for IdentityCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by: CheckedBy::Code, contact, masked, .. } = self;
        write!(f, "by a code to the {} on file ({masked}), checked by the desk", contact.word())?;
        if self.is_young() {
            let days = self.at.since(self.on_file_since) / 86_400;
            write!(f, "; that {} was set {days} days before", contact.word())?;
        }
        Ok(())
    }
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
    /// That the desk checked who is calling; only beside an order that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_checked: Option<IdentityCheck>,
}

impl PayloadType for TicketAttestation {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.ticket-attestation.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
