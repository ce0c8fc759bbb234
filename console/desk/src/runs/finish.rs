//! Sends one order and brings its record home, also over a line that breaks.

use std::time::Duration;

use protocol::documents::Record;
use protocol::error_chain::ErrorChain;
use protocol::frames::{Event, Stop};
use protocol::{AgentName, Bytes, Digest, EndpointId, Envelope, Plan, RunId, TicketId, Time};
use store::{EndpointRow, Seen};
use tokio::time::{sleep, timeout};

use super::{RunError, Wish, attest, doubt, order, shared};
use crate::books::BookError;
use crate::facts;
use crate::heads;
use crate::org::Desk;
use crate::outbox::{self, Arrived, Delivery, Filing};
use crate::session::{Agent, Heard, Parcel, Returned, Session, SessionError};
use crate::verify::{Anchors, peek_record};

/// Tries to hear of a run again after its line was lost, with these pauses before each.
pub(super) const TRIES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];
/// Records brought home in one session beside its own work.
const COLLECT_MAX: usize = 8;
/// Longest wait for the answer about one run that nothing was heard of: it may be going on.
const DOUBT_ASKED: Duration = Duration::from_secs(2);
/// Room after a run's own deadline for stopping it and signing its record, seconds.
pub(super) const AFTER_DEADLINE: u64 = 60;

/// What happens while a run is sent and followed.
#[derive(Debug)]
pub enum News<'a> {
    /// The order is stored and about to be sent.
    Stored {
        /// The run.
        run: RunId,
        /// Its order.
        order: Digest,
    },
    /// The endpoint says something.
    Event(&'a Event),
    /// Who else watches this run, by the desk's word.
    Watching(&'a [AgentName]),
    /// The line was lost; the run is asked for again.
    Lost(&'a SessionError),
}

impl<'a> From<Heard<'a>> for News<'a> {
    fn from(heard: Heard<'a>) -> Self {
        match heard {
            Heard::Event(event) => Self::Event(event),
            Heard::Watching(agents) => Self::Watching(agents),
        }
    }
}

/// How the live events compare with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// What was seen is what the endpoint signed.
    Confirmed,
    /// Not all of them were seen here.
    Incomplete,
    /// The same number, and others than were signed.
    Differs,
}

/// A run with its record, filed.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// The run.
    pub run: RunId,
    /// Its order.
    pub order: Digest,
    /// The record as it claims to be; believe it where `filing.report.verified`.
    pub record: Record,
    /// What filing came to, with the verdict.
    pub filing: Filing,
    /// The plan that was made, checked against the record's digest.
    pub plan: Option<(Digest, Plan)>,
    /// What was shown live.
    pub live: Live,
    /// Why the facts that it came with were not kept, where that is so.
    pub no_facts: Option<String>,
}

/// Whom to believe of this record.
pub(super) fn anchors(agent: &Agent, record: &[u8]) -> Anchors {
    Anchors::judging(&agent.policy, &agent.catalogue, &agent.files, record)
}

/// Files a verified hello in the address book; what it does not fit stays in the store.
fn seen(desk: &Desk, session: &Session, now: Time) -> Result<(), RunError> {
    desk.store.here()?.endpoint_seen(&session.card().endpoint, &shown(session), now)?;
    Ok(())
}

fn shown(session: &Session) -> Seen<'_> {
    let hello = session.hello();
    Seen {
        versions: hello.catalogue,
        head: hello.head,
        daemon: &hello.version,
        clock: hello.clock,
        at: session.met_at(),
    }
}

