//! `pkg.installed`: what is installed, and how long none of its programs was read.
//!
//! When a program was last read is the file system's word (access times, which `relatime` writes once
//! a day at most): a backup or a scanner that reads everything makes everything look used. Where the
//! file system keeps none (`noatime`) nothing is said.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;

use surface::Value;

use super::updates::installed as read_status;
use crate::fail::Fail;
use crate::root::Root;
use crate::run::Run;

/// Where dpkg keeps the list of each package's files.
pub(crate) const LISTS: &str = "/var/lib/dpkg/info";
const STATUS: &str = "/var/lib/dpkg/status";
/// Folders whose files are programs that people or units start.
const PROGRAMS: [&str; 6] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/games/", "/usr/libexec/"];
/// Programs of one package that are looked at: the newest access counts, and one is enough.
const PROGRAMS_MAX: usize = 200;

/// `pkg.installed`.
pub(crate) fn installed(run: &mut Run) -> Result<Value, Fail> {
    let Some(all) = read_status(&run.root.at(STATUS), run.clock)? else { return Ok(Value::Unit) };
    let now = run.clock.now().0;
    let timed = keeps_access_times(&run.root);
    let mut list = Vec::new();
    for (count, ((name, architecture), version)) in all.into_iter().enumerate() {
        if count % 64 == 0 {
            run.clock.check()?;
        }
        if list.len() >= protocol::facts::PACKAGES_MAX {
            break;
        }
        let read = if timed { last_read(&run.root, &name, &architecture) } else { None };
        let idle = read.map(|at| Value::count(now.saturating_sub(at) / 86_400));
        list.push(Value::map([
            ("name", Value::text(name)),
            ("version", Value::text(version)),
            ("idle_days", idle.unwrap_or(Value::Unit)),
        ]));
    }
    Ok(Value::List(list))
}

/// Whether the file system of the programs keeps access times.
fn keeps_access_times(root: &Root) -> bool {
    let Ok(stat) = rustix::fs::statvfs(root.at("/usr/bin").as_path()) else { return false };
    !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOATIME)
}

/// When a program of this package was read last, seconds since 1970; none where it has none.
fn last_read(root: &Root, name: &str, architecture: &str) -> Option<u64> {
    // Packages that may be there for several architectures carry theirs in the list's name.
    let lists = [format!("{LISTS}/{name}.list"), format!("{LISTS}/{name}:{architecture}.list")];
    let file = lists.iter().find_map(|path| std::fs::File::open(root.at(path)).ok())?;
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let programs = lines.filter(|line| PROGRAMS.iter().any(|folder| line.starts_with(folder)));
    let read = programs.take(PROGRAMS_MAX).filter_map(|path| {
        let meta = std::fs::symlink_metadata(root.at(&path)).ok()?;
        meta.is_file().then(|| u64::try_from(meta.atime()).ok()).flatten()
    });
    read.max()
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    #[test]
    fn packages_are_listed_with_the_last_use_of_their_programs() {
        let tree = testing::machine();
        let grants: &[(&str, &[&str])] = &[("pkg.installed", &[])];
        let mut made = testing::open(&tree, testing::start(Mode::Check, grants, &[]));
        let status = "Package: tool\nStatus: install ok installed\nArchitecture: amd64\n\
                      Version: 1.2-3\n\nPackage: words\nStatus: install ok installed\n\
                      Architecture: all\nVersion: 9\n\nPackage: gone\n\
                      Status: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n";
        put(&tree.root, STATUS, status);
        put(&tree.root, &format!("{LISTS}/tool:amd64.list"), "/.\n/usr/bin\n/usr/bin/tool\n");
        put(&tree.root, &format!("{LISTS}/words.list"), "/.\n/usr/share/words\n");
        put(&tree.root, "/usr/bin/tool", b"tool");
        let Ok(Value::List(all)) = made.call("pkg.installed", &[]) else { panic!("a list") };
        let names: Vec<_> = all.iter().filter_map(|one| one.get("name")?.as_text()).collect();
        assert_eq!(names, ["tool", "words"]);
        assert_eq!(all[1].get("idle_days"), Some(&Value::Unit), "it has no program");
        let idle = all[0].get("idle_days").unwrap();
        assert!(matches!(idle, Value::Int(_)) || !keeps_access_times(&tree.root), "{idle:?}");
        assert_eq!(all[0].get("version").and_then(Value::as_text), Some("1.2-3"));
    }
}
