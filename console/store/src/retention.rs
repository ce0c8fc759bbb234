//! Erases bodies after their time, or of one ticket: effects, plans, orders with their reasons, notes,
//! sealed secrets, facts. Records and digests stay. What is erased is in neither the file nor its log.

use protocol::{Erased, ErasedBy, Retention, RunId, Time};
use rusqlite::{OptionalExtension as _, Transaction, named_params};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;

const DAY: u64 = 86_400;
/// Runs that one transaction erases: others wait for it no longer than for a command.
const AT_ONCE: i64 = 200;

/// What one pass erased.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode,
)]
pub struct Erasure {
    /// Runs whose bodies went.
    #[n(0)]
    pub runs: u64,
    /// Notes whose texts went.
    #[n(1)]
    pub notes: u64,
}

/// Erases the bodies of these runs, each with its order; an order goes when all of its runs have.
fn runs(db: &Transaction<'_>, found: &[(String, String)], erased: Erased) -> Result<(), Fault> {
    let mut mark = db.prepare_cached(
        "UPDATE runs SET effects = NULL, plan = NULL, dispatch = NULL, erased = ?2, erased_by = ?3
         WHERE id = ?1",
    )?;
    let mut escrow = db.prepare_cached("DELETE FROM escrow WHERE run = ?1")?;
    let mut facts = db.prepare_cached("DELETE FROM facts WHERE run = ?1")?;
    let mut order = db.prepare_cached(
        "UPDATE orders SET envelope = x'', support = NULL WHERE digest = ?1
         AND NOT EXISTS (SELECT 1 FROM runs WHERE order_digest = ?1 AND erased IS NULL)",
    )?;
    let mut asked = db.prepare_cached("DELETE FROM requests WHERE order_digest = ?1")?;
    for (run, digest) in found {
        mark.execute((run, row::stamp(erased.at), erased.by.word()))?;
        escrow.execute([run])?;
        facts.execute([run])?;
        order.execute([digest])?;
        asked.execute([digest])?;
    }
    Ok(())
}

