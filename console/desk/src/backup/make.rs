//! Makes the copy: the store as SQLite copies it, catalogue and keys while nobody changes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use protocol::{Digest, Time};

use super::manifest::{STORE, is_backup};
use super::{BackupError, Manifest, Part, copy_hashed, failed};
use crate::catalogue;
use crate::home::{self, FileError, Home, Online};
use crate::org::Desk;

/// Files that are gone when this is, whatever happened.
struct Draft(Vec<PathBuf>);

impl Drop for Draft {
    fn drop(&mut self) {
        for path in &self.0 {
            // The one that was renamed is not there any more.
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes one consistent copy of this desk to `file` (mode 0600), whole or not at all, also while
/// the desk serves. An older backup of that name is replaced. Who changes the catalogue waits for as
/// long as it takes; who uses the store waits for nothing.
///
/// # Errors
/// [`BackupError`]; what was at `file` before is there still.
pub fn backup(desk: &Desk, file: &Path, now: Time) -> Result<Manifest, BackupError> {
    let store = desk.store.here()?;
    free(file)?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = |end: &str| folder.join(format!(".{name}.{end}"));
    let (draft, copy) = (beside("new"), beside("store"));
    let leftover = Draft(vec![copy.clone(), draft.clone()]);
    for path in &leftover.0 {
        home::remove(path)?;
    }
    let lock = desk.home.lock()?;
    store.copy_to(&copy)?;
    let small = small(&desk.home)?;
    let catalogue = catalogue::open(&desk.home, now).map_err(not_a_desk(file))?.versions();
    drop(lock);
    let mut from = File::open(&copy).map_err(failed("read", &copy))?;
    let mut files = vec![digest_of(&mut from).map_err(failed("read", &copy))?];
    files.extend(small.iter().map(|(path, bytes)| Part {
        path: path.clone(),
        bytes: bytes.len() as u64,
        sha256: Digest::of(bytes),
    }));
    let manifest = Manifest {
        made: now,
        salve: env!("CARGO_PKG_VERSION").to_owned(),
        organisation: desk.organisation.id.clone(),
        catalogue,
        files,
    };
    let unwritten = |source| BackupError::Unreadable { path: file.to_owned(), source };
    let head = manifest.head().map_err(unwritten)?;
    let mut write = || -> io::Result<()> {
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let mut to = BufWriter::new(new);
        to.write_all(&head)?;
        from.rewind()?;
        io::copy(&mut from, &mut to)?;
        small.iter().try_for_each(|(_, bytes)| to.write_all(bytes))?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&draft, file)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(failed("write", file))?;
    Ok(manifest)
}

pub(super) fn not_a_desk(file: &Path) -> impl Fn(catalogue::CatalogueTrouble) -> BackupError + '_ {
    move |trouble| BackupError::NotADesk { path: file.to_owned(), source: Box::new(trouble) }
}

/// Only nothing and an older backup are written over.
fn free(file: &Path) -> Result<(), BackupError> {
    let mut head = Vec::new();
    match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", file)(error)),
        Ok(open) => {
            // A folder is no backup either.
            let _ = open.take(64).read_to_end(&mut head);
        }
    }
    if is_backup(&head) {
        return Ok(());
    }
    Err(BackupError::Occupied { path: file.to_owned() })
}

fn digest_of(from: &mut File) -> io::Result<Part> {
    let (bytes, sha256) = copy_hashed(from, &mut io::sink())?;
    Ok(Part { path: STORE.to_owned(), bytes, sha256 })
}

/// All files but the store: public papers, and the keys that the desk uses without a person.
fn small(home: &Home) -> Result<Vec<(String, Vec<u8>)>, FileError> {
    let mut paths = vec!["org/organisation.toml".to_owned()];
    if home::is_there(&home.path().join("org/roots.toml")) {
        paths.push("org/roots.toml".to_owned());
    }
    for folder in ["org/repository", "org/pending"] {
        listed(home.path(), folder, &mut paths)?;
    }
    for online in Online::ALL {
        for end in ["pem", "crt"] {
            let path = format!("keys/online/{}.{end}", online.word());
            if home::is_there(&home.path().join(&path)) {
                paths.push(path);
            }
        }
    }
    let with_bytes = |path: String| {
        let bytes = home::read(&home.path().join(&path))?;
        Ok((path, bytes))
    };
    paths.into_iter().map(with_bytes).collect()
}

/// Files beneath a folder; hidden ones are locks and drafts, links are nobody's.
fn listed(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<(), FileError> {
    let path = root.join(folder);
    let fail = |source| FileError::Read { path: path.clone(), source };
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(fail)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push((name, entry.file_type().map_err(fail)?));
        }
    }
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, kind) in names {
        let path = format!("{folder}/{name}");
        if kind.is_dir() {
            listed(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}
