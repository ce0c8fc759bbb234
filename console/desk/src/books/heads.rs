//! Heads that people countersigned: what the desk looks at before it keeps one. It opens both seals,
//! the endpoint's and the person's.

use evidence::{BadHead, HeadPapers};
use protocol::documents::Card;
use protocol::{AgentName, Bytes, EndpointId, Envelope, Time, limits};
use store::{HeadRow, Store};

use super::error::BookError;
use super::peer::People;

/// Keeps a head in the name of whoever saw it.
pub(super) fn add(
    store: &Store,
    endpoint: &EndpointId,
    (seen, hello): (Bytes, Bytes),
    by: &AgentName,
    now: Time,
    people: &dyn People,
) -> Result<(), BookError> {
    let papers = |why| BookError::Papers { why };
    let Some(row) = store.endpoint(endpoint)? else {
        return Err(papers("the head is of no endpoint that is known here"));
    };
    // Our own address book, written when the card was verified or made.
    let card = Envelope::read(&row.card).ok();
    let card = card.and_then(|sealed| trust::seal::peek::<Card>(&sealed).ok());
    let card = card.ok_or_else(|| papers("the card of that endpoint cannot be read here"))?;
    let given = HeadPapers { seen, hello };
    let key = |person: &AgentName| people.signing_key(person);
    let opened = given.open(endpoint, &card.record_key, key);
    let sighting = opened.map_err(|bad| {
        papers(match bad {
            BadHead::Person | BadHead::Unknown => "whoever saw the head did not sign it",
            _ => "the endpoint did not show this head",
        })
    })?;
    if sighting.by.as_ref() != Some(by) {
        return Err(papers("the head was seen by somebody else"));
    }
    if sighting.seen.since(now) > limits::CLOCK_SKEW_SECONDS {
        return Err(papers("the head was seen in the future"));
    }
    // One of a key that is no longer this person's, say, makes way for one that proves something.
    let proves = |row: &HeadRow| {
        let (Some(seen), Some(hello)) = (row.envelope.clone(), row.hello.clone()) else {
            return false;
        };
        HeadPapers { seen, hello }.open(endpoint, &card.record_key, key).is_ok()
    };
    store.add_head(endpoint, &sighting, Some((&given.seen.0, &given.hello.0)), &proves)?;
    Ok(())
}
