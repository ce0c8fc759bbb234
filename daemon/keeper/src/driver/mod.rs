//! The keeper's hands: one thread, one poll over pipes, pidfds, a timer and a signal descriptor.
//! Does what the core wants, in order, and tells it what happened. Decides nothing, and sleeps
//! without a wake-up while nothing happens.

mod asker;
mod clock;
mod daemon;
mod fault;
mod gate;
mod notify;
mod perform;
mod runs;
mod secrets;
mod shelf;
mod spare;
mod world;

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};

use hatch::signals::EndSignals;
use protocol::RunId;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::core::{Child, Core, Effect, Event, GateTrust, Stamp};
use crate::ledger::Entry;

pub use clock::now;
pub use daemon::{begin, daemon};
pub use fault::DriverError;
pub use notify::notify;
pub use shelf::{KeptPlan, Shelf};
pub use world::{Door, World};

/// Messages taken from one pipe before the others have their turn.
const TURN: usize = 64;

/// What the driver drives: the core, or a stand-in of a test.
pub trait Mind {
    /// Takes an event, wants effects.
    fn step(&mut self, event: Event, now: Stamp) -> Vec<Effect>;
    /// When it wants [`Event::Tick`], by `CLOCK_BOOTTIME` in milliseconds.
    fn wake_at(&self) -> Option<u64>;
    /// What a new gate must believe; none before a catalogue is trusted.
    fn gate_trust(&self, now: Stamp) -> Option<GateTrust>;
}

impl Mind for Core {
    fn step(&mut self, event: Event, now: Stamp) -> Vec<Effect> {
        Self::step(self, event, now)
    }
    fn wake_at(&self) -> Option<u64> {
        Self::wake_at(self)
    }
    fn gate_trust(&self, now: Stamp) -> Option<GateTrust> {
        Self::gate_trust(self, now)
    }
}

/// What a look at the world found ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Timer,
    GateIn,
    GateOut,
    GateEnd,
    Asker,
    AskerEnd,
    RunIn(RunId, Child),
    RunOut(RunId, Child),
    RunEnd(RunId, Child),
}

/// The running daemon.
pub struct Driver<'h, M> {
    mind: M,
    world: World,
    signals: EndSignals,
    events: VecDeque<Event>,
    /// Entries further on in this batch that are durable already.
    appended: usize,
    after: &'h mut dyn FnMut(&'static str),
}

impl<M: std::fmt::Debug> std::fmt::Debug for Driver<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("mind", &self.mind).finish_non_exhaustive()
    }
}

impl<'h, M: Mind> Driver<'h, M> {
    /// A daemon about to begin. `after` hears the name of every effect that was done; the shipped
    /// program does nothing there, a crash test ends its process.
    ///
    /// # Errors
    /// [`DriverError`] where signals cannot be taken.
    pub fn new(
        mind: M,
        world: World,
        after: &'h mut dyn FnMut(&'static str),
    ) -> Result<Self, DriverError> {
        let signals = EndSignals::take().map_err(|e| DriverError::Io("take signals", e))?;
        Ok(Self { mind, world, signals, events: VecDeque::new(), appended: 0, after })
    }

    /// Runs until the core says stop.
    ///
    /// # Errors
    /// [`DriverError`]: an effect failed that must not fail. What is on the disk is whole.
    pub fn run(mut self) -> Result<(), DriverError> {
        self.start_gate();
        self.events.push_back(Event::Begin);
        let mut stop = false;
        loop {
            while let Some(event) = self.next_event() {
                let mut effects = VecDeque::from(self.mind.step(event, now()));
                while let Some(effect) = effects.pop_front() {
                    let name = effect.name();
                    stop |= matches!(effect, Effect::Stop);
                    self.perform(effect, &effects)?;
                    (self.after)(name);
                }
            }
            // What the last effects were answered with, records on their way among it, is said
            // before the end.
            if stop {
                self.world.farewell();
                return Ok(());
            }
            self.world.flush(&mut self.events);
            if self.events.is_empty() {
                self.wait()?;
            }
        }
    }

    fn perform(&mut self, effect: Effect, behind: &VecDeque<Effect>) -> Result<(), DriverError> {
        if let Effect::AppendLedger(entry) = &effect {
            return self.append(entry, behind);
        }
        if matches!(effect, Effect::Tidy { .. } | Effect::MakeSpare | Effect::DropSpare) {
            // Nobody waits for this: what was said before it goes out first.
            self.world.flush(&mut self.events);
        }
        let answers = self.world.perform(effect)?;
        self.events.extend(answers);
        Ok(())
    }

    /// Appends an entry, and with the same sync those that follow it in the batch with nothing but
    /// words to the gate between them: these leave behind the batch.
    fn append(&mut self, entry: &Entry, behind: &VecDeque<Effect>) -> Result<(), DriverError> {
        if self.appended > 0 {
            self.appended -= 1;
            return Ok(());
        }
        let mut together = vec![entry];
        for effect in behind {
            match effect {
                Effect::ToGate(_) => {}
                Effect::AppendLedger(entry) => together.push(entry),
                _ => break,
            }
        }
        self.world.append(&together)?;
        self.appended = together.len() - 1;
        Ok(())
    }

    /// Starts a gate with what it must believe now. Without a catalogue there is no daemon, and so
    /// no gate.
    fn start_gate(&mut self) {
        match self.mind.gate_trust(now()) {
            Some(trust) => self.world.start_gate(trust),
            None => tracing::error!("no catalogue is trusted here; the door stays shut"),
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sleeps until something happens, then turns it into events.
    fn wait(&mut self) -> Result<(), DriverError> {
        let wakes = [self.mind.wake_at(), self.world.gate_due()];
        self.world.timer.set(wakes.into_iter().flatten().min())?;
        let ready = self.poll()?;
        for source in ready {
            self.handle(source)?;
        }
        Ok(())
    }

    fn poll(&self) -> Result<Vec<Source>, DriverError> {
        let watched = self.watched();
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        // Messages that lie in an inbox already are not in the pipe any more.
        let instantly = rustix::event::Timespec::default();
        let timeout = self.world.has_more().then_some(&instantly);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(DriverError::Io("wait", error.into())),
        }
        let ready = fds.iter().zip(&watched).filter(|(fd, _)| !fd.revents().is_empty());
        let mut sources: Vec<Source> = ready.map(|(_, (source, _, _))| *source).collect();
        for source in self.world.more() {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        // A child's end comes after its words: both may be ready at once.
        sources.sort_by_key(|source| matches!(source, Source::GateEnd | Source::RunEnd(..)));
        Ok(sources)
    }

    fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut all = vec![
            (Source::Signals, self.signals.as_fd(), PollFlags::IN),
            (Source::Timer, self.world.timer.as_fd(), PollFlags::IN),
        ];
        self.world.watch(&mut all);
        all
    }

    fn handle(&mut self, source: Source) -> Result<(), DriverError> {
        match source {
            Source::Signals => {
                if self.signals.came().map_err(|e| DriverError::Io("read signals", e))? {
                    tracing::info!(
                        "asked to end: no new orders, running ones are cancelled and recorded"
                    );
                    notify("STOPPING=1");
                    self.events.push_back(Event::Drain);
                }
            }
            Source::Timer => {
                self.world.timer.clear()?;
                let mono = now().mono_ms;
                let due = self.world.gate_due().is_some_and(|due| due <= mono);
                if due && !self.world.gate_overdue() {
                    self.start_gate();
                }
                if self.mind.wake_at().is_some_and(|due| due <= mono) {
                    self.events.push_back(Event::Tick);
                }
            }
            source => self.world.handle(source, &mut self.events)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
