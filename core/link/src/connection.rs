//! A connection and its typed streams: whole frames in, whole frames out, each with a deadline.
//!
//! Never says "connected" by itself: a peer has admitted us when it answers the first message.

use std::net::SocketAddr;
use std::time::Duration;

use minicbor::{Decode, Encode};
use protocol::frames::{self, Deframer, FrameError, Stop};
use protocol::limits;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use crate::identity::Peer;
use crate::reception::{Guest, Protocol};

/// Application code of a connection that ended in order.
const ENDED: u32 = 0;
/// From a frame's first byte to its last, and from a queued frame to its acknowledgement by the
/// window: whoever is slower than this holds memory of ours.
const FRAME_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);
/// Bytes taken from QUIC at once.
const READ_BYTES: usize = 64 * 1024;

/// What the peer has against our certificate, by its TLS alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Alert 116.
    #[error("it wants a certificate and got none")]
    NoCertificate,
    /// Alert 48.
    #[error("it does not know the CA of our certificate")]
    UnknownIssuer,
    /// Alert 45.
    #[error("our certificate has expired or is not valid yet by its clock")]
    Expired,
    /// Alert 44.
    #[error("our certificate was withdrawn")]
    Withdrawn,
    /// Alert 43.
    #[error("our certificate is for another purpose")]
    Purpose,
    /// Alert 120.
    #[error("it does not speak this protocol")]
    Protocol,
    /// QUIC's "connection refused".
    #[error("it takes no more connections at the moment")]
    Full,
    /// Any other alert.
    #[error("alert {0}")]
    Alert(u8),
}

/// Why a connection or stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer ended the connection in order.
    #[error("the peer ended the connection")]
    Ended,
    /// The peer closed the connection or stream and said why.
    #[error("the peer closed the connection: {0}")]
    Stopped(Stop),
    /// The peer's TLS did not accept ours.
    #[error("the peer refused us: {0}")]
    Refused(Objection),
    /// Nothing came for the idle time.
    #[error("the connection fell silent")]
    Silent,
    /// A deadline of ours passed.
    #[error("no whole message in time")]
    Late,
    /// The peer restarted, or broke QUIC's rules.
    #[error("the connection was lost")]
    Lost,
    /// A frame that is no frame.
    #[error("bad frame")]
    Frame(#[source] FrameError),
    /// The stream ended in the middle of a frame.
    #[error("the stream ended inside a frame")]
    Cut,
    /// We closed it ourselves.
    #[error("closed on this side")]
    Closed,
}

impl LinkError {
    /// What to close with, where this side closes because of this error.
    #[must_use]
    pub const fn stop(&self) -> Stop {
        match self {
            Self::Late | Self::Silent => Stop::Late,
            Self::Frame(_) | Self::Cut => Stop::Frame,
            Self::Refused(_) => Stop::Role,
            Self::Stopped(stop) => *stop,
            Self::Ended | Self::Lost | Self::Closed => Stop::Drain,
        }
    }
}

fn stopped(code: VarInt) -> LinkError {
    Stop::from_code(code.into_inner()).map_or(LinkError::Ended, LinkError::Stopped)
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => stopped(close.error_code),
            ConnectionError::ConnectionClosed(close) => {
                let code = u64::from(close.error_code);
                match code {
                    // QUIC carries TLS alerts as 0x100 and the alert's number.
                    0x100..=0x1ff => Self::Refused(match u8::try_from(code & 0xff).unwrap_or(0) {
                        116 => Objection::NoCertificate,
                        48 => Objection::UnknownIssuer,
                        45 => Objection::Expired,
                        44 => Objection::Withdrawn,
                        43 => Objection::Purpose,
                        120 => Objection::Protocol,
                        other => Objection::Alert(other),
                    }),
                    2 => Self::Refused(Objection::Full),
                    _ => Self::Lost,
                }
            }
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::LocallyClosed => Self::Closed,
            ConnectionError::VersionMismatch => Self::Refused(Objection::Protocol),
            ConnectionError::TransportError(_)
            | ConnectionError::Reset
            | ConnectionError::CidsExhausted => Self::Lost,
        }
    }
}

