//! Accepts connections: handshakes run side by side under a deadline, with retry under load.
//!
//! Never waits for one peer before it serves the next.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use protocol::frames::Stop;
use protocol::limits;
use quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::{Connection, LinkError};
use crate::identity::{Identity, Role, Trust};
use crate::tls::{self, BadIdentity};
use crate::transport;
use crate::verify::{CertificateFault, Judge};

/// Handshakes under way above which an unknown address must first prove that it can hear us.
const RETRY_ABOVE: usize = 16;
/// Handshakes under way above which nobody else is let in.
const HANDSHAKES_MAX: usize = 128;
/// From the first packet to the end of the handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);

const _: () = assert!(RETRY_ABOVE < HANDSHAKES_MAX && HANDSHAKES_MAX < limits::INCOMING_MAX);

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
    /// Peers with certificates.
    Members(Arc<Judge>),
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
}

impl Listener {
    /// Listens for agents and desks. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(address: &str, me: &Identity, trust: &Trust) -> Result<Self, ListenError> {
        let judge = Arc::new(Judge::new(trust).map_err(ListenError::Ca)?);
        let tls = tls::server(me, Arc::clone(&judge), trust.floor)?;
        Self::on(address, tls, me, Door::Members(judge))
    }
    /// Listens for machines and people that enrol: no certificate, another ALPN.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind_enrolment(address: &str, me: &Identity) -> Result<Self, ListenError> {
        Self::on(address, tls::enrolment_server(me)?, me, Door::Anybody)
    }
    fn on(
        address: &str,
        tls: rustls::ServerConfig,
        me: &Identity,
        door: Door,
    ) -> Result<Self, ListenError> {
        let config = transport::server(tls)?;
        let bind = |source| ListenError::Bind { address: address.to_owned(), source };
        let socket = UdpSocket::bind(address).map_err(bind)?;
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime);
        Ok(Self {
            endpoint: endpoint.map_err(bind)?,
            identity: me.clone(),
            door: RwLock::new(door),
            handshakes: JoinSet::new(),
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
        let door = self.door.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.handshakes.spawn(shake(incoming, door));
    }
    /// Judges once more: the trust may have changed while the handshake ran.
    fn admit(&self, connection: Connection) -> Result<Connection, Rejected> {
        let door = self.door.read().unwrap_or_else(PoisonError::into_inner);
        let denied = match (&*door, connection.peer()) {
            (Door::Members(judge), Some(peer)) => judge.is_denied(peer),
            (Door::Members(_), None) => true,
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

/// One handshake. Roles other than agent and desk are closed with our own code.
async fn shake(incoming: Incoming, door: Door) -> Result<Connection, Rejected> {
    let address = incoming.remote_address();
    let fault = match &door {
        Door::Members(judge) => Some(Arc::clone(judge)),
        Door::Anybody => None,
    };
    let failed =
        || Rejected { address, fault: fault.as_ref().and_then(|judge| judge.fault()), stop: None };
    let connecting = incoming.accept().map_err(|_| failed())?;
    let shaken = timeout(HANDSHAKE_TIME_MAX, connecting).await.map_err(|_| failed())?;
    let inner = shaken.map_err(|_| failed())?;
    let Door::Members(judge) = &door else {
        return Ok(Connection::new(inner, None, None));
    };
    let leaf = inner
        .peer_identity()
        .and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().cloned());
    let peer = leaf.and_then(|leaf| judge.peer(&leaf));
    let connection = Connection::new(inner, None, peer);
    match connection.peer().map(|peer| peer.role) {
        Some(Role::Agent | Role::Desk) => Ok(connection),
        Some(Role::Endpoint) | None => {
            connection.close(Stop::Role);
            let fault = if connection.peer().is_none() {
                CertificateFault::Name
            } else {
                CertificateFault::Role
            };
            Err(Rejected { address, fault: Some(fault), stop: Some(Stop::Role) })
        }
    }
}

impl From<&Rejected> for LinkError {
    fn from(rejected: &Rejected) -> Self {
        rejected.stop.map_or(Self::Lost, Self::Stopped)
    }
}
