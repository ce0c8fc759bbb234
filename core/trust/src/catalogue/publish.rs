//! Puts a change of the catalogue together, has it checked as an endpoint would, and writes it:
//! scripts and lists first, `timestamp.json` last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use protocol::{Bytes, PublicKey, Risk, Time, limits};
use serde_json::{Map, Value};

use super::build::{self, Signatures};
use super::current::{Current, Part, root_keys, top_keys};
use super::draft::Draft;
use super::error::RepositoryError;
use super::files::{Files, read_role_file, role_file, target_file};
use super::guard::{POLICY, POLICY_PATH};
use super::plan::{Lifetimes, RepositoryPlan, RoleKeys};
use super::read::{POLICY_BYTES_MAX, TIMESTAMP};
use super::store::{self, StoreError, make_folder, sync_folder, write_synced};
use crate::keys::Signer;

/// Older versions of a list that stay, so that endpoints which have one of them get a small delta.
const VERSIONS_KEPT: u64 = 8;

/// What is new: files, and the pins of roles among them.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) files: Files,
    pub(super) pins: Map<String, Value>,
    pub(super) root: Option<Part>,
    /// Whether a new snapshot is wanted even where no pin is new.
    pub(super) snapshot: bool,
}

impl Change {
    /// A role's next version with what it brings.
    pub(super) fn add(&mut self, draft: &Draft) {
        let bytes = build::file(&draft.signed, &draft.signatures);
        self.pins.insert(format!("{}.json", draft.role), build::pin(draft.version, &bytes));
        self.files.insert(role_file(draft.version, &draft.role), bytes);
        for (name, bytes) in draft.files() {
            self.files.insert(name, bytes.to_vec());
        }
    }

    fn add_signed(
        &mut self,
        mut draft: Draft,
        keys: &RoleKeys,
        signers: &[&dyn Signer],
    ) -> Result<(), RepositoryError> {
        build::sign(&draft.signed, &[keys], signers, &mut draft.signatures)?;
        build::enough(&draft.role, &draft.signed, keys, &draft.signatures)?;
        self.add(&draft);
        Ok(())
    }
}

/// The plan's delegated roles by name.
pub(super) fn delegated(
    policy: RoleKeys,
    risks: BTreeMap<Risk, RoleKeys>,
) -> BTreeMap<String, RoleKeys> {
    let risks = risks.into_iter().map(|(risk, keys)| (risk.role().to_owned(), keys));
    std::iter::once((POLICY.to_owned(), policy)).chain(risks).collect()
}

