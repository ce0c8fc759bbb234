//! Runs as the desk knows them, and their papers byte for byte. Never says that a run was not sent
//! when it may have been.

use protocol::documents::Head;
use protocol::{Digest, EndpointId, Outcome, RunId, TicketId, Time};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::orders::settle;
use crate::row::{self, words};

words! {
    /// How far a run has come, seen from the desk.
    RunState {
        /// Stored, not sent yet.
        Prepared = "prepared",
        /// Its dispatch was stored and may have arrived.
        Sent = "sent",
        /// It waits here no more, and a copy of it with its key is, or was, out in a file.
        Carried = "carried",
        /// The endpoint said that it took it.
        Accepted = "accepted",
        /// Its record is here.
        Ended = "ended",
        /// It never left this desk.
        NotSent = "not_sent",
        /// It left, and the endpoint's door says that it was never taken. Not signed.
        NotTaken = "not_taken",
    }
}

/// A run without its papers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct RunRow {
    /// The run.
    #[n(0)]
    pub id: RunId,
    /// Its order.
    #[n(1)]
    pub order: Digest,
    /// Where.
    #[n(2)]
    pub endpoint: EndpointId,
    /// That endpoint's name, if it is in the address book.
    #[n(3)]
    pub endpoint_name: Option<String>,
    /// What ran, if the order is known here.
    #[n(4)]
    pub script: Option<String>,
    /// How, if the order is known here.
    #[n(5)]
    pub mode: Option<String>,
    /// Who ordered, if the order is known here.
    #[n(6)]
    pub agent: Option<String>,
    /// For which ticket.
    #[n(7)]
    pub ticket: Option<TicketId>,
    /// How far.
    #[n(8)]
    pub state: RunState,
    /// How it ended; `None` without a record.
    #[n(9)]
    pub outcome: Option<Outcome>,
    /// SHA-256 of the record's payload.
    #[n(10)]
    pub record_hash: Option<Digest>,
    /// Whether the record verified when it was filed; `None` without a record.
    #[n(11)]
    pub verified: Option<bool>,
    /// Why it did not, or why it counts as not taken.
    #[n(12)]
    pub reason: Option<String>,
    /// Where the endpoint's chain of records stood when the dispatch left: epoch and counter.
    #[n(16)]
    pub sent_at: Option<(Digest, u64)>,
    /// Until when a copy of it with its key may be out in a file; none where none was made.
    #[n(17)]
    pub carried: Option<Time>,
    /// When the order was stored, or a stray record came.
    #[n(13)]
    pub created: Time,
    /// When it ended, says the record.
    #[n(14)]
    pub ended: Option<Time>,
    /// When the record was filed.
    #[n(15)]
    pub filed: Option<Time>,
}

/// A record that differs from the one that was filed first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Stray {
    /// SHA-256 of its payload.
    #[n(0)]
    pub record_hash: Digest,
    /// Its envelope.
    #[serde(skip)]
    #[cbor(n(1), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// Why it lies here.
    #[n(2)]
    pub reason: String,
    /// When it came.
    #[n(3)]
    pub received: Time,
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct RunFilter {
    /// Of this ticket.
    #[n(0)]
    pub ticket: Option<TicketId>,
    /// On this endpoint.
    #[n(1)]
    pub endpoint: Option<EndpointId>,
    /// Of this order.
    #[n(2)]
    pub order: Option<Digest>,
    /// Without a record only.
    #[n(3)]
    pub unanswered: bool,
    /// At most so many; zero means all.
    #[n(4)]
    pub limit: usize,
    /// Only those stored before this run.
    #[n(5)]
    pub after: Option<RunId>,
}

pub(crate) const SELECT: &str =
    "SELECT r.id, r.order_digest, r.endpoint, r.outcome, r.record_hash, r.carried,
     iif(r.state = 'sent' AND r.dispatch IS NULL AND r.carried IS NOT NULL, 'carried', r.state) AS state,
     r.verified, r.reason, r.sent_epoch, r.sent_counter, r.created, r.ended, r.filed,
     e.name AS endpoint_name, o.script, o.mode, o.agent, o.ticket
     FROM runs r LEFT JOIN orders o ON o.digest = r.order_digest
     LEFT JOIN endpoints e ON e.id = r.endpoint";

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row::text(row, "id")?,
        order: row::text(row, "order_digest")?,
        endpoint: row::text(row, "endpoint")?,
        endpoint_name: row.get("endpoint_name")?,
        script: row.get("script")?,
        mode: row.get("mode")?,
        agent: row.get("agent")?,
        ticket: row::text_opt(row, "ticket")?,
        state: row::word(row, "state", RunState::ALL, RunState::word)?,
        outcome: row::outcome_opt(row, "outcome")?,
        record_hash: row::text_opt(row, "record_hash")?,
        verified: row.get("verified")?,
        reason: row.get("reason")?,
        sent_at: row::text_opt(row, "sent_epoch")?.zip(row::number_opt(row, "sent_counter")?),
        carried: row::time_opt(row, "carried")?,
        created: row::time(row, "created")?,
        ended: row::time_opt(row, "ended")?,
        filed: row::time_opt(row, "filed")?,
    })
}

