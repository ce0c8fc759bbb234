//! Puts a copy back: read and verified whole before anything is touched, made ready aside, and in
//! its place only then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use protocol::{Time, json};
use store::Store;

use super::make::not_a_desk;
use super::manifest::STORE;
use super::{
    BackupError, Manifest, Part, Restored, Unreadable, copy_hashed, failed, read_manifest,
};
use crate::catalogue;
use crate::home::{self, Home, Organisation};

/// Where a copy is made ready, in the home itself: on the same disk, and ours to write.
const ASIDE: &str = "restore.new";

/// Reads a backup to its last byte.
///
/// # Errors
/// [`BackupError::Unreadable`] says what is wrong with it.
pub fn verify(file: &Path) -> Result<Manifest, BackupError> {
    let open = File::open(file).map_err(failed("read", file))?;
    walk(&mut BufReader::new(open), |_| Ok(io::sink())).map_err(unreadable(file))
}

fn unreadable(file: &Path) -> impl Fn(Unreadable) -> BackupError + '_ {
    move |source| BackupError::Unreadable { path: file.to_owned(), source }
}

/// Takes a backup apart; every part is written where `place` says and compared with its digest.
fn walk<W: Write>(
    from: &mut impl Read,
    mut place: impl FnMut(&Part) -> io::Result<W>,
) -> Result<Manifest, Unreadable> {
    let manifest = read_manifest(from)?;
    for part in &manifest.files {
        let mut to = place(part)?;
        let (count, sha256) = copy_hashed(&mut from.take(part.bytes), &mut to)?;
        if count < part.bytes {
            return Err(Unreadable::CutOff);
        }
        if sha256 != part.sha256 {
            return Err(Unreadable::Damaged(format!("`{}`", part.path)));
        }
        to.flush()?;
    }
    match from.read(&mut [0u8])? {
        0 => Ok(manifest),
        _ => Err(Unreadable::Damaged("something follows behind its end".to_owned())),
    }
}

/// Puts a backup back into an empty home.
///
/// # Errors
/// [`BackupError`]; the home is as empty as before then. [`BackupError::NotEmpty`] names what to
/// move away.
pub fn restore(home: &Home, file: &Path, now: Time) -> Result<Manifest, BackupError> {
    verify(file)?;
    empty(home)?;
    let aside = home.path().join(ASIDE);
    home::remove_folder(&aside)?;
    let ready = make_ready(&Home::new(&aside), file, now);
    let manifest = match ready {
        Ok(manifest) => manifest,
        Err(error) => {
            home::remove_folder(&aside)?;
            return Err(error);
        }
    };
    // The organisation last: until it is there the home is none.
    for name in ["keys", STORE, "restored.json", "org"] {
        let (from, to) = (aside.join(name), home.path().join(name));
        if home::is_there(&from) {
            fs::rename(&from, &to).map_err(failed("put back", &to))?;
        }
    }
    home::remove_folder(&aside)?;
    let path = home.path();
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("write", path))?;
    Ok(manifest)
}

/// Writes every file of the backup to a home aside, and has store and catalogue checked there.
fn make_ready(aside: &Home, file: &Path, now: Time) -> Result<Manifest, BackupError> {
    let mut open = File::open(file).map_err(failed("read", file))?;
    open.rewind().map_err(failed("read", file))?;
    let root = aside.path();
    let manifest = walk(&mut BufReader::new(open), |part| {
        let path = root.join(&part.path);
        let parent = path.parent().unwrap_or(root);
        home::create_folder(parent).map_err(io::Error::other)?;
        let mode = if part.path.starts_with("org/") { 0o644 } else { 0o600 };
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)
    })
    .map_err(unreadable(file))?;
    for part in &manifest.files {
        let path = root.join(&part.path);
        let folder = path.parent().unwrap_or(root);
        for path in [path.as_path(), folder] {
            File::open(path).and_then(|file| file.sync_all()).map_err(failed("write", path))?;
        }
    }
    Store::put_back(&aside.database(), now)?;
    Organisation::read(aside)?;
    catalogue::open(aside, now).map_err(not_a_desk(file))?;
    let restored = Restored { made: manifest.made, restored: now };
    let bytes = json::write(&restored).unwrap_or_default();
    home::write_public(&aside.restored_file(), &bytes)?;
    Ok(manifest)
}

/// Whether nothing is in the home but what a command that ended early leaves there.
fn empty(home: &Home) -> Result<(), BackupError> {
    let path = home.path();
    home::create_folder(path)?;
    for entry in fs::read_dir(path).map_err(failed("read", path))? {
        let name = entry.map_err(failed("read", path))?.file_name();
        if name != ASIDE && name != "lock" {
            let found = name.to_string_lossy().into_owned();
            return Err(BackupError::NotEmpty { path: path.to_owned(), found });
        }
    }
    Ok(())
}