/// The next policy.
pub(super) fn policy(
    text: &str,
    version: u64,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Draft, RepositoryError> {
    let bytes = text.as_bytes();
    if bytes.len() > POLICY_BYTES_MAX {
        let (bytes, max) = (bytes.len(), POLICY_BYTES_MAX);
        return Err(RepositoryError::TooLarge { what: "policy", bytes, max });
    }
    let entry = build::target(bytes, None).map_err(RepositoryError::Manifest)?;
    let targets = Map::from_iter([(POLICY_PATH.to_owned(), entry)]);
    let expires = now.plus(lifetimes.of(POLICY));
    let mut draft = Draft::new(POLICY, version, build::leaf(version, expires, targets));
    let digest = protocol::Digest::of(bytes).to_string();
    draft.files.insert(target_file(POLICY_PATH, &digest), Bytes(bytes.to_vec()));
    Ok(draft)
}

/// Everything of a new repository but snapshot and timestamp.
pub(super) fn first(
    plan: &RepositoryPlan,
    signers: &[&dyn Signer],
    now: Time,
) -> Result<Change, RepositoryError> {
    let life = &plan.lifetimes;
    let online = RoleKeys::new(1, [plan.online]);
    let mut change = Change { snapshot: true, ..Change::default() };
    let root =
        sealed_root(1, now.plus(life.root), &plan.root, &plan.targets, &online, &[], signers)?;
    change.files.insert(role_file(1, "root"), root.bytes.clone());
    change.root = Some(root);
    let roles = delegated(plan.policy.clone(), plan.risks.clone());
    let top = Draft::new("targets", 1, build::top(1, now.plus(life.targets), &roles));
    change.add_signed(top, &plan.targets, signers)?;
    for (role, keys) in &roles {
        let draft = if role == POLICY {
            policy(&plan.policy_text, 1, now, life)?
        } else {
            Draft::new(role, 1, build::leaf(1, now.plus(life.of(role)), Map::new()))
        };
        change.add_signed(draft, keys, signers)?;
    }
    Ok(change)
}

/// A root signed by its own people and, where there is one before it, by that one's.
fn sealed_root(
    version: u64,
    expires: Time,
    root: &RoleKeys,
    targets: &RoleKeys,
    online: &RoleKeys,
    before: &[&RoleKeys],
    signers: &[&dyn Signer],
) -> Result<Part, RepositoryError> {
    let roles = BTreeMap::from([
        ("root", root),
        ("targets", targets),
        ("snapshot", online),
        ("timestamp", online),
    ]);
    let signed = build::root(version, expires, &roles);
    let mut signatures = Signatures::new();
    let asked: Vec<&RoleKeys> = before.iter().copied().chain([root]).collect();
    build::sign(&signed, &asked, signers, &mut signatures)?;
    for keys in asked {
        build::enough("root", &signed, keys, &signatures)?;
    }
    let bytes = build::file(&signed, &signatures);
    Ok(Part { version, signed, bytes })
}

/// Other people or thresholds for delegated roles.
pub(super) fn new_roles(
    current: &Current,
    roles: BTreeMap<String, RoleKeys>,
    signers: &[&dyn Signer],
    now: Time,
    life: &Lifetimes,
) -> Result<Change, RepositoryError> {
    let mut change = Change { snapshot: true, ..Change::default() };
    let version = current.next("targets");
    let top = build::top(version, now.plus(life.targets), &roles);
    change.add_signed(Draft::new("targets", version, top), current.keys_of("targets")?, signers)?;
    for (role, keys) in &roles {
        let part = current.roles.get(role);
        let kept = part.is_some_and(|part| {
            build::enough(role, &part.signed, keys, &part.signatures(keys)).is_ok()
        });
        if !kept {
            let targets = part.map(|part| part.map("targets")).unwrap_or_default();
            let (version, expires) = (current.next(role), now.plus(life.of(role)));
            let draft = Draft::new(role, version, build::leaf(version, expires, targets));
            change.add_signed(draft, keys, signers)?;
        }
    }
    Ok(change)
}

/// Other keys for the root's own roles.
pub(super) fn new_root(
    current: &Current,
    [root, targets]: [RoleKeys; 2],
    online: PublicKey,
    signers: &[&dyn Signer],
    now: Time,
    life: &Lifetimes,
) -> Result<Change, RepositoryError> {
    let online = RoleKeys::new(1, [online]);
    let mut change = Change { snapshot: true, ..Change::default() };
    let wanted: BTreeMap<String, RoleKeys> =
        [("root", &root), ("targets", &targets), ("snapshot", &online), ("timestamp", &online)]
            .into_iter()
            .map(|(role, keys)| (role.to_owned(), keys.clone()))
            .collect();
    // An interrupted rotation has written its root already: then only the rest is left to do.
    if root_keys(&current.root)? != wanted {
        let before = current.keys_of("root")?;
        let (version, expires) = (current.root.version.saturating_add(1), now.plus(life.root));
        let next = sealed_root(version, expires, &root, &targets, &online, &[before], signers)?;
        change.files.insert(role_file(version, "root"), next.bytes.clone());
        change.root = Some(next);
    }
    let Some(top) = current.roles.get("targets") else { return Ok(change) };
    if build::enough("targets", &top.signed, &targets, &top.signatures(&targets)).is_err() {
        let version = current.next("targets");
        let signed = build::top(version, now.plus(life.targets), &top_keys(top)?);
        change.add_signed(Draft::new("targets", version, signed), &targets, signers)?;
    }
    Ok(change)
}

/// What the online key has to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Timestamp,
    Both,
}

