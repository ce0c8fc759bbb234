//! Making keys and certificates where they are missing; what is there is taken up, never replaced.

use std::collections::BTreeMap;

use certs::{Ca, Kind};
use protocol::frames::{DeskAnswer, DeskAsk};
use protocol::{AgentName, Label, PublicKey, Time, limits};
use trust::secret::SealingSecret;
use trust::{Signer as _, SigningKey};

use super::setup::InitError;
use crate::chance::fresh;
use crate::home::{self, Held, Home, HomeError, Online, is_there};

/// When certificates begin: honest clocks differ.
pub(crate) fn not_before(now: Time) -> Time {
    now.minus(limits::CLOCK_SKEW_SECONDS)
}

/// The keys that a person holds under a passphrase, open. Where `make` is not set the catalogue
/// names keys already, and one that is not here lies elsewhere: another would be nobody's.
pub(super) fn held(
    home: &Home,
    person: &AgentName,
    passphrase: &str,
    make: bool,
) -> Result<BTreeMap<Held, SigningKey>, InitError> {
    let mut open = BTreeMap::new();
    for kind in Held::ALL {
        let path = home.held(kind, person);
        if is_there(&path) {
            open.insert(kind, home.held_key(kind, person, passphrase)?);
            continue;
        }
        if !make {
            continue;
        }
        let key = SigningKey::from_seed(fresh()?);
        let pem = key
            .to_encrypted_pem(passphrase.as_bytes(), fresh()?, fresh()?)
            .map_err(|source| HomeError::Key { path: path.clone(), source })?;
        home::write_secret(&path, pem.as_bytes())?;
        open.insert(kind, key);
    }
    Ok(open)
}

/// The keys used without a person.
pub(super) fn online(home: &Home) -> Result<(), InitError> {
    for kind in Online::ALL {
        signing(&home.online(kind))?;
    }
    Ok(())
}

/// Makes a signing key in clear where there is none.
pub(crate) fn signing(path: &std::path::Path) -> Result<(), InitError> {
    if !is_there(path) {
        let key = SigningKey::from_seed(fresh()?);
        home::write_secret(path, key.to_pem().as_bytes())?;
    }
    Ok(())
}

/// An agent's own keys, without a certificate yet.
pub(crate) fn agent(home: &Home, me: &AgentName) -> Result<(), InitError> {
    // One whose public half is here lies where its owner put it.
    if !is_there(&home.agent_public(me)) {
        signing(&home.agent_signing(me))?;
    }
    signing(&home.agent_tls(me))?;
    let path = home.agent_sealing(me);
    if !is_there(&path) {
        let secret = SealingSecret::from_seed(fresh()?);
        home::write_secret(&path, secret.to_pem().as_bytes())?;
    }
    Ok(())
}

fn certificate(home: &Home, kind: Online, der: &[u8]) -> Result<(), InitError> {
    Ok(home::write_public(&home.online_certificate(kind), certs::to_pem([der]).as_bytes())?)
}

/// Both CAs.
pub(super) fn cas(home: &Home, id: &Label, now: Time) -> Result<(), InitError> {
    for (kind, which) in [(Kind::People, Online::PeopleCa), (Kind::Endpoints, Online::EndpointsCa)]
    {
        if is_there(&home.online_certificate(which)) {
            home.ca(kind)?;
            continue;
        }
        let key = home.online_key(which)?.pkcs8_der();
        let start = not_before(now);
        let end = now.plus(certs::CA_DAYS * certs::DAY);
        let ca = Ca::create(kind, id.as_str(), &key, fresh()?, start, end)?;
        certificate(home, which, ca.certificate())?;
    }
    Ok(())
}

/// The desk's certificate, made anew when it ends within a third of its life.
pub(crate) fn desk_certificate(home: &Home, now: Time) -> Result<(), InitError> {
    let path = home.online_certificate(Online::DeskTls);
    if still_good(&path, now, certs::DESK_DAYS)? {
        return Ok(());
    }
    let spki = certs::spki_of(&home.online_key(Online::DeskTls)?.public_key());
    let end = now.plus(certs::DESK_DAYS * certs::DAY);
    let der = home.ca(Kind::People)?.issue_desk(&spki, "desk", fresh()?, not_before(now), end)?;
    certificate(home, Online::DeskTls, &der)
}

