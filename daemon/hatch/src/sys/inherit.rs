//! Descriptors that a child is born with, claimed once each.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

use crate::fds;

/// Why a descriptor could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Not one of [`crate::fds`], or claimed already.
    #[error("descriptor {0} is not there to be claimed, or was claimed already")]
    NotOurs(i32),
    /// It is not open: this program was not started by its keeper.
    #[error("descriptor {number} is not open; this program is started by salved, not by hand")]
    NotOpen {
        /// Its number.
        number: i32,
        /// The kernel's reason.
        #[source]
        source: Errno,
    },
}

/// One bit a descriptor, so that none has two owners.
static CLAIMED: AtomicU32 = AtomicU32::new(0);

/// Claims a descriptor that the keeper gave this process; programs started later do not get it.
///
/// # Errors
/// [`InheritError`] where it is unknown, claimed already, or not open.
pub fn inherited(number: i32) -> Result<OwnedFd, InheritError> {
    if !(fds::FROM_KEEPER..=fds::EFFECTS).contains(&number) {
        return Err(InheritError::NotOurs(number));
    }
    let bit = 1u32 << number;
    if CLAIMED.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return Err(InheritError::NotOurs(number));
    }
    let open = |source| {
        CLAIMED.fetch_and(!bit, Ordering::SeqCst);
        InheritError::NotOpen { number, source }
    };
    // SAFETY: the number is in 0..=5 and only borrowed for two calls that answer EBADF where it
    // is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(open)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC).map_err(open)?;
    // SAFETY: it is open (checked above) and the bit set above makes this the only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
