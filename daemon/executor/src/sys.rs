//! The one room with raw OS calls: file access in another person's name.
#![expect(unsafe_code, reason = "setfsuid and setfsgid have no safe wrapper")]

use std::io;

use rustix::process::{Signal, parent_process_death_signal, set_parent_process_death_signal};

/// While it lives, this thread opens and removes files as this person; the kernel also takes away
/// root's right to pass over permissions. Dropping it gives both back.
#[derive(Debug)]
pub(crate) struct AsPerson {
    before: (u32, u32),
    /// The kernel forgets the wish to end with the keeper at every change of the file system uid.
    with_keeper: Option<Signal>,
}

/// The caller's id; no process has it, so asking for it changes nothing and tells what is.
const NOBODYS: u32 = u32::MAX;

fn set_gid(gid: u32) -> u32 {
    // SAFETY: setfsgid takes a number, touches no memory, and cannot fail in a harmful way: what
    // it did is read back by the callers.
    let before = unsafe { libc::setfsgid(gid) };
    before.cast_unsigned()
}

fn set_uid(uid: u32) -> u32 {
    // SAFETY: as for setfsgid.
    let before = unsafe { libc::setfsuid(uid) };
    before.cast_unsigned()
}

impl AsPerson {
    /// Becomes this person for file access; an error where the kernel did not follow.
    pub(crate) fn enter(uid: u32, gid: u32) -> io::Result<Self> {
        let with_keeper = parent_process_death_signal().ok().flatten();
        // The group first: without the uid's rights it could not be set any more.
        let before_gid = set_gid(gid);
        let before_uid = set_uid(uid);
        let person = Self { before: (before_uid, before_gid), with_keeper };
        set_parent_process_death_signal(with_keeper)?;
        if set_uid(NOBODYS) == uid && set_gid(NOBODYS) == gid {
            Ok(person)
        } else {
            Err(io::Error::from_raw_os_error(libc::EPERM))
        }
    }
}

impl Drop for AsPerson {
    fn drop(&mut self) {
        // The uid first: it brings back the right to set the group.
        set_uid(self.before.0);
        set_gid(self.before.1);
        // Where this fails, the broken pipe to the keeper ends the process all the same.
        let _ = set_parent_process_death_signal(self.with_keeper);
    }
}

/// Locks a file as another process would: a lock of the open file, which the record locks of this
/// very process run into.
#[cfg(test)]
pub(crate) fn hold_like_another_process(file: &std::fs::File) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: all zeros is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = i16::try_from(libc::F_WRLCK).unwrap_or_default();
    // SAFETY: the descriptor is open and `lock` lives through the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entering_and_leaving_are_exact() {
        let me = (set_uid(NOBODYS), set_gid(NOBODYS));
        if me.0 != 0 {
            assert!(AsPerson::enter(me.0 + 1, me.1).is_err());
            return;
        }
        {
            let _jo = AsPerson::enter(4242, 4243).unwrap();
            assert_eq!((set_uid(NOBODYS), set_gid(NOBODYS)), (4242, 4243));
        }
        assert_eq!((set_uid(NOBODYS), set_gid(NOBODYS)), me);
    }
}
