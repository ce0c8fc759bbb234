//! The papers of one run, byte for byte as they came. Never rewritten.

use protocol::documents::Record;
use protocol::{Digest, Envelope, Erased, Time};

use crate::heads::HeadPapers;

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
    /// The sealed bytes of a one-time secret, and until when. Not exported: they belong to one person.
    pub escrow: Option<(Vec<u8>, Time)>,
    /// The endpoint's card at that time.
    pub card: Option<Vec<u8>>,
    /// The record before it in the endpoint's chain.
    pub before: Option<Vec<u8>>,
    /// The record after it.
    pub after: Option<Vec<u8>>,
    /// The next head of the chain, at this record or behind it, that a person countersigned.
    pub head: Option<HeadPapers>,
    /// The records behind `after` up to that head, in order.
    pub links: Vec<Vec<u8>>,
    /// When and why what is missing was erased, by the word of the desk that kept it.
    pub erased: Option<Erased>,
}

/// A record without checking who signed it: only to find out which run and endpoint it names.
#[must_use]
pub fn peek_record(envelope: &[u8]) -> Option<(Record, Digest)> {
    let envelope = Envelope::read(envelope).ok()?;
    let record = trust::seal::peek::<Record>(&envelope).ok()?;
    Some((record, envelope.digest()))
}

/// Whether a record names these sealed bytes and their end.
#[must_use]
pub fn names_secret(record: &Record, sealed: &[u8], not_after: Time) -> bool {
    let digest = Digest::of(sealed);
    let named = &record.predicate.secrets;
    named.iter().any(|secret| secret.sealed == digest && secret.not_after == not_after)
}
