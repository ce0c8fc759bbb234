//! The words both sides share: ids, limits, outcomes, documents, frames.
//!
//! Never does I/O, never checks a signature, never reads a clock. Everything here is data with one
//! way to write it and one strict way to read it, so that a seal over bytes means one thing only.
#![forbid(unsafe_code)]

mod digest;
pub mod documents;
mod effects;
mod envelope;
mod erased;
pub mod error_chain;
pub mod facts;
pub mod frames;
pub mod headed;
pub mod id;
pub mod json;
pub mod limits;
mod manifest;
mod name;
mod outcome;
mod plan;
mod refusal;
mod text;
mod time;

pub use digest::{Bytes, Digest, PublicKey};
pub use effects::{EffectLine, EffectState, EffectTally};
pub use envelope::{Envelope, EnvelopeError, PayloadType, Signature};
pub use erased::{Erased, ErasedBy, Retention};
pub use id::{EndpointId, OrderId, RunId};
pub use manifest::{
    Choices, Consent, Manifest, ParamKind, ParamSpec, ParamValue, Params, Risk, RunsOn,
};
pub use name::{AgentName, BadName, EndpointName, Label, NamePatterns, ScriptName, TicketId};
pub use outcome::{Mode, Outcome};
pub use plan::{Plan, PlanDrift, PlanLine, PlanReach};
pub use refusal::{BusyWith, Refusal};
pub use text::is_harmless;
pub use time::{BadTime, Time};
