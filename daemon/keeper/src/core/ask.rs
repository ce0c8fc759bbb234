//! Asks the person at the machine about a plan. The question is the script's own, which people
//! vetted: no agent's words are ever put on somebody's screen.
//!
//! INVARIANT (asked-before-kept): a plan that asks is kept, and its record written, with the answer
//! in it; a fix that is bound to it is decided by that answer.

use hatch::messages::Question;
use protocol::documents::{Asked, ConsentAnswer, Heard, Order};
use protocol::frames::Event as Live;
use protocol::{Manifest, Mode, PlanLine, RunId, json, limits};

use super::effect::Effect;
use super::event::Stamp;
use super::finish::Left;
use super::run::{Run, Stage};
use super::{Core, recent_within};
use crate::record::End;

/// What an asking process may take beyond its time before it is ended, milliseconds.
const OVERTIME_MS: u64 = 5_000;
/// Lines of a plan that are shown to the person.
const LINES_SHOWN: usize = 8;

/// The question that a plan puts to the person; none where its order or its script asks none.
pub(super) fn question(order: &Order, manifest: &Manifest) -> Option<String> {
    let wanted = order.consent.as_ref().is_some_and(|said| said.answer == ConsentAnswer::Ask);
    let asks = manifest.asks().filter(|_| wanted && order.mode == Mode::Plan);
    asks.map(str::to_owned)
}

impl Core {
    /// Puts a finished plan's question, where there is one to put. True: its answer goes on from here.
    pub(super) fn put_question(
        &mut self,
        run: RunId,
        left: &Left,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) -> bool {
        let at = self.trusted_time(now);
        if self.draining {
            return false;
        }
        let Some(found) = self.runs.get(&run) else { return false };
        let Some(question) = found.question.clone().filter(|_| found.asked.is_none()) else {
            return false;
        };
        let Some(lines) = planned(found) else { return false };
        let busy = self.runs.values().any(|other| other.stage == Stage::Asking);
        let span_ms = limits::ASK_SPAN_SECONDS * 1000;
        let often = recent_within(&mut self.asks, span_ms, now.mono_ms) >= limits::ASKS_MAX;
        let because = match (busy, often) {
            (true, _) => Some("another question is on the screen"),
            (_, true) => Some("there were too many questions in the last minutes"),
            _ => None,
        };
        let put = self.put(run, question, &lines);
        let Some(found) = self.runs.get_mut(&run) else { return false };
        if let Some(because) = because {
            found.asked = Some(Asked::nobody(Heard::NotShown, Some(because.to_owned()), at));
            return false;
        }
        let Some(put) = put else { return false };
        self.asks.push_back(now.mono_ms);
        found.stage = Stage::Asking;
        found.left = Some(left.clone());
        found.worked_ms = found.started.map(|began| now.mono_ms.saturating_sub(began.mono_ms));
        found.kill_ms = Some(now.mono_ms.saturating_add(put.seconds * 1000 + OVERTIME_MS));
        let event = Live::Asking { question: put.question.clone(), seconds: put.seconds };
        self.tell(run, event, out);
        out.push(Effect::Ask { run, question: Box::new(put) });
        true
    }

    fn put(&self, run: RunId, question: String, lines: &[PlanLine]) -> Option<Question> {
        let found = self.runs.get(&run)?;
        let (order, trusted) = (&found.order, self.trusted.as_ref()?);
        let mut shown: Vec<String> =
            lines.iter().take(LINES_SHOWN).map(surface::words::planned).collect();
        if lines.len() > LINES_SHOWN {
            shown.push(format!("and {} more", lines.len() - LINES_SHOWN));
        }
        Some(Question {
            from: trusted.policy.organisation().to_owned(),
            agent: order.agent.clone(),
            script: order.script.name.clone(),
            ticket: order.ticket.clone(),
            question,
            lines: shown,
            seconds: limits::ASK_SECONDS,
        })
    }

    /// Somebody answered, or nobody did.
    pub(super) fn heard(
        &mut self,
        run: RunId,
        mut asked: Asked,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        asked.at = self.trusted_time(now);
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Asking) else {
            return;
        };
        (asked.by, asked.ticket) = (Some(found.order.agent.clone()), found.order.ticket.clone());
        found.asked = Some(asked);
        found.stage = Stage::Reading;
        let left = found.left.take();
        if let Some(left) = left {
            self.effects_read(run, left, now, out);
        }
    }

    /// Ends the asking itself: its run was taken back, or nothing came of it in time.
    pub(super) fn stop_asking(
        &mut self,
        run: RunId,
        end: Option<End>,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::EndAsk);
        if let Some(found) = self.runs.get_mut(&run)
            && let Some(end) = end
        {
            found.end = end;
        }
        let at = self.trusted_time(now);
        self.heard(run, Asked::nobody(Heard::NoAnswer, None, at), now, out);
    }
}

/// The lines of a plan that was made and would change something.
fn planned(run: &Run) -> Option<Vec<PlanLine>> {
    let well = run.end == End::Own && run.fault.is_none();
    let report = run.report.as_ref().filter(|_| well)?;
    let lines: Vec<PlanLine> = json::read(&report.plan.as_ref()?.0).ok()?;
    Some(lines).filter(|lines| !lines.is_empty())
}
