//! The papers of one run, byte for byte, from the books. Never rewritten on the way.

use evidence::{HeadPapers, Papers, peek_record};
use protocol::documents::Card;
use protocol::limits::EVIDENCE_LINKS_MAX;
use protocol::{Envelope, RunId};

use crate::books::{BookError, Books, Paper};

/// Collects what the books have of a run; `None` where it has no record.
///
/// # Errors
/// The store's own.
pub fn papers_of(books: &Books, run: &RunId) -> Result<Option<Papers>, BookError> {
    let Some(row) = books.run(*run)? else { return Ok(None) };
    let Some(record) = books.run_record(*run)? else { return Ok(None) };
    let mut card = books.bytes_of(*run, Paper::Card)?;
    if card.is_none() {
        card = books.endpoint(row.endpoint)?.map(|endpoint| endpoint.card);
    }
    let (mut before, mut after) = (None, None);
    if let Some((read, _)) = peek_record(&record) {
        let here = read.predicate;
        let (b, a) = books.neighbours(row.endpoint, here.epoch, here.counter)?;
        before = b.map(|run| books.run_record(run.id)).transpose()?.flatten();
        after = a.map(|run| books.run_record(run.id)).transpose()?.flatten();
    }
    let order = books.order(row.order)?.map(|order| order.envelope);
    let order = order.filter(|envelope| !envelope.is_empty());
    let effects = books.bytes_of(*run, Paper::Effects)?;
    // Only what is missing may have been erased.
    let missing = order.is_none() || effects.is_none();
    let erased = if missing { books.erased(*run)? } else { None };
    Ok(Some(Papers {
        order,
        dispatch: books.bytes_of(*run, Paper::Dispatch)?,
        effects,
        erased,
        plan: books.bytes_of(*run, Paper::Plan)?,
        escrow: books.escrow(*run)?.map(|row| (row.sealed, row.not_after)),
        record,
        card,
        before,
        after,
        head: None,
        links: Vec::new(),
    }))
}

/// Adds the next head behind the record that a person countersigned, with the records up to it; where
/// those are more than an evidence bundle carries, the head alone.
///
/// # Errors
/// The store's own.
pub fn add_head(books: &Books, papers: &mut Papers) -> Result<(), BookError> {
    let Some((record, _)) = peek_record(&papers.record) else { return Ok(()) };
    let here = record.predicate;
    let Some(row) = books.head_after(here.endpoint.id, here.epoch, here.counter)? else {
        return Ok(());
    };
    let (Some(seen), Some(hello)) = (row.envelope, row.hello) else { return Ok(()) };
    let head = HeadPapers { seen, hello };
    let card = papers.card.as_ref().and_then(|card| Envelope::read(card).ok());
    let card = card.and_then(|sealed| trust::seal::peek::<Card>(&sealed).ok());
    // A desk's junk is no reason to doubt a record.
    let shown = card.and_then(|card| head.shown(&here.endpoint.id, &card.record_key).ok());
    let Some(shown) = shown else { return Ok(()) };
    let way = shown.head.counter.saturating_sub(here.counter);
    let mut links = Vec::new();
    if way <= limit() {
        // The one behind the record is here already.
        for place in 2..=way {
            let counter = here.counter.saturating_add(place).saturating_sub(1);
            let (_, next) = books.neighbours(here.endpoint.id, here.epoch, counter)?;
            let next = next.map(|run| books.run_record(run.id)).transpose()?.flatten();
            let Some(next) = next else { break };
            links.push(next);
        }
    }
    (papers.head, papers.links) = (Some(head), links);
    Ok(())
}

fn limit() -> u64 {
    u64::try_from(EVIDENCE_LINKS_MAX).unwrap_or_default()
}
