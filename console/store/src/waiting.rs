//! Orders that wait for their endpoint, each with the one-order key that signs its dispatch.
//!
//! A key is read once, in the transaction that marks its run as sent and removes it: so an order is
//! dispatched at most once, whenever the desk dies.

use protocol::{AgentName, Digest, EndpointId, Mode, RunId, ScriptName, TicketId, Time};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::endpoints::{self, Seen};
use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::orders::{self, NewOrder, settle};
use crate::row;
use crate::runs;

const MODES: [Mode; 4] = [Mode::Check, Mode::Plan, Mode::Fix, Mode::Undo];

/// Waiting orders of one endpoint, at most: what comes back is not buried in them.
pub const WAITING_MAX: usize = 16;

/// An order that waits, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct WaitingRow {
    /// Its run.
    #[n(0)]
    pub run: RunId,
    /// The order.
    #[n(1)]
    pub order: Digest,
    /// For which endpoint.
    #[n(2)]
    pub endpoint: EndpointId,
    /// That endpoint's name, if it is in the address book.
    #[n(3)]
    pub endpoint_name: Option<String>,
    /// What will run.
    #[n(4)]
    pub script: ScriptName,
    /// How.
    #[n(5)]
    pub mode: Mode,
    /// Who ordered.
    #[n(6)]
    pub agent: AgentName,
    /// For which ticket.
    #[n(7)]
    pub ticket: Option<TicketId>,
    /// Since when it waits.
    #[n(8)]
    pub since: Time,
    /// Until when; afterwards it is never sent.
    #[n(9)]
    pub until: Time,
}

const ROWS: &str = "SELECT w.run, w.order_digest, w.endpoint, e.name AS endpoint_name, o.script,
                           o.mode, o.agent, o.ticket, o.created, w.not_after
                    FROM waiting w JOIN orders o ON o.digest = w.order_digest
                    LEFT JOIN endpoints e ON e.id = w.endpoint";

fn read(row: &Row<'_>) -> rusqlite::Result<WaitingRow> {
    Ok(WaitingRow {
        run: row::text(row, "run")?,
        order: row::text(row, "order_digest")?,
        endpoint: row::text(row, "endpoint")?,
        endpoint_name: row.get("endpoint_name")?,
        script: row::text(row, "script")?,
        mode: row::word(row, "mode", &MODES, Mode::word)?,
        agent: row::text(row, "agent")?,
        ticket: row::text_opt(row, "ticket")?,
        since: row::time(row, "created")?,
        until: row::time(row, "not_after")?,
    })
}

/// An order with the key of its dispatch, for a file.
#[derive(Clone)]
pub struct CarriedOrder {
    /// The order's envelope, byte for byte.
    pub envelope: Vec<u8>,
    /// The seed of its key.
    pub seed: Zeroizing<[u8; 32]>,
    /// The order's end.
    pub until: Time,
}

impl std::fmt::Debug for CarriedOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CarriedOrder").field("until", &self.until).finish_non_exhaustive()
    }
}

/// What became of a run whose order waits no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedWaiting {
    /// None waited.
    Nothing,
    /// It is never sent.
    NotSent,
    /// It is not sent from here; a copy of it is out in a file.
    Carried,
}

/// From now on a copy may be out until then: where the endpoint's records stand now is where they
/// stood, at the latest, when it ran.
pub(crate) fn carry(db: &Transaction<'_>, run: &RunId, until: i64) -> Result<(), Fault> {
    let sql =
        "UPDATE runs SET carried = ?2, sent_epoch = e.head_epoch, sent_counter = e.head_counter
               FROM endpoints e
               WHERE runs.id = ?1 AND e.id = runs.endpoint AND runs.carried IS NULL";
    db.execute(sql, (run.to_string(), until))?;
    Ok(())
}

/// Removes the key; gives the order's end, nothing where none waited.
fn erase(db: &Transaction<'_>, run: &RunId) -> Result<Option<i64>, Fault> {
    let sql = "DELETE FROM waiting WHERE run = ?1 RETURNING not_after";
    Ok(db.query_row(sql, [run.to_string()], |row| row.get(0)).optional()?)
}

