//! The gate's process: started, fed, heard, started again where it ends. Never waited for.

use std::collections::VecDeque;

use hatch::pipe::{PipeError, Polled};
use hatch::{FromGate, ToGate};
use protocol::limits;

use super::{TURN, now};
use crate::core::Event;
use crate::spawn::{self, GATE_SLOW_BYTES, Line, Programs, StartError};

/// A gate that lived this long was well: the next one is started at once again.
const WELL_MS: u64 = 60_000;
/// How long a gate that closed its pipe may take to end.
const GOODBYE_MS: u64 = 1000;
/// What a draining gate gets to deliver the last records: a console answers within this.
const FAREWELL_MS: u64 = 3000;
/// Longest pause before the next start.
const PAUSE_MAX_MS: u64 = 60_000;

/// The one gate, or the time when there will be one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    line: Option<Line>,
    /// What the core said while there was no gate: the next one's first words.
    backlog: VecDeque<ToGate>,
    started: u64,
    pause: u64,
    due: Option<u64>,
    slow: bool,
    more: bool,
    ready: bool,
    /// It closed its pipe: its end is all that it will say.
    deaf: bool,
    /// It was told to drain: no other follows it.
    last: bool,
    /// It ended to have a desk's name looked up: the next one starts at once, and dials patiently.
    looks_up: bool,
    /// Whether a line to a desk is held; none before the gate said anything of it.
    held: Option<bool>,
    /// How it stands with the line to a desk, in words, where that is news.
    news: Option<String>,
}

