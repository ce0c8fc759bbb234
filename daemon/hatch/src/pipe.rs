//! Messages over pipes: a length of four bytes, then CBOR. Never trusts the length, never holds
//! more than one message and what was read behind it.
//!
//! Children read and write blocking, and may hold small messages back until they wait themselves
//! ([`Outbox::put`]); the keeper, who waits for nobody, uses the other pair of calls
//! ([`Inbox::poll_recv`], [`Outbox::queue`] and [`Outbox::flush`]) on the same types.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use minicbor::{Decode, Encode};
use protocol::frames::{Deframer, FrameError, decode, encode};
use protocol::limits::HATCH_BYTES_MAX;
use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// Bytes taken from a pipe at once: what a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;
/// Most bytes that [`Outbox::put`] holds back.
const HELD_BYTES_MAX: usize = 32 * 1024;

/// Why a message did not cross.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The kernel said no.
    #[error("could not {what} the pipe")]
    Io {
        /// `read`, `write` or `set up`.
        what: &'static str,
        /// Its reason.
        #[source]
        source: Errno,
    },
    /// The other side closed in the middle of a message.
    #[error("the pipe was cut in the middle of a message")]
    Cut,
    /// The other side has gone.
    #[error("nobody reads the pipe any more")]
    Gone,
    /// Not a message of this pipe's table.
    #[error("the other side sent no known message")]
    Frame(#[from] FrameError),
    /// More waits than the bound allows.
    #[error("{queued} bytes wait in the pipe already, at most {bound} may")]
    Full {
        /// Bytes that wait.
        queued: usize,
        /// As the outbox was made.
        bound: usize,
    },
}

/// What a look into an inbox that does not wait found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled<M> {
    /// A message.
    Message(M),
    /// Nothing yet.
    Empty,
    /// The other side closed, between two messages.
    Closed,
}

/// The reading end.
#[derive(Debug)]
pub struct Inbox {
    fd: OwnedFd,
    deframer: Deframer,
    max: usize,
}

