//! The end of a run: its outcome, its record, and who gets it. Once per run.

use protocol::documents::{Decision, InFlight, Order, Record, SealedSecret};
use protocol::frames::{Answer, Event as Live, RecordPlace, Stop};
use protocol::{Bytes, Digest, Envelope, Mode, Outcome, Plan, PlanLine, RunId, Time, json, limits};

use super::Core;
use super::effect::Effect;
use super::event::{Fetched, Line, Stamp};
use super::run::{Run, Stage};
use super::session;
use crate::ledger::{Accepted, Entry, Recorded};
use crate::record::{self, Account, Basis, EffectsSummary, Ending, judge};

/// What a run left beside its words.
pub(super) type Left = (EffectsSummary, Vec<SealedSecret>);

impl Core {
    pub(super) fn effects_read(
        &mut self,
        run: RunId,
        left: Left,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        if let Some(accepted) = self.lost.remove(&run) {
            return self.record_interrupted(&accepted, left, now, out);
        }
        if self.runs.get(&run).is_none_or(|found| found.stage != Stage::Reading) {
            return;
        }
        if self.put_question(run, &left, now, out) {
            return;
        }
        let ended = self.account(run, left, now, out);
        let Some(found) = self.runs.remove(&run) else { return };
        if let Some(account) = ended {
            self.write_record(&found.accepted, &found.order, account, out);
        }
        // Tidied behind the answers, unless another run waits for the room.
        if self.queue.is_empty() && !found.followers.is_empty() {
            self.untidied.insert(run, found.followers.len());
        }
        for line in &found.followers {
            self.read_for(*line, run, out);
        }
        if !found.order.mode.mutates() {
            self.looked(&found.followers);
        }
        if !self.untidied.contains_key(&run) {
            self.tidy(run, now, out);
        }
    }

