//! The built-in ticket system's rows. Never decides what a note says or who may read it.

use protocol::documents::TicketState;
use protocol::{AgentName, EndpointId, Time};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row::{self};

const STATES: [TicketState; 4] =
    [TicketState::Open, TicketState::Pending, TicketState::Resolved, TicketState::Closed];

const fn state_word(state: TicketState) -> &'static str {
    match state {
        TicketState::Open => "open",
        TicketState::Pending => "pending",
        TicketState::Resolved => "resolved",
        TicketState::Closed => "closed",
    }
}

/// A ticket about to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct NewTicketRow {
    /// Unique for ever: the same key twice is the same ticket.
    #[n(0)]
    pub key: String,
    /// One line.
    #[n(1)]
    pub subject: String,
    /// What was said.
    #[n(2)]
    pub body: String,
    /// `incident`, `request` or `change`.
    #[n(3)]
    pub kind: String,
    /// Free word, as in `disk`.
    #[n(4)]
    pub category: Option<String>,
    /// How it came: `phone`, `mail`, `desk` ...
    #[n(5)]
    pub channel: String,
    /// The person with the problem, as in `jo.meyer`.
    #[n(6)]
    pub requester: Option<String>,
    /// Whose it is.
    #[n(7)]
    pub assignee: Option<AgentName>,
    /// Which machine.
    #[n(8)]
    pub endpoint: Option<EndpointId>,
    /// How many people cannot work.
    #[n(9)]
    pub blocked: u64,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct TicketRow {
    /// Its number.
    #[n(0)]
    pub id: u64,
    /// One line. People's text: escape it.
    #[n(1)]
    pub subject: String,
    /// What was said. People's text: escape it.
    #[n(2)]
    pub body: String,
    /// Its state.
    #[n(3)]
    pub state: TicketState,
    /// `incident`, `request` or `change`.
    #[n(4)]
    pub kind: String,
    /// Free word.
    #[n(5)]
    pub category: Option<String>,
    /// How it came.
    #[n(6)]
    pub channel: String,
    /// The person with the problem.
    #[n(7)]
    pub requester: Option<String>,
    /// Whose it is.
    #[n(8)]
    pub assignee: Option<AgentName>,
    /// Which machine.
    #[n(9)]
    pub endpoint: Option<EndpointId>,
    /// When it was opened.
    #[n(10)]
    pub opened: Time,
    /// When somebody first answered.
    #[n(11)]
    pub first_response: Option<Time>,
    /// When it was last resolved; `None` while it is open.
    #[n(12)]
    pub resolved: Option<Time>,
    /// When it was closed; `None` while it is not.
    #[n(13)]
    pub closed: Option<Time>,
    /// When it was last reopened.
    #[n(14)]
    pub reopened: Option<Time>,
    /// How often it was reopened.
    #[n(15)]
    pub reopens: u64,
    /// How often the person had to get in touch.
    #[n(16)]
    pub contacts: u64,
    /// How many people cannot work.
    #[n(17)]
    pub blocked: u64,
    /// Since when.
    #[n(18)]
    pub blocked_since: Option<Time>,
    /// 1 to 5, if the person said.
    #[n(19)]
    pub satisfaction: Option<u64>,
}

/// Which tickets to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct TicketFilter {
    /// Also resolved and closed ones.
    #[n(0)]
    pub all: bool,
    /// Of this agent.
    #[n(1)]
    pub assignee: Option<AgentName>,
    /// On this endpoint.
    #[n(2)]
    pub endpoint: Option<EndpointId>,
    /// Only those opened before the one with this number.
    #[n(3)]
    pub before: Option<u64>,
    /// At most so many; zero means all.
    #[n(4)]
    pub limit: usize,
}

fn read(row: &Row<'_>) -> rusqlite::Result<TicketRow> {
    Ok(TicketRow {
        id: row::number(row, "id")?,
        subject: row.get("subject")?,
        body: row.get("body")?,
        state: row::word(row, "state", &STATES, state_word)?,
        kind: row.get("kind")?,
        category: row.get("category")?,
        channel: row.get("channel")?,
        requester: row.get("requester")?,
        assignee: row::text_opt(row, "assignee")?,
        endpoint: row::text_opt(row, "endpoint")?,
        opened: row::time(row, "opened")?,
        first_response: row::time_opt(row, "first_response")?,
        resolved: row::time_opt(row, "resolved")?,
        closed: row::time_opt(row, "closed")?,
        reopened: row::time_opt(row, "reopened")?,
        reopens: row::number(row, "reopens")?,
        contacts: row::number(row, "contacts")?,
        blocked: row::number(row, "blocked")?,
        blocked_since: row::time_opt(row, "blocked_since")?,
        satisfaction: row::number_opt(row, "satisfaction")?,
    })
}

