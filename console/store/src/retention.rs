//! Erases bodies after their time, or of one ticket: effects, plans, orders with their reasons, notes,
//! sealed secrets, facts. Records and digests stay. What is erased is in neither the file nor its log.

use protocol::{AgentName, Erased, ErasedBy, Retention, RunId, TicketId, Time, limits};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;

const DAY: u64 = 86_400;
/// Runs that one transaction erases: others wait for it no longer than for a command.
const AT_ONCE: i64 = 200;

/// A run ends this much after it was ordered at most, seconds: orders wait for a day. Its age counts from its
/// end, as whoever checks years later only knows that; no endpoint's clock keeps anything for longer.
const ENDS_LATE: u64 = 2 * DAY;

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

/// A rule that was shortened counts from so long after, seconds: a week, in which somebody looks.
pub const SHORTER_AFTER: u64 = 7 * DAY;
/// Erasures that are told, the newest.
const ERASURES_SHOWN: i64 = 32;
/// A code that ended stays so long, seconds: until the last order that may rest on it is over.
const CODES_KEPT: u64 = limits::ORDER_SECONDS_MAX + limits::IDENTITY_CHECK_SECONDS;

/// Something that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct ErasureRow {
    /// Of which ticket; none where it was the rule.
    #[n(0)]
    pub ticket: Option<TicketId>,
    /// Who asked for it, or had set the rule; none where nobody had.
    #[n(1)]
    pub by: Option<AgentName>,
    /// When.
    #[n(2)]
    pub at: Time,
    /// What.
    #[n(3)]
    pub done: Erasure,
}

/// A rule that is not in force yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct NextRule {
    /// How long bodies are kept then.
    #[n(0)]
    pub rule: Retention,
    /// From when on.
    #[n(1)]
    pub from: Time,
}

/// How long bodies are kept, and what was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct RetentionRow {
    /// What is in force.
    #[n(0)]
    pub rule: Retention,
    /// What will be, where the rule was shortened.
    #[n(1)]
    pub next: Option<NextRule>,
    /// Who set it last, what will be in force too; none where nobody did.
    #[n(2)]
    pub set_by: Option<AgentName>,
    /// When.
    #[n(3)]
    pub set_at: Option<Time>,
    /// What was erased, the newest first, at most 32.
    #[n(4)]
    pub erasures: Vec<ErasureRow>,
}

/// The rule, without what was erased.
fn rule(db: &Connection, now: Time) -> Result<RetentionRow, Fault> {
    let days = |found: &Row<'_>, low, high| {
        let days = |n: u64| u32::try_from(n).unwrap_or(Retention::DAYS_MAX);
        let (low, high) = (row::number_opt(found, low)?, row::number_opt(found, high)?);
        Ok::<_, rusqlite::Error>(
            low.zip(high).map(|(low, high)| Retention { days: days(low), high_days: days(high) }),
        )
    };
    let found = db.query_row("SELECT * FROM retention", [], |found| {
        let next = days(found, "next_days", "next_high")?;
        let next = next.zip(row::time_opt(found, "next_from")?);
        let next = next.map(|(rule, from)| NextRule { rule, from });
        let over = next.filter(|next| next.from <= now).map(|next| next.rule);
        Ok(RetentionRow {
            rule: over.or(days(found, "days", "high_days")?).unwrap_or_default(),
            next: next.filter(|next| next.from > now),
            set_by: row::text_opt(found, "set_by")?,
            set_at: row::time_opt(found, "set_at")?,
            erasures: Vec::new(),
        })
    });
    Ok(found.optional()?.unwrap_or_else(|| RetentionRow {
        rule: Retention::default(),
        next: None,
        set_by: None,
        set_at: None,
        erasures: Vec::new(),
    }))
}

