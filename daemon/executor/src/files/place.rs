//! Places: the folders where permitted patterns begin, held open from before the lock.
//!
//! One step at a time, by name, from an open folder: no symlink, no `..`, no other mount.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use protocol::limits;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::{Found, Memory};
use crate::fail::Fail;
use crate::glob::{Anchor, BadPattern, Pattern};
use crate::people::People;
use crate::root::Root;
use crate::sys::AsPerson;

/// Most files that are remembered in one run: what a few lists hold.
const REMEMBERED_MAX: usize = 4 * limits::FILES_MAX;

/// Where downloaded package archives are.
pub(crate) const ARCHIVES: &str = "/var/cache/apt/archives";

/// What must still be true of a file when it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Device.
    pub(crate) device: u64,
    /// Inode.
    pub(crate) inode: u64,
    /// Last change of its bytes: seconds and nanoseconds.
    pub(crate) changed: (i64, u64),
    /// Size in bytes.
    pub(crate) size: u64,
}

impl Identity {
    /// From what the kernel says.
    #[expect(clippy::useless_conversion, reason = "the fields' types differ by architecture")]
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds = u64::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            changed: (stat.st_mtime.into(), nanoseconds),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }
}

/// A folder where a walk begins.
#[derive(Debug)]
pub(crate) struct Base {
    shown: String,
    fd: OwnedFd,
    person: Option<(u32, u32)>,
}

impl Base {
    /// Its absolute path.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
    /// Takes the owner's name for file access where it lies in a person's home.
    pub(crate) fn enter(&self) -> Result<Option<AsPerson>, Errno> {
        let enter = |(uid, gid)| AsPerson::enter(uid, gid).map_err(|_| Errno::PERM);
        self.person.map(enter).transpose()
    }
    /// The folder itself, open for listing.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        step(self.fd.as_fd(), ".", OFlags::RDONLY, false)
    }
    /// A folder below it.
    pub(crate) fn below(&self, names: &[String]) -> Result<OwnedFd, Errno> {
        let mut fd = self.open()?;
        for name in names {
            fd = step(fd.as_fd(), name, OFlags::RDONLY, false)?;
        }
        Ok(fd)
    }
}

/// A pattern and the places where it begins, by their numbers.
#[derive(Debug)]
struct Place {
    pattern: Pattern,
    bases: Vec<usize>,
}

/// All places of a run.
#[derive(Debug, Default)]
pub(crate) struct Places {
    bases: Vec<Base>,
    found: BTreeMap<String, Place>,
    removable: Vec<Pattern>,
    homes: Vec<String>,
    archives: Option<usize>,
    cleans: bool,
    remembered: Memory,
}

impl Places {
    /// Opens the folders that these permissions name and that exist.
    pub(crate) fn open(
        root: &Root,
        people: &People,
        grants: &BTreeMap<String, Vec<String>>,
        as_person: bool,
    ) -> Result<Self, BadPattern> {
        let mut places = Self::default();
        let nouns = |name: &str| grants.get(name).into_iter().flatten();
        let top_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(top) = rustix::fs::open(root.top(), top_flags, Mode::empty()) else {
            return Ok(places);
        };
        for account in people.with_homes() {
            let person = Some((account.uid, account.gid)).filter(|_| as_person);
            let home = account.home.trim_end_matches('/');
            let names: Vec<String> = home.split('/').skip(1).map(str::to_owned).collect();
            if descend(top.as_fd(), &names, person).is_ok() {
                places.homes.push(home.to_owned());
            }
        }
        for text in nouns("fs.find") {
            let pattern = Pattern::parse(text)?;
            let bases = places.begin(top.as_fd(), people, &pattern, as_person);
            places.found.insert(text.clone(), Place { pattern, bases });
        }
        for text in nouns("fs.remove") {
            let pattern = Pattern::parse(text)?;
            // Its folders are among those that may be changed, whether or not they are searched.
            places.begin(top.as_fd(), people, &pattern, as_person);
            places.removable.push(pattern);
        }
        // Its size is a question that everybody may ask.
        let names: Vec<String> = ARCHIVES.split('/').skip(1).map(str::to_owned).collect();
        places.cleans = grants.contains_key("pkg.clean_cache");
        places.archives = places.hold(top.as_fd(), ARCHIVES.to_owned(), &names, None);
        Ok(places)
    }

    fn begin(
        &mut self,
        top: BorrowedFd<'_>,
        people: &People,
        pattern: &Pattern,
        as_person: bool,
    ) -> Vec<usize> {
        let starts: Vec<(String, Option<(u32, u32)>)> = match pattern.anchor() {
            Anchor::Root => vec![(String::new(), None)],
            Anchor::Homes => {
                let own = people.with_homes().map(|account| {
                    let home = account.home.trim_end_matches('/').to_owned();
                    (home, Some((account.uid, account.gid)).filter(|_| as_person))
                });
                own.filter(|(home, _)| self.homes.contains(home)).collect()
            }
        };
        let mut bases = Vec::new();
        for (start, person) in starts {
            let mut names: Vec<String> = start.split('/').skip(1).map(str::to_owned).collect();
            names.extend(pattern.base().iter().cloned());
            let shown = names.iter().fold(String::new(), |path, name| path + "/" + name);
            bases.extend(self.hold(top, shown, &names, person));
        }
        bases
    }

