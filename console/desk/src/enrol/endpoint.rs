//! Admits a machine: its keys were made there; it gets a certificate and a card.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use protocol::documents::{Card, EnrolAnswer, EnrolRequest};
use protocol::frames::Stop;
use protocol::{
    Bytes, Digest, EndpointId, EndpointName, Envelope, Label, NamePatterns, Time, limits,
};
use store::{HeldRow, NewEndpoint, TokenKind};
use trust::Signer as _;

use super::admit::{Granted, Joined, Refusing, Undo, holds_token};
use super::error::EnrolError;
use crate::chance::fresh;
use crate::home::Online;
use crate::org::{Desk, not_before};

/// Life of a card, days: as the root that endpoints are born with.
pub(crate) const CARD_DAYS: u64 = 730;
/// What a machine may say of itself, characters.
const HOST_CHARS_MAX: usize = 253;

/// The machine that is waited for.
#[derive(Debug, Clone)]
pub struct EndpointGuest {
    /// The name it will have.
    pub name: EndpointName,
    /// Labels on its card.
    pub labels: BTreeMap<Label, Label>,
    /// Whose machine it is.
    pub person: Option<String>,
}

impl EndpointGuest {
    /// Refuses before anything is printed what would be refused at the end.
    pub(super) fn check(&self, desk: &Desk, now: Time) -> Result<(), EnrolError> {
        if desk.store.endpoint_named(self.name.clone())?.is_some() {
            return Err(EnrolError::NameTaken { name: self.name.clone() });
        }
        let policy = crate::catalogue::policy(&desk.home, now)?;
        let key = desk.home.online_key(Online::Enroller)?.public_key();
        let allowed = policy.enroller(&key);
        for (label, value) in &self.labels {
            if !allowed.is_some_and(|enroller| enroller.may_give(label, value)) {
                let (label, value) = (label.clone(), value.clone());
                return Err(EnrolError::LabelNotAllowed { label, value });
            }
        }
        Ok(())
    }
}

/// The request in an envelope, signed by the key that it names.
fn request(envelope: &Envelope) -> Result<EnrolRequest, Refusing> {
    let request: EnrolRequest = trust::seal::peek(envelope).map_err(|_| Stop::Frame)?;
    trust::seal::open_one::<EnrolRequest>(envelope, &request.record_key).map_err(|_| Stop::Seal)?;
    Ok(request)
}

/// Answers the machine that is waited for.
pub(super) fn admit(
    desk: &Desk,
    guest: &EndpointGuest,
    envelope: &Envelope,
    from: SocketAddr,
    now: Time,
) -> Result<Granted, Refusing> {
    let request = request(envelope)?;
    if request.name != guest.name {
        return Err(Stop::Token.into());
    }
    let secret = Digest::of(&request.secret.0);
    holds_token(desk, &secret, TokenKind::Endpoint, request.name.as_str(), now)?;
    grant(desk, guest, &request, (from, None), now)
}

/// Answers a machine that nobody waits for: its token says what it becomes, and it is told to keep a
/// line to `desks`. A name that is taken is for a person to decide.
pub(super) fn admit_by_token(
    desk: &Desk,
    desks: &[String],
    envelope: &Envelope,
    from: SocketAddr,
    now: Time,
) -> Result<Granted, Refusing> {
    let request = request(envelope)?;
    let secret = Digest::of(&request.secret.0);
    let row = desk.store.token(secret).map_err(EnrolError::from)?;
    let good = row.filter(|token| {
        let names = token.name.parse::<NamePatterns>();
        token.kind == TokenKind::Endpoint
            && names.is_ok_and(|names| names.fits(&request.name))
            && token.used.is_none()
            && token.expires > now
    });
    let enrolment = good.and_then(|token| token.enrolment).ok_or(Stop::Token)?;
    let name = request.name.clone();
    let taken = desk.store.endpoint_named(name.clone()).map_err(EnrolError::from)?.is_some();
    let guest = EndpointGuest { name, labels: enrolment.labels, person: enrolment.person };
    let granted = if taken {
        Err(Stop::Held.into())
    } else {
        grant(desk, &guest, &request, (from, Some(desks.to_vec())), now)
    };
    if matches!(granted, Err(Refusing::Guest(Stop::Held))) {
        let host = request.host.chars().take(HOST_CHARS_MAX).collect();
        let held = HeldRow { name: guest.name, host, address: from.to_string(), at: now };
        desk.store.here().and_then(|store| Ok(store.hold(&held)?)).map_err(EnrolError::from)?;
    }
    granted
}

