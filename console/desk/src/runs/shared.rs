//! Runs through the shared desk: it stores, forwards and files. What comes back is verified here, and
//! the desk's own word on it is believed by nobody.

use std::time::Duration;

use link::LinkError;
use protocol::documents::Dispatch;
use protocol::frames::{FiledAs, FilingSummary, sorry};
use protocol::{Digest, RunId, Time};
use store::{EndpointRow, Filed};
use tokio::time::timeout;

use super::finish::{AFTER_DEADLINE, again, anchors, ended, remember};
use super::{News, RunError, RunResult, Wish, order};
use crate::books::Line;
use crate::org::Desk;
use crate::outbox::Filing;
use crate::session::{Agent, Heard, Parcel, Returned, Session, SessionError};
use crate::verify::{self, Anchors, Papers, Report};

/// Seals an order, has the desk store and send it, and waits for its record.
pub(super) async fn run(
    desk: &Desk,
    agent: &Agent,
    session: &Session,
    wish: &Wish,
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
) -> Result<RunResult, RunError> {
    let (order, sealed, approvals) = order::order(agent, wish, now())?;
    let digest = sealed.digest();
    let run = RunId::of(&digest, &wish.endpoint.id, 0);
    let signer = agent.signing.holder(&order.dispatch_key);
    let dispatch = session.dispatch(digest, signer, now()).await;
    let dispatch = dispatch.map_err(RunError::NotSent)?;
    let papers = Papers {
        order: Some(sealed.write()?),
        dispatch: Some(dispatch.write()?),
        card: Some(session.card_envelope().to_vec()),
        ..Papers::default()
    };
    news(News::Stored { run, order: digest });
    let parcel = Parcel { order: sealed, dispatch, attestation: None, approvals };
    let limit = wish.script.manifest.limit_seconds.saturating_add(AFTER_DEADLINE);
    let ended_by = order.not_after.plus(limit);
    let unknown = |source| RunError::Unknown { run, ended_by, by_desk: true, source };
    // Whatever the desk says or keeps to itself: by then there is nothing left to wait for.
    let longest = Duration::from_secs(ended_by.since(now()));
    let mut hear = |heard: Heard<'_>| news(heard.into());
    let heard = session.submit(&parcel, &mut hear);
    match timeout(longest, heard).await.unwrap_or(Err(LinkError::Silent.into())) {
        Ok(returned) => {
            // Held to our own order; an order that is refused again has a record of another run.
            let judge = |_: &RunId, papers: &Papers, anchors: &Anchors| {
                verify::verify_record(papers, anchors)
            };
            take(agent, (run, digest), papers, returned, judge, now())
        }
        Err(SessionError::Desk(no)) if no.code != sorry::RUN_UNKNOWN => {
            let expires = trust::seal::peek::<Dispatch>(&parcel.dispatch);
            let expires = expires.map_or(order.not_after, |dispatch| dispatch.not_after);
            Err(RunError::NotPassed { run, no, expires })
        }
        // A desk that does not take a question's answer up will not take up the next one either.
        Err(
            source @ (SessionError::Desk(_)
            | SessionError::Line(LinkError::Late | LinkError::Silent)),
        ) => Err(unknown(source)),
        Err(source) => {
            news(News::Lost(&source));
            let lost = unknown(source);
            let asked = again(desk, agent, &wish.endpoint, (run, digest), now, news, lost);
            let silent = |_| Err(unknown(LinkError::Silent.into()));
            timeout(longest, asked).await.unwrap_or_else(silent)
        }
    }
}

/// Follows a run at the desk to its record.
pub(super) async fn resume(
    desk: &Desk,
    line: &Line,
    agent: &Agent,
    endpoint: &EndpointRow,
    (run, order): (RunId, Digest),
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
) -> Result<RunResult, RunError> {
    let met = agent.machines.under(&endpoint.id, &endpoint.name);
    let met = met.map_err(|error| RunError::NotSent(SessionError::Machines(error)))?;
    let seat = Session::follow_at_desk(line, endpoint, run, &mut |heard| news(heard.into())).await;
    let returned = seat.map_err(|source| match source {
        SessionError::NoDesk(_) => RunError::NotSent(source),
        source => RunError::Unknown { run, ended_by: now(), by_desk: true, source },
    })?;
    let papers = verify::papers_of(&desk.store, &run)?.unwrap_or_default();
    take(
        agent,
        (run, order),
        papers,
        returned,
        |run, papers, anchors| {
            verify::verify_run(run, papers, &anchors.clone().knowing(met.clone()))
        },
        now(),
    )
}

/// Judges what came back, by our own policy.
fn take(
    agent: &Agent,
    (run, order): (RunId, Digest),
    papers: Papers,
    returned: Returned,
    judge: impl Fn(&RunId, &Papers, &Anchors) -> Report,
    now: Time,
) -> Result<RunResult, RunError> {
    let papers = Papers {
        record: returned.record.clone(),
        effects: returned.effects.clone(),
        plan: returned.plan.clone(),
        escrow: returned.escrow.clone(),
        ..papers
    };
    let report = judge(&run, &papers, &anchors(agent, &papers.record));
    let filed = returned.filing.as_ref().map_or(Filed::New, filed);
    let result = ended((run, order), &returned, Filing { filed, report })?;
    remember(agent, &result, now);
    Ok(result)
}

const fn filed(summary: &FilingSummary) -> Filed {
    match summary.filed {
        FiledAs::New => Filed::New,
        FiledAs::Again => Filed::Again,
        FiledAs::Replaced => Filed::Replaced,
        FiledAs::Differs => Filed::Differs,
    }
}
