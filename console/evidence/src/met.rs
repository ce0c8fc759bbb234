//! Machines as a console met them: ids are never reused and keys never change under an id, so a card
//! that says otherwise is a forgery, whoever signed it.

use protocol::documents::Card;
use protocol::{Digest, EndpointId, EndpointName, PublicKey, Time};

/// A machine as it was first met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The endpoint's id for ever.
    pub id: EndpointId,
    /// Its name.
    pub name: EndpointName,
    /// Verifies its hellos and records.
    pub record_key: PublicKey,
    /// SHA-256 of the key that secrets are sealed to.
    pub sealing: Digest,
    /// Serial of the card that it showed.
    pub serial: u64,
    /// When.
    pub at: Time,
}

/// What a card contradicts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// Two keys under one id.
    #[error(
        "the card names other keys for {name} than this console has known since {since}, and a \
         machine's keys never change: somebody else holds an enroller's key"
    )]
    Keys {
        /// The name that was known.
        name: EndpointName,
        /// When it was first met.
        since: Time,
    },
    /// Another id under one name, and nobody took the one before out of service.
    #[error(
        "{name} is another machine than the one that this console has known since {since}, and \
         policy does not deny that one's card {serial}"
    )]
    Machine {
        /// The name.
        name: EndpointName,
        /// When the one before was first met.
        since: Time,
        /// Serial of the card of the one before.
        serial: u64,
    },
}

impl Met {
    /// As its card shows it, `at` this time.
    #[must_use]
    pub fn of(card: &Card, at: Time) -> Self {
        Self {
            id: card.endpoint,
            name: card.name.clone(),
            record_key: card.record_key,
            sealing: Digest::of(&card.sealing_key.key.0),
            serial: card.serial,
            at,
        }
    }

    /// From its line in a console's file.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut next = || words.next();
        let met = Self {
            id: next()?.parse().ok()?,
            name: next()?.parse().ok()?,
            record_key: next()?.parse().ok()?,
            sealing: next()?.parse().ok()?,
            serial: next()?.parse().ok()?,
            at: next()?.parse().ok()?,
        };
        next().is_none().then_some(met)
    }

    /// Its line, with the line's end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { id, name, record_key, sealing, serial, at } = self;
        format!("{id} {name} {record_key} {sealing} {serial} {at}\n")
    }
}

/// Holds a card against what was met under its id or its name; `denied` says whether policy denies a
/// card's serial. Whether its machine is known.
///
/// # Errors
/// What it contradicts.
pub fn recognise<'a>(
    met: impl IntoIterator<Item = &'a Met>,
    card: &Card,
    denied: impl Fn(u64) -> bool,
) -> Result<bool, Stranger> {
    let shown = Met::of(card, card.issued);
    let (mut known, mut before) = (false, None);
    for met in met {
        if met.id == shown.id {
            if (met.record_key, met.sealing) != (shown.record_key, shown.sealing) {
                return Err(Stranger::Keys { name: met.name.clone(), since: met.at });
            }
            known |= met.name == shown.name;
        } else if met.name == shown.name && !denied(met.serial) {
            before = Some(met);
        }
    }
    match before {
        // One whose card is denied itself stood there before the one that is known.
        Some(before) if !known && !denied(shown.serial) => Err(Stranger::Machine {
            name: before.name.clone(),
            since: before.at,
            serial: before.serial,
        }),
        _ => Ok(known),
    }
}
