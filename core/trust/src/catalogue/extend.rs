//! Several script versions in one draft, so that vetters sign a list once. Never publishes.

use protocol::{Bytes, Digest, Manifest, limits};
use serde_json::Value;

use super::build::{self, Signatures};
use super::draft::Draft;
use super::error::RepositoryError;
use super::files::target_file;

impl Draft {
    /// Adds another script version to the list. The signatures that the draft had are dropped:
    /// they were for another list. The same version with the same bytes changes nothing.
    ///
    /// # Errors
    /// [`RepositoryError::Taken`] where the list has that version with another content,
    /// [`RepositoryError::Misplaced`] where the script belongs to another role.
    pub fn add_script(
        &mut self,
        source: &[u8],
        manifest: &Manifest,
    ) -> Result<(), RepositoryError> {
        let (bytes, max) = (source.len(), limits::SCRIPT_BYTES_MAX);
        if bytes > max {
            return Err(RepositoryError::TooLarge { what: "script", bytes, max });
        }
        let misplaced = || RepositoryError::Misplaced { role: self.role.clone() };
        if manifest.risk.role() != self.role {
            return Err(misplaced());
        }
        let path = manifest.target_path();
        let entry = build::target(source, Some(manifest)).map_err(RepositoryError::Manifest)?;
        let missing = misplaced();
        let targets = self.signed.get_mut("targets").and_then(Value::as_object_mut);
        match targets.ok_or(missing)?.entry(path.clone()) {
            serde_json::map::Entry::Occupied(held) if *held.get() == entry => return Ok(()),
            serde_json::map::Entry::Occupied(_) => return Err(RepositoryError::Taken { path }),
            serde_json::map::Entry::Vacant(place) => place.insert(entry),
        };
        self.signatures = Signatures::new();
        let digest = Digest::of(source).to_string();
        self.files.insert(target_file(&path, &digest), Bytes(source.to_vec()));
        Ok(())
    }

    /// Manifests of the script versions whose files this draft brings.
    #[must_use]
    pub fn manifests(&self) -> Vec<Manifest> {
        let targets = self.signed.get("targets").and_then(Value::as_object);
        let listed = targets.into_iter().flatten();
        let brings = |path: &str, entry: &Value| {
            let digest = entry.get("hashes").and_then(|h| h.get("sha256")).and_then(Value::as_str);
            digest.is_some_and(|digest| self.files.contains_key(&target_file(path, digest)))
        };
        listed
            .filter(|(path, entry)| brings(path, entry))
            .filter_map(|(_, entry)| serde_json::from_value(entry.get("custom")?.clone()).ok())
            .collect()
    }
}
