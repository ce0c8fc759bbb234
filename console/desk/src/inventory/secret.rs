//! Opening a one-time secret: by its one receiver, once, in time. Never prints it, never keeps it.

use protocol::documents::Sealed;
use protocol::{AgentName, RunId, Time};
use trust::secret::{BadSecret, info};
use zeroize::Zeroizing;

use crate::books::BookError;
use crate::home::HomeError;
use crate::org::Desk;
use crate::verify::{names_secret, peek_record};

/// A secret in clear.
pub struct Opened {
    /// The bytes; wiped when dropped.
    pub clear: Zeroizing<Vec<u8>>,
    /// Until when it may be handed over.
    pub until: Time,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Why a secret cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The run left none.
    #[error("run {} left no secret", .0.short())]
    None(RunId),
    /// It was opened before.
    #[error("this secret was opened at {0}; it opens once")]
    Opened(Time),
    /// Too late.
    #[error("this secret ended unopened at {0}")]
    Ended(Time),
    /// It is sealed for somebody else.
    #[error("this secret is sealed for {0}: only their console can open it")]
    NotYours(AgentName),
    /// Its order is not known here.
    #[error("the order of run {} is not known here", .0.short())]
    NoOrder(RunId),
    /// The sealed bytes are damaged.
    #[error("the sealed bytes are damaged")]
    Damaged(#[source] protocol::json::BadJson),
    /// The record names other sealed bytes, or another end.
    #[error("the record of run {} does not name these sealed bytes", .0.short())]
    NotNamed(RunId),
    /// They do not open under my key.
    #[error("could not open the secret; it was not marked as opened")]
    Seal(#[source] BadSecret),
    /// My sealing key.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] BookError),
}

/// Opens a run's secret with my sealing key and marks it as opened before anybody sees it.
///
/// # Errors
/// [`SecretError`]; one that does not open is not marked.
pub fn open_secret(desk: &Desk, run: &RunId, now: Time) -> Result<Opened, SecretError> {
    let row = desk.store.escrow(*run)?.ok_or(SecretError::None(*run))?;
    if let Some(at) = row.opened_at {
        return Err(SecretError::Opened(at));
    }
    if row.not_after <= now {
        return Err(SecretError::Ended(row.not_after));
    }
    let order = desk.store.order(row.order)?.ok_or(SecretError::NoOrder(*run))?;
    if order.agent != desk.organisation.me {
        return Err(SecretError::NotYours(order.agent));
    }
    let endpoint = desk.store.run(*run)?.ok_or(SecretError::None(*run))?.endpoint;
    // Whoever stood on the way may have put a secret of its own here: it knows all but the record.
    let record = desk.store.run_record(*run)?.and_then(|bytes| peek_record(&bytes));
    if !record.is_some_and(|(record, _)| names_secret(&record, &row.sealed, row.not_after)) {
        return Err(SecretError::NotNamed(*run));
    }
    let sealed: Sealed = protocol::json::read(&row.sealed).map_err(SecretError::Damaged)?;
    let key = desk.home.agent_sealing_secret(&order.agent)?;
    let clear =
        key.open(&sealed, &info(&row.order, &order.agent, &endpoint)).map_err(SecretError::Seal)?;
    match desk.store.open_escrow(*run, now) {
        Ok(row) => Ok(Opened { clear, until: row.not_after }),
        // Another console was faster between our look and our mark: it has it, we do not show it.
        Err(error) if error.is_opened() => {
            let at = desk.store.escrow(*run)?.and_then(|row| row.opened_at);
            Err(SecretError::Opened(at.unwrap_or(now)))
        }
        Err(error) => Err(error.into()),
    }
}