pub(crate) fn sent(
    db: &Transaction<'_>,
    run: &RunId,
    dispatch: &[u8],
    head: &Head,
) -> Result<(), Fault> {
    let changed = db.execute(
        "UPDATE runs SET dispatch = ?2, state = 'sent', sent_epoch = ?3, sent_counter = ?4
         WHERE id = ?1 AND state IN ('prepared', 'sent')",
        (run.to_string(), dispatch, head.epoch.to_string(), row::int(head.counter)),
    )?;
    found(changed, || format!("run `{run}` that waits to be sent"))
}

impl Store {
    /// Keeps the dispatch and marks the run as sent; call it before the bytes leave. `head` is that
    /// of the hello which the dispatch answers.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown run or one that does not wait to be sent.
    pub fn run_sent(&self, run: &RunId, dispatch: &[u8], head: &Head) -> Result<(), StoreError> {
        self.write("keep a dispatch", |db| sent(db, run, dispatch, head))
    }

    /// The endpoint said that it took the order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown run; one that has its record stays as it is.
    pub fn run_accepted(&self, run: &RunId) -> Result<(), StoreError> {
        // A hint for people: what settles a run is its record.
        self.write_soon("mark a run as accepted", |db| {
            let changed = db.execute(
                "UPDATE runs SET state = CASE state WHEN 'ended' THEN 'ended' ELSE 'accepted' END
                 WHERE id = ?1",
                [run.to_string()],
            )?;
            found(changed, || format!("run `{run}`"))
        })
    }

