//! Where an endpoint keeps the catalogue it trusts: replaced whole, by one rename, synced.
//!
//! A folder holds generations `g1`, `g2`, ...; the highest is current. A new one is written beside
//! it as `next`, file by file, synced, and becomes current by its rename alone. Whatever is killed
//! at whatever point leaves the old one or the new one, never a mixture. Never decides what to
//! trust.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::files::{Files, is_plain};

/// Why a trusted catalogue could not be read or replaced.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} `{path}`")]
pub struct StoreError {
    /// What was tried, as in "write".
    pub doing: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Keeps a trusted catalogue.
pub trait TrustedStore {
    /// The current catalogue; no files where there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read whole.
    fn load(&self) -> Result<Files, StoreError>;
    /// Makes `files` current, whole or not at all; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; the old catalogue is current still.
    fn replace(&mut self, files: &Files) -> Result<(), StoreError>;
}

/// The real one: a folder that only its owner reads.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
}

const NEXT: &str = "next";

impl FolderStore {
    /// Opens the folder, makes it where it is missing, and clears what an interrupted replacement
    /// left behind.
    ///
    /// # Errors
    /// [`StoreError`] where the folder cannot be made or cleared.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { folder: folder.into() };
        if !store.folder.is_dir() {
            make_folder(&store.folder)?;
            let parent = store.folder.parent().filter(|p| !p.as_os_str().is_empty());
            parent.map_or(Ok(()), sync_folder)?;
        }
        store.clear()?;
        Ok(store)
    }

    /// The number of every generation, lowest first.
    fn generations(&self) -> Result<Vec<u64>, StoreError> {
        let at = |source| StoreError { doing: "list", path: self.folder.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let name = entry.map_err(at)?.file_name();
            found.extend(name.to_str().and_then(generation));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn path_of(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("g{generation}"))
    }

    /// Removes the unfinished next generation and all but the current one.
    fn clear(&self) -> Result<(), StoreError> {
        remove(&self.folder.join(NEXT))?;
        let mut old = self.generations()?;
        old.pop();
        old.into_iter().try_for_each(|number| remove(&self.path_of(number)))
    }

    fn write_next(&self, files: &Files) -> Result<PathBuf, StoreError> {
        let next = self.folder.join(NEXT);
        remove(&next)?;
        make_folder(&next)?;
        let mut folders = vec![next.clone()];
        for (name, bytes) in files.iter() {
            let path = next.join(name);
            if !is_plain(name) {
                let source = io::Error::from(io::ErrorKind::InvalidInput);
                return Err(StoreError { doing: "use the name", path, source });
            }
            let folder = path.parent().unwrap_or(&next).to_path_buf();
            if !folders.contains(&folder) {
                make_folder(&folder)?;
                folders.extend(
                    folder.ancestors().skip(1).take_while(|f| *f != next).map(Path::to_path_buf),
                );
                folders.push(folder);
            }
            write_synced(&path, bytes)?;
        }
        folders.sort();
        folders.dedup();
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(next)
    }
}

impl TrustedStore for FolderStore {
    fn load(&self) -> Result<Files, StoreError> {
        let mut files = Files::new();
        if let Some(current) = self.generations()?.pop() {
            read_folder(&self.path_of(current), "", &mut files)?;
        }
        Ok(files)
    }

    fn replace(&mut self, files: &Files) -> Result<(), StoreError> {
        let next = self.write_next(files)?;
        let number = self.generations()?.pop().map_or(1, |last| last.saturating_add(1));
        let path = self.path_of(number);
        let failed = |source| StoreError { doing: "make current", path: path.clone(), source };
        fs::rename(&next, &path).map_err(failed)?;
        sync_folder(&self.folder)?;
        // The new one is current and durable; a leftover that stays is cleared by the next `open`.
        let _ = self.clear();
        Ok(())
    }
}

fn generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('g')?;
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| StoreError {
        doing: "make the folder",
        path: path.to_path_buf(),
        source,
    })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError { doing: "remove", path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| StoreError { doing: "write", path: path.to_path_buf(), source })
}

pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| StoreError {
        doing: "sync",
        path: path.to_path_buf(),
        source,
    })
}

/// Reads every plainly named file beneath `folder`; names are relative to where it began.
pub(super) fn read_folder(folder: &Path, at: &str, into: &mut Files) -> Result<(), StoreError> {
    let failed =
        |path: &Path, source| StoreError { doing: "read", path: path.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        let entry = entry.map_err(|e| failed(folder, e))?;
        let path = entry.path();
        let file_name = entry.file_name();
        let Some(part) = file_name.to_str() else { continue };
        let name = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
        if !is_plain(&name) {
            continue;
        }
        // `file_type` does not follow links: a link is neither and is passed over.
        let kind = entry.file_type().map_err(|e| failed(&path, e))?;
        if kind.is_dir() {
            read_folder(&path, &name, into)?;
        } else if kind.is_file() {
            into.insert(name, fs::read(&path).map_err(|e| failed(&path, e))?);
        }
    }
    Ok(())
}
