//! The only place where programs start: a closed table, absolute paths, fixed environment.
//!
//! Values fill whole arguments and never begin with `-`; secrets go by stdin; no shell anywhere.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::Deadline;
use crate::root::Root;

/// Bytes kept of what a program says.
const SAID_MAX: u64 = 4096;
/// The step in which a program's end is looked for once it closed its output.
const STEP: Duration = Duration::from_millis(10);

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `chpasswd`, one `name:password` line on stdin.
    SetPassword,
    /// `chage -d 0 NAME`.
    RequireChange,
    /// `faillock --user NAME --reset`.
    ClearFailures,
}

impl Program {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::SetPassword, Self::RequireChange, Self::ClearFailures];

    /// The host function that it serves.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::SetPassword => "user.set_password",
            Self::RequireChange => "user.require_change",
            Self::ClearFailures => "user.clear_failures",
        }
    }
    /// Where it is.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::SetPassword => "/usr/sbin/chpasswd",
            Self::RequireChange => "/usr/bin/chage",
            Self::ClearFailures => "/usr/sbin/faillock",
        }
    }
    /// Its arguments for an account.
    fn arguments(self, name: &str) -> Vec<&str> {
        match self {
            Self::SetPassword => Vec::new(),
            Self::RequireChange => vec!["-d", "0", name],
            Self::ClearFailures => vec!["--user", name, "--reset"],
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this code, saying this.
    Code(i32, String),
    /// It was killed at the deadline.
    Late,
    /// It could not be started or watched.
    Broken(String),
}

/// Starts a program for an account, gives it `input`, and waits for its end.
pub(crate) fn run(
    root: &Root,
    program: Program,
    name: &str,
    input: &[u8],
    until: Deadline,
) -> Ended {
    if name.starts_with('-') || name.is_empty() {
        return Ended::Broken("an account's name is no option".to_owned());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the program table: the one place of this process that starts programs"
    )]
    let mut command = Command::new(root.at(program.path()));
    command
        .args(program.arguments(name))
        .env_clear()
        .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C"), ("LANG", "C")])
        .current_dir(PathBuf::from("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::Broken(format!("could not start {}: {error}", program.path())),
    };
    // A line for one account is smaller than a pipe's buffer: this write does not wait.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let ended = watch(&mut child, until);
    match written {
        Some(Err(error)) if ended == Ended::Code(0, String::new()) => {
            Ended::Broken(format!("could not write to {}: {error}", program.path()))
        }
        _ => ended,
    }
}

fn watch(child: &mut Child, until: Deadline) -> Ended {
    let said = match child.stderr.take() {
        Some(stderr) => listen(stderr, until),
        None => String::new(),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ended::Code(status.code().unwrap_or(-1), said),
            Ok(None) if until.over() => {
                let _ = child.kill();
                let _ = child.wait();
                return Ended::Late;
            }
            Ok(None) => {
                // No descriptor to wait for: a poll of nothing is a pause.
                let _ = poll(&mut [], Some(&until.timespec(STEP)));
            }
            Err(error) => return Ended::Broken(error.to_string()),
        }
    }
}

fn listen(mut stderr: std::process::ChildStderr, until: Deadline) -> String {
    let mut said = Vec::new();
    let mut part = [0u8; 512];
    loop {
        let mut fds = [PollFd::new(&stderr, PollFlags::IN)];
        match poll(&mut fds, Some(&until.timespec(Duration::MAX))) {
            Ok(0) => break,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => break,
            Ok(_) => {}
        }
        match stderr.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(len) if (said.len() as u64) < SAID_MAX => {
                said.extend_from_slice(part.get(..len).unwrap_or_default());
            }
            Ok(_) => {}
        }
    }
    String::from_utf8_lossy(&said).trim().chars().filter(|c| !c.is_control()).take(300).collect()
}
