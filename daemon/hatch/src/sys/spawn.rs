//! `posix_spawn` with an exact table of descriptors. No fork of our own and nothing that runs
//! between fork and exec: the child locks itself.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What every child finds in its environment, and no more.
const ENVIRONMENT: [&std::ffi::CStr; 2] = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin", c"LANG=C.UTF-8"];

/// `CLOSE_RANGE_CLOEXEC`: marks instead of closing.
const CLOEXEC: libc::c_uint = 4;

/// Frees what glibc allocated for the file actions.
struct Actions(libc::posix_spawn_file_actions_t);

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new` and destroyed once, here.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

impl Actions {
    fn new() -> io::Result<Self> {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: the call initialises what it is given, or says so.
        unsafe {
            code(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
            Ok(Self(raw.assume_init()))
        }
    }
}

/// As [`Actions`], for the attributes.
struct Attributes(libc::posix_spawnattr_t);

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new` and destroyed once, here.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

impl Attributes {
    /// Own session (no terminal, no shared signals), all signals at their defaults and unblocked.
    fn new() -> io::Result<Self> {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: each call initialises what it is given; the sets live until they were copied.
        unsafe {
            code(libc::posix_spawnattr_init(raw.as_mut_ptr()))?;
            let mut attributes = Self(raw.assume_init());
            let mut none = std::mem::MaybeUninit::uninit();
            let mut all = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigfillset(all.as_mut_ptr());
            code(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none.as_ptr()))?;
            code(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, all.as_ptr()))?;
            let flags = libc::POSIX_SPAWN_SETSIGMASK
                | libc::POSIX_SPAWN_SETSIGDEF
                | i32::from(libc::POSIX_SPAWN_SETSID);
            let flags = libc::c_short::try_from(flags).unwrap_or_default();
            code(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
            Ok(attributes)
        }
    }
}

/// Starts the program behind `path`; the child has exactly these descriptors (those marked
/// close-on-exec are not among them). Sources must be above every target.
pub(crate) fn posix_spawn(
    path: &CString,
    arguments: &[CString],
    table: &[(BorrowedFd<'_>, i32)],
) -> io::Result<i32> {
    let mut actions = Actions::new()?;
    for (source, target) in table {
        // SAFETY: both numbers are copied; the source is borrowed until after the spawn.
        let dup = unsafe {
            let source = source.as_raw_fd();
            libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, source, *target)
        };
        code(dup)?;
    }
    let attributes = Attributes::new()?;
    let mut argv: Vec<*mut libc::c_char> =
        arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let mut envp: Vec<*mut libc::c_char> =
        ENVIRONMENT.iter().map(|text| text.as_ptr().cast_mut()).collect();
    envp.push(std::ptr::null_mut());
    // What this process was itself born with, and left open, is not passed on either.
    // SAFETY: sets a flag on descriptors and closes none.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOEXEC) };
    let mut pid = 0;
    // SAFETY: all texts end in NUL and both lists in a null pointer; they, the actions and the
    // attributes outlive the call, which copies or only reads them.
    let spawned = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    code(spawned)?;
    Ok(pid)
}

fn code(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}
