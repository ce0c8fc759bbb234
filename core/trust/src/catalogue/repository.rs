//! The desk's side: writes the catalogue as a folder of plain files that a web server could serve.
//!
//! What is published is what `timestamp.json` leads to, and that file is written last: whatever is
//! killed before it has published nothing, and the same call again completes it. Nothing is written
//! that `Catalogue` would refuse. Never holds a key: signers come with each call.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use protocol::{Bytes, Manifest, PublicKey, ScriptName, Time, json, limits};
use serde_json::{Map, Value};

use super::build;
use super::current::Current;
use super::draft::Draft;
use super::error::CatalogueError;
use super::files::{Files, target_file};
use super::guard::POLICY;
use super::plan::{Lifetimes, RepositoryPlan, RoleKeys};
use super::publish::{self, Change};
use super::read::TIMESTAMP;
use super::store::{StoreError, make_folder};
use super::{Catalogue, install_provider};
use crate::keys::{SignError, Signer};

/// Why a catalogue could not be published. Nothing has changed for anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is a catalogue already.
    #[error("`{0}` holds a catalogue already")]
    Exists(PathBuf),
    /// There is none.
    #[error("`{0}` holds no catalogue")]
    NotThere(PathBuf),
    /// The folder could not be read or written.
    #[error("could not use the repository")]
    Store(#[from] StoreError),
    /// A file of the repository is missing or cannot be read.
    #[error("`{file}` of the repository is missing or damaged")]
    Damaged {
        /// Which.
        file: String,
    },
    /// There is no such role.
    #[error("the catalogue has no role `{role}`")]
    NoRole {
        /// Which.
        role: String,
    },
    /// Too few of a role's people signed.
    #[error("role `{role}` needs {wanted} signatures of its own people, has {good}")]
    Signatures {
        /// Which role.
        role: String,
        /// Good ones.
        good: usize,
        /// How many are needed.
        wanted: usize,
    },
    /// A signer did not sign.
    #[error("could not sign")]
    Sign(#[source] SignError),
    /// The draft lists what does not belong to its role.
    #[error("the draft for role `{role}` lists what does not belong there")]
    Misplaced {
        /// The role it names.
        role: String,
    },
    /// Something else was published in the meantime: make the draft again.
    #[error("the draft for role `{role}` is out of date")]
    OutOfDate {
        /// The role.
        role: String,
    },
    /// Not a draft.
    #[error("not a draft")]
    Draft(#[source] json::BadJson),
    /// A script's version is published with another content: count up.
    #[error("`{path}` is published with another content; a change is a new version")]
    Taken {
        /// Its target path.
        path: String,
    },
    /// No such script version is listed.
    #[error("`{path}` is not listed")]
    Unlisted {
        /// Its target path.
        path: String,
    },
    /// Too large for an endpoint.
    #[error("{what} of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A manifest could not be written as JSON.
    #[error("could not write the manifest")]
    Manifest(#[source] serde_json::Error),
    /// The signed part has no canonical form: a number that is not whole.
    #[error("could not write a role")]
    Canonical {
        /// What.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// Endpoints would refuse what was about to be published.
    #[error("endpoints would refuse this catalogue")]
    Refused(#[source] CatalogueError),
}

/// A catalogue's folder at the desk.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    lifetimes: Lifetimes,
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

    fn current(&self) -> Result<Current, RepositoryError> {
        Current::read(self.files()?)
    }

    /// One writer at a time, also between processes; released when dropped.
    fn lock(&self) -> Result<File, RepositoryError> {
        let path = self.folder.join(LOCK);
        let lock = || {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| StoreError { doing: "lock", path: path.clone(), source }.into())
    }
}
