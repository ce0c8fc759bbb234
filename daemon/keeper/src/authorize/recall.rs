//! Who may take an order back: its agent, or a lead or administrator of policy. Never the gate.

use policy::Policy;
use protocol::documents::Recall;
use protocol::{AgentName, Envelope, Time};
use trust::{Verified, seal};

/// Whether this person may recall an order of that agent.
#[must_use]
pub fn may_recall(by: &AgentName, agent: &AgentName, policy: &Policy, now: Time) -> bool {
    policy.may_recall(by, agent, now)
}

/// A recall whose seal is by the person it names. Whether that person may is asked per order.
#[must_use]
pub fn recall(envelope: &Envelope, policy: &Policy, now: Time) -> Option<Verified<Recall>> {
    // Unverified: only to find out whose key must have signed.
    let name = seal::peek::<Recall>(envelope).ok()?.agent;
    let person = policy.person(&name).filter(|person| !policy.is_withdrawn(person, now))?;
    seal::open_one::<Recall>(envelope, &person.signing_key?).ok()
}
