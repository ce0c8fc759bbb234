//! The desk's half: one question of one peer against the store. No network, no clock.

use protocol::frames::{decode, sorry};
use protocol::{Retention, Time, limits};
use store::Store;

use super::error::{BookError, Sorry};
use super::operations::{BookAsk, Who};
use super::peer::{Peer, People};
use crate::identity::Checks;

/// Answers one question: CBOR in, CBOR out.
///
/// # Errors
/// [`Sorry`]: not a known operation, not for this peer, beyond a limit, or the store's no. Nothing
/// was changed then.
pub fn answer(
    store: &Store,
    peer: &Peer,
    ask: &[u8],
    now: Time,
    checks: &dyn Checks,
    people: &dyn People,
) -> Result<Vec<u8>, Sorry> {
    if ask.len() > limits::DESK_PART_BYTES_MAX {
        return Err(Sorry::new(sorry::LIMIT, "the question is too long"));
    }
    let unknown = |_| {
        Sorry::new(sorry::UNKNOWN, "the desk does not know this question")
            .next("ask whoever runs the desk to bring it to this version of salve")
    };
    let ask: BookAsk = decode(ask).map_err(unknown)?;
    may(store, peer, &ask)?;
    within_limits(&ask)?;
    let bytes = ask.run(store, now, checks, people).map_err(BookError::said)?;
    if bytes.len() > limits::DESK_ANSWER_BYTES_MAX {
        return Err(Sorry::new(sorry::LIMIT, "the answer is too long for one; ask for fewer rows"));
    }
    Ok(bytes)
}

/// What the desk's journal keeps of a question that was answered: what cannot be undone, and who asked.
#[must_use]
pub fn journal(ask: &[u8]) -> Option<String> {
    match decode(ask).ok()? {
        BookAsk::SetRetention { rule: Retention { days, high_days }, by } => Some(format!(
            "{by} set how long bodies are kept: {days} days, those of high risk {high_days}"
        )),
        BookAsk::EraseTicket { ticket, by } => {
            Some(format!("{by} had the bodies of ticket {ticket} erased"))
        }
        _ => None,
    }
}

fn may(store: &Store, peer: &Peer, ask: &BookAsk) -> Result<(), Sorry> {
    let allowed = match (ask.who(), ask) {
        (Who::Agent, _) => true,
        (
            Who::Administrator,
            BookAsk::SetContact { by, .. }
            | BookAsk::SetRetention { by, .. }
            | BookAsk::EraseTicket { by, .. },
        ) => peer.administrator && *by == peer.name,
        (Who::Administrator, _) => peer.administrator,
        (Who::Receiver, BookAsk::OpenEscrow { run }) => {
            let error = |error| BookError::from(error).said();
            match store.escrow(run).map_err(error)? {
                Some(row) => {
                    let order = store.order(&row.order).map_err(error)?;
                    order.is_some_and(|order| order.agent == peer.name)
                }
                // That there is none is no secret: the operation itself says so.
                None => true,
            }
        }
        (
            Who::Oneself,
            BookAsk::AssignTicket { by, .. }
            | BookAsk::AddRequest { by, .. }
            | BookAsk::AddApproval { by, .. }
            | BookAsk::EndRequest { by, .. }
            | BookAsk::AddHead { by, .. }
            | BookAsk::AskCode { by, .. }
            | BookAsk::SayCode { by, .. }
            | BookAsk::ReviewGlass { by, .. },
        ) => *by == peer.name,
        (Who::Receiver | Who::Oneself, _) => false,
    };
    if allowed {
        return Ok(());
    }
    let (words, next) = match ask.who() {
        Who::Agent | Who::Oneself => ("this is said in somebody else's name", "salve agents list"),
        Who::Receiver => ("this secret is sealed for somebody else", "its receiver opens it"),
        Who::Administrator => {
            ("only an administrator may do this", "who is one:  salve agents list")
        }
    };
    Err(Sorry::new(sorry::FORBIDDEN, words).next(next))
}

/// Pages and texts that an honest console does not ask for.
fn within_limits(ask: &BookAsk) -> Result<(), Sorry> {
    let rows = match ask {
        BookAsk::Runs { filter } => Some(filter.limit),
        BookAsk::Tickets { filter } => Some(filter.limit),
        BookAsk::Strays { limit, .. }
        | BookAsk::UnopenedEscrows { limit, .. }
        | BookAsk::Endpoints { limit, .. }
        | BookAsk::Agents { limit, .. }
        | BookAsk::Tokens { limit, .. }
        | BookAsk::Notes { limit, .. }
        | BookAsk::Files { limit, .. }
        | BookAsk::OutboxTodo { limit, .. }
        | BookAsk::RunsBetween { limit, .. }
        | BookAsk::Chains { limit, .. }
        | BookAsk::Doubts { limit, .. }
        | BookAsk::Waiting { limit, .. }
        | BookAsk::Requests { limit, .. }
        | BookAsk::Search { limit, .. }
        | BookAsk::Contacts { limit, .. }
        | BookAsk::AgentsSeen { limit, .. } => Some(*limit),
        // Short rows, of which a list shows all.
        BookAsk::Listed { filter } if filter.limit <= LISTED_MAX => Some(filter.limit.min(1)),
        BookAsk::Listed { filter } => Some(filter.limit),
        BookAsk::Standings { limit, .. } if *limit <= LISTED_MAX => Some((*limit).min(1)),
        BookAsk::Standings { limit, .. } => Some(*limit),
        _ => None,
    };
    if rows.is_some_and(|rows| !(1..=limits::BOOK_ROWS_MAX).contains(&rows)) {
        let most = limits::BOOK_ROWS_MAX;
        return Err(Sorry::new(sorry::LIMIT, format!("a page has 1 to {most} rows")));
    }
    let text = match ask {
        BookAsk::SetAddress { address, .. } => Some(address.len()),
        BookAsk::SetPerson { person, .. } => Some(person.len()),
        BookAsk::AddToken { name, .. } => Some(name.len()),
        BookAsk::RunsStarting { prefix } => Some(prefix.len()),
        BookAsk::Listed { filter } => filter.prefix.as_ref().map(String::len),
        BookAsk::EndpointTyped { typed } => Some(typed.len()),
        BookAsk::Search { words, .. } => Some(words.len()),
        BookAsk::Contacts { after, .. } => after.as_ref().map(String::len),
        BookAsk::SetContact { person, contact, .. } => {
            Some(person.len().max(contact.address.len()))
        }
        BookAsk::RemoveContact { person } => Some(person.len()),
        _ => None,
    };
    if text.is_some_and(|bytes| bytes > WORD_BYTES_MAX) {
        return Err(Sorry::new(
            sorry::LIMIT,
            format!("a text is longer than {WORD_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

/// Rows of one page of a list of endpoints.
pub(super) const LISTED_MAX: usize = 5000;
/// Longest name, address or prefix, bytes: a host name and a port.
const WORD_BYTES_MAX: usize = 512;
