//! The door: one loop that owns the listener, the sessions and both pipes.
//!
//! Never waits for a single session, and never works without its lock.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use hatch::{FromGate, ToGate};
use link::{Connection, Identity, Listener, Rejected, Trust};
use protocol::frames::Stop;
use protocol::{Bytes, Time, limits};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::pipes::{PipeFault, Reader, Writer};
use crate::queue::{Out, Queue, Total};
use crate::session::Session;
use crate::{GateError, exceptions};

/// Sessions at once: a help desk's worth of consoles on one machine, with room.
const SESSIONS_MAX: usize = 64;
/// Sessions of one peer at once: one console in many windows keeps nobody else out.
const PEER_SESSIONS_MAX: usize = 16;
/// Frames on their way to the keeper: enough to keep it busy, little to hold.
const KEEPER_QUEUE: usize = 8;

const _: () = assert!(SESSIONS_MAX < limits::INCOMING_MAX);

/// What `serve` was told.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listen: String,
    pub(crate) me: Identity,
    pub(crate) trust: Trust,
    pub(crate) ids: Option<(u32, u32)>,
}

pub(crate) fn trust(
    cas: Vec<Bytes>,
    organisation: String,
    denied: Vec<Bytes>,
    floor: Time,
) -> Trust {
    let raw = |list: Vec<Bytes>| list.into_iter().map(|bytes| bytes.0).collect();
    Trust { cas: raw(cas), organisation, denied: raw(denied), floor }
}

pub(crate) async fn serve(
    door: Door,
    keeper: Reader,
    mut answers: Writer,
) -> Result<(), GateError> {
    let listener = Listener::bind(&door.listen, &door.me, &door.trust)?;
    let address = listener.address().map_err(GateError::Address)?.to_string();
    let defences = hatch::lock::gate(door.ids, &exceptions(door.ids))?;
    answers.send(&FromGate::Ready { address, defences }).await?;
    let (up, waiting) = mpsc::channel(KEEPER_QUEUE);
    let mut house = House {
        listener,
        trust: door.trust,
        sessions: BTreeMap::new(),
        tasks: JoinSet::new(),
        next: 0,
        total: Total::default(),
        up,
        draining: false,
        rejected: 0,
    };
    let mut writing = pin!(pump(waiting, answers));
    let end = tokio::select! {
        end = house.run(keeper) => end?,
        written = &mut writing => return written.map_err(GateError::from),
    };
    if end == End::KeeperGone {
        // Its sessions hear of it now: a silent line is only given up after its idle time.
        for line in std::mem::take(&mut house.sessions).into_values() {
            line.connection.leave().await;
        }
    } else {
        // The last closing packets leave when the endpoint's task next runs, and the keeper gets
        // every word that waits.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        drop(house);
        writing.await?;
    }
    Ok(())
}

/// Why the door was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Asked to, and the last session is over.
    Drained,
    /// Nobody is left to decide anything.
    KeeperGone,
}

/// Writes what the sessions have to say, one after the other.
async fn pump(mut waiting: mpsc::Receiver<FromGate>, mut keeper: Writer) -> Result<(), PipeFault> {
    while let Some(message) = waiting.recv().await {
        keeper.send(&message).await?;
    }
    Ok(())
}

/// A session as the main loop sees it.
#[derive(Debug)]
struct Line {
    connection: Connection,
    queue: Arc<Queue>,
}

/// Everything the door owns.
#[derive(Debug)]
struct House {
    listener: Listener,
    trust: Trust,
    sessions: BTreeMap<u32, Line>,
    tasks: JoinSet<u32>,
    next: u32,
    total: Total,
    up: mpsc::Sender<FromGate>,
    draining: bool,
    rejected: u64,
}

impl House {
    async fn run(&mut self, mut keeper: Reader) -> Result<End, GateError> {
        loop {
            if self.draining && self.tasks.is_empty() {
                return Ok(End::Drained);
            }
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Some(Ok(connection)) => self.admit(connection),
                    Some(Err(rejected)) => self.note(&rejected),
                    None => return Ok(End::KeeperGone),
                },
                message = keeper.next::<ToGate>() => match message? {
                    Some(message) => self.obey(message)?,
                    None => return Ok(End::KeeperGone),
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => match ended {
                    Ok(session) => { self.sessions.remove(&session); }
                    Err(error) => tracing::error!("a session's task failed: {error}"),
                },
            }
        }
    }

    fn admit(&mut self, connection: Connection) {
        if self.draining {
            return connection.close(Stop::Drain);
        }
        let peer = connection.peer().map(|peer| (peer.role, peer.id.as_str()));
        let same =
            |line: &&Line| line.connection.peer().map(|peer| (peer.role, peer.id.as_str())) == peer;
        if self.sessions.len() >= SESSIONS_MAX
            || self.sessions.values().filter(same).count() >= PEER_SESSIONS_MAX
        {
            return connection.close(Stop::Rate);
        }
        // Numbers are never reused; after four thousand million sessions a new gate is due.
        let Some(next) = self.next.checked_add(1) else { return connection.close(Stop::Drain) };
        let number = std::mem::replace(&mut self.next, next);
        let queue = Arc::new(Queue::new(self.total.clone()));
        let line = Line { connection: connection.clone(), queue: Arc::clone(&queue) };
        self.sessions.insert(number, line);
        let session = Session { number, connection, queue, keeper: self.up.clone() };
        self.tasks.spawn(session.run());
    }

    /// One line for the 1st, 2nd, 4th, 8th ... so that a flood writes no log.
    fn note(&mut self, rejected: &Rejected) {
        self.rejected = self.rejected.saturating_add(1);
        if self.rejected.is_power_of_two() {
            let why = rejected.fault.map_or_else(String::new, |fault| format!(": {fault}"));
            let (count, address) = (self.rejected, rejected.address);
            tracing::info!("refused connection {count}, from {address}{why}");
        }
    }

    fn obey(&mut self, message: ToGate) -> Result<(), GateError> {
        match message {
            ToGate::Trust { people_ca, denied, floor } => {
                let organisation = self.trust.organisation.clone();
                let trust = trust(people_ca, organisation, denied, floor);
                self.listener.set_trust(&trust)?;
                self.trust = trust;
                self.withdraw();
            }
            ToGate::Frame { session, stream, bytes } => {
                self.push(session, Out::Frame { stream, bytes: bytes.0 });
            }
            ToGate::Finish { session, stream } => self.push(session, Out::Finish { stream }),
            ToGate::Close { session, stop } => {
                if let Some(line) = self.sessions.get(&session) {
                    line.connection.close(stop);
                }
            }
            ToGate::Drain => {
                self.draining = true;
                self.listener.refuse_new();
                let sessions: Vec<u32> = self.sessions.keys().copied().collect();
                sessions.into_iter().for_each(|session| self.push(session, Out::Drain));
            }
            ToGate::Serve { .. } | ToGate::Enrol { .. } | ToGate::Probe { .. } => {
                return Err(GateError::NoTask);
            }
        }
        Ok(())
    }

    /// A session that is gone takes nothing; one that does not read is closed.
    fn push(&mut self, session: u32, out: Out) {
        if let Some(line) = self.sessions.get(&session)
            && !line.queue.push(out)
        {
            line.connection.close(Stop::Rate);
        }
    }

    /// Ends the live sessions of withdrawn certificates: new rules reach only new handshakes.
    fn withdraw(&self) {
        for line in self.sessions.values() {
            let denied = line.connection.peer().is_none_or(|peer| self.trust.denies(peer));
            if denied {
                line.connection.close(Stop::Withdrawn);
            }
        }
    }
}