fn listed(
    db: &Transaction<'_>,
    sql: &str,
    given: &[(&str, &dyn rusqlite::ToSql)],
) -> Result<Vec<(String, String)>, Fault> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(given, |row| Ok((row.get("id")?, row.get("order_digest")?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Texts of tickets: notes, what tickets were told, bodies of tickets that are closed.
fn texts(
    db: &Transaction<'_>,
    ticket: Option<i64>,
    before: i64,
    erased: Erased,
) -> Result<u64, Fault> {
    let words = erased.to_string();
    let notes = db.execute(
        "UPDATE notes SET body = ?1, erased = ?2
         WHERE erased IS NULL AND posted <= ?3 AND (?4 IS NULL OR ticket = ?4)",
        (&words, row::stamp(erased.at), before, ticket),
    )?;
    db.execute(
        "UPDATE outbox SET payload = NULL WHERE state IN ('posted', 'dropped') AND created <= ?1
         AND payload IS NOT NULL AND (?2 IS NULL OR ticket = CAST(?2 AS TEXT))",
        (before, ticket),
    )?;
    // A person's request takes the words of an open ticket too.
    db.execute(
        "UPDATE tickets SET subject = ?1, body = '', requester = NULL
         WHERE subject <> ?1 AND (id = ?3 OR (?3 IS NULL AND closed <= ?2))",
        (&words, before, ticket),
    )?;
    Ok(number(notes))
}

fn number(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

impl Store {
    /// How long bodies are kept here.
    ///
    /// # Errors
    /// The store's own.
    pub fn retention(&self) -> Result<Retention, StoreError> {
        self.read("read how long bodies are kept", |db| {
            let sql = "SELECT days, high_days FROM retention";
            let found = db.query_row(sql, [], |row| {
                Ok((row::number(row, "days")?, row::number(row, "high_days")?))
            });
            let days = |n: u64| u32::try_from(n).unwrap_or(Retention::DAYS_MAX);
            Ok(found.optional()?.map_or_else(Retention::default, |(low, high)| Retention {
                days: days(low),
                high_days: days(high),
            }))
        })
    }

    /// Sets how long bodies are kept; what is older goes with the next pass.
    ///
    /// # Errors
    /// The store's own.
    pub fn set_retention(&self, rule: Retention) -> Result<(), StoreError> {
        self.write("set how long bodies are kept", |db| {
            db.execute(
                "INSERT INTO retention (one, days, high_days, done) VALUES (1, ?1, ?2, NULL)
                 ON CONFLICT (one) DO UPDATE SET days = ?1, high_days = ?2, done = NULL",
                (rule.days, rule.high_days),
            )?;
            Ok(())
        })
    }

    /// Whether a pass is due: one a day.
    ///
    /// # Errors
    /// The store's own.
    pub fn retention_due(&self, now: Time) -> Result<bool, StoreError> {
        self.read("read when bodies were erased", |db| {
            let sql = "SELECT done FROM retention";
            let done: Option<Option<i64>> = db.query_row(sql, [], |row| row.get(0)).optional()?;
            let since = done.flatten().and_then(|done| u64::try_from(done).ok());
            Ok(since.is_none_or(|done| now.since(Time(done)) >= DAY))
        })
    }

    /// Erases every body that is older than the rule; `high` names the scripts of high risk.
    ///
    /// # Errors
    /// The store's own; what was erased before stays so.
    pub fn erase_old(&self, high: &[String], now: Time) -> Result<Erasure, StoreError> {
        let rule = self.retention()?;
        let cut = |days: u32| row::stamp(now.minus(u64::from(days).saturating_mul(DAY)));
        let (before, before_high) = (cut(rule.days), cut(rule.high_days));
        let high = serde_json::to_string(high).unwrap_or_else(|_| "[]".to_owned());
        let erased = Erased { at: now, by: ErasedBy::Rule };
        let mut total = Erasure::default();
        loop {
            let done = self.write("erase what is old", |db| {
                let found = listed(
                    db,
                    "SELECT r.id, r.order_digest FROM runs r
                     LEFT JOIN orders o ON o.digest = r.order_digest
                     WHERE r.erased IS NULL AND r.state IN ('ended', 'not_sent', 'not_taken')
                     AND r.created <= CASE
                         WHEN o.script IN (SELECT value FROM json_each(:high)) THEN :before_high
                         ELSE :before END
                     AND r.created <= :before ORDER BY r.created LIMIT :limit",
                    named_params! {
                        ":high": high,
                        ":before": before,
                        ":before_high": before_high,
                        ":limit": AT_ONCE,
                    },
                )?;
                runs(db, &found, erased)?;
                Ok(number(found.len()))
            })?;
            total.runs = total.runs.saturating_add(done);
            if done == 0 {
                break;
            }
        }
        total.notes = self.write("erase what is old", |db| {
            // Tickets of both kinds of runs: the longer time.
            let notes = texts(db, None, before.min(before_high), erased)?;
            db.execute("DELETE FROM signed_in WHERE looked <= ?1", [before])?;
            db.execute("DELETE FROM facts WHERE looked <= ?1", [before])?;
            db.execute("DELETE FROM health WHERE looked <= ?1", [before])?;
            db.execute(
                "INSERT INTO retention (one, days, high_days, done) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (one) DO UPDATE SET done = ?3",
                (rule.days, rule.high_days, row::stamp(now)),
            )?;
            Ok(notes)
        })?;
        if total != Erasure::default() {
            self.empty_log()?;
        }
        Ok(total)
    }

    /// Erases the bodies of one ticket's runs and its texts, as a person asks for it. Runs that have not
    /// ended stay.
    ///
    /// # Errors
    /// The store's own.
    pub fn erase_ticket(&self, ticket: &str, now: Time) -> Result<Erasure, StoreError> {
        let erased = Erased { at: now, by: ErasedBy::Request };
        let done = self.write("erase what a ticket holds", |db| {
            let found = listed(
                db,
                "SELECT r.id, r.order_digest FROM runs r JOIN orders o ON o.digest = r.order_digest
                 WHERE o.ticket = :ticket AND r.erased IS NULL
                 AND r.state IN ('ended', 'not_sent', 'not_taken')",
                named_params! { ":ticket": ticket },
            )?;
            runs(db, &found, erased)?;
            let notes = match ticket.parse::<i64>() {
                Ok(number) => texts(db, Some(number), row::stamp(now), erased)?,
                Err(_) => 0,
            };
            Ok(Erasure { runs: number(found.len()), notes })
        })?;
        self.empty_log()?;
        Ok(done)
    }

    /// When and why the bodies of a run were erased.
    ///
    /// # Errors
    /// The store's own.
    pub fn erased(&self, run: &RunId) -> Result<Option<Erased>, StoreError> {
        self.read("look up what was erased", |db| {
            let sql = "SELECT erased, erased_by FROM runs WHERE id = ?1";
            let found = db.query_row(sql, [run.to_string()], |row| {
                Ok((row::time_opt(row, "erased")?, row.get::<_, Option<String>>("erased_by")?))
            });
            Ok(found.optional()?.and_then(|(at, by)| {
                let by = match by.as_deref() {
                    Some("request") => ErasedBy::Request,
                    _ => ErasedBy::Rule,
                };
                at.map(|at| Erased { at, by })
            }))
        })
    }
}
