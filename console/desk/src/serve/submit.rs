//! An order arrives: its seals are checked, it is stored with the promise of its note, and only
//! then does it leave. The endpoint judges it anew; what is checked here keeps noise from its door.

use std::sync::Arc;

use protocol::documents::{Dispatch, Order};
use protocol::error_chain::ErrorChain;
use protocol::frames::{Ask, DeskAnswer, sorry};
use protocol::{Bytes, EndpointId, Envelope, RunId, Time};
use store::StoreError;
use trust::Verified;

use super::drive::{self, Which};
use super::known::Known;
use super::live::Follower;
use super::{Server, file};
use crate::books::{BookError, Sorry};
use crate::outbox::{self, PromiseError};
use crate::runs::open_order;

/// What a console sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) endpoint: EndpointId,
    pub(super) order: Bytes,
    pub(super) dispatch: Bytes,
    pub(super) approvals: Vec<Bytes>,
}

pub(super) fn not_sent(words: impl Into<String>) -> Sorry {
    Sorry::new(sorry::NOT_SENT, words.into())
}

/// The order under its agent's key, as the policy lists it.
pub(super) fn opened(
    envelope: &Envelope,
    known: &Known,
    server: &Server,
) -> Result<Verified<Order>, Sorry> {
    open_order(envelope, &known.policy, (server.now)()).map_err(|no| not_sent(no.to_string()))
}

/// Stores and sends an order; gives what is said of its run from the beginning. The very same order
/// again is followed, not sent.
pub(super) async fn submit(server: &Arc<Server>, parcel: Parcel) -> Result<Follower, Sorry> {
    let known = server.known();
    let unreadable = |_| not_sent("the order cannot be read");
    let envelope = Envelope::read(&parcel.order.0).map_err(unreadable)?;
    let sealed_dispatch = Envelope::read(&parcel.dispatch.0).map_err(unreadable)?;
    let order = opened(&envelope, &known, server)?;
    let dispatch = trust::seal::open_one::<Dispatch>(&sealed_dispatch, &order.dispatch_key)
        .map_err(|_| not_sent("the dispatch is not sealed by the order's own key"))?;
    let here = order.targets.contains(&parcel.endpoint)
        && dispatch.endpoint == parcel.endpoint
        && dispatch.order == order.digest();
    if !here {
        return Err(not_sent("order and dispatch name another endpoint"));
    }
    let run = RunId::of(&order.digest(), &parcel.endpoint, 0);
    let which = Which { run, order: order.digest(), endpoint: parcel.endpoint };
    if let Some(live) = server.runs.get(&run) {
        return Ok(live.follow());
    }
    let Some(line) = server.lines.get(&parcel.endpoint) else {
        return Err(not_sent("the endpoint is not connected; nothing was sent"));
    };
    let support = support(server, &order, (server.now)()).await?;
    let store = server.store().map_err(BookError::said)?;
    let now = (server.now)();
    let stored = line.with_seen(|seen| {
        let sealed = (order.get(), &envelope, support.as_deref());
        outbox::promise_sent(store, sealed, &sealed_dispatch, (&parcel.endpoint, seen), now)?;
        if !parcel.approvals.is_empty() {
            store.keep_approvals(&order.digest(), &parcel.approvals)?;
        }
        Ok(())
    });
    match stored.await {
        Ok(_) => {}
        // It was stored before: whoever asks again hears of that run.
        Err(PromiseError::Store(StoreError::Duplicate { .. })) => {
            return file::again(server, which).await;
        }
        Err(error) => {
            let fault = Some(ErrorChain(&error).to_string());
            return Err(Sorry { fault, ..not_sent("the desk could not store the order") });
        }
    }
    let Some(live) = server.runs.begin(run) else {
        return Err(not_sent("this order is on its way already"));
    };
    live.push(DeskAnswer::Stored { run, order: order.digest() });
    let follower = live.follow();
    let ask = Ask::Submit {
        order: parcel.order,
        dispatch: parcel.dispatch,
        attestation: support.map(Bytes),
        approvals: parcel.approvals,
    };
    server.begin(drive::drive(Arc::clone(server), live, which, Some(ask)));
    Ok(follower)
}

/// The ticket's attestation for an order that came here then, where it names a ticket and the desk has the
/// ticket key.
pub(super) async fn support(
    server: &Arc<Server>,
    order: &Order,
    came: Time,
) -> Result<Option<Vec<u8>>, Sorry> {
    let Some(ticket) = order.ticket.clone() else { return Ok(None) };
    let (at, order) = (Arc::clone(server), order.clone());
    let made = tokio::task::spawn_blocking(move || {
        let row = crate::inventory::find_ticket(&at.desk.store, ticket.as_str());
        let (id, row) = row.map_err(|_| not_sent("the desk has no such ticket"))?;
        let order = Some((&order, came));
        let sealed = crate::runs::attest_ticket(&at.desk, (&id, &row), order, (at.now)());
        let fault = |error: &dyn std::error::Error| Sorry {
            fault: Some(ErrorChain(error).to_string()),
            ..not_sent("the desk could not attest the ticket")
        };
        let sealed = sealed.map_err(|error| fault(&error))?;
        sealed.map(|envelope| envelope.write()).transpose().map_err(|error| fault(&error))
    });
    made.await.unwrap_or_else(|_| Err(not_sent("the desk could not attest the ticket")))
}
