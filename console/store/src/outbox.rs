//! What tickets still have to be told. A row leaves only when the ticket system has it.

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
        /// Its order was never sent.
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
    pub fn outbox_trying(&self, key: &str, next_try: Time) -> Result<(), StoreError> {
        self.outbox_change(
            key,
            "UPDATE outbox SET tries = tries + 1, next_try = ?2 WHERE key = ?1 AND state = 'due'",
            row::stamp(next_try),
        )
    }

    /// Why the last try failed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn outbox_failed(&self, key: &str, error: &str) -> Result<(), StoreError> {
        self.outbox_change(
            key,
            "UPDATE outbox SET last_error = ?2 WHERE key = ?1 AND state = 'due'",
            error,
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
            row::stamp(now),
        )
    }

    fn outbox_change(
        &self,
        key: &str,
        sql: &'static str,
        value: impl rusqlite::ToSql,
    ) -> Result<(), StoreError> {
        self.write("change an outbox row", |db| match db.execute(sql, (key, value))? {
            0 => Err(StoreError::NotFound { what: format!("due outbox row `{key}`") }.into()),
            _ => Ok(()),
        })
    }

    /// Becomes the one worker of a ticket until a time; a lease of one's own is extended.
    ///
    /// # Errors
    /// The store's own. `false` means that somebody else works on it.
    pub fn lease_ticket(
        &self,
        ticket: &TicketId,
        holder: &str,
        now: Time,
        until: Time,
    ) -> Result<bool, StoreError> {
        self.write("lease a ticket", |db| {
            let changed = db.execute(
                "INSERT INTO leases (ticket, holder, until) VALUES (?1, ?2, ?4)
                 ON CONFLICT (ticket) DO UPDATE SET holder = ?2, until = ?4
                 WHERE holder = ?2 OR until <= ?3",
                (ticket.as_str(), holder, row::stamp(now), row::stamp(until)),
            )?;
            Ok(changed > 0)
        })
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The store's own.
    pub fn release_ticket(&self, ticket: &TicketId, holder: &str) -> Result<(), StoreError> {
        self.write("release a ticket", |db| {
            db.execute(
                "DELETE FROM leases WHERE ticket = ?1 AND holder = ?2",
                (ticket.as_str(), holder),
            )?;
            Ok(())
        })
    }
}
