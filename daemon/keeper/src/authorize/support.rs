//! What supports an order: attestation, approvals, consent. It can only narrow; it never replaces
//! the agent's seal.

use std::collections::BTreeSet;

use policy::Glass;
use protocol::documents::{
    Approval, BreakGlass, ConsentAnswer, Identified, IdentityCheck, Order, SessionKey,
    TicketAttestation, TicketState,
};
use protocol::{AgentName, Envelope, Manifest, Refusal, limits};
use trust::{Verified, seal};

use super::State;

/// What an attestation came to.
#[derive(Debug, Default)]
pub(super) struct Attested {
    /// It vouches for this agent and endpoint.
    pub(super) vouches: bool,
    /// It says that the desk checked who is calling.
    pub(super) identity: Option<IdentityCheck>,
}

/// What the attestation says, if one came. One that does not fit is a refusal, whatever the rules want.
pub(super) fn attested(
    envelope: Option<&Envelope>,
    (order, session): (&Order, Option<&SessionKey>),
    state: &State<'_>,
) -> Result<Attested, Refusal> {
    let Some(envelope) = envelope else { return Ok(Attested::default()) };
    let bad = |because: &str| Refusal::TicketAttestation { because: because.to_owned() };
    let keys = state.policy.ticket_keys();
    let opened =
        keys.iter().find_map(|key| seal::open_one::<TicketAttestation>(envelope, key).ok());
    let said = opened.ok_or_else(|| bad("not signed by a ticket key of policy"))?;
    let ticket = order.ticket.as_ref().filter(|ticket| **ticket == said.ticket);
    let ticket = ticket.ok_or_else(|| bad("it is about another ticket"))?;
    if said.state == TicketState::Closed {
        return Err(Refusal::TicketClosed { ticket: ticket.clone() });
    }
    if said.not_after.since(said.issued) > limits::ATTESTATION_SECONDS {
        return Err(bad("it lives longer than allowed"));
    }
    if said.issued > state.now.plus(limits::CLOCK_SKEW_SECONDS) {
        return Err(bad("it is not valid yet"));
    }
    if state.now > said.not_after {
        return Err(bad("it has expired"));
    }
    let mine = said.assignee.as_ref() == Some(&order.agent);
    if said.assignee.is_some() && !mine {
        return Err(bad("the ticket is assigned to somebody else"));
    }
    let here = said.endpoints.contains(&state.card.endpoint);
    if !said.endpoints.is_empty() && !here {
        return Err(bad("the ticket names another endpoint"));
    }
    let said = said.get();
    // Signed again for this very connection by whoever ordered: it does not wait anywhere.
    let person = state.policy.person(&order.agent);
    let own = person.is_some_and(|person| person.signing_key == Some(order.dispatch_key))
        || session.is_some_and(|session| session.key == order.dispatch_key);
    let checked =
        said.identity_checked.as_ref().map(|check| checked(check, said, (order, own), state));
    let identity = checked.transpose().map_err(bad)?;
    // One that names nobody or nothing narrows nothing, and vouches for nothing either.
    Ok(Attested { vouches: mine && here, identity })
}

/// A check of who is calling counts for the order that it was made for: another one is a refusal, as with
/// all that an attestation says.
fn checked(
    check: &IdentityCheck,
    said: &TicketAttestation,
    (order, own): (&Order, bool),
    state: &State<'_>,
) -> Result<IdentityCheck, &'static str> {
    if order.identified != Some(Identified::Code) {
        return Err("it says that a code was checked, and the order does not");
    }
    if check.agent != order.agent {
        return Err("its identity check was made for another agent");
    }
    if check.script != order.script.name {
        return Err("its identity check was made for another script");
    }
    if check.endpoint.is_some_and(|named| named != state.card.endpoint) {
        return Err("its identity check was made for another endpoint");
    }
    // When an order begins is what its agent says. One that waited came to the desk in that hour, by the
    // word of the desk that attests it now.
    let fresh = !own || check.is_fresh(state.now);
    if !check.supports(order.not_before) || check.at > said.issued || !fresh {
        return Err("its identity check is not of the hour before the order");
    }
    if !check.is_bounded() {
        return Err("its identity check has too many words");
    }
    Ok(check.clone())
}

/// People whose approval of this very order and plan holds; that they are others than the agent is
/// policy's to check. A good no is a refusal.
pub(super) fn approved_by(
    envelopes: &[Envelope],
    order: &Verified<Order>,
    state: &State<'_>,
) -> Result<BTreeSet<AgentName>, Refusal> {
    let mut yes = BTreeSet::new();
    for envelope in envelopes.iter().take(limits::SIGNATURES_MAX) {
        // Unverified: only to find out whose key must have signed.
        let Ok(claim) = seal::peek::<Approval>(envelope) else { continue };
        let Some(person) = state.policy.person(&claim.person) else { continue };
        if state.policy.is_withdrawn(person, state.now) {
            continue;
        }
        let Some(key) = person.signing_key else { continue };
        let Ok(approval) = seal::open_one::<Approval>(envelope, &key) else { continue };
        let fits = approval.order == order.digest()
            && Some(approval.plan) == order.plan
            && state.now <= approval.not_after;
        if !fits {
            continue;
        }
        if !approval.yes {
            let because = format!("{} said no", approval.person);
            return Err(Refusal::NotAllowed { because });
        }
        yes.insert(approval.person.clone());
    }
    Ok(yes)
}

/// The break-glass key that the order names, where its paper is about this very order and plan. An
/// order that says that it breaks glass and does not is a refusal; a paper without such an order is
/// nothing. That the key is nobody's own is the policy's invariant (one-key-one-owner).
pub(super) fn glass(
    envelopes: &[Envelope],
    order: &Verified<Order>,
    state: &State<'_>,
) -> Result<Option<Glass>, Refusal> {
    let Some(name) = &order.break_glass else { return Ok(None) };
    let bad = |because: String| Refusal::BreakGlass { because };
    let known = state.policy.glass_key(name, state.now);
    let known = known.ok_or_else(|| bad(format!("policy lists no key {name} that counts now")))?;
    let fits = |envelope: &Envelope| {
        let paper = seal::open_one::<BreakGlass>(envelope, &known.key);
        paper.is_ok_and(|paper| {
            paper.order == order.digest()
                && Some(paper.plan) == order.plan
                && paper.key == *name
                && state.now <= paper.not_after
        })
    };
    if !envelopes.iter().take(limits::SIGNATURES_MAX).any(fits) {
        return Err(bad(format!("key {name} did not sign this order and plan")));
    }
    let reason = order.reason.chars().take(limits::REASON_CHARS_MAX).collect();
    Ok(Some(Glass { key: name.clone(), reason }))
}

/// What the person answered, where the question that was read is the script's own.
pub(super) fn answer(order: &Order, manifest: &Manifest) -> Option<ConsentAnswer> {
    let said = order.consent.as_ref()?;
    let same = manifest.question.as_ref().is_none_or(|question| *question == said.question);
    match said.answer {
        ConsentAnswer::Waived => Some(ConsentAnswer::Waived),
        ConsentAnswer::Spoken => same.then_some(ConsentAnswer::Spoken),
        // Wants a question put, and answers none.
        ConsentAnswer::Ask => None,
    }
}
