//! One session with one endpoint: met, proved who it is, brought up to date, spoken with.
//!
//! Never believes a connection: what counts is the card that an enroller signed and the hello that
//! the card's key signed. Never decides what is sent.

mod agent;
#[cfg(test)]
pub(crate) mod double;
mod error;
mod meet;
mod renew;
mod shared;
mod signing;
mod talk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use link::{Connection, Stream};
use protocol::documents::{Card, CatalogueVersions, Dispatch, Hello};
use protocol::facts::FACTS_BYTES_MAX;
use protocol::frames::{Answer, Ask, Event, FilingSummary};
use protocol::{AgentName, Bytes, Digest, Envelope, RunId, Time, limits};
use store::EndpointRow;
use tokio::sync::Mutex;
use tokio::time::Instant;
use trust::catalogue::{Catalogue, Files};
use trust::{Signer, Verified};
use zeroize::Zeroizing;

pub use agent::{Agent, NoAgent};
pub use error::{BadPeer, SessionError};
pub use link::{DialError, LinkError, Objection};

use crate::books::Line;
pub(crate) use meet::{known_card, meet, open_hello};
pub use renew::bring_certificate;
pub use signing::{Lend, LendError, Locked, Signing};
pub(crate) use talk::Hearing;
pub use talk::{EventsSeen, Returned};

/// Session version that this desk speaks.
pub(crate) const VERSION: u32 = 1;
/// From a question of the protocol's own to its answer; verifying a whole catalogue included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);
/// A challenge older than this is replaced before it is used: it dies at `CHALLENGE_SECONDS`.
const CHALLENGE_USED_WITHIN: Duration = Duration::from_secs(limits::CHALLENGE_SECONDS * 2 / 3);

/// What one order needs to travel, each sealed.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The order.
    pub order: Envelope,
    /// The dispatch for this session.
    pub dispatch: Envelope,
    /// The ticket attestation.
    pub attestation: Option<Envelope>,
    /// Approvals.
    pub approvals: Vec<Envelope>,
}

