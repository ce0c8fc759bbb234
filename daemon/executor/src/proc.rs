//! `proc.list`: processes of a program, as `/proc` shows them to everybody.
//!
//! A program's name is what the kernel has (`comm`, 15 characters) or the last part of the path it
//! was started with: a browser that is open must be seen even where its executable's link may not
//! be read. Never reads a process's memory, arguments beyond the first, or environment.

use std::os::unix::fs::MetadataExt as _;

use surface::Value;

use crate::fail::Fail;
use crate::guard::Checked;
use crate::root::{Root, read_small};
use crate::run::Run;

/// Characters that the kernel keeps of a name.
const COMM_MAX: usize = 15;

/// `USER_HZ`: ticks of a second in `/proc`, the same on every machine that Linux runs on here.
const TICKS: u64 = 100;

/// `proc.list`.
pub(crate) fn list(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let program = call.text(0)?;
    let uptime = uptime(&run.root).unwrap_or(0);
    let unread = |error| Fail::failed(format!("could not list processes: {error}"));
    let mut pids: Vec<u32> = std::fs::read_dir(run.root.at("/proc"))
        .map_err(unread)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut list = Vec::new();
    for pid in pids {
        run.clock.check()?;
        // One that ended meanwhile is none.
        let Some(process) = Process::read(&run.root, pid) else { continue };
        if !process.is(program) {
            continue;
        }
        let user = run.people.name_of(process.uid).map(str::to_owned);
        list.push(Value::map([
            ("pid", Value::Int(pid.into())),
            ("user", Value::text(user.unwrap_or_else(|| process.uid.to_string()))),
            ("started", Value::count(uptime.saturating_sub(process.began))),
        ]));
    }
    Ok(Value::List(list))
}

/// One process.
struct Process {
    comm: String,
    first: String,
    uid: u32,
    began: u64,
}

impl Process {
    fn read(root: &Root, pid: u32) -> Option<Self> {
        let folder = format!("/proc/{pid}");
        let stat = root.text(&format!("{folder}/stat")).ok()?;
        // The name stands in brackets and may hold brackets itself.
        let (head, tail) = stat.rsplit_once(')')?;
        let comm = head.split_once('(')?.1.to_owned();
        let mut fields = tail.split_whitespace();
        if fields.next() == Some("Z") {
            return None;
        }
        let ticks: u64 = fields.nth(18)?.parse().ok()?;
        let uid = std::fs::metadata(root.at(&folder)).ok()?.uid();
        // A process that may not be dumped has a folder of root's; its status tells the truth.
        let status = root.text(&format!("{folder}/status")).unwrap_or_default();
        let own = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uid = own.and_then(|ids| ids.split_whitespace().next()?.parse().ok()).unwrap_or(uid);
        let line = read_small(&root.at(&format!("{folder}/cmdline"))).unwrap_or_default();
        let first = line.split('\0').next().unwrap_or_default();
        let first = first.rsplit('/').next().unwrap_or_default().to_owned();
        let began = ticks / TICKS;
        Some(Self { comm, first, uid, began })
    }
    fn is(&self, program: &str) -> bool {
        let short: String = program.chars().take(COMM_MAX).collect();
        self.comm == short || self.first == program
    }
}

/// Whole seconds since the machine started.
pub(crate) fn uptime(root: &Root) -> Option<u64> {
    let line = root.line("/proc/uptime")?;
    line.split(['.', ' ']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    fn process(root: &Root, pid: u32, comm: &str, line: &str, uid: u32, ticks: u64) {
        let zeros = "0 ".repeat(18);
        let stat = format!("{pid} ({comm}) S {zeros}{ticks} 0 0");
        put(root, &format!("/proc/{pid}/stat"), stat);
        put(root, &format!("/proc/{pid}/cmdline"), line);
        put(root, &format!("/proc/{pid}/status"), format!("Name:\tx\nUid:\t{uid}\t{uid}\t0\t0\n"));
    }

    #[test]
    fn programs_are_told_by_name_or_by_how_they_were_started() {
        let tree = testing::machine();
        put(&tree.root, "/proc/uptime", "1000.55 1.0\n");
        process(&tree.root, 5, "firefox", "/usr/lib/firefox/firefox\0-P\0", 1001, 90_000);
        process(&tree.root, 6, "Web) Content", "/usr/lib/firefox/firefox\0", 1001, 95_000);
        process(&tree.root, 7, "chromium", "/x/chromium --type=renderer", 4242, 100);
        process(&tree.root, 8, "a-very-long-nam", "/opt/a-very-long-name-of-all\0", 0, 0);
        put(&tree.root, "/proc/self/stat", "no process");
        let programs: &[&str] = &["firefox", "chromium", "a-very-long-name", "vi"];
        let start = testing::start(Mode::Check, &[("proc.list", programs)], &[]);
        let mut made = testing::open(&tree, start);
        let mut list = |name: &str| {
            let value = made.call("proc.list", &[Value::text(name)]).unwrap();
            value.as_list().unwrap().to_vec()
        };
        let firefox = list("firefox");
        assert_eq!(firefox.len(), 2);
        let first = Value::map([
            ("pid", Value::Int(5)),
            ("user", Value::text("jo")),
            ("started", Value::Int(100)),
        ]);
        assert_eq!(firefox[0], first);
        assert_eq!(list("chromium")[0].get("user"), Some(&Value::text("4242")));
        assert_eq!(list("a-very-long-name").len(), 1);
        assert!(list("vi").is_empty());
        assert_eq!(made.code("proc.list", &[Value::text("sshd")]), "not_permitted");
    }
}
