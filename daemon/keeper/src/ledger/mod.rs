//! The ledger: append-only, hash-chained, synced. Never forgets, never goes on after damage.

mod entry;

pub use entry::{Accepted, Entry, Recorded};
