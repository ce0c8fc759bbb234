//! The worker of one ticket: note, file, reply, in that order, each once.
//!
//! A crash at any point leaves a row that is due; the next worker looks before it posts. A reply is
//! never posted while something before it is still due.

use protocol::documents::Order;
use protocol::error_chain::ErrorChain;
use protocol::{TicketId, Time};
use store::{OutboxKind, OutboxRow, Store, StoreError};
use tickets::{Audience, File, Key, Note, TicketError, TicketSystem};

use super::filing::{read_order, told_of};
use crate::notes;

/// Longest time between storing an order and sending it, seconds: its challenge dies in one minute.
const PREPARED_SECONDS: u64 = 3600;
/// Longest pause between two tries, seconds.
const PAUSE_MAX: u64 = 3600;

/// What delivering to one ticket came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is due any more; so many were posted now.
    Done {
        /// How many.
        posted: usize,
    },
    /// Not yet: the earliest next try.
    Later {
        /// When.
        at: Time,
    },
    /// It failed; the row keeps the reason and is tried again.
    Failed {
        /// The row's key.
        key: String,
        /// Why.
        why: String,
    },
}

/// Delivers everything that is due to the built-in ticket system.
///
/// # Errors
/// The store's own; what is due stays due.
pub fn deliver_builtin(store: &Store, now: Time) -> Result<Vec<(TicketId, Delivery)>, StoreError> {
    deliver_all(store, &super::builtin(store), now)
}

/// Runs that were stored and never sent, because their command was killed in between: after an hour
/// no command is still about to send them. Gives how many there were. Their orders were signed, so
/// their tickets get the one note that P6 owes them; it says that nothing was sent.
///
/// # Errors
/// The store's own.
pub fn sweep(store: &Store, now: Time) -> Result<usize, StoreError> {
    let unanswered = store::RunFilter { unanswered: true, ..store::RunFilter::default() };
    let mut swept = 0usize;
    for run in store.runs(&unanswered)? {
        let old = run.created.plus(PREPARED_SECONDS) < now;
        // One that waits for its endpoint is not forgotten: it has an end of its own.
        let forgotten = run.state == store::RunState::Prepared && old;
        if forgotten && store.waiting(&run.id)?.is_none() {
            store.run_not_sent(&run.id, now)?;
            swept = swept.saturating_add(1);
        }
    }
    Ok(swept)
}

/// Delivers what is due for every ticket.
///
/// # Errors
/// The store's own.
pub fn deliver_all(
    store: &Store,
    system: &dyn TicketSystem,
    now: Time,
) -> Result<Vec<(TicketId, Delivery)>, StoreError> {
    let mut tickets: Vec<TicketId> = Vec::new();
    for row in store.outbox_todo()? {
        if row.state == store::OutboxState::Due && !tickets.contains(&row.ticket) {
            tickets.push(row.ticket);
        }
    }
    let mut all = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let delivery = deliver(store, system, &ticket, now)?;
        all.push((ticket, delivery));
    }
    Ok(all)
}

/// Delivers what is due for one ticket, in order, until done or failed. One worker at a time, on a
/// lock that ends with its holder: what a killed command left is taken over at once. Others wait as
/// long as the system takes for this ticket; the built-in one takes milliseconds.
///
/// # Errors
/// The store's own.
pub fn deliver(
    store: &Store,
    system: &dyn TicketSystem,
    ticket: &TicketId,
    now: Time,
) -> Result<Delivery, StoreError> {
    let _alone = store.deliverer()?;
    drain(store, system, ticket, now)
}

