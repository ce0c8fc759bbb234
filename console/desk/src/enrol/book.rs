//! The address book that a colleague gets: cards as they were signed, and where machines are.
//!
//! Never believed by itself: a card counts only under an enroller of the signed policy.

use policy::Policy;
use protocol::documents::Card;
use protocol::limits::ADDRESS_BOOK_BYTES_MAX;
use protocol::{Bytes, Envelope, Time};
use serde::{Deserialize, Serialize};
use store::{EndpointState, NewEndpoint, Store, StoreError};

use super::error::EnrolError;
use crate::books::Books;

/// The name under which it travels beside the catalogue's files; no catalogue has such a file.
pub(super) const NAME: &str = "desk/endpoints.json";

/// One machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    card: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<String>,
}

/// The book of a store: its active machines, as many as a book takes; a shared desk has all.
pub(super) fn write(books: &Books) -> Result<Vec<u8>, EnrolError> {
    let rows = books.endpoints()?.into_iter().filter(|row| row.state == EndpointState::Active);
    let mut book = vec![b'['];
    for row in rows {
        let line = Line { card: Bytes(row.card), address: row.address, person: row.person };
        let line = protocol::json::write(&line)?;
        if book.len().saturating_add(line.len()).saturating_add(2) > ADDRESS_BOOK_BYTES_MAX {
            break;
        }
        if book.len() > 1 {
            book.push(b',');
        }
        book.extend(line);
    }
    book.push(b']');
    Ok(book)
}

/// Takes up a book; says how many machines it gave. What is no card of ours is left out.
pub(super) fn read(
    bytes: &[u8],
    policy: &Policy,
    store: &Store,
    now: Time,
) -> Result<usize, StoreError> {
    let lines: Vec<Line> = protocol::json::read(bytes).unwrap_or_default();
    let enrollers = policy.file().enrollers.iter().map(|enroller| enroller.key);
    let keys: Vec<_> = enrollers.filter(|key| policy.enroller(key).is_some()).collect();
    let mut known = Vec::new();
    for line in lines {
        let opened = Envelope::read(&line.card.0)
            .ok()
            .and_then(|envelope| trust::seal::open::<Card>(&envelope, &keys, 1).ok());
        let Some(card) = opened.filter(|card| !policy.is_denied_card(card.serial)) else {
            continue;
        };
        known.push(NewEndpoint {
            id: card.endpoint,
            name: card.name.clone(),
            card: line.card.0,
            address: line.address,
            person: line.person,
            labels: card.labels.clone(),
            host: None,
            platform: None,
        });
    }
    store.add_unknown_endpoints(&known, now)
}
