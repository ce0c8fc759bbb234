//! The desk's side: writes the catalogue as a folder of plain files that a web server could serve.
//!
//! What is published is what `timestamp.json` leads to, and that file is written last: whatever is
//! killed before it has published nothing, and the same call again completes it. Nothing is written
//! that `Catalogue` would refuse. Never holds a key: signers come with each call.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use protocol::documents::CatalogueVersions;
use protocol::{Manifest, PublicKey, ScriptName, Time, json};

use super::build;
use super::current::{Current, top_keys};
use super::draft::Draft;
use super::error::RepositoryError;
use super::files::Files;
use super::plan::{Lifetimes, RepositoryPlan, RoleKeys};
use super::publish::{self, Change};
use super::read::TIMESTAMP;
use super::store::{StoreError, make_folder};
use super::{Catalogue, TARGETS, install_provider};
use crate::keys::Signer;

/// A catalogue's folder at the desk.
#[derive(Debug)]
pub struct Repository {
    pub(super) folder: PathBuf,
    pub(super) lifetimes: Lifetimes,
}

const SETTINGS: &str = "repository.json";
const LOCK: &str = ".lock";

impl Repository {
    /// Opens a repository that [`Self::create`] made.
    ///
    /// # Errors
    /// [`RepositoryError::NotThere`] where there is none.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, RepositoryError> {
        let folder = folder.into();
        install_provider();
        let published = folder.join(TIMESTAMP);
        let bytes = match (published.is_file(), fs::read(folder.join(SETTINGS))) {
            (true, Ok(bytes)) => bytes,
            _ => return Err(RepositoryError::NotThere(folder)),
        };
        let lifetimes = json::read(&bytes)
            .map_err(|_| RepositoryError::Damaged { file: SETTINGS.to_owned() })?;
        Ok(Self { folder, lifetimes })
    }

    /// Makes a repository with its first policy and no scripts. `signers` must reach every role's
    /// threshold and include the online key.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`] where one is published already; an interrupted creation is begun
    /// anew.
    pub fn create(
        folder: impl Into<PathBuf>,
        plan: RepositoryPlan,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<Self, RepositoryError> {
        install_provider();
        let repository = Self { folder: folder.into(), lifetimes: plan.lifetimes };
        make_folder(&repository.folder)?;
        let _lock = repository.lock()?;
        if repository.folder.join(TIMESTAMP).exists() {
            return Err(RepositoryError::Exists(repository.folder));
        }
        let settings = json::write(&plan.lifetimes).map_err(RepositoryError::Draft)?;
        publish::write(&repository.folder, SETTINGS, &settings)?;
        let change = publish::first(&plan, signers, now)?;
        publish::publish(&repository.folder, None, change, signers, now, &plan.lifetimes)?;
        Ok(repository)
    }

    /// Every file of the catalogue, for `delta` and for a web server.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] where the folder cannot be read.
    pub fn files(&self) -> Result<Files, RepositoryError> {
        publish::files(&self.folder)
    }

    /// The same with lists and policies of older generations, which nobody is handed any more: for
    /// judging what was decided by them.
    ///
    /// # Errors
    /// As [`Self::files`].
    pub fn files_with_past(&self) -> Result<Files, RepositoryError> {
        let mut all = publish::past(&self.folder)?;
        all.0.extend(self.files()?.0);
        Ok(all)
    }

    /// The first root: what endpoints are born with.
    ///
    /// # Errors
    /// [`RepositoryError`] where it is not there.
    pub fn first_root(&self) -> Result<Vec<u8>, RepositoryError> {
        Ok(self.current()?.first_root)
    }

    /// What is published, verified as an endpoint would.
    ///
    /// # Errors
    /// [`RepositoryError::Refused`] where it does not verify.
    pub fn catalogue(&self, now: Time) -> Result<Catalogue, RepositoryError> {
        let current = self.current()?;
        Catalogue::open(&current.files, &current.first_root, now).map_err(RepositoryError::Refused)
    }

    /// Publishes a policy.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn set_policy(
        &mut self,
        text: &str,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let draft = self.draft_policy(text, now)?;
        self.sign_and_publish(draft, signers, now)
    }

    /// Publishes a script version; the manifest's risk names the role. A version that is published
    /// already with the same bytes is left as it is.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn add_script(
        &mut self,
        source: &[u8],
        manifest: &Manifest,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        match self.draft_script(source, manifest, now)? {
            Some(draft) => self.sign_and_publish(draft, signers, now),
            None => Ok(()),
        }
    }

    /// Takes a script version off its list; endpoints refuse it from their next update on.
    ///
    /// # Errors
    /// [`RepositoryError::Unlisted`] where it is not listed; otherwise nothing has changed.
    pub fn withdraw(
        &mut self,
        name: &ScriptName,
        version: u32,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let draft = self.draft_withdrawal(name, version, now)?;
        self.sign_and_publish(draft, signers, now)
    }

    /// Publishes a role's list as it is with a new end.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn renew(
        &mut self,
        role: &str,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let draft = self.draft_renewal(role, now)?;
        self.sign_and_publish(draft, signers, now)
    }

    /// Renews timestamp and snapshot where they are older than a day (or half of a shorter life)
    /// or no longer signed by the current online key. Says whether it did.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn renew_online(
        &mut self,
        online: &dyn Signer,
        now: Time,
    ) -> Result<bool, RepositoryError> {
        let _lock = self.lock()?;
        let current = self.current()?;
        let due = publish::due(&current, &self.lifetimes, now)?;
        if due == publish::Due::Nothing {
            return Ok(false);
        }
        let change = Change { snapshot: due == publish::Due::Both, ..Change::default() };
        publish::publish(&self.folder, Some(current), change, &[online], now, &self.lifetimes)?;
        Ok(true)
    }

    /// Publishes a draft that has its role's signatures.
    ///
    /// # Errors
    /// [`RepositoryError::Signatures`] where some are missing, [`RepositoryError::OutOfDate`]
    /// where another version was published first.
    pub fn publish(
        &mut self,
        mut draft: Draft,
        online: &dyn Signer,
        now: Time,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let current = self.current()?;
        let role = draft.role.clone();
        if draft.version != current.next(&role) {
            return Err(RepositoryError::OutOfDate { role });
        }
        let keys = current.keys_of(&role)?;
        draft.signatures = build::enough(&role, &draft.signed, keys, &draft.signatures)?;
        let mut change = Change { snapshot: true, ..Change::default() };
        change.add(&draft);
        publish::publish(&self.folder, Some(current), change, &[online], now, &self.lifetimes)
    }

    /// Takes files of a newer catalogue that was made elsewhere: verified over what is published
    /// as an endpoint would, then written, timestamp last. Where `base` is given and something else
    /// is published by now, nothing is taken.
    ///
    /// # Errors
    /// [`RepositoryError::OutOfDate`] names the first role that is another than in `base`;
    /// [`RepositoryError::Refused`] where it does not verify. Nothing has changed then.
    pub fn adopt(
        &mut self,
        new: &Files,
        base: Option<CatalogueVersions>,
        now: Time,
    ) -> Result<Catalogue, RepositoryError> {
        let _lock = self.lock()?;
        let Current { files, first_root, .. } = self.current()?;
        if let Some(base) = base {
            let held = Catalogue::open(&files, &first_root, now);
            let held = held.map_err(RepositoryError::Refused)?.versions();
            let pairs = held.named().into_iter().zip(base.named());
            if let Some(((role, _), _)) = pairs.into_iter().find(|(ours, theirs)| ours != theirs) {
                return Err(RepositoryError::OutOfDate { role: role.to_owned() });
            }
        }
        let (catalogue, kept) =
            Catalogue::update(&files, &first_root, new, now).map_err(RepositoryError::Refused)?;
        publish::adopt(&self.folder, files, new, &kept)?;
        Ok(catalogue)
    }

    /// Gives roles other people or thresholds (the top-level targets). Lists that no longer have
    /// enough signatures of their own people are signed again by `signers`, who include the online
    /// key; roles that are new begin empty.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn set_roles(
        &mut self,
        policy: RoleKeys,
        risks: BTreeMap<protocol::Risk, RoleKeys>,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let current = self.current()?;
        let roles = publish::delegated(policy, risks);
        let change = publish::new_roles(&current, roles, signers, now, &self.lifetimes)?;
        publish::publish(&self.folder, Some(current), change, signers, now, &self.lifetimes)
    }

    /// Has the top-level targets signed again as they are: where who signed them counts no more.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn renew_roles(
        &mut self,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let current = self.current()?;
        let no_role = || RepositoryError::NoRole { role: TARGETS.to_owned() };
        let roles = top_keys(current.roles.get(TARGETS).ok_or_else(no_role)?)?;
        let change = publish::new_roles(&current, roles, signers, now, &self.lifetimes)?;
        publish::publish(&self.folder, Some(current), change, signers, now, &self.lifetimes)
    }

    /// Gives the root's own roles other keys: a new root, signed by the old root's people and the
    /// new one's; whatever the new keys ask for is signed again. The same call again completes an
    /// interrupted one.
    ///
    /// # Errors
    /// [`RepositoryError`]; nothing has changed then.
    pub fn rotate_root(
        &mut self,
        root: RoleKeys,
        targets: RoleKeys,
        online: PublicKey,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let current = self.current()?;
        let change =
            publish::new_root(&current, [root, targets], online, signers, now, &self.lifetimes)?;
        publish::publish(&self.folder, Some(current), change, signers, now, &self.lifetimes)
    }

    fn sign_and_publish(
        &mut self,
        mut draft: Draft,
        signers: &[&dyn Signer],
        now: Time,
    ) -> Result<(), RepositoryError> {
        let current = self.current()?;
        let keys = current.keys_of(&draft.role)?;
        build::sign(&draft.signed, &[keys], signers, &mut draft.signatures)?;
        let online = current.keys_of("timestamp")?;
        let holds = |signer: &&&dyn Signer| online.keys.contains(&signer.public_key());
        let missing = || RepositoryError::Signatures {
            role: "timestamp".to_owned(),
            good: 0,
            wanted: online.threshold,
        };
        let online = signers.iter().find(holds).ok_or_else(missing)?;
        self.publish(draft, *online, now)
    }

    pub(super) fn current(&self) -> Result<Current, RepositoryError> {
        Current::read(self.files()?)
    }

    /// One writer at a time, also between processes; released when dropped.
    pub(super) fn lock(&self) -> Result<File, RepositoryError> {
        let path = self.folder.join(LOCK);
        let lock = || {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| StoreError { doing: "lock", path: path.clone(), source }.into())
    }
}
