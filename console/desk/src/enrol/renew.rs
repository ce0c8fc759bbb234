//! A new certificate for an endpoint that is enrolled, or for an agent who has joined: the same key, the
//! same id, another end.

use policy::Policy;
use protocol::documents::Card;
use protocol::{AgentName, Digest, PublicKey, Time};

use super::error::EnrolError;
use crate::chance::fresh;
use crate::home::{Home, Online, is_there};
use crate::org::not_before;

/// Makes a new leaf (DER) for the key of the one that an endpoint showed, where that ends within a
/// third of its life or has ended. None: it is not due, or this home does not hold the CA.
///
/// `card` is the endpoint's, verified; the certificate must be for its key.
///
/// # Errors
/// [`EnrolError::OtherKey`] where the certificate is not for the card's key; else the home's own.
pub fn renewed_certificate(
    home: &Home,
    card: &Card,
    shown: &[u8],
    now: Time,
) -> Result<Option<Vec<u8>>, EnrolError> {
    let facts = certs::read(shown)?;
    if Digest::of(&facts.spki) != card.tls_key {
        return Err(EnrolError::OtherKey { name: card.name.clone() });
    }
    let due = facts.not_after.since(now) <= certs::ENDPOINT_DAYS * certs::DAY / 3;
    if !due || !is_there(&home.online(Online::EndpointsCa)) {
        return Ok(None);
    }
    let end = now.plus(certs::ENDPOINT_DAYS * certs::DAY);
    let ca = home.ca(certs::Kind::Endpoints)?;
    let der = ca.issue_endpoint(&facts.spki, &card.endpoint, fresh()?, not_before(now), end)?;
    Ok(Some(der))
}

/// Makes a new leaf (DER) for the key of the one that an agent's console showed, where that ends within a
/// third of its life. None: it is not due, or this home does not hold the CA. That the agent counts is
/// the caller's to know.
///
/// # Errors
/// [`EnrolError::DeniedKey`] where the policy denies the key: a thief's certificate ends; else the
/// home's own.
pub fn renewed_agent(
    home: &Home,
    policy: &Policy,
    (agent, shown): (&AgentName, &[u8]),
    now: Time,
) -> Result<Option<Vec<u8>>, EnrolError> {
    let facts = certs::read(shown)?;
    let key = facts.spki.last_chunk::<32>().copied().map(PublicKey);
    if key.is_none_or(|key| policy.is_denied_key(&key)) {
        return Err(EnrolError::DeniedKey { name: agent.clone() });
    }
    let due = facts.not_after.since(now) <= certs::AGENT_DAYS * certs::DAY / 3;
    if !due || !is_there(&home.online(Online::PeopleCa)) {
        return Ok(None);
    }
    let end = now.plus(certs::AGENT_DAYS * certs::DAY);
    let ca = home.ca(certs::Kind::People)?;
    Ok(Some(ca.issue_agent(&facts.spki, agent, fresh()?, not_before(now), end)?))
}
