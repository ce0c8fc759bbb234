//! `pkg.*`: the package cache and what the lists on disk know. Never starts a package program.

mod installed;
mod updates;
mod version;

use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use surface::Value;

use crate::fail::Fail;
use crate::files::{self, Batch, Found, Identity};
use crate::run::Run;

pub(crate) use installed::{LISTS, installed};
pub(crate) use updates::updates;

/// The plan key of the cache.
const KEY: &str = "/var/cache/apt/archives/*.deb";

/// `pkg.cache_size`.
pub(crate) fn cache_size(run: &mut Run) -> Result<Value, Fail> {
    let archives = archives(run)?;
    let left = archives.iter().filter(|file| !run.overlay.is_removed(&file.path));
    Ok(Value::count(left.fold(0, |sum, file| sum.saturating_add(file.identity.size))))
}

/// `pkg.clean_cache`.
pub(crate) fn clean_cache(run: &mut Run) -> Result<Value, Fail> {
    // Held until all is removed; a plan takes no lock, because it changes nothing.
    let _lock = if run.guard.plans() { None } else { lock(run)? };
    let files = archives(run)?;
    let label = "package cache".to_owned();
    let batch = Batch { function: "pkg.clean_cache", key: KEY.to_owned(), label, files };
    let went = files::batch(run, batch)?;
    if went.count == 0 && went.failed > 0 {
        return Err(Fail::failed(format!("none of {} archives could be removed", went.failed)));
    }
    Ok(Value::map([("count", Value::count(went.count)), ("bytes", Value::count(went.bytes))]))
}

/// Finished downloads, in order of their names.
fn archives(run: &Run) -> Result<Vec<Found>, Fail> {
    let Some(number) = run.places.archives() else { return Ok(Vec::new()) };
    let Some(base) = run.places.base(number) else { return Ok(Vec::new()) };
    let unread = |error: Errno| Fail::failed(format!("could not list {}: {error}", base.shown()));
    let mut folder = Dir::new(base.open().map_err(unread)?).map_err(unread)?;
    let mut names = Vec::new();
    while let Some(Ok(entry)) = folder.read() {
        names.extend(entry.file_name().to_str().ok().map(str::to_owned));
    }
    names.sort_unstable();
    let fd = folder.fd().map_err(unread)?;
    let mut files = Vec::new();
    for name in names.into_iter().filter(|name| name.ends_with(".deb")) {
        let Ok(stat) = rustix::fs::statat(fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            let path = format!("{}/{name}", base.shown());
            files.push(Found {
                base: number,
                names: vec![name],
                path,
                pattern: KEY.to_owned(),
                identity: Identity::of(&stat),
                on_disk: files::on_disk(&stat),
                links: files::links(&stat),
                folder: false,
            });
        }
    }
    Ok(files)
}

/// Takes the package manager's lock, as it does itself: a POSIX record lock on the file `lock`.
fn lock(run: &Run) -> Result<Option<std::os::fd::OwnedFd>, Fail> {
    let Some(base) = run.places.archives().and_then(|number| run.places.base(number)) else {
        return Ok(None);
    };
    let failed = |error: Errno| Fail::failed(format!("could not open the package lock: {error}"));
    let folder = base.open().map_err(failed)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let file = rustix::fs::openat(folder.as_fd(), "lock", flags, mode).map_err(failed)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => {
            Err(Fail::new("locked", "another program is using the package cache"))
        }
        Err(error) => Err(Fail::failed(format!("could not take the package lock: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::sys;
    use crate::testing::{self, Made, Tree, picture, put};

    const GRANT: &[(&str, &[&str])] = &[("pkg.clean_cache", &[])];

    fn cache() -> Tree {
        let tree = testing::machine();
        put(&tree.root, "/var/cache/apt/archives/a_1_all.deb", vec![1; 3000]);
        put(&tree.root, "/var/cache/apt/archives/b_1_all.deb", vec![1; 1000]);
        put(&tree.root, "/var/cache/apt/archives/lock", "");
        put(&tree.root, "/var/cache/apt/archives/partial/c.deb", "x");
        put(&tree.root, "/etc/keep.deb", "keep");
        let link = tree.root.at("/var/cache/apt/archives/link.deb");
        std::os::unix::fs::symlink("/etc/keep.deb", link).unwrap();
        tree
    }
    fn open(tree: &Tree, mode: Mode) -> Made {
        let mut made = testing::open(tree, testing::start(mode, GRANT, &["files"]));
        made.remediate();
        made
    }

    #[test]
    fn a_plan_and_its_fix_say_the_same_and_only_archives_go() {
        let tree = cache();
        let before = picture(tree.root.top());
        let mut plan = open(&tree, Mode::Plan);
        assert_eq!(plan.call("pkg.cache_size", &[]), Ok(Value::Int(4000)));
        let planned = plan.call("pkg.clean_cache", &[]).unwrap();
        assert_eq!(plan.call("pkg.cache_size", &[]), Ok(Value::Int(0)));
        assert_eq!(picture(tree.root.top()), before);
        assert_eq!(plan.effects(), "");

        let start = testing::start(Mode::Fix, GRANT, &["files"]);
        let mut fix = testing::open(&tree, testing::bound(start, &plan.lines()));
        fix.remediate();
        assert_eq!(fix.call("pkg.clean_cache", &[]), Ok(planned));
        assert_eq!(fix.lines(), plan.lines());
        assert_eq!(fix.call("pkg.cache_size", &[]), Ok(Value::Int(0)));
        let left: Vec<_> = picture(&tree.root.at("/var/cache/apt/archives")).into_keys().collect();
        assert_eq!(left.len(), 5, "{left:?}");
        assert!(tree.root.at("/etc/keep.deb").exists());
    }

    #[test]
    fn a_held_lock_is_an_answer() {
        let tree = cache();
        let path = tree.root.at("/var/cache/apt/archives/lock");
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        sys::hold_like_another_process(&file).unwrap();
        let mut made = open(&tree, Mode::Fix);
        assert_eq!(made.code("pkg.clean_cache", &[]), "locked");
        assert_eq!(made.effects(), "");
        drop(file);
        assert!(made.call("pkg.clean_cache", &[]).is_ok());
    }

    #[test]
    fn without_a_cache_there_is_nothing_to_do() {
        let tree = testing::machine();
        std::fs::remove_dir_all(tree.root.at("/var/cache/apt")).unwrap();
        let mut made = open(&tree, Mode::Fix);
        assert_eq!(made.call("pkg.cache_size", &[]), Ok(Value::Int(0)));
        let none = Value::map([("count", Value::Int(0)), ("bytes", Value::Int(0))]);
        assert_eq!(made.call("pkg.clean_cache", &[]), Ok(none));
        assert!(made.lines().is_empty());
    }
}
