//! What TUF allows and salve does not: every file is strict JSON, every key plain ed25519 under its
//! own id, every role laid out in the one way. Never checks a signature.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{PublicKey, Risk, json};
use sigstore_tuf::{DelegatedRole, Key, MetaFile, Root, Snapshot, Targets, Timestamp};

use super::error::CatalogueError;
use super::plan::RoleKeys;

/// The role that lists the policy.
pub(crate) const POLICY: &str = "policy";
/// The policy's target path.
pub(crate) const POLICY_PATH: &str = "policy/policy.toml";
/// Roles that the top-level targets may delegate to.
pub(crate) const DELEGATED: [&str; 4] =
    [POLICY, Risk::Low.role(), Risk::Medium.role(), Risk::High.role()];

/// The path pattern of a delegated role.
pub(crate) fn pattern(role: &str) -> Option<String> {
    if role == POLICY {
        return Some("policy/*".to_owned());
    }
    let risk = Risk::ALL.into_iter().find(|risk| risk.role() == role)?;
    Some(format!("scripts/{}/*", risk.word()))
}

/// Refuses what has more than one reading.
pub(crate) fn strict(file: &str, bytes: &[u8]) -> Result<(), CatalogueError> {
    json::read::<serde::de::IgnoredAny>(bytes)
        .map(|_| ())
        .map_err(|source| CatalogueError::Json { file: file.to_owned(), source })
}

fn layout(file: &str, because: &'static str) -> CatalogueError {
    CatalogueError::Layout { file: file.to_owned(), because }
}

/// A root's four roles and their keys.
pub(crate) fn root(file: &str, root: &Root) -> Result<BTreeMap<String, RoleKeys>, CatalogueError> {
    if !root.consistent_snapshot {
        return Err(layout(file, "snapshots must be consistent"));
    }
    let keys = keys(file, &root.keys)?;
    let names: BTreeSet<&str> = root.roles.keys().map(String::as_str).collect();
    if names != BTreeSet::from(["root", "timestamp", "snapshot", "targets"]) {
        return Err(layout(file, "a root has the four roles of TUF and no other"));
    }
    let roles = root.roles.iter();
    roles.map(|(name, role)| Ok((name.clone(), authority(file, &keys, role)?))).collect()
}

/// The top-level targets: delegations in the one layout and nothing else.
pub(crate) fn top(
    file: &str,
    targets: &Targets,
) -> Result<BTreeMap<String, RoleKeys>, CatalogueError> {
    if !targets.targets.is_empty() {
        return Err(layout(file, "the top-level targets may list no targets"));
    }
    let Some(delegations) = &targets.delegations else {
        return Err(layout(file, "the top-level targets must delegate"));
    };
    if !delegations.extra.is_empty() {
        return Err(layout(file, "delegations have keys and roles and nothing else"));
    }
    let keys = keys(file, &delegations.keys)?;
    let mut found = BTreeMap::new();
    for role in &delegations.roles {
        delegation(file, role)?;
        let authority = authority(file, &keys, &role.role_keys())?;
        if found.insert(role.name.clone(), authority).is_some() {
            return Err(layout(file, "a role is delegated twice"));
        }
    }
    if !found.contains_key(POLICY) {
        return Err(layout(file, "role `policy` is not delegated"));
    }
    Ok(found)
}

fn delegation(file: &str, role: &DelegatedRole) -> Result<(), CatalogueError> {
    let Some(pattern) = pattern(&role.name) else {
        return Err(layout(file, "a delegated role that salve does not know"));
    };
    if role.paths.as_deref() != Some(&[pattern]) || role.path_hash_prefixes.is_some() {
        return Err(layout(file, "a delegated role has another path pattern than its own"));
    }
    if !role.terminating {
        return Err(layout(file, "a delegation does not end the search"));
    }
    Ok(())
}

/// A delegated role lists targets and delegates nothing.
pub(crate) fn leaf(file: &str, targets: &Targets) -> Result<(), CatalogueError> {
    match targets.delegations {
        None => Ok(()),
        Some(_) => Err(layout(file, "only the top-level targets may delegate")),
    }
}

/// A timestamp pins the snapshot, by length and digest, and says when it was issued.
pub(crate) fn timestamp(file: &str, timestamp: &Timestamp) -> Result<(), CatalogueError> {
    let names: Vec<&str> = timestamp.meta.keys().map(String::as_str).collect();
    if names != ["snapshot.json"] {
        return Err(layout(file, "a timestamp names the snapshot and nothing else"));
    }
    timestamp.meta.values().try_for_each(|pin| pinned(file, pin))
}

/// A snapshot pins the targets and the delegated roles, by length and digest.
pub(crate) fn snapshot(file: &str, snapshot: &Snapshot) -> Result<(), CatalogueError> {
    for (name, pin) in &snapshot.meta {
        let role = name.strip_suffix(".json").unwrap_or_default();
        if role != "targets" && !DELEGATED.contains(&role) {
            return Err(layout(file, "a snapshot names a role that salve does not know"));
        }
        pinned(file, pin)?;
    }
    Ok(())
}

fn pinned(file: &str, pin: &MetaFile) -> Result<(), CatalogueError> {
    if pin.length.is_none() || pin.hashes.as_ref().and_then(sha256).is_none() {
        return Err(layout(file, "a file is not pinned by length and sha256"));
    }
    if pin.version == 0 {
        return Err(layout(file, "versions begin at 1"));
    }
    Ok(())
}

/// The digest of a pin that has sha256 and nothing else, in our spelling.
pub(crate) fn sha256(hashes: &BTreeMap<String, String>) -> Option<protocol::Digest> {
    let digest = hashes.get("sha256")?.parse().ok()?;
    (hashes.len() == 1).then_some(digest)
}

/// Every key by its id: plain, strong, and under its own id, so that one key is never two.
fn keys(
    file: &str,
    keys: &BTreeMap<String, Key>,
) -> Result<BTreeMap<String, PublicKey>, CatalogueError> {
    let refuse = |because| CatalogueError::Key { file: file.to_owned(), because };
    let mut found = BTreeMap::new();
    for (id, key) in keys {
        if key.keytype != "ed25519" || key.scheme != "ed25519" {
            return Err(refuse("only ed25519 is taken"));
        }
        if !key.keyval.extra.is_empty() {
            return Err(refuse("a key has a public value and nothing else"));
        }
        let public: PublicKey = key
            .keyval
            .public
            .parse()
            .map_err(|_| refuse("a public key is 64 lower-case hex digits"))?;
        if crate::is_weak(&public) {
            return Err(refuse("a weak key"));
        }
        if crate::key_id(&public) != *id {
            return Err(refuse("a key under another id than its own"));
        }
        found.insert(id.clone(), public);
    }
    Ok(found)
}

fn authority(
    file: &str,
    keys: &BTreeMap<String, PublicKey>,
    role: &sigstore_tuf::RoleKeys,
) -> Result<RoleKeys, CatalogueError> {
    let ids: BTreeSet<&String> = role.keyids.iter().collect();
    if ids.len() != role.keyids.len() {
        return Err(layout(file, "a role lists one key twice"));
    }
    let listed: Option<Vec<PublicKey>> =
        role.keyids.iter().map(|id| keys.get(id).copied()).collect();
    let Some(keys) = listed else {
        return Err(layout(file, "a role names a key that is not there"));
    };
    if role.threshold == 0 || role.threshold > keys.len() {
        return Err(layout(file, "a threshold is zero or above the number of keys"));
    }
    Ok(RoleKeys { keys, threshold: role.threshold })
}
