//! Sealed one-time secrets: kept until opened or too late. Never in clear here, opened once.

use protocol::{Digest, RunId, Time};
use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row;

/// A sealed one-time secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EscrowRow {
    /// Of which run.
    pub run: RunId,
    /// Of which order.
    pub order: Digest,
    /// JSON of [`protocol::documents::Sealed`].
    #[serde(skip)]
    pub sealed: Vec<u8>,
    /// When it should no longer be opened.
    pub not_after: Time,
    /// When it was opened.
    pub opened_at: Option<Time>,
}

fn read_escrow(row: &Row<'_>) -> rusqlite::Result<EscrowRow> {
    Ok(EscrowRow {
        run: row::text(row, "run")?,
        order: row::text(row, "order_digest")?,
        sealed: row.get("sealed")?,
        not_after: row::time(row, "not_after")?,
        opened_at: row::time_opt(row, "opened_at")?,
    })
}

impl Store {
    /// A run's sealed secret, without opening it.
    ///
    /// # Errors
    /// The store's own.
    pub fn escrow(&self, run: &RunId) -> Result<Option<EscrowRow>, StoreError> {
        self.read("look up a secret", |db| {
            let sql = "SELECT * FROM escrow WHERE run = ?1";
            Ok(db.query_row(sql, [run.to_string()], read_escrow).optional()?)
        })
    }

    /// Secrets that nobody opened, soonest end first.
    ///
    /// # Errors
    /// The store's own.
    pub fn unopened_escrows(&self) -> Result<Vec<EscrowRow>, StoreError> {
        self.read("list the secrets", |db| {
            let sql = "SELECT * FROM escrow WHERE opened_at IS NULL ORDER BY not_after, run";
            let mut statement = db.prepare_cached(sql)?;
            Ok(statement.query_map([], read_escrow)?.collect::<Result<_, _>>()?)
        })
    }

    /// Marks a secret as opened, durably, before anybody sees it.
    ///
    /// # Errors
    /// [`StoreError::Opened`] the second time, [`StoreError::NotFound`].
    pub fn open_escrow(&self, run: &RunId, now: Time) -> Result<EscrowRow, StoreError> {
        self.write("open a secret", |db| {
            let row = db
                .query_row("SELECT * FROM escrow WHERE run = ?1", [run.to_string()], read_escrow)
                .optional()?
                .ok_or_else(|| StoreError::NotFound { what: format!("secret of run `{run}`") })?;
            if let Some(at) = row.opened_at {
                return Err(StoreError::Opened { at }.into());
            }
            db.execute(
                "UPDATE escrow SET opened_at = ?2 WHERE run = ?1",
                (run.to_string(), row::stamp(now)),
            )?;
            Ok(EscrowRow { opened_at: Some(now), ..row })
        })
    }
}
