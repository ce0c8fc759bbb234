//! Identity, descriptors and signals of this process.

use std::io;

/// Closes everything but these descriptors. They must be sorted and no descriptor of this process
/// may have an owner yet: it is the first thing a child does.
pub(crate) fn close_others(keep: &[i32]) -> io::Result<()> {
    let mut first: libc::c_uint = 0;
    for fd in keep {
        let fd = fd.unsigned_abs();
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd.saturating_add(1);
    }
    close_range(first, libc::c_uint::MAX)
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> io::Result<()> {
    // SAFETY: no pointers; the caller says that no closed descriptor has an owner.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// Becomes another user for good, with no supplementary groups.
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: a length of zero reads nothing; the other calls take numbers only. glibc applies
    // them to every thread.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()).into())?;
        check(libc::setresgid(gid, gid, gid).into())?;
        check(libc::setresuid(uid, uid, uid).into())
    }
}

/// Empties the supplementary groups.
pub(crate) fn no_groups() -> io::Result<()> {
    // SAFETY: a length of zero reads nothing.
    check(unsafe { libc::setgroups(0, std::ptr::null()) }.into())
}

/// Makes writes beyond `RLIMIT_FSIZE` an error instead of a death.
pub(crate) fn ignore_file_size_signal() -> io::Result<()> {
    // SAFETY: no handler is installed, the signal is ignored.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has large blocks given back to the kernel as soon as they are freed. Without this the allocator
/// keeps what one large block once took: a ledger's segment, for as long as the process lives.
pub(crate) fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    for limit in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: two numbers; an unknown one changes nothing.
        unsafe { libc::mallopt(limit, 128 * 1024) };
    }
}

/// The kernel's Landlock ABI, 0 where it has none or it is off.
pub(crate) fn landlock_abi() -> i32 {
    // SAFETY: a null attribute of size zero with the version flag only asks.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            1u32,
        )
    };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// Whether this process may take a system call filter; else why not. A kernel without them, and a
/// filter from outside that forbids them, are found alike: the one that is offered lies nowhere, and
/// whoever would take it says so.
pub(crate) fn takes_filters() -> io::Result<()> {
    // SAFETY: a null program is never read: the answer is EFAULT, or whatever stands before that.
    let answer = unsafe {
        let program = std::ptr::null::<libc::c_void>();
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, program)
    };
    match check(answer) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        other => other,
    }
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
