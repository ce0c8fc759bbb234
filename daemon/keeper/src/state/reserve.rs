//! Room that is held so that a full disk stops nothing: 0 bytes and 0 inodes free, and an order is
//! still accepted, run and recorded. Refilled whenever the disk allows.
//!
//! Two kinds: *scratch* is taken by rename and written in place, so that nobody can get between;
//! *ballast* is let go when a write fails, and the write tried once more. Never holds data.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use protocol::limits;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::files::{FileError, failed, is_full, make_folder, remove, sync_folder};

/// Blocks for a catalogue's next generation and the small files of a run.
const BALLAST_BYTES: u64 = 2 * limits::CATALOGUE_BYTES_MAX as u64;
/// Inodes for the same: a catalogue of this many files is replaced at 0 inodes free.
const BALLAST_INODES: usize = 128;
/// What a full disk may have taken of each and a run is still let in: part of it, spent on one
/// run's files, is no reason to refuse the run that frees the disk.
const PART_LEAST: u64 = 4;
/// Steps in which less is asked for, where the disk does not give all of it.
const STEP_BYTES: u64 = 1 << 20;

/// Held room.
#[derive(Debug)]
pub struct Reserve {
    folder: PathBuf,
}

/// What could be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Whether a run's scratch is there.
    pub scratch: bool,
    /// Whether the ballast is there.
    pub ballast: bool,
}

impl Filled {
    /// Whether everything is held.
    #[must_use]
    pub const fn whole(self) -> bool {
        self.scratch && self.ballast
    }
}

impl Reserve {
    /// In this folder, which is made where it is missing.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(folder: PathBuf) -> Result<Self, FileError> {
        make_folder(&folder)?;
        Ok(Self { folder })
    }

    fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }
    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
    fn inode(&self, number: usize) -> PathBuf {
        self.folder.join(format!("inode-{number:03}"))
    }

    fn inodes(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..BALLAST_INODES).map(|number| self.inode(number))
    }

    /// One look at the folder instead of one for each.
    fn inodes_held(&self) -> usize {
        let names = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        names.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"inode-")).count()
    }

    /// What is held now, all of it or enough of it.
    #[must_use]
    pub fn filled(&self) -> Filled {
        let inodes = self.inodes_held();
        let least = BALLAST_INODES / usize::try_from(PART_LEAST).unwrap_or(1);
        Filled {
            scratch: holds(&self.scratch(), limits::SCRATCH_BYTES),
            ballast: holds(&self.ballast(), BALLAST_BYTES) && inodes >= least,
        }
    }

    /// Holds what is missing, as far as the disk gives it.
    pub fn refill(&self) -> Filled {
        let filled = self.filled();
        if filled.whole() && self.inodes_held() == BALLAST_INODES {
            return filled;
        }
        for path in self.inodes() {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            if !path.exists() && options.open(&path).is_err() {
                break;
            }
        }
        for (path, whole) in
            [(self.scratch(), limits::SCRATCH_BYTES), (self.ballast(), BALLAST_BYTES)]
        {
            let mut size = whole;
            while !holds(&path, whole) && size >= whole / PART_LEAST {
                if let Err(error) = self.hold(&path, size) {
                    tracing::debug!("could not hold {size} bytes: {error}");
                }
                size -= STEP_BYTES;
            }
        }
        let _ = sync_folder(&self.folder);
        self.filled()
    }

    /// An empty file with its blocks taken.
    fn hold(&self, path: &Path, bytes: u64) -> std::io::Result<()> {
        let making = path.with_extension("making");
        let made = self.fresh(&making).and_then(|file| {
            match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file, bytes)?,
                Err(error) => return Err(error.into()),
            }
            file.sync_all()
        });
        let held = made.and_then(|()| fs::rename(&making, path));
        if held.is_err() {
            let _ = fs::remove_file(&making);
        }
        held
    }

    /// A new file; where there is no inode for it, one of those that are held.
    fn fresh(&self, path: &Path) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        match options.open(path) {
            Err(error) if is_full(&error) => {
                let spare = self.inodes().find(|spare| fs::rename(spare, path).is_ok());
                if spare.is_some() { options.open(path) } else { Err(error) }
            }
            other => other,
        }
    }

    /// Turns the scratch into this file, which must not be there; makes a plain one where there
    /// is no scratch, or where little will be written, at 0 inodes out of one that is held.
    ///
    /// # Errors
    /// [`FileError`]: neither scratch nor a new file.
    pub fn take(&self, path: &Path, much: bool) -> Result<File, FileError> {
        if much && fs::rename(self.scratch(), path).is_err() {
            tracing::debug!("no scratch is held for {}", path.display());
        }
        // Where space can only be taken by writing, it holds zeros.
        let file = self.fresh(path).map_err(failed("open", path))?;
        if much && file.metadata().map_err(failed("read", path))?.len() > 0 {
            file.set_len(0).map_err(failed("empty", path))?;
        }
        Ok(file)
    }

    /// Gives back what a file did not use of its scratch.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn trim(&self, path: &Path) -> Result<(), FileError> {
        let trim = || {
            let file = OpenOptions::new().write(true).open(path)?;
            // Also to its own length: blocks beyond the end are freed.
            file.set_len(file.metadata()?.len())
        };
        match trim() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(failed("trim", path)),
        }
    }

    /// Does `write`; where the disk is full, lets the ballast go and does it once more.
    ///
    /// # Errors
    /// As `write` the second time.
    pub fn again<T>(
        &self,
        mut write: impl FnMut() -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        match write() {
            Err(error) if error.is_full() => {
                self.release();
                write()
            }
            other => other,
        }
    }

    /// Lets the ballast go.
    pub fn release(&self) {
        let _ = remove(&self.ballast());
        for path in self.inodes() {
            let _ = remove(&path);
        }
    }
}