/// What is heard of a run before its record.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// The endpoint says something.
    Event(&'a Event),
    /// The desk says who else watches.
    Watching(&'a [AgentName]),
}

/// The challenge in force and how many dispatches it has carried.
#[derive(Debug)]
struct Challenge {
    stream: Stream,
    challenge: Digest,
    number: u64,
    made: Instant,
}

/// How things reach the endpoint.
#[derive(Debug)]
enum Way {
    /// Over our own connection to it.
    Own(Connection, Box<Mutex<Challenge>>),
    /// Through the shared desk.
    Desk(shared::Seat, Box<EndpointRow>),
}

/// A session with an endpoint that proved who it is.
#[derive(Debug)]
pub struct Session {
    way: Way,
    card: Verified<Card>,
    card_envelope: Vec<u8>,
    hello: Verified<Hello>,
    hello_envelope: Vec<u8>,
    met_at: Time,
    unfiled: Vec<RunId>,
}

impl Session {
    /// Dials the endpoint, checks who answered, and sends it the catalogue files that it lacks.
    ///
    /// # Errors
    /// [`SessionError`]; nothing but the catalogue was sent then.
    pub async fn open(agent: &Agent, to: &EndpointRow, now: Time) -> Result<Self, SessionError> {
        let address = to
            .address
            .as_deref()
            .ok_or_else(|| SessionError::NoAddress { name: to.name.clone() })?;
        let expect =
            link::Expect { role: link::Role::Endpoint, id: Some(to.id.to_string()), key: None };
        let connection = link::dial(address, &agent.identity, &agent.trust(), &expect).await?;
        let mut stream = connection.open().await?;
        stream.send(&Ask::Hello { min: VERSION, max: VERSION }).await?;
        let answer = stream.recv_within(Duration::from_secs(limits::HELLO_SECONDS_MAX)).await;
        // In TLS 1.3 a refused certificate shows here first.
        let (hello_bytes, card, unfiled) = match answer? {
            Some(Answer::Hello { hello, card, unfiled }) => (hello, card, unfiled),
            Some(Answer::Stop { code }) => return Err(SessionError::Stopped(code)),
            Some(_) => return Err(SessionError::Unexpected),
            None => return Err(SessionError::Line(link::LinkError::Ended)),
        };
        let key = connection.peer().map(|peer| peer.key);
        let (policy, floor) = (&agent.policy, agent.catalogue.floor());
        let (card, hello) = meet::meet(policy, floor, to, &card.0, &hello_bytes.0, now)?;
        let (card, card_envelope) = card;
        if key != Some(card.tls_key) {
            return Err(BadPeer::Key.into());
        }
        agent.machines.meet(&card, |serial| policy.is_denied_card(serial), now)?;
        let challenge =
            Challenge { stream, challenge: hello.challenge, number: 0, made: Instant::now() };
        let theirs = hello.catalogue;
        bring_up_to_date(&connection, theirs, &agent.catalogue, &agent.files).await?;
        let way = Way::Own(connection, Box::new(Mutex::new(challenge)));
        let hello_envelope = hello_bytes.0;
        Ok(Self { way, card, card_envelope, hello, hello_envelope, met_at: now, unfiled })
    }

    /// The same through the shared desk, which keeps the endpoint up to date itself.
    ///
    /// # Errors
    /// [`SessionError`]; nothing was sent then.
    pub async fn open_at_desk(
        line: &Line,
        agent: &Agent,
        to: &EndpointRow,
        now: Time,
    ) -> Result<Self, SessionError> {
        let (seat, met) = shared::Seat::take(line.connection()?, to).await?;
        let (policy, floor) = (&agent.policy, agent.catalogue.floor());
        let (card, hello) = meet::meet(policy, floor, to, &met.card, &met.hello, now)?;
        agent.machines.meet(&card.0, |serial| policy.is_denied_card(serial), now)?;
        seat.keep(&hello, met.number).await;
        let (card, card_envelope) = card;
        let way = Way::Desk(seat, Box::new(to.clone()));
        let (hello_envelope, unfiled) = (met.hello, Vec::new());
        Ok(Self { way, card, card_envelope, hello, hello_envelope, met_at: now, unfiled })
    }

    /// Follows a run at the shared desk, which may have its record while the endpoint is away.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn follow_at_desk(
        line: &Line,
        to: &EndpointRow,
        run: RunId,
        on_heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<Returned, SessionError> {
        shared::Seat::at(line.connection()?, to).follow(run, on_heard).await
    }

    /// Leaves an order at the shared desk for an endpoint that is away, with the seed of its key; the
    /// run, and until when it waits.
    ///
    /// # Errors
    /// [`SessionError`]; the desk's no says what is wrong with it.
    pub async fn wait_at_desk(
        line: &Line,
        agent: &Agent,
        to: &EndpointRow,
        (order, seed): (&Envelope, &[u8; 32]),
        now: Time,
    ) -> Result<(RunId, Time), SessionError> {
        // Nobody answers whose hello could be checked: the id that the order names is the desk's word.
        let card = meet::known_card(&agent.policy, agent.catalogue.floor(), to, now)?;
        agent.machines.hold(&card, |serial| agent.policy.is_denied_card(serial))?;
        shared::Seat::at(line.connection()?, to).wait(order, seed).await
    }

    /// A copy of an order that waits at the shared desk, with the seed of its key.
    ///
    /// # Errors
    /// [`SessionError`]; it waits as before.
    pub async fn carry_from_desk(
        line: &Line,
        to: &EndpointRow,
        run: RunId,
    ) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>), SessionError> {
        shared::Seat::at(line.connection()?, to).carry(run).await
    }

    /// Gives the shared desk an order file that came back with its record; what filing came to.
    ///
    /// # Errors
    /// [`SessionError`]; then nothing was filed.
    pub async fn bring_to_desk(
        line: &Line,
        to: &EndpointRow,
        file: &[u8],
    ) -> Result<FilingSummary, SessionError> {
        shared::Seat::at(line.connection()?, to).bring(file).await
    }

    /// Takes a run back at the shared desk, whether its endpoint is there or the order still waits.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn recall_at_desk(
        line: &Line,
        to: &EndpointRow,
        recall: &Envelope,
    ) -> Result<bool, SessionError> {
        shared::Seat::at(line.connection()?, to).recall(recall).await
    }

    /// The endpoint's card, signed by an enroller that policy lists.
    #[must_use]
    pub fn card(&self) -> &Verified<Card> {
        &self.card
    }
    /// The card's envelope, byte for byte.
    #[must_use]
    pub fn card_envelope(&self) -> &[u8] {
        &self.card_envelope
    }
    /// The endpoint's hello, signed by the card's record key.
    #[must_use]
    pub fn hello(&self) -> &Verified<Hello> {
        &self.hello
    }
    /// The hello's envelope, byte for byte.
    #[must_use]
    pub fn hello_envelope(&self) -> &[u8] {
        &self.hello_envelope
    }
    /// When it came.
    #[must_use]
    pub const fn met_at(&self) -> Time {
        self.met_at
    }
    /// Runs that ended there and whose records nobody acknowledged.
    #[must_use]
    pub fn unfiled(&self) -> &[RunId] {
        &self.unfiled
    }

    /// Makes the endpoint-bound half of an order, with a challenge that is young enough.
    ///
    /// # Errors
    /// [`SessionError`]; nothing was sent but the wish for a new challenge.
    pub async fn dispatch(
        &self,
        order: Digest,
        signer: &dyn Signer,
        now: Time,
    ) -> Result<Envelope, SessionError> {
        let (challenge, number) = match &self.way {
            Way::Own(_, held) => {
                let mut held = held.lock().await;
                if held.made.elapsed() > CHALLENGE_USED_WITHIN {
                    self.renew(&mut held).await?;
                }
                held.number = held.number.saturating_add(1);
                (held.challenge, held.number)
            }
            Way::Desk(seat, to) => seat.pair(to, &self.card).await?,
        };
        let dispatch = Dispatch {
            order,
            endpoint: self.card.endpoint,
            challenge,
            number,
            secrets: None,
            issued: now,
            not_after: now.plus(limits::DISPATCH_SECONDS_MAX),
        };
        Ok(trust::seal::seal(&dispatch, &[signer])?)
    }

    async fn renew(&self, held: &mut Challenge) -> Result<(), SessionError> {
        held.stream.send(&Ask::Challenge).await?;
        match held.stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(Answer::Challenge { hello }) => {
                let hello = meet::open_hello(&hello.0, &self.card)?;
                held.challenge = hello.challenge;
                held.number = 0;
                held.made = Instant::now();
                Ok(())
            }
            Some(Answer::Stop { code }) => Err(SessionError::Stopped(code)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(SessionError::Line(link::LinkError::Ended)),
        }
    }

    /// Sends an order and waits for its record.
    ///
    /// # Errors
    /// [`SessionError`]; after [`SessionError::Line`] the run may go on there.
    pub async fn submit(
        &self,
        parcel: &Parcel,
        on_heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<Returned, SessionError> {
        let connection = match &self.way {
            Way::Own(connection, _) => connection,
            Way::Desk(seat, _) => return seat.submit(parcel, on_heard).await,
        };
        let write = |envelope: &Envelope| envelope.write().map(Bytes);
        let attestation = parcel.attestation.as_ref().map(write).transpose()?;
        let ask = Ask::Submit {
            order: write(&parcel.order)?,
            dispatch: write(&parcel.dispatch)?,
            attestation,
            approvals: parcel.approvals.iter().map(write).collect::<Result<_, _>>()?,
        };
        hear(connection, &ask, &mut |event| on_heard(Heard::Event(event))).await
    }
    /// Live events of a run from now on, then its record.
    ///
    /// # Errors
    /// [`SessionError`]; [`protocol::frames::Stop::NoRun`] where it never came there.
    pub async fn follow(
        &self,
        run: RunId,
        on_heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<Returned, SessionError> {
        match &self.way {
            Way::Own(connection, _) => {
                let mut event = |event: &Event| on_heard(Heard::Event(event));
                hear(connection, &Ask::Follow { run }, &mut event).await
            }
            Way::Desk(seat, _) => seat.follow(run, on_heard).await,
        }
    }
    /// A run's record again, with effects file, plan and escrow.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn fetch(&self, run: RunId) -> Result<Returned, SessionError> {
        match &self.way {
            Way::Own(connection, _) => hear(connection, &Ask::Fetch { run }, &mut |_| ()).await,
            Way::Desk(seat, _) => seat.follow(run, &mut |_| ()).await,
        }
    }
    /// What a run put out, where this side has the line: a shared desk keeps facts itself.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) async fn output(&self, run: RunId) -> Result<Option<Vec<u8>>, SessionError> {
        match &self.way {
            Way::Own(connection, _) => output(connection, run).await.map(Some),
            Way::Desk(..) => Ok(None),
        }
    }
    /// Takes a run back. True where it was running or waiting.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn recall(&self, recall: &Envelope) -> Result<bool, SessionError> {
        let connection = match &self.way {
            Way::Own(connection, _) => connection,
            Way::Desk(seat, _) => return seat.recall(recall).await,
        };
        let mut stream = connection.open().await?;
        stream.send(&Ask::Recall { recall: Bytes(recall.write()?) }).await?;
        stream.finish();
        match stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(Answer::Recalled { was_running }) => Ok(was_running),
            Some(Answer::Stop { code }) => Err(SessionError::Stopped(code)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(SessionError::Line(link::LinkError::Ended)),
        }
    }
    /// Tells the endpoint that a record is filed. Advice: a line that breaks here costs nothing. At
    /// the shared desk the desk says it.
    pub async fn filed(&self, record: Digest) {
        let Way::Own(_, challenge) = &self.way else { return };
        // Behind the hello: its stream stays open anyway. The endpoint keeps its records for their
        // time and offers this one again where the word is lost.
        let _ = challenge.lock().await.stream.send(&Ask::Filed { record }).await;
        // The word leaves when the line's task next runs; nobody waits for its acknowledgement.
        tokio::task::yield_now().await;
    }
    /// Ends the session in order.
    pub async fn leave(self) {
        // The line to the desk is the command's and goes on.
        let Way::Own(connection, challenge) = self.way else { return };
        drop(challenge);
        connection.leave().await;
    }
}

