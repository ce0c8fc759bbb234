//! QUIC's numbers: streams, windows, idle time, keep-alive, and what an unknown sender may cost.

use std::sync::Arc;
use std::time::Duration;

use protocol::limits;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, VarInt,
};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::identity::Identity;

/// Bytes in flight on one stream: one whole frame and its neighbour.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Bytes in flight on one connection, each way.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// From the dialling side, while it holds a session; the accepting side stays silent. One small
/// packet a second: the reset of a peer that restarted answers the next one.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Connection ids of the accepting side, bytes: too many to meet one twice, or to guess one.
const CONNECTION_ID_BYTES: usize = 8;
/// Tells the reset key from whatever else is made of the TLS key.
const RESET_LABEL: &[u8] = b"salve stateless reset v1";
/// Early packets of connections that nobody accepted yet, bytes over all of them.
const INCOMING_BYTES: u64 = 2 * 1024 * 1024;

/// From a desk, on the lines that endpoints hold to it.
const LINE_PING: Duration = Duration::from_secs(limits::LINE_PING_SECONDS);

const _: () = assert!(STREAM_WINDOW as usize > limits::FRAME_BYTES_MAX);
const _: () = assert!(KEEP_ALIVE.as_secs() * 2 < limits::IDLE_SECONDS_MAX);

/// Of two sides the shorter idle time counts, so a desk's patience is no agent's.
fn idle(seconds: u64) -> Option<IdleTimeout> {
    let milliseconds = u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX);
    Some(IdleTimeout::from(VarInt::from_u32(milliseconds)))
}

fn common() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .max_idle_timeout(idle(limits::IDLE_SECONDS_MAX))
        .datagram_receive_buffer_size(None)
        // Sessions are short and frames small: probing for larger packets costs more than it gives.
        .mtu_discovery_config(None)
        .allow_spin(false);
    config
}

type Tls = quinn::crypto::rustls::NoInitialCipherSuite;

fn accepting(tls: rustls::ServerConfig, transport: TransportConfig) -> Result<ServerConfig, Tls> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config
        .transport_config(Arc::new(transport))
        .migration(false)
        .max_incoming(limits::INCOMING_MAX)
        .incoming_buffer_size(64 * 1024)
        .incoming_buffer_size_total(INCOMING_BYTES);
    Ok(config)
}

/// An endpoint's door, or that of an enrolment.
pub(crate) fn server(tls: rustls::ServerConfig) -> Result<ServerConfig, Tls> {
    accepting(tls, common())
}

/// A desk's door: it keeps the lines of its endpoints alive, they only acknowledge.
pub(crate) fn desk(tls: rustls::ServerConfig) -> Result<ServerConfig, Tls> {
    let mut transport = common();
    transport
        .max_idle_timeout(idle(limits::LINE_IDLE_SECONDS_MAX))
        .keep_alive_interval(Some(LINE_PING));
    accepting(tls, transport)
}

fn dialling(tls: rustls::ClientConfig, transport: TransportConfig) -> Result<ClientConfig, Tls> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Dials to ask.
pub(crate) fn client(tls: rustls::ClientConfig) -> Result<ClientConfig, Tls> {
    let mut transport = common();
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    // The dialling side opens the streams; nobody opens one towards it.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    dialling(tls, transport)
}

/// Dials to be asked: an endpoint's line to its desk, which pings and opens the streams.
pub(crate) fn line(tls: rustls::ClientConfig) -> Result<ClientConfig, Tls> {
    let mut transport = common();
    transport
        .max_idle_timeout(idle(limits::LINE_IDLE_SECONDS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::DESK_STREAMS_MAX));
    dialling(tls, transport)
}

/// The accepting side's endpoint. Its reset key is made of its TLS key, and any id of the right
/// length may be one of ours: so whoever still talks to the process before this one (killed, out of
/// power) is told at once that nobody knows the connection, not after the idle time.
pub(crate) fn resetting(me: &Identity) -> EndpointConfig {
    let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &me.key), RESET_LABEL);
    let mut config =
        EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())));
    config.cid_generator(|| Box::new(ByChance(SystemRandom::new())));
    config
}

/// Connection ids by chance alone. quinn's own carry a mark of a key that dies with the process, and
/// ids of the process before would be dropped without a word.
#[derive(Debug)]
struct ByChance(SystemRandom);

impl ConnectionIdGenerator for ByChance {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0u8; CONNECTION_ID_BYTES];
        // The kernel has chance since it started; quinn asks again where an id is in use.
        let _ = self.0.fill(&mut id);
        ConnectionId::new(&id)
    }
    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
