//! Where segments lie: a small trait, so that the simulation can fail at every point, and the folder
//! that is the real one. Never looks inside a segment.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::format::SEGMENT_BYTES;

/// What a ledger needs of a disk. A call that returns is done; one that fails may be done in part.
pub trait Disk: std::fmt::Debug {
    /// A segment's size; another one than the real disk's only in tests.
    fn segment_bytes(&self) -> usize {
        SEGMENT_BYTES
    }
    /// Numbers of the segments there are, ascending.
    ///
    /// # Errors
    /// As the file system says.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// A whole segment.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, segment: u64) -> io::Result<Vec<u8>>;
    /// A part of a segment.
    ///
    /// # Errors
    /// As the file system says.
    fn read_at(&self, segment: u64, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Makes a segment of zeros, its space taken, durable with its name.
    ///
    /// # Errors
    /// As the file system says.
    fn create(&mut self, segment: u64, size: u64) -> io::Result<()>;
    /// Writes into a segment; durable only after [`Disk::sync`].
    ///
    /// # Errors
    /// As the file system says.
    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the file system says.
    fn sync(&mut self, segment: u64) -> io::Result<()>;
}

/// Segments as files of one folder, `00000001.ledger` and so on, readable by root only.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    /// Holds the lock that keeps a second daemon away.
    _lock: File,
    open: BTreeMap<u64, File>,
}

/// Tries for the lock, and the pause between two. A keeper that was killed while it started a child
/// leaves the lock with that child until its exec has closed everything: milliseconds later.
const TRIES: u32 = 40;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(25);

#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells when another process's exec has closed its files; at start nobody waits"
)]
fn hold(lock: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    for _ in 1..TRIES {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            done => return Ok(done?),
        }
    }
    Ok(flock(lock, FlockOperation::NonBlockingLockExclusive)?)
}

impl FolderDisk {
    /// Takes a folder for one ledger; a second one on the same folder fails.
    ///
    /// # Errors
    /// As the file system says; `WouldBlock` where another daemon holds the folder and does not let go of it
    /// within a second.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = File::open(folder)?;
        hold(&lock)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock, open: BTreeMap::new() })
    }
    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:08}.ledger"))
    }
    fn file(&mut self, segment: u64) -> io::Result<&File> {
        let path = self.path(segment);
        match self.open.entry(segment) {
            std::collections::btree_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => {
                Ok(free.insert(OpenOptions::new().read(true).write(true).open(path)?))
            }
        }
    }
}

/// Takes the space; where the file system cannot, writes it.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = vec![0u8; 64 * 1024];
            let mut at = 0;
            while at < size {
                let len = usize::try_from(size - at).unwrap_or(zeros.len()).min(zeros.len());
                file.write_all_at(zeros.get(..len).unwrap_or_default(), at)?;
                at += len as u64;
            }
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

impl Disk for FolderDisk {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".ledger"));
            out.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        out.sort_unstable();
        Ok(out)
    }
    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(segment))
    }
    fn read_at(&self, segment: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut out = vec![0; len];
        File::open(self.path(segment))?.read_exact_at(&mut out, offset)?;
        Ok(out)
    }
    fn create(&mut self, segment: u64, size: u64) -> io::Result<()> {
        // Made under another name, so that a half-made segment is never one.
        let path = self.path(segment);
        let making = self.folder.join("making");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&making)?;
        allocate(&file, size)?;
        file.sync_all()?;
        std::fs::rename(&making, path)?;
        File::open(&self.folder)?.sync_all()?;
        self.open.insert(segment, file);
        Ok(())
    }
    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(segment)?.write_all_at(bytes, offset)
    }
    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.file(segment)?.sync_data()
    }
}
