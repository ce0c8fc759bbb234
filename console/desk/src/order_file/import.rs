//! From a file to a run, or from the record in it to its ticket.

use policy::Facts;
use protocol::documents::{Dispatch, Order, SessionKey};
use protocol::frames::sorry;
use protocol::{Bytes, Digest, EndpointId, Envelope, Label, Refusal, RunId, Time};
use store::{EndpointRow, EndpointState, Store, StoreError};
use trust::catalogue::ScriptEntry;
use trust::{Signer as _, SigningKey, Verified, seal};

use super::format::OrderFile;
use crate::books::BookError;
use crate::org::Desk;
use crate::outbox::{self, Arrived, FileError, Filing};
use crate::runs::{Unsealed, open_order};
use crate::session::{Agent, BadPeer, Session, SessionError, known_card};
use crate::verify::{self, Anchors, Papers};

/// Why an order file is good for nothing here.
#[derive(Debug, thiserror::Error)]
pub enum OrderFileError {
    /// Of somebody else.
    #[error("it is of {theirs}, and this home belongs to {ours}")]
    Organisation {
        /// As the file says.
        theirs: Label,
        /// Ours.
        ours: Label,
    },
    /// The order's seal.
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
    /// Not a file's.
    #[error("{0}")]
    Unfit(&'static str),
    /// The card.
    #[error("the card in it is not good")]
    Card(#[source] BadPeer),
    /// Nobody takes it any more.
    #[error("its time is over since {0}")]
    Over(Time),
}

/// An order file that was checked.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub file: OrderFile,
    /// The order.
    pub order: Verified<Order>,
    /// Its envelope.
    pub sealed: Envelope,
    /// Its run.
    pub run: RunId,
    /// Where.
    pub endpoint: EndpointRow,
    /// The script, where the catalogue here lists it.
    pub script: Option<ScriptEntry>,
}

/// Checks a file's seals, and that all of it belongs together.
///
/// # Errors
/// [`OrderFileError`].
pub fn open(agent: &Agent, file: OrderFile, now: Time) -> Result<Opened, OrderFileError> {
    if file.organisation.as_str() != agent.organisation {
        let ours = agent.organisation.parse().unwrap_or_else(|_| file.organisation.clone());
        return Err(OrderFileError::Organisation { theirs: file.organisation, ours });
    }
    let unfit = OrderFileError::Unfit;
    let sealed = Envelope::read(&file.order.0).map_err(|_| unfit("its order cannot be read"))?;
    let order = open_order(&sealed, &agent.policy, now)?;
    let [target] = order.targets.as_slice() else {
        return Err(unfit("its order is not for one endpoint"));
    };
    let endpoint = endpoint_of(agent, &file, *target, now)?;
    if let Some(key) = &file.key {
        if SigningKey::from_seed(*key.0).public_key() != order.dispatch_key {
            return Err(unfit("its key is not its order's"));
        }
        if order.not_after < now {
            return Err(OrderFileError::Over(order.not_after));
        }
    }
    let listed = agent.catalogue.scripts().find(|entry| entry.digest == order.script.digest);
    let script = listed.cloned();
    let run = RunId::of(&order.digest(), target, 0);
    Ok(Opened { file, sealed, run, endpoint, script, order })
}

/// The endpoint, as its card and the file say.
fn endpoint_of(
    agent: &Agent,
    file: &OrderFile,
    target: EndpointId,
    now: Time,
) -> Result<EndpointRow, OrderFileError> {
    let unfit = || OrderFileError::Unfit("its card cannot be read");
    let envelope = Envelope::read(&file.card.0).map_err(|_| unfit())?;
    // Unverified: verified below, as the card of the name and id that it says itself.
    let claimed = seal::peek::<protocol::documents::Card>(&envelope).map_err(|_| unfit())?;
    let row = EndpointRow {
        id: target,
        name: claimed.name,
        card: file.card.0.clone(),
        address: file.address.clone(),
        person: None,
        labels: claimed.labels,
        host: None,
        platform: None,
        enrolled: claimed.issued,
        last_seen: None,
        versions: None,
        head: None,
        daemon: None,
        state: EndpointState::Active,
    };
    // A record is judged by the card that it came with, and may come home after that card's end.
    if file.answer.is_none() {
        let floor = agent.catalogue.floor();
        known_card(&agent.policy, floor, &row, now).map_err(OrderFileError::Card)?;
    }
    Ok(row)
}

/// What policy would say to the order when it comes without a desk's word on its ticket; none where
/// the script is not listed here, which the endpoint may know better.
#[must_use]
pub fn foresee(agent: &Agent, opened: &Opened, now: Time) -> Option<Refusal> {
    let script = opened.script.as_ref()?;
    let order = &opened.order;
    let paper = order.session_key.as_ref().and_then(|paper| seal::peek::<SessionKey>(paper).ok());
    let facts = Facts {
        agent: order.agent.clone(),
        script: script.manifest.name.clone(),
        risk: script.risk,
        mode: order.mode,
        consent: script.manifest.consent,
        labels: opened.endpoint.labels.clone(),
        ticket: order.ticket.is_some(),
        attested: false,
        identified: order.identified.is_some(),
        identity_checked: false,
        answer: order.consent.as_ref().map(|consent| consent.answer),
        asked: None,
        planned: order.plan.is_some(),
        approved_by: std::collections::BTreeSet::new(),
        // Glass is broken over a plan that was shown; what travels as a file has none.
        glass: None,
        own_key: false,
        // The endpoint judges the seal; here only what policy says without one is told.
        session: paper.map(|paper| paper.risk),
        secrets: script.manifest.permissions.contains_key("secret.one_time"),
        at: now,
        parameters: order.parameters.clone(),
    };
    policy::forecast(&facts, &agent.policy).refusal
}

/// The record in a file belongs to nothing in these books, or to something that it should not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Foreign {
    /// There is no record in it.
    #[error("there is no record in it")]
    NoAnswer,
    /// These books know no such run.
    #[error("these books have no run {}", .run.short())]
    NoRun {
        /// The run that the file is about.
        run: RunId,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Filing.
    #[error(transparent)]
    File(#[from] FileError),
    /// The order in it cannot be read.
    #[error("its order cannot be read")]
    Order,
    /// Not what the endpoint signed: nothing was filed.
    #[error("its record does not verify: {0}")]
    NotVerified(String),
}

/// Verifies and files the record of a file in these books. What the file says of who and where is
/// looked up by the order's digest, never believed.
///
/// # Errors
/// [`Foreign`].
pub(crate) fn file_answer(
    store: &Store,
    file: &OrderFile,
    anchors: impl Fn(&[u8]) -> Anchors,
    now: Time,
) -> Result<(RunId, Digest, Filing), Foreign> {
    let answer = file.answer.as_ref().ok_or(Foreign::NoAnswer)?;
    let sealed = Envelope::read(&file.order.0).map_err(|_| Foreign::Order)?;
    let digest = sealed.digest();
    // The books' own order has this digest, so what is read here is what was sealed.
    let order: Order = seal::peek(&sealed).map_err(|_| Foreign::Order)?;
    let [endpoint] = order.targets.as_slice() else { return Err(Foreign::Order) };
    let run = RunId::of(&digest, endpoint, 0);
    if store.run(&run)?.is_none() {
        return Err(Foreign::NoRun { run });
    }
    let dispatch = answer.dispatch.as_ref().filter(|bytes| {
        // One that is not the order's own would spoil the verdict for good.
        let sealed = Envelope::read(&bytes.0).ok();
        let opened = sealed.map(|sealed| seal::open_one::<Dispatch>(&sealed, &order.dispatch_key));
        matches!(opened, Some(Ok(own)) if own.order == digest && own.endpoint == *endpoint)
    });
    let bytes = |given: &'_ Option<Bytes>| given.as_ref().map(|bytes| bytes.0.clone());
    let (effects, plan) = (bytes(&answer.effects), bytes(&answer.plan));
    let anchors = anchors(&answer.record.0);
    let papers = Papers {
        record: answer.record.0.clone(),
        order: Some(file.order.0.clone()),
        dispatch: dispatch.map(|bytes| bytes.0.clone()),
        effects: effects.clone(),
        plan: plan.clone(),
        card: Some(answer.card.0.clone()),
        ..Papers::default()
    };
    // From a line it would be kept and marked; a file may be anybody's, and it must not end a run.
    let report = verify::verify_record(&papers, &anchors);
    if !report.verified {
        let why = report.fault.unwrap_or_else(|| "no reason is known".to_owned());
        return Err(Foreign::NotVerified(why));
    }
    // It waits here no more.
    store.waiting_came(&run)?;
    let arrived = Arrived {
        run,
        order: digest,
        endpoint: *endpoint,
        record: &answer.record.0,
        effects: effects.as_deref(),
        plan: plan.as_deref(),
        dispatch: dispatch.map(|bytes| bytes.0.as_slice()),
        card: Some(&answer.card.0),
        escrow: None,
    };
    let filing = outbox::file(store, &arrived, &anchors, now)?;
    Ok((run, digest, filing))
}

/// Why a record that came as a file is not filed.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// Of an order that these books never had.
    #[error("these books have no run {}", .run.short())]
    NoRun {
        /// The run that the file is about.
        run: RunId,
    },
    /// It is not what the endpoint signed, or cannot be read.
    #[error("nothing was filed: {0}")]
    Unfit(String),
    /// The desk's no, or its line.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<Foreign> for BringError {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::NoRun { run } => Self::NoRun { run },
            Foreign::Store(error) | Foreign::File(FileError::Store(error)) => {
                Self::Book(error.into())
            }
            other => Self::Unfit(other.to_string()),
        }
    }
}

/// Files the record that a file holds: in this home's books, or at the shared desk, which verifies it
/// as well.
///
/// # Errors
/// [`BringError`]; nothing was filed.
pub async fn bring(
    desk: &Desk,
    agent: &Agent,
    opened: &Opened,
    now: Time,
) -> Result<(), BringError> {
    if let Some(line) = desk.store.line() {
        let bytes = opened.file.write().map_err(|error| BringError::Unfit(error.to_string()))?;
        return match Session::bring_to_desk(line, &opened.endpoint, &bytes).await {
            Ok(_) => Ok(()),
            Err(SessionError::Desk(no)) if no.code == sorry::NOT_FOUND => {
                Err(BringError::NoRun { run: opened.run })
            }
            Err(error) => Err(error.into()),
        };
    }
    let anchors =
        |record: &[u8]| Anchors::judging(&agent.policy, &agent.catalogue, &agent.files, record);
    file_answer(desk.store.here()?, &opened.file, anchors, now)?;
    Ok(())
}