/// Seals, stores, sends, follows, files. The clock is read as things happen.
///
/// # Errors
/// [`RunError`]; only [`RunError::Unknown`] leaves open whether it runs there.
pub async fn run(
    desk: &Desk,
    agent: &Agent,
    session: &Session,
    wish: &Wish,
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
) -> Result<RunResult, RunError> {
    if desk.store.line().is_some() {
        return shared::run(desk, agent, session, wish, now, news).await;
    }
    let store = desk.store.here()?;
    let (order, envelope, approvals) = order::order(agent, wish, now())?;
    let digest = envelope.digest();
    let attestation = attest(desk, wish, Some(&order), now())?;
    let support = attestation.as_ref().map(Envelope::write).transpose()?;
    let endpoint = wish.endpoint.id;
    let run = RunId::of(&digest, &endpoint, 0);
    let dispatch =
        match session.dispatch(digest, agent.signing.holder(&order.dispatch_key), now()).await {
            Ok(dispatch) => dispatch,
            Err(error) => {
                seen(desk, session, now())?;
                outbox::promise(store, &order, &envelope, support.as_deref(), now())?;
                store.run_not_sent(&run, now())?;
                return Err(RunError::NotSent(error));
            }
        };
    let hello = (&session.card().endpoint, &shown(session));
    let sealed = (&order, &envelope, support.as_deref());
    outbox::promise_sent(store, sealed, &dispatch, hello, now())?;
    if !approvals.is_empty() {
        let written: Vec<Bytes> =
            approvals.iter().map(|yes| Ok(Bytes(yes.write()?))).collect::<Result<_, RunError>>()?;
        store.keep_approvals(&digest, &written)?;
    }
    news(News::Stored { run, order: digest });
    let parcel = Parcel { order: envelope, dispatch, attestation, approvals };
    let mut trouble = None;
    let mut begins_by = order.not_after;
    let mut hear = |heard: Heard<'_>| {
        let Heard::Event(event) = heard else { return };
        if let Event::Accepted { run: named, ahead, .. } = event
            && *named == run
        {
            trouble = store.run_accepted(&run).err();
            if *ahead == 0 {
                begins_by = now();
            }
        }
        news(News::Event(event));
    };
    let heard = session.submit(&parcel, &mut hear).await;
    let limit = wish.script.manifest.limit_seconds.saturating_add(AFTER_DEADLINE);
    if let Some(error) = trouble {
        return Err(error.into());
    }
    match heard {
        Ok(returned) => {
            let mut result = take(desk, agent, session, (run, digest, endpoint), &returned, now())?;
            acknowledge(desk, session, &mut result).await;
            Ok(result)
        }
        // Not signed: whoever sits at the door may say it of a run that goes on. The run stays open
        // here until the endpoint's record settles it, or its door after the dispatch has expired.
        Err(SessionError::Stopped(stop)) => {
            Err(doubt::stopped(store, &run, stop, begins_by.plus(limit))?)
        }
        Err(source) => {
            news(News::Lost(&source));
            let ended_by = begins_by.plus(limit);
            let lost = RunError::Unknown { run, ended_by, by_desk: false, source };
            again(desk, agent, &wish.endpoint, (run, digest), now, news, lost).await
        }
    }
}

/// Hears of a run again: follows it where it runs, fetches its record where it has ended.
///
/// # Errors
/// [`RunError`].
pub async fn resume(
    desk: &Desk,
    agent: &Agent,
    endpoint: &EndpointRow,
    (run, order): (RunId, Digest),
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
) -> Result<RunResult, RunError> {
    if let Some(line) = desk.store.line() {
        return shared::resume(desk, line, agent, endpoint, (run, order), now, news).await;
    }
    let session = Session::open(agent, endpoint, now()).await.map_err(RunError::NotSent)?;
    seen(desk, &session, now())?;
    let heard = session.follow(run, &mut |heard| news(heard.into())).await;
    let result = match heard {
        Ok(returned) => {
            let mut result =
                take(desk, agent, &session, (run, order, endpoint.id), &returned, now())?;
            acknowledge(desk, &session, &mut result).await;
            Ok(result)
        }
        Err(SessionError::Stopped(stop)) => {
            if stop == Stop::NoRun {
                doubt::settle(desk.store.here()?, &session.hello().head, &run, now())?;
            }
            Err(doubt::stopped(desk.store.here()?, &run, stop, now())?)
        }
        Err(source) => Err(RunError::Unknown { run, ended_by: now(), by_desk: false, source }),
    };
    session.leave().await;
    result
}

/// The line broke: the run goes on there, and is asked for with pauses.
pub(super) async fn again(
    desk: &Desk,
    agent: &Agent,
    endpoint: &EndpointRow,
    which: (RunId, Digest),
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
    lost: RunError,
) -> Result<RunResult, RunError> {
    for pause in TRIES {
        sleep(pause).await;
        match resume(desk, agent, endpoint, which, now, news).await {
            // It took the order and has forgotten it: nobody knows what ran.
            Err(RunError::Unknown { source: SessionError::Stopped(Stop::NoRun), .. }) => {
                return Err(lost);
            }
            Err(RunError::NotSent(_) | RunError::Unknown { .. }) => {}
            other => return other,
        }
    }
    Err(lost)
}

/// Verifies and files what came back.
fn take(
    desk: &Desk,
    agent: &Agent,
    session: &Session,
    (run, order, endpoint): (RunId, Digest, EndpointId),
    returned: &Returned,
    now: Time,
) -> Result<RunResult, RunError> {
    let arrived = Arrived {
        run,
        order,
        endpoint,
        record: &returned.record,
        effects: returned.effects.as_deref(),
        plan: returned.plan.as_deref(),
        dispatch: None,
        card: Some(session.card_envelope()),
        escrow: returned.escrow.as_ref().map(|(sealed, until)| (sealed.as_slice(), *until)),
    };
    let filing =
        outbox::file(desk.store.here()?, &arrived, &anchors(agent, &returned.record), now)?;
    let result = ended((run, order), returned, filing)?;
    remember(agent, &result, now);
    Ok(result)
}

/// What a record that verified shows of its machine's ledger.
pub(super) fn remember(agent: &Agent, result: &RunResult, now: Time) {
    let report = &result.filing.report;
    if let Some(hash) = report.record.filter(|_| report.verified) {
        heads::remember(agent, &result.record, hash, now);
    }
}

