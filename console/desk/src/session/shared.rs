//! A seat at the shared desk: the desk holds the line to the endpoint and passes things on.
//!
//! The endpoint's connection is the desk's, so its TLS key proves nothing here. What proves the
//! endpoint is the hello under the card's record key; what comes back is believed when it verifies.

use std::time::Duration;

use link::{Connection, LinkError, Stream};
use protocol::documents::Hello;
use protocol::frames::{Answer, DeskAnswer, DeskAsk, FilingSummary, decode, sorry};
use protocol::{Bytes, Digest, EndpointId, Envelope, RunId, Time, limits};
use store::EndpointRow;
use tokio::sync::Mutex;
use trust::Verified;
use zeroize::Zeroizing;

use super::error::SessionError;
use super::talk::{Hearing, Returned};
use super::{Heard, Parcel, meet};
use crate::books::Sorry;

/// From a question to the desk to its answer, an endpoint that the desk dials first included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);

/// Where the desk passes our things on to one endpoint.
#[derive(Debug)]
pub(super) struct Seat {
    connection: Connection,
    endpoint: EndpointId,
    /// The pair for the next dispatch, where it was not used yet.
    pair: Mutex<Option<(Digest, u64)>>,
}

/// What the desk said of the endpoint, as it came.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) hello: Vec<u8>,
    pub(super) card: Vec<u8>,
    pub(super) number: u64,
}

async fn ask(connection: &Connection, ask: &DeskAsk) -> Result<Stream, SessionError> {
    let mut stream = connection.open().await?;
    stream.send(ask).await?;
    stream.finish();
    Ok(stream)
}

fn said(code: &str, sentence: String, next: Option<String>) -> SessionError {
    SessionError::Desk(Sorry { next, ..Sorry::new(code, sentence) })
}

impl Seat {
    /// Asks the desk for the endpoint.
    pub(super) async fn take(
        connection: Connection,
        to: &EndpointRow,
    ) -> Result<(Self, Met), SessionError> {
        let met = met(&connection, to).await?;
        Ok((Self::at(connection, to), met))
    }

    /// A seat without a hello: to follow, and to take back.
    pub(super) fn at(connection: Connection, to: &EndpointRow) -> Self {
        Self { connection, endpoint: to.id, pair: Mutex::new(None) }
    }

    /// Keeps the pair that came with the first hello.
    pub(super) async fn keep(&self, hello: &Verified<Hello>, number: u64) {
        *self.pair.lock().await = Some((hello.challenge, number));
    }

    /// A challenge and a number that nobody else has.
    pub(super) async fn pair(
        &self,
        to: &EndpointRow,
        card: &Verified<protocol::documents::Card>,
    ) -> Result<(Digest, u64), SessionError> {
        if let Some(pair) = self.pair.lock().await.take() {
            return Ok(pair);
        }
        let met = met(&self.connection, to).await?;
        let hello = meet::open_hello(&met.hello, card)?;
        Ok((hello.challenge, met.number))
    }

