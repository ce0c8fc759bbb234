//! Accepts connections: handshakes run side by side under a deadline, with retry under load.
//!
//! Never waits for one peer before it serves the next.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use protocol::frames::Stop;
use protocol::limits;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime, VarInt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::{Connection, LinkError, leaf};
use crate::dial::Dialler;
use crate::identity::{Identity, Role, Trust};
use crate::reception::{self, Protocol, Reception};
use crate::tls::{self, BadIdentity};
use crate::transport;
use crate::verify::{CertificateFault, Judge};

/// Handshakes under way above which an unknown address must first prove that it can hear us.
const RETRY_ABOVE: usize = 16;
/// Handshakes under way above which nobody else is let in.
const HANDSHAKES_MAX: usize = 128;
/// Of these, from one address that showed that it hears us: half of a door's places stay for others
/// while one machine holds as many as it can. A made-up address takes nobody's part.
const HANDSHAKES_OF_ONE_MAX: usize = 64;
/// From the first packet to the end of the handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);

const _: () = assert!(RETRY_ABOVE < HANDSHAKES_MAX && HANDSHAKES_MAX < limits::INCOMING_MAX);
const _: () = assert!(HANDSHAKES_OF_ONE_MAX + RETRY_ABOVE < HANDSHAKES_MAX);

/// Why this side cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("could not listen on `{address}` (UDP)")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A CA that cannot be read.
    #[error("could not read a CA of the organisation")]
    Ca(#[source] CertificateFault),
    /// Certificate and key cannot be used.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// ring without AES-128-GCM: cannot happen with this provider.
    #[error("could not prepare QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// A connection that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// From where.
    pub address: SocketAddr,
    /// What the certificate had against it, where there was one.
    pub fault: Option<CertificateFault>,
    /// What the peer was told, where the handshake itself was fine.
    pub stop: Option<Stop>,
}

/// Whom the listener serves at the moment.
#[derive(Debug, Clone)]
enum Door {
    /// Agents and desks, at an endpoint.
    Members(Arc<Judge>),
    /// Consoles, endpoints and those who enrol, at a desk.
    Guests(Arc<Reception>),
    /// Anybody; they pin our key and bring a token.
    Anybody,
}

/// Listens on one UDP port.
#[derive(Debug)]
pub struct Listener {
    endpoint: Endpoint,
    identity: Identity,
    door: RwLock<Door>,
    handshakes: JoinSet<Result<Connection, Rejected>>,
    /// Handshakes under way by where they come from: each holds its own, counted by its holders.
    parts: BTreeMap<IpAddr, Arc<()>>,
}

