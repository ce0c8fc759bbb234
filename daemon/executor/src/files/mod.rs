//! Files: where patterns begin, what `fs.find` gave, and how much room there is.
//!
//! Never follows a symlink, never leaves the device, never takes a file's identity from a script.

mod place;
mod remove;
mod walk;

use std::collections::BTreeMap;

use surface::Value;

use crate::book;
use crate::fail::Fail;
use crate::guard::Checked;
use crate::run::Run;

pub(crate) use place::{Identity, Places};
pub(crate) use remove::{Batch, batch, remove};

/// A file that `fs.find` gave: the executor's own memory of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its base among the run's places.
    pub(crate) base: usize,
    /// Names below the base.
    pub(crate) names: Vec<String>,
    /// Absolute path, as the script sees it.
    pub(crate) path: String,
    /// The pattern that found it.
    pub(crate) pattern: String,
    /// What must still be true of it when it is removed.
    pub(crate) identity: Identity,
    /// Bytes that it takes on the disk.
    pub(crate) on_disk: u64,
    /// Names that it has; only the last one's removal frees anything.
    pub(crate) links: u64,
    /// Whether it is a folder.
    pub(crate) folder: bool,
}

impl Found {
    /// Bytes that its removal is worth: none while it has another name.
    pub(crate) fn worth(&self) -> u64 {
        if self.links > 1 { 0 } else { book::sum(self.identity.size, 0) }
    }
}

/// `fs.find`.
pub(crate) fn find(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let pattern = call.text(0)?;
    let folders = match call.text_option("only") {
        None | Some("files") => false,
        Some("folders") => true,
        Some(other) => {
            return Err(Fail::argument(format!("`only` is `files` or `folders`, not `{other}`")));
        }
    };
    let older = call.int_option("older", 0, 100 * 366 * 86_400)?.unwrap_or(0);
    let now = i64::try_from(run.clock.now().0).unwrap_or(i64::MAX);
    let walked = walk::walk(run, pattern, folders)?;
    if walked.odd > 0 {
        let text = format!("{} names beneath {pattern} are no UTF-8 and were left", walked.odd);
        run.skipped(text)?;
    }
    let mut list = Vec::new();
    for found in walked.found {
        // A file from the future is as young as can be.
        let changed = now.saturating_sub(found.identity.changed.0).max(0);
        if changed < older || run.overlay.is_removed(&found.path) {
            continue;
        }
        list.push(Value::map([
            ("path", Value::text(&found.path)),
            ("size", Value::count(found.identity.size)),
            ("changed", Value::Int(changed)),
        ]));
        run.places.remember(found)?;
    }
    Ok(Value::List(list))
}

/// `fs.space`.
pub(crate) fn space(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let path = call.text(0)?;
    if !path.starts_with('/') || path.contains('\0') {
        return Err(Fail::argument("`path` is an absolute path"));
    }
    let at = run.root.at(path);
    let gone = |_| Fail::new("no_such_path", format!("there is no `{path}`"));
    let stat = rustix::fs::stat(&at).map_err(gone)?;
    let space = Space::of(&at).map_err(gone)?;
    let freed = run.overlay.freed(stat.st_dev);
    let free = space.free.saturating_add(freed.bytes).min(space.total);
    let inodes = space.inodes_free.saturating_add(freed.inodes).min(space.inodes);
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let number = format!("{major}:{minor}");
    Ok(Value::map([
        ("total", Value::count(space.total)),
        ("free", Value::count(free)),
        ("free_pct", Value::count(percent(free, space.total))),
        ("inodes_free_pct", Value::count(percent(inodes, space.inodes))),
        ("device", Value::text(source(run, &number).unwrap_or(number))),
        ("read_only", Value::Bool(space.read_only)),
    ]))
}

/// The room on one file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// Bytes.
    pub(crate) total: u64,
    /// Bytes that people may still write.
    pub(crate) free: u64,
    /// Inodes; 0 where the file system does not count them.
    pub(crate) inodes: u64,
    /// Inodes that are free.
    pub(crate) inodes_free: u64,
    /// Whether nothing can be written.
    pub(crate) read_only: bool,
}

impl Space {
    /// Asks the file system that holds a path.
    pub(crate) fn of(path: &std::path::Path) -> rustix::io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: stat.f_files,
            inodes_free: stat.f_ffree,
            read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    }
}

/// Whole percent, 100 where there is nothing to count.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100).min(100)
}

/// What is mounted under a device number, as in `/dev/sda1`.
fn source(run: &Run, number: &str) -> Option<String> {
    let mounts = run.root.text("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(number))?;
    let (_, after) = line.split_once(" - ")?;
    after.split(' ').nth(1).map(str::to_owned)
}

/// Bytes that a file takes on the disk.
pub(crate) fn on_disk(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512)
}

/// Names that a file has.
#[expect(clippy::useless_conversion, reason = "the type differs by architecture")]
pub(crate) fn links(stat: &rustix::fs::Stat) -> u64 {
    stat.st_nlink.into()
}

/// What `fs.find` gave so far, by path.
pub(crate) type Memory = BTreeMap<String, Found>;

#[cfg(test)]
mod tests;
