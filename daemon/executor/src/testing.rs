//! A made machine and a keeper that answers, for this crate's tests.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use hatch::messages::{Exceptions, ExecutorStart, FromExecutor, Grant, ToExecutor};
use protocol::frames::Phase;
use protocol::{Bytes, Mode, PlanLine, Risk, RunId, Time};
use surface::{Call, Host as _, HostError, Value};

use crate::link::{Keeper, Lost};
use crate::root::Root;
use crate::run::{Parts, Run};

/// A tree that stands for a machine.
pub(crate) struct Tree {
    _folder: tempfile::TempDir,
    pub(crate) root: Root,
}

/// When the made runs begin.
pub(crate) const NOW: Time = Time(1_795_000_000);

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/home/toor:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/home/nobody:/bin/sh
jo:x:1001:1001:Jo Meyer,,,:/home/jo:/bin/bash
mo:x:1002:1002::/home/mo:/bin/sh
svc:x:998:998::/home/svc:/bin/bash
quiet:x:1003:1003::/home/quiet:/usr/sbin/nologin
broken line
";
const SHADOW: &str = "root:!:20000:0:99999:7:::
jo:$y$j9T$abc$def:20000:0:99999:7:::
mo:!$y$j9T$abc$def:0:0:99999:7::20001:
quiet::20000:0:99999:7:::
svc:*:20000:0:99999:7:::
";

/// A made machine with people, homes and a package cache.
pub(crate) fn machine() -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::made(folder.path());
    put(&root, "/etc/passwd", PASSWD);
    put(&root, "/etc/shadow", SHADOW);
    put(&root, "/etc/login.defs", "# UID_MIN 7\nUID_MIN\t\t\t 1000\nUID_MAX 60000\n");
    put(&root, "/etc/nsswitch.conf", "passwd:         files systemd\n");
    for home in ["/home/jo", "/home/mo", "/var/cache/apt/archives/partial", "/tmp"] {
        std::fs::create_dir_all(root.at(home)).unwrap();
    }
    // People can reach their homes, as on a real machine; without root there is one person only.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (home, uid) in [("/home/jo", 1001), ("/home/mo", 1002)] {
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(root.at(home), Some(uid), Some(uid)).unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(root.at(home), mode).unwrap();
    }
    Tree { _folder: folder, root }
}

/// Writes a file and the folders above it.
pub(crate) fn put(root: &Root, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.at(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, bytes.as_ref()).unwrap();
}

/// A keeper that keeps what it hears and answers requests for secrets.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) messages: std::rc::Rc<std::cell::RefCell<Vec<FromExecutor>>>,
    pub(crate) secret: Option<Vec<u8>>,
}

impl Keeper for Heard {
    fn tell(&mut self, message: &FromExecutor) -> Result<(), Lost> {
        self.messages.borrow_mut().push(message.clone());
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Lost> {
        Ok(())
    }
    fn hear(&mut self, _: crate::clock::Deadline) -> Result<ToExecutor, Lost> {
        let handle = self.messages.borrow().iter().rev().find_map(|message| match message {
            FromExecutor::OneTime { handle, .. } => Some(*handle),
            _ => None,
        });
        let clear = self.secret.clone().map(Bytes);
        Ok(ToExecutor::Secret { handle: handle.ok_or(Lost)?, clear })
    }
}

/// A start message with these permissions.
pub(crate) fn start(mode: Mode, grants: &[(&str, &[&str])], classes: &[&str]) -> ExecutorStart {
    ExecutorStart {
        run: RunId([7; 16]),
        mode,
        risk: Risk::Low,
        grants: grants
            .iter()
            .map(|(function, nouns)| Grant {
                function: (*function).to_owned(),
                nouns: nouns.iter().map(|noun| (*noun).to_owned()).collect(),
            })
            .collect(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
        plan: None,
        secrets: BTreeMap::new(),
        limit_ms: 60_000,
        exceptions: Exceptions::default(),
        now: NOW,
    }
}

/// The same, bound to a plan.
pub(crate) fn bound(mut start: ExecutorStart, lines: &[PlanLine]) -> ExecutorStart {
    start.plan = Some(Bytes(serde_json::to_vec(lines).unwrap()));
    start
}

/// A run on a made tree, with its effects file and what its keeper heard.
pub(crate) struct Made {
    pub(crate) run: Run,
    pub(crate) effects: std::path::PathBuf,
    pub(crate) heard: std::rc::Rc<std::cell::RefCell<Vec<FromExecutor>>>,
    _folder: tempfile::TempDir,
}

/// Opens a run as the program would, but on this tree.
pub(crate) fn open(tree: &Tree, start: ExecutorStart) -> Made {
    open_with(tree, start, None)
}

/// The same with a bus.
pub(crate) fn open_with(tree: &Tree, start: ExecutorStart, bus: Option<bus::Bus>) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let effects = folder.path().join("effects");
    let file = std::fs::File::create_new(&effects).unwrap();
    let keeper = Heard { secret: Some(b"Correct-Horse-7".to_vec()), ..Heard::default() };
    let heard = keeper.messages.clone();
    let parts = Parts { root: tree.root.clone(), effects: file, keeper: Box::new(keeper), bus };
    Made { run: Run::open(start, parts).unwrap(), effects, heard, _folder: folder }
}

impl Made {
    /// One call in the phase the run is in.
    pub(crate) fn call(&mut self, function: &str, args: &[Value]) -> Result<Value, HostError> {
        self.run.call(&Call { function: function.to_owned(), args: args.to_vec() })
    }
    /// The code of a call that must fail.
    pub(crate) fn code(&mut self, function: &str, args: &[Value]) -> String {
        self.call(function, args).unwrap_err().code
    }
    /// Goes to `remediate`.
    pub(crate) fn remediate(&mut self) {
        self.run.phase(Phase::Detect).unwrap();
        self.run.phase(Phase::Remediate).unwrap();
    }
    /// The lines that the run has recorded.
    pub(crate) fn lines(&self) -> Vec<PlanLine> {
        self.run.book.lines().to_vec()
    }
    /// The effects file's text.
    pub(crate) fn effects(&self) -> String {
        std::fs::read_to_string(&self.effects).unwrap()
    }
}

/// Every file of a tree with its bytes, mode and times: two equal ones are the same tree.
pub(crate) fn picture(top: &Path) -> BTreeMap<String, (u64, i64, i64, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut all = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let mut bytes = Vec::new();
        if meta.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            bytes = std::fs::read(&path).unwrap();
        }
        let facts = (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.mode(), bytes);
        all.insert(path.to_str().unwrap().to_owned(), facts);
    }
    all
}

/// A step that every wait in tests shares.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
