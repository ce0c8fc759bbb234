//! Who runs and who waits: one changing run, a few looks, a short queue. And when time is over.

use protocol::{BusyWith, Mode, RunId, limits};

use super::Core;
use super::effect::Effect;
use super::event::{Child, Stamp};
use super::run::{Run, Stage};
use crate::ledger::Entry;
use crate::record::{EffectsSummary, End};

/// From one `Kill` to the next where a child is still there, milliseconds.
const KILL_AGAIN_MS: u64 = 5_000;

impl Core {
    fn under_way(&self, changes: bool) -> impl Iterator<Item = &Run> {
        self.runs
            .values()
            // Nothing of it runs while somebody is asked.
            .filter(|run| !matches!(run.stage, Stage::Waiting | Stage::Asking))
            .filter(move |run| run.order.mode.mutates() == changes)
    }
    fn has_room(&self, mode: Mode) -> bool {
        let most = if mode.mutates() { 1 } else { limits::LOOKS_MAX };
        self.under_way(mode.mutates()).count() < most
    }
    /// Orders before a new one of this mode.
    pub(super) fn ahead(&self, mode: Mode) -> u32 {
        if self.has_room(mode) {
            return 0;
        }
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
    /// Who is in the way of another order of this mode, where it could not even wait.
    pub(super) fn busy(&self, mode: Mode) -> Option<BusyWith> {
        if self.has_room(mode) || self.queue.len() < limits::QUEUE_MAX {
            return None;
        }
        let run = self.under_way(mode.mutates()).min_by_key(|run| run.accepted.at)?;
        Some(BusyWith {
            agent: run.order.agent.clone(),
            script: run.order.script.name.clone(),
            ticket: run.order.ticket.clone(),
            since: run.accepted.at,
            run: run.accepted.run,
        })
    }

    /// Starts what may start, in the order it came.
    pub(super) fn start_waiting(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        for run in self.queue.clone() {
            let Some(waiting) = self.runs.get(&run) else { continue };
            let mode = waiting.order.mode;
            if self.trusted_time(now) > waiting.order.not_after {
                let why = "it waited until the order had expired".to_owned();
                self.give_up(run, End::Cancelled(why), now, out);
            } else if self.has_room(mode) {
                self.start(run, now, out);
            }
        }
        let runs = &self.runs;
        self.queue.retain(|run| runs.get(run).is_some_and(|run| run.stage == Stage::Waiting));
    }

    /// The only place that starts anything. `Accepted` is durable: it stands before, in this batch
    /// or in an earlier one.
    fn start(&mut self, run: RunId, now: Stamp, out: &mut Vec<Effect>) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        let Some(plan) = found.plan.take() else { return };
        found.stage = Stage::Running;
        found.started = Some(now);
        found.deadline_ms = Some(now.mono_ms.saturating_add(found.limit_ms));
        let look = !found.order.mode.mutates();
        let at = self.trusted_time(now);
        self.append(Entry::Started { run, at }, out);
        out.push(Effect::Spawn(Box::new(plan)));
        if look {
            self.spare = None;
        }
    }

    /// Ends a run that never started.
    fn give_up(&mut self, run: RunId, end: End, now: Stamp, out: &mut Vec<Effect>) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        found.end = end;
        found.stage = Stage::Reading;
        self.effects_read(run, (EffectsSummary::of(b""), Vec::new()), now, out);
    }

    /// Takes a run back: a waiting one ends at once, a running one is given its grace.
    pub(super) fn cancel(&mut self, run: RunId, why: String, now: Stamp, out: &mut Vec<Effect>) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        match found.stage {
            Stage::Waiting => self.give_up(run, End::Cancelled(why), now, out),
            Stage::Running if found.end == End::Own => {
                found.end = End::Cancelled(why);
                self.wind_down(run, now, out);
            }
            Stage::Asking => self.stop_asking(run, Some(End::Cancelled(why)), now, out),
            Stage::Running | Stage::Reading => {}
        }
    }

    /// Ends a run early: without its interpreter an executor ends what it is doing and reports.
    pub(super) fn wind_down(&mut self, run: RunId, now: Stamp, out: &mut Vec<Effect>) {
        let Some(found) = self.runs.get(&run) else { return };
        if !found.interpreter_ended && found.findings.is_none() && found.kill_ms.is_none() {
            out.push(Effect::End { run, child: Child::Interpreter });
        }
        self.give_grace(run, now);
    }

    /// From here on the kernel ends it after a grace: it is done, or was told to be.
    pub(super) fn give_grace(&mut self, run: RunId, now: Stamp) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        found.deadline_ms = None;
        if found.kill_ms.is_none() {
            found.kill_ms = Some(now.mono_ms.saturating_add(found.grace_ms()));
        }
    }

    /// Deadlines and graces that are over.
    pub(super) fn watch_time(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let due = |time: Option<u64>| time.is_some_and(|time| time <= now.mono_ms);
        let running = || self.runs.iter().filter(|(_, run)| run.stage == Stage::Running);
        let late: Vec<_> =
            running().filter(|(_, r)| due(r.deadline_ms)).map(|(id, _)| *id).collect();
        let over: Vec<_> = running().filter(|(_, r)| due(r.kill_ms)).map(|(id, _)| *id).collect();
        for run in late {
            if let Some(found) = self.runs.get_mut(&run).filter(|run| run.end == End::Own) {
                found.end = End::TimedOut;
            }
            self.wind_down(run, now, out);
        }
        for run in over {
            // Said again until both are gone: what does not die at once is asked once more.
            if let Some(found) = self.runs.get_mut(&run) {
                found.kill_ms = Some(now.mono_ms.saturating_add(KILL_AGAIN_MS));
            }
            out.push(Effect::Kill { run });
        }
        let asking = || self.runs.iter().filter(|(_, run)| run.stage == Stage::Asking);
        let unheard: Vec<_> = asking().filter(|(_, r)| due(r.kill_ms)).map(|(id, _)| *id).collect();
        for run in unheard {
            self.stop_asking(run, None, now, out);
        }
        if due(self.spare) {
            self.drop_spare(out);
        }
    }

    /// No new orders; what waits is given back, what runs is cancelled.
    pub(super) fn drain(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        self.draining = true;
        self.drop_spare(out);
        for run in self.runs.keys().copied().collect::<Vec<_>>() {
            self.cancel(run, "the daemon was stopped".to_owned(), now, out);
        }
    }

    pub(super) fn end_drain(&mut self, out: &mut Vec<Effect>) {
        let quiet = self.runs.is_empty() && self.untidied.is_empty() && self.lost.is_empty();
        if self.draining && !self.stopped && quiet {
            self.stopped = true;
            out.push(Effect::ToGate(hatch::messages::ToGate::Drain));
            out.push(Effect::Stop);
        }
    }
}
