//! Admits a colleague: administrators sign a policy that lists the new person's public keys, or adds
//! them to a founder who has not joined yet.
//!
//! A person who has joined gets a new certificate and the newest catalogue, for the same keys only;
//! that needs no administrator.

use protocol::documents::{JoinAnswer, JoinRequest};
use protocol::frames::Stop;
use protocol::{AgentName, Bytes, Digest, Envelope, Label, Time};
use store::{AgentState, TokenKind};
use trust::SigningKey;

use super::admit::{Granted, Joined, Refusing, Undo, holds_token};
use super::book;
use super::error::EnrolError;
use crate::catalogue::{self, CatalogueTrouble, POLICY};
use crate::chance::fresh;
use crate::org::{Desk, not_before};

/// The colleague who is waited for, and the administrators who say yes.
#[derive(Debug)]
pub struct AgentGuest {
    /// The name in orders.
    pub name: AgentName,
    /// What rules call the person.
    pub roles: Vec<Label>,
    /// Administrators' keys, opened for as long as the door is; none for a person who has joined.
    pub admins: Vec<SigningKey>,
}

impl AgentGuest {
    /// Refuses before anything is printed what would be refused at the end.
    pub(super) fn check(&self, desk: &Desk, now: Time) -> Result<(), EnrolError> {
        let policy = catalogue::policy(&desk.home, now)?;
        let name = || self.name.clone();
        match policy.person(&self.name) {
            Some(person) if policy.is_withdrawn(person, now) => {
                Err(EnrolError::PersonWithdrawn { name: name() })
            }
            Some(person) if person.signing_key.is_some() => Ok(()),
            None if self.admins.is_empty() => Err(EnrolError::PersonUnknown { name: name() }),
            // Nobody is let in whom the policy could not list in the end.
            _ => Ok(catalogue::enough_signers(&desk.home, POLICY, &self.admins, now)?),
        }
    }
}

/// Answers a colleague's request.
pub(super) fn admit(
    desk: &Desk,
    guest: &AgentGuest,
    envelope: &Envelope,
    now: Time,
) -> Result<Granted, Refusing> {
    let request: JoinRequest = trust::seal::peek(envelope).map_err(|_| Stop::Frame)?;
    trust::seal::open_one::<JoinRequest>(envelope, &request.signing_key).map_err(|_| Stop::Seal)?;
    if request.name != guest.name {
        return Err(Stop::Token.into());
    }
    let secret = Digest::of(&request.secret.0);
    holds_token(desk, &secret, TokenKind::Agent, request.name.as_str(), now)?;

    let certificate = certificate(desk, &request, now)?;
    let known = catalogue::policy(&desk.home, now).map_err(EnrolError::from)?;
    let policy = match known.person(&guest.name) {
        Some(person) if person.signing_key == Some(request.signing_key) => None,
        // The same person with other keys is somebody else until an administrator says so.
        Some(person) if person.signing_key.is_some() => return Err(Stop::Seal.into()),
        _ => Some(policy_with(&known, guest, &request)?),
    };
    let answer = JoinAnswer {
        certificates: vec![Bytes(certificate.clone())],
        organisation: desk.organisation.id.to_string(),
        issued: now,
    };
    let answer = protocol::json::write(&answer).map_err(EnrolError::from)?;
    let document = envelope.write().map_err(EnrolError::from)?;
    desk.store.take_token(secret, TokenKind::Agent, now).map_err(|_| Stop::Token)?;
    if let Some(text) = policy {
        catalogue::change(desk, now, |home| {
            catalogue::publish_policy(home, &text, &guest.admins, now)
        })
        .map_err(EnrolError::from)?;
    }
    let joined = AgentState::Joined;
    desk.store
        .put_agent(guest.name.clone(), joined, Some(Bytes(document)), Some(Bytes(certificate)), now)
        .map_err(EnrolError::from)?;
    let mut files = catalogue::files(&desk.home).map_err(EnrolError::from)?;
    files.insert(book::NAME, book::write(&desk.store)?);
    let joined = Joined::Agent { name: guest.name.clone() };
    Ok(Granted { files, answer, joined, undo: Undo::Nothing })
}

fn certificate(desk: &Desk, request: &JoinRequest, now: Time) -> Result<Vec<u8>, Refusing> {
    let ca = desk.home.ca(certs::Kind::People).map_err(EnrolError::from)?;
    let serial = fresh().map_err(EnrolError::from)?;
    let end = now.plus(certs::AGENT_DAYS * certs::DAY);
    let name = &request.name;
    ca.issue_agent(&request.tls_key.0, name, serial, not_before(now), end).map_err(|e| match e {
        certs::CertError::PublicKey => Stop::Frame.into(),
        other => EnrolError::from(other).into(),
    })
}

/// The policy with the new person, or with the agent's keys of a founder who joins now. A key that
/// somebody has already is not a new person's.
fn policy_with(
    policy: &policy::Policy,
    guest: &AgentGuest,
    request: &JoinRequest,
) -> Result<String, Refusing> {
    if policy.person_of(&request.signing_key).is_some() {
        return Err(Stop::Seal.into());
    }
    let mut file = policy.file().clone();
    let (signing, sealing) = (Some(request.signing_key), Some(request.sealing_key.clone()));
    match file.people.iter_mut().find(|person| person.name == guest.name) {
        Some(founder) => {
            let more: Vec<Label> =
                guest.roles.iter().filter(|role| !founder.roles.contains(role)).cloned().collect();
            founder.roles.extend(more);
            (founder.signing_key, founder.sealing_key) = (signing, sealing);
        }
        None => file.people.push(policy::Person {
            name: guest.name.clone(),
            roles: guest.roles.clone(),
            signing_key: signing,
            sealing_key: sealing,
            vetter_key: None,
            admin_key: None,
            valid_until: None,
            only_ticket: false,
        }),
    }
    let text = catalogue::policy_text(&file).map_err(|trouble| match trouble {
        // The only new thing in it is what the guest sent.
        CatalogueTrouble::Policy(_) => Refusing::Guest(Stop::Frame),
        other => EnrolError::from(other).into(),
    })?;
    Ok(text)
}
