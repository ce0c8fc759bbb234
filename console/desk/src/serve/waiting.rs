//! Orders whose endpoint is away: kept with the key made for each, sent once when it comes.
//!
//! The key signs a dispatch of its own order and nothing else: the endpoint takes it for no other
//! order, at no other endpoint, after its end or a second time. It is never logged, and given out to
//! whoever may recall the order, for a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::documents::{Dispatch, Hello, Recall};
use protocol::error_chain::ErrorChain;
use protocol::frames::{Ask, DeskAnswer, sorry};
use protocol::{AgentName, Bytes, Digest, EndpointId, Envelope, RunId, Time, limits};
use store::{EndedWaiting, RunState, WAITING_MAX, WaitingRow};
use trust::{ByPerson, Signer as _, SigningKey, seal};

use super::drive::{self, Which};
use super::line::HeldLine;
use super::submit::{not_sent, opened, support};
use super::{Server, guest};
use crate::books::{BookError, Sorry};
use crate::outbox::{self, PromiseError};

/// What the ticket is told of one whose time is over.
const OVER: &str = "machine did not come back in time; nothing ran";
/// Orders looked at in one round of dialling.
const DIALLED_MAX: usize = 256;

/// Keeps an order and the seed of its key.
pub(super) async fn put(
    server: &Arc<Server>,
    endpoint: EndpointId,
    (order, seed): (Bytes, Bytes),
) -> Result<DeskAnswer, Sorry> {
    let seed = zeroize::Zeroizing::new(seed.0);
    let seed: [u8; 32] =
        seed.as_slice().try_into().map_err(|_| not_sent("the order's key is none"))?;
    let known = server.known();
    let envelope = Envelope::read(&order.0).map_err(|_| not_sent("the order cannot be read"))?;
    let order = opened(&envelope, &known, server)?;
    if order.targets.as_slice() != [endpoint] {
        return Err(not_sent("the order is not for this endpoint alone"));
    }
    let own = known.policy.file().people.iter().any(|p| p.signing_key == Some(order.dispatch_key));
    if own || SigningKey::from_seed(seed).public_key() != order.dispatch_key {
        return Err(not_sent("the order's dispatch key is not one made for it"));
    }
    let now = (server.now)();
    if order.not_after < now {
        return Err(not_sent("the order's time is over"));
    }
    let store = server.store().map_err(BookError::said)?;
    let kept = outbox::promise_waiting(store, (order.get(), &envelope), (&endpoint, &seed), now);
    let run = kept.map_err(|error| match error {
        PromiseError::Store(error) => BookError::from(error).said(),
        error @ PromiseError::Write(_) => {
            let fault = Some(ErrorChain(&error).to_string());
            Sorry { fault, ..not_sent("the desk could not store the order") }
        }
    })?;
    // It may have come while this was written.
    if let Some(line) = server.lines.get(&endpoint) {
        let at = Arc::clone(server);
        server.begin(async move { deliver(&at, endpoint, &line).await });
    }
    Ok(DeskAnswer::Waits { run, until: order.not_after })
}

/// Ends what waited too long.
pub(super) fn expire(server: &Server, now: Time) {
    let Ok(store) = server.store() else { return };
    if let Err(error) = store.expire_waiting(OVER, now) {
        server.line(&ErrorChain(&error).to_string());
    }
}

/// Tries the endpoints that something waits for and that keep no line: some can be dialled. Whoever
/// answers is met, and gets what waits.
pub(super) fn dial(server: &Arc<Server>) {
    let Ok(store) = server.store() else { return };
    let rows = store.waiting_page(None, None, DIALLED_MAX).unwrap_or_default();
    let away: BTreeSet<EndpointId> = rows
        .iter()
        .map(|row| row.endpoint)
        .filter(|endpoint| server.lines.get(endpoint).is_none())
        .collect();
    if away.is_empty() {
        return;
    }
    let at = Arc::clone(server);
    server.begin(async move {
        for endpoint in away {
            // Away still: the next round tries again.
            let _ = guest::reach(&at, &endpoint).await;
        }
    });
}

/// Sends an endpoint that is here all that waits for it.
pub(super) async fn deliver(server: &Arc<Server>, endpoint: EndpointId, line: &Arc<HeldLine>) {
    expire(server, (server.now)());
    let Ok(store) = server.store() else { return };
    let rows = match store.waiting_page(Some(&endpoint), None, WAITING_MAX) {
        Ok(rows) => rows,
        Err(error) => return server.line(&ErrorChain(&error).to_string()),
    };
    for row in rows {
        if let Err(why) = send(server, &row, line).await {
            server.line(&format!("{}: what waits was not sent: {why}", line.card.name));
        }
    }
}

