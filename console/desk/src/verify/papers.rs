//! The papers of one run, byte for byte, from the store. Never rewritten on the way.

use protocol::documents::Record;
use protocol::{Digest, Envelope, RunId};
use store::{Store, StoreError};

/// What there is of one run. Envelopes and files are bytes as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Papers {
    /// The record's envelope.
    pub record: Vec<u8>,
    /// The order's envelope.
    pub order: Option<Vec<u8>>,
    /// The dispatch's envelope.
    pub dispatch: Option<Vec<u8>>,
    /// The effects file.
    pub effects: Option<Vec<u8>>,
    /// The plan that was made or that bound the fix.
    pub plan: Option<Vec<u8>>,
    /// The endpoint's card at that time.
    pub card: Option<Vec<u8>>,
    /// The record before it in the endpoint's chain.
    pub before: Option<Vec<u8>>,
    /// The record after it.
    pub after: Option<Vec<u8>>,
}

/// A record without checking who signed it: only to find out which run and endpoint it names.
#[must_use]
pub fn peek_record(envelope: &[u8]) -> Option<(Record, Digest)> {
    let envelope = Envelope::read(envelope).ok()?;
    let record = trust::seal::peek::<Record>(&envelope).ok()?;
    Some((record, envelope.digest()))
}

/// Collects what the store has of a run; `None` where it has no record.
///
/// # Errors
/// The store's own.
pub fn papers_of(store: &Store, run: &RunId) -> Result<Option<Papers>, StoreError> {
    let Some(row) = store.run(run)? else { return Ok(None) };
    let Some(record) = store.run_record(run)? else { return Ok(None) };
    let mut card = store.run_card(run)?;
    if card.is_none() {
        card = store.endpoint(&row.endpoint)?.map(|endpoint| endpoint.card);
    }
    let (mut before, mut after) = (None, None);
    if let Some((read, _)) = peek_record(&record) {
        let here = read.predicate;
        let (b, a) = store.neighbours(&row.endpoint, &here.epoch, here.counter)?;
        before = b.map(|run| store.run_record(&run.id)).transpose()?.flatten();
        after = a.map(|run| store.run_record(&run.id)).transpose()?.flatten();
    }
    Ok(Some(Papers {
        order: store.order(&row.order)?.map(|order| order.envelope),
        dispatch: store.run_dispatch(run)?,
        effects: store.run_effects(run)?,
        plan: store.run_plan(run)?,
        record,
        card,
        before,
        after,
    }))
}
