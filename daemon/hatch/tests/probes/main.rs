//! Every claimed defence is tried: a child locks itself as a gate, interpreter or executor does,
//! does what is forbidden, and must be refused; unlocked, the same attempt must succeed.
//!
//! Without libtest, whose threads a lock refuses. Needs root, as the daemon does.
#![expect(clippy::unwrap_used, reason = "a test: an error is its failure")]

mod actions;
mod locks;
#[expect(unsafe_code, reason = "attempts are raw system calls")]
mod sys;
mod table;

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use hatch::spawn::{End, Program, spawn};

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It worked.
    Done,
    /// The kernel answered this error number.
    Refused(i32),
    /// The process was ended by this signal.
    Killed(i32),
    /// The process ended without a word.
    Lost(i32),
}

/// Where attempts are made: `inside` is granted, `outside` is not.
#[derive(Debug)]
pub(crate) struct Place {
    /// Granted.
    pub(crate) inside: PathBuf,
    /// Not granted.
    pub(crate) outside: PathBuf,
}

impl Place {
    fn at(root: &Path) -> Self {
        Self { inside: root.join("inside"), outside: root.join("outside") }
    }

    fn furnish(root: &Path) {
        let place = Self::at(root);
        let file = |path: PathBuf, text: &str| {
            use std::io::Write as _;
            File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        std::fs::create_dir(&place.inside).unwrap();
        std::fs::create_dir(&place.outside).unwrap();
        file(place.inside.join("file"), "ours");
        file(place.outside.join("file"), "not ours");
        std::fs::copy("/usr/bin/true", place.inside.join("tool")).unwrap();
        let link = place.inside.join("link");
        std::os::unix::fs::symlink(place.outside.join("file"), link).unwrap();
    }
}

/// Lets a child lock itself and make one attempt.
pub(crate) fn attempt(lock: &str, newest: i32, action: &str) -> Came {
    let (text, end) = child(&["child", lock, &newest.to_string(), action]);
    match (text.split_whitespace().collect::<Vec<_>>().as_slice(), end) {
        (["locked", "done"], End::Exited(0)) => Came::Done,
        (["locked", "refused", number], End::Exited(0)) => Came::Refused(number.parse().unwrap()),
        (["locked"], End::Signalled(signal)) => Came::Killed(signal),
        (_, End::Exited(status)) => Came::Lost(status),
        (_, End::Signalled(signal)) => Came::Lost(-signal),
    }
}

/// Runs this program as a child with a fresh place; its words and its end.
pub(crate) fn child(arguments: &[&str]) -> (String, End) {
    let folder = tempfile::tempdir().unwrap();
    // Nobody and root alike find the place; what they may do there is what is tried.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    Place::furnish(folder.path());
    let program = Program::open(Path::new("/proc/self/exe")).unwrap();
    let (read, write) = hatch::pipe::pair().unwrap();
    let null = File::open("/dev/null").unwrap();
    let stderr = std::io::stderr();
    let mut arguments = arguments.to_vec();
    arguments.push(folder.path().to_str().unwrap());
    // Descriptor 9 plays one that was left open by mistake.
    let table = [(null.as_fd(), 0), (write.as_fd(), 1), (stderr.as_fd(), 2), (null.as_fd(), 9)];
    let child = spawn(&program, &arguments, &table).unwrap();
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child", lock, newest, action, root] => {
            return locks::locked(
                lock,
                newest.parse().unwrap(),
                action,
                &Place::at(Path::new(root)),
            );
        }
        ["born", ..] => return locks::born(),
        ["report", lock, newest, root] => {
            return locks::report(lock, newest.parse().unwrap(), &Place::at(Path::new(root)));
        }
        _ => {}
    }
    if words.contains(&"--list") {
        if !words.contains(&"--ignored") {
            table::TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return;
    }
    let wanted: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let exact = words.contains(&"--exact");
    let wants = |name: &str| {
        wanted.is_empty()
            || wanted.iter().any(|w| if exact { **w == name } else { name.contains(**w) })
    };
    if !rustix::process::geteuid().is_root() {
        println!("left out: the locks need root, as the daemon does");
        return;
    }
    for (name, test) in table::TESTS.iter().filter(|(name, _)| wants(name)) {
        test();
        println!("test {name} ... ok");
    }
}
