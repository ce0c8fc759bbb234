//! Orders: written with their runs and the promise of a note, in one transaction, before anything
//! is sent (P6).

use protocol::{
    AgentName, Bytes, Digest, EndpointId, Mode, OrderId, RunId, ScriptName, TicketId, Time,
};
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use crate::endpoints::{self, Seen};
use crate::error::{Fault, StoreError, duplicate};
use crate::open::Store;
use crate::row::{self, words};
use crate::runs;

words! {
    /// How far an order has come.
    OrderState {
        /// Some endpoint has not answered yet.
        Open = "open",
        /// Every endpoint that got it has answered with a record.
        Ended = "ended",
        /// No endpoint answered: it was never sent, or never taken as its door says.
        NotSent = "not_sent",
    }
}

const MODES: [Mode; 4] = [Mode::Check, Mode::Plan, Mode::Fix, Mode::Undo];

/// An order about to be sent.
#[derive(Debug, Clone)]
pub struct NewOrder<'a> {
    /// SHA-256 of its payload.
    pub digest: Digest,
    /// Its id.
    pub id: OrderId,
    /// What runs.
    pub script: ScriptName,
    /// Its version.
    pub version: u32,
    /// How.
    pub mode: Mode,
    /// Who orders.
    pub agent: AgentName,
    /// For which ticket.
    pub ticket: Option<TicketId>,
    /// The envelope, byte for byte.
    pub envelope: &'a [u8],
    /// Attestation and approvals that travelled with it (JSON of envelopes).
    pub support: Option<&'a [u8]>,
    /// Where: one run each.
    pub targets: &'a [EndpointId],
    /// The break-glass key that it names, if it breaks glass.
    pub glass: Option<&'a str>,
    /// Key of the one note that the ticket will get, where the mode asks for one.
    pub note_key: Option<&'a str>,
    /// Key of the one file (the records) that the ticket will get after the note.
    pub file_key: Option<&'a str>,
}

/// An order as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct OrderRow {
    /// SHA-256 of its payload.
    #[n(0)]
    pub digest: Digest,
    /// Its id.
    #[n(1)]
    pub id: OrderId,
    /// What ran.
    #[n(2)]
    pub script: ScriptName,
    /// Its version.
    #[n(3)]
    pub version: u32,
    /// How.
    #[n(4)]
    pub mode: Mode,
    /// Who ordered.
    #[n(5)]
    pub agent: AgentName,
    /// For which ticket.
    #[n(6)]
    pub ticket: Option<TicketId>,
    /// The envelope, byte for byte.
    #[serde(skip)]
    #[cbor(n(7), with = "minicbor::bytes")]
    pub envelope: Vec<u8>,
    /// Attestation and approvals that travelled with it (JSON of envelopes).
    #[serde(skip)]
    #[cbor(n(8), with = "minicbor::bytes")]
    pub support: Option<Vec<u8>>,
    /// How far.
    #[n(9)]
    pub state: OrderState,
    /// When it was stored.
    #[n(10)]
    pub created: Time,
}

fn read(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        digest: row::text(row, "digest")?,
        id: row::text(row, "id")?,
        script: row::text(row, "script")?,
        version: u32::try_from(row::number(row, "version")?).unwrap_or(u32::MAX),
        mode: row::word(row, "mode", &MODES, Mode::word)?,
        agent: row::text(row, "agent")?,
        ticket: row::text_opt(row, "ticket")?,
        envelope: row.get("envelope")?,
        support: row.get("support")?,
        state: row::word(row, "state", OrderState::ALL, OrderState::word)?,
        created: row::time(row, "created")?,
    })
}

impl Store {
    /// Order, its runs and the promise of its note, in one transaction. Nothing may be sent before
    /// this has returned.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a digest, id or note key that exists.
    pub fn add_order(&self, new: &NewOrder<'_>, now: Time) -> Result<Vec<RunId>, StoreError> {
        self.write("store an order", |db| add(db, new, now))
    }

    /// As [`Store::add_order`], for an order that left before this store was put back from a copy.
    ///
    /// # Errors
    /// As [`Store::add_order`].
    pub fn add_order_again(&self, new: &NewOrder<'_>, now: Time) -> Result<Vec<RunId>, StoreError> {
        self.write("take an order back", |db| {
            let runs = add(db, new, now)?;
            let sql =
                "UPDATE runs SET state = 'sent' WHERE order_digest = ?1 AND state = 'prepared'";
            db.execute(sql, [new.digest.to_string()])?;
            Ok(runs)
        })
    }

    /// As [`Store::add_order`] for an order with one target, whose dispatch is at hand and which
    /// leaves when this has returned; with the hello of the session that it leaves on. All of it in
    /// one transaction: one wait for the disk, and none for a look.
    ///
    /// # Errors
    /// As [`Store::add_order`]; [`StoreError::NotFound`] for an unknown endpoint.
    pub fn add_order_sent(
        &self,
        new: &NewOrder<'_>,
        dispatch: &[u8],
        (endpoint, seen): (&EndpointId, &Seen<'_>),
        now: Time,
    ) -> Result<(), StoreError> {
        // What changes something, or owes a note, is on the disk before it leaves (P6). A look that a
        // power cut makes us forget comes home with its record.
        let lasting = new.mode.mutates() || new.note_key.is_some();
        let work = |db: &Transaction<'_>| {
            endpoints::seen(db, endpoint, seen, now)?;
            for run in add(db, new, now)? {
                runs::sent(db, &run, dispatch, &seen.head)?;
            }
            Ok(())
        };
        if lasting {
            self.write("store an order", work)
        } else {
            self.write_soon("store an order", work)
        }
    }