async fn hear(
    connection: &Connection,
    ask: &Ask,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Returned, SessionError> {
    let mut stream = connection.open().await?;
    stream.send(ask).await?;
    stream.finish();
    talk::hear(&mut stream, on_event).await
}

/// What a run put out, as far as facts may be.
pub(crate) async fn output(connection: &Connection, run: RunId) -> Result<Vec<u8>, SessionError> {
    let mut stream = connection.open().await?;
    stream.send(&Ask::Output { run }).await?;
    stream.finish();
    let mut whole = Vec::new();
    loop {
        match stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(Answer::Output { part, last }) => {
                if whole.len().saturating_add(part.0.len()) > FACTS_BYTES_MAX {
                    return Err(SessionError::Unexpected);
                }
                whole.extend_from_slice(&part.0);
                if last {
                    return Ok(whole);
                }
            }
            Some(Answer::Stop { code }) => return Err(SessionError::Stopped(code)),
            Some(_) => return Err(SessionError::Unexpected),
            None => return Err(SessionError::Line(link::LinkError::Ended)),
        }
    }
}

/// Sends an endpoint the catalogue files that it lacks; whoever has none missing is asked nothing.
///
/// # Errors
/// [`SessionError`]; what the endpoint trusted before it trusts still.
pub(crate) async fn bring_up_to_date(
    connection: &Connection,
    theirs: CatalogueVersions,
    ours: &Catalogue,
    files: &Files,
) -> Result<(), SessionError> {
    if theirs.behind(&ours.versions()).is_none() {
        return Ok(());
    }
    let missing = trust::catalogue::delta(theirs, files);
    let mut stream = connection.open().await?;
    for (name, bytes) in missing.iter() {
        let mut parts = bytes.chunks(limits::CHUNK_BYTES_MAX).peekable();
        // An empty file has one empty part.
        let mut part = parts.next().unwrap_or_default();
        loop {
            let next = parts.next();
            let (name, last) = (name.to_owned(), next.is_none());
            let message = Ask::CatalogueFile { name, part: Bytes(part.to_vec()), last };
            stream.send(&message).await?;
            match next {
                Some(next) => part = next,
                None => break,
            }
        }
    }
    stream.send(&Ask::CatalogueEnd).await?;
    stream.finish();
    match stream.recv_within(ANSWER_TIME_MAX).await? {
        Some(Answer::CatalogueTaken { .. }) => Ok(()),
        Some(Answer::CatalogueRefused { code, sentence }) => {
            Err(SessionError::Catalogue { code, sentence })
        }
        Some(Answer::Stop { code }) => Err(SessionError::Stopped(code)),
        Some(_) => Err(SessionError::Unexpected),
        None => Err(SessionError::Line(link::LinkError::Ended)),
    }
}
