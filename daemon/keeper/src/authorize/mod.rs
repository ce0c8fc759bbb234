//! `authorize`: one pure function from documents and state to a verdict. The first check that fails
//! is the reason; nothing is changed here, nothing is started here.
//!
//! Order of the checks, each with its refusal:
//!  1. the order's seal by the key that policy lists for its agent, or by a session key whose paper
//!     that key sealed, the dispatch's by the key the order names: else [`Verdict::NoSeal`], which is
//!     counted and not recorded; an order sealed by another known person is `signer-mismatch`
//!  2. `signer-withdrawn`
//!  3. `wrong-endpoint`, `dispatch-mismatch`
//!  4. `already-run`, `order-id-reused`, `recalled`: before the challenge, so that a replay is told
//!     as what it is
//!  5. `challenge-unknown`, `challenge-used`
//!  6. `rate-limited`
//!  7. `dispatch-expired`, `order-too-long`, `not-yet-valid`, `order-expired`; `session-key` where the
//!     order does not lie within the session key's life
//!  8. `catalogue-behind`; the script: `script-unknown`, `script-digest`, `script-withdrawn`;
//!     `catalogue-expired` for the roles it rests on; `script-vetters`, `script-risk`, `platform`,
//!     `mode-unsupported`
//!  9. parameters
//! 10. the plan: `plan-unknown`, `plan-mismatch`
//! 11. the ticket's attestation, where one came: it can only narrow
//! 12. policy's decision with approvals, identity, consent, dispatch key, session key; `break-glass`: an
//!     order that says so must come with the paper of that key
//! 13. `no-reserve`, `busy`
//!
//! Thresholds over people were checked when the catalogue was taken: one that fails them is not
//! trusted at all. Here they are counted again without those whom policy has withdrawn since.

mod challenge;
mod recall;
mod script;
mod seals;
mod support;

use policy::{Decision, Facts, Permit, Policy, check_session_life, decide};
use protocol::documents::{Asked, Card, Dispatch, IdentityCheck, Order, SessionKey};
use protocol::{BusyWith, Envelope, Manifest, Mode, Params, Plan, PlanLine, Refusal, Time, limits};
use std::collections::BTreeMap;
use trust::Verified;
use trust::catalogue::Catalogue;

pub(crate) use script::vetters;

pub use challenge::{Challenges, Pair};
pub use recall::{may_recall, recall};

use crate::ledger::Index;
use crate::plans::Plans;

/// What came with one submission. Nothing of it is believed yet.
#[derive(Debug)]
pub struct Submission {
    /// The order.
    pub order: Envelope,
    /// The dispatch.
    pub dispatch: Envelope,
    /// The ticket attestation.
    pub attestation: Option<Envelope>,
    /// Approvals.
    pub approvals: Vec<Envelope>,
}

/// What the endpoint knows when it is asked.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// Its own card.
    pub card: &'a Card,
    /// Its platform, as in `linux`.
    pub platform: &'a str,
    /// The trusted catalogue, current when the order arrived.
    pub catalogue: &'a Catalogue,
    /// The policy in it.
    pub policy: &'a Policy,
    /// The ledger's sum.
    pub index: &'a Index,
    /// Challenges of the session that it came on.
    pub challenges: &'a Challenges,
    /// Kept plans.
    pub plans: &'a Plans,
    /// Orders of each agent in the last minute.
    pub recent: &'a BTreeMap<protocol::AgentName, u32>,
    /// Who keeps the endpoint busy where no more changing runs can wait, and where no more looks.
    pub busy: (Option<&'a BusyWith>, Option<&'a BusyWith>),
    /// Whether there is room to write down what a run does.
    pub reserve: bool,
    /// The trusted time: never before the floor.
    pub now: Time,
    /// Monotonic milliseconds, for challenges.
    pub mono_ms: u64,
}

/// Everything a permitted run needs.
#[derive(Debug)]
pub struct Permitted {
    /// The order.
    pub order: Verified<Order>,
    /// Its dispatch.
    pub dispatch: Verified<Dispatch>,
    /// Policy's yes.
    pub permit: Permit,
    /// The script's manifest.
    pub manifest: Manifest,
    /// The script's vetted source.
    pub source: String,
    /// Parameters with presets.
    pub parameters: Params,
    /// Permissions with parameters filled in.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The plan's lines that bind this fix.
    pub plan: Option<Vec<PlanLine>>,
    /// What the person at the machine had said to that plan.
    pub asked: Option<Asked>,
    /// The desk's word that it checked who is calling.
    pub identity_checked: Option<IdentityCheck>,
}

