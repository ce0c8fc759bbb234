//! The walk of `fs.find`: depth first, names in order, within its numbers.

use std::os::fd::{AsFd as _, OwnedFd};

use protocol::limits;
use rustix::fs::{AtFlags, Dir, FileType, OFlags};

use super::Found;
use super::place::{Identity, step};
use crate::clock::Clock;
use crate::fail::Fail;
use crate::glob::Pattern;
use crate::run::Run;

/// Deepest folder below a base that is entered: one descriptor a level.
const DEPTH_MAX: usize = 64;
/// Most bytes of names held at once, of a folder and those above it: whoever may write there decides
/// how many there are, and they are in memory until they are in order. A million of ordinary length,
/// and half of what an executor may take.
const NAMES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What a name takes beside its bytes: its place in the list and the allocator's own.
const NAME_COST: usize = 64;

const _: () = assert!(NAMES_BYTES_MAX as u64 * 2 <= limits::EXECUTOR_MEMORY_BYTES);

/// What a walk gave.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Matches, in order.
    pub(crate) found: Vec<Found>,
    /// Names that are no UTF-8.
    pub(crate) odd: u64,
}

struct Walk<'a> {
    clock: Clock,
    pattern: &'a Pattern,
    folders: bool,
    base: usize,
    shown: &'a str,
    /// Bytes of the names of the folders that are open.
    held: usize,
    /// Most of them.
    most: usize,
    walked: Walked,
}

/// Walks all places of a permitted pattern.
pub(crate) fn walk(run: &Run, text: &str, folders: bool) -> Result<Walked, Fail> {
    walk_within(run, text, folders, NAMES_BYTES_MAX)
}

fn walk_within(run: &Run, text: &str, folders: bool, most: usize) -> Result<Walked, Fail> {
    let (pattern, bases) = run.places.pattern(text).ok_or_else(|| {
        Fail::new("not_permitted", format!("`{text}` is not among the patterns of `fs.find`"))
    })?;
    let mut walked = Walked { found: Vec::new(), odd: 0 };
    for number in bases {
        let Some(base) = run.places.base(*number) else { continue };
        let Ok(_person) = base.enter() else { continue };
        let Ok(fd) = base.open() else { continue };
        let (clock, shown) = (run.clock, base.shown());
        let mut walk =
            Walk { clock, pattern, folders, base: *number, shown, held: 0, most, walked };
        walk.folder(fd, &mut Vec::new())?;
        walked = walk.walked;
    }
    Ok(walked)
}

impl Walk<'_> {
    fn folder(&mut self, fd: OwnedFd, names: &mut Vec<String>) -> Result<(), Fail> {
        self.clock.check()?;
        // A folder that cannot be listed any more is a folder without matches.
        let Ok(mut folder) = Dir::new(fd) else { return Ok(()) };
        let before = self.held;
        let mut entries = Vec::new();
        while let Some(Ok(entry)) = folder.read() {
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(_) if self.held > self.most => {
                    let message = format!("too many names in folders of {}", self.pattern.text());
                    return Err(Fail::new("too_many", message));
                }
                Ok(name) => {
                    self.held = self.held.saturating_add(name.len()).saturating_add(NAME_COST);
                    entries.push((name.to_owned(), entry.file_type()));
                }
                Err(_) => self.walked.odd += 1,
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let Ok(fd) = folder.fd() else { return Ok(()) };
        for (count, (name, kind)) in entries.into_iter().enumerate() {
            if count % 512 == 511 {
                self.clock.check()?;
            }
            // A folder that is only passed through is not asked about: it may be a mount of its
            // owner's making, whose answer never comes.
            let stat = if kind == FileType::Directory && !self.folders {
                None
            } else {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let Ok(stat) = rustix::fs::statat(fd, name.as_str(), flags) else { continue };
                Some(stat)
            };
            let kind = stat.as_ref().map_or(kind, |stat| FileType::from_raw_mode(stat.st_mode));
            let is_folder = kind == FileType::Directory;
            names.push(name);
            let wanted = if self.folders { FileType::Directory } else { FileType::RegularFile };
            if let Some(stat) = stat.filter(|_| kind == wanted) {
                self.consider(&stat, names, is_folder)?;
            }
            if is_folder && names.len() < DEPTH_MAX && self.pattern.may_hold(&view(names)) {
                let last = names.last().map(String::as_str).unwrap_or_default();
                if let Ok(below) = step(fd.as_fd(), last, OFlags::RDONLY, false) {
                    self.folder(below, names)?;
                }
            }
            names.pop();
        }
        self.held = before;
        Ok(())
    }

    fn consider(
        &mut self,
        stat: &rustix::fs::Stat,
        names: &[String],
        folder: bool,
    ) -> Result<(), Fail> {
        if !self.pattern.matches(&view(names)) {
            return Ok(());
        }
        if self.walked.found.len() >= limits::FILES_MAX {
            let (max, text) = (limits::FILES_MAX, self.pattern.text());
            return Err(Fail::new("too_many", format!("more than {max} files beneath {text}")));
        }
        let path = names.iter().fold(self.shown.to_owned(), |path, name| path + "/" + name);
        self.walked.found.push(found(self.base, names.to_vec(), path, self.pattern, stat, folder));
        Ok(())
    }
}

fn view(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn found(
    base: usize,
    names: Vec<String>,
    path: String,
    pattern: &Pattern,
    stat: &rustix::fs::Stat,
    folder: bool,
) -> Found {
    Found {
        base,
        names,
        path,
        pattern: pattern.text().to_owned(),
        identity: Identity::of(stat),
        on_disk: super::on_disk(stat),
        links: super::links(stat),
        folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, put};
    use protocol::Mode;

    #[test]
    fn names_are_held_of_open_folders_only() {
        let tree = testing::machine();
        for folder in 0..4 {
            (0..4).for_each(|n| put(&tree.root, &format!("/tmp/d{folder}/f{n}"), ""));
        }
        let grants: &[(&str, &[&str])] = &[("fs.find", &["/tmp/**"])];
        let made = testing::open(&tree, testing::start(Mode::Check, grants, &[]));
        let walk = |names: usize| {
            // The last name that is read is added when all before it are within the bound.
            let found = walk_within(&made.run, "/tmp/**", false, (names - 1) * (NAME_COST + 2));
            found.map(|walked| walked.found.len()).map_err(|fail| fail.code)
        };
        // Four folders and the files of one of them, never of all.
        assert_eq!(walk(8), Ok(16));
        assert_eq!(walk(7), Err("too_many"));
    }
}
