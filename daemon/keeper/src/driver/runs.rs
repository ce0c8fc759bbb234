//! The children of runs: fed, heard, ended. Never decides when.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd as _, BorrowedFd};

use hatch::cgroup::Folder;
use hatch::pipe::{Inbox, Outbox, Polled};
use hatch::spawn::{Child as Process, End};
use minicbor::Decode;
use protocol::RunId;
use protocol::error_chain::ErrorChain;
use rustix::event::PollFlags;

use super::{Source, TURN};
use crate::core::{Child, ChildEnd, Event};
use crate::spawn::{Line, Run};

/// One child of a run.
#[derive(Debug)]
struct Side {
    /// None after its end was told.
    process: Option<Process>,
    /// None after it closed it.
    inbox: Option<Inbox>,
    /// None after it closed it.
    outbox: Option<Outbox>,
    more: bool,
}

impl Side {
    fn new(line: Line) -> Self {
        let Line { child, inbox, outbox } = line;
        Self { process: Some(child), inbox: Some(inbox), outbox: Some(outbox), more: false }
    }

    fn flush(&mut self) {
        // A child that does not read any more ends, and its end is told.
        if self.outbox.as_mut().is_some_and(|outbox| outbox.flush().is_err()) {
            self.outbox = None;
        }
    }

    /// Takes what it said, at most one turn; true where it sent what is no message.
    fn hear<M: for<'b> Decode<'b, ()>>(
        &mut self,
        events: &mut VecDeque<Event>,
        event: impl Fn(M) -> Event,
    ) -> bool {
        self.more = false;
        for turn in 0.. {
            let Some(inbox) = &mut self.inbox else { break };
            if turn == TURN {
                self.more = true;
                break;
            }
            match inbox.poll_recv::<M>() {
                Ok(Polled::Message(message)) => events.push_back(event(message)),
                Ok(Polled::Empty) => break,
                Ok(Polled::Closed) => self.inbox = None,
                Err(_) => {
                    self.inbox = None;
                    return true;
                }
            }
        }
        false
    }
}

/// One run that has children.
#[derive(Debug)]
pub(super) struct Running {
    executor: Side,
    interpreter: Side,
    folder: Option<Folder>,
}

impl Running {
    fn side(&mut self, child: Child) -> &mut Side {
        match child {
            Child::Executor => &mut self.executor,
            Child::Interpreter => &mut self.interpreter,
        }
    }
    const fn sides(&self) -> [(Child, &Side); 2] {
        [(Child::Executor, &self.executor), (Child::Interpreter, &self.interpreter)]
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<RunId, Running>);

impl Runs {
    pub(super) fn add(&mut self, id: RunId, run: Run, folder: Option<Folder>) {
        let executor = Side::new(run.executor);
        let interpreter = Side::new(run.interpreter);
        self.0.insert(id, Running { executor, interpreter, folder });
    }

    pub(super) fn executor(&mut self, run: &RunId) -> Option<&mut Outbox> {
        self.0.get_mut(run).and_then(|running| running.executor.outbox.as_mut())
    }

    pub(super) fn flush(&mut self) {
        for running in self.0.values_mut() {
            running.executor.flush();
            running.interpreter.flush();
        }
    }

    pub(super) fn more(&self) -> Vec<Source> {
        let all = self.0.iter().flat_map(|(run, running)| {
            running.sides().map(|(child, side)| (*run, child, side.more))
        });
        all.filter(|(_, _, more)| *more).map(|(run, child, _)| Source::RunIn(run, child)).collect()
    }

    pub(super) fn watch<'f>(&'f self, all: &mut Vec<(Source, BorrowedFd<'f>, PollFlags)>) {
        for (run, running) in &self.0 {
            for (child, side) in running.sides() {
                let source = Source::RunIn(*run, child);
                all.extend(side.inbox.as_ref().map(|i| (source, i.as_fd(), PollFlags::IN)));
                let source = Source::RunOut(*run, child);
                let full = side.outbox.as_ref().filter(|outbox| outbox.waiting() > 0);
                all.extend(full.map(|o| (source, o.as_fd(), PollFlags::OUT)));
                let source = Source::RunEnd(*run, child);
                all.extend(side.process.as_ref().map(|p| (source, p.as_fd(), PollFlags::IN)));
            }
        }
    }

    pub(super) fn hear(&mut self, run: RunId, child: Child, events: &mut VecDeque<Event>) {
        let Some(running) = self.0.get_mut(&run) else { return };
        let side = running.side(child);
        let garbled = match child {
            Child::Executor => side.hear(events, |message| Event::Executor { run, message }),
            Child::Interpreter => side.hear(events, |message| Event::Interpreter { run, message }),
        };
        if garbled {
            tracing::warn!("run {}: the {} sent what is no message", run.short(), child.word());
            events.push_back(Event::Garbled { run, child });
        }
    }

    /// Tells a child's end, after all of its words.
    pub(super) fn ended(&mut self, run: RunId, child: Child, events: &mut VecDeque<Event>) {
        let Some(side) = self.0.get_mut(&run).map(|running| running.side(child)) else { return };
        let Some(process) = &side.process else { return };
        let end = match process.try_wait() {
            Ok(None) => return,
            Ok(Some(End::Exited(status))) => ChildEnd::Exited(status),
            Ok(Some(End::Signalled(signal))) => ChildEnd::Signalled(signal),
            Err(error) => {
                tracing::error!("{}", ErrorChain(&error));
                ChildEnd::Signalled(0)
            }
        };
        loop {
            self.hear(run, child, events);
            let side = self.0.get_mut(&run).map(|running| running.side(child));
            if !side.is_some_and(|side| side.more) {
                break;
            }
        }
        if let Some(side) = self.0.get_mut(&run).map(|running| running.side(child)) {
            (side.process, side.inbox, side.outbox) = (None, None, None);
        }
        events.push_back(Event::ChildEnded { run, child, end });
    }

    /// Ends one child.
    pub(super) fn end(&self, run: &RunId, child: Child) {
        let Some(running) = self.0.get(run) else { return };
        let sides = running.sides();
        let process = sides.iter().find(|(c, _)| *c == child).and_then(|(_, s)| s.process.as_ref());
        if let Some(Err(error)) = process.map(Process::kill) {
            tracing::error!("{}", ErrorChain(&error));
        }
    }

    /// Ends everything of a run, whatever it started.
    pub(super) fn kill(&self, run: &RunId) {
        if let Some(folder) = self.0.get(run).and_then(|running| running.folder.as_ref())
            && let Err(error) = folder.kill()
        {
            tracing::error!("{}", ErrorChain(&error));
        }
        self.end(run, Child::Interpreter);
        self.end(run, Child::Executor);
    }

    /// Forgets a run whose children have ended; its folder goes, and whoever hid in it.
    pub(super) fn forget(&mut self, run: &RunId) {
        let Some(running) = self.0.remove(run) else { return };
        for (_, side) in running.sides() {
            if let Some(process) = &side.process {
                // The core tells this after both ends; a child that is left here is a fault.
                tracing::error!("run {}: a child is left; ending it", run.short());
                let _ = process.kill().and_then(|()| process.wait());
            }
        }
        if let Some(folder) = &running.folder
            && let Err(error) = folder.kill().and_then(|()| folder.remove())
        {
            tracing::error!("{}", ErrorChain(&error));
        }
    }

    /// Runs that still have children, at the daemon's end.
    pub(super) fn left(&self) -> Vec<RunId> {
        self.0.keys().copied().collect()
    }
}
