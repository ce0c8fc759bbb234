//! Who asks: the name that TLS proved, and what the signed policy says of it.

use std::fmt;

use evidence::Anchors;
use policy::Policy;
use protocol::{AgentName, PublicKey, Time};

/// People's keys, from lists that are signed.
pub trait People: fmt::Debug + Sync {
    /// What verifies a person's seals; `None` of whom the lists do not know.
    fn signing_key(&self, person: &AgentName) -> Option<PublicKey>;
}

impl People for Policy {
    fn signing_key(&self, person: &AgentName) -> Option<PublicKey> {
        self.person(person)?.signing_key
    }
}

impl People for Anchors {
    fn signing_key(&self, person: &AgentName) -> Option<PublicKey> {
        self.agents.get(person).map(|agent| agent.key)
    }
}

/// An agent at the other end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// As the certificate says.
    pub name: AgentName,
    /// Whether the policy lists an administrator's key of this person.
    pub administrator: bool,
}

impl Peer {
    /// The person behind a certificate's id; `None` where the policy does not know them, or does
    /// not count what they sign any more. Ask again whenever the policy is a new one.
    #[must_use]
    pub fn of(policy: &Policy, id: &str, now: Time) -> Option<Self> {
        let name: AgentName = id.parse().ok()?;
        let person = policy.person(&name)?;
        let counts = person.signing_key.is_some() && !policy.is_withdrawn(person, now);
        counts.then(|| Self { administrator: person.admin_key.is_some(), name })
    }
}
