//! What an agent signs: from a wish to an order, and what a recall says.

use std::collections::BTreeSet;

use policy::{Facts, Forecast, Glass, Policy};
use protocol::documents::{
    Asked, ConsentStatement, Identified, Order, Recall, RecallScope, ScriptRef, SessionKey,
    TicketAttestation,
};
use protocol::{
    AgentName, Digest, EndpointId, Envelope, Label, Manifest, Mode, OrderId, ParamKind, ParamValue,
    Params, PublicKey, Refusal, Risk, TicketId, Time, limits,
};
use store::{CodeFor, EndpointRow, TicketRow};
use trust::catalogue::ScriptEntry;
use trust::{Signer as _, SigningKey, Verified};
use zeroize::Zeroizing;

use super::RunError;
use crate::approvals::Approved;
use crate::chance::fresh;
use crate::home::Online;
use crate::org::Desk;
use crate::session::Agent;

/// Life of an order that is sent at once, seconds: time to wait behind another run.
const ORDER_SECONDS: u64 = 3600;

/// What an agent wants to have run on one endpoint.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which script version, from the catalogue.
    pub script: ScriptEntry,
    /// How.
    pub mode: Mode,
    /// Where.
    pub endpoint: EndpointRow,
    /// With what; checked by [`parameters`].
    pub parameters: Params,
    /// For which ticket.
    pub ticket: Option<TicketId>,
    /// What that ticket says, where it is ours to attest.
    pub ticket_row: Option<TicketRow>,
    /// Why, in the agent's words.
    pub reason: String,
    /// How the person was identified.
    pub identified: Option<Identified>,
    /// What the agent states that the person answered, or that a plan asks.
    pub consent: Option<ConsentStatement>,
    /// What came of asking at the machine about the plan that binds this fix; only the endpoint's own
    /// account of it counts there.
    pub asked: Option<Asked>,
    /// The break-glass key that stands in for approvals.
    pub break_glass: Option<Label>,
    /// The plan that was shown and that binds this fix.
    pub plan: Option<Digest>,
    /// The order that other people approved: it is sent as they saw it.
    pub approved: Option<Approved>,
}

/// Reads `--arg name=value` pairs by the manifest's kinds and checks them as the endpoint will.
///
/// # Errors
/// The refusal that the endpoint would give; it names the parameter, never its value.
pub fn parameters(
    manifest: &Manifest,
    given: &[(String, String)],
    policy: &Policy,
) -> Result<Params, Refusal> {
    let mut params = Params::new();
    for (name, text) in given {
        let kind = manifest.parameters.get(name).map(|spec| spec.kind);
        let value = match (kind, text.as_str()) {
            (Some(ParamKind::Bool), "yes" | "true") => ParamValue::Bool(true),
            (Some(ParamKind::Bool), "no" | "false") => ParamValue::Bool(false),
            (Some(ParamKind::Int), digits) => match digits.parse() {
                Ok(number) => ParamValue::Int(number),
                // Left as text, so that the check below says what it takes.
                Err(_) => ParamValue::Text(text.clone()),
            },
            _ => ParamValue::Text(text.clone()),
        };
        params.insert(name.clone(), value);
    }
    policy::check_parameters(manifest, &params, policy)
}

/// What policy would say to this wish, as far as the desk knows, had these people approved it. Never a
/// permit.
#[must_use]
pub fn forecast(
    agent: &Agent,
    wish: &Wish,
    attested: bool,
    approved: &[AgentName],
    now: Time,
) -> Forecast {
    let mut facts = facts(agent, wish, attested, now);
    facts.approved_by.extend(approved.iter().cloned());
    policy::forecast(&facts, &agent.policy)
}

/// As [`forecast`], for an order that waits: a key made for it signs its dispatch.
#[must_use]
pub fn forecast_waiting(agent: &Agent, wish: &Wish, attested: bool, now: Time) -> Forecast {
    let secrets = wish.script.manifest.permissions.contains_key("secret.one_time");
    let facts = Facts { own_key: false, secrets, ..facts(agent, wish, attested, now) };
    policy::forecast(&facts, &agent.policy)
}

/// Whether every change that the script may make can be taken back exactly; none where it may
/// change nothing.
#[must_use]
pub fn can_be_undone(manifest: &Manifest) -> Option<bool> {
    let rows = manifest.permissions.keys().map(|name| surface::find(name));
    let actions: Vec<_> =
        rows.filter(|row| row.is_none_or(|row| row.kind == surface::Kind::Action)).collect();
    let full = |row: &Option<&surface::Row>| {
        row.is_some_and(|row| matches!(row.undo, surface::Undo::Full))
    };
    (!actions.is_empty()).then(|| actions.iter().all(full))
}