/// Whether snapshot and timestamp are too old, from a clock that was ahead (endpoints would take
/// their time from it), or not by the current online key.
pub(super) fn due(current: &Current, life: &Lifetimes, now: Time) -> Result<Due, RepositoryError> {
    let old = |role: &str, part: &Part| -> Result<bool, RepositoryError> {
        let keys = current.keys_of(role)?;
        let signed = build::enough(role, &part.signed, keys, &part.signatures(keys)).is_ok();
        let made = part.expires().minus(life.of(role));
        let ahead = made.since(now) > limits::CLOCK_SKEW_SECONDS;
        Ok(!signed || ahead || now.since(made) >= Lifetimes::renewal_age(life.of(role)))
    };
    if old("snapshot", &current.snapshot)? {
        return Ok(Due::Both);
    }
    let due = old("timestamp", &current.timestamp)?;
    Ok(if due { Due::Timestamp } else { Due::Nothing })
}

/// Adds snapshot and timestamp, has everything verified, writes it, timestamp last.
pub(super) fn publish(
    folder: &Path,
    current: Option<Current>,
    change: Change,
    signers: &[&dyn Signer],
    now: Time,
    life: &Lifetimes,
) -> Result<(), RepositoryError> {
    let Change { files: mut new, pins, root, snapshot } = change;
    let keys = match (&root, &current) {
        (Some(root), _) => root_keys(root)?,
        (None, Some(current)) => current.keys.clone(),
        (None, None) => BTreeMap::new(),
    };
    let online = |role: &str| {
        keys.get(role).ok_or_else(|| RepositoryError::NoRole { role: role.to_owned() })
    };
    let held = current.as_ref().map(|c| &c.snapshot);
    let (snapshot_version, snapshot_bytes) = match held {
        Some(held) if !snapshot && pins.is_empty() => (held.version, held.bytes.clone()),
        _ => {
            let mut meta = held.map(|held| held.map("meta")).unwrap_or_default();
            meta.extend(pins);
            let version = held.map_or(1, |held| held.version.saturating_add(1));
            let expires = now.plus(life.snapshot);
            let signed = build::pins("snapshot", version, expires, None, meta);
            (version, seal("snapshot", &signed, online("snapshot")?, signers)?)
        }
    };
    new.insert(role_file(snapshot_version, "snapshot"), snapshot_bytes.clone());
    let pin = build::pin(snapshot_version, &snapshot_bytes);
    let meta = Map::from_iter([("snapshot.json".to_owned(), pin)]);
    let version = current.as_ref().map_or(1, |c| c.timestamp.version.saturating_add(1));
    let expires = now.plus(life.timestamp);
    let signed = build::pins("timestamp", version, expires, Some(now), meta);
    new.insert(TIMESTAMP, seal("timestamp", &signed, online("timestamp")?, signers)?);

    let mut all = current.as_ref().map(|c| c.files.clone()).unwrap_or_default();
    all.0.extend(new.0.clone());
    let first = all.get("1.root.json").unwrap_or_default().to_vec();
    let (_, kept) =
        super::read::read(&first, &all, &Files::new()).map_err(RepositoryError::Refused)?;
    if !kept.within_limits() {
        let (bytes, max) = (kept.bytes(), limits::CATALOGUE_BYTES_MAX);
        return Err(RepositoryError::TooLarge { what: "catalogue", bytes, max });
    }
    write_all(folder, &new)?;
    prune(folder, &all, &kept);
    Ok(())
}

