//! `pkg.updates`: what is installed against what the package lists on the disk offer.
//!
//! Counts packages of which a list has a newer version, without pins or phases: an estimate that
//! asks nobody. Compressed lists and other package managers are unknown: `nothing`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use surface::Value;

use super::version;
use crate::clock::Clock;
use crate::fail::Fail;
use crate::run::Run;

/// Longest line that is kept; the fields that matter are short.
const LINE_MAX: usize = 1024;

/// `pkg.updates`.
pub(crate) fn updates(run: &mut Run) -> Result<Value, Fail> {
    let Ok(entries) = std::fs::read_dir(run.root.at("/var/lib/apt/lists")) else {
        return Ok(Value::Unit);
    };
    let mut lists: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    lists.retain(|path| path.to_str().is_some_and(|path| path.ends_with("_Packages")));
    lists.sort_unstable();
    if lists.is_empty() {
        return Ok(Value::Unit);
    }
    let status = run.root.at("/var/lib/dpkg/status");
    let Some(installed) = installed(&status, run.clock)? else { return Ok(Value::Unit) };
    let mut newer: BTreeMap<(String, String), bool> = BTreeMap::new();
    let mut newest = 0u64;
    for list in &lists {
        let name = list.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let security = name.contains("security");
        let changed = std::fs::metadata(list).and_then(|meta| meta.modified()).ok();
        let changed = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        newest = newest.max(changed.map_or(0, |at| at.as_secs()));
        let each = |package: Package| {
            let key = (package.name, package.architecture);
            let Some(have) = installed.get(&key) else { return };
            if version::compare(&package.version, have).is_gt() {
                *newer.entry(key).or_default() |= security;
            }
        };
        if !stanzas(list, run.clock, each)? {
            return Ok(Value::Unit);
        }
    }
    let security = newer.values().filter(|security| **security).count() as u64;
    Ok(Value::map([
        ("waiting", Value::count(newer.len() as u64)),
        ("security", Value::count(security)),
        ("lists_age", Value::count(run.clock.now().0.saturating_sub(newest))),
    ]))
}

/// The fields of a stanza that matter.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    architecture: String,
    status: String,
}

pub(super) type Installed = BTreeMap<(String, String), String>;

/// What is installed and not held back; none where there is no such database.
pub(super) fn installed(path: &Path, clock: Clock) -> Result<Option<Installed>, Fail> {
    let mut all = BTreeMap::new();
    let there = stanzas(path, clock, |package| {
        if package.status == "install ok installed" {
            all.insert((package.name, package.architecture), package.version);
        }
    })?;
    Ok(there.then_some(all))
}

/// Reads a control file stanza by stanza; false where it cannot be read.
fn stanzas(path: &Path, clock: Clock, mut each: impl FnMut(Package)) -> Result<bool, Fail> {
    let Ok(file) = std::fs::File::open(path) else { return Ok(false) };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut package = Package::default();
    let mut line = Vec::new();
    for count in 0u64.. {
        if count % 4096 == 0 {
            clock.check()?;
        }
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
        // Lists of the whole distribution have a million lines, and four of twenty fields matter:
        // bytes are compared before anything is made of them.
        if line.iter().all(u8::is_ascii_whitespace) {
            each(std::mem::take(&mut package));
            continue;
        }
        let fields = [
            (&b"Package: "[..], &mut package.name),
            (&b"Version: "[..], &mut package.version),
            (&b"Architecture: "[..], &mut package.architecture),
            (&b"Status: "[..], &mut package.status),
        ];
        for (key, slot) in fields {
            if let Some(value) = line.strip_prefix(key) {
                let value = value.get(..LINE_MAX).unwrap_or(value);
                String::from_utf8_lossy(value).trim_end().clone_into(slot);
            }
        }
    }
    each(package);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    #[test]
    fn newer_versions_in_the_lists_are_counted_once() {
        let tree = testing::machine();
        let mut made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        assert_eq!(made.call("pkg.updates", &[]), Ok(Value::Unit));
        let stanza = |name: &str, version: &str, status: &str| {
            let status =
                if status.is_empty() { String::new() } else { format!("Status: {status}\n") };
            format!("Package: {name}\n{status}Architecture: amd64\nVersion: {version}\n\n")
        };
        let ok = "install ok installed";
        let status = [
            stanza("libssl3", "3.0.9-1", ok),
            stanza("vim", "2:9.0-4", ok),
            stanza("held", "1", "hold ok installed"),
            stanza("gone", "1", "deinstall ok config-files"),
            stanza("own", "1", ok),
        ];
        put(&tree.root, "/var/lib/dpkg/status", status.concat());
        assert_eq!(made.call("pkg.updates", &[]), Ok(Value::Unit), "no lists, not zero");
        let main =
            [stanza("libssl3", "3.0.11-1", ""), stanza("held", "2", ""), stanza("gone", "2", "")];
        let main_list =
            "/var/lib/apt/lists/deb.debian.org_dists_bookworm_main_binary-amd64_Packages";
        put(&tree.root, main_list, main.concat() + &stanza("vim", "2:9.0-4", ""));
        let security = stanza("libssl3", "3.0.11-1~deb12u2", "");
        let name = "/var/lib/apt/lists/security.debian.org_x_main_binary-amd64_Packages";
        put(&tree.root, name, security);
        let answer = made.call("pkg.updates", &[]).unwrap();
        assert_eq!(answer.get("waiting"), Some(&Value::Int(1)));
        assert_eq!(answer.get("security"), Some(&Value::Int(1)));
    }
}
