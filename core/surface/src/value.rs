//! Values that cross between script and machine, and the one trait that answers calls.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What a host function takes and gives. Secrets are handles: their bytes never cross.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing.
    #[default]
    #[n(0)]
    Unit,
    /// Yes or no.
    #[n(1)]
    Bool(#[n(0)] bool),
    /// A whole number.
    #[n(2)]
    Int(#[n(0)] i64),
    /// Text.
    #[n(3)]
    Text(#[n(0)] String),
    /// A list.
    #[n(4)]
    List(#[n(0)] Vec<Value>),
    /// Names to values.
    #[n(5)]
    Map(#[n(0)] BTreeMap<String, Value>),
    /// An opaque secret, by handle; it has no text.
    #[n(6)]
    #[serde(skip)]
    Secret(#[n(0)] u32),
}

impl Value {
    /// The word for a value's type in messages.
    #[must_use]
    pub const fn type_word(&self) -> &'static str {
        match self {
            Self::Unit => "nothing",
            Self::Bool(_) => "yes or no",
            Self::Int(_) => "a whole number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Secret(_) => "a secret",
        }
    }
    /// A map from pairs.
    #[must_use]
    pub fn map<const N: usize>(pairs: [(&str, Self); N]) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }
    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
    /// A number of things or bytes.
    #[must_use]
    pub fn count(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
    /// As JSON: a text as [`protocol::facts::shown`] has it, a secret as nothing.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unit | Self::Secret(_) => serde_json::Value::Null,
            Self::Bool(yes) => (*yes).into(),
            Self::Int(number) => (*number).into(),
            Self::Text(text) => protocol::facts::shown(text).into(),
            Self::List(all) => all.iter().map(Self::to_json).collect(),
            Self::Map(all) => all.iter().map(|(name, one)| (name.clone(), one.to_json())).collect(),
        }
    }
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
    /// The number, if it is one.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(n) = self { Some(*n) } else { None }
    }
    /// The truth value, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }
    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }
    /// One entry of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        if let Self::Map(map) = self { map.get(key) } else { None }
    }
}

/// One call of a host function.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Call {
    /// Its name, as in `fs.remove`.
    #[n(0)]
    pub function: String,
    /// Arguments by position; the last may be a map of options.
    #[n(1)]
    pub args: Vec<Value>,
}

/// Why a host function did not answer. The script may catch it, except where `fatal`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{function}: {message}")]
pub struct HostError {
    /// The function.
    #[n(0)]
    pub function: String,
    /// Stable code, as in `not_permitted`, `not_now`, `unknowable`, `bad_argument`, `failed`.
    #[n(1)]
    pub code: String,
    /// One sentence; never a secret.
    #[n(2)]
    pub message: String,
    /// Whether the run ends here whatever the script does.
    #[n(3)]
    pub fatal: bool,
}

/// Answers a script's calls: the executor on a machine, the fake host in tests.
pub trait Host {
    /// Does or plans one call.
    ///
    /// # Errors
    /// [`HostError`] as the function's row describes.
    fn call(&mut self, call: &Call) -> Result<Value, HostError>;
}