/// A run with its verdict.
pub(super) fn ended(
    (run, order): (RunId, Digest),
    returned: &Returned,
    filing: Filing,
) -> Result<RunResult, RunError> {
    let (record, _) = peek_record(&returned.record).ok_or(RunError::NoRecord { run })?;
    let events = &record.predicate.events;
    let live = if events.dropped > 0 || events.count != returned.events.count {
        Live::Incomplete
    } else if events.digest == returned.events.digest {
        Live::Confirmed
    } else {
        Live::Differs
    };
    // Only a plan that the record names is a plan.
    let plan = returned.plan.as_ref().and_then(|bytes| {
        let digest = Digest::of(bytes);
        let plan = protocol::json::read::<Plan>(bytes).ok()?;
        (record.predicate.plan == Some(digest)).then_some((digest, plan))
    });
    Ok(RunResult { run, order, record, filing, plan, live, no_facts: None })
}

/// Brings home what an endpoint offers again: records of runs of ours that are not filed here yet.
/// Those that are filed are acknowledged once more; those that it never answered are asked for.
///
/// # Errors
/// [`RunError`]; what came home before stays filed.
pub async fn collect(
    desk: &Desk,
    agent: &Agent,
    session: &Session,
    now: fn() -> Time,
) -> Result<Vec<RunResult>, RunError> {
    // At the shared desk that is the desk's business.
    if desk.store.line().is_some() {
        return Ok(Vec::new());
    }
    let mut home = Vec::new();
    for run in session.unfiled().iter().take(COLLECT_MAX) {
        let Some(row) = desk.store.run(*run)? else { continue };
        if row.verified == Some(true) {
            if let Some(record) = row.record_hash {
                session.filed(record).await;
            }
            continue;
        }
        let which = (*run, row.order, row.endpoint);
        let returned = match session.fetch(*run).await {
            Ok(returned) => returned,
            // Offered and not given: another time.
            Err(SessionError::Stopped(_)) => continue,
            Err(error) => return Err(RunError::NotSent(error)),
        };
        let mut result = take(desk, agent, session, which, &returned, now())?;
        acknowledge(desk, session, &mut result).await;
        home.push(result);
    }
    for row in doubt::open_runs(desk.store.here()?, &session.card().endpoint, now())? {
        let mut unheard = |_: Heard<'_>| ();
        let heard = session.follow(row.id, &mut unheard);
        let returned = match timeout(DOUBT_ASKED, heard).await {
            Ok(Ok(returned)) => returned,
            Ok(Err(SessionError::Stopped(Stop::NoRun))) => {
                doubt::settle(desk.store.here()?, &session.hello().head, &row.id, now())?;
                continue;
            }
            // It goes on there, or another time.
            Err(_) | Ok(Err(SessionError::Stopped(_))) => continue,
            Ok(Err(error)) => return Err(RunError::NotSent(error)),
        };
        let which = (row.id, row.order, row.endpoint);
        let mut result = take(desk, agent, session, which, &returned, now())?;
        acknowledge(desk, session, &mut result).await;
        home.push(result);
    }
    Ok(home)
}

/// Delivers to one ticket what filing made due. What fails stays due.
///
/// # Errors
/// The store's own; [`BookError::Elsewhere`] where a shared desk tells tickets.
pub fn tell_ticket(desk: &Desk, ticket: &TicketId, now: Time) -> Result<Delivery, BookError> {
    if desk.store.line().is_some() {
        // The desk delivers before it says that a run is done: what is still there waits.
        let waits = desk.store.outbox_todo()?;
        let next = waits.iter().filter(|row| row.ticket == *ticket).map(|row| row.next_try).min();
        return Ok(next.map_or(Delivery::Done { posted: 0 }, |at| Delivery::Later { at }));
    }
    let store = desk.store.here()?;
    Ok(outbox::deliver(store, &outbox::builtin(store), ticket, now)?)
}

/// Tells the endpoint what is safe here. A record that does not verify is not acknowledged. Facts that
/// its run put out are asked for; they are no part of what is safe.
async fn acknowledge(desk: &Desk, session: &Session, result: &mut RunResult) {
    if !result.filing.report.verified {
        return;
    }
    if facts::wanted(&result.record.predicate) {
        result.no_facts = take_facts(desk, session, result).await.err();
    }
    if let Some(digest) = result.filing.report.record {
        session.filed(digest).await;
    }
}

async fn take_facts(desk: &Desk, session: &Session, result: &RunResult) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| ErrorChain(error).to_string();
    let output = session.output(result.run).await.map_err(|error| said(&error))?;
    let Some(output) = output else { return Ok(()) };
    let store = desk.store.here().map_err(|error| said(&error))?;
    facts::keep(store, &result.record.predicate, output).map(|_| ()).map_err(|error| said(&error))
}