impl From<ReadError> for LinkError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => stopped(code),
            ReadError::ConnectionLost(why) => why.into(),
            ReadError::ClosedStream => Self::Closed,
            ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => Self::Lost,
        }
    }
}

impl From<WriteError> for LinkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => stopped(code),
            WriteError::ConnectionLost(why) => why.into(),
            WriteError::ClosedStream => Self::Closed,
            WriteError::ZeroRttRejected => Self::Lost,
        }
    }
}

/// The peer's certificate, of which the handshake showed that it has the key.
pub(crate) fn leaf(inner: &quinn::Connection) -> Option<CertificateDer<'static>> {
    let chain = inner.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.first().cloned()
}

/// A QUIC connection to a peer that showed its certificate, or whose key we pinned.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: quinn::Connection,
    /// The dialling side owns its endpoint; it lives as long as the connection.
    endpoint: Option<quinn::Endpoint>,
    peer: Option<Peer>,
    protocol: Protocol,
    expired: bool,
}

impl Connection {
    pub(crate) const fn new(
        inner: quinn::Connection,
        endpoint: Option<quinn::Endpoint>,
        peer: Option<Peer>,
        protocol: Protocol,
    ) -> Self {
        Self { inner, endpoint, peer, protocol, expired: false }
    }
    /// A peer whose certificate may have expired.
    pub(crate) fn with_guest(inner: quinn::Connection, guest: Guest, protocol: Protocol) -> Self {
        Self { inner, endpoint: None, peer: Some(guest.peer), protocol, expired: guest.expired }
    }
    /// The peer may have this many streams open at once.
    pub(crate) fn allow_streams(&self, count: u32) {
        self.inner.set_max_concurrent_bi_streams(VarInt::from_u32(count));
    }
    /// By which protocol the two sides met.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }
    /// The peer's certificate has expired, and it may be given a new one and nothing else. Only an
    /// endpoint that a desk accepted can be so.
    #[must_use]
    pub const fn is_expired(&self) -> bool {
        self.expired
    }
    /// The peer's certificate (DER); none for a peer of the enrolment.
    #[must_use]
    pub fn certificate(&self) -> Option<Vec<u8>> {
        leaf(&self.inner).map(|leaf| leaf.to_vec())
    }
    /// The peer by its certificate; none for a peer of the enrolment.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }
    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.remote_address()
    }
    /// Opens a stream. The peer sees it with its first frame.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn open(&self) -> Result<Stream, LinkError> {
        let (send, recv) = self.inner.open_bi().await?;
        Ok(Stream::new(send, recv))
    }
    /// The next stream that the peer opened.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn accept(&self) -> Result<Stream, LinkError> {
        let (send, recv) = self.inner.accept_bi().await?;
        Ok(Stream::new(send, recv))
    }
    /// Closes at once; what was sent and not acknowledged is lost. The code is all the peer gets.
    pub fn close(&self, why: Stop) {
        self.inner.close(VarInt::from_u32(why.code()), b"");
    }
    /// Ends in order: everything that mattered was answered.
    pub async fn leave(self) {
        self.inner.close(VarInt::from_u32(ENDED), b"");
        // The closing packet leaves when the endpoint's task next runs. Waiting for the peer's
        // acknowledgement (`wait_idle`) would cost up to a tenth of a second for nothing.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        drop(self.endpoint);
    }
    /// Waits for the end and says why it came.
    pub async fn closed(&self) -> LinkError {
        self.inner.closed().await.into()
    }
    /// Why it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<LinkError> {
        self.inner.close_reason().map(LinkError::from)
    }
}

/// One stream, both ways.
#[derive(Debug)]
pub struct Stream {
    sending: Sending,
    receiving: Receiving,
}

