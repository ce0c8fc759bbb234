//! Verifying a copy that somebody hands over, with what our own store has of the same run.

use protocol::documents::Record;
use protocol::{Envelope, Time};
use trust::seal;

use evidence::{About, Anchors, Papers, Report, verify_record};

use super::{add_head, first_difference, papers_of};
use crate::books::{BookError, Books};
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::Home;

/// Whom this organisation believes: its own policy, from its own verified catalogue, and as far as
/// that is kept the one by which a record was decided.
///
/// # Errors
/// A catalogue that does not verify.
pub fn own_anchors(home: &Home, now: Time) -> Result<Anchors, CatalogueTrouble> {
    let open = catalogue::open(home, now)?;
    let policy = catalogue::policy_of(&open)?;
    let me = crate::home::Organisation::read(home)?.me;
    let anchors = Anchors::of_policy(&policy, &open).with_past(catalogue::files_with_past(home)?);
    Ok(anchors.knowing(home.machines(&me).all()?))
}

/// A verdict on a copy, and where it parts from what is filed here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CopyReport {
    /// The verdict.
    pub report: Report,
    /// Papers that came from our store because the copy had none.
    pub added: Vec<&'static str>,
    /// What is wrong with the machine's ledger as a whole, in a sentence, where that was found; said
    /// beside the verdict.
    pub doubt: Option<String>,
    /// The first byte of the record that differs from the filed one, if it does.
    pub difference: Option<String>,
}

/// Verifies papers that were handed over; what they lack comes from the store, if it knows the run.
///
/// # Errors
/// The store's own.
pub fn verify_copy(
    books: Option<&Books>,
    mut given: Papers,
    anchors: &Anchors,
) -> Result<CopyReport, BookError> {
    let claimed = Envelope::read(&given.record)
        .ok()
        .and_then(|sealed| Some((seal::peek::<Record>(&sealed).ok()?, sealed)));
    let mut added = Vec::new();
    let mut difference = None;
    if let (Some((record, sealed)), Some(books)) = (claimed, books)
        && let Some(filed) = papers_of(books, &record.predicate.run)?
    {
        difference = match Envelope::read(&filed.record) {
            Ok(ours) if ours.payload != sealed.payload => {
                first_difference(&ours.payload.0, &sealed.payload.0)
            }
            _ => None,
        };
        let mut fill = |name: &'static str, slot: &mut Option<Vec<u8>>, ours: Option<Vec<u8>>| {
            if slot.is_none() && ours.is_some() {
                *slot = ours;
                added.push(name);
            }
        };
        fill(About::Card.word(), &mut given.card, filed.card);
        fill(About::Order.word(), &mut given.order, filed.order);
        fill(About::Dispatch.word(), &mut given.dispatch, filed.dispatch);
        fill(About::Effects.word(), &mut given.effects, filed.effects);
        fill(About::Plan.word(), &mut given.plan, filed.plan);
        fill("the record before", &mut given.before, filed.before);
        fill("the record after", &mut given.after, filed.after);
        given.erased = given.erased.or(filed.erased);
        add_head(books, &mut given, anchors)?;
    }
    Ok(CopyReport { report: verify_record(&given, anchors), added, difference, doubt: None })
}

/// Verifies a file of records, one envelope a line, as tickets carry it.
///
/// # Errors
/// The store's own.
pub fn verify_lines(
    books: &Books,
    bytes: &[u8],
    anchors: &Anchors,
) -> Result<Vec<CopyReport>, BookError> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let given = Papers { record: line.to_vec(), ..Papers::default() };
            verify_copy(Some(books), given, anchors)
        })
        .collect()
}
