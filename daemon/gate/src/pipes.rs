//! The two pipes to the keeper, without a thread and without blocking: whole messages or nothing.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use minicbor::{Decode, Encode};
use protocol::frames::{self, Deframer, FrameError};
use protocol::limits::HATCH_BYTES_MAX;
use tokio::net::unix::pipe;

/// Bytes taken from a pipe at once: what a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// Why a message did not cross.
#[derive(Debug, thiserror::Error)]
pub enum PipeFault {
    /// The kernel said no, or the other side has gone.
    #[error("the pipe failed")]
    Io(#[from] io::Error),
    /// Not a message of this pipe.
    #[error("not a message of this pipe")]
    Message(#[from] FrameError),
    /// Closed in the middle of a message.
    #[error("the pipe was closed inside a message")]
    Cut,
}

/// The end that messages come from.
#[derive(Debug)]
pub struct Reader {
    pipe: pipe::Receiver,
    deframer: Deframer,
}

impl Reader {
    /// Takes a pipe's reading end. Inside a tokio runtime.
    ///
    /// # Errors
    /// The descriptor is not a pipe.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe: pipe::Receiver::from_owned_fd(fd)?, deframer: Deframer::default() })
    }
    /// The next message; none where the other side closed. Cancel-safe.
    ///
    /// # Errors
    /// [`PipeFault`].
    pub async fn next<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, PipeFault> {
        loop {
            if let Some(frame) = self.deframer.next_frame(HATCH_BYTES_MAX)? {
                return Ok(Some(frames::decode(&frame)?));
            }
            self.pipe.readable().await?;
            let mut part = Vec::with_capacity(READ_BYTES);
            match self.pipe.try_read_buf(&mut part) {
                Ok(0) if self.deframer.is_mid_frame() => return Err(PipeFault::Cut),
                Ok(0) => return Ok(None),
                Ok(_) => self.deframer.push(&part),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The end that messages go to.
#[derive(Debug)]
pub struct Writer {
    pipe: pipe::Sender,
}

impl Writer {
    /// Takes a pipe's writing end. Inside a tokio runtime.
    ///
    /// # Errors
    /// The descriptor is not a pipe.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe: pipe::Sender::from_owned_fd(fd)? })
    }
    /// Writes one whole message. Not cancel-safe: half a message would stay in the pipe.
    ///
    /// # Errors
    /// [`PipeFault`].
    pub async fn send<M: Encode<()>>(&mut self, message: &M) -> Result<(), PipeFault> {
        let bytes = frames::encode(message, HATCH_BYTES_MAX)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.pipe.writable().await?;
            match self.pipe.try_write(rest) {
                Ok(len) => rest = rest.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
