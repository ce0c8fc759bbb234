//! Who answered: the card under an enroller's key, the hello under the card's key.

use policy::Policy;
use protocol::documents::{Card, Hello};
use protocol::{Envelope, PublicKey, Time};
use store::EndpointRow;
use trust::{Verified, seal};

use super::VERSION;
use super::error::BadPeer;

/// A card of an enroller that policy lists and that nobody withdrew.
fn open_card(envelope: &Envelope, policy: &Policy, now: Time) -> Result<Verified<Card>, BadPeer> {
    let enrollers: Vec<PublicKey> = policy.file().enrollers.iter().map(|e| e.key).collect();
    let card: Verified<Card> =
        seal::open(envelope, &enrollers, 1).map_err(|e| BadPeer::Seal("card", e))?;
    if policy.enroller(&card.signer()).is_none() {
        return Err(BadPeer::Enroller);
    }
    let serial = card.serial;
    if policy.is_denied_card(serial) || policy.is_denied_key(&card.record_key) {
        return Err(BadPeer::Withdrawn { serial });
    }
    if card.not_after <= now {
        return Err(BadPeer::CardExpired { not_after: card.not_after });
    }
    Ok(card)
}

/// A hello under the card's record key.
pub(crate) fn open_hello(bytes: &[u8], card: &Verified<Card>) -> Result<Verified<Hello>, BadPeer> {
    let envelope = Envelope::read(bytes).map_err(|e| BadPeer::Unreadable("hello", e))?;
    let hello: Verified<Hello> =
        seal::open_one(&envelope, &card.record_key).map_err(|e| BadPeer::Seal("hello", e))?;
    if hello.card != card.digest() {
        return Err(BadPeer::Hello);
    }
    if !(hello.protocol_min..=hello.protocol_max).contains(&VERSION) {
        return Err(BadPeer::Version { min: hello.protocol_min, max: hello.protocol_max });
    }
    Ok(hello)
}

/// The serial of the card that the address book has, where it can be read.
fn known_serial(to: &EndpointRow) -> Option<u64> {
    let envelope = Envelope::read(&to.card).ok()?;
    // Our own address book, written when the card was verified or made; only the number is used.
    seal::peek::<Card>(&envelope).ok().map(|card| card.serial)
}

/// The card of this machine and no other.
fn own_card(
    policy: &Policy,
    floor: Time,
    to: &EndpointRow,
    card: &[u8],
    now: Time,
) -> Result<Verified<Card>, BadPeer> {
    let envelope = Envelope::read(card).map_err(|e| BadPeer::Unreadable("card", e))?;
    let card = open_card(&envelope, policy, now.max(floor))?;
    if card.endpoint != to.id || card.name != to.name {
        return Err(BadPeer::Another { name: card.name.clone() });
    }
    Ok(card)
}

/// The card that the address book has of a machine that is away.
pub(crate) fn known_card(
    policy: &Policy,
    floor: Time,
    to: &EndpointRow,
    now: Time,
) -> Result<Verified<Card>, BadPeer> {
    own_card(policy, floor, to, &to.card, now)
}

type Met = ((Verified<Card>, Vec<u8>), Verified<Hello>);

/// Card and hello of whoever answered, judged by this policy; `floor` is a time that has passed. Who
/// holds the connection compares its key with the card's.
pub(crate) fn meet(
    policy: &Policy,
    floor: Time,
    to: &EndpointRow,
    card_bytes: &[u8],
    hello: &[u8],
    now: Time,
) -> Result<Met, BadPeer> {
    let card = own_card(policy, floor, to, card_bytes, now)?;
    if let Some(known) = known_serial(to)
        && card.serial < known
    {
        return Err(BadPeer::OldCard { shown: card.serial, known });
    }
    let hello = open_hello(hello, &card)?;
    Ok(((card, card_bytes.to_vec()), hello))
}
