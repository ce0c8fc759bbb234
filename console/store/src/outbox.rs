//! What tickets still have to be told. A row leaves only when the ticket system has it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use protocol::{Digest, TicketId, Time};
use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row::{self, words};

words! {
    /// What the ticket gets.
    OutboxKind {
        /// The internal note, written from the records when it is posted.
        Note = "note",
        /// A file.
        File = "file",
        /// A new state.
        State = "state",
        /// A public reply.
        Reply = "reply",
    }
}

words! {
    /// How far it is.
    OutboxState {
        /// Its order has not ended yet.
        Waiting = "waiting",
        /// To be posted.
        Due = "due",
        /// The ticket system has it.
        Posted = "posted",
        /// A file of records, of an order that has none.
        Dropped = "dropped",
    }
}

/// One thing for one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct OutboxRow {
    /// Unique for ever.
    #[n(0)]
    pub key: String,
    /// For which ticket.
    #[n(1)]
    pub ticket: TicketId,
    /// What it is.
    #[n(2)]
    pub kind: OutboxKind,
    /// Its text; notes have none, they are written from the records.
    #[n(3)]
    pub payload: Option<String>,
    /// How far.
    #[n(4)]
    pub state: OutboxState,
    /// Tries so far.
    #[n(5)]
    pub tries: u64,
    /// Not before.
    #[n(6)]
    pub next_try: Time,
    /// Why the last try failed.
    #[n(7)]
    pub last_error: Option<String>,
    /// Of which order.
    #[n(8)]
    pub order: Option<Digest>,
    /// Since when it waits.
    #[n(9)]
    pub created: Time,
    /// When the ticket system took it.
    #[n(10)]
    pub posted_at: Option<Time>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        key: row.get("key")?,
        ticket: row::text(row, "ticket")?,
        kind: row::word(row, "kind", OutboxKind::ALL, OutboxKind::word)?,
        payload: row.get("payload")?,
        state: row::word(row, "state", OutboxState::ALL, OutboxState::word)?,
        tries: row::number(row, "tries")?,
        next_try: row::time(row, "next_try")?,
        last_error: row.get("last_error")?,
        order: row::text_opt(row, "order_digest")?,
        created: row::time(row, "created")?,
        posted_at: row::time_opt(row, "posted_at")?,
    })
}

/// The one worker of the outbox, until dropped.
#[derive(Debug)]
pub struct Deliverer {
    _lock: File,
}

impl Store {
    /// Everything not posted yet, by ticket, in the order in which it must be posted.
    ///
    /// # Errors
    /// The store's own.
    pub fn outbox_todo(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox_todo_page(None, 0)
    }

    /// As [`Store::outbox_todo`], at most `limit` (zero means all) behind the row with a key.
    ///
    /// # Errors
    /// The store's own.
    pub fn outbox_todo_page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.read("list the outbox", |db| {
            let sql = "SELECT * FROM outbox WHERE state IN ('waiting', 'due') AND (?1 IS NULL
                 OR (ticket, seq) > (SELECT ticket, seq FROM outbox WHERE key = ?1))
                 ORDER BY ticket, seq LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            Ok(statement.query_map((after, row::limit(limit)), read)?.collect::<Result<_, _>>()?)
        })
    }

    /// What is due for one ticket, in order. Rows that wait for their order block nothing.
    ///
    /// # Errors
    /// The store's own.
    pub fn outbox_due(&self, ticket: &TicketId) -> Result<Vec<OutboxRow>, StoreError> {
        self.read("list the outbox", |db| {
            let sql = "SELECT * FROM outbox WHERE ticket = ?1 AND state = 'due' ORDER BY seq";
            let mut statement = db.prepare_cached(sql)?;
            Ok(statement.query_map([ticket.as_str()], read)?.collect::<Result<_, _>>()?)
        })
    }

    /// One row by its key, whatever its state.
    ///
    /// # Errors
    /// The store's own.
    pub fn outbox_row(&self, key: &str) -> Result<Option<OutboxRow>, StoreError> {
        self.read("look up an outbox row", |db| {
            Ok(db.query_row("SELECT * FROM outbox WHERE key = ?1", [key], read).optional()?)
        })
    }

    /// Counts a try before it is made, so that a crash in it is seen as "maybe posted".
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn outbox_trying(&self, key: &str) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET tries = tries + 1 WHERE key = ?1 AND state = 'due'";
        self.outbox_change(key, sql, [key])
    }

    /// Why the last try failed, and when the next one is due.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn outbox_failed(&self, key: &str, error: &str, next: Time) -> Result<(), StoreError> {
        self.outbox_change(
            key,
            "UPDATE outbox SET last_error = ?2, next_try = ?3 WHERE key = ?1 AND state = 'due'",
            (key, error, row::stamp(next)),
        )
    }

    /// The ticket system has it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn outbox_posted(&self, key: &str, now: Time) -> Result<(), StoreError> {
        self.outbox_change(
            key,
            "UPDATE outbox SET state = 'posted', posted_at = ?2, last_error = NULL
             WHERE key = ?1 AND state = 'due'",
            (key, row::stamp(now)),
        )
    }

    fn outbox_change(
        &self,
        key: &str,
        sql: &'static str,
        values: impl rusqlite::Params,
    ) -> Result<(), StoreError> {
        self.write("change an outbox row", |db| match db.execute(sql, values)? {
            0 => Err(StoreError::NotFound { what: format!("due outbox row `{key}`") }.into()),
            _ => Ok(()),
        })
    }

    /// Becomes the one worker of the outbox: waits until no other one delivers. Held on a lock of
    /// the operating system beside the store, which ends with its holder however that ends, so
    /// nobody waits for one that was killed.
    ///
    /// # Errors
    /// [`StoreError::Open`] where the lock's file cannot be made.
    pub fn deliverer(&self) -> Result<Deliverer, StoreError> {
        let path = self.beside("-deliver");
        let lock = || {
            let mut options = OpenOptions::new();
            let file = options.create(true).write(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(Deliverer { _lock: file })
        };
        lock().map_err(|source| StoreError::Open { path: path.clone(), source })
    }
}
