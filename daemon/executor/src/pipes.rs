//! The real lines: hatch's pipes behind this crate's two traits.

use std::os::fd::AsFd as _;
use std::time::Duration;

use hatch::messages::{FromExecutor, FromHost, ToExecutor, ToHost};
use hatch::pipe::{Inbox, Outbox, PipeError};
use protocol::frames::FrameError;
use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::Deadline;
use crate::link::{Keeper, Lost, Peer};

/// The pipes to and from the keeper.
#[derive(Debug)]
pub(crate) struct KeeperPipes {
    /// From it.
    pub(crate) from: Inbox,
    /// To it.
    pub(crate) to: Outbox,
}

impl Keeper for KeeperPipes {
    fn tell(&mut self, message: &FromExecutor) -> Result<(), Lost> {
        self.to.put(message).map_err(|_| Lost)
    }
    fn flush(&mut self) -> Result<(), Lost> {
        self.to.flush_all().map_err(|_| Lost)
    }
    fn hear(&mut self, until: Deadline) -> Result<ToExecutor, Lost> {
        self.flush()?;
        // The keeper speaks only when it was asked, so nothing is read ahead of this wait.
        let mut fds = [PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&until.timespec(Duration::from_secs(86_400)))) {
                Ok(0) => return Err(Lost),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(Lost),
            }
        }
        self.from.recv().ok().flatten().ok_or(Lost)
    }
}

/// The pipes to and from the interpreter.
#[derive(Debug)]
pub(crate) struct PeerPipes {
    /// Its calls.
    pub(crate) from: Inbox,
    /// Our answers.
    pub(crate) to: Outbox,
}

impl Peer for PeerPipes {
    fn has_more(&self) -> bool {
        self.from.has_more()
    }
    fn hear(&mut self) -> Result<Option<ToHost>, Lost> {
        match self.from.recv() {
            Ok(message) => Ok(message),
            // Killed in the middle of a message: as good as closed.
            Err(PipeError::Cut) => Ok(None),
            Err(_) => Err(Lost),
        }
    }
    fn answer(&mut self, answer: &FromHost) -> Result<bool, Lost> {
        match self.to.send(answer) {
            Ok(()) => Ok(true),
            Err(PipeError::Frame(FrameError::TooLarge(_))) => Ok(false),
            Err(_) => Err(Lost),
        }
    }
}
