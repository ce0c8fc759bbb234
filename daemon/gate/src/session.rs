//! One session: its streams numbered, its frames passed up, its answers written down.
//!
//! Never looks into a frame. Silent until the peer has sent a first frame in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hatch::{FromGate, PeerRole};
use link::{Connection, LinkError, Receiving, Role, Sending};
use protocol::frames::Stop;
use protocol::{Bytes, limits};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::queue::{Out, Queue};

/// From an admitted connection to its first whole frame.
const HELLO_TIME_MAX: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);

/// What one session's task needs.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: u32,
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<Queue>,
    pub(crate) keeper: mpsc::Sender<FromGate>,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) number: u32,
    /// A first frame came.
    pub(crate) lived: bool,
    pub(crate) end: LinkError,
}

/// How a stream's reading half ended.
type Read = (u32, Result<(), LinkError>);

impl Session {
    /// Runs the session to its end. The keeper hears of it only if a first frame came.
    pub(crate) async fn run(self) -> Over {
        let mut opened = false;
        let mut readers = JoinSet::new();
        let end = self.talk(&mut opened, &mut readers).await;
        if self.connection.end().is_none() {
            self.connection.close(end.stop());
        }
        // No frame may follow the word that the session is gone.
        readers.shutdown().await;
        if opened {
            self.tell(FromGate::Closed { session: self.number }).await;
        }
        Over { number: self.number, lived: opened, end }
    }

    /// An error here means that the keeper has gone; the main loop ends for the same reason.
    async fn tell(&self, message: FromGate) {
        let _ = self.keeper.send(message).await;
    }

    async fn hello(&self) -> Result<(Sending, Receiving, Vec<u8>), LinkError> {
        let (sending, mut receiving) = self.connection.accept().await?.split();
        let frame = receiving.recv_bytes().await?.ok_or(LinkError::Cut)?;
        Ok((sending, receiving, frame))
    }

    async fn talk(&self, opened: &mut bool, readers: &mut JoinSet<Read>) -> LinkError {
        let first = timeout(HELLO_TIME_MAX, self.hello()).await.unwrap_or(Err(LinkError::Late));
        let (sending, receiving, frame) = match first {
            Ok(first) => first,
            Err(why) => return why,
        };
        let Some(opening) = self.opening() else { return LinkError::Stopped(Stop::Role) };
        *opened = true;
        self.tell(opening).await;
        let (session, stream) = (self.number, 0);
        self.tell(FromGate::Frame { session, stream, bytes: Bytes(frame) }).await;
        readers.spawn(read(session, stream, receiving, self.keeper.clone()));
        let open = BTreeMap::from([(0, sending)]);
        let streams = Streams { open, next: 1, finishing: JoinSet::new(), draining: false };
        self.pass(streams, readers).await
    }

    fn opening(&self) -> Option<FromGate> {
        let peer = self.connection.peer()?;
        let role = match peer.role {
            Role::Agent => PeerRole::Agent,
            Role::Desk => PeerRole::Desk,
            Role::Endpoint => return None,
        };
        Some(FromGate::Opened {
            session: self.number,
            role,
            peer: peer.id.clone(),
            address: self.connection.address().to_string(),
        })
    }

    /// Whether nothing is open that somebody waits for. A desk holds its first stream for as long as
    /// its line: that alone must not hold up the end.
    fn is_quiet(&self, streams: &Streams) -> bool {
        let desk = self.connection.peer().is_some_and(|peer| peer.role == Role::Desk);
        streams.open.keys().all(|stream| desk && *stream == 0)
    }

    async fn pass(&self, mut streams: Streams, readers: &mut JoinSet<Read>) -> LinkError {
        loop {
            if streams.draining && self.is_quiet(&streams) && streams.finishing.is_empty() {
                return LinkError::Stopped(Stop::Drain);
            }
            tokio::select! {
                accepted = self.connection.accept(), if !streams.draining => match accepted {
                    Ok(stream) => {
                        let (sending, receiving) = stream.split();
                        let number = streams.next;
                        streams.next = number.saturating_add(1);
                        streams.open.insert(number, sending);
                        readers.spawn(read(self.number, number, receiving, self.keeper.clone()));
                    }
                    Err(why) => return why,
                },
                out = self.queue.pop() => {
                    if let Err(why) = streams.write(out).await
                        && let Some(why) = self.of_session(why)
                    {
                        return why;
                    }
                }
                Some(ended) = readers.join_next(), if !readers.is_empty() => {
                    // A reader that panicked ends the session: its stream would hang for ever.
                    let Ok((stream, ended)) = ended else { return LinkError::Lost };
                    if let Err(why) = ended && let Some(why) = self.of_session(why) {
                        return why;
                    }
                    self.tell(FromGate::Ended { session: self.number, stream }).await;
                }
                Some(_) = streams.finishing.join_next(), if !streams.finishing.is_empty() => {}
                why = self.connection.closed() => return why,
            }
        }
    }

    /// The fault, where it ends the session and not only the peer's interest in one stream.
    fn of_session(&self, why: LinkError) -> Option<LinkError> {
        match why {
            LinkError::Stopped(_) | LinkError::Ended | LinkError::Closed => self.connection.end(),
            other => Some(other),
        }
    }
}

/// The writing halves that are open, by number.
#[derive(Debug)]
struct Streams {
    open: BTreeMap<u32, Sending>,
    next: u32,
    /// Finished ones whose last frames are on their way.
    finishing: JoinSet<()>,
    draining: bool,
}

impl Streams {
    async fn write(&mut self, out: Out) -> Result<(), LinkError> {
        match out {
            Out::Frame { stream, bytes } => {
                // A stream that the peer gave up takes nothing more.
                let Some(sending) = self.open.get_mut(&stream) else { return Ok(()) };
                let sent = sending.send_bytes(&bytes).await;
                if sent.is_err() {
                    self.open.remove(&stream);
                }
                sent
            }
            Out::Finish { stream } => {
                if let Some(mut sending) = self.open.remove(&stream) {
                    sending.finish();
                    self.finishing.spawn(async move { sending.delivered().await });
                }
                Ok(())
            }
            Out::Drain => {
                self.draining = true;
                Ok(())
            }
        }
    }
}

/// Passes one stream's frames up, one at a time: the next is read when the keeper took the last.
async fn read(
    session: u32,
    stream: u32,
    mut receiving: Receiving,
    keeper: mpsc::Sender<FromGate>,
) -> Read {
    loop {
        match receiving.recv_bytes().await {
            Ok(Some(frame)) => {
                let message = FromGate::Frame { session, stream, bytes: Bytes(frame) };
                if keeper.send(message).await.is_err() {
                    return (stream, Ok(()));
                }
            }
            Ok(None) => return (stream, Ok(())),
            Err(why) => return (stream, Err(why)),
        }
    }
}
