//! Codes by which the desk finds out who is calling. The code itself is never here; what is kept is a mark of
//! it under a key that lies elsewhere, and that goes when the code has ended.

use protocol::documents::{CheckedBy, ContactKind, IdentityCheck};
use protocol::{AgentName, Digest, EndpointId, ScriptName, TicketId, Time, limits};
use rusqlite::{OptionalExtension as _, Transaction};

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;

/// Whose code it is: the ticket's, one agent's, for one script.
#[derive(Debug, Clone, Copy)]
pub struct CodeFor<'a> {
    /// For which ticket.
    pub ticket: &'a TicketId,
    /// Who asks.
    pub agent: &'a AgentName,
    /// What it is asked for.
    pub script: &'a ScriptName,
}

/// A code that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct NewCode<'a> {
    /// Whose.
    pub of: CodeFor<'a>,
    /// For which machine, where one is named.
    pub endpoint: Option<EndpointId>,
    /// To whom it goes.
    pub person: &'a str,
    /// How.
    pub kind: ContactKind,
    /// The contact, masked.
    pub masked: &'a str,
    /// Since when that contact is on file.
    pub on_file: Time,
    /// Chance that went into the mark.
    pub nonce: [u8; 16],
    /// The code's mark.
    pub mark: Digest,
}

/// A try that was counted: what the code that was said is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTry {
    /// The code's number.
    pub id: u64,
    /// Chance that went into the mark.
    pub nonce: [u8; 16],
    /// The code's mark.
    pub mark: Digest,
    /// Tries that are left after this one.
    pub left: u32,
}

/// A person was sent as many codes as an hour has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyCodes {
    /// From then on there may be another.
    pub again: Time,
}

/// Ends codes and empties their marks.
fn end(db: &Transaction<'_>, which: &str, values: impl rusqlite::Params) -> Result<(), Fault> {
    let sql = format!("UPDATE codes SET state = 'over', mark = '', nonce = x'' WHERE {which}");
    db.execute(&sql, values)?;
    Ok(())
}

