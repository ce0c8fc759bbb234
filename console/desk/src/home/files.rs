//! Files of the home: written beside their place, synced, renamed; secrets are 0600 from birth.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Largest file of the home that is read whole: a catalogue's text, a key, a certificate.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A file of the home that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading.
    #[error("could not read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing.
    #[error("could not write `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There, and not what it should be.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl FileError {
    /// Whether the file is simply not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Makes a folder of mode 0700 with those above it, where they are missing.
///
/// # Errors
/// [`FileError::Write`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

pub(super) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)
}

/// Writes a file that only its owner may read (0600), whole or not at all.
///
/// # Errors
/// [`FileError::Write`]; what was there before is there still.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o600)
}

/// Writes a file that others may read (0644), whole or not at all.
///
/// # Errors
/// [`FileError::Write`]; what was there before is there still.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |source| FileError::Write { path: path.to_owned(), source };
    let nameless = || fail(io::Error::other("it has no name in a folder"));
    let folder = path.parent().ok_or_else(nameless)?;
    let name = path.file_name().ok_or_else(nameless)?.to_string_lossy();
    create_folder(folder)?;
    // Only one writer at a time holds the home's lock, so one name of draft is enough.
    let draft = folder.join(format!(".{name}.new"));
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(e)),
        _ => {}
    }
    let write_all = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()
    };
    write_all().map_err(fail)
}

/// As [`write_secret`], without a wait for the disk: for what a power cut may take.
pub(super) fn write_soon(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let fail = |source| FileError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let draft = path.with_extension("new");
    let write_all = || -> io::Result<()> {
        let mut file = open_private(&draft)?;
        file.set_len(0)?;
        file.write_all(bytes)?;
        fs::rename(&draft, path)
    };
    write_all().map_err(fail)
}

/// Removes a file; one that is not there is removed already.
///
/// # Errors
/// [`FileError::Write`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    let fail = |source| FileError::Write { path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(fail)?,
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}

/// Removes a folder with all that is in it; one that is not there is removed already.
pub(crate) fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Write { path: path.to_owned(), source: e })
        }
        _ => Ok(()),
    }
}

/// Reads a file of the home.
///
/// # Errors
/// [`FileError::Read`], also for a file of more than 8 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let fail = |source| FileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fail(io::Error::other("it is larger than any file of a home")));
    }
    Ok(bytes)
}

/// Reads a text of the home.
///
/// # Errors
/// [`FileError::Read`], or [`FileError::Damaged`] where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?)
        .map_err(|_| FileError::Damaged { path: path.to_owned(), why: "not text".to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_private_from_birth_and_nothing_is_left_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/online/x.pem");
        write_secret(&path, b"one").unwrap();
        write_secret(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let public = dir.path().join("org/x");
        write_public(&public, b"x").unwrap();
        assert_eq!(mode(&public), 0o644);
    }

    #[test]
    fn a_leftover_draft_does_not_stop_the_next_writer_and_a_symlink_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        write_public(&victim, b"safe").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(".x.new")).unwrap();
        write_secret(&dir.path().join("x"), b"new").unwrap();
        assert_eq!(read(&victim).unwrap(), b"safe");
        assert_eq!(read(&dir.path().join("x")).unwrap(), b"new");
    }

    #[test]
    fn a_missing_file_is_told_from_a_damaged_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("x")).unwrap_err().is_missing());
        write_public(&dir.path().join("x"), &[0xff]).unwrap();
        assert!(!read_text(&dir.path().join("x")).unwrap_err().is_missing());
    }
}
