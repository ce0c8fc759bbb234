//! What stands at the head of a backup: one line of text, the manifest as JSON, then the bytes of its
//! files one behind the other.

use std::io::{self, Read};

use protocol::documents::CatalogueVersions;
use protocol::{Digest, Label, Time, json};
use serde::{Deserialize, Serialize};
use trust::catalogue::is_plain;

use crate::home::Online;

/// First words of every backup, with the version of this form.
const MAGIC: &str = "salve-backup ";
const VERSION: u32 = 1;
/// Longest first line, bytes.
const LINE_BYTES_MAX: usize = 128;
/// Largest manifest, bytes: some 200 a file.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Where the store lies, in the copy and in the home.
pub(super) const STORE: &str = "desk.db";

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its place in the home.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: Digest,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// When it was made.
    pub made: Time,
    /// Version of the salve that made it.
    pub salve: String,
    /// Of which organisation.
    pub organisation: Label,
    /// The catalogue that is in it.
    pub catalogue: CatalogueVersions,
    /// Its files in the order of their bytes.
    pub files: Vec<Part>,
}

/// Why a file is no whole backup.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It does not begin like one.
    #[error("it is no backup of salve")]
    NotABackup,
    /// Made by a newer salve.
    #[error("it has form {have} and this salve knows {VERSION}; use the newer salve")]
    Newer {
        /// The form of the file.
        have: u32,
    },
    /// It ends too early.
    #[error("it is cut off")]
    CutOff,
    /// Bytes or digests are not what they should be.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// It could not be read.
    #[error("reading failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Io(error),
        }
    }
}

/// Whether bytes begin like a backup.
pub(super) fn is_backup(head: &[u8]) -> bool {
    head.starts_with(MAGIC.as_bytes())
}

/// Where a file of a backup may lie in a home: nowhere else is anything written.
fn has_place(path: &str) -> bool {
    let online = |name: &str| {
        let stem = name.strip_suffix(".pem").or_else(|| name.strip_suffix(".crt"));
        stem.is_some_and(|stem| Online::ALL.iter().any(|online| online.word() == stem))
    };
    match path.split_once('/') {
        None => path == STORE,
        Some(("org", rest)) => match rest.split_once('/') {
            None => matches!(rest, "organisation.toml" | "roots.toml"),
            Some(("repository" | "pending", name)) => is_plain(name),
            Some(_) => false,
        },
        Some(("keys", rest)) => rest.strip_prefix("online/").is_some_and(online),
        Some(_) => false,
    }
}

impl Manifest {
    /// First line and manifest, as they are written.
    pub(super) fn head(&self) -> Result<Vec<u8>, Unreadable> {
        let fault = |_| Unreadable::Damaged("its manifest cannot be written".to_owned());
        let bytes = json::write(self).map_err(fault)?;
        let line = format!("{MAGIC}{VERSION} {} {}\n", bytes.len(), Digest::of(&bytes));
        Ok([line.into_bytes(), bytes].concat())
    }

    fn check(&self) -> Result<(), Unreadable> {
        let mut seen = std::collections::BTreeSet::new();
        for part in &self.files {
            if !has_place(&part.path) {
                return Err(Unreadable::Damaged("a file in it has no place in a home".to_owned()));
            }
            if !seen.insert(part.path.as_str()) {
                return Err(Unreadable::Damaged(format!("`{}` is in it twice", part.path)));
            }
        }
        for needed in [STORE, "org/organisation.toml", "org/repository/timestamp.json"] {
            if !seen.contains(needed) {
                return Err(Unreadable::Damaged(format!("`{needed}` is not in it")));
            }
        }
        Ok(())
    }
}

/// Reads first line and manifest, strictly; what follows are the files.
///
/// # Errors
/// [`Unreadable`].
pub fn read_manifest(from: &mut impl Read) -> Result<Manifest, Unreadable> {
    let mut line = Vec::new();
    let mut one = [0u8];
    loop {
        match from.read_exact(&mut one) {
            Err(error) if !is_backup(&line) && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Unreadable::NotABackup);
            }
            other => other?,
        }
        if one == *b"\n" {
            break;
        }
        line.extend(one);
        if line.len() > LINE_BYTES_MAX {
            return Err(Unreadable::NotABackup);
        }
    }
    let line = std::str::from_utf8(&line).map_err(|_| Unreadable::NotABackup)?;
    let words = line.strip_prefix(MAGIC).ok_or(Unreadable::NotABackup)?;
    let damaged = || Unreadable::Damaged("its first line".to_owned());
    let (version, rest) = words.split_once(' ').ok_or_else(damaged)?;
    let have: u32 = version.parse().map_err(|_| damaged())?;
    if have > VERSION {
        return Err(Unreadable::Newer { have });
    }
    let (length, digest) = rest.split_once(' ').ok_or_else(damaged)?;
    let length: usize = length.parse().map_err(|_| damaged())?;
    let digest: Digest = digest.parse().map_err(|_| damaged())?;
    if have != VERSION || length > MANIFEST_BYTES_MAX {
        return Err(damaged());
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    if Digest::of(&bytes) != digest {
        return Err(Unreadable::Damaged("its manifest".to_owned()));
    }
    let manifest: Manifest = json::read(&bytes)
        .map_err(|_| Unreadable::Damaged("its manifest says nothing we know".to_owned()))?;
    manifest.check()?;
    Ok(manifest)
}
