//! A machine that becomes many: nothing of one organisation or identity stays in the image, and each
//! copy joins by itself at its first start, with keys that it makes then.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::documents::Token;
use protocol::{EndpointName, NamePatterns};

use super::EnrolError;
use crate::state::{self, FileError, Layout, failed, read_optional, remove};

/// Pause before a copy that was not admitted yet asks again: the network may come, a person decide.
pub const AGAIN: Duration = Duration::from_secs(30);

/// Why this machine cannot become an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It has an identity.
    #[error(
        "this machine is enrolled as {0}, and every copy would be that machine: `salved leave` \
         first, then prepare it again"
    )]
    Enrolled(String),
    /// The account of an enrolment that was left lies here.
    #[error(
        "`{}` is the account of an enrolment that was left, and no image should hold or lose it: keep \
         it elsewhere, remove it here, then prepare the image again",
        .0.display()
    )]
    Account(PathBuf),
    /// The line is for one machine.
    #[error(
        "this line is for one machine; for the copies of an image make one for many: salve \
         endpoints enroll --names 'lt-*' --count N"
    )]
    One,
    /// A file.
    #[error("could not prepare the image")]
    File(#[from] FileError),
}

/// Removes whatever would make copies alike, and keeps the token for their first start; never the
/// account of an enrolment, which may be the only one. Gives what was removed.
///
/// # Errors
/// [`ImageError`]; with [`ImageError::File`] a part may be gone, and a rerun removes the rest.
pub fn prepare(layout: &Layout, token: &Token<NamePatterns>) -> Result<Vec<PathBuf>, ImageError> {
    if token.name.exact().is_some() {
        return Err(ImageError::One);
    }
    if layout.is_enrolled() {
        let name = state::Identity::load(layout).map(|own| own.card.name.to_string());
        let name = name.unwrap_or_else(|_| "a machine whose papers cannot be read".to_owned());
        return Err(ImageError::Enrolled(name));
    }
    state::make_folder(layout.root())?;
    let root = layout.root();
    let list = std::fs::read_dir(root).map_err(failed("list", root))?;
    let paths = list.map(|entry| Ok(entry.map_err(failed("list", root))?.path()));
    let paths = paths.collect::<Result<Vec<_>, FileError>>()?;
    let is_account = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("left-"))
    };
    if let Some(account) = paths.iter().find(is_account) {
        return Err(ImageError::Account(account.clone()));
    }
    let mut removed = Vec::new();
    for path in paths {
        let gone = if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error).into());
            }
            _ => removed.push(path),
        }
    }
    state::write(&layout.first_start(), token.to_string().as_bytes())?;
    removed.sort();
    Ok(removed)
}

/// The token that waits for this machine's first start; none where it is enrolled, or nothing waits.
///
/// # Errors
/// [`FileError`]; a token that is none is [`io::ErrorKind::InvalidData`].
pub fn first_start(layout: &Layout) -> Result<Option<Token<NamePatterns>>, FileError> {
    let path = layout.first_start();
    if layout.is_enrolled() {
        // A cut behind the enrolment: the line has done what it was for.
        remove(&path)?;
        return Ok(None);
    }
    let Some(bytes) = read_optional(&path)? else { return Ok(None) };
    let token = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    token.map(Some).ok_or_else(|| failed("read", &path)(io::ErrorKind::InvalidData.into()))
}

/// Joins at the first start, by `join`; `again` waits before it is tried once more.
///
/// # Errors
/// What no waiting mends.
pub fn join_at_first_start(
    layout: &Layout,
    join: &mut dyn FnMut() -> Result<EndpointName, EnrolError>,
    again: &mut dyn FnMut(&EnrolError),
) -> Result<(), EnrolError> {
    loop {
        match join() {
            Ok(_) => return Ok(remove(&layout.first_start())?),
            Err(error @ (EnrolError::Unreached { .. } | EnrolError::Held(_))) => again(&error),
            Err(error @ (EnrolError::Answer(_) | EnrolError::NoRoom(_))) => again(&error),
            Err(error) => return Err(error),
        }
    }
}