impl Store {
    /// Keeps a code that is about to be sent; what was asked for this ticket before and not answered is over.
    /// Its number.
    ///
    /// # Errors
    /// The store's own; inside, [`TooManyCodes`] where the person got [`limits::CODES_AN_HOUR`] already.
    pub fn add_code(
        &self,
        new: &NewCode<'_>,
        now: Time,
    ) -> Result<Result<u64, TooManyCodes>, StoreError> {
        self.write("keep a code", |db| {
            let sql = "SELECT asked FROM codes WHERE person = ?1 AND asked > ?2 AND state <> 'unsent'
                       ORDER BY asked DESC LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let given = (new.person, row::stamp(now.minus(3600)), limits::CODES_AN_HOUR);
            let times = statement.query_map(given, |found| row::time(found, "asked"))?;
            let times: Vec<Time> = times.collect::<Result<_, _>>()?;
            let full = u32::try_from(times.len()).is_ok_and(|sent| sent >= limits::CODES_AN_HOUR);
            if let Some(first) = times.last().filter(|_| full) {
                return Ok(Err(TooManyCodes { again: first.plus(3600) }));
            }
            let ticket = new.of.ticket.to_string();
            end(db, "ticket = ?1 AND state = 'open'", [&ticket])?;
            db.execute(
                "INSERT INTO codes (ticket, person, agent, script, kind, masked, on_file, nonce, mark,
                                    asked, until, endpoint, tries, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 'open')",
                (
                    ticket,
                    new.person,
                    new.of.agent.to_string(),
                    new.of.script.to_string(),
                    new.kind.word(),
                    new.masked,
                    row::stamp(new.on_file),
                    new.nonce,
                    new.mark.to_string(),
                    row::stamp(now),
                    row::stamp(now.plus(limits::CODE_SECONDS)),
                    new.endpoint.map(|endpoint| endpoint.to_string()),
                ),
            )?;
            Ok(Ok(u64::try_from(db.last_insert_rowid()).unwrap_or_default()))
        })
    }

    /// A code that could not be sent: it counts for nothing.
    ///
    /// # Errors
    /// The store's own.
    pub fn code_unsent(&self, id: u64) -> Result<(), StoreError> {
        self.write("take back a code", |db| {
            end(db, "id = ?1 AND state = 'open'", [row::int(id)])?;
            let sql = "UPDATE codes SET state = 'unsent' WHERE id = ?1 AND state = 'over'";
            db.execute(sql, [row::int(id)])?;
            Ok(())
        })
    }

    /// Counts a try, durably, before anybody compares: nothing where no code is out, its time is over or its
    /// tries are.
    ///
    /// # Errors
    /// The store's own.
    pub fn try_code(&self, of: CodeFor<'_>, now: Time) -> Result<Option<CodeTry>, StoreError> {
        self.write("count a try of a code", |db| {
            end(
                db,
                "state = 'open' AND (until < ?1 OR tries >= ?2)",
                (row::stamp(now), limits::CODE_TRIES),
            )?;
            let sql = "UPDATE codes SET tries = tries + 1
                       WHERE ticket = ?1 AND agent = ?2 AND script = ?3 AND state = 'open'
                       RETURNING id, nonce, mark, tries";
            let given = (of.ticket.to_string(), of.agent.to_string(), of.script.to_string());
            let found = db.query_row(sql, given, |found| {
                let tries = u32::try_from(row::number(found, "tries")?).unwrap_or(u32::MAX);
                Ok(CodeTry {
                    id: row::number(found, "id")?,
                    nonce: found.get("nonce")?,
                    mark: row::text(found, "mark")?,
                    left: limits::CODE_TRIES.saturating_sub(tries),
                })
            });
            Ok(found.optional()?)
        })
    }

    /// The caller said the code: it has ended, and this is the check.
    ///
    /// # Errors
    /// The store's own.
    pub fn code_right(&self, id: u64, now: Time) -> Result<(), StoreError> {
        self.write("end a code", |db| {
            db.execute(
                "UPDATE codes SET state = 'right', said = ?2, mark = '', nonce = x''
                 WHERE id = ?1 AND state = 'open'",
                (row::int(id), row::stamp(now)),
            )?;
            Ok(())
        })
    }

    /// The newest check that an order for this machine, valid from `not_before`, may rest on: one that was
    /// made for it, or for no machine.
    ///
    /// # Errors
    /// The store's own.
    pub fn identity_check(
        &self,
        of: CodeFor<'_>,
        endpoint: Option<EndpointId>,
        not_before: Time,
    ) -> Result<Option<IdentityCheck>, StoreError> {
        self.read("look up a check", |db| {
            let sql = "SELECT person, kind, masked, on_file, said, endpoint FROM codes
                       WHERE ticket = ?1 AND agent = ?2 AND script = ?3 AND state = 'right'
                             AND said <= ?4 AND (endpoint IS NULL OR endpoint = ?5) ORDER BY said DESC LIMIT 1";
            let newest = row::stamp(not_before.plus(limits::CLOCK_SKEW_SECONDS));
            let (ticket, agent) = (of.ticket.to_string(), of.agent.to_string());
            let endpoint = endpoint.map(|endpoint| endpoint.to_string());
            let given = (ticket, agent, of.script.to_string(), newest, endpoint);
            let found = db.query_row(sql, given, |found| {
                Ok(IdentityCheck {
                    by: CheckedBy::Code,
                    contact: row::word(found, "kind", ContactKind::ALL, ContactKind::word)?,
                    masked: found.get("masked")?,
                    on_file_since: row::time(found, "on_file")?,
                    person: found.get("person")?,
                    agent: of.agent.clone(),
                    script: of.script.clone(),
                    at: row::time(found, "said")?,
                    endpoint: row::text_opt(found, "endpoint")?,
                })
            });
            Ok(found.optional()?.filter(|check| check.supports(not_before)))
        })
    }
}
