//! Builds TUF role files: the signed part, its canonical bytes, the signatures around it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Digest, Manifest, PublicKey, Time};
use serde_json::{Map, Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use super::error::RepositoryError;
use super::plan::RoleKeys;
use crate::keys::{Signer, key_id, verify};

const SPEC_VERSION: &str = "1.0.31";

/// The signed part of a root.
pub(super) fn root(version: u64, expires: Time, roles: &BTreeMap<&str, &RoleKeys>) -> Value {
    let listed = roles.iter().map(|(name, role)| ((*name).to_owned(), role_value(role)));
    json!({
        "_type": "root",
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": expires,
        "consistent_snapshot": true,
        "keys": keys(roles.values().copied()),
        "roles": listed.collect::<Map<_, _>>(),
    })
}

/// The signed part of the top-level targets: delegations only.
pub(super) fn top(version: u64, expires: Time, roles: &BTreeMap<String, RoleKeys>) -> Value {
    let delegated = roles.iter().map(|(name, role)| {
        json!({
            "name": name,
            "keyids": role.keys.iter().map(key_id).collect::<Vec<_>>(),
            "threshold": role.threshold,
            "terminating": true,
            "paths": super::guard::pattern(name).into_iter().collect::<Vec<_>>(),
        })
    });
    let delegated: Vec<Value> = delegated.collect();
    let mut signed = leaf(version, expires, Map::new());
    if let Some(signed) = signed.as_object_mut() {
        let delegations = json!({ "keys": keys(roles.values()), "roles": delegated });
        signed.insert("delegations".to_owned(), delegations);
    }
    signed
}

/// The signed part of a role that lists targets.
pub(super) fn leaf(version: u64, expires: Time, targets: Map<String, Value>) -> Value {
    json!({
        "_type": "targets",
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": expires,
        "targets": targets,
    })
}

/// One target: its bytes by length and digest, its manifest where it is a script.
pub(super) fn target(
    bytes: &[u8],
    manifest: Option<&Manifest>,
) -> Result<Value, serde_json::Error> {
    let mut value = json!({
        "length": bytes.len(),
        "hashes": { "sha256": Digest::of(bytes) },
    });
    if let (Some(manifest), Some(value)) = (manifest, value.as_object_mut()) {
        value.insert("custom".to_owned(), serde_json::to_value(manifest)?);
    }
    Ok(value)
}

/// The signed part of a snapshot or timestamp. `issued` is the timestamp's.
pub(super) fn pins(
    kind: &str,
    version: u64,
    expires: Time,
    issued: Option<Time>,
    meta: Map<String, Value>,
) -> Value {
    let mut signed = json!({
        "_type": kind,
        "spec_version": SPEC_VERSION,
        "version": version,
        "expires": expires,
        "meta": meta,
    });
    if let (Some(issued), Some(signed)) = (issued, signed.as_object_mut()) {
        signed.insert("issued".to_owned(), json!(issued));
    }
    signed
}

/// A pin of one file: version, length, digest.
pub(super) fn pin(version: u64, bytes: &[u8]) -> Value {
    json!({
        "version": version,
        "length": bytes.len(),
        "hashes": { "sha256": Digest::of(bytes) },
    })
}

fn keys<'a>(roles: impl Iterator<Item = &'a RoleKeys>) -> Map<String, Value> {
    let all: BTreeSet<&PublicKey> = roles.flat_map(|role| &role.keys).collect();
    let value = |key: &PublicKey| {
        let keyval = json!({ "public": key });
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": keyval })
    };
    all.into_iter().map(|key| (key_id(key), value(key))).collect()
}

fn role_value(role: &RoleKeys) -> Value {
    json!({
        "keyids": role.keys.iter().map(key_id).collect::<Vec<_>>(),
        "threshold": role.threshold,
    })
}

/// Signatures over one signed part, by key id.
pub(super) type Signatures = BTreeMap<PublicKey, String>;

/// Has those of `signers` sign whose key is in one of `roles`.
pub(super) fn sign(
    signed: &Value,
    roles: &[&RoleKeys],
    signers: &[&dyn Signer],
    into: &mut Signatures,
) -> Result<(), RepositoryError> {
    let bytes = canonical(signed)?;
    for signer in signers {
        let key = signer.public_key();
        let listed = roles.iter().any(|role| role.keys.contains(&key));
        if listed && !into.contains_key(&key) {
            let signature = signer.sign(&bytes).map_err(RepositoryError::Sign)?;
            let hex: String = signature.iter().map(|b| format!("{b:02x}")).collect();
            into.insert(key, hex);
        }
    }
    Ok(())
}

/// The good signatures of a role's own people; refuses where they do not reach its threshold.
pub(super) fn enough(
    role: &str,
    signed: &Value,
    keys: &RoleKeys,
    signatures: &Signatures,
) -> Result<Signatures, RepositoryError> {
    let bytes = canonical(signed)?;
    let good: Signatures = keys
        .keys
        .iter()
        .filter_map(|key| Some((*key, signatures.get(key)?)))
        .filter(|(key, hex)| verify(key, &bytes, &super::read::hex_bytes(hex).unwrap_or_default()))
        .map(|(key, hex)| (key, hex.clone()))
        .collect();
    if good.len() >= keys.threshold && !good.is_empty() {
        return Ok(good);
    }
    let (role, good) = (role.to_owned(), good.len());
    Err(RepositoryError::Signatures { role, good, wanted: keys.threshold })
}

/// The file of a role.
pub(super) fn file(signed: &Value, signatures: &Signatures) -> Vec<u8> {
    let listed: Vec<Value> =
        signatures.iter().map(|(key, sig)| json!({ "keyid": key_id(key), "sig": sig })).collect();
    let mut out = Vec::new();
    sorted(&json!({ "signatures": listed, "signed": signed }), &mut out);
    out
}

fn canonical(signed: &Value) -> Result<Vec<u8>, RepositoryError> {
    to_canonical_bytes(signed).map_err(|source| RepositoryError::Canonical { source })
}

/// JSON with sorted keys, whatever order the library keeps: the same catalogue is the same bytes.
fn sorted(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            out.push(b'{');
            for (place, (key, value)) in ordered.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                sorted(&Value::String(key.clone()), out);
                out.push(b':');
                sorted(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                sorted(item, out);
            }
            out.push(b']');
        }
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}