impl Stream {
    fn new(send: quinn::SendStream, recv: quinn::RecvStream) -> Self {
        let receiving = Receiving { inner: recv, deframer: Deframer::default() };
        Self { sending: Sending { inner: send }, receiving }
    }
    /// Sends one message as one frame.
    ///
    /// # Errors
    /// [`LinkError`]; a message beyond the limit is not sent at all.
    pub async fn send<M: Encode<()>>(&mut self, message: &M) -> Result<(), LinkError> {
        self.sending.send(message).await
    }
    /// The next message; none where the peer finished.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn recv<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, LinkError> {
        self.receiving.recv().await
    }
    /// The next message, which must come in this time.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Late`] where it does not come.
    pub async fn recv_within<M: for<'b> Decode<'b, ()>>(
        &mut self,
        time: Duration,
    ) -> Result<Option<M>, LinkError> {
        timeout(time, self.receiving.recv()).await.unwrap_or(Err(LinkError::Late))
    }
    /// Nothing more will be sent.
    pub fn finish(&mut self) {
        self.sending.finish();
    }
    /// The two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sending, Receiving) {
        (self.sending, self.receiving)
    }
}

/// The sending half of a stream.
#[derive(Debug)]
pub struct Sending {
    inner: quinn::SendStream,
}

impl Sending {
    /// Sends one message as one frame.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn send<M: Encode<()>>(&mut self, message: &M) -> Result<(), LinkError> {
        let frame = frames::encode(message, limits::FRAME_BYTES_MAX).map_err(LinkError::Frame)?;
        self.write(&frame).await
    }
    /// Sends one frame whose bytes were made elsewhere.
    ///
    /// # Errors
    /// [`LinkError`]; a frame beyond the limit, or an empty one, is not sent at all.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let fault = match bytes.len() {
            0 => Some(FrameError::Empty),
            n if n > limits::FRAME_BYTES_MAX => Some(FrameError::TooLarge(n)),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(LinkError::Frame(fault));
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.write(&[&length, bytes].concat()).await
    }
    async fn write(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        match timeout(FRAME_TIME_MAX, self.inner.write_all(frame)).await {
            Ok(written) => written.map_err(LinkError::from),
            Err(_) => Err(LinkError::Late),
        }
    }
    /// Bytes that are no frame, as an attacker sends them.
    #[cfg(test)]
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.write(bytes).await
    }
    /// Nothing more will be sent; what was sent still arrives.
    pub fn finish(&mut self) {
        // An error here means that the stream is closed already.
        let _ = self.inner.finish();
    }
    /// Waits until the peer has everything, or stopped the stream.
    pub async fn delivered(&mut self) {
        let _ = self.inner.stopped().await;
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub struct Receiving {
    inner: quinn::RecvStream,
    deframer: Deframer,
}

impl Receiving {
    /// The next message; none where the peer finished.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn recv<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, LinkError> {
        match self.recv_bytes().await? {
            Some(frame) => frames::decode(&frame).map(Some).map_err(LinkError::Frame),
            None => Ok(None),
        }
    }
    /// The next frame's bytes, not looked at; none where the peer finished.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Late`] where a frame has begun and does not end.
    pub async fn recv_bytes(&mut self) -> Result<Option<Vec<u8>>, LinkError> {
        loop {
            let next = self.deframer.next_frame(limits::FRAME_BYTES_MAX);
            if let Some(frame) = next.map_err(LinkError::Frame)? {
                return Ok(Some(frame));
            }
            // Waiting between frames costs no timer; inside a frame there is a deadline.
            let chunk = if self.deframer.is_mid_frame() {
                let rest = timeout(FRAME_TIME_MAX, self.rest_of_frame());
                return rest.await.unwrap_or(Err(LinkError::Late)).map(Some);
            } else {
                self.inner.read_chunk(READ_BYTES, true).await?
            };
            let Some(chunk) = chunk else { return Ok(None) };
            self.deframer.push(&chunk.bytes);
        }
    }
    async fn rest_of_frame(&mut self) -> Result<Vec<u8>, LinkError> {
        loop {
            let chunk = self.inner.read_chunk(READ_BYTES, true).await?.ok_or(LinkError::Cut)?;
            self.deframer.push(&chunk.bytes);
            let next = self.deframer.next_frame(limits::FRAME_BYTES_MAX);
            if let Some(frame) = next.map_err(LinkError::Frame)? {
                return Ok(frame);
            }
        }
    }
}