fn note_erasure(db: &Transaction<'_>, what: &ErasureRow) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO erasures (ticket, by_agent, at, runs, notes) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            what.ticket.as_ref().map(TicketId::as_str),
            what.by.as_ref().map(AgentName::as_str),
            row::stamp(what.at),
            row::int(what.done.runs),
            row::int(what.done.notes),
        ),
    )?;
    Ok(())
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
    /// How long bodies are kept here, since when by whom, and what was erased.
    ///
    /// # Errors
    /// The store's own.
    pub fn retention(&self, now: Time) -> Result<RetentionRow, StoreError> {
        self.read("read how long bodies are kept", |db| {
            let sql = "SELECT ticket, by_agent, at, runs, notes FROM erasures
                       ORDER BY id DESC LIMIT ?1";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([ERASURES_SHOWN], |found| {
                Ok(ErasureRow {
                    ticket: row::text_opt(found, "ticket")?,
                    by: row::text_opt(found, "by_agent")?,
                    at: row::time(found, "at")?,
                    done: Erasure {
                        runs: row::number(found, "runs")?,
                        notes: row::number(found, "notes")?,
                    },
                })
            })?;
            let erasures = rows.collect::<Result<_, _>>()?;
            Ok(RetentionRow { erasures, ..rule(db, now)? })
        })
    }

    /// Sets how long bodies are kept. What is kept longer is at once, what is kept shorter only after
    /// [`SHORTER_AFTER`]: until then somebody else can see it and set it back.
    ///
    /// # Errors
    /// The store's own.
    pub fn set_retention(
        &self,
        wanted: Retention,
        by: &AgentName,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write("set how long bodies are kept", |db| {
            let was = rule(db, now)?.rule;
            let longer = Retention {
                days: wanted.days.max(was.days),
                high_days: wanted.high_days.max(was.high_days),
            };
            let next = Some(wanted).filter(|wanted| *wanted != longer);
            db.execute(
                "INSERT INTO retention (one, days, high_days, done, set_by, set_at, next_days,
                                        next_high, next_from)
                 VALUES (1, ?1, ?2, NULL, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (one) DO UPDATE SET days = ?1, high_days = ?2, done = NULL,
                     set_by = ?3, set_at = ?4, next_days = ?5, next_high = ?6, next_from = ?7",
                (
                    longer.days,
                    longer.high_days,
                    by.as_str(),
                    row::stamp(now),
                    next.map(|next| next.days),
                    next.map(|next| next.high_days),
                    next.map(|_| row::stamp(now.plus(SHORTER_AFTER))),
                ),
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
        let RetentionRow { rule, set_by, .. } = self.retention(now)?;
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
                     AND min(max(r.created, COALESCE(r.ended, 0)), r.created + :late) <= CASE
                         WHEN o.script IN (SELECT value FROM json_each(:high)) THEN :before_high
                         ELSE :before END
                     AND r.created <= :before ORDER BY r.created LIMIT :limit",
                    named_params! {
                        ":high": high,
                        ":late": row::stamp(Time(ENDS_LATE)),
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
            // Whatever the rule: nobody looks at a code when no order may rest on it any more.
            db.execute(
                "DELETE FROM codes WHERE max(until, COALESCE(said, 0)) <= ?1",
                [row::stamp(now.minus(CODES_KEPT))],
            )?;
            db.execute(
                "INSERT INTO retention (one, days, high_days, done) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (one) DO UPDATE SET done = ?3",
                (rule.days, rule.high_days, row::stamp(now)),
            )?;
            let done = Erasure { notes, ..total };
            if done != Erasure::default() {
                let by = set_by.clone();
                note_erasure(db, &ErasureRow { ticket: None, by, at: now, done })?;
            }
            Ok(notes)
        })?;
        self.empty_log()?;
        Ok(total)
    }

    /// Erases the bodies of one ticket's runs, its texts and its codes, as a person asks for it, and keeps who
    /// had it done. Runs that have not ended stay; so do contacts, which are no ticket's.
    ///
    /// # Errors
    /// The store's own.
    pub fn erase_ticket(
        &self,
        ticket: &TicketId,
        by: &AgentName,
        now: Time,
    ) -> Result<Erasure, StoreError> {
        let erased = Erased { at: now, by: ErasedBy::Request };
        let done = self.write("erase what a ticket holds", |db| {
            let found = listed(
                db,
                "SELECT r.id, r.order_digest FROM runs r JOIN orders o ON o.digest = r.order_digest
                 WHERE o.ticket = :ticket AND r.erased IS NULL
                 AND r.state IN ('ended', 'not_sent', 'not_taken')",
                named_params! { ":ticket": ticket.as_str() },
            )?;
            runs(db, &found, erased)?;
            db.execute("DELETE FROM codes WHERE ticket = ?1", [ticket.as_str()])?;
            let notes = match ticket.as_str().parse::<i64>() {
                Ok(number) => texts(db, Some(number), row::stamp(now), erased)?,
                Err(_) => 0,
            };
            let done = Erasure { runs: number(found.len()), notes };
            let (ticket, by) = (Some(ticket.clone()), Some(by.clone()));
            note_erasure(db, &ErasureRow { ticket, by, at: now, done })?;
            Ok(done)
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
