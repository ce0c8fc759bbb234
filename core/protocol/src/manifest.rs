//! The manifest: a script's `ABOUT` as signed JSON in the catalogue (TUF `custom`).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentName, ScriptName};

/// A script's class.
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
pub enum Risk {
    /// Reversible, or removes only what is made again.
    #[n(0)]
    Low,
    /// Interrupts work or changes configuration.
    #[n(1)]
    Medium,
    /// Access, identity, data, isolation.
    #[n(2)]
    High,
}

impl Risk {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];
    /// The word, as in target paths.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
    /// The TUF role that lists scripts of this risk.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::Low => "risk-low",
            Self::Medium => "risk-medium",
            Self::High => "risk-high",
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the person at the machine is asked or told before a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Nothing: nobody would notice.
    None,
    /// Told afterwards or on the way; no answer needed.
    Tell,
    /// Must say yes; silence is no.
    Ask,
    /// Must be who they say they are: the order carries an identity statement.
    Identity,
}

/// Where a script may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsOn {
    /// On the machine that is helped.
    #[default]
    Endpoint,
    /// On an endpoint that holds a directory's own credentials.
    Management,
}

/// A parameter's value as an order carries it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number below 2^53.
    Int(i64),
    /// Text of at most 4 KiB.
    Text(String),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("yes"),
            Self::Bool(false) => f.write_str("no"),
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// An order's parameters by name.
pub type Params = BTreeMap<String, ParamValue>;

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Yes or no.
    Bool,
    /// A whole number within `min..=max`.
    Int,
    /// Text of at most `max` characters, no control characters.
    Text,
    /// One of `of`, or of the site list that `from` names.
    Choice,
    /// A local account's name.
    User,
    /// An absolute path without `.` and `..`.
    Path,
    /// A DNS name.
    Hostname,
}

/// Where a choice's values come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choices {
    /// Listed in the script.
    Of(Vec<String>),
    /// A site list of the signed policy, as in `site.units`.
    From(String),
}

/// One parameter of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// What it takes.
    pub kind: ParamKind,
    /// The question that asks for it.
    pub ask: String,
    /// The value where the order has none; without it the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<ParamValue>,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Largest number, or most characters of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// The values of a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
}

/// A script's `ABOUT` as the catalogue carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The script's name, as in `cache.clear`.
    pub name: ScriptName,
    /// Counts up; one version is one digest for ever.
    pub version: u32,
    /// A few words, as in "Clear package and browser caches".
    pub title: String,
    /// One sentence for lists: what it changes.
    pub does: String,
    /// Who wrote this version; never the only vetter from medium risk up.
    pub author: AgentName,
    /// Its class; equals the role that lists it.
    pub risk: Risk,
    /// What the person is asked or told.
    pub consent: Consent,
    /// The sentence read to the person where consent is `ask` or `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Platforms, as in `linux`.
    pub platforms: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub runs_on: RunsOn,
    /// Deadline of a run, seconds.
    pub limit_seconds: u64,
    /// Parameters by name.
    pub parameters: BTreeMap<String, ParamSpec>,
    /// Permissions: host function to nouns (`{user}` and `{homes}` are filled on the endpoint).
    pub permissions: BTreeMap<String, Vec<String>>,
    /// Words people use in tickets for what this script helps with.
    #[serde(default)]
    pub words: Vec<String>,
}

impl Manifest {
    /// The target path of this version, as in `scripts/low/cache.clear-3.rhai`.
    #[must_use]
    pub fn target_path(&self) -> String {
        format!("scripts/{}/{}-{}.rhai", self.risk, self.name, self.version)
    }
    /// What the person at the machine is asked before a fix; none where nothing is asked.
    #[must_use]
    pub fn asks(&self) -> Option<&str> {
        let usual = "May I repair this now?";
        (self.consent == Consent::Ask).then(|| self.question.as_deref().unwrap_or(usual))
    }
}
