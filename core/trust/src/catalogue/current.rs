//! What a repository's folder says is published now. Never checks signatures: `read` does, before
//! anything is written.

use std::collections::BTreeMap;

use protocol::Time;
use serde_json::{Map, Value};
use sigstore_tuf::{Metadata, Role, Root, Targets};

use super::build::Signatures;
use super::error::RepositoryError;
use super::files::{Files, read_role_file, role_file};
use super::guard;
use super::plan::RoleKeys;
use super::read::TIMESTAMP;

/// One role's file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) version: u64,
    pub(super) signed: Value,
    pub(super) bytes: Vec<u8>,
}

impl Part {
    pub(super) fn read(files: &Files, name: &str) -> Result<Self, RepositoryError> {
        let damaged = || RepositoryError::Damaged { file: name.to_owned() };
        let bytes = files.get(name).ok_or_else(damaged)?.to_vec();
        guard::strict(name, &bytes).map_err(RepositoryError::Refused)?;
        let mut value: Value = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        let signed = value.get_mut("signed").map(Value::take).ok_or_else(damaged)?;
        let version = signed.get("version").and_then(Value::as_u64).ok_or_else(damaged)?;
        Ok(Self { version, signed, bytes })
    }

    /// What it lists or pins.
    pub(super) fn map(&self, field: &str) -> Map<String, Value> {
        self.signed.get(field).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// When it ends.
    pub(super) fn expires(&self) -> Time {
        let text = self.signed.get("expires").and_then(Value::as_str);
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The signatures it carries, by the keys of `role`.
    pub(super) fn signatures(&self, role: &RoleKeys) -> Signatures {
        let value: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let listed = value.get("signatures").and_then(Value::as_array).cloned();
        let text = |v: &Value, field| Some(v.get(field)?.as_str()?.to_owned());
        let by_id: BTreeMap<String, String> = listed
            .unwrap_or_default()
            .iter()
            .filter_map(|v| Some((text(v, "keyid")?, text(v, "sig")?)))
            .collect();
        let of = |key| Some((key, by_id.get(&crate::key_id(&key))?.clone()));
        role.keys.iter().copied().filter_map(of).collect()
    }
}

/// What is published.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) files: Files,
    pub(super) first_root: Vec<u8>,
    pub(super) root: Part,
    pub(super) timestamp: Part,
    pub(super) snapshot: Part,
    pub(super) roles: BTreeMap<String, Part>,
    pub(super) keys: BTreeMap<String, RoleKeys>,
}

impl Current {
    /// Follows the timestamp down; files that nothing leads to are not looked at.
    pub(super) fn read(files: Files) -> Result<Self, RepositoryError> {
        let roots = files.iter().filter_map(|(name, _)| read_role_file(name));
        let newest = roots.filter(|(_, role)| *role == "root").map(|(v, _)| v).max();
        let damaged = |file: &str| RepositoryError::Damaged { file: file.to_owned() };
        let newest = newest.ok_or_else(|| damaged("1.root.json"))?;
        let root = Part::read(&files, &role_file(newest, "root"))?;
        let first_root = files.get("1.root.json").ok_or_else(|| damaged("1.root.json"))?.to_vec();
        let timestamp = Part::read(&files, TIMESTAMP)?;
        let pinned =
            |pins: &Map<String, Value>, file: &str| pins.get(file)?.get("version")?.as_u64();
        let version = pinned(&timestamp.map("meta"), "snapshot.json");
        let version = version.ok_or_else(|| damaged(TIMESTAMP))?;
        let snapshot = Part::read(&files, &role_file(version, "snapshot"))?;
        let pins = snapshot.map("meta");
        let mut roles = BTreeMap::new();
        for file in pins.keys() {
            let role = file.strip_suffix(".json").unwrap_or(file);
            let version = pinned(&pins, file).ok_or_else(|| damaged(file))?;
            roles.insert(role.to_owned(), Part::read(&files, &role_file(version, role))?);
        }
        let mut keys = root_keys(&root)?;
        let top = roles.get("targets").ok_or_else(|| damaged("targets.json"))?;
        keys.extend(top_keys(top)?);
        Ok(Self { files, first_root, root, timestamp, snapshot, roles, keys })
    }

    /// A role's next version.
    pub(super) fn next(&self, role: &str) -> u64 {
        self.roles.get(role).map_or(1, |part| part.version.saturating_add(1))
    }

    /// Who may sign for a role.
    pub(super) fn keys_of(&self, role: &str) -> Result<&RoleKeys, RepositoryError> {
        self.keys.get(role).ok_or_else(|| RepositoryError::NoRole { role: role.to_owned() })
    }
}

/// The keys that a root names.
pub(super) fn root_keys(part: &Part) -> Result<BTreeMap<String, RoleKeys>, RepositoryError> {
    let name = role_file(part.version, "root");
    let root: Metadata<Root> = parsed(&name, &part.bytes)?;
    guard::root(&name, root.signed()).map_err(RepositoryError::Refused)
}

/// The keys that the top-level targets name.
pub(super) fn top_keys(part: &Part) -> Result<BTreeMap<String, RoleKeys>, RepositoryError> {
    let name = role_file(part.version, "targets");
    let top: Metadata<Targets> = parsed(&name, &part.bytes)?;
    guard::top(&name, top.signed()).map_err(RepositoryError::Refused)
}

fn parsed<T: Role>(name: &str, bytes: &[u8]) -> Result<Metadata<T>, RepositoryError> {
    Metadata::from_slice(bytes).map_err(|_| RepositoryError::Damaged { file: name.to_owned() })
}
