//! One file with all that makes this desk the desk, made while it works, and put back whole or not at
//! all. Never holds a person's key: root, admin, vetter and agent keys have copies of their own.

mod make;
mod manifest;
mod restore;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::books::BookError;
use crate::catalogue::CatalogueTrouble;
use crate::home::{FileError, Home, read};

pub use make::backup;
pub use manifest::{Manifest, Part, Unreadable, read_manifest};
use protocol::{Digest, Time};
pub use restore::{restore, verify};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// What a home that was put back says of itself, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// When the copy was made.
    pub made: Time,
    /// When it was put back.
    pub restored: Time,
}

impl Restored {
    /// What a home says; `None` where it was never put back.
    #[must_use]
    pub fn of(home: &Home) -> Option<Self> {
        protocol::json::read(&read(&home.restored_file()).ok()?).ok()
    }
}

/// Copies to the end; how many bytes that were, and their digest.
fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, Digest)> {
    let mut buffer = vec![0u8; 64 * 1024];
    let (mut hash, mut bytes) = (sha2::Sha256::new(), 0u64);
    loop {
        let read = from.read(&mut buffer)?;
        let piece = buffer.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return Ok((bytes, Digest(hash.finalize().into())));
        }
        hash.update(piece);
        to.write_all(piece)?;
        bytes = bytes.saturating_add(read as u64);
    }
}

/// Why there is no copy, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A home that works with a shared desk has nothing of the desk's.
    #[error(transparent)]
    Books(#[from] BookError),
    /// A file of the home.
    #[error(transparent)]
    File(#[from] FileError),
    /// The copy, or the folder that it is put back in.
    #[error("could not {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is something else where the copy should be.
    #[error("`{path}` is there and is no backup; nothing was written")]
    Occupied {
        /// Which.
        path: PathBuf,
    },
    /// What was read is not a whole backup.
    #[error("`{path}` cannot be put back; nothing was changed")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Unreadable,
    },
    /// What was in it is no whole desk.
    #[error("what is in `{path}` is not a whole desk; nothing was changed")]
    NotADesk {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<CatalogueTrouble>,
    },
    /// Something is in the home already.
    #[error("`{path}` is not empty: `{found}` is in it; nothing was changed")]
    NotEmpty {
        /// The home.
        path: PathBuf,
        /// What was found first.
        found: String,
    },
}

impl From<store::StoreError> for BackupError {
    fn from(error: store::StoreError) -> Self {
        Self::Books(error.into())
    }
}

fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> BackupError + Copy + 'a {
    move |source| BackupError::Io { doing, path: path.to_owned(), source }
}