pub(crate) fn one(db: &Connection, id: u64) -> Result<TicketRow, Fault> {
    db.query_row("SELECT * FROM tickets WHERE id = ?1", [row::int(id)], read)
        .optional()?
        .ok_or_else(|| missing(id).into())
}

fn missing(id: u64) -> StoreError {
    StoreError::NotFound { what: format!("ticket `{id}`") }
}

impl Store {
    /// Opens a ticket; the same key again answers with the ticket that is there.
    ///
    /// # Errors
    /// The store's own.
    pub fn add_ticket(&self, new: &NewTicketRow, now: Time) -> Result<u64, StoreError> {
        self.write("open a ticket", |db| {
            let there: Option<i64> = db
                .query_row("SELECT id FROM tickets WHERE key = ?1", [&new.key], |row| row.get(0))
                .optional()?;
            if let Some(id) = there {
                return Ok(u64::try_from(id).unwrap_or_default());
            }
            let now = row::stamp(now);
            // Who takes a call has answered it.
            let answered = (new.channel == "phone").then_some(now);
            db.execute(
                "INSERT INTO tickets (key, subject, body, state, kind, category, channel,
                     requester, assignee, endpoint, opened, first_response, blocked, blocked_since)
                 VALUES (:key, :subject, :body, 'open', :kind, :category, :channel, :requester,
                     :assignee, :endpoint, :now, :answered, :blocked, :since)",
                named_params! {
                    ":key": new.key,
                    ":subject": new.subject,
                    ":body": new.body,
                    ":kind": new.kind,
                    ":category": new.category,
                    ":channel": new.channel,
                    ":requester": new.requester,
                    ":assignee": new.assignee.as_ref().map(AgentName::as_str),
                    ":endpoint": new.endpoint.map(|e| e.to_string()),
                    ":now": now,
                    ":answered": answered,
                    ":blocked": row::int(new.blocked),
                    ":since": (new.blocked > 0).then_some(now),
                },
            )?;
            Ok(u64::try_from(db.last_insert_rowid()).unwrap_or_default())
        })
    }

    /// One ticket.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn ticket(&self, id: u64) -> Result<TicketRow, StoreError> {
        self.read("look up a ticket", |db| one(db, id))
    }

    /// The newest ticket's number.
    ///
    /// # Errors
    /// The store's own.
    pub fn last_ticket(&self) -> Result<Option<u64>, StoreError> {
        self.read("look up a ticket", |db| {
            let id: Option<i64> =
                db.query_row("SELECT max(id) FROM tickets", [], |row| row.get(0))?;
            Ok(id.and_then(|id| u64::try_from(id).ok()))
        })
    }

    /// Tickets, newest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn tickets(&self, filter: &TicketFilter) -> Result<Vec<TicketRow>, StoreError> {
        self.read("list the tickets", |db| {
            let mut statement = db.prepare_cached(
                "SELECT * FROM tickets WHERE (:all OR state IN ('open', 'pending'))
                   AND (:assignee IS NULL OR assignee = :assignee)
                   AND (:endpoint IS NULL OR endpoint = :endpoint)
                   AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit",
            )?;
            let rows = statement.query_map(
                named_params! {
                    ":all": filter.all,
                    ":assignee": filter.assignee.as_ref().map(AgentName::as_str),
                    ":endpoint": filter.endpoint.map(|e| e.to_string()),
                    ":before": filter.before.map(row::int),
                    ":limit": row::limit(filter.limit),
                },
                read,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Moves a ticket and keeps the times: resolved, closed, reopened. The same state again changes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_ticket_state(
        &self,
        id: u64,
        to: TicketState,
        now: Time,
    ) -> Result<TicketRow, StoreError> {
        self.write("move a ticket", |db| {
            let before = one(db, id)?;
            if before.state == to {
                return Ok(before);
            }
            move_ticket(db, &before, to, now)?;
            one(db, id)
        })
    }

    /// Gives a ticket to somebody else, with a note of who gave it to whom. To whom has it already
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn assign_ticket(
        &self,
        id: u64,
        to: &AgentName,
        by: &AgentName,
        now: Time,
    ) -> Result<TicketRow, StoreError> {
        self.write("hand a ticket over", |db| {
            let before = one(db, id)?;
            if before.assignee.as_ref() == Some(to) {
                return Ok(before);
            }
            let sql = "UPDATE tickets SET assignee = ?2 WHERE id = ?1";
            db.execute(sql, (row::int(id), to.as_str()))?;
            let body = match &before.assignee {
                Some(from) if from == by => format!("{by} handed this ticket to {to}."),
                Some(from) => format!("{by} gave this ticket to {to}; {from} had it."),
                None => format!("{by} gave this ticket to {to}."),
            };
            // Nothing an order promised has such a key.
            let count: i64 = db.query_row(
                "SELECT count(*) FROM notes WHERE ticket = ?1",
                [row::int(id)],
                |row| row.get(0),
            )?;
            db.execute(
                "INSERT INTO notes (ticket, key, audience, author, body, posted)
                 VALUES (?1, ?2, 'internal', ?3, ?4, ?5)",
                (row::int(id), format!("assign:{id}:{count}"), by.as_str(), body, row::stamp(now)),
            )?;
            one(db, id)
        })
    }

    /// The person got in touch again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn count_contact(&self, id: u64) -> Result<(), StoreError> {
        self.write("count a contact", |db| {
            let sql = "UPDATE tickets SET contacts = contacts + 1 WHERE id = ?1";
            if db.execute(sql, [row::int(id)])? == 0 { Err(missing(id).into()) } else { Ok(()) }
        })
    }

    /// How many people cannot work now; the time of the first is kept until it is zero.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_blocked(&self, id: u64, people: u64, now: Time) -> Result<(), StoreError> {
        self.write("note who is blocked", |db| {
            let changed = db.execute(
                "UPDATE tickets SET blocked = ?2, blocked_since =
                     CASE WHEN ?2 = 0 THEN NULL ELSE coalesce(blocked_since, ?3) END
                 WHERE id = ?1",
                (row::int(id), row::int(people), row::stamp(now)),
            )?;
            if changed == 0 { Err(missing(id).into()) } else { Ok(()) }
        })
    }

    /// What the person said about the help, 1 to 5.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; a number out of range is the store's own error.
    pub fn set_satisfaction(&self, id: u64, stars: u8) -> Result<(), StoreError> {
        self.write("keep a rating", |db| {
            let sql = "UPDATE tickets SET satisfaction = ?2 WHERE id = ?1";
            let changed = db.execute(sql, (row::int(id), i64::from(stars)))?;
            if changed == 0 { Err(missing(id).into()) } else { Ok(()) }
        })
    }
}

