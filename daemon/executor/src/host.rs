//! `host.*` and `backup.last`: what the machine says of itself in files, without asking anybody.
//!
//! What is not known is `nothing`, never a guess and never green.

use surface::Value;

use crate::fail::Fail;
use crate::files::{Space, percent};
use crate::people;
use crate::proc::uptime;
use crate::root::Root;
use crate::run::Run;

/// File systems that hold files of people or the system; others are the kernel's own, or far away
/// and may not answer.
const KINDS: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay", "vfat", "exfat", "ntfs3"];

fn unread(what: &str) -> Fail {
    Fail::failed(format!("could not read {what}"))
}

/// `host.info`.
pub(crate) fn info(run: &mut Run) -> Result<Value, Fail> {
    let line = |path: &str| run.root.line(path).ok_or_else(|| unread(path));
    Ok(Value::map([
        ("name", Value::text(line("/proc/sys/kernel/hostname")?)),
        ("system", Value::text(system(&run.root))),
        ("kernel", Value::text(line("/proc/sys/kernel/osrelease")?)),
        ("uptime", Value::count(uptime(&run.root).ok_or_else(|| unread("/proc/uptime"))?)),
        ("boot", Value::text(line("/proc/sys/kernel/random/boot_id")?)),
    ]))
}

fn system(root: &Root) -> String {
    let text = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release"));
    let text = text.unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("Linux", |name| name.trim_matches(['"', '\''])).to_owned()
}

/// `host.memory`.
pub(crate) fn memory(run: &mut Run) -> Result<Value, Fail> {
    let text = run.root.text("/proc/meminfo").map_err(|_| unread("/proc/meminfo"))?;
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Value::count(kibibytes.saturating_mul(1024)))
    };
    let known = |key: &str| bytes(key).ok_or_else(|| unread("/proc/meminfo"));
    Ok(Value::map([
        ("total", known("MemTotal")?),
        ("available", known("MemAvailable")?),
        ("swap_total", known("SwapTotal")?),
        ("swap_free", known("SwapFree")?),
    ]))
}

/// `host.pressure`.
pub(crate) fn pressure(run: &mut Run) -> Result<Value, Fail> {
    let share = |of: &str| {
        let text = run.root.text(&format!("/proc/pressure/{of}")).ok()?;
        let some = text.lines().find(|line| line.starts_with("some "))?;
        let (whole, part) = some
            .split_whitespace()
            .find_map(|word| word.strip_prefix("avg60=")?.split_once('.'))?;
        let hundredths = whole.parse::<i64>().ok()?.checked_mul(100)?;
        Some(Value::Int(hundredths + part.parse::<i64>().ok()?))
    };
    Ok(match (share("cpu"), share("memory"), share("io")) {
        (Some(cpu), Some(memory), Some(io)) => {
            Value::map([("cpu", cpu), ("memory", memory), ("io", io)])
        }
        _ => Value::Unit,
    })
}

/// `host.disks`.
pub(crate) fn disks(run: &mut Run) -> Result<Value, Fail> {
    let text = run.root.text("/proc/self/mountinfo").map_err(|_| unread("the list of mounts"))?;
    let mut seen = std::collections::BTreeSet::new();
    let mut list = Vec::new();
    for line in text.lines() {
        let Some((number, mount, kind, source)) = mounted(line) else { continue };
        // A device shows once, at its first mount; a file that is mounted over another is no disk.
        let at = run.root.at(&mount);
        if !KINDS.contains(&kind) || !seen.insert(number.to_owned()) || !at.is_dir() {
            continue;
        }
        let Ok(space) = Space::of(&at) else { continue };
        let freed = rustix::fs::stat(&at).map(|stat| run.overlay.freed(stat.st_dev));
        let freed = freed.unwrap_or_default();
        let free = space.free.saturating_add(freed.bytes).min(space.total);
        let inodes = space.inodes_free.saturating_add(freed.inodes).min(space.inodes);
        list.push(Value::map([
            ("mount", Value::text(mount)),
            ("device", Value::text(source)),
            ("total", Value::count(space.total)),
            ("free", Value::count(free)),
            ("free_pct", Value::count(percent(free, space.total))),
            ("inodes_free_pct", Value::count(percent(inodes, space.inodes))),
            ("read_only", Value::Bool(space.read_only)),
        ]));
    }
    Ok(Value::List(list))
}

/// Device number, folder, kind and source of one line of `mountinfo`.
fn mounted(line: &str) -> Option<(&str, String, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ');
    let number = fields.nth(2)?;
    let mount = fields.nth(1)?;
    let mut after = after.split(' ');
    let (kind, source) = (after.next()?, after.next()?);
    let plain = mount.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    Some((number, plain, kind, source))
}

/// `host.reboot_needed`.
pub(crate) fn reboot_needed(run: &mut Run) -> Result<Value, Fail> {
    let needed = run.root.at("/run/reboot-required").exists();
    let text = run.root.text("/run/reboot-required.pkgs").unwrap_or_default();
    let mut packages: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    packages.sort_unstable();
    packages.dedup();
    let packages = packages.into_iter().take(200).map(Value::text).collect();
    Ok(Value::map([("needed", Value::Bool(needed)), ("packages", Value::List(packages))]))
}

