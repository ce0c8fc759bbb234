//! Finding things by what people type: names, unique prefixes, `last`. Never guesses: what is not
//! unique is answered with the candidates.

pub(crate) mod find;
mod secret;
mod status;
mod ticket;

use protocol::TicketId;
use store::TicketFilter;

use crate::books::{BookError, Books};

pub use find::Typed;
pub use secret::{Opened, SecretError, open_secret};
pub use status::{
    Behind, Ending, KeyPlace, OpenToken, Status, StatusError, Undelivered, Unopened, status,
};
pub use ticket::{Draft, TicketTrouble, assign_ticket, move_ticket, open_ticket};
// The rows that faces show; they reach the store through the desk only.
pub use store::{
    AgentSeen, EndpointRow, EscrowRow, FileRow, Health, Level, ListFilter, Listed, NoteRow,
    OrderRow, OutboxKind, OutboxRow, OutboxState, RunFilter, RunRow, RunState, Stray,
    TicketFilter as Tickets, TicketRow, WaitingRow, Way,
};

pub use tickets::{TicketError, TicketKind};

/// What was typed does not name one thing.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    /// Nothing of that name.
    #[error("there is no {kind} `{typed}`")]
    Unknown {
        /// As in `endpoint`.
        kind: &'static str,
        /// As typed.
        typed: String,
        /// What there is, nearest first, at most eight.
        candidates: Vec<String>,
    },
    /// More than one.
    #[error("`{typed}` is not one {kind}")]
    Ambiguous {
        /// As in `run`.
        kind: &'static str,
        /// As typed.
        typed: String,
        /// All that fit, at most ten.
        candidates: Vec<String>,
    },
    /// There is none at all yet.
    #[error("there is no {kind} yet")]
    None {
        /// As in `run`.
        kind: &'static str,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] BookError),
}

/// Shortest prefix that names something: fewer characters are a slip, not a name.
const PREFIX_MIN: usize = 2;

/// A run by its id, a unique prefix of it, or `last`.
///
/// # Errors
/// [`Unclear`] with the candidates.
pub fn find_run(books: &Books, typed: &str) -> Result<RunRow, Unclear> {
    let kind = "run";
    let newest = |limit| books.runs(&RunFilter { limit, ..RunFilter::default() });
    if typed == "last" {
        return newest(1)?.into_iter().next().ok_or(Unclear::None { kind });
    }
    let lower = typed.to_lowercase();
    let mut found = Vec::new();
    if lower.len() >= PREFIX_MIN {
        found = books.runs_starting(lower.clone())?;
    }
    // Books that lie elsewhere may answer with something else than was asked for.
    found.retain(|row| row.id.to_string().starts_with(&lower));
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(a), Some(b)) => {
            let candidates = [a, b].into_iter().chain(found).map(|r| describe(&r)).collect();
            Err(Unclear::Ambiguous { kind, typed: typed.to_owned(), candidates })
        }
        (None, _) => {
            let all = newest(5)?;
            if all.is_empty() {
                return Err(Unclear::None { kind });
            }
            let candidates = all.iter().map(describe).collect();
            Err(Unclear::Unknown { kind, typed: typed.to_owned(), candidates })
        }
    }
}

/// `01k9f2qx cache.clear on lt-4411`.
fn describe(run: &RunRow) -> String {
    let endpoint = run.endpoint_name.clone().unwrap_or_else(|| run.endpoint.short());
    let script = run.script.as_deref().unwrap_or("unknown script");
    format!("{} {script} on {endpoint}", run.id.short())
}

/// An active endpoint by its name or a unique beginning of it. What a shared desk has for a
/// beginning is no answer but a candidate: who types the whole name is sure which machine it is.
///
/// # Errors
/// [`Unclear`] with the candidates.
pub fn find_endpoint(books: &Books, typed: &str) -> Result<EndpointRow, Unclear> {
    let kind = "endpoint";
    let Typed { mut found, nearest } = books.endpoint_typed(typed.to_owned())?;
    // Never another machine than the one that was named, whatever a shared desk answers.
    let (lower, empty) = (typed.to_lowercase(), found.is_empty() && nearest.is_empty());
    found.retain(|row| row.name.as_str() == typed || row.name.as_str().starts_with(&lower));
    match (found.len(), found.pop()) {
        (1, Some(one))
            if books.line().is_none() || one.name.as_str().eq_ignore_ascii_case(typed) =>
        {
            Ok(one)
        }
        (1, Some(one)) => {
            let candidates = vec![one.name.to_string()];
            Err(Unclear::Unknown { kind, typed: typed.to_owned(), candidates })
        }
        (0, _) | (_, None) if empty => Err(Unclear::None { kind }),
        (0, _) | (_, None) => {
            Err(Unclear::Unknown { kind, typed: typed.to_owned(), candidates: nearest })
        }
        (_, Some(last)) => {
            found.push(last);
            let candidates = found.into_iter().map(|e| e.name.to_string()).collect();
            Err(Unclear::Ambiguous { kind, typed: typed.to_owned(), candidates })
        }
    }
}

/// A ticket of the built-in system by its number, with or without `#`, or `last`.
///
/// # Errors
/// [`Unclear`] with the newest open ones.
pub fn find_ticket(books: &Books, typed: &str) -> Result<(TicketId, store::TicketRow), Unclear> {
    let kind = "ticket";
    let last = books.last_ticket()?.ok_or(Unclear::None { kind })?;
    let number = match typed.trim_start_matches('#') {
        "last" => Some(last),
        digits => digits.parse::<u64>().ok(),
    };
    let row = match number.map(|number| books.ticket(number)) {
        Some(Ok(row)) => Some(row),
        None => None,
        Some(Err(error)) if error.is_not_found() => None,
        Some(Err(error)) => return Err(error.into()),
    };
    if let Some(row) = row.filter(|row| Some(row.id) == number)
        && let Ok(id) = row.id.to_string().parse::<TicketId>()
    {
        return Ok((id, row));
    }
    let open = books.tickets(&TicketFilter { limit: 5, ..TicketFilter::default() })?;
    let candidates = open.iter().map(|t| format!("{} {}", t.id, t.subject)).collect();
    Err(Unclear::Unknown { kind, typed: typed.to_owned(), candidates })
}

/// The names nearest to what was typed: those that contain it, then those that begin alike.
fn nearest(typed: &str, mut names: Vec<String>) -> Vec<String> {
    let alike = |name: &String| name.chars().zip(typed.chars()).take_while(|(a, b)| a == b).count();
    names.sort_by_key(|name| (!name.contains(typed), std::cmp::Reverse(alike(name)), name.clone()));
    names.truncate(8);
    names
}

#[cfg(test)]
mod tests;
