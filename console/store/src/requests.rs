//! Orders that ask other people before they are sent, and what those answered.

use protocol::{AgentName, Bytes, Digest, EndpointId, RunId, ScriptName, TicketId, Time};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;

/// Open requests of one agent, at most.
pub const REQUESTS_MAX: usize = 32;

/// An order that asks.
#[derive(Debug, Clone)]
pub struct NewRequest<'a> {
    /// The order.
    pub order: Digest,
    /// Whose.
    pub agent: &'a AgentName,
    /// What it runs.
    pub script: &'a ScriptName,
    /// Where.
    pub endpoint: EndpointId,
    /// For which ticket.
    pub ticket: Option<&'a TicketId>,
    /// The order's envelope.
    pub envelope: &'a [u8],
    /// The plan that it is bound to.
    pub plan: &'a [u8],
    /// The run that made the plan.
    pub plan_run: RunId,
    /// How many others must say yes.
    pub wanted: u32,
    /// The order's own end.
    pub until: Time,
}

/// What somebody answered, as the desk has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct AnswerRow {
    /// Who.
    #[n(0)]
    pub person: AgentName,
    /// Yes or no.
    #[n(1)]
    pub yes: bool,
    /// When.
    #[n(2)]
    pub at: Time,
}

/// An order that asks, without its papers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct RequestRow {
    /// The order.
    #[n(0)]
    pub order: Digest,
    /// Whose.
    #[n(1)]
    pub agent: AgentName,
    /// What it runs.
    #[n(2)]
    pub script: ScriptName,
    /// Where.
    #[n(3)]
    pub endpoint: EndpointId,
    /// That endpoint's name, if it is in the address book.
    #[n(4)]
    pub endpoint_name: Option<String>,
    /// For which ticket.
    #[n(5)]
    pub ticket: Option<TicketId>,
    /// The run that made the plan.
    #[n(6)]
    pub plan_run: RunId,
    /// How many others must say yes.
    #[n(7)]
    pub wanted: u32,
    /// Since when it asks.
    #[n(8)]
    pub asked: Time,
    /// Until when; afterwards no endpoint takes it.
    #[n(9)]
    pub until: Time,
    /// What was answered.
    #[n(10)]
    pub answers: Vec<AnswerRow>,
}

/// The sealed papers of a request.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RequestPapers {
    /// The order's envelope.
    #[n(0)]
    pub order: Bytes,
    /// The plan's bytes.
    #[n(1)]
    pub plan: Bytes,
    /// Every answer's envelope.
    #[n(2)]
    pub answers: Vec<Bytes>,
}

const ROWS: &str = "SELECT r.order_digest, r.agent, r.script, r.endpoint, e.name AS endpoint_name,
                           r.ticket, r.plan_run, r.wanted, r.asked, r.not_after
                    FROM requests r LEFT JOIN endpoints e ON e.id = r.endpoint";

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        order: row::text(row, "order_digest")?,
        agent: row::text(row, "agent")?,
        script: row::text(row, "script")?,
        endpoint: row::text(row, "endpoint")?,
        endpoint_name: row.get("endpoint_name")?,
        ticket: row::text_opt(row, "ticket")?,
        plan_run: row::text(row, "plan_run")?,
        wanted: u32::try_from(row::number(row, "wanted")?).unwrap_or(u32::MAX),
        asked: row::time(row, "asked")?,
        until: row::time(row, "not_after")?,
        answers: Vec::new(),
    })
}

fn with_answers(
    db: &rusqlite::Connection,
    mut request: RequestRow,
) -> rusqlite::Result<RequestRow> {
    let mut statement = db.prepare_cached(
        "SELECT person, yes, at FROM approvals WHERE order_digest = ?1 ORDER BY at, person",
    )?;
    let answers = statement.query_map([request.order.to_string()], |found| {
        Ok(AnswerRow {
            person: row::text(found, "person")?,
            yes: found.get("yes")?,
            at: row::time(found, "at")?,
        })
    })?;
    request.answers = answers.collect::<Result<_, _>>()?;
    Ok(request)
}

/// Those whose time is over are of no use to anybody.
fn sweep(db: &Transaction<'_>, now: Time) -> Result<(), Fault> {
    db.execute("DELETE FROM requests WHERE not_after < ?1", [row::stamp(now)])?;
    Ok(())
}

