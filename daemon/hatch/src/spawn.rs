//! Starts a sibling program from its descriptor, and watches it through another one. Never waits
//! unless asked, never signals by number.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::sys;

/// Descriptors of programs and sources lie above every number of [`crate::fds`].
const ABOVE: i32 = 64;

/// Why a program could not be opened, started or watched.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program's file.
    #[error("could not open `{}`", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// Not a program at all.
    #[error("`{}` is not an executable file", .0.display())]
    NotProgram(PathBuf),
    /// The start itself.
    #[error("could not start {program}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A call on a running child.
    #[error("could not {what} {program}")]
    Watch {
        /// What was tried.
        what: &'static str,
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// A program, held open: an upgrade that replaces its file does not change what is started.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    name: String,
}

impl Program {
    /// Opens a program.
    ///
    /// # Errors
    /// [`SpawnError::Open`], [`SpawnError::NotProgram`].
    pub fn open(path: &Path) -> Result<Self, SpawnError> {
        let open = |source| SpawnError::Open { path: path.to_owned(), source };
        let low = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let low = low.map_err(open)?;
        let stat = rustix::fs::fstat(&low).map_err(open)?;
        let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        if !is_file || stat.st_mode & 0o111 == 0 {
            return Err(SpawnError::NotProgram(path.to_owned()));
        }
        let fd = rustix::io::fcntl_dupfd_cloexec(&low, ABOVE).map_err(open)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { fd, name })
    }

    /// Its file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
}

/// A running child. Dropping it does not end it.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: Pid,
    name: String,
}

/// Starts `program` with these arguments and exactly these descriptors, in a session of its own. A
/// program that the kernel does not take after all ends with status 126.
///
/// # Errors
/// [`SpawnError`]; then nothing runs.
pub fn spawn(
    program: &Program,
    arguments: &[&str],
    table: &[(BorrowedFd<'_>, i32)],
) -> Result<Child, SpawnError> {
    start(program, arguments, table, None)
}

/// As [`spawn`], in a cgroup from its first instruction on.
///
/// # Errors
/// [`SpawnError`]; then nothing runs.
pub fn spawn_in(
    folder: BorrowedFd<'_>,
    program: &Program,
    arguments: &[&str],
    table: &[(BorrowedFd<'_>, i32)],
) -> Result<Child, SpawnError> {
    start(program, arguments, table, Some(folder))
}

fn start(
    program: &Program,
    arguments: &[&str],
    table: &[(BorrowedFd<'_>, i32)],
    folder: Option<BorrowedFd<'_>>,
) -> Result<Child, SpawnError> {
    let failed = |source| SpawnError::Start { program: program.name.clone(), source };
    let text = |text: &str| CString::new(text).map_err(|error| failed(error.into()));
    let mut argv = vec![text(&program.name)?];
    for argument in arguments {
        argv.push(text(argument)?);
    }
    // Sources go above every target first, so that no target overwrites a source.
    let mut high = Vec::new();
    for (source, target) in table {
        let fd = rustix::io::fcntl_dupfd_cloexec(source, ABOVE);
        high.push((fd.map_err(|error| failed(error.into()))?, *target));
    }
    let table: Vec<_> = high.iter().map(|(fd, target)| (fd.as_fd(), *target)).collect();
    let path = text(&format!("/proc/self/fd/{}", program.fd.as_raw_fd()))?;
    let (raw, pidfd) = sys::start(&path, &argv, &table, folder).map_err(failed)?;
    let gone = || failed(std::io::ErrorKind::NotFound.into());
    let pid = Pid::from_raw(raw).ok_or_else(gone)?;
    Ok(Child { pidfd, pid, name: program.name.clone() })
}

impl Child {
    /// Its number, for people's eyes.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Ends it at once. One that has ended already is fine.
    ///
    /// # Errors
    /// [`SpawnError::Watch`].
    pub fn kill(&self) -> Result<(), SpawnError> {
        match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(source) => Err(self.failed("end", source)),
        }
    }

    /// How it ended, if it has; it is gone then.
    ///
    /// # Errors
    /// [`SpawnError::Watch`].
    pub fn try_wait(&self) -> Result<Option<End>, SpawnError> {
        self.waitid(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// [`SpawnError::Watch`].
    pub fn wait(&self) -> Result<End, SpawnError> {
        loop {
            if let Some(end) = self.waitid(WaitIdOptions::EXITED)? {
                return Ok(end);
            }
        }
    }

    fn waitid(&self, options: WaitIdOptions) -> Result<Option<End>, SpawnError> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Ok(None) => return Ok(None),
                Ok(Some(status)) => {
                    let signal = status.terminating_signal().map(End::Signalled);
                    let exit = status.exit_status().map(End::Exited);
                    return Ok(signal.or(exit));
                }
                Err(Errno::INTR) => {}
                Err(source) => return Err(self.failed("watch", source)),
            }
        }
    }

    fn failed(&self, what: &'static str, source: Errno) -> SpawnError {
        SpawnError::Watch { what, program: self.name.clone(), source }
    }
}

/// Readable as soon as the child has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
