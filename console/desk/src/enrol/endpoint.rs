//! Admits a machine: its keys were made there; it gets a certificate and a card.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use protocol::documents::{Card, EnrolAnswer, EnrolRequest};
use protocol::frames::Stop;
use protocol::{
    Bytes, Digest, EndpointId, EndpointName, Envelope, Label, NamePatterns, Time, limits,
};
use store::{EndpointRow, EndpointState, HeldRow, NewEndpoint, TokenKind, TokenRow};
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
    let mine = |token: &TokenRow| token.name == request.name.as_str();
    if let Some(again) = again(desk, &request, mine, (from, None), now)? {
        return Ok(again);
    }
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
    let fits = |token: &TokenRow| {
        let names = token.name.parse::<NamePatterns>();
        token.enrolment.is_some() && names.is_ok_and(|names| names.fits(&request.name))
    };
    if let Some(again) = again(desk, &request, fits, (from, Some(desks.to_vec())), now)? {
        return Ok(again);
    }
    let row = desk.store.token(secret).map_err(EnrolError::from)?;
    let good = row.filter(|token| {
        token.kind == TokenKind::Endpoint
            && fits(token)
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

/// The same answer again, for a machine that was admitted and never came: its answer was lost on the
/// way. It proves that it is that machine with the keys that its card names, and costs no other place.
fn again(
    desk: &Desk,
    request: &EnrolRequest,
    fits: impl Fn(&TokenRow) -> bool,
    (from, desks): (SocketAddr, Option<Vec<String>>),
    now: Time,
) -> Result<Option<Granted>, Refusing> {
    let store = desk.store.here().map_err(EnrolError::from)?;
    let token = desk.store.token(Digest::of(&request.secret.0)).map_err(EnrolError::from)?;
    let good = |token: &TokenRow| token.kind == TokenKind::Endpoint && token.expires > now;
    if !token.is_some_and(|token| good(&token) && fits(&token)) {
        return Ok(None);
    }
    let rows = store.endpoints_named(&request.name).map_err(|e| EnrolError::Store(e.into()))?;
    let waits = |row: &EndpointRow| row.last_seen.is_none() && row.state != EndpointState::Replaced;
    let mut mine = rows.into_iter().filter(waits).filter_map(|row| {
        let (card, serial) = card_for(&row, request)?;
        Some((row, card, serial))
    });
    let Some((row, card, serial)) = mine.next() else { return Ok(None) };
    let policy = crate::catalogue::policy(&desk.home, now).map_err(EnrolError::from)?;
    if policy.is_denied_card(serial) {
        return Ok(None);
    }
    let certificate = certificate(desk, request, &row.id, now)?;
    let (answer, address) = answer(desk, request, (card, certificate), (from, desks), now)?;
    let files = crate::catalogue::files(&desk.home).map_err(EnrolError::from)?;
    match store.readmit_endpoint(&row.id, address.as_deref()) {
        // Somebody else has the name by now.
        Err(store::StoreError::Duplicate { .. }) => return Err(Stop::Held.into()),
        done => done.map_err(|error| EnrolError::Store(error.into()))?,
    }
    let host = request.host.chars().take(HOST_CHARS_MAX).collect();
    let joined = Joined::Endpoint { id: row.id, name: row.name, address, host };
    Ok(Some(Granted { files, answer, joined, undo: Undo::Endpoint(row.id) }))
}

/// The card that names the very keys of a request, which proved that it has the record key.
fn card_for(row: &EndpointRow, request: &EnrolRequest) -> Option<(Envelope, u64)> {
    let envelope = Envelope::read(&row.card).ok()?;
    // Our own address book's, sealed here.
    let card = trust::seal::peek::<Card>(&envelope).ok()?;
    let same = card.record_key == request.record_key
        && card.sealing_key == request.sealing_key
        && card.tls_key == Digest::of(&request.tls_key.0);
    same.then_some((envelope, card.serial))
}

/// What is answered, and where the machine can be dialled.
fn answer(
    desk: &Desk,
    request: &EnrolRequest,
    (card, certificate): (Envelope, Vec<u8>),
    (from, desks): (SocketAddr, Option<Vec<String>>),
    now: Time,
) -> Result<(Vec<u8>, Option<String>), EnrolError> {
    let answer = EnrolAnswer {
        card,
        certificates: vec![Bytes(certificate)],
        organisation: desk.organisation.id.to_string(),
        issued: now,
        desks,
    };
    let address = (request.port != 0).then(|| SocketAddr::new(from.ip(), request.port).to_string());
    Ok((protocol::json::write(&answer)?, address))
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
    let (answer, address) = answer(desk, request, (card.clone(), certificate), (from, desks), now)?;
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
