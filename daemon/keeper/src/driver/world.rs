//! Everything outside the core: programs, pipes, files, cgroups. One owner of each.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use hatch::cgroup::Home;
use hatch::{Prepare, ToGate};
use protocol::error_chain::ErrorChain;
use protocol::{Bytes, Digest, limits};
use rustix::event::PollFlags;
use trust::SealingSecret;
use trust::catalogue::FolderStore;
use zeroize::Zeroizing;

use super::asker::{Asker, Ending};
use super::clock::Timer;
use super::gate::Gate;
use super::runs::Runs;
use super::spare::Spare;
use super::{DriverError, Shelf, Source, notify};
use crate::core::{Event, GateTrust};
use crate::ledger::{FolderDisk, Ledger};
use crate::spawn::Programs;
use crate::state::{self, Layout};

/// What every gate is told of this endpoint.
#[derive(Debug)]
pub struct Door {
    /// `ADDRESS:PORT`.
    pub listen: String,
    /// PKCS#8 DER of the TLS key.
    pub key: Zeroizing<Vec<u8>>,
    /// Certificate chain, leaf first.
    pub certificates: Vec<Bytes>,
    /// Uid and gid to become.
    pub ids: Option<(u32, u32)>,
    /// `HOST:PORT` of the desks to hold a line to, best first.
    pub desks: Vec<String>,
}

/// What the driver works with.
#[derive(Debug)]
pub struct World {
    pub(super) programs: Programs,
    /// What both children of a run are told first.
    pub(super) prepare: Prepare,
    pub(super) ledger: Ledger<FolderDisk>,
    pub(super) store: FolderStore,
    pub(super) shelf: Shelf,
    pub(super) sealing: SealingSecret,
    pub(super) door: Door,
    /// Where it is written how it stands with the line to a desk.
    line_note: PathBuf,
    pub(super) cgroups: Option<Home>,
    /// Begins the name of every run's cgroup: this endpoint's and no other's.
    pub(super) prefix: String,
    pub(super) timer: Timer,
    pub(super) gate: Gate,
    pub(super) runs: Runs,
    pub(super) spare: Option<Spare>,
    /// How many there have been: each has a folder of its own.
    pub(super) spares: u64,
    pub(super) asker: Option<Asker>,
    pub(super) ending: Vec<Ending>,
    /// What a person types to answer, but for the answer.
    pub(super) answer: String,
}

impl World {
    /// Gathers it. Ends what an earlier life of this endpoint left in its cgroups.
    ///
    /// # Errors
    /// [`DriverError`] names what is missing.
    pub fn new(
        programs: Programs,
        prepare: Prepare,
        ledger: Ledger<FolderDisk>,
        layout: &Layout,
        sealing: SealingSecret,
        door: Door,
    ) -> Result<Self, DriverError> {
        let missing = hatch::lock::missing(&prepare.exceptions);
        if !missing.is_empty() {
            return Err(DriverError::Defences(missing));
        }
        let tag = Digest::of(layout.root().as_os_str().as_encoded_bytes()).to_string();
        let tag: String = tag.chars().take(8).collect();
        let prefix = format!("salve-{tag}-");
        let cgroups = Home::find().ok();
        if let Some(home) = &cgroups {
            match home.sweep(&prefix) {
                Ok(0) => {}
                Ok(count) => tracing::warn!("ended what {count} interrupted run(s) left"),
                Err(error) => tracing::error!("{}", ErrorChain(&error)),
            }
        }
        // Of an earlier life: nothing is known yet.
        let _ = std::fs::remove_file(layout.line());
        Ok(Self {
            programs,
            prepare,
            ledger,
            store: FolderStore::open(layout.catalogue())?,
            shelf: Shelf::open(layout.clone())?,
            sealing,
            door,
            line_note: layout.line(),
            cgroups,
            prefix,
            timer: Timer::new()?,
            gate: Gate::default(),
            runs: Runs::default(),
            spare: None,
            spares: 0,
            asker: None,
            ending: Vec::new(),
            answer: answer_command(),
        })
    }

    /// Writes down how it stands with the line to a desk, for `salved status`; it is no promise, so
    /// a full disk may take it.
    fn note_line(&mut self) {
        let Some(words) = self.gate.line_words() else { return };
        if let Err(error) = state::write(&self.line_note, words.as_bytes()) {
            tracing::debug!("{}", ErrorChain(&error));
        }
    }

