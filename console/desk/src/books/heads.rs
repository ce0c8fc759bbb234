//! Heads that people countersigned: what the desk looks at before it keeps one. The endpoint's seal it
//! verifies; the person's is for whoever has the policy.

use evidence::HeadPapers;
use protocol::documents::Card;
use protocol::{AgentName, Bytes, EndpointId, Envelope, Time, limits};
use store::Store;

use super::error::BookError;

/// Keeps a head in the name of whoever saw it.
pub(super) fn add(
    store: &Store,
    endpoint: &EndpointId,
    (seen, hello): (Bytes, Bytes),
    by: &AgentName,
    now: Time,
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
    let shown = given.shown(endpoint, &card.record_key);
    let sighting = shown.map_err(|_| papers("the endpoint did not show this head"))?;
    if sighting.by.as_ref() != Some(by) {
        return Err(papers("the head was seen by somebody else"));
    }
    if sighting.seen.since(now) > limits::CLOCK_SKEW_SECONDS {
        return Err(papers("the head was seen in the future"));
    }
    store.add_head(endpoint, &sighting, Some((&given.seen.0, &given.hello.0)))?;
    Ok(())
}
