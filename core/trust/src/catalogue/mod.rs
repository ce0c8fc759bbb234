//! The catalogue: the signed list of scripts, policy and who may sign what. A TUF repository.
//!
//! [`Catalogue`] is a verified view in memory, made from [`Files`] and the pinned root alone;
//! [`Repository`] writes one. Never fetches anything, never runs anything, never reads a clock.

mod build;
mod current;
mod delta;
mod draft;
mod drafting;
mod error;
mod extend;
mod files;
mod guard;
mod people;
mod plan;
mod provider;
mod publish;
mod read;
mod rejoin;
mod repository;
mod store;
mod then;

use std::collections::BTreeMap;

use protocol::documents::CatalogueVersions;
use protocol::{Digest, Manifest, PublicKey, Risk, ScriptName, Time};

pub use delta::delta;
pub use draft::Draft;
pub use drafting::Review;
pub use error::{CatalogueError, Counts, PersonOf, RepositoryError};
pub use files::{Files, is_plain};
pub use plan::{Lifetimes, RepositoryPlan, RoleKeys};
pub use provider::install_provider;
pub use repository::Repository;
pub use store::{FolderStore, StoreError, TrustedStore};
pub use then::{Listed, Newest, PolicyThen, Then};

/// One listed script version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptEntry {
    /// Its manifest; its risk is that of the role that lists it.
    pub manifest: Manifest,
    /// SHA-256 of its source.
    pub digest: Digest,
    /// The class of the role that lists it.
    pub risk: Risk,
    /// Who signed the list that it stands in.
    pub signers: Vec<PublicKey>,
}

type ScriptKey = (ScriptName, u32);

/// A verified catalogue in memory. Only reading verified files makes one.
#[derive(Debug, Clone)]
pub struct Catalogue {
    versions: CatalogueVersions,
    issued: Time,
    ends: BTreeMap<String, Time>,
    roles: BTreeMap<String, RoleKeys>,
    /// Who signed the top-level targets and the policy.
    signers: BTreeMap<String, Vec<PublicKey>>,
    scripts: BTreeMap<ScriptKey, ScriptEntry>,
    sources: BTreeMap<Digest, Vec<u8>>,
    policy: String,
}

/// The top-level targets: who may sign what.
pub(crate) const TARGETS: &str = "targets";

/// The order in which expired roles are named.
const ROLES: [&str; 8] = [
    "root",
    "timestamp",
    "snapshot",
    TARGETS,
    guard::POLICY,
    Risk::Low.role(),
    Risk::Medium.role(),
    Risk::High.role(),
];

impl Catalogue {
    /// Verifies the catalogue in `files` from the pinned first root on. Expired roles are no fault
    /// here (see [`Self::expired`]): a clock that is wrong must not lose a catalogue, so `_now`
    /// decides nothing and stands only beside that of [`Self::update`].
    ///
    /// # Errors
    /// [`CatalogueError`] for the first thing that does not verify.
    pub fn open(files: &Files, root: &[u8], _now: Time) -> Result<Self, CatalogueError> {
        read::read(root, files, &Files::new()).map(|(catalogue, _)| catalogue)
    }

    /// Verifies `new` (whole or a delta) over the trusted `files`: gives the new catalogue and all
    /// of its files to keep, or an error and nothing has changed. `files` is empty on the first
    /// update. What is offered must be fresh at `now` and at the [floor](Self::floor) of what is held,
    /// which may itself have expired and is a floor all the same; only a root that takes the online
    /// key away takes its time with it.
    ///
    /// # Errors
    /// [`CatalogueError`]; its `code` is what the desk is told.
    pub fn update(
        files: &Files,
        root: &[u8],
        new: &Files,
        now: Time,
    ) -> Result<(Self, Files), CatalogueError> {
        if !new.within_limits() {
            return Err(CatalogueError::TooLarge { bytes: new.bytes(), files: new.len() });
        }
        let (next, kept) = read::read(root, files, new)?;
        let held = match files.is_empty() {
            true => None,
            false => Some(read::read(root, files, &Files::new())?.0),
        };
        // Policy and risk roles may have expired without harm to the others: TUF asks for them
        // when a target is wanted, and so does whoever authorizes.
        // Fresh also when it was issued, as it says itself: that is the floor of every later
        // judgement, and the online key alone must not move it to where nothing is fresh any more.
        let since = held.as_ref().filter(|held| held.same_online_key(&next)).map(Self::floor);
        let now = now.max(next.issued).max(since.unwrap_or_default());
        for role in ["root", "timestamp", "snapshot", "targets"] {
            if let Some(expired) = next.end_of(role).filter(|end| *end <= now) {
                return Err(CatalogueError::Expired { role: role.to_owned(), expired });
            }
        }
        held.map_or(Ok(()), |held| held.same_versions_same_bytes(&next))?;
        Ok((next, kept))
    }

