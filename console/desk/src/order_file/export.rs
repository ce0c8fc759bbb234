//! From an order that waits, or a wish, to a file.

use protocol::{Bytes, Envelope, RunId, Time};
use store::{EndpointRow, RunRow};
use trust::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::format::{OrderFile, OrderKey};
use crate::books::BookError;
use crate::org::Desk;
use crate::outbox::{self, PromiseError};
use crate::runs::{RunError, Wish, open_order, waiting_order};
use crate::session::{Agent, Session, SessionError};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It runs, has run, was taken back, or its time is over.
    #[error("run {} does not wait", .run.short())]
    NotWaiting {
        /// The run.
        run: RunId,
    },
    /// Not the agent's to carry.
    #[error("only {agent}, a lead or an administrator may carry it")]
    NotYours {
        /// Whose order.
        agent: String,
    },
    /// What the desk gave is not the order that it lists.
    #[error("what the desk gave is not the order of run {}", .run.short())]
    NotTheOrder {
        /// The run.
        run: RunId,
    },
    /// The address book has no such endpoint any more.
    #[error("the endpoint of run {} is not in the address book", .run.short())]
    NoEndpoint {
        /// The run.
        run: RunId,
    },
    /// The desk's no, or its line.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// It could not be stored.
    #[error(transparent)]
    Promise(#[from] PromiseError),
    /// It could not be sealed.
    #[error(transparent)]
    Seal(Box<RunError>),
    /// It could not be written.
    #[error("could not write the order")]
    Write(#[from] protocol::json::BadJson),
}

impl From<RunError> for ExportError {
    fn from(error: RunError) -> Self {
        Self::Seal(Box::new(error))
    }
}

fn file_of(
    desk: &Desk,
    to: &EndpointRow,
    (order, seed): (Bytes, Zeroizing<[u8; 32]>),
    now: Time,
) -> OrderFile {
    OrderFile {
        organisation: desk.organisation.id.clone(),
        written: now,
        order,
        card: Bytes(to.card.clone()),
        address: to.address.clone(),
        key: Some(OrderKey(seed)),
        answer: None,
    }
}

/// A copy of an order that waits. It waits on: the endpoint takes whichever comes first.
///
/// # Errors
/// [`ExportError`]; it waits as before.
pub async fn carry(
    desk: &Desk,
    agent: &Agent,
    row: &RunRow,
    now: Time,
) -> Result<OrderFile, ExportError> {
    let run = row.id;
    let waits = desk.store.waiting_run(run)?.ok_or(ExportError::NotWaiting { run })?;
    if !agent.policy.may_recall(&agent.name, &waits.agent, now) {
        return Err(ExportError::NotYours { agent: waits.agent.to_string() });
    }
    let to = desk.store.endpoint(row.endpoint)?.ok_or(ExportError::NoEndpoint { run })?;
    let (order, seed) = match desk.store.line() {
        Some(line) => Session::carry_from_desk(line, &to, run).await?,
        None => {
            let copy = desk.store.here()?.carry_waiting(&run, now)?;
            let copy = copy.ok_or(ExportError::NotWaiting { run })?;
            (copy.envelope, copy.seed)
        }
    };
    // The desk lists it; who ordered what, and with which key, is read under the agent's seal.
    let sealed = Envelope::read(&order).ok();
    let opened = sealed.and_then(|sealed| open_order(&sealed, &agent.policy, now).ok());
    let same = opened.is_some_and(|opened| {
        RunId::of(&opened.digest(), &to.id, 0) == run
            && opened.dispatch_key == SigningKey::from_seed(*seed).public_key()
    });
    if !same {
        return Err(ExportError::NotTheOrder { run });
    }
    Ok(file_of(desk, &to, (Bytes(order), seed), now))
}

/// An order for a file alone, where there is no shared desk at which it could wait: stored with the
/// promise of its note, and out from now on.
///
/// # Errors
/// [`ExportError`]; nothing is out then.
pub fn carry_new(
    desk: &Desk,
    agent: &Agent,
    wish: &Wish,
    seconds: u64,
    now: Time,
) -> Result<(RunId, OrderFile), ExportError> {
    let store = desk.store.here()?;
    let (sealed, seed) = waiting_order(agent, wish, seconds, now)?;
    let order = open_order(&sealed, &agent.policy, now).map_err(RunError::Unsealed)?;
    outbox::promise(store, order.get(), &sealed, None, now)?;
    let run = RunId::of(&order.digest(), &wish.endpoint.id, 0);
    store.run_carried(&run, order.not_after)?;
    let order = Bytes(sealed.write()?);
    Ok((run, file_of(desk, &wish.endpoint, (order, seed), now)))
}

/// The file of [`carry_new`] could not be written: it is not sent, and its ticket is told.
///
/// # Errors
/// The store's own.
pub fn not_written(desk: &Desk, run: &RunId, now: Time) -> Result<(), BookError> {
    Ok(desk.store.here()?.run_not_carried(run, now)?)
}
