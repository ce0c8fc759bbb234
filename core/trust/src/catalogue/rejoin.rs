//! A repository that went back, as one put back from a copy: what was published since is joined to
//! it again, and snapshot and timestamp go on behind every version that anybody has seen.
//!
//! Takes only lists that the online key had pinned: a draft that nobody published stays one.

use protocol::Time;
use protocol::documents::CatalogueVersions;

use super::Catalogue;
use super::current::Current;
use super::error::RepositoryError;
use super::files::{Files, read_role_file};
use super::publish::{self, Change};
use super::read::{TIMESTAMP, read};
use super::repository::Repository;
use crate::keys::Signer;

/// Furthest that versions jump at once: years of daily renewals. Whoever names more is wrong or lies.
const JUMP_MAX: u64 = 1000;

fn pinned_by_the_desk(name: &str) -> bool {
    name == TIMESTAMP || read_role_file(name).is_some_and(|(_, role)| role == "snapshot")
}

impl Repository {
    /// Joins a whole newer catalogue that was published here before this repository went back. Its
    /// own snapshot and timestamp may have gone on since; new ones are made behind both.
    ///
    /// # Errors
    /// [`RepositoryError::OutOfDate`] where something else than `base` is published by now, or a
    /// list there is older than here, or has the same version and other bytes;
    /// [`RepositoryError::Refused`] where it does not verify by itself. Nothing has changed then.
    pub fn rejoin(
        &mut self,
        new: &Files,
        base: CatalogueVersions,
        online: &dyn Signer,
        now: Time,
    ) -> Result<Catalogue, RepositoryError> {
        let _lock = self.lock()?;
        let ours = self.current()?;
        let out_of_date = |role: &str| RepositoryError::OutOfDate { role: role.to_owned() };
        let verified = |files: &Files| {
            read(&ours.first_root, files, &Files::new()).map_err(RepositoryError::Refused)
        };
        let held = verified(&ours.files)?.0.versions();
        if held != base {
            return Err(out_of_date("timestamp"));
        }
        let mut all = ours.files.clone();
        for (name, bytes) in new.iter() {
            let before = all.get(name).is_some_and(|before| before != bytes);
            if before && !pinned_by_the_desk(name) {
                return Err(out_of_date(read_role_file(name).map_or(name, |(_, role)| role)));
            }
            all.insert(name, bytes.to_vec());
        }
        let (theirs, kept) = verified(&all)?;
        if let Some((role, ..)) = theirs.versions().lists().behind(&held.lists()) {
            return Err(out_of_date(role));
        }
        let mut next = Current::read(all)?;
        next.snapshot.version = next.snapshot.version.max(ours.snapshot.version);
        next.timestamp.version = next.timestamp.version.max(ours.timestamp.version);
        let belongs = |name: &str| !pinned_by_the_desk(name) && kept.get(name).is_some();
        let files = new.iter().filter(|(name, _)| belongs(name));
        let files = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        let change = Change { files, snapshot: true, ..Change::default() };
        publish::publish(&self.folder, Some(next), change, &[online], now, &self.lifetimes)?;
        self.catalogue(now)
    }

    /// Makes snapshot and timestamp anew behind versions that endpoints have seen, where these are
    /// ahead by at most 1000; says whether it did. Lists stay as they are.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn catch_up(
        &mut self,
        seen: CatalogueVersions,
        online: &dyn Signer,
        now: Time,
    ) -> Result<bool, RepositoryError> {
        let _lock = self.lock()?;
        let mut current = self.current()?;
        let ahead = |held: u64, seen: u64| held < seen && seen - held <= JUMP_MAX;
        let (snapshot, timestamp) = (current.snapshot.version, current.timestamp.version);
        let jump = (ahead(snapshot, seen.snapshot), ahead(timestamp, seen.timestamp));
        if jump == (false, false) {
            return Ok(false);
        }
        if jump.0 {
            current.snapshot.version = seen.snapshot;
        }
        if jump.1 {
            current.timestamp.version = seen.timestamp;
        }
        let change = Change { snapshot: jump.0, ..Change::default() };
        publish::publish(&self.folder, Some(current), change, &[online], now, &self.lifetimes)?;
        Ok(true)
    }
}
