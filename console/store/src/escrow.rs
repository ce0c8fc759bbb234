//! Sealed one-time secrets: kept until opened or too late. Never in clear here, opened once.

use protocol::{Digest, RunId, Time};
use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row;

/// A sealed one-time secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct EscrowRow {
    /// Of which run.
    #[n(0)]
    pub run: RunId,
    /// Of which order.
    #[n(1)]
    pub order: Digest,
    /// JSON of [`protocol::documents::Sealed`].
    #[serde(skip)]
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
    /// When it should no longer be opened.
    #[n(3)]
    pub not_after: Time,
    /// When it was opened.
    #[n(4)]
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
        self.unopened_escrows_page(None, 0)
    }

    /// As [`Store::unopened_escrows`], at most `limit` (zero means all) behind that of a run.
    ///
    /// # Errors
    /// The store's own.
    pub fn unopened_escrows_page(
        &self,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<EscrowRow>, StoreError> {
        self.read("list the secrets", |db| {
            let sql = "SELECT * FROM escrow WHERE opened_at IS NULL AND (?1 IS NULL
                 OR (not_after, run) > (SELECT not_after, run FROM escrow WHERE run = ?1))
                 ORDER BY not_after, run LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            let key = (after.map(RunId::to_string), row::limit(limit));
            Ok(statement.query_map(key, read_escrow)?.collect::<Result<_, _>>()?)
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