    /// It never left this desk: no record will come. Its order's note says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown run, or one that may have left.
    pub fn run_not_sent(&self, run: &RunId, now: Time) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'not_sent', reason = ?2
                   WHERE id = ?1 AND state = 'prepared' RETURNING order_digest";
        self.without_record(run, sql, None, now)
    }

    /// It left, and the endpoint's door says that it was never taken; `why` says what that rests
    /// on. The order's note says so too; a record that comes all the same is filed as ever.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown run, or one that was not sent, was accepted or has
    /// its record.
    pub fn run_not_taken(&self, run: &RunId, why: &str, now: Time) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'not_taken', reason = ?2
                   WHERE id = ?1 AND state = 'sent' RETURNING order_digest";
        self.without_record(run, sql, Some(why), now)
    }

    pub(crate) fn without_record(
        &self,
        run: &RunId,
        sql: &'static str,
        why: Option<&str>,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write("mark a run that has no record", |db| {
            let order: Option<String> =
                db.query_row(sql, (run.to_string(), why), |row| row.get(0)).optional()?;
            match order {
                Some(order) => settle(db, &order, now),
                None => {
                    let what = format!("run `{run}` of that state");
                    Err(StoreError::NotFound { what }.into())
                }
            }
        })
    }

    /// One run.
    ///
    /// # Errors
    /// The store's own.
    pub fn run(&self, id: &RunId) -> Result<Option<RunRow>, StoreError> {
        self.read("look up a run", |db| {
            let sql = format!("{SELECT} WHERE r.id = ?1");
            Ok(db.query_row(&sql, [id.to_string()], read).optional()?)
        })
    }

    /// Runs whose id begins with `prefix`, newest first, at most ten.
    ///
    /// # Errors
    /// The store's own.
    pub fn runs_starting(&self, prefix: &str) -> Result<Vec<RunRow>, StoreError> {
        self.read("look up a run", |db| {
            // Behind every character of an id: so that the index of ids is walked, not all runs.
            let sql = format!(
                "{SELECT} WHERE r.id >= ?1 AND r.id < ?1 || '{{' ORDER BY r.seq DESC LIMIT 10"
            );
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map([prefix], read)?.collect::<Result<_, _>>()?)
        })
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        self.read("list the runs", |db| {
            // Only the conditions that are asked for: each has its index, and "or null" has none.
            let given = [
                (
                    "r.order_digest IN (SELECT digest FROM orders WHERE ticket = ?)",
                    filter.ticket.as_ref().map(TicketId::to_string),
                ),
                ("r.endpoint = ?", filter.endpoint.map(|e| e.to_string())),
                ("r.order_digest = ?", filter.order.map(|o| o.to_string())),
                (
                    "r.seq < (SELECT seq FROM runs WHERE id = ?)",
                    filter.after.map(|run| run.to_string()),
                ),
            ];
            let (mut wanted, mut values) = (Vec::new(), Vec::new());
            for (condition, value) in given {
                if let Some(value) = value {
                    wanted.push(condition);
                    values.push(value);
                }
            }
            if filter.unanswered {
                wanted.push("r.state IN ('prepared', 'sent', 'accepted')");
            }
            let wanted = if wanted.is_empty() { "true".to_owned() } else { wanted.join(" AND ") };
            let limit = row::limit(filter.limit);
            let sql = format!("{SELECT} WHERE {wanted} ORDER BY r.seq DESC LIMIT {limit}");
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(values), read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The runs before and after a place in one endpoint's chain of records.
    ///
    /// # Errors
    /// The store's own.
    pub fn neighbours(
        &self,
        endpoint: &EndpointId,
        epoch: &Digest,
        counter: u64,
    ) -> Result<(Option<RunRow>, Option<RunRow>), StoreError> {
        self.read("look up a record's neighbours", |db| {
            let sql = format!(
                "{SELECT} WHERE r.endpoint = ?1 AND r.epoch = ?2 AND r.counter = ?3
                 ORDER BY r.verified DESC LIMIT 1"
            );
            let at = |place: Option<u64>| -> Result<Option<RunRow>, Fault> {
                let Some(place) = place else { return Ok(None) };
                let key = (endpoint.to_string(), epoch.to_string(), row::int(place));
                Ok(db.query_row(&sql, key, read).optional()?)
            };
            Ok((at(counter.checked_sub(1))?, at(counter.checked_add(1))?))
        })
    }

    /// One paper of a run, byte for byte: the record's envelope.
    ///
    /// # Errors
    /// The store's own.
    pub fn run_record(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.paper(run, "SELECT record FROM runs WHERE id = ?1")
    }
    /// The effects file.
    ///
    /// # Errors
    /// The store's own.
    pub fn run_effects(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.paper(run, "SELECT effects FROM runs WHERE id = ?1")
    }
    /// The plan's bytes.
    ///
    /// # Errors
    /// The store's own.
    pub fn run_plan(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.paper(run, "SELECT plan FROM runs WHERE id = ?1")
    }
    /// The dispatch's envelope.
    ///
    /// # Errors
    /// The store's own.
    pub fn run_dispatch(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.paper(run, "SELECT dispatch FROM runs WHERE id = ?1")
    }
    /// The card's envelope that came with the record.
    ///
    /// # Errors
    /// The store's own.
    pub fn run_card(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.paper(run, "SELECT card FROM runs WHERE id = ?1")
    }

    fn paper(&self, run: &RunId, sql: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a run's papers", |db| {
            Ok(db.query_row(sql, [run.to_string()], |row| row.get(0)).optional()?.flatten())
        })
    }

    /// Records that differ from the one filed first.
    ///
    /// # Errors
    /// The store's own.
    pub fn strays(&self, run: &RunId) -> Result<Vec<Stray>, StoreError> {
        self.strays_page(run, None, 0)
    }

    /// As [`Store::strays`], at most `limit` (zero means all) behind the one with a digest.
    ///
    /// # Errors
    /// The store's own.
    pub fn strays_page(
        &self,
        run: &RunId,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Stray>, StoreError> {
        self.read("list a run's other records", |db| {
            let sql = "SELECT * FROM strays WHERE run = ?1 AND (?2 IS NULL OR (received, record_hash)
                     > (SELECT received, record_hash FROM strays WHERE run = ?1 AND record_hash = ?2))
                 ORDER BY received, record_hash LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let key = (run.to_string(), after.map(Digest::to_string), row::limit(limit));
            let rows = statement.query_map(key, |row| {
                Ok(Stray {
                    record_hash: row::text(row, "record_hash")?,
                    record: row.get("record")?,
                    reason: row.get("reason")?,
                    received: row::time(row, "received")?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

pub(crate) fn found(changed: usize, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if changed == 0 { Err(StoreError::NotFound { what: what() }.into()) } else { Ok(()) }
}
