//! Record: an endpoint's signed account of one run, an in-toto Statement v1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Asked, CatalogueVersions, ConsentStatement, Identified, IdentityCheck, ScriptRef};
use crate::{
    AgentName, Digest, EndpointId, EndpointName, Mode, OrderId, Outcome, PayloadType, Refusal,
    RunId, TicketId, Time, limits,
};

/// in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Ours; the version of the record's form.
pub const PREDICATE_TYPE: &str = "urn:salve:record:v1";

/// What the statement is about: `order` and `effects`, each by SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSubject {
    /// `order` or `effects`.
    pub name: String,
    /// `sha256` only.
    pub digest: BTreeMap<String, Digest>,
}

impl RecordSubject {
    /// A subject by SHA-256.
    #[must_use]
    pub fn sha256(name: &str, digest: Digest) -> Self {
        Self { name: name.to_owned(), digest: BTreeMap::from([("sha256".to_owned(), digest)]) }
    }
}

/// The statement. payloadType is in-toto's; the version is in `predicateType`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The order, then the effects file.
    pub subject: Vec<RecordSubject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What happened.
    pub predicate: RecordPredicate,
}

impl PayloadType for Record {
    const PAYLOAD_TYPE: &'static str = "application/vnd.in-toto+json";
    const PAYLOAD_BYTES_MAX: usize = limits::RECORD_BYTES_MAX;
}

/// The endpoint that did the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRef {
    /// Its id.
    pub id: EndpointId,
    /// Its name.
    pub name: EndpointName,
    /// Digest of its card.
    pub card: Digest,
}

/// What the keeper decided, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// Let it run.
    Permit {
        /// The policy rule that decided, and what was waived.
        reasons: Vec<String>,
    },
    /// Did not.
    Refuse {
        /// Why.
        refusal: Refusal,
    },
}

/// Count per host function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByFunction {
    /// Actions done.
    pub done: u64,
    /// Actions that failed.
    pub failed: u64,
    /// Bytes that were touched.
    pub bytes: u64,
}

/// The effects file: one JSON object a line, `about` before and `done` or `failed` after each action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effects {
    /// SHA-256 of the whole file, also of what was beyond its limit.
    pub digest: Digest,
    /// Lines.
    pub lines: u64,
    /// Bytes that were beyond the limit: counted and hashed, not kept.
    pub dropped_bytes: u64,
    /// Summary per host function.
    pub by_function: BTreeMap<String, ByFunction>,
}

/// What the script printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputDigest {
    /// SHA-256 of everything.
    pub digest: Digest,
    /// Bytes of everything.
    pub bytes: u64,
    /// Bytes that were kept.
    pub kept: u64,
}

/// The live events, so that who watched can compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsDigest {
    /// SHA-256 over the encoded events in order, as the line of the submission got them.
    pub digest: Digest,
    /// How many there were, those that were dropped too.
    pub count: u64,
    /// How many a slow line did not get.
    pub dropped: u64,
}

/// The action that was under way when a run was interrupted; its state is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFlight {
    /// Host function.
    pub function: String,
    /// What it touched.
    pub noun: String,
}

/// A one-time secret that was made, sealed to the order's signer. Its sealed bytes lie in escrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    /// Its number in the run.
    pub handle: u32,
    /// SHA-256 of the sealed bytes as [`crate::frames::Answer::Escrow`] brings them.
    pub sealed: Digest,
    /// After this it should no longer be opened.
    pub not_after: Time,
}

/// What happened, in the endpoint's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPredicate {
    /// The run; see [`RecordPredicate::run_fits`].
    pub run: RunId,
    /// The order's id (its digest is the subject).
    pub order: OrderId,
    /// Where.
    pub endpoint: EndpointRef,
    /// Who ordered.
    pub agent: AgentName,
    /// What.
    pub script: ScriptRef,
    /// How.
    pub mode: Mode,
    /// For which ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// As the order stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<Identified>,
    /// The desk's word on it, where an attestation came that says so: checked, not only stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_checked: Option<IdentityCheck>,
    /// As the order stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentStatement>,
    /// What came of asking the person at the machine: of a plan that asked, and of a fix bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Permit or refusal.
    pub decision: Decision,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence: the last finding, or why it failed. No secrets, no parameter values of kind secret.
    pub summary: String,
    /// Stable reason where the outcome is neither succeeded nor unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What `detect` found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Sentence for the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// Digest of the plan that was made, or that bound this fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// What was left alone and why.
    pub skipped: Vec<String>,
    /// What it did.
    pub effects: Effects,
    /// What it printed.
    pub output: OutputDigest,
    /// What it sent live.
    pub events: EventsDigest,
    /// Limits that were hit, as in `output`.
    pub limits_hit: Vec<String>,
    /// Set where the outcome is `interrupted` and an action had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// One-time secrets that were made; each was in escrow before the script had it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SealedSecret>,
    /// Profile classes of the run.
    pub classes: Vec<String>,
    /// Whether the kernel held the executor to its permissions (false for mediated classes).
    pub kernel_held: bool,
    /// Start-up report: each defence and how far it is on.
    pub defences: BTreeMap<String, String>,
    /// What is weak by configuration, as in "scripts of every risk need one signature of one".
    pub weaknesses: Vec<String>,
    /// The catalogue that decided.
    pub catalogue: CatalogueVersions,
    /// When the order was accepted or refused.
    pub accepted: Time,
    /// When the run ended.
    pub ended: Time,
    /// How long, milliseconds (monotonic).
    pub duration_ms: u64,
    /// Ledger epoch.
    pub epoch: Digest,
    /// Place in the chain of records, from 1.
    pub counter: u64,
    /// SHA-256 of the previous record's payload; the epoch for the first.
    pub previous: Digest,
    /// Version of the daemon.
    pub version: String,
}

impl RecordPredicate {
    /// Whether [`Self::run`] is the id of this order on this endpoint. A run and a first refusal have
    /// occurrence 0; a refusal of an order that already has a record has the record's own counter
    /// as its occurrence, so that it can be fetched and never stands in for the run's record.
    #[must_use]
    pub fn run_fits(&self, order: &Digest) -> bool {
        let of = |occurrence| RunId::of(order, &self.endpoint.id, occurrence) == self.run;
        of(0) || self.outcome == Outcome::Refused && of(self.counter)
    }
}
