//! The chain of records: each names the one before by digest and its place by counter.
//!
//! Never looks at signatures: hand it records whose seals were opened.

use protocol::documents::{Head, Record};
use protocol::{Digest, RunId};

use crate::Verified;

/// How a record fails to follow the one before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// The ledger began anew: a lost or restored one, or another endpoint's record.
    #[error("record {run}: another ledger epoch")]
    Epoch {
        /// The record's run.
        run: RunId,
    },
    /// One is missing, twice there, or out of order.
    #[error("record {run}: counter {found}, expected {wanted}")]
    Counter {
        /// The record's run.
        run: RunId,
        /// As the record says.
        found: u64,
        /// As the one before asks.
        wanted: u64,
    },
    /// The one before is another one than this record was written after.
    #[error("record {run}: the record before it is not the one it names")]
    Previous {
        /// The record's run.
        run: RunId,
    },
}

/// The head of a chain without records.
#[must_use]
pub const fn start(epoch: Digest) -> Head {
    Head { epoch, counter: 0, hash: epoch }
}

/// Checks that `record` is the one after `head` and gives the new head.
///
/// # Errors
/// [`BrokenChain`] names the first thing that does not fit.
pub fn follow(head: &Head, record: &Verified<Record>) -> Result<Head, BrokenChain> {
    let here = &record.predicate;
    let run = here.run;
    if here.epoch != head.epoch {
        return Err(BrokenChain::Epoch { run });
    }
    let wanted = head.counter.saturating_add(1);
    if here.counter != wanted {
        return Err(BrokenChain::Counter { run, found: here.counter, wanted });
    }
    if here.previous != head.hash {
        return Err(BrokenChain::Previous { run });
    }
    Ok(Head { epoch: head.epoch, counter: wanted, hash: record.digest() })
}

/// Checks that `records` follow `head` and each other, oldest first; gives the new head.
///
/// # Errors
/// [`BrokenChain`] names the first record that does not fit.
pub fn follow_all<'a>(
    head: &Head,
    records: impl IntoIterator<Item = &'a Verified<Record>>,
) -> Result<Head, BrokenChain> {
    records.into_iter().try_fold(*head, |head, record| follow(&head, record))
}
