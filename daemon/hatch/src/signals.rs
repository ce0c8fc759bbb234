//! The signals that ask a daemon to end, as a descriptor for its poll loop. Never a handler.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::sys;

/// SIGTERM, SIGINT and SIGHUP from now on come here and nowhere else.
#[derive(Debug)]
pub struct EndSignals {
    fd: OwnedFd,
}

impl EndSignals {
    /// Blocks them for this thread and for those it starts; children have them unblocked again.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn take() -> std::io::Result<Self> {
        let fd = sys::signal_fd(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
        Ok(Self { fd })
    }

    /// Whether one has come since the last look.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn came(&self) -> std::io::Result<bool> {
        let mut info = [0u8; 128];
        match rustix::io::read(&self.fd, &mut info) {
            Ok(len) => Ok(len > 0),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for EndSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