impl Store {
    /// Keeps an order that asks; the very same one again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] where [`REQUESTS_MAX`] of this agent are open already.
    pub fn add_request(&self, new: &NewRequest<'_>, now: Time) -> Result<(), StoreError> {
        self.write("keep an order that asks", |db| {
            sweep(db, now)?;
            let sql = "SELECT count(*) FROM requests WHERE agent = ?1 AND order_digest <> ?2";
            let of = (new.agent.to_string(), new.order.to_string());
            let count: i64 = db.query_row(sql, of, |row| row.get(0))?;
            if usize::try_from(count).is_ok_and(|count| count >= REQUESTS_MAX) {
                return Err(StoreError::TooMany { what: "orders of yours that ask" }.into());
            }
            db.execute(
                "INSERT INTO requests (order_digest, agent, script, endpoint, ticket, envelope, plan,
                                       plan_run, wanted, asked, not_after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
                (
                    new.order.to_string(),
                    new.agent.to_string(),
                    new.script.to_string(),
                    new.endpoint.to_string(),
                    new.ticket.map(TicketId::to_string),
                    new.envelope,
                    new.plan,
                    new.plan_run.to_string(),
                    new.wanted,
                    row::stamp(now),
                    row::stamp(new.until),
                ),
            )?;
            Ok(())
        })
    }

    /// A page of what asks and is not over, by order, with what was answered.
    ///
    /// # Errors
    /// The store's own.
    pub fn requests_page(
        &self,
        after: Option<&Digest>,
        limit: usize,
        now: Time,
    ) -> Result<Vec<RequestRow>, StoreError> {
        self.read("list what asks", |db| {
            let sql = format!(
                "{ROWS} WHERE r.not_after >= ?1 AND (?2 IS NULL OR r.order_digest > ?2)
                 ORDER BY r.order_digest LIMIT ?3"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let given = (row::stamp(now), after.map(Digest::to_string), limit);
            let rows: Vec<RequestRow> =
                statement.query_map(given, read)?.collect::<Result<_, _>>()?;
            Ok(rows.into_iter().map(|r| with_answers(db, r)).collect::<Result<_, _>>()?)
        })
    }

    /// One order that asks.
    ///
    /// # Errors
    /// The store's own.
    pub fn request(&self, order: &Digest) -> Result<Option<RequestRow>, StoreError> {
        self.read("look up what asks", |db| {
            let sql = format!("{ROWS} WHERE r.order_digest = ?1");
            let found = db.query_row(&sql, [order.to_string()], read).optional()?;
            Ok(found.map(|request| with_answers(db, request)).transpose()?)
        })
    }

    /// Its papers, byte for byte.
    ///
    /// # Errors
    /// The store's own.
    pub fn request_papers(&self, order: &Digest) -> Result<Option<RequestPapers>, StoreError> {
        self.read("read what asks", |db| {
            let sql = "SELECT envelope, plan FROM requests WHERE order_digest = ?1";
            let found = db
                .query_row(sql, [order.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((envelope, plan)) = found else { return Ok(None) };
            let mut statement = db.prepare_cached(
                "SELECT envelope FROM approvals WHERE order_digest = ?1 ORDER BY at, person",
            )?;
            let answers = statement
                .query_map([order.to_string()], |row| row.get::<_, Vec<u8>>(0).map(Bytes))?;
            let answers = answers.collect::<Result<_, _>>()?;
            Ok(Some(RequestPapers { order: Bytes(envelope), plan: Bytes(plan), answers }))
        })
    }

    /// Keeps what somebody answered, in place of what they answered before; false where nothing asks
    /// any more.
    ///
    /// # Errors
    /// The store's own.
    pub fn add_approval(
        &self,
        order: &Digest,
        (person, yes, envelope): (&AgentName, bool, &[u8]),
        now: Time,
    ) -> Result<bool, StoreError> {
        self.write("keep an answer", |db| {
            sweep(db, now)?;
            let changed = db.execute(
                "INSERT INTO approvals (order_digest, person, yes, envelope, at)
                 SELECT order_digest, ?2, ?3, ?4, ?5 FROM requests WHERE order_digest = ?1
                 ON CONFLICT DO UPDATE SET yes = ?3, envelope = ?4, at = ?5",
                (order.to_string(), person.to_string(), yes, envelope, row::stamp(now)),
            )?;
            Ok(changed > 0)
        })
    }

    /// Asks nobody any more: it was sent, or is not to be. False where it did not ask.
    ///
    /// # Errors
    /// The store's own.
    pub fn end_request(&self, order: &Digest, agent: &AgentName) -> Result<bool, StoreError> {
        self.write("end what asks", |db| {
            let sql = "DELETE FROM requests WHERE order_digest = ?1 AND agent = ?2";
            Ok(db.execute(sql, (order.to_string(), agent.to_string()))? > 0)
        })
    }
}
