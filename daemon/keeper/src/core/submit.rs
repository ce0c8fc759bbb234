//! Submissions and recalls: from sealed bytes to a run that waits, or to a signed refusal.

use hatch::messages::{ExecutorStart, Grant, ToInterpreter};
use protocol::documents::{Decision, Dispatch, Heard, Order, RecallScope};
use protocol::frames::{Answer, Event as Live, Stop};
use protocol::{Bytes, Envelope, Mode, Outcome, ParamValue, Refusal, RunId, limits};
use surface::Value;
use trust::Verified;

use super::effect::{Effect, RunPlan, SealedSecrets};
use super::event::{Line, Stamp};
use super::run::Run;
use super::{Core, ask, recent, session};
use crate::authorize::{self, Permitted, State, Submission, Verdict, may_recall};
use crate::ledger::{Accepted, Entry, Recorded};
use crate::record::{self, Account, Basis};

type Sealed<'a> = (&'a Bytes, &'a Bytes, Option<&'a Bytes>, &'a [Bytes]);

fn read(sealed: Sealed<'_>) -> Option<Submission> {
    let open = |bytes: &Bytes| Envelope::read(&bytes.0).ok();
    let (order, dispatch, attestation, approvals) = sealed;
    Some(Submission {
        order: open(order)?,
        dispatch: open(dispatch)?,
        attestation: match attestation {
            Some(bytes) => Some(open(bytes)?),
            None => None,
        },
        approvals: approvals.iter().take(limits::SIGNATURES_MAX).filter_map(open).collect(),
    })
}

