//! Modes a script runs in and the closed list of outcomes.

use serde::{Deserialize, Serialize};

/// What an order asks for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Mode {
    /// `detect` only.
    #[n(0)]
    Check,
    /// `detect`, then `remediate` with its actions recorded and none done.
    #[n(1)]
    Plan,
    /// `detect`, `remediate`, `verify`.
    #[n(2)]
    Fix,
    /// Takes back what an earlier run's journal allows.
    #[n(3)]
    Undo,
}

impl Mode {
    /// Whether runs of this mode may change the machine.
    #[must_use]
    pub const fn mutates(self) -> bool {
        matches!(self, Self::Fix | Self::Undo)
    }
    /// The word for people and for documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Fix => "fix",
            Self::Undo => "undo",
        }
    }
}

/// How a run ended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Outcome {
    /// Something was changed and verified (fix); or check and plan ended well and found work to do.
    #[n(0)]
    Succeeded,
    /// Nothing needed changing.
    #[n(1)]
    Unchanged,
    /// The script or a host function failed before anything was changed, or verify says no.
    #[n(2)]
    Failed,
    /// Some actions were done, then it failed.
    #[n(3)]
    Partial,
    /// The deadline came first.
    #[n(4)]
    TimedOut,
    /// Recalled by a person.
    #[n(5)]
    Cancelled,
    /// Never started: the decision's reasons say why.
    #[n(6)]
    Refused,
    /// The machine or the daemon stopped in mid-run: what was in flight is unknown.
    #[n(7)]
    Interrupted,
}

impl Outcome {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Unchanged,
        Self::Failed,
        Self::Partial,
        Self::TimedOut,
        Self::Cancelled,
        Self::Refused,
        Self::Interrupted,
    ];

    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn for_people(self) -> &'static str {
        match self {
            Self::Succeeded => "fixed",
            Self::Unchanged => "healthy",
            Self::Failed | Self::Partial | Self::TimedOut | Self::Cancelled => "not repaired",
            Self::Refused => "refused",
            Self::Interrupted => "unknown",
        }
    }
}
