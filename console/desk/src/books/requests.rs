//! Orders that ask: what the desk looks at before it keeps a paper. It verifies no seal: whoever reads
//! the paper does, and the endpoint last of all.

use protocol::documents::{Approval, Order};
use protocol::{AgentName, Digest, Envelope, Mode, PayloadType, RunId, Time, limits};
use store::{NewRequest, Store};

use super::error::BookError;

fn papers(why: &'static str) -> BookError {
    BookError::Papers { why }
}

/// A paper and what it claims to say.
fn read<T: PayloadType>(bytes: &[u8], why: &'static str) -> Result<(Envelope, T), BookError> {
    let envelope = Envelope::read(bytes).map_err(|_| papers(why))?;
    let said = trust::seal::peek(&envelope).map_err(|_| papers(why))?;
    Ok((envelope, said))
}

/// Keeps an order with the plan that it is bound to; the order's digest.
pub(super) fn add(
    store: &Store,
    (order, plan, plan_run): (&[u8], &[u8], RunId),
    wanted: u32,
    by: &AgentName,
    now: Time,
) -> Result<Digest, BookError> {
    let (envelope, said) = read::<Order>(order, "the order cannot be read")?;
    if said.agent != *by {
        return Err(papers("the order is somebody else's"));
    }
    let [endpoint] = said.targets.as_slice() else {
        return Err(papers("an order that asks names one endpoint"));
    };
    if said.mode != Mode::Fix || said.plan != Some(Digest::of(plan)) {
        return Err(papers("the order is not bound to this plan"));
    }
    let longest = limits::ORDER_SECONDS_MAX.saturating_add(limits::CLOCK_SKEW_SECONDS);
    if said.not_after <= now || said.not_after.since(now) > longest {
        return Err(papers("the order is over, or lives too long"));
    }
    let order = envelope.digest();
    let new = NewRequest {
        order,
        agent: by,
        script: &said.script.name,
        endpoint: *endpoint,
        ticket: said.ticket.as_ref(),
        envelope: &envelope.write().map_err(|_| BookError::NoAnswer)?,
        plan,
        plan_run,
        wanted,
        until: said.not_after,
    };
    store.add_request(&new, now)?;
    Ok(order)
}

/// Keeps an answer in its person's name.
pub(super) fn answer(
    store: &Store,
    answer: &[u8],
    by: &AgentName,
    now: Time,
) -> Result<bool, BookError> {
    let (envelope, said) = read::<Approval>(answer, "the answer cannot be read")?;
    if said.person != *by {
        return Err(papers("the answer is somebody else's"));
    }
    let bytes = envelope.write().map_err(|_| BookError::NoAnswer)?;
    Ok(store.add_approval(&said.order, (by, said.yes, &bytes), now)?)
}
