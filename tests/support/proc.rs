//! Processes as `/proc` shows them: the kernel's own word on users, filters and folders.

use std::fs;
use std::path::PathBuf;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u32);

impl Process {
    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// Whether it is there, a zombie not counted.
    pub fn lives(self) -> bool {
        self.field("State").is_some_and(|state| !state.starts_with(['Z', 'X']))
    }

    /// A line of `status`, as in `CapEff`.
    pub fn field(self, name: &str) -> Option<String> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let value =
            |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
        status.lines().find_map(value)
    }

    /// Real, effective, saved and file system user.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn uids(self) -> Vec<u32> {
        numbers(&self.field("Uid").expect("it lives"))
    }

    /// Its further groups.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn groups(self) -> Vec<u32> {
        numbers(&self.field("Groups").expect("it lives"))
    }

    /// A set of capabilities, as in `CapEff`.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn capabilities(self, set: &str) -> u64 {
        u64::from_str_radix(&self.field(set).expect("it lives"), 16).expect("hex")
    }

    /// Its folder in the v2 tree, as in `/system.slice/x`.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn cgroup(self) -> String {
        let all = fs::read_to_string(self.file("cgroup")).expect("it lives");
        let found = all.lines().find_map(|line| line.strip_prefix("0::"));
        found.expect("a v2 tree").to_owned()
    }

    /// What its descriptors are, as in `socket:[1]`, without numbers: sorted.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn descriptors(self) -> Vec<String> {
        let list = fs::read_dir(self.file("fd")).expect("it lives");
        let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
        let word = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut all: Vec<String> = list.filter_map(|entry| target(entry.ok()?)).map(word).collect();
        all.sort();
        all
    }

    /// Inodes of its sockets.
    pub fn sockets(self) -> Vec<String> {
        let inode = |d: &String| Some(d.strip_prefix("socket:[")?.trim_end_matches(']').to_owned());
        self.descriptors().iter().filter_map(inode).collect()
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|n| n.parse().expect("a number")).collect()
}

/// Every process that lives.
///
/// # Panics
/// Without `/proc`.
pub fn processes() -> Vec<Process> {
    let list = fs::read_dir("/proc").expect("/proc");
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    list.filter_map(|entry| pid(entry.ok()?)).map(Process).filter(|p| p.lives()).collect()
}

/// Processes of this name.
pub fn named(name: &str) -> Vec<Process> {
    let mut all = processes();
    all.retain(|process| process.field("Name").as_deref() == Some(name));
    all
}

/// Where the v2 tree is mounted.
///
/// # Panics
/// Where it is not.
pub fn cgroup_root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut points = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point))
    });
    points.next().expect("cgroup v2 is mounted")
}