/// Sends one. What fails before the key has signed leaves it waiting.
async fn send(server: &Arc<Server>, row: &WaitingRow, line: &HeldLine) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| ErrorChain(error).to_string();
    let store = server.store().map_err(|error| said(&error))?;
    let stored = store.order(&row.order).map_err(|error| said(&error))?;
    let stored = stored.ok_or_else(|| "its order is gone".to_owned())?;
    let envelope = Envelope::read(&stored.envelope).map_err(|error| said(&error))?;
    // Whoever was withdrawn while it waited orders nothing.
    let order = opened(&envelope, &server.current(), server).map_err(|no| no.sentence)?;
    let attested = support(server, &order, stored.created).await.map_err(|no| no.sentence)?;
    let met = line.challenge().await.map_err(|error| said(&error))?;
    let hello = Envelope::read(&met.hello).map_err(|error| said(&error))?;
    // Verified when the line took it.
    let hello: Hello = seal::peek(&hello).map_err(|error| said(&error))?;
    let now = (server.now)();
    let pair = (hello.challenge, met.number);
    let sign = |seed| signed(seed, (row.order, row.endpoint), pair, now);
    let sent = line
        .with_seen(|seen| store.send_waiting(&row.run, seen, attested.as_deref(), now, sign))
        .await;
    // Nothing where it was recalled or sent in between.
    let Some(dispatch) = sent.map_err(|error| said(&error))? else { return Ok(()) };
    let Some(live) = server.runs.begin(row.run) else { return Ok(()) };
    live.push(DeskAnswer::Stored { run: row.run, order: row.order });
    let which = Which { run: row.run, order: row.order, endpoint: row.endpoint };
    let ask = Ask::Submit {
        order: Bytes(stored.envelope),
        dispatch: Bytes(dispatch),
        attestation: attested.map(Bytes),
        approvals: Vec::new(),
    };
    server.begin(drive::drive(Arc::clone(server), live, which, Some(ask)));
    Ok(())
}

fn signed(
    seed: [u8; 32],
    (order, endpoint): (Digest, EndpointId),
    (challenge, number): (Digest, u64),
    now: Time,
) -> Option<Vec<u8>> {
    let dispatch = Dispatch {
        order,
        endpoint,
        challenge,
        number,
        secrets: None,
        issued: now,
        not_after: now.plus(limits::DISPATCH_SECONDS_MAX),
    };
    seal::seal(&dispatch, &[&SigningKey::from_seed(seed)]).ok()?.write().ok()
}

/// A copy of an order that waits, with its key, for whoever may recall it.
pub(super) fn carry(
    server: &Arc<Server>,
    run: &RunId,
    by: &AgentName,
) -> Result<DeskAnswer, Sorry> {
    let none = || {
        let no = Sorry::new(sorry::NOT_FOUND, "no order of that run waits here");
        no.next("salve orders list")
    };
    let store = server.store().map_err(BookError::said)?;
    let fail = |error| BookError::from(error).said();
    let row = store.waiting(run).map_err(fail)?.ok_or_else(none)?;
    let now = (server.now)();
    if !server.current().policy.may_recall(by, &row.agent, now) {
        let words = "only the order's own agent, a lead or an administrator may carry it";
        return Err(Sorry::new(sorry::FORBIDDEN, words));
    }
    let copy = store.carry_waiting(run, now).map_err(fail)?.ok_or_else(none)?;
    server.line(&format!("{by} carries the order of run {} in a file", run.short()));
    Ok(DeskAnswer::Carried { order: Bytes(copy.envelope), seed: Bytes(copy.seed.to_vec()) })
}

/// What a recall came to here.
pub(super) enum Recalled {
    /// Nothing of it waits here.
    NotHere,
    /// It waited, and is never sent.
    Taken,
    /// It waits here no more, and a copy of it is out in a file until then.
    Carried(Time),
}

/// Takes back an order that waits.
pub(super) async fn recall(
    server: &Arc<Server>,
    endpoint: &EndpointId,
    recall: &Bytes,
) -> Result<Recalled, Sorry> {
    let unsealed = || Sorry::new(sorry::NOT_TAKEN, "the recall is not sealed by a known agent");
    let envelope = Envelope::read(&recall.0).map_err(|_| unsealed())?;
    // Unverified: only to find out what it is about and whose key must have signed.
    let claimed: Recall = seal::peek(&envelope).map_err(|_| unsealed())?;
    let run = RunId::of(&claimed.order, endpoint, 0);
    let store = server.store().map_err(BookError::said)?;
    let fail = |error| BookError::from(error).said();
    let Some(row) = store.waiting(&run).map_err(fail)? else {
        let row = store.run(&run).map_err(fail)?;
        let carried = row.filter(|row| row.state == RunState::Carried).and_then(|row| row.carried);
        return Ok(carried.map_or(Recalled::NotHere, Recalled::Carried));
    };
    let (known, now) = (server.current(), (server.now)());
    let key = known.policy.person(&claimed.agent).and_then(|person| person.signing_key);
    let opened = trust::open_by_person::<Recall>(&envelope, &key.ok_or_else(unsealed)?);
    let ByPerson { document: recall, session } = opened.map_err(|_| unsealed())?;
    // What a session key signs is about its person's own orders.
    let lent = session.as_ref().is_none_or(|session| {
        let life = policy::check_session_life(session, recall.issued, recall.issued.max(now));
        recall.agent == row.agent && !known.policy.is_denied_key(&session.key) && life.is_ok()
    });
    if !lent || !known.policy.may_recall(&recall.agent, &row.agent, now) {
        let words = "only the order's own agent, a lead or an administrator may take it back";
        return Err(Sorry::new(sorry::NOT_TAKEN, words).next("salve orders list"));
    }
    let carried = store.run(&run).map_err(fail)?.is_some_and(|row| row.carried.is_some());
    // Of one that is out in a file nobody knows here.
    let ran = if carried { "" } else { "; nothing ran" };
    let why = format!("taken back by {} while it waited{ran}", recall.agent);
    let at = Arc::clone(server);
    let ended = tokio::task::spawn_blocking(move || {
        let ended = at.store().map_err(BookError::said)?;
        let ended = ended.end_waiting(&run, &why, now).map_err(|e| BookError::from(e).said());
        at.deliver_due(now);
        ended
    });
    Ok(match ended.await.unwrap_or_else(|_| Err(not_sent("the recall was not kept")))? {
        EndedWaiting::Nothing => Recalled::NotHere,
        EndedWaiting::NotSent => Recalled::Taken,
        EndedWaiting::Carried => Recalled::Carried(row.until),
    })
}
