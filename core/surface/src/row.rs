//! The shape of a registry row.

use std::collections::BTreeSet;

use protocol::{Manifest, Risk};
use serde::{Deserialize, Serialize};

/// Reads, changes, or speaks to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads.
    Query,
    /// Changes; works only in `remediate`.
    Action,
    /// Speaks (`report::*`); always allowed, capped.
    Report,
}

/// Rights of the executor that a row needs; a run has the union of its manifest's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Reads only; the kernel holds it.
    Look,
    /// Writes beneath permitted directories; the kernel holds it.
    Files,
    /// Account programs; mediated by our code.
    Accounts,
    /// One bus socket; mediated.
    Services,
    /// Netlink or one port; mediated.
    Network,
    /// Package programs; mediated.
    Packages,
}

impl Class {
    /// Whether the kernel holds the executor to its permissions.
    #[must_use]
    pub const fn contained(self) -> bool {
        matches!(self, Self::Look | Self::Files)
    }
    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Files => "files",
            Self::Accounts => "accounts",
            Self::Services => "services",
            Self::Network => "network",
            Self::Packages => "packages",
        }
    }
    /// The class a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Look, Self::Files, Self::Accounts, Self::Services, Self::Network, Self::Packages]
            .into_iter()
            .find(|class| class.word() == word)
    }
}

/// Type of an argument or option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ty {
    /// Yes or no.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// A list of values (of maps that an earlier query gave, or of texts).
    List,
    /// A map.
    Map,
    /// A secret's handle.
    Secret,
    /// Any value but a secret.
    Any,
}

impl Ty {
    /// The word in messages; the same words as [`crate::Value::type_word`].
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "yes or no",
            Self::Int => "a whole number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Secret => "a secret",
            Self::Any => "a value",
        }
    }
}

/// A named argument or option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
    /// What it means, with units and limits.
    pub doc: &'static str,
}

/// What the nouns of a permission are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Noun {
    /// No permission is needed (queries about the machine's condition, reports).
    Free,
    /// A permission without nouns.
    Bare,
    /// Path patterns: absolute, `*` within a name, `**` for any depth, `{homes}`, `{user}`.
    Paths,
    /// systemd units, or `{param}`.
    Units,
    /// Accounts: `humans` or `{param}`.
    Accounts,
    /// Program names.
    Programs,
    /// Words that the row names.
    Words(&'static [&'static str]),
}

/// What an action puts into a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanKey {
    /// Nothing: it is a query or a report.
    None,
    /// The thing itself.
    Exact,
    /// The permission's pattern, with count and bytes.
    Within,
}

/// What undo can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing to undo.
    Nothing,
    /// Never.
    Never,
    /// Exactly.
    Full,
    /// To an earlier state only.
    Partial,
}

/// One host function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Row {
    /// As in `fs.remove`; in scripts `fs::remove`. Also the permission's name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Reads, changes or speaks.
    pub kind: Kind,
    /// What its permission names.
    pub noun: Noun,
    /// Which argument is the noun (position), where there is one.
    pub noun_arg: Option<usize>,
    /// It tells of people: a run has it only where policy lists it under `personal`.
    pub personal: bool,
    /// Least risk of a script that has the permission.
    pub least_risk: Risk,
    /// Rights it needs.
    pub class: Class,
    /// Arguments, all required.
    pub args: &'static [Spec],
    /// Options of the last map; empty means no map is taken.
    pub options: &'static [Spec],
    /// What it gives.
    pub gives: &'static str,
    /// Its error codes beyond `not_permitted`, `not_now`, `bad_argument`.
    pub errors: &'static [&'static str],
    /// What it puts into a plan.
    pub plan: PlanKey,
    /// What undo can promise.
    pub undo: Undo,
    /// How its effect is verified.
    pub verify: &'static str,
}

impl Row {
    /// Whether `ABOUT` must name it.
    #[must_use]
    pub const fn needs_permission(&self) -> bool {
        !matches!(self.noun, Noun::Free)
    }
}

/// The classes of a manifest: the union of its permissions' rows, and `look`.
#[must_use]
pub fn classes_of(manifest: &Manifest) -> BTreeSet<Class> {
    let rows = manifest.permissions.keys().filter_map(|name| crate::find(name));
    std::iter::once(Class::Look).chain(rows.map(|row| row.class)).collect()
}

/// The permission with the highest least risk, where it is above the manifest's own; unknown
/// permissions count as high.
#[must_use]
pub fn least_risk(manifest: &Manifest) -> Option<(String, Risk)> {
    manifest
        .permissions
        .keys()
        .map(|name| (name.clone(), crate::find(name).map_or(Risk::High, |row| row.least_risk)))
        .filter(|(_, risk)| *risk > manifest.risk)
        .max_by_key(|(_, risk)| *risk)
}
