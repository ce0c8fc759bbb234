//! One run as the core sees it, from its acceptance to its record.

use std::collections::BTreeMap;

use hatch::messages::{ExecutorReport, Finding, ScriptFault};
use protocol::documents::{Asked, EventsDigest, Order, OutputDigest, SealingKey};
use protocol::frames::{Answer, Event as Live};
use protocol::{Digest, RunId, Time, limits};
use sha2::Digest as _;

use super::Core;
use super::effect::{Effect, RunPlan};
use super::event::{Line, Stamp};
use super::finish::Left;
use super::session;
use crate::ledger::Accepted;
use crate::record::End;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// In the queue; no process was made.
    Waiting,
    /// Its processes live, or are being made.
    Running,
    /// Its processes are gone; its effects file is being read.
    Reading,
    /// Its plan is made; the person at the machine is being asked.
    Asking,
}

/// Bytes that are counted and hashed as they come.
#[derive(Debug, Default)]
pub(super) struct Tally {
    hash: sha2::Sha256,
    pub(super) count: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: &[u8], count: u64) {
        self.hash.update(bytes);
        self.count = self.count.saturating_add(count);
    }
    pub(super) fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }
}

/// One accepted run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) accepted: Accepted,
    pub(super) order: Order,
    /// Taken when it starts.
    pub(super) plan: Option<RunPlan>,
    pub(super) stage: Stage,
    pub(super) limit_ms: u64,
    pub(super) sealing_key: Option<SealingKey>,
    pub(super) one_time: bool,
    /// Handles whose secrets are being made: until when each may be opened.
    pub(super) secrets: BTreeMap<u32, Time>,
    pub(super) followers: Vec<Line>,
    pub(super) events: Tally,
    pub(super) dropped: u64,
    pub(super) output: Tally,
    pub(super) kept: u64,
    pub(super) say: Option<String>,
    /// What its plan asks the person at the machine.
    pub(super) question: Option<String>,
    /// What came of that.
    pub(super) asked: Option<Asked>,
    /// What the plan left, while the person is asked.
    pub(super) left: Option<Left>,
    /// How long it had worked when the person was asked: their time is not the run's.
    pub(super) worked_ms: Option<u64>,
    pub(super) findings: Option<Vec<Finding>>,
    pub(super) fault: Option<ScriptFault>,
    pub(super) report: Option<ExecutorReport>,
    pub(super) defences: BTreeMap<String, String>,
    pub(super) end: End,
    pub(super) interpreter_ended: bool,
    pub(super) executor_ended: bool,
    pub(super) started: Option<Stamp>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) kill_ms: Option<u64>,
}

/// Longest a step of class `packages` may go on when its run should stop, milliseconds.
const PACKAGES_GRACE_MS: u64 = 3_600_000;

impl Run {
    pub(super) fn new(accepted: Accepted, order: Order, plan: RunPlan, limit_ms: u64) -> Self {
        let one_time = plan.executor.grants.iter().any(|grant| grant.function == "secret.one_time");
        Self {
            accepted,
            order,
            plan: Some(plan),
            stage: Stage::Waiting,
            limit_ms,
            sealing_key: None,
            one_time,
            secrets: BTreeMap::new(),
            followers: Vec::new(),
            events: Tally::default(),
            dropped: 0,
            output: Tally::default(),
            kept: 0,
            say: None,
            question: None,
            asked: None,
            left: None,
            worked_ms: None,
            findings: None,
            fault: None,
            report: None,
            defences: BTreeMap::new(),
            end: End::Own,
            interpreter_ended: false,
            executor_ended: false,
            started: None,
            deadline_ms: None,
            kill_ms: None,
        }
    }
    pub(super) fn wake_at(&self) -> Option<u64> {
        match self.stage {
            Stage::Waiting | Stage::Reading => return None,
            Stage::Asking => return self.kill_ms,
            Stage::Running => {}
        }
        match (self.deadline_ms, self.kill_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
    /// How long what still lives may take to end; a package manager is never killed in mid-step.
    pub(super) fn grace_ms(&self) -> u64 {
        let packages = self.accepted.classes.iter().any(|class| class == "packages");
        let over = self.executor_ended || self.report.is_some();
        let changes = self.order.mode.mutates() && packages && !over;
        if changes { PACKAGES_GRACE_MS } else { limits::CANCEL_GRACE_SECONDS * 1000 }
    }
    /// Looks at what the run left; for one that changes nothing, no disk is waited for.
    pub(super) const fn read_effects(&self) -> Effect {
        Effect::ReadEffects { run: self.accepted.run, durable: self.order.mode.mutates() }
    }
    pub(super) fn output_digest(&self) -> OutputDigest {
        let (digest, bytes) = (self.output.digest(), self.output.count);
        OutputDigest { digest, bytes, kept: self.kept }
    }
    pub(super) fn events_digest(&self) -> EventsDigest {
        let (digest, count) = (self.events.digest(), self.events.count);
        EventsDigest { digest, count, dropped: self.dropped }
    }
}

/// From so many on every event of a run may be dropped: no honest run is near it, and a process
/// that says findings without end must not fill the pipe that everybody's answers go through.
const EVENTS_MANY: u64 = 4096;

/// Whether an event may be dropped on a slow line: what the record does not hold otherwise.
const fn may_drop(event: &Live) -> bool {
    matches!(event, Live::Progress { .. } | Live::Line { .. })
}

impl Core {
    /// Live news to everybody who follows. What a slow line does not get is counted, not hashed.
    pub(super) fn tell(&mut self, run: RunId, event: Live, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        let flood = run.events.count >= EVENTS_MANY && !matches!(event, Live::Ended { .. });
        let slow = self.gate_slow && (flood || may_drop(&event));
        if slow {
            run.dropped = run.dropped.saturating_add(1);
            run.events.add(&[], 1);
            return;
        }
        run.events.add(&minicbor::to_vec(&event).unwrap_or_default(), 1);
        let answer = Answer::Event { event };
        for line in &run.followers {
            session::answer(*line, &answer, out);
        }
    }
}