    fn hold(
        &mut self,
        top: BorrowedFd<'_>,
        shown: String,
        names: &[String],
        person: Option<(u32, u32)>,
    ) -> Option<usize> {
        let known = |base: &Base| base.shown == shown && base.person == person;
        if let Some(place) = self.bases.iter().position(known) {
            return Some(place);
        }
        let fd = descend(top, names, person).ok()?;
        self.bases.push(Base { shown, fd, person });
        Some(self.bases.len() - 1)
    }

    /// A permitted pattern with its bases.
    pub(crate) fn pattern(&self, text: &str) -> Option<(&Pattern, &[usize])> {
        self.found.get(text).map(|place| (&place.pattern, place.bases.as_slice()))
    }
    /// A base by its number.
    pub(crate) fn base(&self, number: usize) -> Option<&Base> {
        self.bases.get(number)
    }
    /// The folder of package archives, where there is one.
    pub(crate) fn archives(&self) -> Option<usize> {
        self.archives
    }
    /// The removal pattern that a file falls under: the one that found it, or the first one.
    pub(crate) fn removal_key(&self, found: &Found) -> Option<&str> {
        let covers = |pattern: &&Pattern| pattern.covers(&found.path, &self.homes);
        let same = self.removable.iter().find(|pattern| pattern.text() == found.pattern);
        same.or_else(|| self.removable.iter().find(covers)).map(Pattern::text)
    }
    /// Remembers a file for its removal.
    pub(crate) fn remember(&mut self, found: Found) -> Result<(), Fail> {
        if self.remembered.len() >= REMEMBERED_MAX && !self.remembered.contains_key(&found.path) {
            let message = format!("more than {REMEMBERED_MAX} files were found in this run");
            return Err(Fail::new("too_many", message));
        }
        self.remembered.insert(found.path.clone(), found);
        Ok(())
    }
    /// What is remembered of a path.
    pub(crate) fn recall(&self, path: &str) -> Option<&Found> {
        self.remembered.get(path)
    }

    /// The held folders, as paths that lead to these very folders whatever happens to their names.
    pub(crate) fn held(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let path = |base: &Base| PathBuf::from(format!("/proc/self/fd/{}", base.fd.as_raw_fd()));
        let all = self.bases.iter().map(path).collect();
        let changed = self.bases.iter().filter(|base| {
            let archives = self.cleans && base.shown == ARCHIVES;
            archives || self.removable.iter().any(|pattern| begins(pattern, base, &self.homes))
        });
        (all, changed.map(path).collect())
    }
}

/// Whether a removal pattern begins at this base.
fn begins(pattern: &Pattern, base: &Base, homes: &[String]) -> bool {
    let tail: String = pattern.base().iter().map(|name| format!("/{name}")).collect();
    match pattern.anchor() {
        Anchor::Root => base.shown == tail,
        Anchor::Homes => homes.iter().any(|home| format!("{home}{tail}") == base.shown),
    }
}

/// Goes down from the top by these names, over mounts, through no symlink.
fn descend(
    top: BorrowedFd<'_>,
    names: &[String],
    person: Option<(u32, u32)>,
) -> Result<OwnedFd, Errno> {
    let _person = match person {
        Some((uid, gid)) => Some(AsPerson::enter(uid, gid).map_err(|_| Errno::PERM)?),
        None => None,
    };
    let mut fd = step(top, ".", OFlags::PATH, true)?;
    for name in names {
        if name.is_empty() || name == "." || name == ".." {
            return Err(Errno::INVAL);
        }
        fd = step(fd.as_fd(), name, OFlags::PATH, true)?;
    }
    Ok(fd)
}

/// Opens the folder of this name in an open folder; onto another mount only where `over` says so.
///
/// `openat2` says all of it at once. Where the lock hides it (Landlock before ABI 3), one name
/// opened with `O_NOFOLLOW` cannot lead elsewhere either, and the mount's number is compared.
pub(crate) fn step(
    folder: BorrowedFd<'_>,
    name: &str,
    how: OFlags,
    over: bool,
) -> Result<OwnedFd, Errno> {
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    resolve.set(ResolveFlags::NO_XDEV, !over);
    match rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => step_by_hand(folder, name, flags, over),
        other => other,
    }
}

/// As [`step`], without `openat2`.
pub(crate) fn step_by_hand(
    folder: BorrowedFd<'_>,
    name: &str,
    flags: OFlags,
    over: bool,
) -> Result<OwnedFd, Errno> {
    let fd = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    if over || mount(folder)? == mount(fd.as_fd())? { Ok(fd) } else { Err(Errno::XDEV) }
}

fn mount(fd: BorrowedFd<'_>) -> Result<(u64, u32, u32), Errno> {
    let wanted = StatxFlags::MNT_ID | StatxFlags::BASIC_STATS;
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, wanted)?;
    Ok((stat.stx_mnt_id, stat.stx_dev_major, stat.stx_dev_minor))
}
