//! The line to the executor: calls go out, answers come back, one at a time. Never retries; a
//! line that breaks ends the run.

use std::mem::ManuallyDrop;
use std::time::Instant;

use hatch::pipe::{Inbox, Outbox};
use hatch::{Finding, FromHost, ToHost};
use protocol::frames::Phase;
use protocol::limits;
use script::ScriptHost;
use surface::{Call, Host, HostError, Value};

/// How long what a script printed may wait for more, milliseconds of the run.
const HELD_MS_MAX: u64 = 20;
/// Most text in one message: what is printed may be as long as a message, which has a head too.
const PRINT_BYTES_MAX: usize = limits::PEER_BYTES_MAX / 8;

/// The executor as a script's host. Its descriptors are closed by the end of the process: closing
/// one by hand may ask the kernel about it first, and a locked process may not ask.
#[derive(Debug)]
pub(crate) struct Peer {
    inbox: ManuallyDrop<Inbox>,
    outbox: ManuallyDrop<Outbox>,
    began: Instant,
    /// Since when something is held back, milliseconds of the run.
    held: Option<u64>,
    lost: bool,
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "the driver: the run's clock begins here")]
    pub(crate) fn new(inbox: Inbox, outbox: Outbox) -> Self {
        let (inbox, outbox) = (ManuallyDrop::new(inbox), ManuallyDrop::new(outbox));
        Self { inbox, outbox, began: Instant::now(), held: None, lost: false }
    }

    /// Whether the executor has gone.
    pub(crate) const fn lost(&self) -> bool {
        self.lost
    }

    /// No more calls.
    pub(crate) fn done(&mut self) {
        self.tell(&ToHost::Done);
    }

    fn tell(&mut self, message: &ToHost) {
        self.held = None;
        if !self.lost && self.outbox.send(message).is_err() {
            self.lost = true;
        }
    }

    /// Tells it with the next call, or as soon as the clock is looked at after a while: ten lines
    /// in a row are one message to wake up for.
    fn tell_soon(&mut self, message: &ToHost) {
        self.held = self.held.or(Some(self.now_ms()));
        if !self.lost && self.outbox.put(message).is_err() {
            self.lost = true;
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn ask(&mut self, call: &Call) -> Option<FromHost> {
        self.tell(&ToHost::Call(call.clone()));
        if self.lost {
            return None;
        }
        self.inbox.recv().ok().flatten()
    }
}

impl Host for Peer {
    fn call(&mut self, call: &Call) -> Result<Value, HostError> {
        match self.ask(call) {
            Some(FromHost::Value(value)) => Ok(value),
            Some(FromHost::Error(error)) => Err(error),
            None => {
                self.lost = true;
                let message = "the executor ended before it answered".to_owned();
                let (function, code) = (call.function.clone(), "executor_lost".to_owned());
                Err(HostError { function, code, message, fatal: true })
            }
        }
    }
}

impl ScriptHost for Peer {
    fn phase(&mut self, phase: Phase) {
        self.tell(&ToHost::Phase(phase));
    }
    fn found(&mut self, finding: &script::Finding) {
        self.tell(&ToHost::Found(sent(finding)));
    }
    fn print(&mut self, text: &str) {
        let mut rest = text;
        loop {
            let cut = rest.floor_char_boundary(PRINT_BYTES_MAX);
            let (part, left) = rest.split_at_checked(cut).unwrap_or((rest, ""));
            self.tell_soon(&ToHost::Print(part.to_owned()));
            rest = left;
            if rest.is_empty() {
                return;
            }
        }
    }
    fn elapsed_ms(&mut self) -> u64 {
        let now = self.now_ms();
        if self.held.is_some_and(|since| now.saturating_sub(since) > HELD_MS_MAX) {
            self.held = None;
            self.lost |= self.outbox.flush_all().is_err();
        }
        now
    }
}

/// A finding in the hatch's words.
pub(crate) fn sent(finding: &script::Finding) -> Finding {
    let script::Finding { phase, needed, summary } = finding.clone();
    Finding { phase, needed, summary }
}