/// `host.clock`: what systemd's own time keeper left behind. Others are asked over sockets only,
/// which this process has none of, so that they are unknown here.
pub(crate) fn clock(run: &mut Run) -> Result<Value, Fail> {
    let there = |path: &str| run.root.at(path).exists();
    let (synced, source) = if there("/run/systemd/timesync/synchronized") {
        (Value::Bool(true), Value::text("systemd-timesyncd"))
    } else if there("/run/systemd/timesync") {
        (Value::Bool(false), Value::text("systemd-timesyncd"))
    } else if there("/run/chrony") {
        (Value::Unit, Value::text("chrony"))
    } else {
        (Value::Unit, Value::Unit)
    };
    let zone = people::zone(&run.root).map_or(Value::Unit, Value::text);
    Ok(Value::map([("synced", synced), ("source", source), ("zone", zone)]))
}

/// `backup.last`: no job is configured whose stamp could be read.
pub(crate) fn backup(_: &mut Run) -> Result<Value, Fail> {
    Ok(Value::Unit)
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    fn machine() -> (testing::Tree, testing::Made) {
        let tree = testing::machine();
        put(
            &tree.root,
            "/proc/meminfo",
            "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n\
            SwapTotal: 0 kB\nSwapFree: 0 kB\n",
        );
        put(&tree.root, "/proc/sys/kernel/hostname", "lt-4411\n");
        put(&tree.root, "/proc/sys/kernel/osrelease", "6.1.0\n");
        put(&tree.root, "/proc/sys/kernel/random/boot_id", "b00t\n");
        put(&tree.root, "/proc/uptime", "3600.1 2\n");
        put(&tree.root, "/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 12\"\n");
        let made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        (tree, made)
    }

    #[test]
    fn the_machine_describes_itself() {
        let (tree, mut made) = machine();
        let info = made.call("host.info", &[]).unwrap();
        assert_eq!(info.get("system"), Some(&Value::text("Debian 12")));
        assert_eq!(info.get("uptime"), Some(&Value::Int(3600)));
        let memory = made.call("host.memory", &[]).unwrap();
        assert_eq!(memory.get("available"), Some(&Value::Int(1 << 20)));
        assert_eq!(made.call("host.pressure", &[]), Ok(Value::Unit));
        for of in ["cpu", "memory", "io"] {
            let text = "some avg10=0.00 avg60=12.34 avg300=0.00 total=1\nfull avg60=1.00\n";
            put(&tree.root, &format!("/proc/pressure/{of}"), text);
        }
        let pressure = made.call("host.pressure", &[]).unwrap();
        assert_eq!(pressure.get("io"), Some(&Value::Int(1234)));
        let reboot = made.call("host.reboot_needed", &[]).unwrap();
        assert_eq!(reboot.get("needed"), Some(&Value::Bool(false)));
        put(&tree.root, "/run/reboot-required", "");
        put(&tree.root, "/run/reboot-required.pkgs", "linux\nlibc6\nlinux\n");
        let reboot = made.call("host.reboot_needed", &[]).unwrap();
        assert_eq!(reboot.get("packages").unwrap().as_list().unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_known_is_nothing() {
        let (tree, mut made) = machine();
        let clock = made.call("host.clock", &[]).unwrap();
        assert_eq!(clock.get("synced"), Some(&Value::Unit));
        std::fs::create_dir_all(tree.root.at("/run/systemd/timesync")).unwrap();
        let clock = made.call("host.clock", &[]).unwrap();
        assert_eq!(clock.get("synced"), Some(&Value::Bool(false)));
        put(&tree.root, "/run/systemd/timesync/synchronized", "");
        put(&tree.root, "/etc/timezone", "Europe/Stockholm\n");
        let clock = made.call("host.clock", &[]).unwrap();
        assert_eq!(clock.get("synced"), Some(&Value::Bool(true)));
        assert_eq!(clock.get("zone"), Some(&Value::text("Europe/Stockholm")));
        assert_eq!(made.call("backup.last", &[]), Ok(Value::Unit));
        assert_eq!(made.call("host.certificates", &[]), Ok(Value::Unit));
    }

    #[test]
    fn disks_are_those_with_files_of_people() {
        let (tree, mut made) = machine();
        put(
            &tree.root,
            "/proc/self/mountinfo",
            "\
            1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            2 1 0:20 / /proc rw - proc proc rw\n\
            3 1 8:1 /x /tmp rw - ext4 /dev/sda1 rw\n\
            4 1 8:2 / /home/with\\040space rw - ext4 /dev/sda2 rw\n\
            5 1 0:50 / /var rw - nfs far:/x rw\nnonsense\n",
        );
        std::fs::create_dir_all(tree.root.at("/home/with space")).unwrap();
        let disks = made.call("host.disks", &[]).unwrap();
        let list = disks.as_list().unwrap();
        let mounts: Vec<_> = list.iter().map(|d| d.get("mount").unwrap().as_text()).collect();
        assert_eq!(mounts, [Some("/"), Some("/home/with space")]);
        assert!(list[0].get("total").unwrap().as_int().unwrap() > 0);
        let space = made.call("fs.space", &[Value::text("/home")]).unwrap();
        assert!(space.get("free_pct").unwrap().as_int().unwrap() <= 100);
        assert_eq!(made.code("fs.space", &[Value::text("/nowhere")]), "no_such_path");
        assert_eq!(made.code("fs.space", &[Value::text("etc")]), "bad_argument");
    }
}