    /// Plans and what else runs left.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Holds room for the next run; true where there is enough of it.
    #[must_use]
    pub fn refill(&self) -> bool {
        let whole = self.shelf.reserve().refill().whole();
        if !whole {
            tracing::warn!("the disk is too full to hold room for the next run");
        }
        whole
    }

    pub(super) fn start_gate(&mut self, trust: GateTrust) {
        let door = &self.door;
        let serve = ToGate::Serve {
            listen: door.listen.clone(),
            key: Bytes(door.key.to_vec()),
            certificates: door.certificates.clone(),
            people_ca: trust.people_ca,
            organisation: trust.organisation,
            denied: trust.denied,
            floor: trust.floor,
            ids: door.ids,
            desks: door.desks.clone(),
            chance: chance(),
            redial: self.gate.redial(),
            look_up: limits::RESOLVE_AGAIN_SECONDS,
        };
        self.gate.start(&self.programs, serve);
    }

    pub(super) const fn gate_due(&self) -> Option<u64> {
        self.gate.due()
    }

    pub(super) fn gate_overdue(&mut self) -> bool {
        self.gate.overdue()
    }

    pub(super) fn has_more(&self) -> bool {
        self.gate.more() || !self.runs.more().is_empty()
    }

    pub(super) fn more(&self) -> Vec<Source> {
        let mut more = self.runs.more();
        if self.gate.more() {
            more.push(Source::GateIn);
        }
        more
    }

    pub(super) fn watch<'f>(&'f self, all: &mut Vec<(Source, BorrowedFd<'f>, PollFlags)>) {
        if let Some(line) = self.gate.line() {
            if self.gate.hears() {
                all.push((Source::GateIn, line.inbox.as_fd(), PollFlags::IN));
            }
            if line.outbox.waiting() > 0 {
                all.push((Source::GateOut, line.outbox.as_fd(), PollFlags::OUT));
            }
            all.push((Source::GateEnd, line.child.as_fd(), PollFlags::IN));
        }
        self.runs.watch(all);
        self.watch_asker(all);
    }

    /// Writes what waits in every pipe, as far as it goes.
    pub(super) fn flush(&mut self, events: &mut VecDeque<Event>) {
        self.gate.flush(events);
        self.runs.flush();
    }

    pub(super) fn handle(
        &mut self,
        source: Source,
        events: &mut VecDeque<Event>,
    ) -> Result<(), DriverError> {
        match source {
            Source::Signals | Source::Timer => {}
            Source::GateIn => {
                if self.gate.hear(events) {
                    notify("READY=1");
                }
                self.note_line();
            }
            Source::GateOut => self.gate.flush(events),
            Source::GateEnd => {
                while self.gate.hears() {
                    let before = events.len();
                    self.gate.hear(events);
                    if events.len() == before {
                        break;
                    }
                }
                self.note_line();
                self.gate.ended(events);
            }
            Source::Asker => self.hear_asker(events),
            Source::AskerEnd => self.reap_askers(),
            Source::RunIn(run, child) => self.runs.hear(run, child, events),
            Source::RunOut(..) => self.runs.flush(),
            Source::RunEnd(run, child) => self.runs.ended(run, child, events),
        }
        Ok(())
    }

    /// The last thing: what waits for the gate is written (the core's word to drain is the last of
    /// it), and nothing of ours stays behind.
    pub(super) fn farewell(&mut self) {
        self.drop_spare();
        self.end_asking(false);
        for run in self.runs.left() {
            self.runs.kill(&run);
            self.runs.forget(&run);
        }
        let _ = std::fs::remove_file(&self.line_note);
        let mut events = VecDeque::new();
        self.gate.flush(&mut events);
        self.gate.wait_end();
    }
}

/// This program as a person has to call it: their path rarely has where daemons lie.
fn answer_command() -> String {
    let own = std::fs::read_link("/proc/self/exe").ok();
    let own = own.filter(|path| path.is_file()).and_then(|path| path.to_str().map(str::to_owned));
    format!("{} answer", own.as_deref().unwrap_or("/usr/sbin/salved"))
}

/// For the gate's pauses between dials. Nothing secret comes of it, so the clock will do where the
/// kernel gives none.
fn chance() -> u64 {
    let mut chance = [0u8; 8];
    match getrandom::fill(&mut chance) {
        Ok(()) => u64::from_le_bytes(chance),
        Err(_) => super::now().mono_ms,
    }
}