/// What `authorize` says.
#[derive(Debug)]
pub enum Verdict {
    /// No agent signed this: counted, not recorded.
    NoSeal,
    /// A person that policy knows signed it, and it may not run.
    Refused {
        /// The order.
        order: Box<Verified<Order>>,
        /// The dispatch, for its challenge and number.
        dispatch: Box<Verified<Dispatch>>,
        /// Why not.
        refusal: Refusal,
    },
    /// It may run.
    Permitted(Box<Permitted>),
}

/// Decides over one submission.
#[must_use]
pub fn authorize(submission: &Submission, state: &State<'_>) -> Verdict {
    let Some(opened) = seals::open(submission, state.policy) else { return Verdict::NoSeal };
    let (order, dispatch) = (opened.order, opened.dispatch);
    let session = opened.session.as_ref().map(Verified::get);
    let refused = opened.mismatch.map(Err).unwrap_or(Ok(()));
    let decided = refused
        .and_then(|()| signer(&order, session, state))
        .and_then(|()| standing(&order, &dispatch, state))
        .and_then(|()| times(&order, &dispatch, state))
        .and_then(|()| {
            session.map_or(Ok(()), |session| {
                check_session_life(session, order.not_before, order.not_after)
            })
        })
        .and_then(|()| script::check(&order, state))
        .and_then(|found| {
            let plan = plan(&order, state)?;
            let over = (plan, &found.parameters);
            let attested = submission.attestation.as_ref();
            let attested = support::attested(attested, (&order, session), state)?;
            let (sent, sealed) = ((submission, &attested), (&order, session));
            let facts = facts(sent, sealed, &dispatch, &found.manifest, over, state)?;
            match decide(&facts, state.policy) {
                Decision::Refuse(refusal) => Err(refusal),
                Decision::Permit(permit) => {
                    room(&order, state).map(|()| (found, plan, permit, attested.identity))
                }
            }
        });
    match decided {
        Err(refusal) => {
            Verdict::Refused { order: Box::new(order), dispatch: Box::new(dispatch), refusal }
        }
        Ok((found, plan, permit, identity_checked)) => Verdict::Permitted(Box::new(Permitted {
            asked: plan.and_then(|plan| asked(plan, &order)),
            order,
            dispatch,
            permit,
            manifest: found.manifest,
            source: found.source,
            parameters: found.parameters,
            grants: found.grants,
            plan: plan.map(|plan| plan.lines.clone()),
            identity_checked,
        })),
    }
}

/// Check 2: whoever is withdrawn has lent nothing to a session key either.
fn signer(order: &Order, session: Option<&SessionKey>, state: &State<'_>) -> Result<(), Refusal> {
    let person = state.policy.person(&order.agent);
    if person.is_none_or(|person| state.policy.is_withdrawn(person, state.now))
        || state.policy.is_denied_key(&order.dispatch_key)
        || session.is_some_and(|session| state.policy.is_denied_key(&session.key))
    {
        return Err(Refusal::SignerWithdrawn);
    }
    Ok(())
}

/// Checks 3 to 6: where, whether it was here before, how often.
fn standing(
    order: &Verified<Order>,
    dispatch: &Verified<Dispatch>,
    state: &State<'_>,
) -> Result<(), Refusal> {
    let targets = order.targets.len();
    if targets > limits::TARGETS_MAX || !order.targets.contains(&state.card.endpoint) {
        return Err(Refusal::WrongEndpoint);
    }
    if dispatch.order != order.digest() || dispatch.endpoint != state.card.endpoint {
        return Err(Refusal::DispatchMismatch);
    }
    if let Some(run) = state.index.accepted(&order.digest()) {
        return Err(Refusal::AlreadyRun { run });
    }
    if state.index.order_with(&order.id).is_some() {
        return Err(Refusal::OrderIdReused);
    }
    let may = |by| may_recall(by, &order.agent, state.policy, state.now);
    if state.index.recalled(&order.digest()).any(may) {
        return Err(Refusal::Recalled);
    }
    match state.challenges.look(&dispatch.challenge, dispatch.number, state.mono_ms) {
        Pair::Fresh => {}
        Pair::Unknown => return Err(Refusal::ChallengeUnknown),
        Pair::Used => return Err(Refusal::ChallengeUsed),
    }
    let recent = state.recent.get(&order.agent).copied().unwrap_or(0);
    if recent >= state.policy.file().limits.orders_a_minute {
        return Err(Refusal::RateLimited);
    }
    Ok(())
}

