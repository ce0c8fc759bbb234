//! Another house's signed catalogue, as files: verified from a root that came another way, held against
//! what is in force here, and handed to vetters of this house as one page.
//!
//! Whoever signed the release counts for nothing here: it decides what is worth looking at, and the
//! lists of this house are signed by its own people, as many as its lists ask for.

use std::path::{Path, PathBuf};

use policy::PolicyFile;
use protocol::{Digest, PublicKey, Risk, ScriptName, Time};
use serde::Serialize;
use trust::SigningKey;
use trust::catalogue::{
    Catalogue, CatalogueError, Files, FolderStore, ScriptEntry, StoreError, TrustedStore as _,
};

use crate::catalogue::{self, CatalogueTrouble, Pending, Proposal, ScriptFile};
use crate::home::{self, FileError, Home, is_there};
use crate::org::Desk;

/// Why a release is not adopted.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// No root is pinned, and none was given.
    #[error("no release was adopted here before: which root is it signed under?")]
    NoRoot,
    /// Several are pinned.
    #[error("releases of {0} sources were adopted here: which root is this one signed under?")]
    Several(usize),
    /// It holds no catalogue.
    #[error("there is no catalogue in `{}`", .0.display())]
    Empty(PathBuf),
    /// It does not verify from the pinned root on.
    #[error("the release does not verify")]
    Catalogue(#[from] CatalogueError),
    /// Its policy cannot be read, so that nobody's keys are known.
    #[error("the release's policy cannot be read")]
    Policy,
    /// What a list rests on has expired.
    #[error("the release's {role} expired at {expired}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        expired: Time,
    },
    /// A text says something else than the signed list.
    #[error("{name} {version} is not what the release lists: its text says otherwise")]
    Differs {
        /// Which script.
        name: ScriptName,
        /// Its version.
        version: u32,
    },
    /// A version of this house has other bytes.
    #[error("{name} {version} is in force here with other bytes")]
    Clash {
        /// Which script.
        name: ScriptName,
        /// Its version.
        version: u32,
    },
    /// The catalogue here, or a script's faults.
    #[error(transparent)]
    Here(#[from] Box<CatalogueTrouble>),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The release's files, or those kept of an earlier one.
    #[error(transparent)]
    Files(#[from] StoreError),
}

impl From<CatalogueTrouble> for ReleaseError {
    fn from(trouble: CatalogueTrouble) -> Self {
        Self::Here(Box::new(trouble))
    }
}

/// A script version in force here that the release speaks against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Against {
    /// Its name.
    pub name: ScriptName,
    /// Its version.
    pub version: u32,
    /// Whether the release denies it; else it listed it before and lists it no more.
    pub denied: bool,
}

/// A release that verifies, beside what is in force here.
#[derive(Debug)]
pub struct Offer {
    /// SHA-256 of the root that is pinned for it.
    pub root: Digest,
    /// Its organisation, as its policy says.
    pub organisation: String,
    /// When it was issued, as it says.
    pub issued: Time,
    /// Scripts that it lists.
    pub listed: usize,
    /// What this house's lists would become.
    pub proposals: Vec<Proposal>,
    /// What is in force here and should not be, as it says.
    pub against: Vec<Against>,
    scripts: Vec<ScriptFile>,
    first: Vec<u8>,
    kept: Files,
}

fn sources(home: &Home) -> PathBuf {
    home.path().join("org").join("adopted")
}

fn pinned(folder: &Path) -> PathBuf {
    folder.join("root.json")
}

/// The source that a root names, or the only one there is.
fn source(home: &Home, root: Option<&[u8]>) -> Result<(PathBuf, Vec<u8>), ReleaseError> {
    if let Some(root) = root {
        let name: String = Digest::of(root).to_string().chars().take(16).collect();
        return Ok((sources(home).join(name), root.to_vec()));
    }
    let entries = std::fs::read_dir(sources(home)).into_iter().flatten();
    let mut known: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    known.retain(|folder| is_there(&pinned(folder)));
    let many = known.len();
    match known.pop() {
        None => Err(ReleaseError::NoRoot),
        Some(_) if many > 1 => Err(ReleaseError::Several(many)),
        Some(folder) => Ok((folder.clone(), home::read(&pinned(&folder))?)),
    }
}