impl Listener {
    /// Listens for agents and desks. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(address: &str, me: &Identity, trust: &Trust) -> Result<Self, ListenError> {
        let judge = Arc::new(Judge::new(trust).map_err(ListenError::Ca)?);
        let tls = tls::server(me, Arc::clone(&judge), trust.floor)?;
        Self::on(address, transport::server(tls)?, me, Door::Members(judge))
    }
    /// Listens for machines and people that enrol: no certificate, another ALPN.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind_enrolment(address: &str, me: &Identity) -> Result<Self, ListenError> {
        let config = transport::server(tls::enrolment_server(me)?)?;
        Self::on(address, config, me, Door::Anybody)
    }
    /// Listens for everybody whom a desk receives, on one port: consoles and endpoints with their
    /// certificates, each by its own protocol, and those who enrol without one
    /// ([`Connection::protocol`]).
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind_desk(
        address: &str,
        me: &Identity,
        people: &Trust,
        endpoints: &Trust,
    ) -> Result<Self, ListenError> {
        let (config, door) = desk_door(me, people, endpoints)?;
        Self::on(address, config, me, door)
    }
    fn on(
        address: &str,
        config: ServerConfig,
        me: &Identity,
        door: Door,
    ) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind { address: address.to_owned(), source };
        let socket = UdpSocket::bind(address).map_err(bind)?;
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(transport::resetting(me), Some(config), socket, runtime);
        Ok(Self {
            endpoint: endpoint.map_err(bind)?,
            identity: me.clone(),
            door: RwLock::new(door),
            handshakes: JoinSet::new(),
            parts: BTreeMap::new(),
        })
    }
    /// Where it really listens.
    ///
    /// # Errors
    /// The socket's error.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
    /// Replaces whom new connections must satisfy. Live ones are the caller's to close.
    ///
    /// # Errors
    /// [`ListenError`]; what was trusted before is trusted still.
    pub fn set_trust(&self, trust: &Trust) -> Result<(), ListenError> {
        let judge = Arc::new(Judge::new(trust).map_err(ListenError::Ca)?);
        let tls = tls::server(&self.identity, Arc::clone(&judge), trust.floor)?;
        let config = transport::server(tls)?;
        *self.door.write().unwrap_or_else(PoisonError::into_inner) = Door::Members(judge);
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
    /// Shows another certificate from the next handshake on. Live connections go on.
    ///
    /// # Errors
    /// [`ListenError`]; what was shown before is shown still.
    pub fn set_identity(&mut self, me: &Identity, trust: &Trust) -> Result<(), ListenError> {
        let before = std::mem::replace(&mut self.identity, me.clone());
        let changed = self.set_trust(trust);
        if changed.is_err() {
            self.identity = before;
        }
        changed
    }
    /// Replaces a desk's certificate and whom it receives, from the next handshake on.
    ///
    /// # Errors
    /// [`ListenError`]; what counted before counts still.
    pub fn set_desk(
        &mut self,
        me: &Identity,
        people: &Trust,
        endpoints: &Trust,
    ) -> Result<(), ListenError> {
        let (config, door) = desk_door(me, people, endpoints)?;
        self.identity = me.clone();
        *self.door.write().unwrap_or_else(PoisonError::into_inner) = door;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
    /// What dials out from the port that this listens on.
    #[must_use]
    pub fn dialler(&self) -> Dialler {
        Dialler::new(self.endpoint.clone())
    }
    /// Takes no new connections from now on.
    pub fn refuse_new(&self) {
        self.endpoint.set_server_config(None);
    }
    /// The next admitted or rejected connection; none when the endpoint is closed. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Result<Connection, Rejected>> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    // A handshake task that panicked counts as nobody.
                    let Ok(done) = done else { continue };
                    return Some(done.and_then(|connection| self.admit(connection)));
                }
                incoming = self.endpoint.accept() => self.greet(incoming?),
            }
        }
    }
    fn greet(&mut self, incoming: Incoming) {
        let under_way = self.handshakes.len();
        if under_way >= HANDSHAKES_MAX {
            return incoming.ignore();
        }
        if under_way >= RETRY_ABOVE && !incoming.remote_address_validated() && incoming.may_retry()
        {
            // Only fails where `may_retry` is false.
            let _ = incoming.retry();
            return;
        }
        let mut part = None;
        if incoming.remote_address_validated() {
            let held = self.part_of(incoming.remote_address().ip());
            // One is the list's own.
            if Arc::strong_count(held) > HANDSHAKES_OF_ONE_MAX {
                return incoming.ignore();
            }
            part = Some(Arc::clone(held));
        }
        let door = self.door.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.handshakes.spawn(async move {
            let _part = part;
            shake(incoming, door).await
        });
    }
    /// The part of one address; those that nobody holds any more are forgotten.
    fn part_of(&mut self, address: IpAddr) -> &Arc<()> {
        self.parts.retain(|_, part| Arc::strong_count(part) > 1);
        self.parts.entry(source(address)).or_default()
    }
    /// Judges once more: the trust may have changed while the handshake ran.
    fn admit(&self, connection: Connection) -> Result<Connection, Rejected> {
        let door = self.door.read().unwrap_or_else(PoisonError::into_inner);
        let denied = match (&*door, connection.peer()) {
            (Door::Members(judge), Some(peer)) => judge.is_denied(peer),
            (Door::Members(_), None) => true,
            (Door::Guests(reception), Some(peer)) => reception.denies(peer),
            // The reception let in nobody without a certificate but those who enrol.
            (Door::Guests(_), None) => connection.protocol() != Protocol::Enrolment,
            (Door::Anybody, _) => false,
        };
        if !denied {
            return Ok(connection);
        }
        connection.close(Stop::Withdrawn);
        let (address, stop) = (connection.address(), Some(Stop::Withdrawn));
        Err(Rejected { address, fault: None, stop })
    }
}