pub(crate) fn facts(agent: &Agent, wish: &Wish, attested: bool, now: Time) -> Facts {
    Facts {
        agent: agent.name.clone(),
        script: wish.script.manifest.name.clone(),
        risk: wish.script.risk,
        mode: wish.mode,
        consent: wish.script.manifest.consent,
        labels: wish.endpoint.labels.clone(),
        ticket: wish.ticket.is_some(),
        attested,
        identified: wish.identified.is_some(),
        // A code is asked for before anything is sent, and an attestation says so.
        identity_checked: attested && wish.identified == Some(Identified::Code),
        answer: wish.consent.as_ref().map(|consent| consent.answer),
        asked: wish.asked.clone(),
        planned: wish.plan.is_some(),
        approved_by: match &wish.approved {
            Some(approved) => approved.by.clone(),
            None => BTreeSet::new(),
        },
        glass: wish.break_glass.clone().map(|key| Glass { key, reason: wish.reason.clone() }),
        // The dispatch of an order that does not wait is signed with the agent's own key.
        own_key: true,
        // Where policy would not let a session key sign, the own key does.
        session: None,
        secrets: false,
        at: now,
        // With their presets: [`parameters`] filled them in.
        parameters: wish.parameters.clone(),
    }
}

/// The order and its envelope under the agent's key, good for this endpoint only; with approvals
/// where it was approved before.
///
/// # Errors
/// [`RunError::Chance`], [`RunError::Seal`].
pub fn order(
    agent: &Agent,
    wish: &Wish,
    now: Time,
) -> Result<(Order, Envelope, Vec<Envelope>), RunError> {
    if let Some(Approved { order, sealed, approvals, .. }) = &wish.approved {
        return Ok((order.clone(), sealed.clone(), approvals.clone()));
    }
    let seconds = ORDER_SECONDS.min(longest(agent));
    // A session's last hour is used, too: an order that is sent at once needs minutes.
    let session = session_for(agent, wish, now, now.plus(limits::DISPATCH_SECONDS_MAX));
    let key = session.map_or(agent.signing.public_key(), |session| session.says.key);
    let left = session.map_or(seconds, |session| session.says.not_after.since(now));
    let (order, sealed) = sealed(agent, wish, (key, key), (now, seconds.min(left)))?;
    Ok((order, sealed, Vec::new()))
}

/// The session key, where policy lets it sign this wish and it lives until then. What asks other
/// people is signed with the own key: the session may be over when they have answered.
fn session_for<'a>(
    agent: &'a Agent,
    wish: &Wish,
    now: Time,
    until: Time,
) -> Option<&'a crate::home::Session> {
    let facts = facts(agent, wish, false, now);
    let rule = policy::deciding(&facts, &agent.policy)?;
    let secrets = wish.script.manifest.permissions.contains_key("secret.one_time");
    let may = rule.session_key && !rule.own_key && rule.approvals == 0 && !secrets;
    agent.signing.session_for(facts.risk, until).filter(|_| may)
}

/// Whether an order for this wish, waiting for `seconds` or sent at once, asks for the agent's own key.
#[must_use]
pub fn wants_own_key(agent: &Agent, wish: &Wish, wait: Option<u64>, now: Time) -> bool {
    let seconds = wait.map_or(limits::DISPATCH_SECONDS_MAX, |wait| wait.min(longest(agent)));
    session_for(agent, wish, now, now.plus(seconds)).is_none()
}

/// The longest life of an order that policy and protocol allow, seconds.
#[must_use]
pub fn longest(agent: &Agent) -> u64 {
    agent.policy.file().limits.order_seconds.min(limits::ORDER_SECONDS_MAX)
}

/// An order that waits for `seconds`, and the seed of the key made for its dispatch: for the desk
/// that keeps both.
///
/// # Errors
/// As [`order`].
pub fn waiting_order(
    agent: &Agent,
    wish: &Wish,
    seconds: u64,
    now: Time,
) -> Result<(Envelope, Zeroizing<[u8; 32]>), RunError> {
    let seed = Zeroizing::new(fresh::<32>()?);
    let dispatch_key = SigningKey::from_seed(*seed).public_key();
    let seconds = seconds.min(longest(agent));
    let session = session_for(agent, wish, now, now.plus(seconds));
    let key = session.map_or(agent.signing.public_key(), |session| session.says.key);
    let (_, envelope) = sealed(agent, wish, (key, dispatch_key), (now, seconds))?;
    Ok((envelope, seed))
}

/// An order under no key of an agent that the policy lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is not sealed by an agent that the policy lists")]
pub struct Unsealed;

/// An order under its agent's key, as the policy lists that person now, or under a session key that
/// this person lent it to.
///
/// # Errors
/// [`Unsealed`].
pub(crate) fn open_order(
    envelope: &Envelope,
    policy: &Policy,
    now: Time,
) -> Result<Verified<Order>, Unsealed> {
    // Unverified: only to find out whose key must have signed.
    let claimed: Order = trust::seal::peek(envelope).map_err(|_| Unsealed)?;
    let person = policy.person(&claimed.agent).ok_or(Unsealed)?;
    let key = person.signing_key.as_ref().ok_or(Unsealed)?;
    if policy.is_withdrawn(person, now) {
        return Err(Unsealed);
    }
    let opened = trust::open_by_person::<Order>(envelope, key).map_err(|_| Unsealed)?;
    let order = opened.document;
    let good = |session: &Verified<SessionKey>| {
        let life = policy::check_session_life(session, order.not_before, order.not_after);
        !policy.is_denied_key(&session.key) && life.is_ok()
    };
    if opened.session.as_ref().is_none_or(good) { Ok(order) } else { Err(Unsealed) }
}

