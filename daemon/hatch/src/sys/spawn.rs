//! Starts a program inside its cgroup, with an exact table of descriptors. The child is born there
//! (`CLONE_INTO_CGROUP`, Linux 5.7): joining afterwards makes the kernel wait for every processor.
//!
//! The child is a copy of this process until it executes, and the processes that start others have
//! one thread, so that no lock of another thread is copied; nothing between is more than a system
//! call on memory that was prepared before.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What every child finds in its environment, and no more.
const ENVIRONMENT: [&std::ffi::CStr; 2] = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin", c"LANG=C.UTF-8"];

/// `CLOSE_RANGE_CLOEXEC`: marks instead of closing.
const CLOEXEC: libc::c_uint = 4;
/// `CLONE_INTO_CGROUP` of `linux/sched.h`; wider than the type that libc gives it.
const INTO_CGROUP: u64 = 0x2_0000_0000;
/// How a child ends that could not become its program, as a shell would.
pub(crate) const NOT_EXECUTED: libc::c_int = 126;

/// Starts the program behind `path`, in the cgroup behind `folder` where one is given; the child
/// has exactly these descriptors (those marked close-on-exec are not among them), a session of its
/// own, and every signal at its default. Sources must be above every target. Gives the child's
/// number and a descriptor of it.
pub(crate) fn start(
    path: &CString,
    arguments: &[CString],
    table: &[(BorrowedFd<'_>, i32)],
    folder: Option<BorrowedFd<'_>>,
) -> io::Result<(i32, OwnedFd)> {
    let mut argv: Vec<*const libc::c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut envp: Vec<*const libc::c_char> = ENVIRONMENT.iter().map(|text| text.as_ptr()).collect();
    envp.push(std::ptr::null());
    let table: Vec<(RawFd, RawFd)> = table.iter().map(|(fd, to)| (fd.as_raw_fd(), *to)).collect();
    // What this process was itself born with, and left open, is not passed on either.
    // SAFETY: sets a flag on descriptors and closes none.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOEXEC) };
    let mut pidfd: RawFd = -1;
    // SAFETY: all numbers, for which zero means "none".
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.flags = libc::CLONE_PIDFD.cast_unsigned().into();
    how.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    how.pidfd = (&raw mut pidfd).addr() as u64;
    if let Some(folder) = folder {
        how.flags |= INTO_CGROUP;
        how.cgroup = folder.as_raw_fd().cast_unsigned().into();
    }
    // SAFETY: without `CLONE_VM` the child has a copy of this memory, its own stack among it, and
    // returns here as fork's does. `how` and `pidfd` live until the call is over.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut how, size_of_val(&how)) };
    match pid {
        0 => become_program(path, &argv, &envp, &table),
        1.. => {
            // SAFETY: the kernel has just opened it for this process, close-on-exec, and nobody
            // else knows its number.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok((i32::try_from(pid).unwrap_or_default(), pidfd))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// The child's few steps to its program. Makes system calls only, and never comes back.
fn become_program(
    path: &CString,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    table: &[(RawFd, RawFd)],
) -> ! {
    // SAFETY: this process has one thread; every pointer was made before it began and its texts and
    // lists end in NUL and a null pointer. `_exit` runs nothing of the parent's.
    unsafe {
        libc::setsid();
        // What the parent ignores a program would ignore too.
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        if table.iter().all(|(source, target)| libc::dup2(*source, *target) >= 0) {
            libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr());
        }
        libc::_exit(NOT_EXECUTED)
    }
}