impl Inbox {
    /// Takes a pipe's reading end.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd, deframer: Deframer::default(), max: HATCH_BYTES_MAX }
    }

    /// Takes messages of at most this size instead of [`HATCH_BYTES_MAX`]: interpreter and
    /// executor speak with `limits::PEER_BYTES_MAX`.
    #[must_use]
    pub fn at_most(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Makes reads return at once, for [`Inbox::poll_recv`].
    ///
    /// # Errors
    /// [`PipeError::Io`] where the descriptor is not a pipe.
    pub fn nonblocking(fd: OwnedFd) -> Result<Self, PipeError> {
        set_nonblocking(&fd)?;
        Ok(Self::from_fd(fd))
    }

    /// Whether what was read may hold another message: reading it may not wait.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.deframer.is_mid_frame()
    }

    /// Waits for the next message; none where the other side closed between two messages.
    ///
    /// # Errors
    /// [`PipeError`] for a cut, an unknown message, or what the kernel said. A descriptor made
    /// with [`Inbox::nonblocking`] answers [`PipeError::Io`] where nothing is there.
    pub fn recv<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, PipeError> {
        match self.poll_recv()? {
            Polled::Message(message) => Ok(Some(message)),
            Polled::Closed => Ok(None),
            Polled::Empty => Err(PipeError::Io { what: "read", source: Errno::AGAIN }),
        }
    }

    /// The next message if it is there. After [`Polled::Message`] look again before waiting in
    /// `poll`: further messages may lie in this inbox and no longer in the pipe.
    ///
    /// # Errors
    /// [`PipeError`] for a cut, an unknown message, or what the kernel said.
    pub fn poll_recv<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Polled<M>, PipeError> {
        let mut part = Vec::new();
        loop {
            if let Some(frame) = self.deframer.next_frame(self.max)? {
                return Ok(Polled::Message(decode(&frame)?));
            }
            part.clear();
            part.reserve_exact(READ_BYTES);
            match rustix::io::read(&self.fd, spare_capacity(&mut part)) {
                Ok(0) if self.deframer.is_mid_frame() => return Err(PipeError::Cut),
                Ok(0) => return Ok(Polled::Closed),
                Ok(_) => self.deframer.push(&part),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Polled::Empty),
                Err(source) => return Err(PipeError::Io { what: "read", source }),
            }
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Outbox {
    fd: OwnedFd,
    waiting: VecDeque<u8>,
    bound: usize,
    max: usize,
}

impl Outbox {
    /// Takes a pipe's writing end, for [`Outbox::send`].
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd, waiting: VecDeque::new(), bound: 0, max: HATCH_BYTES_MAX }
    }

    /// Sends messages of at most this size instead of [`HATCH_BYTES_MAX`].
    #[must_use]
    pub fn at_most(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Takes a pipe's writing end, for [`Outbox::queue`]: at most `bound` bytes may wait here.
    ///
    /// # Errors
    /// [`PipeError::Io`] where the descriptor is not a pipe.
    pub fn nonblocking(fd: OwnedFd, bound: usize) -> Result<Self, PipeError> {
        set_nonblocking(&fd)?;
        Ok(Self { fd, waiting: VecDeque::new(), bound, max: HATCH_BYTES_MAX })
    }

    /// Writes one message, behind those that were held back, and waits until the pipe has all of it.
    ///
    /// # Errors
    /// [`PipeError::Gone`] where nobody reads, [`PipeError::Frame`] where it is too large.
    pub fn send<M: Encode<()>>(&mut self, message: &M) -> Result<(), PipeError> {
        self.waiting.extend(encode(message, self.max)?);
        self.flush_all()
    }

    /// Holds one message back until the next [`Outbox::send`] or [`Outbox::flush_all`], so that
    /// many small ones wake the other side once. Past 32 KiB all of it is written at once.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub fn put<M: Encode<()>>(&mut self, message: &M) -> Result<(), PipeError> {
        self.waiting.extend(encode(message, self.max)?);
        if self.waiting.len() > HELD_BYTES_MAX { self.flush_all() } else { Ok(()) }
    }

    /// Writes what was held back and waits until the pipe has all of it.
    ///
    /// # Errors
    /// [`PipeError::Gone`] where nobody reads.
    pub fn flush_all(&mut self) -> Result<(), PipeError> {
        if self.flush()? {
            return Ok(());
        }
        Err(PipeError::Io { what: "write", source: Errno::AGAIN })
    }

    /// Puts one message behind those that wait; [`Outbox::flush`] writes it.
    ///
    /// # Errors
    /// [`PipeError::Full`]: nothing was queued; the caller drops what may be dropped, or gives
    /// the other side up.
    pub fn queue<M: Encode<()>>(&mut self, message: &M) -> Result<(), PipeError> {
        let bytes = encode(message, self.max)?;
        if self.waiting.len().saturating_add(bytes.len()) > self.bound {
            return Err(PipeError::Full { queued: self.waiting.len(), bound: self.bound });
        }
        self.waiting.extend(bytes);
        Ok(())
    }

    /// Writes what waits, as far as the pipe takes it; true where nothing waits any more.
    ///
    /// # Errors
    /// [`PipeError::Gone`] where nobody reads.
    pub fn flush(&mut self) -> Result<bool, PipeError> {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            let Some(len) = write_some(&self.fd, front)? else { return Ok(false) };
            self.waiting.drain(..len);
        }
        Ok(true)
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Writes once; none where the pipe is full.
fn write_some(fd: &OwnedFd, bytes: &[u8]) -> Result<Option<usize>, PipeError> {
    loop {
        match rustix::io::write(fd, bytes) {
            Ok(len) => return Ok(Some(len)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::PIPE) => return Err(PipeError::Gone),
            Err(source) => return Err(PipeError::Io { what: "write", source }),
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> Result<(), PipeError> {
    let set = |source| PipeError::Io { what: "set up", source };
    let flags = fcntl_getfl(fd).map_err(set)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(set)
}

/// A pipe whose ends no child inherits by accident: reading end, writing end.
///
/// # Errors
/// [`PipeError::Io`] where no descriptors are left.
pub fn pair() -> Result<(OwnedFd, OwnedFd), PipeError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|source| PipeError::Io { what: "set up", source })
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
impl AsFd for Outbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
impl AsRawFd for Inbox {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
impl AsRawFd for Outbox {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use protocol::Bytes;

    use super::*;
    use crate::{FromGate, ToGate};

    fn frame(len: usize) -> FromGate {
        FromGate::Frame { session: 1, stream: 2, bytes: Bytes(vec![7; len]) }
    }

    #[test]
    fn messages_cross_and_a_closed_pipe_says_so() {
        let (read, write) = pair().unwrap();
        let (mut inbox, mut outbox) = (Inbox::from_fd(read), Outbox::from_fd(write));
        outbox.send(&FromGate::Closed { session: 3 }).unwrap();
        outbox.send(&frame(9)).unwrap();
        drop(outbox);
        assert_eq!(inbox.recv().unwrap(), Some(FromGate::Closed { session: 3 }));
        assert_eq!(inbox.recv().unwrap(), Some(frame(9)));
        assert_eq!(inbox.recv::<FromGate>().unwrap(), None);
    }

    #[test]
    fn what_is_held_back_comes_in_order_and_as_one() {
        let (read, write) = pair().unwrap();
        let mut inbox = Inbox::nonblocking(read).unwrap();
        let mut outbox = Outbox::from_fd(write);
        outbox.put(&FromGate::Closed { session: 3 }).unwrap();
        outbox.put(&FromGate::Closed { session: 4 }).unwrap();
        assert_eq!(inbox.poll_recv::<FromGate>().unwrap(), Polled::Empty);
        outbox.send(&frame(9)).unwrap();
        assert!(!inbox.has_more());
        assert_eq!(inbox.recv().unwrap(), Some(FromGate::Closed { session: 3 }));
        assert!(inbox.has_more());
        assert_eq!(inbox.recv().unwrap(), Some(FromGate::Closed { session: 4 }));
        assert_eq!(inbox.recv().unwrap(), Some(frame(9)));
        // Never more than a little.
        outbox.put(&frame(HELD_BYTES_MAX)).unwrap();
        assert_eq!(inbox.recv().unwrap(), Some(frame(HELD_BYTES_MAX)));
    }

    #[test]
    fn a_cut_message_is_an_error_and_an_unknown_one_too() {
        let (read, write) = pair().unwrap();
        rustix::io::write(&write, &[0, 0, 0, 9, 1]).unwrap();
        drop(write);
        assert!(matches!(Inbox::from_fd(read).recv::<FromGate>(), Err(PipeError::Cut)));
        let (read, write) = pair().unwrap();
        let mut outbox = Outbox::from_fd(write);
        outbox.send(&ToGate::Drain).unwrap();
        let unknown = Inbox::from_fd(read).recv::<FromGate>();
        assert!(matches!(unknown, Err(PipeError::Frame(FrameError::Unknown))));
        let (read, write) = pair().unwrap();
        rustix::io::write(&write, &[0xff; 8]).unwrap();
        let large = Inbox::from_fd(read).recv::<FromGate>();
        assert!(matches!(large, Err(PipeError::Frame(FrameError::TooLarge(_)))));
    }

    #[test]
    fn nobody_who_reads_slowly_makes_the_keeper_wait_or_grow() {
        let (read, write) = pair().unwrap();
        let mut outbox = Outbox::nonblocking(write, 300_000).unwrap();
        let mut sent = 0;
        let full = loop {
            match outbox.queue(&frame(10_000)) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            outbox.flush().unwrap();
            assert!(sent < 1000);
        };
        assert!(matches!(full, PipeError::Full { bound: 300_000, .. }));
        assert!(outbox.waiting() <= 300_000);
        let mut inbox = Inbox::nonblocking(read).unwrap();
        let mut seen = 0;
        while seen < sent {
            outbox.flush().unwrap();
            while let Polled::Message(message) = inbox.poll_recv::<FromGate>().unwrap() {
                assert_eq!(message, frame(10_000));
                seen += 1;
            }
        }
        assert!(outbox.flush().unwrap());
        assert_eq!(inbox.poll_recv::<FromGate>().unwrap(), Polled::Empty);
        drop(outbox);
        assert_eq!(inbox.poll_recv::<FromGate>().unwrap(), Polled::Closed);
    }

    #[test]
    fn a_pipe_nobody_reads_is_gone() {
        let (read, write) = pair().unwrap();
        drop(read);
        assert!(matches!(Outbox::from_fd(write).send(&ToGate::Drain), Err(PipeError::Gone)));
    }
}