fn seal(
    role: &str,
    signed: &Value,
    keys: &RoleKeys,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, RepositoryError> {
    let mut signatures = Signatures::new();
    build::sign(signed, &[keys], signers, &mut signatures)?;
    build::enough(role, signed, keys, &signatures)?;
    Ok(build::file(signed, &signatures))
}

/// Scripts and policy, lists, roots, snapshot, timestamp: each file stands before what names it.
fn write_all(folder: &Path, new: &Files) -> Result<(), StoreError> {
    let rank = |name: &str| match read_role_file(name) {
        _ if name.contains('/') => 0,
        Some((_, "snapshot")) => 3,
        Some((_, "root")) => 2,
        Some(_) => 1,
        None => 4,
    };
    let mut ordered: Vec<(&str, &[u8])> = new.iter().collect();
    ordered.sort_by_key(|(name, _)| rank(name));
    ordered.into_iter().try_for_each(|(name, bytes)| write(folder, name, bytes))
}

/// Writes one file: aside, synced, renamed, folder synced. One that is there already with the same
/// bytes is left alone.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(folder);
    make_folder(parent)?;
    // A name that begins with a point is never read as a part of the catalogue.
    let aside = parent.join(".next");
    write_synced(&aside, bytes)?;
    fs::rename(&aside, &path).map_err(|source| StoreError {
        doing: "write",
        path: path.clone(),
        source,
    })?;
    parent.ancestors().take_while(|f| f.starts_with(folder)).try_for_each(sync_folder)
}

/// The catalogue's files in a folder, and nothing else that may lie there.
pub(super) fn files(folder: &Path) -> Result<Files, RepositoryError> {
    let mut found = Files::new();
    store::read_folder(folder, "", &mut found)?;
    let target = |name: &str| name.starts_with("scripts/") || name.starts_with("policy/");
    let ours = |name: &str| name == TIMESTAMP || read_role_file(name).is_some() || target(name);
    found.0.retain(|name, _| ours(name));
    Ok(found)
}

/// What [`prune`] put aside.
pub(super) fn past(folder: &Path) -> Result<Files, RepositoryError> {
    let mut found = Files::new();
    let folder = folder.join(PAST);
    if folder.is_dir() {
        store::read_folder(&folder, "", &mut found)?;
    }
    Ok(found)
}

/// Writes those files of a verified update that belong to it, over what is `held`.
pub(super) fn adopt(
    folder: &Path,
    held: Files,
    new: &Files,
    kept: &Files,
) -> Result<(), StoreError> {
    let belongs = |(name, bytes): &(&str, &[u8])| kept.get(name) == Some(*bytes);
    let taken: Files =
        new.iter().filter(belongs).map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    write_all(folder, &taken)?;
    let mut all = held;
    all.0.extend(taken.0);
    prune(folder, &all, kept);
    Ok(())
}

/// Where lists and policies lie that are handed out no more: what was decided by them is judged by
/// them for ever.
pub(super) const PAST: &str = "past";

/// Puts lists older than [`VERSIONS_KEPT`] aside, with their policies; removes older snapshots, and
/// sources that no remaining list names. A file that stays by mistake harms nobody, so nothing here
/// can fail.
fn prune(folder: &Path, all: &Files, kept: &Files) {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for (version, role) in kept.iter().filter_map(|(name, _)| read_role_file(name)) {
        let known = newest.entry(role).or_default();
        *known = version.max(*known);
    }
    let recent = |version: u64, role: &str| {
        role == "root"
            || newest.get(role).is_some_and(|n| version.saturating_add(VERSIONS_KEPT) > *n)
    };
    let mut named = BTreeSet::new();
    for (name, bytes) in all.iter() {
        if read_role_file(name).is_some_and(|(version, role)| recent(version, role)) {
            let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let targets = value.get("signed").and_then(|s| s.get("targets"));
            for (path, entry) in targets.and_then(Value::as_object).into_iter().flatten() {
                let digest = entry.get("hashes").and_then(|h| h.get("sha256"));
                named.extend(digest.and_then(Value::as_str).map(|d| target_file(path, d)));
            }
        }
    }
    for (name, _) in all.iter() {
        let stays = match read_role_file(name) {
            Some((version, role)) => recent(version, role),
            None => name == TIMESTAMP || named.contains(name),
        };
        if stays || kept.get(name).is_some() {
            continue;
        }
        let judges = match read_role_file(name) {
            Some((_, role)) => role != "snapshot",
            None => name.starts_with("policy/"),
        };
        let (from, past) = (folder.join(name), folder.join(PAST).join(name));
        let _ = match past.parent().map(make_folder) {
            Some(Ok(())) if judges => fs::rename(from, past),
            _ => fs::remove_file(from),
        };
    }
}
