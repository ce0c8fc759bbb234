//! Folders of cgroup v2, one a run, beneath the keeper's own: what ends a whole run at once.
//! Needs no controller; on hybrid hosts the v2 tree is the one that systemd calls `unified`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Why there is no folder for a run.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No v2 tree, or this process is not in it.
    #[error("no cgroup v2 is mounted here")]
    NotThere,
    /// The kernel has no `cgroup.kill` (older than 5.14).
    #[error("cgroup v2 at `{}` has no cgroup.kill", .0.display())]
    NoKill(PathBuf),
    /// A file of the tree said no.
    #[error("could not {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &'static str, path: &Path, source: impl Into<io::Error>) -> CgroupError {
    CgroupError::Io { what, path: path.to_owned(), source: source.into() }
}

/// The keeper's own folder.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// Finds the folder that this process is in, and whether folders can be made in it.
    ///
    /// # Errors
    /// [`CgroupError`] says what is missing.
    pub fn find() -> Result<Self, CgroupError> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").map_err(|_| CgroupError::NotThere)?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|_| CgroupError::NotThere)?;
        first(locate(&mounts, &own))
    }

    /// The folder of a systemd unit, as its daemon would find it: for somebody who looks from
    /// another one.
    ///
    /// # Errors
    /// [`CgroupError`] says what is missing.
    pub fn of_unit(unit: &str) -> Result<Self, CgroupError> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").map_err(|_| CgroupError::NotThere)?;
        let found = trees(&mounts).map(|(_, point)| point.join("system.slice").join(unit));
        first(found.collect())
    }

    fn usable(path: PathBuf) -> Result<Self, CgroupError> {
        if !path.is_dir() {
            return Err(CgroupError::NotThere);
        }
        let access = rustix::fs::access(&path, rustix::fs::Access::WRITE_OK);
        access.map_err(|error| failed("make folders in", &path, error))?;
        let home = Self { path };
        // The root of the tree has no cgroup.kill itself; a folder tells.
        let probe = home.make(&format!("salve-probe-{}", std::process::id()))?;
        let kill = probe.path.join("cgroup.kill");
        let there = kill.exists();
        probe.remove()?;
        if there { Ok(home) } else { Err(CgroupError::NoKill(home.path)) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a fresh, empty folder; what lived in one of this name is killed first.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn make(&self, name: &str) -> Result<Folder, CgroupError> {
        let path = self.path.join(name);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let old = Folder { path: path.clone() };
                old.kill()?;
                old.remove()?;
                fs::create_dir(&path).map_err(|e| failed("make", &path, e))?;
            }
            Err(error) => return Err(failed("make", &path, error)),
        }
        Ok(Folder { path })
    }

    /// Ends and removes what an earlier life left: every folder whose name begins so.
    ///
    /// # Errors
    /// [`CgroupError::Io`] with the first folder that would not go.
    pub fn sweep(&self, prefix: &str) -> Result<usize, CgroupError> {
        let mut swept = 0;
        let list = fs::read_dir(&self.path).map_err(|e| failed("list", &self.path, e))?;
        for entry in list.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                let folder = Folder { path: entry.path() };
                folder.kill()?;
                folder.remove()?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// The first that can be used, or what is wrong with the last.
fn first(paths: Vec<PathBuf>) -> Result<Home, CgroupError> {
    let mut answer = Err(CgroupError::NotThere);
    for path in paths {
        answer = Home::usable(path);
        if answer.is_ok() {
            break;
        }
    }
    answer
}

/// Every cgroup v2 tree that is mounted: its root within the tree and where it lies.
fn trees(mounts: &str) -> impl Iterator<Item = (&Path, &Path)> {
    mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let found = (Path::new(fields.next()?), Path::new(fields.next()?));
        (after.split(' ').next() == Some("cgroup2")).then_some(found)
    })
}

/// `0::/PATH` of `/proc/self/cgroup` beneath each mount whose root holds it.
fn locate(mounts: &str, own: &str) -> Vec<PathBuf> {
    let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Vec::new();
    };
    let beneath = |(root, point): (&Path, &Path)| {
        Path::new(own).strip_prefix(root).ok().map(|rest| point.join(rest))
    };
    trees(mounts).filter_map(beneath).collect()
}

/// One run's folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder itself, opened for children that are born in it.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn open(&self) -> Result<OwnedFd, CgroupError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
            .map_err(|e| failed("open", &self.path, e))
    }

    /// Kills everything in it, now and at once.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn kill(&self) -> Result<(), CgroupError> {
        let path = self.path.join("cgroup.kill");
        let open = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let fd = open.map_err(|e| failed("open", &path, e))?;
        rustix::io::write(&fd, b"1").map_err(|e| failed("write", &path, e))?;
        Ok(())
    }

    /// Whether nothing lives in it any more.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn is_empty(&self) -> Result<bool, CgroupError> {
        let path = self.path.join("cgroup.events");
        let events = fs::read_to_string(&path).map_err(|e| failed("read", &path, e))?;
        Ok(events.lines().any(|line| line == "populated 0"))
    }

    /// Waits until nothing lives in it, at most `milliseconds`; true where it is empty.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn wait_empty(&self, milliseconds: u32) -> Result<bool, CgroupError> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let path = self.path.join("cgroup.events");
        let rest = std::time::Duration::from_millis(milliseconds.into());
        let pause = Timespec::try_from(rest / 8).unwrap_or_default();
        for _ in 0..8 {
            // The kernel marks the file with POLLPRI when `populated` changes after it was read.
            let open = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let file = open.map_err(|e| failed("open", &path, e))?;
            let mut text = [0u8; 256];
            let len = rustix::io::read(&file, &mut text).map_err(|e| failed("read", &path, e))?;
            let text = String::from_utf8_lossy(text.get(..len).unwrap_or_default()).into_owned();
            if text.lines().any(|line| line == "populated 0") {
                return Ok(true);
            }
            let mut fds = [PollFd::new(&file, PollFlags::PRI)];
            let _ = poll(&mut fds, Some(&pause));
        }
        self.is_empty()
    }

    /// Removes the folder; waits up to a second for those that are dying in it.
    ///
    /// # Errors
    /// [`CgroupError::Io`] where something still lives in it.
    pub fn remove(&self) -> Result<(), CgroupError> {
        if !self.path.exists() {
            return Ok(());
        }
        self.wait_empty(1000)?;
        fs::remove_dir(&self.path).map_err(|e| failed("remove", &self.path, e))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_on_pure_and_hybrid_hosts() {
        let hybrid = "30 24 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw";
        let own = "4:memory:/x\n0::/system.slice/salved.service\n";
        assert_eq!(
            locate(hybrid, own),
            [Path::new("/sys/fs/cgroup/unified/system.slice/salved.service")]
        );
        let inside = "31 24 0:27 /machine /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(locate(inside, "0::/machine/x\n"), [Path::new("/sys/fs/cgroup/x")]);
        assert!(locate("1 1 0:1 / / rw - ext4 /dev/vda rw", own).is_empty());
        // Two mounts of the tree: both are looked at, the first may be read-only.
        let two = format!("{hybrid}\n32 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        assert_eq!(locate(&two, own).len(), 2);
    }
}
