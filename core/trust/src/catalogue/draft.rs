//! A change of one role that still collects signatures: what goes from vetter to vetter.
//!
//! Never in force by itself: only `Repository::publish` makes it so, and only with its role's
//! threshold.

use std::collections::BTreeMap;

use protocol::{Bytes, PublicKey, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::build::{self, Signatures};
use super::error::RepositoryError;
use super::plan::RoleKeys;
use crate::keys::Signer;

/// A role's next version with the signatures it has so far, and the files it brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub(super) role: String,
    pub(super) version: u64,
    pub(super) signed: Value,
    #[serde(with = "by_hex")]
    pub(super) signatures: Signatures,
    pub(super) files: BTreeMap<String, Bytes>,
}

impl Draft {
    pub(super) fn new(role: &str, version: u64, signed: Value) -> Self {
        Self {
            role: role.to_owned(),
            version,
            signed,
            signatures: Signatures::new(),
            files: BTreeMap::new(),
        }
    }

    /// The role it changes, as in `risk-medium`.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The version it will be.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The files it brings, by name in the repository: the script's source, the policy.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.0.as_slice()))
    }

    /// Who has signed so far; not yet checked.
    #[must_use]
    pub fn signers(&self) -> Vec<PublicKey> {
        self.signatures.keys().copied().collect()
    }

    /// Adds a signature. What is signed must be of the draft's role: a draft that says low risk
    /// and lists a script of high risk is refused here, before a key touches it.
    ///
    /// # Errors
    /// [`RepositoryError::Misplaced`] for such a draft, [`RepositoryError::Sign`] where the key's
    /// holder cannot sign.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), RepositoryError> {
        if !self.in_its_place() {
            return Err(RepositoryError::Misplaced { role: self.role.clone() });
        }
        let anybody = RoleKeys::new(1, [signer.public_key()]);
        build::sign(&self.signed, &[&anybody], &[signer], &mut self.signatures)
    }

    fn in_its_place(&self) -> bool {
        let kind = self.signed.get("_type").and_then(Value::as_str);
        if self.role == "root" {
            return kind == Some("root");
        }
        let folder = super::guard::pattern(&self.role).unwrap_or_default();
        let folder = folder.trim_end_matches('*');
        let targets = self.signed.get("targets").and_then(Value::as_object);
        let beneath = |path: &String| !folder.is_empty() && path.starts_with(folder);
        kind == Some("targets") && targets.is_some_and(|t| t.keys().all(beneath))
    }

    /// As a file for the next vetter.
    ///
    /// # Errors
    /// [`RepositoryError::Draft`]; not seen in practice.
    pub fn write(&self) -> Result<Vec<u8>, RepositoryError> {
        json::write(self).map_err(RepositoryError::Draft)
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`RepositoryError::Draft`] where it is something else.
    pub fn read(bytes: &[u8]) -> Result<Self, RepositoryError> {
        json::read(bytes).map_err(RepositoryError::Draft)
    }
}

/// A map by public key, with text keys in JSON.
mod by_hex {
    use super::Signatures;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(map: &Signatures, s: S) -> Result<S::Ok, S::Error> {
        let texts: BTreeMap<String, &String> =
            map.iter().map(|(key, sig)| (key.to_string(), sig)).collect();
        texts.serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Signatures, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(d)?;
        let read = |(key, sig): (String, String)| {
            key.parse().map(|key| (key, sig)).map_err(serde::de::Error::custom)
        };
        texts.into_iter().map(read).collect()
    }
}