    pub(super) async fn submit(
        &self,
        parcel: &Parcel,
        on_heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<Returned, SessionError> {
        let write = |envelope: &Envelope| envelope.write().map(Bytes);
        let submit = DeskAsk::Submit {
            endpoint: self.endpoint,
            order: write(&parcel.order)?,
            dispatch: write(&parcel.dispatch)?,
            approvals: parcel.approvals.iter().map(write).collect::<Result<_, _>>()?,
        };
        // It is stored or declined at once; how long it runs there is another matter.
        hear(ask(&self.connection, &submit).await?, Some(ANSWER_TIME_MAX), on_heard).await
    }

    pub(super) async fn follow(
        &self,
        run: RunId,
        on_heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<Returned, SessionError> {
        hear(ask(&self.connection, &DeskAsk::Follow { run }).await?, None, on_heard).await
    }

    pub(super) async fn wait(
        &self,
        order: &Envelope,
        seed: &[u8; 32],
    ) -> Result<(RunId, Time), SessionError> {
        let (order, seed) = (Bytes(order.write()?), Bytes(seed.to_vec()));
        let wait = DeskAsk::Wait { endpoint: self.endpoint, order, seed };
        match ask(&self.connection, &wait).await?.recv_within(ANSWER_TIME_MAX).await? {
            Some(DeskAnswer::Waits { run, until }) => Ok((run, until)),
            Some(DeskAnswer::Sorry { code, sentence, next }) => Err(said(&code, sentence, next)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(LinkError::Ended.into()),
        }
    }

    pub(super) async fn carry(
        &self,
        run: RunId,
    ) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>), SessionError> {
        let mut stream = ask(&self.connection, &DeskAsk::Carry { run }).await?;
        match stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(DeskAnswer::Carried { order, seed }) => {
                let seed = Zeroizing::new(seed.0);
                let seed = seed.as_slice().try_into().map_err(|_| SessionError::Unexpected)?;
                Ok((order.0, Zeroizing::new(seed)))
            }
            Some(DeskAnswer::Sorry { code, sentence, next }) => Err(said(&code, sentence, next)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(LinkError::Ended.into()),
        }
    }

    pub(super) async fn bring(&self, file: &[u8]) -> Result<FilingSummary, SessionError> {
        let mut stream = self.connection.open().await?;
        let mut parts = file.chunks(limits::CHUNK_BYTES_MAX).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            stream.send(&DeskAsk::Bring { part: Bytes(part.to_vec()), last }).await?;
        }
        stream.finish();
        match stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(DeskAnswer::Done { filing }) => Ok(filing),
            Some(DeskAnswer::Sorry { code, sentence, next }) => Err(said(&code, sentence, next)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(LinkError::Ended.into()),
        }
    }

    pub(super) async fn recall(&self, recall: &Envelope) -> Result<bool, SessionError> {
        let (endpoint, recall) = (self.endpoint, Bytes(recall.write()?));
        let mut stream = ask(&self.connection, &DeskAsk::Recall { endpoint, recall }).await?;
        match stream.recv_within(ANSWER_TIME_MAX).await? {
            Some(DeskAnswer::Recalled { was_running }) => Ok(was_running),
            Some(DeskAnswer::Sorry { code, sentence, next }) => Err(said(&code, sentence, next)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(LinkError::Ended.into()),
        }
    }
}

async fn met(connection: &Connection, to: &EndpointRow) -> Result<Met, SessionError> {
    let mut stream = ask(connection, &DeskAsk::Meet { endpoint: to.id }).await?;
    match stream.recv_within(ANSWER_TIME_MAX).await? {
        Some(DeskAnswer::Met { hello, card, number, .. }) => {
            Ok(Met { hello: hello.0, card: card.0, number })
        }
        Some(DeskAnswer::Away { last_seen, left_in_order }) => {
            Err(SessionError::Away { name: to.name.clone(), last_seen, left_in_order })
        }
        Some(DeskAnswer::Sorry { code, sentence, next }) => Err(said(&code, sentence, next)),
        Some(_) => Err(SessionError::Unexpected),
        None => Err(LinkError::Ended.into()),
    }
}

/// Hears one run out as the desk passes it on: it ends when the record is filed there. `first`: how
/// long the first answer may take.
async fn hear(
    mut stream: Stream,
    first: Option<Duration>,
    on_heard: &mut dyn FnMut(Heard<'_>),
) -> Result<Returned, SessionError> {
    let mut heard = Hearing::default();
    let mut stored = false;
    let mut next = match first {
        Some(time) => stream.recv_within(time).await?,
        None => stream.recv().await?,
    };
    while let Some(answer) = next {
        match answer {
            DeskAnswer::Stored { .. } if !stored => stored = true,
            DeskAnswer::Endpoint { frame } => {
                let answer = decode::<Answer>(&frame.0).map_err(|_| SessionError::Unexpected)?;
                heard.take(answer, &mut |event| on_heard(Heard::Event(event)))?;
            }
            DeskAnswer::Watching { agents } => on_heard(Heard::Watching(&agents)),
            // The desk asks for the run again by itself, and everything is said from the beginning.
            DeskAnswer::Lost { .. } => heard = Hearing::default(),
            DeskAnswer::Done { filing } => {
                return Ok(Returned { filing: Some(filing), ..heard.end()? });
            }
            DeskAnswer::Sorry { code, sentence, next } if stored && code == sorry::NOT_SENT => {
                return Err(said(sorry::RUN_UNKNOWN, sentence, next));
            }
            DeskAnswer::Sorry { code, sentence, next } => return Err(said(&code, sentence, next)),
            _ => return Err(SessionError::Unexpected),
        }
        next = stream.recv().await?;
    }
    Err(LinkError::Ended.into())
}