    /// One order by its digest.
    ///
    /// # Errors
    /// The store's own.
    pub fn order(&self, digest: &Digest) -> Result<Option<OrderRow>, StoreError> {
        self.read("look up an order", |db| {
            let sql = "SELECT * FROM orders WHERE digest = ?1";
            Ok(db.query_row(sql, [digest.to_string()], read).optional()?)
        })
    }

    /// Keeps the sealed answers that an order is sent with; call it before the order leaves.
    ///
    /// # Errors
    /// The store's own.
    pub fn keep_approvals(&self, order: &Digest, approvals: &[Bytes]) -> Result<(), StoreError> {
        self.write("keep an order's approvals", |db| {
            let sql = "INSERT INTO order_approvals (order_digest, place, envelope)
                       VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            let mut statement = db.prepare_cached(sql)?;
            for (place, envelope) in (0_i64..).zip(approvals) {
                statement.execute((order.to_string(), place, &envelope.0))?;
            }
            Ok(())
        })
    }

    /// The sealed answers that an order was sent with.
    ///
    /// # Errors
    /// The store's own.
    pub fn approvals(&self, order: &Digest) -> Result<Vec<Bytes>, StoreError> {
        self.read("read an order's approvals", |db| {
            let sql = "SELECT envelope FROM order_approvals WHERE order_digest = ?1 ORDER BY place";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement
                .query_map([order.to_string()], |row| row.get::<_, Vec<u8>>(0).map(Bytes))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Orders that still wait for an answer, oldest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn open_orders(&self) -> Result<Vec<OrderRow>, StoreError> {
        self.read("list the open orders", |db| {
            let sql = "SELECT * FROM orders WHERE state = 'open' ORDER BY created, digest";
            let mut statement = db.prepare_cached(sql)?;
            Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
        })
    }
}

pub(crate) fn add(
    db: &Transaction<'_>,
    new: &NewOrder<'_>,
    now: Time,
) -> Result<Vec<RunId>, Fault> {
    db.execute(
        "INSERT INTO orders (digest, id, script, version, mode, agent, ticket, envelope,
                             support, glass, state, created)
         VALUES (:digest, :id, :script, :version, :mode, :agent, :ticket, :envelope,
                 :support, :glass, 'open', :now)",
        named_params! {
            ":digest": new.digest.to_string(),
            ":id": new.id.to_string(),
            ":script": new.script.as_str(),
            ":version": i64::from(new.version),
            ":mode": new.mode.word(),
            ":agent": new.agent.as_str(),
            ":ticket": new.ticket.as_ref().map(TicketId::as_str),
            ":envelope": new.envelope,
            ":support": new.support,
            ":glass": new.glass,
            ":now": row::stamp(now),
        },
    )
    .map_err(|e| duplicate(e, || format!("order `{}`", new.id)))?;
    let mut runs = Vec::with_capacity(new.targets.len());
    for endpoint in new.targets {
        let run = RunId::of(&new.digest, endpoint, 0);
        db.execute(
            "INSERT INTO runs (id, order_digest, endpoint, state, created)
             VALUES (?1, ?2, ?3, 'prepared', ?4)",
            (run.to_string(), new.digest.to_string(), endpoint.to_string(), row::stamp(now)),
        )
        .map_err(|e| duplicate(e, || format!("run `{run}`")))?;
        runs.push(run);
    }
    // In this order: a ticket's rows are posted as they were written.
    for (kind, key) in [("note", new.note_key), ("file", new.file_key)] {
        if let (Some(key), Some(ticket)) = (key, &new.ticket) {
            promise(db, (kind, key), ticket, &new.digest, now)?;
        }
    }
    Ok(runs)
}

fn promise(
    db: &Transaction<'_>,
    (kind, key): (&str, &str),
    ticket: &TicketId,
    order: &Digest,
    now: Time,
) -> Result<(), Fault> {
    db.execute(
        // In a store that was put back it may have been posted before.
        "INSERT INTO outbox (key, ticket, kind, state, next_try, order_digest, created, tries)
         VALUES (?1, ?2, ?5, 'waiting', ?4, ?3, ?4,
                 (SELECT count(*) FROM counters WHERE name = 'restored'))",
        (key, ticket.as_str(), order.to_string(), row::stamp(now), kind),
    )
    .map_err(|e| duplicate(e, || format!("a {kind} with key `{key}`")))?;
    Ok(())
}

/// Ends the order when no run of it waits any more; its note, if promised, is due from then on,
/// whether anything ran or not (P6). Without a record there is no file of records; where one comes
/// after all, the file is due again.
pub(crate) fn settle(db: &Transaction<'_>, order: &str, now: Time) -> Result<(), Fault> {
    let (waiting, ended): (i64, bool) = db.query_row(
        "SELECT coalesce(sum(state IN ('prepared', 'sent', 'accepted')), 0),
                coalesce(sum(state = 'ended'), 0) > 0 FROM runs WHERE order_digest = ?1",
        [order],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if waiting > 0 {
        return Ok(());
    }
    let state = if ended { "ended" } else { "not_sent" };
    db.execute("UPDATE orders SET state = ?2 WHERE digest = ?1", (order, state))?;
    db.execute(
        "UPDATE outbox SET next_try = ?3,
             state = CASE WHEN kind = 'file' AND NOT ?2 THEN 'dropped' ELSE 'due' END
         WHERE order_digest = ?1 AND (state = 'waiting' OR (state = 'dropped' AND ?2))",
        (order, ended, row::stamp(now)),
    )?;
    Ok(())
}
