//! What ends the daemon. systemd starts it again, and the ledger says where it was.

use crate::ledger::LedgerError;
use crate::spawn::StartError;
use crate::state::{FileError, StateError};

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A call that does not fail in practice.
    #[error("could not {0}")]
    Io(&'static str, #[source] std::io::Error),
    /// The ledger.
    #[error("the ledger cannot be used")]
    Ledger(#[from] LedgerError),
    /// A file that must be durable before the next step.
    #[error("could not keep what must be durable")]
    File(#[from] FileError),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A program.
    #[error("could not start")]
    Start(#[from] StartError),
    /// A required defence is missing.
    #[error("defence missing: {}; run `salved doctor`", .0.join(", "))]
    Defences(Vec<String>),
    /// The catalogue that is held is damaged: with what it says nobody could be told from anybody.
    #[error(
        "the catalogue in `{}` cannot be trusted ({why}); restore the folder from a backup, or \
         leave (salved leave) and enrol anew",
        .folder.display()
    )]
    Untrusted {
        /// Where it lies.
        folder: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The catalogue's folder.
    #[error("could not read the catalogue")]
    Store(#[from] trust::catalogue::StoreError),
    /// Something that the core found wrong with its beginning.
    #[error("could not begin: {0}")]
    Begin(String),
}