fn desk_door(
    me: &Identity,
    people: &Trust,
    endpoints: &Trust,
) -> Result<(ServerConfig, Door), ListenError> {
    let reception = Arc::new(Reception::new(people, endpoints).map_err(ListenError::Ca)?);
    let floor = reception::floor(people, endpoints);
    let tls = tls::desk_server(me, Arc::clone(&reception), floor)?;
    Ok((transport::desk(tls)?, Door::Guests(reception)))
}

impl Door {
    /// The fault behind the last failed handshake.
    fn fault(&self) -> Option<CertificateFault> {
        match self {
            Self::Members(judge) => judge.fault(),
            Self::Guests(reception) => reception.fault(),
            Self::Anybody => None,
        }
    }
    /// Whether a peer that shook hands is one for this door.
    ///
    /// # Errors
    /// What it has against the peer, where it showed a certificate.
    fn receive(&self, inner: quinn::Connection) -> Result<Connection, Refusal> {
        match self {
            Self::Members(judge) => {
                let peer = leaf(&inner).and_then(|leaf| judge.peer(&leaf));
                match peer.as_ref().map(|peer| peer.role) {
                    Some(role @ (Role::Agent | Role::Desk)) => {
                        let connection = Connection::new(inner, None, peer, Protocol::Session);
                        if role == Role::Desk {
                            connection.allow_streams(limits::DESK_STREAMS_MAX);
                        }
                        Ok(connection)
                    }
                    Some(Role::Endpoint) => Err((inner, Some(CertificateFault::Role))),
                    None => Err((inner, Some(CertificateFault::Name))),
                }
            }
            Self::Guests(reception) => {
                let Some(protocol) = spoken(&inner) else { return Err((inner, None)) };
                match reception.receive(protocol, leaf(&inner).as_ref()) {
                    Ok(Some(guest)) => {
                        let connection = Connection::with_guest(inner, guest, protocol);
                        if protocol == Protocol::Console {
                            connection.allow_streams(limits::DESK_STREAMS_MAX);
                        }
                        Ok(connection)
                    }
                    Ok(None) => Ok(Connection::new(inner, None, None, protocol)),
                    Err(fault) => Err((inner, fault)),
                }
            }
            Self::Anybody => Ok(Connection::new(inner, None, None, Protocol::Enrolment)),
        }
    }
}

/// A peer that is not for this door, and why.
type Refusal = (quinn::Connection, Option<CertificateFault>);

/// The protocol that the handshake agreed on.
fn spoken(inner: &quinn::Connection) -> Option<Protocol> {
    let data = inner.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Protocol::of_alpn(data.protocol.as_deref()?)
}

/// Who an address is for counting: of version 6 its network, which one machine has to itself.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// One handshake. Roles that this door is not for are closed with our own code.
async fn shake(incoming: Incoming, door: Door) -> Result<Connection, Rejected> {
    let address = incoming.remote_address();
    let failed = || Rejected { address, fault: door.fault(), stop: None };
    let connecting = incoming.accept().map_err(|_| failed())?;
    let shaken = timeout(HANDSHAKE_TIME_MAX, connecting).await.map_err(|_| failed())?;
    let inner = shaken.map_err(|_| failed())?;
    door.receive(inner).map_err(|(inner, fault)| {
        inner.close(VarInt::from_u32(Stop::Role.code()), b"");
        Rejected { address, fault, stop: Some(Stop::Role) }
    })
}

impl From<&Rejected> for LinkError {
    fn from(rejected: &Rejected) -> Self {
        rejected.stop.map_or(Self::Lost, Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn one_machine_is_one_source_however_many_addresses_it_takes() {
        let same = |a: &str, b: &str| source(a.parse().unwrap()) == source(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::7"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(!same("192.0.2.7", "192.0.2.8") && !same("::ffff:192.0.2.7", "::ffff:192.0.2.8"));
    }
}
