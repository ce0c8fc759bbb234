//! Does the desk's answer prove itself, from the token alone? Never takes a part of it.

use policy::{Policy, PolicyFile};
use protocol::documents::{Card, EnrolAnswer, Token};
use protocol::{Digest, EndpointName, Envelope, Label, NamePatterns, PublicKey, Time, limits};
use trust::Signer as _;
use trust::catalogue::{Catalogue, CatalogueError, Files, install_provider};

use super::pending::Keys;
use crate::config::is_host_and_port;
use crate::state::spki;

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// The first root is not the token's.
    #[error("its root is not the one that the token names")]
    Root,
    /// The catalogue does not verify.
    #[error("its catalogue does not verify")]
    Catalogue(#[source] CatalogueError),
    /// A clock is wrong.
    #[error(
        "the clocks differ: here it is {here}, the desk says {desk}; set this one, then run the \
         same line again"
    )]
    Clock {
        /// This machine's.
        here: Time,
        /// The desk's.
        desk: Time,
        /// What it broke.
        #[source]
        source: CatalogueError,
    },
    /// The policy cannot be read.
    #[error("its policy has faults: {0}")]
    Policy(String),
    /// Not an answer.
    #[error("it is no answer to an enrolment")]
    Shape(#[source] protocol::json::BadJson),
    /// No enroller of the policy signed the card.
    #[error("no enroller that the policy lists signed the card")]
    Signer,
    /// The card is not this machine's.
    #[error("the card is not for this machine: {0}")]
    Card(&'static str),
    /// What it says to dial is no address.
    #[error("the desks that it names are no HOST:PORT, or too many")]
    Desks,
    /// The certificate is not for our key.
    #[error("the certificate is not for this machine's key")]
    Certificate,
}

/// An answer that proved itself.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) root: Vec<u8>,
    pub(super) files: Files,
    pub(super) card: Envelope,
    pub(super) certificates: Vec<Vec<u8>>,
    /// What this machine is called from now on.
    pub(super) name: EndpointName,
    /// Whom it dials, `HOST:PORT`, best first; nobody where it is empty.
    pub(super) desks: Vec<String>,
}

/// Checks everything: root by the token's digest, catalogue from the root, card by an enroller of
/// the policy, keys of card and certificate.
pub(super) fn read(
    token: &Token<NamePatterns>,
    name: &EndpointName,
    keys: &Keys,
    files: Files,
    json: &[u8],
    now: Time,
) -> Result<Proven, Untrusted> {
    install_provider();
    let root = files.get("1.root.json").unwrap_or_default().to_vec();
    if Digest::of(&root) != token.root {
        return Err(Untrusted::Root);
    }
    let answer: EnrolAnswer = protocol::json::read(json).map_err(Untrusted::Shape)?;
    let read = Catalogue::update(&Files::new(), &root, &files, now);
    let (catalogue, files) = read.map_err(|source| catalogue_fault(source, now, answer.issued))?;
    let policy = policy_of(&catalogue)?;
    let person = |key: &PublicKey| policy.person_of(key).map(|person| person.name.clone());
    catalogue.check_people(&person).map_err(Untrusted::Catalogue)?;
    let time = now.max(catalogue.floor());
    let counts = |key: &PublicKey| policy.counts(key, time);
    catalogue.check_administrators(&counts).map_err(Untrusted::Catalogue)?;
    card(&policy, &answer.card, name, keys, now)?;
    let ours = spki(&keys.tls.public_key());
    // The gate's own library checks the chain; here it is enough that the leaf is for our key.
    let leaf = answer.certificates.first().ok_or(Untrusted::Certificate)?;
    if !leaf.0.windows(ours.len()).any(|part| part == ours) {
        return Err(Untrusted::Certificate);
    }
    let certificates = answer.certificates.into_iter().map(|der| der.0).collect();
    // Its word only says whom to dial: who answers there must prove itself as anybody.
    let desks = match answer.desks {
        None => Vec::new(),
        Some(none) if none.is_empty() => vec![token.desk.clone()],
        Some(desks) => desks,
    };
    if desks.len() > limits::DESKS_MAX || !desks.iter().all(|desk| is_host_and_port(desk)) {
        return Err(Untrusted::Desks);
    }
    Ok(Proven { root, files, card: answer.card, certificates, name: name.clone(), desks })
}

fn catalogue_fault(source: CatalogueError, here: Time, desk: Time) -> Untrusted {
    let apart = here.since(desk).max(desk.since(here));
    if matches!(source, CatalogueError::Expired { .. }) && apart > limits::CLOCK_SKEW_SECONDS {
        Untrusted::Clock { here, desk, source }
    } else {
        Untrusted::Catalogue(source)
    }
}

pub(crate) fn policy_of(catalogue: &Catalogue) -> Result<Policy, Untrusted> {
    PolicyFile::read(catalogue.policy_text()).map_err(|faults| {
        Untrusted::Policy(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })
}

fn card(
    policy: &Policy,
    envelope: &Envelope,
    name: &EndpointName,
    keys: &Keys,
    now: Time,
) -> Result<(), Untrusted> {
    let enrollers = policy.file().enrollers.iter();
    let mut enrollers = enrollers.filter(|enroller| !policy.is_denied_key(&enroller.key));
    let opened = enrollers.find_map(|enroller| {
        let card = trust::seal::open_one::<Card>(envelope, &enroller.key).ok()?;
        Some((enroller, card.into_inner()))
    });
    let (enroller, card) = opened.ok_or(Untrusted::Signer)?;
    let may = |(label, value): (&Label, &Label)| enroller.may_give(label, value);
    let sealing = keys.sealing.public().map_err(|_| Untrusted::Card("its sealing key"))?;
    let wrong = [
        (card.name != *name, "its name"),
        (card.tls_key != Digest::of(&spki(&keys.tls.public_key())), "its TLS key"),
        (card.record_key != keys.record.public_key(), "its record key"),
        (card.sealing_key != sealing, "its sealing key"),
        (card.not_after <= now, "it has ended already"),
        (policy.is_denied_card(card.serial), "it is withdrawn"),
        (!card.labels.iter().all(may), "a label that its enroller may not give"),
    ];
    let fault = wrong.into_iter().find(|(is, _)| *is);
    fault.map_or(Ok(()), |(_, what)| Err(Untrusted::Card(what)))
}