/// What waited when a copy was made may have run, or been taken back, since then: it is not sent from
/// a store that was put back, and its ticket is told that nobody signed what became of it. A record
/// that comes is filed all the same.
pub(crate) fn put_back(db: &Transaction<'_>, now: Time) -> Result<(), Fault> {
    let mut statement = db.prepare("DELETE FROM waiting RETURNING run, order_digest")?;
    let rows = statement.query_map([], |row| Ok((row.get("run")?, row.get("order_digest")?)))?;
    for (run, order) in rows.collect::<Result<Vec<(String, String)>, _>>()? {
        let why = "the desk was put back from a copy in which it waited; it may have run since";
        let sql = "UPDATE runs SET state = 'not_taken', reason = ?2 WHERE id = ?1";
        db.execute(sql, (run, why))?;
        settle(db, &order, now)?;
    }
    Ok(())
}

impl Store {
    /// Order, run, promise of its note and the key of its dispatch, in one transaction. `until` is
    /// the order's own end.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for an order that exists, [`StoreError::TooMany`] where
    /// [`WAITING_MAX`] wait for this endpoint already.
    pub fn add_waiting(
        &self,
        new: &NewOrder<'_>,
        (endpoint, seed): (&EndpointId, &[u8; 32]),
        until: Time,
        now: Time,
    ) -> Result<RunId, StoreError> {
        self.write("store an order that waits", |db| {
            let sql = "SELECT count(*) FROM waiting WHERE endpoint = ?1";
            let count: i64 = db.query_row(sql, [endpoint.to_string()], |row| row.get(0))?;
            if usize::try_from(count).is_ok_and(|count| count >= WAITING_MAX) {
                return Err(
                    StoreError::TooMany { what: "orders that wait for this endpoint" }.into()
                );
            }
            orders::add(db, new, now)?;
            let run = RunId::of(&new.digest, endpoint, 0);
            db.execute(
                "INSERT INTO waiting (run, order_digest, endpoint, seed, not_after)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (
                    run.to_string(),
                    new.digest.to_string(),
                    endpoint.to_string(),
                    seed.as_slice(),
                    row::stamp(until),
                ),
            )?;
            Ok(run)
        })
    }

    /// A page of what waits, by run; for one endpoint or for all.
    ///
    /// # Errors
    /// The store's own.
    pub fn waiting_page(
        &self,
        endpoint: Option<&EndpointId>,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<WaitingRow>, StoreError> {
        self.read("list what waits", |db| {
            let sql = format!(
                "{ROWS} WHERE (?1 IS NULL OR w.endpoint = ?1) AND (?2 IS NULL OR w.run > ?2)
                 ORDER BY w.run LIMIT ?3"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let given = (endpoint.map(EndpointId::to_string), after.map(RunId::to_string), limit);
            Ok(statement.query_map(given, read)?.collect::<Result<_, _>>()?)
        })
    }

    /// One order that waits, by its run.
    ///
    /// # Errors
    /// The store's own.
    pub fn waiting(&self, run: &RunId) -> Result<Option<WaitingRow>, StoreError> {
        self.read("look up what waits", |db| {
            let sql = format!("{ROWS} WHERE w.run = ?1");
            Ok(db.query_row(&sql, [run.to_string()], read).optional()?)
        })
    }

    /// Has the key sign a dispatch, keeps that, marks the run as sent and erases the key, all in one
    /// transaction. `None` where nothing waits any more, or its time is over. Call it before the
    /// bytes leave.
    ///
    /// # Errors
    /// The store's own; then the order waits as before.
    pub fn send_waiting(
        &self,
        run: &RunId,
        seen: &Seen<'_>,
        support: Option<&[u8]>,
        now: Time,
        sign: impl FnOnce([u8; 32]) -> Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sent = self.write("send an order that waited", |db| {
            let sql = "SELECT seed, endpoint, order_digest FROM waiting
                       WHERE run = ?1 AND not_after >= ?2";
            let found = db
                .query_row(sql, (run.to_string(), row::stamp(now)), |found| {
                    let seed: [u8; 32] = found.get("seed")?;
                    let endpoint: EndpointId = row::text(found, "endpoint")?;
                    Ok((seed, endpoint, found.get::<_, String>("order_digest")?))
                })
                .optional()?;
            let Some((seed, endpoint, order)) = found else { return Ok(None) };
            let Some(dispatch) = sign(seed) else { return Ok(None) };
            endpoints::seen(db, &endpoint, seen, now)?;
            runs::sent(db, run, &dispatch, &seen.head)?;
            db.execute("UPDATE orders SET support = ?2 WHERE digest = ?1", (order, support))?;
            erase(db, run)?;
            Ok(Some(dispatch))
        })?;
        if sent.is_some() {
            self.empty_log()?;
        }
        Ok(sent)
    }

    /// An order that waits with its key, for a file. It waits on here: whichever comes to the endpoint
    /// first runs. `None` where nothing waits any more, or its time is over.
    ///
    /// # Errors
    /// The store's own.
    pub fn carry_waiting(
        &self,
        run: &RunId,
        now: Time,
    ) -> Result<Option<CarriedOrder>, StoreError> {
        self.write("copy an order that waits", |db| {
            let sql = "SELECT w.seed, w.not_after, o.envelope
                       FROM waiting w JOIN orders o ON o.digest = w.order_digest
                       WHERE w.run = ?1 AND w.not_after >= ?2";
            let key = (run.to_string(), row::stamp(now));
            let read = |found: &Row<'_>| {
                Ok(CarriedOrder {
                    envelope: found.get("envelope")?,
                    seed: Zeroizing::new(found.get("seed")?),
                    until: row::time(found, "not_after")?,
                })
            };
            let found = db.query_row(sql, key, read).optional()?;
            if let Some(order) = &found {
                carry(db, run, row::stamp(order.until))?;
            }
            Ok(found)
        })
    }

    /// The endpoint has taken, from a file, what waits for it here: it waits no more. False where
    /// nothing waited.
    ///
    /// # Errors
    /// The store's own.
    pub fn waiting_came(&self, run: &RunId) -> Result<bool, StoreError> {
        let came = self.write("end a wait", |db| {
            let Some(until) = erase(db, run)? else { return Ok(false) };
            carry(db, run, until)?;
            let sql = "UPDATE runs SET state = 'sent' WHERE id = ?1 AND state = 'prepared'";
            db.execute(sql, [run.to_string()])?;
            Ok(true)
        })?;
        if came {
            self.empty_log()?;
        }
        Ok(came)
    }

    /// An order that waits nowhere goes into a file, until then; call it before that is written.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a run that was sent or has ended.
    pub fn run_carried(&self, run: &RunId, until: Time) -> Result<(), StoreError> {
        self.write("mark an order as carried", |db| {
            carry(db, run, row::stamp(until))?;
            let sql = "UPDATE runs SET state = 'sent' WHERE id = ?1 AND state = 'prepared'";
            let changed = db.execute(sql, [run.to_string()])?;
            runs::found(changed, || format!("run `{run}` that waits to be sent"))
        })
    }

    /// No file was written after all: such an order that waits nowhere is not sent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a run that is not out in a file alone.
    pub fn run_not_carried(&self, run: &RunId, now: Time) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'not_sent', reason = ?2, carried = NULL
                   WHERE id = ?1 AND state = 'sent' AND dispatch IS NULL AND carried IS NOT NULL
                   RETURNING order_digest";
        self.without_record(run, sql, None, now)
    }

    /// Ends one that waits, so that it can never be sent from here: its key is erased. Its note is due,
    /// unless a copy is out. `why` is for people.
    ///
    /// # Errors
    /// The store's own.
    pub fn end_waiting(
        &self,
        run: &RunId,
        why: &str,
        now: Time,
    ) -> Result<EndedWaiting, StoreError> {
        let ended = self.write("end an order that waits", |db| {
            if erase(db, run)?.is_none() {
                return Ok(EndedWaiting::Nothing);
            }
            let sql = "UPDATE runs SET state = iif(carried IS NULL, 'not_sent', 'sent'), reason = ?2
                       WHERE id = ?1 AND state = 'prepared' RETURNING order_digest, carried IS NULL";
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let order: Option<(String, bool)> =
                db.query_row(sql, (run.to_string(), why), read).optional()?;
            match order {
                Some((_, false)) => return Ok(EndedWaiting::Carried),
                Some((order, true)) => settle(db, &order, now)?,
                None => {}
            }
            Ok(EndedWaiting::NotSent)
        })?;
        if ended != EndedWaiting::Nothing {
            self.empty_log()?;
        }
        Ok(ended)
    }

    /// Ends all whose time is over, and says so on their tickets. Gives how many there were.
    ///
    /// # Errors
    /// The store's own.
    pub fn expire_waiting(&self, why: &str, now: Time) -> Result<usize, StoreError> {
        let over: Vec<RunId> = self.read("look for what waited too long", |db| {
            let mut statement =
                db.prepare_cached("SELECT run FROM waiting WHERE not_after < ?1")?;
            let rows = statement.query_map([row::stamp(now)], |found| row::text(found, "run"))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        let mut ended = 0usize;
        for run in over {
            let one = self.end_waiting(&run, why, now)? != EndedWaiting::Nothing;
            ended = ended.saturating_add(usize::from(one));
        }
        Ok(ended)
    }
}
