//! An order that came as a file, with the key of its dispatch: sent over our own line to its endpoint.
//!
//! Writes nothing down: the file is its journal, and the endpoint takes the order once.

use protocol::documents::{Decision, Dispatch};
use protocol::frames::Stop;
use protocol::{Bytes, Digest, Envelope, Refusal, Time};
use store::Filed;
use tokio::time::sleep;
use trust::SigningKey;

use super::finish::{AFTER_DEADLINE, TRIES, anchors, ended};
use super::{News, RunError, RunResult};
use crate::order_file::{AnswerPapers, Opened};
use crate::outbox::Filing;
use crate::session::{Agent, EventsSeen, Heard, Parcel, Returned, Session, SessionError};
use crate::verify::{Papers, peek_record, verify_record};

/// A run with its record, and what the file keeps of it.
#[derive(Debug)]
pub struct Sent {
    /// The run.
    pub result: RunResult,
    /// For the file.
    pub answer: AnswerPapers,
}

/// Signs the dispatch with the order's own key and brings the record home, also over a line that
/// breaks. An endpoint that took the order before gives that run's record.
///
/// # Errors
/// [`RunError`]; the file is good for another try.
pub async fn send_carried(
    agent: &Agent,
    session: &Session,
    opened: &Opened,
    attestation: Option<Envelope>,
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
) -> Result<Sent, RunError> {
    let Some(key) = &opened.file.key else { return Err(RunError::NoRecord { run: opened.run }) };
    let (run, digest) = (opened.run, opened.order.digest());
    let signer = SigningKey::from_seed(*key.0);
    let dispatch = session.dispatch(digest, &signer, now()).await.map_err(RunError::NotSent)?;
    let parcel = Parcel {
        order: opened.sealed.clone(),
        dispatch: dispatch.clone(),
        attestation,
        approvals: Vec::new(),
    };
    news(News::Stored { run, order: digest });
    let heard = session.submit(&parcel, &mut |heard| news(heard.into())).await;
    let (returned, dispatch) = match heard {
        Ok(returned) if ran_before(&returned, opened) => {
            (session.fetch(run).await.map_err(|source| lost(opened, now(), source))?, None)
        }
        Ok(returned) => (returned, Some(dispatch)),
        Err(SessionError::Stopped(stop)) => {
            let expires = trust::seal::peek::<Dispatch>(&dispatch);
            let expires = expires.map_or(opened.order.not_after, |dispatch| dispatch.not_after);
            return Err(RunError::NotTaken { run, stop, expires });
        }
        Err(source) => {
            news(News::Lost(&source));
            (again(agent, opened, now, news, lost(opened, now(), source)).await?, Some(dispatch))
        }
    };
    let bytes = |given: &Option<Vec<u8>>| given.clone().map(Bytes);
    let answer = AnswerPapers {
        record: Bytes(returned.record.clone()),
        dispatch: dispatch.map(|dispatch| dispatch.write()).transpose()?.map(Bytes),
        effects: bytes(&returned.effects),
        plan: bytes(&returned.plan),
        card: Bytes(session.card_envelope().to_vec()),
    };
    Ok(Sent { result: judged(agent, opened, &answer, &returned)?, answer })
}

/// The record that a file holds, judged by our own policy.
///
/// # Errors
/// [`RunError::NoRecord`].
pub fn carried_back(agent: &Agent, opened: &Opened) -> Result<RunResult, RunError> {
    let Some(answer) = &opened.file.answer else {
        return Err(RunError::NoRecord { run: opened.run });
    };
    let bytes = |given: &Option<Bytes>| given.clone().map(|bytes| bytes.0);
    let returned = Returned {
        record: answer.record.0.clone(),
        effects: bytes(&answer.effects),
        plan: bytes(&answer.plan),
        escrow: None,
        events: EventsSeen { digest: Digest([0; 32]), count: 0 },
        filing: None,
    };
    judged(agent, opened, answer, &returned)
}

fn judged(
    agent: &Agent,
    opened: &Opened,
    answer: &AnswerPapers,
    returned: &Returned,
) -> Result<RunResult, RunError> {
    let papers = Papers {
        record: returned.record.clone(),
        order: Some(opened.file.order.0.clone()),
        dispatch: answer.dispatch.clone().map(|bytes| bytes.0),
        effects: returned.effects.clone(),
        plan: returned.plan.clone(),
        card: Some(answer.card.0.clone()),
        ..Papers::default()
    };
    let report = verify_record(&papers, &anchors(agent, &papers.record));
    ended((opened.run, opened.order.digest()), returned, Filing { filed: Filed::New, report })
}

/// Whether the endpoint says that this very run was before.
fn ran_before(returned: &Returned, opened: &Opened) -> bool {
    let record = peek_record(&returned.record).map(|(record, _)| record.predicate.decision);
    matches!(record, Some(Decision::Refuse { refusal: Refusal::AlreadyRun { run } }) if run == opened.run)
}

fn lost(opened: &Opened, now: Time, source: SessionError) -> RunError {
    let limit = opened
        .script
        .as_ref()
        .map_or(protocol::limits::RUN_SECONDS_MAX, |script| script.manifest.limit_seconds);
    let ended_by = now.plus(limit.saturating_add(AFTER_DEADLINE));
    RunError::Unknown { run: opened.run, ended_by, by_desk: false, source }
}

/// The line broke: the run goes on there, and is asked for with pauses.
async fn again(
    agent: &Agent,
    opened: &Opened,
    now: fn() -> Time,
    news: &mut dyn FnMut(News<'_>),
    lost: RunError,
) -> Result<Returned, RunError> {
    for pause in TRIES {
        sleep(pause).await;
        let Ok(session) = Session::open(agent, &opened.endpoint, now()).await else { continue };
        let heard = session.follow(opened.run, &mut |heard: Heard<'_>| news(heard.into())).await;
        session.leave().await;
        match heard {
            Ok(returned) => return Ok(returned),
            Err(SessionError::Stopped(Stop::NoRun)) => return Err(lost),
            Err(_) => {}
        }
    }
    Err(lost)
}