/// This agent's certificate, made anew when it ends within a third of its life; only by a console
/// that holds the CA.
pub(crate) fn agent_certificate(home: &Home, me: &AgentName, now: Time) -> Result<(), InitError> {
    let path = home.agent_certificate(me);
    if still_good(&path, now, certs::AGENT_DAYS)? {
        return Ok(());
    }
    let spki = certs::spki_of(&home.agent_tls_key(me)?.public_key());
    let end = now.plus(certs::AGENT_DAYS * certs::DAY);
    let der = home.ca(Kind::People)?.issue_agent(&spki, me, fresh()?, not_before(now), end)?;
    Ok(home::write_public(&path, certs::to_pem([der.as_slice()]).as_bytes())?)
}

/// Has the shared desk make this agent's certificate anew, where it ends within a third of its life. A
/// desk that does not, or gives something else, changes nothing: the one that is here is good to its
/// end, which `salve status` tells.
pub(crate) fn agent_certificate_by_desk(
    desk: &super::Desk,
    policy: &policy::Policy,
    now: Time,
) -> Result<(), InitError> {
    let (home, me) = (&desk.home, &desk.organisation.me);
    let path = home.agent_certificate(me);
    let Some(line) = desk.store.line() else { return Ok(()) };
    if still_good(&path, now, certs::AGENT_DAYS)? {
        return Ok(());
    }
    let Ok(answers) = line.ask(vec![DeskAsk::Renew]) else { return Ok(()) };
    let [DeskAnswer::Renewed { leaf: Some(leaf) }] = answers.as_slice() else { return Ok(()) };
    let spki = certs::spki_of(&home.agent_tls_key(me)?.public_key());
    let uri = link::uri(desk.organisation.id.as_str(), link::Role::Agent, me.as_str());
    if leaf.0.len() <= limits::CERTIFICATE_BYTES_MAX && is_ours(&leaf.0, (spki, uri), policy, now) {
        let _lock = home.lock()?;
        home::write_public(&path, certs::to_pem([leaf.0.as_slice()]).as_bytes())?;
    }
    Ok(())
}

/// Whether a leaf (DER) is for this key and name, valid now and for longer than is due, and by a CA of
/// people that the policy lists.
fn is_ours(
    leaf: &[u8],
    (spki, uri): (Vec<u8>, String),
    policy: &policy::Policy,
    now: Time,
) -> bool {
    let (Ok(facts), Ok((signed, signature))) = (certs::read(leaf), certs::signed_part(leaf)) else {
        return false;
    };
    let by = |ca: &protocol::Bytes| {
        let key = certs::read(&ca.0).ok().and_then(|ca| ca.spki.last_chunk::<32>().copied());
        key.is_some_and(|key| trust::verify(&PublicKey(key), &signed, &signature))
    };
    facts.spki == spki
        && facts.uris == [uri]
        && facts.not_before <= now
        && facts.not_after.since(now) > certs::AGENT_DAYS * certs::DAY / 3
        && policy.file().cas.people.iter().any(by)
}

fn still_good(path: &std::path::Path, now: Time, days: u64) -> Result<bool, InitError> {
    if !is_there(path) {
        return Ok(false);
    }
    let chain = certs::from_pem(&home::read_text(path)?)?;
    let Some(leaf) = chain.first() else { return Ok(false) };
    let facts = certs::read(leaf)?;
    // One from a clock that was ahead would be refused until that time has come.
    Ok(facts.not_before <= now && facts.not_after.since(now) > days * certs::DAY / 3)
}

/// The public half of an online key.
pub(super) fn public(home: &Home, kind: Online) -> Result<PublicKey, InitError> {
    Ok(home.online_key(kind)?.public_key())
}
