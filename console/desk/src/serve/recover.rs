//! A desk that was put back from a copy: what its endpoints have and it has lost, orders first, then
//! their records. Nothing is believed that its seals do not say.

use std::sync::Arc;

use protocol::documents::Order;
use protocol::frames::{Answer, Ask, RecordPlace};
use protocol::{Digest, EndpointId, Envelope, RunId};
use store::StoreError;
use trust::seal;

use super::drive::{self, Which};
use super::line::HeldLine;
use super::{Server, file};
use crate::books::BookError;
use crate::home::is_there;
use crate::outbox::{self, PromiseError};
use crate::session::SessionError;

/// Records brought home from one endpoint at once; more when it comes the next time.
const AT_ONCE: usize = 1000;

/// Whether this desk was put back from a copy.
pub(super) fn is_due(server: &Server) -> bool {
    is_there(&server.desk.home.restored_file())
}

/// Fills the gaps in what this desk has of one endpoint's records, where it has the lists that its
/// endpoints have: by older ones their records would not verify.
pub(super) async fn recover(server: Arc<Server>, id: EndpointId, line: Arc<HeldLine>) {
    let (head, theirs) = line.with_seen(|seen| (seen.head, seen.versions.lists())).await;
    if server.known().catalogue.versions().lists().behind(&theirs).is_some() {
        return;
    }
    let (mut brought, mut seen) = (0usize, 0usize);
    let gap = server.store().map_err(said).and_then(|store| {
        store.first_gap(&id, &head.epoch, head.counter).map_err(|error| said(error.into()))
    });
    let mut after = match gap {
        Ok(Some(after)) => after,
        Ok(None) => return,
        Err(error) => return server.line(&error),
    };
    while seen < AT_ONCE {
        let places = match places(&line, head.epoch, after).await {
            Ok(places) => places,
            Err(error) => {
                server.line(&format!("{}: {}", line.card.name, said_of(&error)));
                break;
            }
        };
        let Some(last) = places.last() else { break };
        after = last.counter;
        seen = seen.saturating_add(places.len());
        for place in places {
            match one(&server, id, &line, place.run).await {
                Ok(new) => brought = brought.saturating_add(usize::from(new)),
                Err(why) => server.line(&format!("{}: {why}", line.card.name)),
            }
        }
    }
    if brought > 0 {
        server.line(&format!("{}: {brought} records came home", line.card.name));
    }
}

fn said(error: BookError) -> String {
    protocol::error_chain::ErrorChain(&error).to_string()
}

fn said_of(error: &SessionError) -> String {
    protocol::error_chain::ErrorChain(error).to_string()
}

/// Which runs have the records behind a place.
async fn places(
    line: &HeldLine,
    epoch: Digest,
    after: u64,
) -> Result<Vec<RecordPlace>, SessionError> {
    let _using = line.in_use();
    match ask(line, &Ask::Records { after }).await? {
        // Only further on, so that this comes to an end.
        Answer::Records { epoch: theirs, places }
            if theirs == epoch
                && places.is_sorted_by(|a, b| a.counter < b.counter)
                && places.first().is_none_or(|first| first.counter > after) =>
        {
            Ok(places)
        }
        Answer::Stop { code } => Err(SessionError::Stopped(code)),
        _ => Err(SessionError::Unexpected),
    }
}

async fn ask(line: &HeldLine, ask: &Ask) -> Result<Answer, SessionError> {
    let mut stream = line.connection.open().await?;
    stream.send(ask).await?;
    stream.finish();
    let answer = stream.recv_within(drive::ANSWER_TIME_MAX).await?;
    answer.ok_or(SessionError::Line(link::LinkError::Ended))
}

/// One record that may be missing; true where it was and came home.
async fn one(
    server: &Arc<Server>,
    endpoint: EndpointId,
    line: &Arc<HeldLine>,
    run: RunId,
) -> Result<bool, String> {
    let store = server.store().map_err(said)?;
    let row = store.run(&run).map_err(|error| said(error.into()))?;
    if row.as_ref().is_some_and(|row| row.verified.is_some()) {
        return Ok(false);
    }
    if row.is_none() {
        adopt(server, endpoint, line, run).await?;
    }
    let Some((order, returned)) = drive::fetch(server, line, run).await else { return Ok(false) };
    file::file(server, line, Which { run, order, endpoint }, returned).await;
    Ok(true)
}

/// Takes an order back into the books: it was here before the copy, and its agent's seal says so. A
/// refusal has none.
async fn adopt(
    server: &Arc<Server>,
    endpoint: EndpointId,
    line: &HeldLine,
    run: RunId,
) -> Result<(), String> {
    let answer = ask(line, &Ask::Order { run }).await.map_err(|error| said_of(&error))?;
    let Answer::Order { order } = answer else { return Ok(()) };
    let foreign = || format!("what it has of run {} is no order of an agent of ours", run.short());
    let envelope = Envelope::read(&order.0).map_err(|_| foreign())?;
    // Unverified: only to find out whose key must have signed.
    let claimed: Order = seal::peek(&envelope).map_err(|_| foreign())?;
    let known = server.known();
    // Whoever was withdrawn since has ordered it all the same.
    let key = known.policy.person(&claimed.agent).and_then(|person| person.signing_key);
    let opened = trust::open_by_person::<Order>(&envelope, &key.ok_or_else(foreign)?);
    let opened = opened.map_err(|_| foreign())?.document;
    if RunId::of(&opened.digest(), &endpoint, 0) != run || !opened.targets.contains(&endpoint) {
        return Err(foreign());
    }
    let at = Arc::clone(server);
    let kept = tokio::task::spawn_blocking(move || {
        let store = at.store().map_err(said)?;
        match outbox::promise_again(store, opened.get(), &envelope, (at.now)()) {
            // Another of its endpoints was here first.
            Ok(_) | Err(PromiseError::Store(StoreError::Duplicate { .. })) => Ok(()),
            Err(error) => Err(protocol::error_chain::ErrorChain(&error).to_string()),
        }
    });
    kept.await.unwrap_or_else(|_| Err("the desk could not keep an order".to_owned()))
}
