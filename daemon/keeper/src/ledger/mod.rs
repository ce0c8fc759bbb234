//! The ledger: append-only, hash-chained, synced. Never forgets, never goes on after damage.

mod disk;
mod entry;
mod format;
mod index;
mod open;

pub use disk::{Disk, FolderDisk};
pub use entry::{Accepted, Entry, Recorded};
pub use index::{Index, RecordRef};
pub use open::{Ledger, LedgerError, Opened};