impl Core {
    pub(super) fn submit(
        &mut self,
        line: Line,
        sealed: Sealed<'_>,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        if self.draining {
            return session::stop(line, Stop::Drain, out);
        }
        if self.is_too_bad(line, now) {
            return session::stop(line, Stop::Rate, out);
        }
        let Some(submission) = read(sealed) else { return self.no_seal(line, now, out) };
        let Some(verdict) = self.verdict(line, &submission, now) else {
            return session::stop(line, Stop::Stale, out);
        };
        match verdict {
            Verdict::NoSeal => self.no_seal(line, now, out),
            Verdict::Refused { order, dispatch, refusal } => {
                self.take_pair(line, &dispatch);
                self.refuse(line, &order, refusal, now, out);
            }
            Verdict::Permitted(permitted) => {
                self.take_pair(line, &permitted.dispatch);
                let envelope = sealed.0.clone();
                self.accept(line, *permitted, envelope, now, out);
            }
        }
    }

    fn verdict(&mut self, line: Line, submission: &Submission, now: Stamp) -> Option<Verdict> {
        let counted = self.orders.iter_mut();
        let rates = counted.map(|(agent, times)| (agent.clone(), recent(times, now.mono_ms)));
        let rates = rates.collect();
        self.orders.retain(|_, times| !times.is_empty());
        let trusted = self.trusted.as_ref()?;
        let (change, look) = (self.busy(Mode::Fix), self.busy(Mode::Check));
        Some(authorize::authorize(
            submission,
            &State {
                card: &self.id.card,
                platform: &self.id.platform,
                catalogue: &trusted.catalogue,
                policy: &trusted.policy,
                index: &self.index,
                challenges: &self.sessions.get(&line.session)?.challenges,
                plans: &self.plans,
                recent: &rates,
                busy: (change.as_ref(), look.as_ref()),
                reserve: self.reserve,
                now: self.trusted_time(now),
                mono_ms: now.mono_ms,
            },
        ))
    }

    /// A number is spent by every dispatch whose seal held, whatever came of it.
    fn take_pair(&mut self, line: Line, dispatch: &Dispatch) {
        if let Some(session) = self.sessions.get_mut(&line.session) {
            session.challenges.take(&dispatch.challenge, dispatch.number);
        }
    }

    /// A refusal is an answer: a signed record that came early. Too many are only counted.
    fn refuse(
        &mut self,
        line: Line,
        order: &Verified<Order>,
        refusal: Refusal,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        // A name that its bearer did not sign is free to choose: it buys no budget of its own.
        let times = match refusal {
            Refusal::SignerMismatch => &mut self.mismatches,
            _ => self.refusals.entry(order.agent.clone()).or_default(),
        };
        if recent(times, now.mono_ms) >= limits::REFUSALS_A_MINUTE {
            return session::stop(line, Stop::Rate, out);
        }
        times.push_back(now.mono_ms);
        let head = self.index.head();
        let endpoint = self.id.card.endpoint;
        let first = RunId::of(&order.digest(), &endpoint, 0);
        // The run's own id belongs to its run and to a first refusal; a later one gets its own, so
        // that it can be fetched and never stands in for the run's record.
        let known =
            self.index.accepted(&order.digest()).is_some() || self.index.record(&first).is_some();
        let occurrence = if known { head.counter.saturating_add(1) } else { 0 };
        let run = RunId::of(&order.digest(), &endpoint, occurrence);
        let (code, sentence) = (refusal.code().to_owned(), refusal.sentence());
        let time = self.trusted_time(now);
        let account = Account::without_run(Outcome::Refused, sentence, code, time);
        let Some(trusted) = &self.trusted else { return };
        let basis = Basis {
            run,
            order_digest: order.digest(),
            order,
            card: &self.id.card,
            card_digest: self.id.card_digest,
            decision: &Decision::Refuse { refusal },
            identity_checked: None,
            classes: &[],
            weaknesses: &trusted.weaknesses,
            catalogue: trusted.catalogue.versions(),
            accepted: time,
            head,
            version: &self.id.version,
        };
        let document = record::record(&basis, account);
        let Some((digest, envelope)) = record::seal_record(&document, &*self.id.signer) else {
            return session::stop(line, Stop::Fault, out);
        };
        let recorded = Recorded {
            run,
            order: order.digest(),
            record: digest,
            counter: document.predicate.counter,
            refused: true,
            envelope: envelope.clone(),
            agent: order.agent.clone(),
        };
        self.append(Entry::Record(Box::new(recorded)), out);
        session::answer(line, &Answer::Record { record: envelope }, out);
        session::finish(line, out);
    }

    fn accept(
        &mut self,
        line: Line,
        permitted: Permitted,
        envelope: Bytes,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let Some(trusted) = &self.trusted else { return };
        let order = permitted.order.get().clone();
        let digest = permitted.order.digest();
        let run = RunId::of(&digest, &self.id.card.endpoint, 0);
        let look = std::iter::once(surface::Class::Look).collect();
        let classes =
            if order.mode.mutates() { surface::classes_of(&permitted.manifest) } else { look };
        let person = trusted.policy.person(&order.agent);
        let accepted = Accepted {
            run,
            order: digest,
            id: order.id,
            envelope,
            reasons: permitted.permit.reasons().to_vec(),
            weaknesses: trusted.weaknesses.clone(),
            classes: classes.iter().map(|class| class.word().to_owned()).collect(),
            catalogue: trusted.catalogue.versions(),
            at: self.trusted_time(now),
            own_key: person.is_some_and(|p| p.signing_key == Some(order.dispatch_key)),
            asked: permitted.asked.clone(),
            identity_checked: permitted.identity_checked.clone(),
        };
        let question = ask::question(&order, &permitted.manifest);
        let sealing_key = person.and_then(|person| person.sealing_key.clone());
        let limit = permitted.manifest.limit_seconds;
        let limit = if limit == 0 { limits::RUN_SECONDS_DEFAULT } else { limit };
        let limit_ms = limit.min(limits::RUN_SECONDS_MAX) * 1000;
        let plan = self.run_plan(&accepted, permitted, limit_ms, self.trusted_time(now));
        self.orders.entry(order.agent.clone()).or_default().push_back(now.mono_ms);
        let (mode, planned) = (order.mode, order.plan);
        let mut new = Run::new(accepted.clone(), order, plan, limit_ms);
        (new.sealing_key, new.question) = (sealing_key, question);
        new.followers.push(line);
        let said_yes = accepted.asked.as_ref().is_some_and(|asked| asked.answer == Heard::Yes);
        self.append(Entry::Accepted(Box::new(accepted)), out);
        // One yes, one fix.
        if let Some(digest) = planned.filter(|digest| said_yes && self.plans.spend(digest)) {
            out.push(Effect::DropPlan { digest });
        }
        let ahead = self.ahead(mode);
        self.runs.insert(run, new);
        self.queue.push_back(run);
        self.tell(run, Live::Accepted { run, mode, ahead }, out);
    }

    fn run_plan(
        &self,
        accepted: &Accepted,
        permitted: Permitted,
        limit_ms: u64,
        now: protocol::Time,
    ) -> RunPlan {
        let order = permitted.order.get();
        let info = trust::secret::info(&accepted.order, &order.agent, &self.id.card.endpoint);
        let secrets = permitted.dispatch.secrets.clone();
        let secrets = secrets.map(|sealed| SealedSecrets { sealed, info: Bytes(info) });
        let value = |value: ParamValue| match value {
            ParamValue::Bool(b) => Value::Bool(b),
            ParamValue::Int(n) => Value::Int(n),
            ParamValue::Text(text) => Value::Text(text),
        };
        let grants = permitted.grants.into_iter();
        let lines = permitted.plan.as_ref().and_then(|lines| protocol::json::write(lines).ok());
        RunPlan {
            run: accepted.run,
            permit: permitted.permit,
            executor: ExecutorStart {
                run: accepted.run,
                mode: order.mode,
                risk: permitted.manifest.risk,
                grants: grants.map(|(function, nouns)| Grant { function, nouns }).collect(),
                classes: accepted.classes.clone(),
                plan: lines.map(Bytes),
                secrets: std::collections::BTreeMap::new(),
                limit_ms,
                exceptions: self.id.exceptions,
                now,
            },
            interpreter: ToInterpreter::Start {
                source: permitted.source,
                mode: order.mode,
                parameters: permitted.parameters.into_iter().map(|(k, v)| (k, value(v))).collect(),
                limit_ms,
            },
            secrets,
        }
    }

    pub(super) fn take_recall(
        &mut self,
        line: Line,
        bytes: &Bytes,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        if self.is_too_bad(line, now) {
            return session::stop(line, Stop::Rate, out);
        }
        let time = self.trusted_time(now);
        let Some(trusted) = &self.trusted else { return session::stop(line, Stop::Stale, out) };
        let envelope = Envelope::read(&bytes.0).ok();
        let opened = envelope.and_then(|e| authorize::recall(&e, &trusted.policy, time));
        let Some(opened) = opened else { return self.no_seal(line, now, out) };
        let (recall, lent) = (opened.document, opened.session.is_some());
        let run = self.runs.values().find(|run| run.accepted.order == recall.order);
        let may = run
            .is_none_or(|run| may_recall(&recall.agent, &run.order.agent, &trusted.policy, time));
        // A session key takes back its person's own orders only; of one that never came here nobody
        // can tell whose it is.
        let own = match run {
            Some(run) => run.order.agent == recall.agent,
            None => self.index.accepted(&recall.order).is_some(),
        };
        if !may || lent && !own {
            return session::stop(line, Stop::NotYours, out);
        }
        let run = run.map(|run| run.accepted.run);
        // Written down once; an order that already ended has nothing left to take back.
        let known = self.index.recalled(&recall.order).any(|by| *by == recall.agent);
        let ended = run.is_none() && self.index.accepted(&recall.order).is_some();
        if !known && !ended && recall.scope == RecallScope::CancelRun {
            if !self.recall_budget(&recall.agent, now) {
                return session::stop(line, Stop::Rate, out);
            }
            let (order, by) = (recall.order, recall.agent.clone());
            self.append(Entry::Recalled { order, by, at: time }, out);
        }
        if let Some(run) = run.filter(|_| recall.scope == RecallScope::CancelRun) {
            let reason = recall.reason.chars().take(limits::REASON_CHARS_MAX).collect::<String>();
            self.cancel(run, format!("recalled by {}: {reason}", recall.agent), now, out);
        }
        session::answer(line, &Answer::Recalled { was_running: run.is_some() }, out);
        session::finish(line, out);
    }

    /// Recalls of orders that never came are written down too: as many in a minute as refusals.
    fn recall_budget(&mut self, agent: &protocol::AgentName, now: Stamp) -> bool {
        let times = self.refusals.entry(agent.clone()).or_default();
        let free = recent(times, now.mono_ms) < limits::REFUSALS_A_MINUTE;
        times.push_back(now.mono_ms);
        free
    }
}
