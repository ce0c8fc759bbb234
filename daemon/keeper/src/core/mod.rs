//! The keeper's mind: `step(event, now) -> effects`. Never does I/O, reads no clock, makes no chance.
//!
//! INVARIANT (accept-before-spawn): `Spawn` stands behind the durable `Accepted` of the same run.
//! INVARIANT (record-once): a run's record is appended when the run leaves `runs`, and never again.
//! INVARIANT (escrow-before-clear): a secret's clear bytes follow its durable escrow file.

mod ask;
mod children;
mod effect;
mod event;
mod finish;
mod queue;
mod renew;
mod run;
mod secrets;
mod session;
mod setup;
mod spare;
mod submit;
mod update;

use std::collections::{BTreeMap, VecDeque};

use protocol::documents::Card;
use protocol::{AgentName, Bytes, Digest, RunId, Time};
use trust::Signer;
use trust::catalogue::Files;

pub use effect::{CatalogueFiles, Effect, RunPlan, SealedSecrets};
pub use event::{Child, ChildEnd, Event, Fetched, FreshSecret, Line, Stamp};
pub use setup::{GateTrust, Setup};
pub use update::Distrust;

use crate::ledger::{Accepted, Entry, Index};
use crate::plans::Plans;
use renew::Renewing;
use run::Run;
use session::Session;
use update::{Staging, Trusted};

/// Who this endpoint is.
#[derive(Debug)]
struct Identity {
    card: Card,
    card_envelope: Bytes,
    card_digest: Digest,
    signer: Box<dyn Signer>,
    platform: String,
    version: String,
    exceptions: hatch::messages::Exceptions,
    /// When the certificate that the gate shows ends.
    certificate_ends: Time,
    defences: hatch::messages::Defences,
}

/// The keeper's state. The driver owns one and feeds it.
#[derive(Debug)]
pub struct Core {
    id: Identity,
    root: Vec<u8>,
    files: Files,
    trusted: Option<Trusted>,
    distrust: Option<Distrust>,
    index: Index,
    plans: Plans,
    /// Both clocks when the daemon started.
    boot: Stamp,
    sessions: BTreeMap<u32, Session>,
    staging: Option<Staging>,
    /// A verified update whose files are being made durable.
    storing: Option<(Line, Files, Trusted)>,
    /// A checked certificate that is being made durable.
    renewing: Option<Renewing>,
    gate_ready: bool,
    gate_slow: bool,
    gate_defences: hatch::messages::Defences,
    runs: BTreeMap<RunId, Run>,
    queue: VecDeque<RunId>,
    /// Recorded runs that are tidied behind so many answers.
    untidied: BTreeMap<RunId, usize>,
    /// Whole runs that are being read for somebody.
    fetching: usize,
    /// Runs of before the restart whose records are still owed.
    lost: BTreeMap<RunId, Accepted>,
    /// When (monotonic) each agent's orders of the last minute came.
    orders: BTreeMap<AgentName, VecDeque<u64>>,
    /// When each agent's recorded refusals of the last minute were made.
    refusals: BTreeMap<AgentName, VecDeque<u64>>,
    /// The same for orders in another's name, which may be any name: one budget for all of them.
    mismatches: VecDeque<u64>,
    /// When (monotonic) people at the machine were asked lately.
    asks: VecDeque<u64>,
    /// Submissions whose seals did not open, since the start.
    unsealed: u64,
    reserve: bool,
    /// Until when (monotonic) a spare pair of processes waits for a look; none where there is none.
    spare: Option<u64>,
    draining: bool,
    stopped: bool,
}

/// One minute, for rates.
const MINUTE_MS: u64 = 60_000;