    /// One of a run's followers has its answer, or is gone.
    fn answered(&mut self, run: RunId, now: Stamp, out: &mut Vec<Effect>) {
        let Some(left) = self.untidied.get_mut(&run) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.untidied.remove(&run);
            self.tidy(run, now, out);
        }
    }

    /// Everybody has the record: what is left of the run goes, and the next look is made ready.
    fn tidy(&mut self, run: RunId, now: Stamp, out: &mut Vec<Effect>) {
        out.push(Effect::Tidy { run });
        if self.looks_again() {
            self.want_spare(now, out);
        }
    }

    /// Judges the run, keeps its plan, tells followers that it ended.
    fn account(
        &mut self,
        run: RunId,
        (effects, secrets): Left,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) -> Option<Account> {
        let time = self.trusted_time(now);
        let found = self.runs.get(&run)?;
        let report = found.report.clone().unwrap_or_default();
        let (outcome, reason, summary) = judge(&Ending {
            mode: found.order.mode,
            end: &found.end,
            findings: found.findings.as_deref(),
            fault: found.fault.as_ref(),
            finished: found.report.is_some(),
            drift: report.drift.as_deref(),
            changed: effects.changed(),
        });
        let detect = found.findings.as_ref().and_then(|f| f.first()).map(|f| f.summary.clone());
        let well = matches!(outcome, Outcome::Succeeded | Outcome::Unchanged);
        let plan = if found.order.mode == Mode::Plan && well {
            self.keep_plan(run, detect.clone().unwrap_or_default(), time, out)
        } else {
            None
        };
        self.tell(run, Live::Ended { outcome }, out);
        let found = self.runs.get(&run)?;
        let mut defences = found.defences.clone();
        defences.extend(self.id.defences.iter().map(|(k, v)| (format!("keeper {k}"), v.clone())));
        defences.extend(self.gate_defences.clone());
        let started = found.started.map_or(now.mono_ms, |stamp| stamp.mono_ms);
        let mut limits_hit = report.limits_hit;
        if found.output.count > found.kept {
            limits_hit.push("output".to_owned());
        }
        Some(Account {
            outcome,
            summary,
            reason,
            found: detect,
            say: found.say.clone(),
            plan,
            asked: found.asked.clone(),
            skipped: report.skipped,
            effects_digest: report.effects,
            effects_dropped: report.effects_dropped,
            in_flight: in_flight(found, &effects),
            secrets,
            effects,
            output: found.output_digest(),
            events: found.events_digest(),
            limits_hit,
            defences,
            ended: time,
            duration_ms: found.worked_ms.unwrap_or(now.mono_ms.saturating_sub(started)),
        })
    }

    /// The plan of a plan run, kept for an hour so that a fix can be bound to it.
    fn keep_plan(
        &mut self,
        run: RunId,
        found: String,
        now: Time,
        out: &mut Vec<Effect>,
    ) -> Option<protocol::Digest> {
        let ended = self.runs.get(&run)?;
        let report = ended.report.as_ref()?;
        let lines: Vec<PlanLine> = match &report.plan {
            Some(bytes) => json::read(&bytes.0).ok()?,
            None => Vec::new(),
        };
        let plan = Plan {
            endpoint: self.id.card.endpoint,
            script: ended.order.script.name.clone(),
            script_digest: ended.order.script.digest,
            parameters: record::parameters_digest(&ended.order.parameters)?,
            made: now,
            found,
            lines,
            skipped: report.skipped.clone(),
            unknowable: report.unknowable.clone(),
            asked: ended.asked.clone(),
        };
        let bytes = json::write(&plan).ok().filter(|b| b.len() <= limits::PLAN_BYTES_MAX)?;
        let digest = protocol::Digest::of(&bytes);
        let bytes = Bytes(bytes);
        for digest in self.plans.keep(plan, bytes.clone(), now) {
            out.push(Effect::DropPlan { digest });
        }
        out.push(Effect::KeepPlan { digest, run, bytes });
        Some(digest)
    }

    /// A run that nobody came back from: what was in flight is unknown, and it is never repeated.
    fn record_interrupted(
        &mut self,
        accepted: &Accepted,
        (effects, secrets): Left,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let time = self.trusted_time(now);
        let read = Envelope::read(&accepted.envelope.0).ok();
        let Some(order) = read.and_then(|e| json::read::<Order>(&e.payload.0).ok()) else { return };
        let words = match &effects.in_flight {
            Some(what) => format!(
                "the machine or the daemon stopped during {} on {}: its state is unknown",
                what.function, what.noun
            ),
            None => "the machine or the daemon stopped in mid-run: its state is unknown".to_owned(),
        };
        let mut account =
            Account::without_run(Outcome::Interrupted, words, "interrupted".to_owned(), time);
        account.in_flight.clone_from(&effects.in_flight);
        (account.effects, account.secrets) = (effects, secrets);
        self.write_record(accepted, &order, account, out);
        out.push(Effect::Tidy { run: accepted.run });
    }

    fn write_record(
        &mut self,
        accepted: &Accepted,
        order: &Order,
        mut account: Account,
        out: &mut Vec<Effect>,
    ) {
        account.asked = account.asked.or_else(|| accepted.asked.clone());
        let decision = Decision::Permit { reasons: accepted.reasons.clone() };
        let basis = Basis {
            run: accepted.run,
            order_digest: accepted.order,
            order,
            card: &self.id.card,
            card_digest: self.id.card_digest,
            decision: &decision,
            identity_checked: accepted.identity_checked.as_ref(),
            classes: &accepted.classes,
            weaknesses: &accepted.weaknesses,
            catalogue: accepted.catalogue,
            accepted: accepted.at,
            head: self.index.head(),
            version: &self.id.version,
        };
        let document = record::record(&basis, account);
        let Some((digest, envelope)) = record::seal_record(&document, &*self.id.signer) else {
            return;
        };
        let recorded = Recorded {
            run: accepted.run,
            order: accepted.order,
            record: digest,
            counter: document.predicate.counter,
            refused: false,
            envelope,
            agent: order.agent.clone(),
        };
        self.append(Entry::Record(Box::new(recorded)), out);
    }

    pub(super) fn follow(&mut self, line: Line, run: RunId, out: &mut Vec<Effect>) {
        match self.runs.get_mut(&run) {
            Some(found) if found.followers.contains(&line) => {}
            Some(found) if found.followers.len() < FOLLOWERS_MAX => found.followers.push(line),
            Some(_) => session::stop(line, Stop::Rate, out),
            None => self.fetch(line, run, out),
        }
    }

    pub(super) fn fetch(&mut self, line: Line, run: RunId, out: &mut Vec<Effect>) {
        if self.index.record(&run).is_some() {
            // Each may be a whole effects file, held here and in the gate's pipe.
            if self.fetching >= FETCHING_MAX || self.gate_slow {
                return session::stop(line, Stop::Rate, out);
            }
            self.read_for(line, run, out);
        } else if self.runs.contains_key(&run) {
            self.follow(line, run, out);
        } else {
            session::stop(line, Stop::NoRun, out);
        }
    }

    /// What there is of a run: plan, effects, then the record, and only the escrow behind it.
    pub(super) fn fetched(
        &mut self,
        line: Line,
        run: RunId,
        found: Option<Fetched>,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        self.fetching = self.fetching.saturating_sub(1);
        match found {
            Some(found) => self.give(line, run, found, out),
            None => session::stop(line, Stop::Fault, out),
        }
        self.answered(run, now, out);
    }

    /// What a run put out, for whoever has its record and the digest in it.
    pub(super) fn output(&mut self, line: Line, run: RunId, out: &mut Vec<Effect>) {
        if self.index.record(&run).is_none() {
            return session::stop(line, Stop::NoRun, out);
        }
        if self.fetching >= FETCHING_MAX || self.gate_slow {
            return session::stop(line, Stop::Rate, out);
        }
        self.fetching += 1;
        out.push(Effect::ReadOutput { line, run });
    }

    pub(super) fn give_output(&mut self, line: Line, bytes: Option<Bytes>, out: &mut Vec<Effect>) {
        self.fetching = self.fetching.saturating_sub(1);
        let Some(bytes) = bytes else { return session::stop(line, Stop::Fault, out) };
        if !self.sessions.contains_key(&line.session) {
            return;
        }
        let mut parts = bytes.0.chunks(limits::CHUNK_BYTES_MAX).peekable();
        // Nothing has one empty part.
        let mut part = parts.next().unwrap_or_default();
        loop {
            let last = parts.peek().is_none();
            session::answer(line, &Answer::Output { part: Bytes(part.to_vec()), last }, out);
            match parts.next() {
                Some(next) => part = next,
                None => break,
            }
        }
        session::finish(line, out);
    }

    /// Where the records behind a place lie: runs and counters, nothing of what they say.
    pub(super) fn records(&self, line: Line, after: u64, out: &mut Vec<Effect>) {
        let found = self.index.records_after(after, limits::RECORD_PLACES_MAX);
        let places = found.into_iter().map(|(counter, run)| RecordPlace { counter, run });
        let (epoch, places) = (self.index.head().epoch, places.collect());
        session::answer(line, &Answer::Records { epoch, places }, out);
        session::finish(line, out);
    }

    /// The order of a run that has its record, for whoever lost it.
    pub(super) fn order(&mut self, line: Line, run: RunId, out: &mut Vec<Effect>) {
        if self.index.record(&run).is_none() {
            return session::stop(line, Stop::NoRun, out);
        }
        if self.fetching >= FETCHING_MAX || self.gate_slow {
            return session::stop(line, Stop::Rate, out);
        }
        self.fetching += 1;
        out.push(Effect::ReadOrder { line, run });
    }

    pub(super) fn give_order(
        &mut self,
        line: Line,
        order: Option<Option<Bytes>>,
        out: &mut Vec<Effect>,
    ) {
        self.fetching = self.fetching.saturating_sub(1);
        match order {
            _ if !self.sessions.contains_key(&line.session) => {}
            None => session::stop(line, Stop::Fault, out),
            // A refusal keeps none.
            Some(None) => session::stop(line, Stop::NoRun, out),
            Some(Some(order)) => {
                session::answer(line, &Answer::Order { order }, out);
                session::finish(line, out);
            }
        }
    }

    fn read_for(&mut self, line: Line, run: RunId, out: &mut Vec<Effect>) {
        self.fetching += 1;
        out.push(Effect::Fetch { line, run });
    }

    fn give(&self, line: Line, run: RunId, found: Fetched, out: &mut Vec<Effect>) {
        if !self.sessions.contains_key(&line.session) || self.index.record(&run).is_none() {
            return;
        }
        let Some(record) = found.record else { return session::stop(line, Stop::NoRun, out) };
        // A crash between a plan and its record leaves a plan that no record names: it is none.
        let plan = found.plan.filter(|plan| names(&record, &Digest::of(&plan.0)));
        if let Some(plan) = plan {
            session::answer(line, &Answer::Plan { plan }, out);
        }
        for part in found.effects.0.chunks(limits::CHUNK_BYTES_MAX) {
            session::answer(line, &Answer::Effects { part: Bytes(part.to_vec()) }, out);
        }
        session::answer(line, &Answer::Record { record }, out);
        for (sealed, not_after) in found.escrow {
            session::answer(line, &Answer::Escrow { sealed, not_after }, out);
        }
        session::finish(line, out);
    }
}

/// Lines that may follow one run: each gets the whole effects file at its end.
const FOLLOWERS_MAX: usize = 4;
/// Runs that are read for whoever asks, at once; what waits for the gate is bounded by the two.
const FETCHING_MAX: usize = 2;

/// Whether this record of ours names this plan.
fn names(record: &Bytes, plan: &Digest) -> bool {
    let read = Envelope::read(&record.0).ok();
    let record = read.and_then(|envelope| json::read::<Record>(&envelope.payload.0).ok());
    record.is_some_and(|record| record.predicate.plan.as_ref() == Some(plan))
}

/// What was under way: known only where the run was cut off.
fn in_flight(run: &Run, effects: &EffectsSummary) -> Option<InFlight> {
    let whole = run.report.is_some();
    effects.in_flight.clone().filter(|_| !whole)
}
