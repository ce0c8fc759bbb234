//! Plans: what a fix would do, as keys that every action of the fix must fall under (P8).

use serde::{Deserialize, Serialize};

use crate::documents::Asked;
use crate::{Digest, EndpointId, PayloadType, Risk, ScriptName, Time, limits};

/// How far a plan key reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanReach {
    /// This thing and no other: a unit, an account, one file.
    Exact,
    /// Things beneath this pattern; their number and size are part of the promise.
    Within,
}

/// One key of a plan: a host function, the noun it may touch, how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLine {
    /// Host function, as in `fs.remove`.
    pub function: String,
    /// The noun: a pattern for [`PlanReach::Within`], the thing itself for [`PlanReach::Exact`].
    pub key: String,
    /// How far the key reaches.
    pub reach: PlanReach,
    /// How many things.
    pub count: u64,
    /// How many bytes, zero where bytes mean nothing.
    pub bytes: u64,
    /// What people call it, as in `package cache`.
    pub label: String,
}

/// What a fix would do, made on the endpoint by running `remediate` with no effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The endpoint it was made on.
    pub endpoint: EndpointId,
    /// The script it was made with.
    pub script: ScriptName,
    /// SHA-256 of that script's source.
    pub script_digest: Digest,
    /// SHA-256 of the parameters as the order had them.
    pub parameters: Digest,
    /// When.
    pub made: Time,
    /// What `detect` found, one sentence.
    pub found: String,
    /// What it would do, in order; one line a key.
    pub lines: Vec<PlanLine>,
    /// What it leaves alone and why, in the script's words.
    pub skipped: Vec<String>,
    /// Where the plan ends because only the action could tell, if it does.
    pub unknowable: Option<String>,
    /// What the person at the machine said to it, where the order wanted them asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl PayloadType for Plan {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.plan.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::PLAN_BYTES_MAX;
}

/// How a fix left its plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanDrift {
    /// An action that no key covers.
    #[error("`{function}` on `{noun}` is not in the plan")]
    NotPlanned {
        /// Host function.
        function: String,
        /// What it wanted to touch.
        noun: String,
    },
    /// More things or bytes under a key than the plan and its tolerance allow.
    #[error("more than planned under `{key}`: planned {planned}, wanted {wanted}")]
    Grown {
        /// The plan key.
        key: String,
        /// As planned.
        planned: u64,
        /// As wanted.
        wanted: u64,
    },
}

impl PlanLine {
    /// Most things this line lets a fix touch: low risk may grow by a tenth (at least one) within
    /// a pattern, anything else not at all.
    #[must_use]
    pub fn count_max(&self, risk: Risk) -> u64 {
        self.grown(self.count, risk)
    }
    /// Most bytes this line lets a fix touch, by the same rule.
    #[must_use]
    pub fn bytes_max(&self, risk: Risk) -> u64 {
        self.grown(self.bytes, risk)
    }
    fn grown(&self, value: u64, risk: Risk) -> u64 {
        match (self.reach, risk) {
            (PlanReach::Within, Risk::Low) => value.saturating_add(value.div_ceil(10)),
            _ => value,
        }
    }
}