/// Everything that can fail is made before a place of the token is taken.
fn grant(
    desk: &Desk,
    guest: &EndpointGuest,
    request: &EnrolRequest,
    (from, desks): (SocketAddr, Option<Vec<String>>),
    now: Time,
) -> Result<Granted, Refusing> {
    let secret = Digest::of(&request.secret.0);
    let id = EndpointId(fresh().map_err(EnrolError::from)?);
    let certificate = certificate(desk, request, &id, now)?;
    let card = card(desk, guest, request, id, now)?;
    let answer = EnrolAnswer {
        card: card.clone(),
        certificates: vec![Bytes(certificate)],
        organisation: desk.organisation.id.to_string(),
        issued: now,
        desks,
    };
    let answer = protocol::json::write(&answer).map_err(EnrolError::from)?;
    let address = (request.port != 0).then(|| SocketAddr::new(from.ip(), request.port).to_string());
    let host = request.host.chars().take(HOST_CHARS_MAX).collect::<String>();
    let row = NewEndpoint {
        id,
        name: guest.name.clone(),
        card: card.write().map_err(EnrolError::from)?,
        address: address.clone(),
        person: guest.person.clone(),
        labels: guest.labels.clone(),
        host: Some(host.clone()),
        platform: Some(request.platform.chars().take(HOST_CHARS_MAX).collect()),
    };
    let files = crate::catalogue::files(&desk.home).map_err(EnrolError::from)?;
    // Of all who come this far with the last place of one token, one goes on (E43).
    let store = desk.store.here().map_err(EnrolError::from)?;
    match store.admit_endpoint(&secret, &row, now) {
        Err(store::StoreError::Token) => return Err(Stop::Token.into()),
        // Somebody of the same name was a moment earlier.
        Err(store::StoreError::Duplicate { .. }) => return Err(Stop::Held.into()),
        done => done.map_err(|error| EnrolError::Store(error.into()))?,
    }
    let name = guest.name.clone();
    let joined = Joined::Endpoint { id, name, address, host };
    Ok(Granted { files, answer, joined, undo: Undo::Endpoint(id) })
}

fn certificate(
    desk: &Desk,
    request: &EnrolRequest,
    id: &EndpointId,
    now: Time,
) -> Result<Vec<u8>, Refusing> {
    let ca = desk.home.ca(certs::Kind::Endpoints).map_err(EnrolError::from)?;
    let serial = fresh().map_err(EnrolError::from)?;
    let end = now.plus(certs::ENDPOINT_DAYS * certs::DAY);
    ca.issue_endpoint(&request.tls_key.0, id, serial, not_before(now), end).map_err(|e| match e {
        // The guest sent a key that is none of ours.
        certs::CertError::PublicKey => Stop::Frame.into(),
        other => EnrolError::from(other).into(),
    })
}

fn card(
    desk: &Desk,
    guest: &EndpointGuest,
    request: &EnrolRequest,
    endpoint: EndpointId,
    now: Time,
) -> Result<Envelope, EnrolError> {
    let card = Card {
        endpoint,
        name: guest.name.clone(),
        tls_key: Digest::of(&request.tls_key.0),
        record_key: request.record_key,
        sealing_key: request.sealing_key.clone(),
        labels: guest.labels.clone(),
        serial: desk.store.next_card()?,
        issued: now,
        not_after: now.plus(CARD_DAYS * certs::DAY),
    };
    let enroller = desk.home.online_key(Online::Enroller)?;
    Ok(trust::seal::seal(&card, &[&enroller])?)
}

const _: () = assert!(limits::ENROL_REQUEST_BYTES_MAX < limits::FRAME_BYTES_MAX);
