//! Who may take an order back: its agent, or a lead or administrator of policy. Never the gate.

use policy::{Policy, check_session_life};
use protocol::documents::Recall;
use protocol::{AgentName, Envelope, Time};
use trust::{ByPerson, open_by_person, seal};

/// Whether this person may recall an order of that agent.
#[must_use]
pub fn may_recall(by: &AgentName, agent: &AgentName, policy: &Policy, now: Time) -> bool {
    policy.may_recall(by, agent, now)
}

/// A recall whose seal is by the person it names, or by a session key that this person's key lent its
/// right to and that is good now. Whether that person may is asked per order.
#[must_use]
pub fn recall(envelope: &Envelope, policy: &Policy, now: Time) -> Option<ByPerson<Recall>> {
    // Unverified: only to find out whose key must have signed.
    let name = seal::peek::<Recall>(envelope).ok()?.agent;
    let person = policy.person(&name).filter(|person| !policy.is_withdrawn(person, now))?;
    let opened = open_by_person::<Recall>(envelope, &person.signing_key?).ok()?;
    let good = opened.session.as_ref().is_none_or(|session| {
        let issued = opened.document.issued;
        !policy.is_denied_key(&session.key)
            && check_session_life(session, issued, issued.max(now)).is_ok()
    });
    good.then_some(opened)
}
