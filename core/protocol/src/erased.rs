//! What a desk erases after its time, and how it says so: digests and records stay, bodies go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Time;

/// How long a desk keeps bodies: effects, plans, orders with their reasons, notes, sealed secrets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days after a run.
    #[n(0)]
    pub days: u32,
    /// Days after a run of a script of high risk.
    #[n(1)]
    pub high_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        // A year and a month: last year's audit can still be answered.
        Self { days: 400, high_days: 400 }
    }
}

impl Retention {
    /// Fewest days: what was done last month is never gone before somebody asks.
    pub const DAYS_MIN: u32 = 30;
    /// Most days: forty years.
    pub const DAYS_MAX: u32 = 14_600;

    /// Whether a desk takes it: both within the limits, and high risk no shorter.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let limits = Self::DAYS_MIN..=Self::DAYS_MAX;
        limits.contains(&self.days)
            && limits.contains(&self.high_days)
            && self.high_days >= self.days
    }
}

/// Why something was erased.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum ErasedBy {
    /// Its time was over.
    #[n(0)]
    Rule,
    /// A person asked for it.
    #[n(1)]
    Request,
}

impl ErasedBy {
    /// The word, as stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Request => "request",
        }
    }
}

/// When and why the bodies of a run were erased. The desk's word.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// When.
    #[n(0)]
    pub at: Time,
    /// Why.
    #[n(1)]
    pub by: ErasedBy,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day: String = self.at.to_string().chars().take(10).collect();
        match self.by {
            ErasedBy::Rule => write!(f, "erased by rule on {day}"),
            ErasedBy::Request => write!(f, "erased on request on {day}"),
        }
    }
}
