//! Why there is no result of a run.

use protocol::frames::Stop;
use protocol::{RunId, ScriptName, Time};

use crate::books::Sorry;
use crate::chance::NoChance;
use crate::home::HomeError;
use crate::outbox::{FileError, PromiseError};
use crate::session::SessionError;

/// Why there is no result of a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The catalogue does not list it.
    #[error("the catalogue has no script {script}")]
    NoScript {
        /// As named.
        script: ScriptName,
    },
    /// The order could not be sealed.
    #[error("could not seal the order")]
    Seal(#[from] trust::seal::SealError),
    /// An order that is not its agent's.
    #[error(transparent)]
    Unsealed(#[from] super::Unsealed),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The ticket's attestation could not be made.
    #[error("could not attest the ticket")]
    Attest(#[source] HomeError),
    /// It could not be stored, so nothing was sent.
    #[error(transparent)]
    Promise(#[from] PromiseError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The books.
    #[error(transparent)]
    Book(#[from] crate::books::BookError),
    /// Could not be written.
    #[error("could not write what was to be sent")]
    Write(#[from] protocol::json::BadJson),
    /// Nothing was sent.
    #[error("nothing was sent")]
    NotSent(#[source] SessionError),
    /// The endpoint's door says that it did not take it. Not signed: nothing runs as far as known.
    #[error("the endpoint's door did not take the order: {stop}")]
    NotTaken {
        /// The run that it would have been.
        run: RunId,
        /// Why.
        stop: Stop,
        /// When the dispatch ends: after this nobody takes it any more.
        expires: Time,
    },
    /// The shared desk has the order and says that it will not come to a run. Nobody signed that: it
    /// holds a dispatch that is good for a while yet.
    #[error("the desk says that the order did not go on: {no}")]
    NotPassed {
        /// The run that it would be.
        run: RunId,
        /// The desk's words.
        no: Sorry,
        /// When the dispatch ends: after this nobody takes it any more.
        expires: Time,
    },
    /// It left this console and no record of it came back: it may run there.
    #[error("run {} is unknown until the endpoint is heard again", .run.short())]
    Unknown {
        /// The run.
        run: RunId,
        /// When it must have ended at the latest, by its deadline.
        ended_by: Time,
        /// Whether the shared desk was to send it: then that it was sent is not known here.
        by_desk: bool,
        /// What happened to the line.
        source: SessionError,
    },
    /// What came back is no record.
    #[error("what came back for run {} is no record; it is kept and marked", .run.short())]
    NoRecord {
        /// The run.
        run: RunId,
    },
    /// It came and could not be filed.
    #[error(transparent)]
    Filing(#[from] FileError),
}