impl Gate {
    pub(super) const fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }
    /// Whether it may still say something.
    pub(super) const fn hears(&self) -> bool {
        self.line.is_some() && !self.deaf
    }
    pub(super) const fn due(&self) -> Option<u64> {
        self.due
    }
    pub(super) const fn more(&self) -> bool {
        self.more
    }

    /// The next gate's first pause between dials, at most, seconds.
    pub(super) const fn redial(&self) -> u64 {
        if self.looks_up { limits::REDIAL_SECONDS_MAX } else { limits::REDIAL_SECONDS_MIN }
    }
    /// News of the line to a desk, once.
    pub(super) const fn line_words(&mut self) -> Option<String> {
        self.news.take()
    }

    /// Whether one runs; where its time to end is over, it is ended.
    pub(super) fn overdue(&mut self) -> bool {
        if self.line.is_some() {
            self.due = None;
            self.end();
        }
        self.line.is_some()
    }

    /// Starts a gate; where that fails, later again.
    pub(super) fn start(&mut self, programs: &Programs, serve: ToGate) {
        self.due = None;
        self.started = now().mono_ms;
        match self.try_start(programs, serve) {
            Ok(()) => {}
            Err(error) => {
                tracing::error!("gate: {}", protocol::error_chain::ErrorChain(&error));
                self.later();
            }
        }
    }

    fn try_start(&mut self, programs: &Programs, serve: ToGate) -> Result<(), StartError> {
        let mut line = spawn::gate(programs)?;
        line.outbox.queue(&serve)?;
        while let Some(message) = self.backlog.pop_front() {
            line.outbox.queue(&message)?;
        }
        self.line = Some(line);
        self.looks_up = false;
        (self.slow, self.more, self.deaf) = (false, false, false);
        Ok(())
    }

    /// Plans the next start: at once after a gate that was well, else twice as late as before.
    fn later(&mut self) {
        if self.last {
            return;
        }
        let now = now().mono_ms;
        let lived = now.saturating_sub(self.started);
        let well = lived >= WELL_MS || self.looks_up;
        self.pause = if well { 0 } else { (self.pause * 2).clamp(250, PAUSE_MAX_MS) };
        self.due = Some(now + self.pause);
    }

    /// Queues a message. A gate that does not take its messages is ended: sessions are lost, no
    /// run is.
    pub(super) fn tell(&mut self, message: ToGate) {
        self.last |= matches!(message, ToGate::Drain);
        let Some(line) = &mut self.line else {
            self.backlog.push_back(message);
            return;
        };
        if let Err(error) = line.outbox.queue(&message) {
            tracing::warn!("gate: {}", protocol::error_chain::ErrorChain(&error));
            self.end();
        }
    }

    /// Ends the gate's process; its end is heard as any other.
    pub(super) fn end(&mut self) {
        if let Some(line) = &self.line
            && let Err(error) = line.child.kill()
        {
            tracing::error!("gate: {}", protocol::error_chain::ErrorChain(&error));
        }
    }

    /// Writes what waits; tells where the pipe became slow or quick.
    pub(super) fn flush(&mut self, events: &mut VecDeque<Event>) {
        let Some(line) = &mut self.line else { return };
        // A gate that is gone is heard of by its pidfd.
        if let Err(error) = line.outbox.flush()
            && !matches!(error, PipeError::Gone)
        {
            tracing::warn!("gate: {}", protocol::error_chain::ErrorChain(&error));
        }
        let waiting = line.outbox.waiting();
        let slow =
            if self.slow { waiting > GATE_SLOW_BYTES / 2 } else { waiting > GATE_SLOW_BYTES };
        if slow != self.slow {
            self.slow = slow;
            events.push_back(Event::GateSlow(slow));
        }
    }

    /// Takes the gate's words. True where it said for the first time that it listens.
    pub(super) fn hear(&mut self, events: &mut VecDeque<Event>) -> bool {
        let mut first = false;
        self.more = false;
        let Some(line) = &mut self.line else { return first };
        for turn in 0.. {
            if turn == TURN {
                self.more = true;
                break;
            }
            match line.inbox.poll_recv::<FromGate>() {
                Ok(Polled::Message(message)) => {
                    if let FromGate::Ready { address, defences } = &message {
                        first = !self.ready;
                        self.ready = true;
                        tracing::info!("listening on {address} ({})", words(defences));
                    }
                    match &message {
                        FromGate::Desk { desk, fault, again } => {
                            let words = standing(desk, fault.as_deref(), *again);
                            // In the journal only what changed: a desk may be away for weeks.
                            if self.held != Some(fault.is_none()) {
                                self.held = Some(fault.is_none());
                                tracing::info!("desk: {words}");
                            }
                            self.news = Some(words);
                        }
                        FromGate::LookUp => self.looks_up = true,
                        _ => {}
                    }
                    let mut chance = [0u8; 32];
                    if getrandom::fill(&mut chance).is_err() {
                        // Without chance there is no challenge: better no session than a known one.
                        tracing::error!("the kernel gave no chance; ending the gate");
                        self.end();
                        break;
                    }
                    events.push_back(Event::Gate { message, chance });
                }
                Ok(Polled::Empty) => break,
                Ok(Polled::Closed) => {
                    // It is ending by itself, and how it ends says why; but not for long.
                    self.deaf = true;
                    self.due = Some(now().mono_ms + GOODBYE_MS);
                    break;
                }
                Err(error) => {
                    tracing::error!("gate: {}", protocol::error_chain::ErrorChain(&error));
                    self.deaf = true;
                    self.end();
                    break;
                }
            }
        }
        first
    }

    /// At the daemon's end: gives the gate what waits for it, the last records among it, and a
    /// moment to say goodbye; then ends it.
    pub(super) fn wait_end(&mut self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Some(mut line) = self.line.take() else { return };
        let until = now().mono_ms + FAREWELL_MS;
        loop {
            let gone = line.outbox.flush().is_err();
            // What it still says is heard by nobody, but must not keep it from ending.
            while let Ok(Polled::Message(_)) = line.inbox.poll_recv::<FromGate>() {}
            let ended = line.child.try_wait().is_ok_and(|end| end.is_some());
            let left = until.saturating_sub(now().mono_ms);
            if ended || gone || left == 0 {
                break;
            }
            let waits = if line.outbox.waiting() > 0 { PollFlags::OUT } else { PollFlags::empty() };
            let mut fds = [
                PollFd::new(&line.child, PollFlags::IN),
                PollFd::new(&line.inbox, PollFlags::IN),
                PollFd::new(&line.outbox, waits),
            ];
            // A gate that has closed its pipes is looked at again a little later, not at once.
            let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let rest = Timespec::try_from(std::time::Duration::from_millis(left));
            let _ = poll(&mut fds, rest.ok().as_ref());
            let [child, inbox, _] = &fds;
            let hung = inbox.revents().contains(PollFlags::HUP) && child.revents().is_empty();
            if hung {
                let _ = poll(&mut [PollFd::new(&line.child, PollFlags::IN)], Some(&pause));
            }
        }
        let _ = line.child.kill().and_then(|()| line.child.try_wait());
    }

    /// The gate's process ended, if it did.
    pub(super) fn ended(&mut self, events: &mut VecDeque<Event>) {
        let Some(line) = &self.line else { return };
        match line.child.try_wait() {
            Ok(None) => return,
            Ok(Some(_)) if self.last => tracing::info!("the gate has drained"),
            Ok(Some(_)) if self.looks_up => tracing::debug!("a new gate looks the desks up again"),
            Ok(Some(end)) => tracing::warn!("the gate ended ({end:?})"),
            Err(error) => tracing::error!("gate: {}", protocol::error_chain::ErrorChain(&error)),
        }
        self.line = None;
        self.due = None;
        self.backlog.clear();
        self.more = false;
        self.later();
        events.push_back(Event::GateGone);
    }
}

/// How it stands with the line to a desk.
fn standing(desk: &str, fault: Option<&str>, again: u64) -> String {
    let now = now().wall;
    match fault {
        None => format!("{desk}, connected since {now}"),
        Some(fault) => {
            let then = now.plus(again);
            format!("no line since {now}: {desk}: {fault}; dialled again at {then}")
        }
    }
}

fn words(defences: &hatch::Defences) -> String {
    defences.iter().map(|(name, word)| format!("{name} {word}")).collect::<Vec<_>>().join("; ")
}