fn drain(
    store: &Store,
    system: &dyn TicketSystem,
    ticket: &TicketId,
    now: Time,
) -> Result<Delivery, StoreError> {
    let mut posted = 0usize;
    for row in store.outbox_due(ticket)? {
        if row.next_try > now {
            return Ok(Delivery::Later { at: row.next_try });
        }
        store.outbox_trying(&row.key)?;
        match post(store, system, &row, now)? {
            Ok(()) => {
                store.outbox_posted(&row.key, now)?;
                posted = posted.saturating_add(1);
            }
            Err(error) => {
                let why = ErrorChain(&error).to_string();
                store.outbox_failed(&row.key, &why, now.plus(pause(row.tries)))?;
                return Ok(Delivery::Failed { key: row.key, why });
            }
        }
    }
    Ok(Delivery::Done { posted })
}

/// Ten seconds, then twice as long each time, at most an hour.
fn pause(tries: u64) -> u64 {
    let doublings = u32::try_from(tries.min(16)).unwrap_or(16);
    10u64.saturating_mul(2u64.saturating_pow(doublings)).min(PAUSE_MAX)
}

type Posted = Result<(), TicketError>;

fn post(
    store: &Store,
    system: &dyn TicketSystem,
    row: &OutboxRow,
    now: Time,
) -> Result<Posted, StoreError> {
    let Ok(key) = row.key.parse::<Key>() else {
        return Ok(Err(TicketError::Invalid { field: "key" }));
    };
    Ok(match row.kind {
        OutboxKind::Note => match note_text(store, row, &key)? {
            Some(body) => post_note(system, row, &key, Audience::Internal, body, now),
            None => Err(TicketError::Invalid { field: "order" }),
        },
        OutboxKind::Reply => match &row.payload {
            Some(body) => post_note(system, row, &key, Audience::Public, body.clone(), now),
            None => Err(TicketError::Invalid { field: "payload" }),
        },
        OutboxKind::File => match records(store, row)? {
            Some(bytes) => post_file(system, row, key, bytes, now),
            None => Err(TicketError::Invalid { field: "order" }),
        },
        OutboxKind::State => Err(TicketError::NotSupported { what: "move by the outbox" }),
    })
}

fn post_note(
    system: &dyn TicketSystem,
    row: &OutboxRow,
    key: &Key,
    audience: Audience,
    body: String,
    now: Time,
) -> Posted {
    // A try before this one may have gone through without an answer.
    if row.tries > 0 && system.find_note(&row.ticket, key)?.is_some() {
        return Ok(());
    }
    let note = Note { key: key.clone(), audience, author: None, body };
    system.add_note(&row.ticket, &note, now).map(|_| ())
}

fn post_file(
    system: &dyn TicketSystem,
    row: &OutboxRow,
    key: Key,
    bytes: Vec<u8>,
    now: Time,
) -> Posted {
    // Where a file would be public the note must do: it names the record and how to see it.
    if !system.caps().private_files {
        return Ok(());
    }
    let file = File {
        key,
        name: "records.jsonl".to_owned(),
        media: "application/jsonl".to_owned(),
        bytes,
    };
    system.attach(&row.ticket, &file, Audience::Internal, now).map(|_| ())
}

fn order_of(store: &Store, row: &OutboxRow) -> Result<Option<Order>, StoreError> {
    let Some(digest) = row.order else { return Ok(None) };
    Ok(store.order(&digest)?.and_then(|order| read_order(&order)))
}

/// The note, written from the filed records each time: the same records, the same note.
fn note_text(store: &Store, row: &OutboxRow, key: &Key) -> Result<Option<String>, StoreError> {
    let (Some(order), Some(digest)) = (order_of(store, row)?, row.order) else { return Ok(None) };
    Ok(Some(notes::internal(key, &order, &told_of(store, &digest)?)))
}

/// The records' envelopes, one a line.
fn records(store: &Store, row: &OutboxRow) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(digest) = row.order else { return Ok(None) };
    let mut bytes = Vec::new();
    for told in told_of(store, &digest)? {
        if let Some(record) = store.run_record(&told.run)? {
            bytes.extend(record);
            bytes.push(b'\n');
        }
    }
    Ok(Some(bytes))
}