    fn same_online_key(&self, next: &Self) -> bool {
        let before = self.role_keys("timestamp");
        next.role_keys("timestamp").iter().any(|key| before.contains(key))
    }

    /// One script version is one digest for ever.
    fn same_versions_same_bytes(&self, next: &Self) -> Result<(), CatalogueError> {
        for (key, entry) in &self.scripts {
            if next.scripts.get(key).is_some_and(|other| other.digest != entry.digest) {
                let name = entry.manifest.target_path();
                return Err(CatalogueError::Equivocation { name });
            }
        }
        Ok(())
    }

    /// Versions of all roles, zero where a role is not there.
    #[must_use]
    pub fn versions(&self) -> CatalogueVersions {
        self.versions
    }

    /// When the timestamp was issued, as the online key says.
    #[must_use]
    pub fn issued(&self) -> Time {
        self.issued
    }

    /// A floor under every clock: when it was issued, and never beyond the time for which the
    /// offline keys vouch. A stolen online key moves time no further than that.
    #[must_use]
    pub fn floor(&self) -> Time {
        let ends =
            ["root", TARGETS, guard::POLICY].into_iter().filter_map(|role| self.end_of(role));
        ends.fold(self.issued, Time::min)
    }

    /// When a role ends.
    #[must_use]
    pub fn end_of(&self, role: &str) -> Option<Time> {
        self.ends.get(role).copied()
    }

    /// The first role that has expired at `now`, whichever it is.
    #[must_use]
    pub fn expired(&self, now: Time) -> Option<(String, Time)> {
        self.first_expired(&ROLES, now)
    }

    /// The first role that has expired at `now` among those that a script of this risk rests on:
    /// an expired list of high risk does not stop scripts of low risk.
    #[must_use]
    pub fn expired_for(&self, risk: Risk, now: Time) -> Option<(String, Time)> {
        let [root, timestamp, snapshot, targets, policy, ..] = ROLES;
        self.first_expired(&[root, timestamp, snapshot, targets, policy, risk.role()], now)
    }

    fn first_expired(&self, roles: &[&str], now: Time) -> Option<(String, Time)> {
        let ends = roles.iter().filter_map(|role| self.end_of(role).map(|end| (*role, end)));
        ends.filter(|(_, end)| *end <= now).map(|(role, end)| (role.to_owned(), end)).next()
    }

    /// Every listed script version, by name and version.
    pub fn scripts(&self) -> impl Iterator<Item = &ScriptEntry> {
        self.scripts.values()
    }

    /// One script version.
    #[must_use]
    pub fn script(&self, name: &ScriptName, version: u32) -> Option<&ScriptEntry> {
        self.scripts.get(&(name.clone(), version))
    }

    /// The newest listed version of a script.
    #[must_use]
    pub fn latest(&self, name: &ScriptName) -> Option<&ScriptEntry> {
        let versions = (name.clone(), 0)..=(name.clone(), u32::MAX);
        self.scripts.range(versions).next_back().map(|(_, entry)| entry)
    }

    /// A listed script's source, checked against its digest when the catalogue was read.
    #[must_use]
    pub fn source(&self, entry: &ScriptEntry) -> Option<&[u8]> {
        self.sources.get(&entry.digest).map(Vec::as_slice)
    }

    /// The policy's text.
    #[must_use]
    pub fn policy_text(&self) -> &str {
        &self.policy
    }

    /// Keys that may sign for a role; none where it is not there.
    #[must_use]
    pub fn role_keys(&self, role: &str) -> Vec<PublicKey> {
        self.roles.get(role).map(|authority| authority.keys.clone()).unwrap_or_default()
    }

    /// Every role's threshold and number of keys.
    #[must_use]
    pub fn thresholds(&self) -> BTreeMap<String, (usize, usize)> {
        let of = |a: &RoleKeys| (a.threshold, a.keys.len());
        self.roles.iter().map(|(name, authority)| (name.clone(), of(authority))).collect()
    }
}
