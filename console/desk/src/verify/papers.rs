//! The papers of one run, byte for byte, from the books. Never rewritten on the way.

use evidence::{HeadPapers, Papers, peek_record};
use protocol::documents::Card;
use protocol::limits::EVIDENCE_LINKS_MAX;
use protocol::{AgentName, Envelope, RunId};

use crate::books::{BookError, Books, Paper, People};

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
/// those are more than an evidence bundle carries, the head alone. One of which a seal does not open is
/// as one that is not there: a desk's junk is no reason to doubt a record.
///
/// # Errors
/// The store's own.
pub fn add_head(books: &Books, papers: &mut Papers, people: &dyn People) -> Result<(), BookError> {
    let Some((record, _)) = peek_record(&papers.record) else { return Ok(()) };
    let here = record.predicate;
    let Some(row) = books.head_after(here.endpoint.id, here.epoch, here.counter)? else {
        return Ok(());
    };
    let (Some(seen), Some(hello)) = (row.envelope, row.hello) else { return Ok(()) };
    let head = HeadPapers { seen, hello };
    let card = papers.card.as_ref().and_then(|card| Envelope::read(card).ok());
    let card = card.and_then(|sealed| trust::seal::peek::<Card>(&sealed).ok());
    let key = |person: &AgentName| people.signing_key(person);
    let shown = card.and_then(|card| head.open(&here.endpoint.id, &card.record_key, key).ok());
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

#[cfg(test)]
mod tests {
    use evidence::fixture::{Fixture, NOW, papers};
    use protocol::documents::Head;
    use store::Store;
    use trust::SigningKey;

    use super::*;

    #[test]
    fn a_head_from_the_desk_that_the_person_did_not_sign_is_as_one_that_is_not_there() {
        let (f, dir) = (Fixture::default(), tempfile::tempdir().unwrap());
        let given = papers(&f);
        let (record, hash) = peek_record(&given.record).unwrap();
        let here = record.predicate;
        let head = Head { epoch: here.epoch, counter: here.counter, hash };
        let with = |head_papers: &HeadPapers, name: &str| {
            let store = Store::create(&dir.path().join(name)).unwrap();
            let sighting = head_papers.claimed().unwrap();
            let both = Some((head_papers.seen.0.as_slice(), head_papers.hello.0.as_slice()));
            store.add_head(&Fixture::id(), &sighting, both, &|_| true).unwrap();
            let mut papers = given.clone();
            add_head(&store.into(), &mut papers, &f.anchors()).unwrap();
            papers.head
        };
        let good = f.seen_head(head, NOW);
        assert_eq!(with(&good, "good.db"), Some(good.clone()));
        let stranger = Fixture { agent: SigningKey::from_seed([99; 32]), ..Fixture::default() };
        let junk = HeadPapers { seen: stranger.seen_head(head, NOW).seen, ..good };
        assert_eq!(with(&junk, "junk.db"), None);
    }
}