fn sealed(
    agent: &Agent,
    wish: &Wish,
    (key, dispatch_key): (PublicKey, PublicKey),
    (now, seconds): (Time, u64),
) -> Result<(Order, Envelope), RunError> {
    let order = Order {
        id: OrderId(fresh()?),
        agent: agent.name.clone(),
        dispatch_key,
        script: ScriptRef {
            name: wish.script.manifest.name.clone(),
            version: wish.script.manifest.version,
            digest: wish.script.digest,
        },
        mode: wish.mode,
        parameters: wish.parameters.clone(),
        targets: vec![wish.endpoint.id],
        ticket: wish.ticket.clone(),
        reason: wish.reason.chars().take(limits::REASON_CHARS_MAX).collect(),
        identified: wish.identified.clone(),
        consent: wish.consent.clone(),
        break_glass: wish.break_glass.clone(),
        plan: wish.plan,
        catalogue: agent.catalogue.versions(),
        not_before: now,
        not_after: now.plus(seconds),
        session_key: agent.signing.paper(&key),
    };
    let envelope = trust::seal::seal(&order, &[agent.signing.holder(&key)])?;
    Ok((order, envelope))
}

/// The desk's word for a ticket of the built-in system, and for who is calling where an order rests on it;
/// none where this home cannot give it.
///
/// # Errors
/// [`RunError::Attest`] where the key is there and cannot be used.
pub fn attest(
    desk: &Desk,
    wish: &Wish,
    order: Option<&Order>,
    now: Time,
) -> Result<Option<Envelope>, RunError> {
    let (Some(ticket), Some(row)) = (&wish.ticket, &wish.ticket_row) else { return Ok(None) };
    // The wish may be older than the ticket: somebody may have closed it while a plan was read.
    let fresh = crate::inventory::find_ticket(&desk.store, ticket.as_str()).ok();
    attest_ticket(
        desk,
        (ticket, fresh.as_ref().map_or(row, |(_, row)| row)),
        order.map(|order| (order, now)),
        now,
    )
}

/// What a ticket is now, under the desk's ticket key, and whether who is calling was checked for this order;
/// none where the key is not here. Beside the order stands when it came to this desk: what it says of itself
/// is the agent's word.
///
/// # Errors
/// [`RunError::Attest`] where the key is there and cannot be used; the store's own.
pub fn attest_ticket(
    desk: &Desk,
    (ticket, row): (&TicketId, &TicketRow),
    order: Option<(&Order, Time)>,
    now: Time,
) -> Result<Option<Envelope>, RunError> {
    let key = match desk.home.online_key(Online::Ticket) {
        Ok(key) => key,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(RunError::Attest(error)),
    };
    let said = |(order, _): &(&Order, Time)| order.identified == Some(Identified::Code);
    let identity_checked = match order.filter(said) {
        Some((Order { agent, script, not_before, targets, .. }, came)) => {
            let of = CodeFor { ticket, agent, script: &script.name };
            let endpoint = match targets.as_slice() {
                [one] => Some(*one),
                _ => None,
            };
            let check = desk.store.here()?.identity_check(of, endpoint, *not_before)?;
            check.filter(|check| check.is_fresh(came))
        }
        None => None,
    };
    let attestation = TicketAttestation {
        ticket: ticket.clone(),
        assignee: row.assignee.clone(),
        endpoints: row.endpoint.into_iter().collect::<Vec<EndpointId>>(),
        state: row.state,
        issued: now,
        not_after: now.plus(limits::ATTESTATION_SECONDS),
        identity_checked,
    };
    Ok(Some(trust::seal::seal(&attestation, &[&key])?))
}

/// A recall of one run, signed by this agent: with the session key where there is one and the run is
/// the agent's `own`.
///
/// # Errors
/// [`RunError::Seal`].
pub fn recall(
    agent: &Agent,
    (order, own): (Digest, bool),
    reason: &str,
    now: Time,
) -> Result<Envelope, RunError> {
    let session = agent.signing.session_for(Risk::Low, now.plus(limits::CLOCK_SKEW_SECONDS));
    let session = session.filter(|_| own);
    let key = session.map_or(agent.signing.public_key(), |session| session.says.key);
    let recall = Recall {
        order,
        agent: agent.name.clone(),
        scope: RecallScope::CancelRun,
        reason: reason.chars().take(limits::REASON_CHARS_MAX).collect(),
        issued: now,
        session_key: agent.signing.paper(&key),
    };
    Ok(trust::seal::seal(&recall, &[agent.signing.holder(&key)])?)
}