fn move_ticket(
    db: &Transaction<'_>,
    before: &TicketRow,
    to: TicketState,
    now: Time,
) -> Result<(), Fault> {
    let ended = |s: TicketState| matches!(s, TicketState::Resolved | TicketState::Closed);
    let reopens = ended(before.state) && !ended(to);
    let resolved = if ended(to) { before.resolved.or(Some(now)) } else { None };
    let closed = (to == TicketState::Closed).then_some(now);
    // Nobody is blocked by what is solved.
    let (blocked, since) =
        if ended(to) { (0, None) } else { (before.blocked, before.blocked_since) };
    db.execute(
        "UPDATE tickets SET state = :state, resolved = :resolved, closed = :closed,
             reopened = coalesce(:reopened, reopened), reopens = reopens + :again,
             blocked = :blocked, blocked_since = :since,
             first_response = coalesce(first_response, :now) WHERE id = :id",
        named_params! {
            ":id": row::int(before.id),
            ":state": state_word(to),
            ":resolved": resolved.map(row::stamp),
            ":closed": closed.map(row::stamp),
            ":reopened": reopens.then(|| row::stamp(now)),
            ":again": i64::from(reopens),
            ":blocked": row::int(blocked),
            ":since": since.map(row::stamp),
            ":now": row::stamp(now),
        },
    )?;
    Ok(())
}
