//! From an order to the ticket: the note is promised before anything is sent, due when the records
//! are filed, and posted once (P6).
//!
//! Never posts without having looked when an earlier try may have gone through.

mod backend;
mod filing;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use backend::number;
pub use backend::{StoreBackend, builtin};
pub use filing::{Arrived, FileError, Filing, file, told_of};
pub use worker::{Delivery, deliver, deliver_all, deliver_builtin, sweep};

use protocol::documents::Order;
use protocol::{EndpointId, Envelope, RunId, Time};
use store::{NewOrder, Seen, Store, StoreError};
use tickets::{Key, KeyKind};

use crate::notes::note_key;

/// An order that could not be stored. Nothing may be sent then.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    /// The envelope could not be written.
    #[error("could not write the order")]
    Write(#[from] protocol::json::BadJson),
    /// The store.
    #[error("could not store the order; nothing was sent")]
    Store(#[from] StoreError),
}

/// Stores an order with its runs and the promise of its note and file, in one transaction. Call it
/// before the first byte leaves; the runs are in the order of the targets.
///
/// # Errors
/// [`PromiseError`]; then nothing was stored and nothing may be sent.
pub fn promise(
    store: &Store,
    order: &Order,
    sealed: &Envelope,
    support: Option<&[u8]>,
    now: Time,
) -> Result<Vec<RunId>, PromiseError> {
    stored(order, sealed, support, |new| store.add_order(new, now))
}

/// As [`promise`], for an order with one target whose dispatch leaves when this has returned, with
/// the hello that it answers: one wait for the disk.
///
/// # Errors
/// [`PromiseError`]; then nothing was stored and nothing may be sent.
pub fn promise_sent(
    store: &Store,
    (order, sealed, support): (&Order, &Envelope, Option<&[u8]>),
    dispatch: &Envelope,
    hello: (&EndpointId, &Seen<'_>),
    now: Time,
) -> Result<(), PromiseError> {
    let dispatch = dispatch.write()?;
    stored(order, sealed, support, |new| store.add_order_sent(new, &dispatch, hello, now))
}

/// As [`promise`], for an order with one target that waits for it; `seed` is that of the key which
/// signs its dispatch, made for this order alone.
///
/// # Errors
/// [`PromiseError`]; then nothing was stored.
pub fn promise_waiting(
    store: &Store,
    (order, sealed): (&Order, &Envelope),
    (endpoint, seed): (&EndpointId, &[u8; 32]),
    now: Time,
) -> Result<RunId, PromiseError> {
    let until = order.not_after;
    stored(order, sealed, None, |new| store.add_waiting(new, (endpoint, seed), until, now))
}

/// As [`promise`], in a store that was put back from a copy, for an order that left before: its runs
/// are sent, and its note is promised where the ticket is known still. What was posted is found before
/// it is posted.
///
/// # Errors
/// [`PromiseError`].
pub fn promise_again(
    store: &Store,
    order: &Order,
    sealed: &Envelope,
    now: Time,
) -> Result<Vec<RunId>, PromiseError> {
    let ticket = order.ticket.as_ref().and_then(|ticket| number(ticket).ok());
    let known = match ticket.map(|ticket| store.ticket(ticket)) {
        None | Some(Err(StoreError::NotFound { .. })) => false,
        Some(found) => found.map(|_| true)?,
    };
    stored(order, sealed, None, |new| {
        let (note_key, file_key) = (new.note_key.filter(|_| known), new.file_key.filter(|_| known));
        store.add_order_again(&NewOrder { note_key, file_key, ..new.clone() }, now)
    })
}

fn stored<T>(
    order: &Order,
    sealed: &Envelope,
    support: Option<&[u8]>,
    store: impl FnOnce(&NewOrder<'_>) -> Result<T, StoreError>,
) -> Result<T, PromiseError> {
    let digest = sealed.digest();
    let envelope = sealed.write()?;
    let note = note_key(order, &digest);
    let file = note.as_ref().map(|_| Key::of_order(&digest, KeyKind::File));
    let new = NewOrder {
        digest,
        id: order.id,
        script: order.script.name.clone(),
        version: order.script.version,
        mode: order.mode,
        agent: order.agent.clone(),
        ticket: order.ticket.clone(),
        envelope: &envelope,
        support,
        targets: &order.targets,
        glass: order.break_glass.as_ref().map(protocol::Label::as_str),
        note_key: note.as_ref().map(Key::as_str),
        file_key: file.as_ref().map(Key::as_str),
    };
    Ok(store(&new)?)
}
