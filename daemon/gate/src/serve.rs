//! The door: one loop that owns the listener, the sessions and both pipes.
//!
//! Never waits for a single session, and never works without its lock.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hatch::{FromGate, ToGate};
use link::{Connection, Identity, LinkError, Listener, Rejected, Trust};
use protocol::frames::Stop;
use protocol::{Bytes, Time, limits};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::desk::{self, News, Outward};
use crate::pipes::{PipeFault, Reader, Writer};
use crate::queue::{Out, Queue, Total};
use crate::session::{Over, Session};
use crate::{GateError, chain, exceptions};

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
    pub(crate) outward: Outwards,
}

/// Desks to dial, in order, and what the pauses between dials come from.
#[derive(Debug)]
pub(crate) struct Outwards {
    pub(crate) desks: Vec<String>,
    pub(crate) chance: u64,
    pub(crate) redial: u64,
    pub(crate) look_up: u64,
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
    // Names are looked up while that is still possible.
    let outward = Outward::prepare(listener.dialler(), door.outward);
    let defences = hatch::lock::gate(door.ids, &exceptions(door.ids))?;
    answers.send(&FromGate::Ready { address, defences }).await?;
    let (up, waiting) = mpsc::channel(KEEPER_QUEUE);
    let mut house = House {
        listener,
        me: door.me,
        trust: door.trust,
        outward,
        line: None,
        sessions: BTreeMap::new(),
        tasks: JoinSet::new(),
        next: 0,
        total: Total::default(),
        up,
        draining: false,
        rejected: 0,
    };
    house.dial(Duration::ZERO, 0);
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
    /// A desk's name must be looked up again, and nobody is here.
    Lost,
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
    me: Identity,
    trust: Trust,
    /// None: no desk is configured, or this gate drains.
    outward: Option<Outward>,
    /// The session that we dialled.
    line: Option<u32>,
    sessions: BTreeMap<u32, Line>,
    tasks: JoinSet<Over>,
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
                    Ok(over) => self.ended(over).await,
                    Err(error) => tracing::error!("a session's task failed: {error}"),
                },
                news = desk::news(&mut self.outward) => {
                    if let Some(end) = self.hear(news).await {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Dials the desks from this one on, after the pause.
    fn dial(&mut self, pause: Duration, from: usize) {
        if let Some(outward) = &mut self.outward {
            outward.dial(pause, from, &self.me, &self.trust);
        }
    }

    /// A desk answered, or none did.
    async fn hear(&mut self, news: News) -> Option<End> {
        match news {
            // Withdrawn while it was dialled.
            News::Reached(connection)
                if connection.peer().is_none_or(|peer| self.trust.denies(peer)) =>
            {
                connection.close(Stop::Withdrawn);
                self.redial(false, &LinkError::Stopped(Stop::Withdrawn)).await;
            }
            News::Reached(connection) => {
                self.line = self.seat(connection);
                let desk = self.outward.as_ref().map_or("", Outward::name).to_owned();
                self.tell(FromGate::Desk { desk, fault: None, again: 0 }).await;
            }
            News::Unreached { desk, fault, again } => {
                let lost = self.outward.as_ref().is_some_and(Outward::is_lost);
                if lost && self.tasks.is_empty() {
                    self.tell(FromGate::LookUp).await;
                    return Some(End::Lost);
                }
                self.dial(again, 0);
                let (fault, again) = (Some(fault), again.as_secs());
                self.tell(FromGate::Desk { desk, fault, again }).await;
            }
        }
        None
    }

    async fn ended(&mut self, over: Over) {
        self.sessions.remove(&over.number);
        if self.line.take_if(|line| *line == over.number).is_some() {
            self.redial(over.lived, &over.end).await;
        }
    }

    async fn redial(&mut self, lived: bool, end: &LinkError) {
        let Some(outward) = &mut self.outward else { return };
        let (pause, from) = outward.ended(lived);
        let desk = outward.name().to_owned();
        self.dial(pause, from);
        let (fault, again) = (Some(end.to_string()), pause.as_secs());
        self.tell(FromGate::Desk { desk, fault, again }).await;
    }

    /// An error here means that the keeper has gone; the main loop ends for the same reason.
    async fn tell(&self, message: FromGate) {
        let _ = self.up.send(message).await;
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
        self.seat(connection);
    }

    /// Makes a session of a connection; gives its number.
    fn seat(&mut self, connection: Connection) -> Option<u32> {
        // Numbers are never reused; after four thousand million sessions a new gate is due.
        let Some(next) = self.next.checked_add(1) else {
            connection.close(Stop::Drain);
            return None;
        };
        let number = std::mem::replace(&mut self.next, next);
        let queue = Arc::new(Queue::new(self.total.clone()));
        let line = Line { connection: connection.clone(), queue: Arc::clone(&queue) };
        self.sessions.insert(number, line);
        let session = Session { number, connection, queue, keeper: self.up.clone() };
        self.tasks.spawn(session.run());
        Some(number)
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
            ToGate::Certificate { certificates } => {
                let me = Identity { certificates: chain(certificates), key: self.me.key.clone() };
                self.listener.set_identity(&me, &self.trust)?;
                self.me = me;
            }
            ToGate::Drain => {
                self.draining = true;
                self.outward = None;
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
