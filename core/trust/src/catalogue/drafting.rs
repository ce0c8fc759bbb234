//! Drafts: the next version of a role before its people have signed, and what a vetter is shown of
//! it. Never publishes.

use std::collections::BTreeSet;

use protocol::{Bytes, Digest, Manifest, ScriptName, Time, limits};
use serde_json::{Map, Value};

use super::Repository;
use super::build;
use super::current::Current;
use super::draft::Draft;
use super::error::RepositoryError;
use super::files::target_file;
use super::guard::POLICY;
use super::publish;

/// What a draft would change, worked out from what is published and from the draft's own bytes: the
/// whole of what a signature on it means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// Script versions that it adds, with their sources.
    pub added: Vec<(Manifest, Vec<u8>)>,
    /// Target paths of script versions that it takes away.
    pub withdrawn: Vec<String>,
    /// The policy that it brings.
    pub policy: Option<String>,
    /// When the role's list would end.
    pub ends: Time,
}

impl Review {
    /// Notes a new entry with the bytes that the draft brings for it; gives the name of their file.
    fn take(&mut self, draft: &Draft, path: &str, entry: &Value) -> Option<String> {
        let digest = entry.get("hashes")?.get("sha256")?.as_str()?;
        let name = target_file(path, digest);
        let bytes = draft.files.get(&name)?.0.clone();
        if Digest::of(&bytes).to_string() != digest {
            return None;
        }
        if draft.role == POLICY {
            self.policy = Some(String::from_utf8(bytes).ok()?);
        } else {
            let manifest: Manifest = serde_json::from_value(entry.get("custom")?.clone()).ok()?;
            if manifest.target_path() != path {
                return None;
            }
            self.added.push((manifest, bytes));
        }
        Some(name)
    }
}

impl Repository {
    /// A policy that waits for signatures.
    ///
    /// # Errors
    /// [`RepositoryError::TooLarge`].
    pub fn draft_policy(&self, text: &str, now: Time) -> Result<Draft, RepositoryError> {
        let current = self.current()?;
        publish::policy(text, current.next(POLICY), now, &self.lifetimes)
    }

    /// A script version that waits for signatures; `None` where it is published already.
    ///
    /// # Errors
    /// [`RepositoryError::Taken`] where the version is published with another content.
    pub fn draft_script(
        &self,
        source: &[u8],
        manifest: &Manifest,
        now: Time,
    ) -> Result<Option<Draft>, RepositoryError> {
        let size = source.len();
        if size > limits::SCRIPT_BYTES_MAX {
            let max = limits::SCRIPT_BYTES_MAX;
            return Err(RepositoryError::TooLarge { what: "script", bytes: size, max });
        }
        let current = self.current()?;
        let role = manifest.risk.role();
        let part =
            current.roles.get(role).ok_or_else(|| RepositoryError::NoRole { role: role.into() })?;
        let path = manifest.target_path();
        let entry = build::target(source, Some(manifest)).map_err(RepositoryError::Manifest)?;
        let mut targets = part.map("targets");
        match targets.insert(path.clone(), entry.clone()) {
            Some(listed) if listed == entry => return Ok(None),
            Some(_) => return Err(RepositoryError::Taken { path }),
            None => {}
        }
        let mut draft = self.draft(&current, role, targets, now);
        let digest = protocol::Digest::of(source).to_string();
        draft.files.insert(target_file(&path, &digest), Bytes(source.to_vec()));
        Ok(Some(draft))
    }

    /// The withdrawal of a script version, waiting for signatures.
    ///
    /// # Errors
    /// [`RepositoryError::Unlisted`] where it is not listed.
    pub fn draft_withdrawal(
        &self,
        name: &ScriptName,
        version: u32,
        now: Time,
    ) -> Result<Draft, RepositoryError> {
        let current = self.current()?;
        for risk in protocol::Risk::ALL {
            let Some(part) = current.roles.get(risk.role()) else { continue };
            let path = format!("scripts/{risk}/{name}-{version}.rhai");
            let mut targets = part.map("targets");
            if targets.remove(&path).is_some() {
                return Ok(self.draft(&current, risk.role(), targets, now));
            }
        }
        Err(RepositoryError::Unlisted { path: format!("{name}-{version}") })
    }

    /// A delegated role as it is with a new end, waiting for signatures.
    ///
    /// # Errors
    /// [`RepositoryError::NoRole`].
    pub fn draft_renewal(&self, role: &str, now: Time) -> Result<Draft, RepositoryError> {
        let current = self.current()?;
        match current.roles.get(role) {
            Some(part) if role != "targets" => {
                Ok(self.draft(&current, role, part.map("targets"), now))
            }
            _ => Err(RepositoryError::NoRole { role: role.to_owned() }),
        }
    }

    /// What a draft would change. Whoever signs looks at this and at nothing else: an entry that
    /// is neither published nor brought by the draft is refused here, before a key touches it.
    ///
    /// # Errors
    /// [`RepositoryError::OutOfDate`] where another version was published first,
    /// [`RepositoryError::Misplaced`] where the draft hides something.
    pub fn review(&self, draft: &Draft) -> Result<Review, RepositoryError> {
        let current = self.current()?;
        let role = draft.role.clone();
        if draft.version != current.next(&role)
            || draft.signed.get("version").and_then(Value::as_u64) != Some(draft.version)
        {
            return Err(RepositoryError::OutOfDate { role });
        }
        let misplaced = || RepositoryError::Misplaced { role: draft.role.clone() };
        let held = current.roles.get(&role).map(|part| part.map("targets")).unwrap_or_default();
        let listed = draft.signed.get("targets").and_then(Value::as_object);
        let listed = listed.ok_or_else(misplaced)?;
        let ends = draft.signed.get("expires").and_then(Value::as_str);
        let mut review = Review {
            ends: ends.and_then(|text| text.parse().ok()).ok_or_else(misplaced)?,
            withdrawn: held.keys().filter(|path| !listed.contains_key(*path)).cloned().collect(),
            ..Review::default()
        };
        let mut brought: BTreeSet<&String> = draft.files.keys().collect();
        for (path, entry) in listed.iter().filter(|(path, entry)| held.get(*path) != Some(*entry)) {
            // A script version that is published never gets another content.
            let replaces = held.contains_key(path) && role != POLICY;
            let name = review.take(draft, path, entry).filter(|_| !replaces);
            brought.remove(&name.ok_or_else(misplaced)?);
        }
        if brought.is_empty() { Ok(review) } else { Err(misplaced()) }
    }

    fn draft(
        &self,
        current: &Current,
        role: &str,
        targets: Map<String, Value>,
        now: Time,
    ) -> Draft {
        let version = current.next(role);
        let expires = now.plus(self.lifetimes.of(role));
        Draft::new(role, version, build::leaf(version, expires, targets))
    }
}
