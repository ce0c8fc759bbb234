//! The papers of one run, byte for byte, from the books. Never rewritten on the way.

use evidence::{Papers, peek_record};
use protocol::RunId;

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
    Ok(Some(Papers {
        order: books.order(row.order)?.map(|order| order.envelope),
        dispatch: books.bytes_of(*run, Paper::Dispatch)?,
        effects: books.bytes_of(*run, Paper::Effects)?,
        plan: books.bytes_of(*run, Paper::Plan)?,
        escrow: books.escrow(*run)?.map(|row| (row.sealed, row.not_after)),
        record,
        card,
        before,
        after,
    }))
}