/// Check 7. A live dispatch is bound by its challenge, not by a clock: only its length is checked.
fn times(order: &Order, dispatch: &Dispatch, state: &State<'_>) -> Result<(), Refusal> {
    if dispatch.not_after < dispatch.issued
        || dispatch.not_after.since(dispatch.issued) > limits::DISPATCH_SECONDS_MAX
    {
        return Err(Refusal::DispatchExpired);
    }
    let longest = state.policy.file().limits.order_seconds.min(limits::ORDER_SECONDS_MAX);
    if order.not_after.since(order.not_before) > longest {
        return Err(Refusal::OrderTooLong);
    }
    if order.not_before > state.now.plus(limits::CLOCK_SKEW_SECONDS) {
        return Err(Refusal::NotYetValid { not_before: order.not_before });
    }
    if order.not_after < order.not_before || state.now > order.not_after {
        return Err(Refusal::OrderExpired { not_after: order.not_after });
    }
    Ok(())
}

/// Check 10: a fix that names a plan is held to the one this endpoint made.
fn plan<'a>(order: &Order, state: &State<'a>) -> Result<Option<&'a Plan>, Refusal> {
    let Some(digest) = order.plan.filter(|_| order.mode == Mode::Fix) else { return Ok(None) };
    let plan = state.plans.get(&digest, state.now).ok_or(Refusal::PlanUnknown)?;
    let same = plan.script == order.script.name
        && plan.script_digest == order.script.digest
        && plan.endpoint == state.card.endpoint
        && Some(plan.parameters) == crate::record::parameters_digest(&order.parameters);
    if same { Ok(Some(plan)) } else { Err(Refusal::PlanMismatch) }
}

/// What the person said to that plan, as far as it is about this order.
fn asked(plan: &Plan, order: &Order) -> Option<Asked> {
    let asked = plan.asked.clone()?;
    asked.counts_for(&order.agent, order.ticket.as_ref()).then_some(asked)
}

/// What check 12 wants to know.
fn facts(
    (submission, attested): (&Submission, &support::Attested),
    (order, session): (&Verified<Order>, Option<&SessionKey>),
    dispatch: &Dispatch,
    manifest: &Manifest,
    (plan, parameters): (Option<&Plan>, &Params),
    state: &State<'_>,
) -> Result<Facts, Refusal> {
    let approved_by = support::approved_by(&submission.approvals, order, state)?;
    let glass = support::glass(&submission.approvals, order, state)?;
    let person = state.policy.person(&order.agent);
    let own = person.is_some_and(|person| person.signing_key == Some(order.dispatch_key));
    Ok(Facts {
        agent: order.agent.clone(),
        script: manifest.name.clone(),
        risk: manifest.risk,
        mode: order.mode,
        consent: manifest.consent,
        labels: state.card.labels.clone(),
        ticket: order.ticket.is_some(),
        attested: attested.vouches,
        identified: order.identified.is_some(),
        identity_checked: attested.identity.is_some(),
        answer: support::answer(order, manifest),
        asked: plan.and_then(|plan| asked(plan, order)),
        planned: plan.is_some(),
        approved_by,
        glass,
        own_key: own && session.is_none(),
        session: session.map(|session| session.risk),
        secrets: dispatch.secrets.is_some() || manifest.permissions.contains_key("secret.one_time"),
        at: state.now,
        parameters: parameters.clone(),
    })
}

/// Check 13.
fn room(order: &Order, state: &State<'_>) -> Result<(), Refusal> {
    if !state.reserve {
        return Err(Refusal::NoReserve);
    }
    let busy = if order.mode.mutates() { state.busy.0 } else { state.busy.1 };
    busy.map_or(Ok(()), |by| Err(Refusal::Busy { by: by.clone() }))
}