/// Whether a file has enough of its blocks: a copy, as from a backup, may have none.
fn holds(path: &Path, whole: u64) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|file| file.blocks().saturating_mul(512) >= whole / PART_LEAST)
}

/// Takes space where the file system has no other way.
fn fill(mut file: &File, bytes: u64) -> std::io::Result<()> {
    use std::io::Write as _;
    let zeros = [0u8; 64 * 1024];
    for _ in 0..bytes.div_ceil(zeros.len() as u64) {
        file.write_all(&zeros)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn scratch_becomes_a_runs_file_and_is_held_again() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(folder.path().join("reserve")).unwrap();
        assert!(!reserve.filled().scratch);
        assert!(reserve.refill().whole());
        let path = folder.path().join("run.effects");
        let mut file = reserve.take(&path, true).unwrap();
        assert!(!reserve.filled().scratch);
        file.write_all(b"{}\n").unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= limits::SCRATCH_BYTES);
        drop(file);
        reserve.trim(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}\n");
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < limits::SCRATCH_BYTES / 8);
        assert!(reserve.refill().whole());
        // A run that writes little takes nothing of it.
        reserve.take(&folder.path().join("look.effects"), false).unwrap();
        assert!(reserve.filled().whole());
    }

    #[test]
    fn a_reserve_that_was_copied_is_held_anew() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(folder.path().join("reserve")).unwrap();
        reserve.refill();
        for name in ["scratch", "ballast"] {
            let path = folder.path().join("reserve").join(name);
            fs::remove_file(&path).unwrap();
            File::create(&path).unwrap();
        }
        assert!(!reserve.filled().scratch && !reserve.filled().ballast);
        assert!(reserve.refill().whole());
    }

    fn run(program: &str, arguments: &[&str]) -> bool {
        use std::os::fd::AsFd as _;
        let program = hatch::spawn::Program::open(Path::new(program)).unwrap();
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let table = [(null.as_fd(), 0), (null.as_fd(), 1), (null.as_fd(), 2)];
        let child = hatch::spawn::spawn(&program, arguments, &table).unwrap();
        child.wait().unwrap() == hatch::spawn::End::Exited(0)
    }

    /// A small disk of its own; unmounted when dropped.
    struct SmallDisk(PathBuf);

    impl SmallDisk {
        fn fill(&self) {
            let mut count = 0;
            while File::create(self.0.join(format!("n{count}"))).is_ok() {
                count += 1;
            }
            let mut file = File::options().append(true).open(self.0.join("n0")).unwrap();
            while file.write_all(&[1; 4096]).is_ok() {}
            let stat = rustix::fs::statvfs(&self.0).unwrap();
            assert_eq!((stat.f_bavail, stat.f_favail), (0, 0));
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            run("/usr/bin/umount", &["-l", self.0.to_str().unwrap()]);
        }
    }

    #[test]
    fn at_0_bytes_and_0_inodes_runs_go_on_one_after_the_other() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let options = "size=64m,nr_inodes=300";
        assert!(run("/usr/bin/mount", &["-t", "tmpfs", "-o", options, "salve-test", path]));
        let disk = SmallDisk(folder.path().to_owned());
        let reserve = Reserve::open(folder.path().join("reserve")).unwrap();
        assert!(reserve.refill().whole());
        disk.fill();
        for round in 0..3 {
            // A look: a file that stays empty; a plan: a small file.
            let look = folder.path().join(format!("look-{round}"));
            drop(reserve.take(&look, false).unwrap());
            let plan = folder.path().join(format!("plan-{round}"));
            reserve.again(|| crate::state::write(&plan, &[7; 10_000])).unwrap();
            fs::remove_file(&look).unwrap();
            assert!(reserve.refill().whole(), "after the look of round {round}");
            // A fix: an effects file that grows.
            let fix = folder.path().join(format!("fix-{round}"));
            let mut file = reserve.take(&fix, true).unwrap();
            file.write_all(&vec![b'x'; 1 << 20]).unwrap();
            reserve.trim(&fix).unwrap();
            assert!(reserve.refill().whole(), "after the fix of round {round}");
        }
    }

    #[test]
    fn a_write_that_finds_the_disk_full_is_tried_with_the_ballast_gone() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(folder.path().join("reserve")).unwrap();
        reserve.refill();
        let full = || {
            let path = Path::new("x");
            failed("write", path)(std::io::Error::from(std::io::ErrorKind::StorageFull))
        };
        let mut tries = 0;
        let done = reserve.again(|| {
            tries += 1;
            if reserve.filled().ballast { Err(full()) } else { Ok(tries) }
        });
        assert_eq!(done.unwrap(), 2);
        assert!(reserve.filled().scratch);
        let failed: Result<(), _> = reserve.again(|| Err(full()));
        assert!(failed.unwrap_err().is_full());
    }
}