/// Verifies a release, as an endpoint of its house would, over what was adopted of it before.
///
/// # Errors
/// [`ReleaseError`].
pub fn read(
    home: &Home,
    release: &Path,
    root: Option<&[u8]>,
    now: Time,
) -> Result<Offer, ReleaseError> {
    let (folder, first) = source(home, root)?;
    let new = Files::from_folder(release)?;
    if new.is_empty() {
        return Err(ReleaseError::Empty(release.to_owned()));
    }
    let held = match is_there(&folder) {
        true => FolderStore::open(folder.join("files"))?.load()?,
        false => Files::new(),
    };
    // A release is read weeks after it was issued: its timestamp and snapshot say that it is newer than
    // the one before, and must have been fresh when they were made. What people signed must be now.
    let (theirs, kept) = Catalogue::update(&held, &first, &new, Time(0))?;
    let policy = PolicyFile::read(theirs.policy_text()).map_err(|_| ReleaseError::Policy)?;
    let person = |key: &PublicKey| policy.person_of(key).map(|person| person.name.clone());
    theirs.check_people(&person)?;
    theirs.check_administrators(&|key| policy.counts(key, now))?;
    let roles = ["root", "targets", catalogue::POLICY].into_iter().chain(Risk::ALL.map(Risk::role));
    for role in roles {
        if let Some(expired) = theirs.end_of(role).filter(|end| *end <= now) {
            return Err(ReleaseError::Expired { role: role.to_owned(), expired });
        }
    }
    let ours = catalogue::open(home, now)?;
    let before = match held.is_empty() {
        true => None,
        false => Some(Catalogue::open(&held, &first, now)?),
    };
    let scripts = scripts(&theirs, &ours, &policy)?;
    Ok(Offer {
        root: Digest::of(&first),
        organisation: policy.organisation().to_owned(),
        issued: theirs.issued(),
        listed: theirs.scripts().count(),
        proposals: catalogue::proposals(home, &scripts, now)?,
        against: against(&theirs, before.as_ref(), &ours, &policy),
        scripts,
        first,
        kept,
    })
}

/// Every script's newest version that is not denied and not in force here, read anew from its text.
fn scripts(
    theirs: &Catalogue,
    ours: &Catalogue,
    policy: &policy::Policy,
) -> Result<Vec<ScriptFile>, ReleaseError> {
    let mut scripts = Vec::new();
    for entry in theirs.scripts() {
        let m = &entry.manifest;
        let newest =
            theirs.latest(&m.name).is_some_and(|latest| latest.manifest.version == m.version);
        if !newest || policy.is_denied_script(&entry.digest) {
            continue;
        }
        let (name, version) = (m.name.clone(), m.version);
        match ours.script(&name, version) {
            Some(own) if own.digest == entry.digest => continue,
            Some(_) => return Err(ReleaseError::Clash { name, version }),
            None => {}
        }
        // One that went further here stays.
        if ours.latest(&name).is_some_and(|own| own.manifest.version > version) {
            continue;
        }
        let source = theirs.source(entry).unwrap_or_default();
        let script = ScriptFile::read(source, &m.author)?;
        if script.manifest != *m {
            return Err(ReleaseError::Differs { name, version });
        }
        scripts.push(script);
    }
    Ok(scripts)
}

fn against(
    theirs: &Catalogue,
    before: Option<&Catalogue>,
    ours: &Catalogue,
    policy: &policy::Policy,
) -> Vec<Against> {
    let same = |of: &Catalogue, entry: &ScriptEntry| {
        let found = of.script(&entry.manifest.name, entry.manifest.version);
        found.is_some_and(|found| found.digest == entry.digest)
    };
    let speaks = |entry: &&ScriptEntry| {
        let denied = policy.is_denied_script(&entry.digest);
        let gone = before.is_some_and(|before| same(before, entry)) && !same(theirs, entry);
        denied || gone
    };
    let against = |entry: &ScriptEntry| Against {
        name: entry.manifest.name.clone(),
        version: entry.manifest.version,
        denied: policy.is_denied_script(&entry.digest),
    };
    ours.scripts().filter(speaks).map(against).collect()
}

/// Signs what was shown with these vetters' keys, pins the release's root and keeps its files as the
/// floor under later ones. Gives what waits for how many people.
///
/// # Errors
/// [`ReleaseError`]; nothing has changed then.
pub fn adopt(
    desk: &Desk,
    offer: &Offer,
    vetters: &[SigningKey],
    now: Time,
) -> Result<Vec<Pending>, ReleaseError> {
    let home = &desk.home;
    // The first brings the scripts; a list that has them would lose its signatures by having them again.
    let mut scripts = offer.scripts.as_slice();
    for vetter in vetters {
        catalogue::sign_shown(home, scripts, &offer.proposals, vetter, now)?;
        scripts = &[];
    }
    let name: String = offer.root.to_string().chars().take(16).collect();
    let folder = sources(home).join(name);
    FolderStore::open(folder.join("files"))?.replace(&offer.kept)?;
    home::write_public(&pinned(&folder), &offer.first)?;
    Ok(catalogue::pending(home, now)?)
}

#[cfg(test)]
mod tests;
