//! One run from its order's departure to its record, over as many lines as it takes. A console may
//! listen or not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::frames::{Ask, DeskAnswer, Event, Stop, sorry};
use protocol::{Bytes, Digest, EndpointId, RunId, limits};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::line::HeldLine;
use super::live::Live;
use super::{Server, file, guest};
use crate::outbox;
use crate::session::{Hearing, Returned, SessionError};
use crate::verify::peek_record;

/// Room after a run's own deadline for stopping it and signing its record, seconds.
const AFTER_DEADLINE: u64 = 60;
/// From a question that needs no run to its answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);
/// Pause before a run is asked for again on a line that did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// From one try to dial an endpoint that is away to the next.
const DIAL_AGAIN: Duration = Duration::from_secs(5);

/// Which run of which order, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    pub(super) run: RunId,
    pub(super) order: Digest,
    pub(super) endpoint: EndpointId,
}

/// Sends the order, or asks for a run that was sent before, and stays until its record is filed or
/// its time is over. What comes later still is collected when its endpoint dials in.
///
/// Boxed: a run that dials its endpoint may find others that it owes, and drives these too.
pub(super) fn drive(
    server: Arc<Server>,
    live: Arc<Live>,
    which: Which,
    first: Option<Ask>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let until = Instant::now() + Duration::from_secs(longest(&server, &which));
        let last = go(&server, &live, which, first, until).await;
        // Whoever asks from here on finds what is stored.
        server.runs.end(&which.run);
        live.push(last);
    })
}

fn longest(server: &Server, which: &Which) -> u64 {
    let order = server.store().ok().and_then(|store| store.order(&which.order).ok().flatten());
    let limit = order.map(|order| server.known().limit_seconds(&order.script));
    limit.unwrap_or(limits::RUN_SECONDS_DEFAULT).saturating_add(AFTER_DEADLINE)
}

async fn go(
    server: &Arc<Server>,
    live: &Live,
    which: Which,
    first: Option<Ask>,
    until: Instant,
) -> DeskAnswer {
    let unknown = |words: String| DeskAnswer::Sorry {
        code: sorry::RUN_UNKNOWN.to_owned(),
        sentence: words,
        next: Some(format!("salve runs follow {}", which.run.short())),
    };
    let mut ask = first;
    loop {
        let Ok(line) = timeout_at(until, line_to(server, &which.endpoint)).await else {
            return unknown("the endpoint did not come back in the run's time".to_owned());
        };
        let question = ask.take().unwrap_or(Ask::Follow { run: which.run });
        match hear(&line, &question, which.run, live, server).await {
            Ok(returned) => return file::file(server, &line, which, returned).await,
            Err(SessionError::Stopped(stop)) => {
                settle(server, &line, which.run, stop).await;
                return unknown(format!("the endpoint's door says: {stop}; it signed nothing"));
            }
            Err(error) => {
                let sentence = protocol::error_chain::ErrorChain(&error).to_string();
                live.push(DeskAnswer::Lost { sentence });
                if Instant::now() >= until {
                    return unknown("the line to the endpoint broke".to_owned());
                }
                // A line that is up and does not answer is not asked without a pause.
                sleep(PAUSE).await;
            }
        }
    }
}

/// What the door says is kept as what it is: not taken, where that can be true.
async fn settle(server: &Server, line: &HeldLine, run: RunId, stop: Stop) {
    if stop != Stop::NoRun {
        return;
    }
    let now = (server.now)();
    let settled = line.with_seen(|seen| {
        let store = server.store().ok()?;
        Some(crate::runs::settle(store, &seen.head, &run, now))
    });
    if let Some(Err(error)) = settled.await {
        server.line(&protocol::error_chain::ErrorChain(&error).to_string());
    }
}

/// The endpoint's line, as soon as it dials in or can be dialled.
async fn line_to(server: &Arc<Server>, endpoint: &EndpointId) -> Arc<HeldLine> {
    loop {
        if let Ok(Some(line)) = guest::reach(server, endpoint).await {
            return line;
        }
        let waited = timeout(DIAL_AGAIN, server.lines.wait_for(endpoint)).await;
        if let Ok(line) = waited {
            return line;
        }
    }
}

/// Asks, passes every frame on as it comes, and gathers what proves the run.
async fn hear(
    line: &HeldLine,
    ask: &Ask,
    run: RunId,
    live: &Live,
    server: &Server,
) -> Result<Returned, SessionError> {
    let _using = line.in_use();
    let (mut sending, mut receiving) = line.connection.open().await?.split();
    sending.send(ask).await?;
    sending.finish();
    let mut heard = Hearing::default();
    loop {
        let bytes = match receiving.recv_bytes().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            // With the record in hand the rest can be fetched again.
            Err(_) if heard.has_record() => break,
            Err(error) => return Err(error.into()),
        };
        let answer = protocol::frames::decode(&bytes).map_err(|_| SessionError::Unexpected)?;
        heard.take(answer, &mut |event| {
            if let Event::Accepted { run: named, .. } = event
                && *named == run
                && let Ok(store) = server.store()
            {
                // A hint for people: what settles a run is its record.
                let _ = store.run_accepted(&run);
            }
        })?;
        live.push(DeskAnswer::Endpoint { frame: Bytes(bytes) });
    }
    heard.end()
}

/// What an endpoint has of a run that it has the record of, and the order that this names; none where
/// it does not give it now.
pub(super) async fn fetch(
    server: &Server,
    line: &HeldLine,
    run: RunId,
) -> Option<(Digest, Returned)> {
    let heard = hear(line, &Ask::Fetch { run }, run, &Live::default(), server).await;
    let returned = heard.ok()?;
    let named = peek_record(&returned.record).and_then(|(record, _)| {
        let subject = record.subject.into_iter().find(|subject| subject.name == "order")?;
        subject.digest.get("sha256").copied()
    });
    Some((named?, returned))
}

impl Server {
    /// Delivers what filing made due and no line waits for.
    pub(super) fn deliver_due(&self, now: protocol::Time) {
        let Ok(store) = self.store() else { return };
        match outbox::deliver_builtin(store, now) {
            Ok(_) => {}
            Err(error) => self.line(&protocol::error_chain::ErrorChain(&error).to_string()),
        }
    }
}