impl Core {
    /// What happens next. The only way in.
    pub fn step(&mut self, event: Event, now: Stamp) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Begin => self.begin(&mut out),
            Event::Gate { message, chance } => self.gate(message, chance, now, &mut out),
            Event::GateGone => self.gate_gone(),
            Event::GateSlow(slow) => self.gate_slow = slow,
            Event::Reserve(whole) => self.reserve = whole,
            Event::Executor { run, message } => self.executor_said(run, message, now, &mut out),
            Event::Interpreter { run, message } => self.interpreter_said(run, message),
            Event::Garbled { run, child } => self.garbled(run, child, now, &mut out),
            Event::Spawned { run, cgroup } => self.spawned(run, cgroup),
            Event::SpawnFailed { run, why, reason } => {
                self.spawn_failed(run, why, reason, &mut out);
            }
            Event::ChildEnded { run, child, end } => {
                self.child_ended(run, child, end, now, &mut out);
            }
            Event::SecretMade { run, handle, secret } => {
                self.secret_made(run, handle, secret, &mut out);
            }
            Event::EffectsRead { run, effects, secrets } => {
                self.effects_read(run, (effects, secrets), now, &mut out);
            }
            Event::Heard { run, asked } => self.heard(run, *asked, now, &mut out),
            Event::Output { line, bytes } => self.give_output(line, bytes, &mut out),
            Event::Order { line, order } => self.give_order(line, order, &mut out),
            Event::Fetched { line, run, found } => {
                self.fetched(line, run, found.map(|found| *found), now, &mut out)
            }
            Event::CatalogueStored { ok } => self.catalogue_stored(ok, now, &mut out),
            Event::CertificateStored { ok } => self.certificate_stored(ok, &mut out),
            Event::Tick => {}
            Event::Drain => self.drain(now, &mut out),
        }
        self.watch_time(now, &mut out);
        self.start_waiting(now, &mut out);
        self.end_drain(&mut out);
        out
    }

    /// When (monotonic milliseconds) a `Tick` is wanted; none: nothing waits for a time.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.runs.values().filter_map(Run::wake_at).chain(self.spare).min()
    }
    /// The time that documents are judged by: never before the floor that no document and no wall
    /// clock moves back.
    #[must_use]
    pub fn trusted_time(&self, now: Stamp) -> Time {
        now.wall.max(self.floor(now))
    }
    /// The later of the catalogue's floor and the start plus what has passed since.
    #[must_use]
    pub fn floor(&self, now: Stamp) -> Time {
        let signed = self.trusted.as_ref().map_or(Time(0), |trusted| trusted.catalogue.floor());
        self.since_boot(now).max(signed)
    }
    /// What this machine's own clocks say: the wall clock, and never before the start plus what has
    /// passed since.
    fn own_time(&self, now: Stamp) -> Time {
        now.wall.max(self.since_boot(now))
    }
    fn since_boot(&self, now: Stamp) -> Time {
        self.boot.wall.plus(now.mono_ms.saturating_sub(self.boot.mono_ms) / 1000)
    }
    /// The sum of the ledger.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }
    /// Why no catalogue is trusted, where none is.
    #[must_use]
    pub const fn distrust(&self) -> Option<&Distrust> {
        self.distrust.as_ref()
    }
    /// Submissions whose seals did not open, since the start.
    #[must_use]
    pub const fn unsealed(&self) -> u64 {
        self.unsealed
    }
    /// Runs that are under way or wait.
    #[must_use]
    pub fn active(&self) -> usize {
        self.runs.len()
    }

    /// Applies an entry and has it appended: the index is never ahead of the effects.
    fn append(&mut self, entry: Entry, out: &mut Vec<Effect>) {
        self.index.apply(&entry);
        out.push(Effect::AppendLedger(entry));
    }

    /// After a restart: whatever was accepted and has no record was interrupted.
    fn begin(&mut self, out: &mut Vec<Effect>) {
        self.lost = self.index.unfinished().clone();
        for run in self.lost.keys().copied() {
            out.push(Effect::Kill { run });
            out.push(Effect::ReadEffects { run, durable: true });
        }
    }
}

/// Forgets what is older than a minute; gives how many are left.
fn recent(times: &mut VecDeque<u64>, mono_ms: u64) -> u32 {
    recent_within(times, MINUTE_MS, mono_ms)
}

/// The same for another span.
fn recent_within(times: &mut VecDeque<u64>, span_ms: u64, mono_ms: u64) -> u32 {
    times.retain(|then| mono_ms.saturating_sub(*then) < span_ms);
    u32::try_from(times.len()).unwrap_or(u32::MAX)
}
