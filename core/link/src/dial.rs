//! Dials a peer and says precisely what stood in the way: name, route, silence, certificate, time,
//! or a refusal. Never waits longer than the connect timeout.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use protocol::{Digest, Time, limits};
use quinn::{ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::connection::{Connection, LinkError, leaf};
use crate::identity::{Expect, Identity, Role, Trust};
use crate::reception::Protocol;
use crate::tls::{self, BadIdentity};
use crate::transport;
use crate::verify::{CertificateFault, Judge, Wanted};

/// From dialling to an answer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(limits::CONNECT_SECONDS_MAX);
/// After this long without an answer one small datagram asks the peer's kernel whether anything
/// listens there: QUIC alone would not notice before its timeout.
const ASK_KERNEL_AFTER: Duration = Duration::from_millis(100);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// A name nobody looks at: the certificate's URI says who the peer is.
const SERVER_NAME: &str = "salve.invalid";

/// Why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Not `HOST:PORT`.
    #[error("`{address}` is not HOST:PORT")]
    Address {
        /// As given.
        address: String,
    },
    /// The name does not resolve.
    #[error("the name in `{address}` was not found")]
    Name {
        /// As given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// This machine has no way there.
    #[error("there is no route to `{address}`")]
    Route {
        /// As given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The machine is there and says that nothing listens.
    #[error("nothing listens on `{address}` (UDP)")]
    NothingListens {
        /// As given.
        address: String,
    },
    /// Silence: it is off, or UDP is dropped on the way.
    #[error("no answer from `{address}` in {seconds} s: it is off, or the way drops UDP")]
    NoAnswer {
        /// As given.
        address: String,
        /// How long.
        seconds: u64,
    },
    /// Somebody else answered, or with a bad certificate.
    #[error("`{address}` answered with a wrong certificate")]
    Certificate {
        /// As given.
        address: String,
        /// What is wrong.
        source: CertificateFault,
    },
    /// Its certificate is not valid at this time: renewal or a clock.
    #[error("the certificate of `{address}` is not valid now")]
    Expired {
        /// As given.
        address: String,
        /// Expired or not yet valid.
        source: CertificateFault,
    },
    /// It answered, and does not want us.
    #[error("`{address}` refused the connection")]
    Refused {
        /// As given.
        address: String,
        /// Why.
        source: LinkError,
    },
    /// Our own certificate and key.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// A CA that cannot be read.
    #[error("could not read a CA of the organisation")]
    Ca(#[source] CertificateFault),
    /// No socket, or QUIC could not be set up.
    #[error("could not open a UDP socket here")]
    Local(#[source] io::Error),
}

impl DialError {
    /// The step at which it failed, as `salved doctor` lists them.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        match self {
            Self::Address { .. } | Self::Name { .. } => "name",
            Self::Route { .. } | Self::Local(_) => "route",
            Self::NothingListens { .. } | Self::NoAnswer { .. } => "udp",
            Self::Certificate { .. } | Self::Identity(_) | Self::Ca(_) => "certificate",
            Self::Expired { .. } => "clock",
            Self::Refused { .. } => "answer",
        }
    }
}

/// One way to the peer: its address, our socket for QUIC, and one that hears the kernel's word.
#[derive(Debug)]
struct Way {
    peer: SocketAddr,
    socket: UdpSocket,
    ear: UdpSocket,
}

/// A looked-up peer with open sockets: everything that must be opened before a process locks
/// itself.
#[derive(Debug)]
pub struct Line {
    address: String,
    ways: Vec<Way>,
}

/// Host without brackets, and port.
fn split(address: &str) -> Result<(&str, u16), DialError> {
    let bad = || DialError::Address { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| bad())?;
    if host.is_empty() || port == 0 { Err(bad()) } else { Ok((host, port)) }
}

fn unspecified(peer: &SocketAddr) -> SocketAddr {
    let ip: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}

fn way(peer: SocketAddr) -> io::Result<Way> {
    let any = unspecified(&peer);
    let ear = UdpSocket::bind(any)?;
    // For UDP this only asks the routing table.
    ear.connect(peer)?;
    ear.set_nonblocking(true)?;
    Ok(Way { peer, socket: UdpSocket::bind(any)?, ear })
}

/// The addresses of `HOST:PORT`, and whether the host is a name, which may move. For a process that
/// must be alone when it locks itself: waits as long as the system's resolver does.
///
/// # Errors
/// [`DialError`] of the step name.
pub fn look_up(address: &str) -> Result<(Vec<SocketAddr>, bool), DialError> {
    let (host, port) = split(address)?;
    let is_name = host.parse::<IpAddr>().is_err();
    let name = |source| DialError::Name { address: address.to_owned(), source };
    let found = (host, port).to_socket_addrs().map_err(name)?;
    Ok((found.take(ADDRESSES_MAX).collect(), is_name))
}

impl Line {
    /// Looks the name up, asks for a route, opens the sockets. Sends nothing to the peer.
    ///
    /// # Errors
    /// [`DialError`] of the steps name and route.
    pub async fn prepare(address: &str) -> Result<Self, DialError> {
        let (host, port) = split(address)?;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Self::to(address, vec![SocketAddr::new(ip, port)]);
        }
        let looked_up = timeout(CONNECT_TIME_MAX, tokio::net::lookup_host((host, port)));
        let found = looked_up.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let name = |source| DialError::Name { address: address.to_owned(), source };
        Self::to(address, found.map_err(name)?.take(ADDRESSES_MAX).collect())
    }
    /// As [`Line::prepare`], without a second thread: for a process that must be alone when it
    /// locks itself. Waits as long as the system's resolver does.
    ///
    /// # Errors
    /// [`DialError`] of the steps name and route.
    pub fn prepare_alone(address: &str) -> Result<Self, DialError> {
        Self::to(address, look_up(address)?.0)
    }
    fn to(address: &str, peers: Vec<SocketAddr>) -> Result<Self, DialError> {
        let given = || address.to_owned();
        let mut refused = io::Error::from(ErrorKind::NotFound);
        let mut ways = Vec::new();
        for peer in peers {
            match way(peer) {
                Ok(way) => ways.push(way),
                Err(error) => refused = error,
            }
        }
        if ways.is_empty() {
            return Err(DialError::Route { address: given(), source: refused });
        }
        Ok(Self { address: given(), ways })
    }
    /// The addresses that will be tried, in order.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ways.iter().map(|way| way.peer)
    }

    /// Dials an endpoint as a member of the organisation. The connection counts once the peer
    /// answers on it.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(
        self,
        me: &Identity,
        trust: &Trust,
        expect: &Expect,
    ) -> Result<Connection, DialError> {
        self.dial_with(me, trust, expect, Protocol::Session).await
    }
    /// Dials a desk as a console. The connection counts once the peer answers on it.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial_desk(
        self,
        me: &Identity,
        trust: &Trust,
        id: Option<&str>,
    ) -> Result<Connection, DialError> {
        let expect = Expect { role: Role::Desk, id: id.map(str::to_owned), key: None };
        self.dial_with(me, trust, &expect, Protocol::Console).await
    }
    /// As [`Line::dial`], to speak another protocol than that of sessions.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial_with(
        self,
        me: &Identity,
        trust: &Trust,
        expect: &Expect,
        protocol: Protocol,
    ) -> Result<Connection, DialError> {
        let judge = Arc::new(Judge::new(trust).map_err(DialError::Ca)?);
        let wanted = Wanted::Member { judge: Arc::clone(&judge), expect: expect.clone() };
        let config = tls::client(Some(me), wanted, trust.floor, protocol.alpn())?;
        self.connect(config, &judge, protocol).await
    }
    /// Dials a peer of which only the key is known, without a certificate of our own.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial_pinned(self, key: Digest, alpn: &[u8]) -> Result<Connection, DialError> {
        let nobody = Trust {
            cas: Vec::new(),
            organisation: String::new(),
            denied: Vec::new(),
            floor: Time(0),
        };
        let judge = Arc::new(Judge::new(&nobody).map_err(DialError::Ca)?);
        let wanted = Wanted::Pinned { judge: Arc::clone(&judge), key };
        let config = tls::client(None, wanted, Time(0), alpn)?;
        let protocol = Protocol::of_alpn(alpn).unwrap_or(Protocol::Enrolment);
        self.connect(config, &judge, protocol).await
    }

    async fn connect(
        self,
        tls: rustls::ClientConfig,
        judge: &Judge,
        protocol: Protocol,
    ) -> Result<Connection, DialError> {
        let config = transport::client(tls)
            .map_err(|_| DialError::Local(io::Error::from(ErrorKind::Unsupported)))?;
        let mut error = None;
        let mut left = u32::try_from(self.ways.len()).unwrap_or(1);
        for way in self.ways {
            // Later addresses get a share of the time even where the first one is silent.
            let time = CONNECT_TIME_MAX / left.max(1);
            left = left.saturating_sub(1);
            match try_way(way, config.clone(), &self.address, time, judge).await {
                Ok((inner, endpoint)) => {
                    let peer = leaf(&inner).and_then(|leaf| judge.peer(&leaf));
                    return Ok(Connection::new(inner, Some(endpoint), peer, protocol));
                }
                Err(
                    failed @ (DialError::Route { .. }
                    | DialError::NothingListens { .. }
                    | DialError::NoAnswer { .. }),
                ) => error = Some(failed),
                Err(failed) => return Err(failed),
            }
        }
        Err(error.unwrap_or(DialError::Address { address: self.address }))
    }
}

async fn try_way(
    way: Way,
    config: quinn::ClientConfig,
    address: &str,
    time: Duration,
    judge: &Judge,
) -> Result<(quinn::Connection, Endpoint), DialError> {
    let given = || address.to_owned();
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), None, way.socket, runtime)
        .map_err(DialError::Local)?;
    let ear = tokio::net::UdpSocket::from_std(way.ear).map_err(DialError::Local)?;
    let connecting = endpoint
        .connect_with(config, way.peer, SERVER_NAME)
        .map_err(|_| DialError::Address { address: given() })?;
    let outcome = tokio::select! {
        outcome = timeout(time, connecting) => outcome,
        silence = kernel_says(&ear) => return Err(match silence.kind() {
            ErrorKind::ConnectionRefused => DialError::NothingListens { address: given() },
            _ => DialError::Route { address: given(), source: silence },
        }),
    };
    Ok((met(outcome, address, time, judge)?, endpoint))
}

/// What became of an attempt.
fn met(
    outcome: Result<Result<quinn::Connection, ConnectionError>, Elapsed>,
    address: &str,
    time: Duration,
    judge: &Judge,
) -> Result<quinn::Connection, DialError> {
    let given = || address.to_owned();
    match outcome {
        Err(_) => Err(DialError::NoAnswer { address: given(), seconds: time.as_secs() }),
        Ok(Err(ConnectionError::TransportError(error))) => Err(match judge.fault() {
            Some(source) if source.is_about_time() => {
                DialError::Expired { address: given(), source }
            }
            Some(source) => DialError::Certificate { address: given(), source },
            None if (0x100..0x200).contains(&u64::from(error.code)) => {
                DialError::Certificate { address: given(), source: CertificateFault::Malformed }
            }
            None => DialError::Refused { address: given(), source: LinkError::Lost },
        }),
        Ok(Err(error)) => Err(DialError::Refused { address: given(), source: error.into() }),
        Ok(Ok(inner)) => Ok(inner),
    }
}

/// Dials out from a listener's own port: opens nothing, so that a locked process can.
#[derive(Debug, Clone)]
pub struct Dialler {
    endpoint: Endpoint,
}

impl Dialler {
    pub(crate) const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }
    /// Dials a desk as an endpoint, to be asked by it: the desk opens the streams and keeps the
    /// line alive. It counts once the desk has asked.
    ///
    /// # Errors
    /// [`DialError`]; without an ear for the kernel's word a dead port is silence.
    pub async fn dial(
        &self,
        peer: SocketAddr,
        me: &Identity,
        trust: &Trust,
    ) -> Result<Connection, DialError> {
        let judge = Arc::new(Judge::new(trust).map_err(DialError::Ca)?);
        let expect = Expect { role: Role::Desk, id: None, key: None };
        let wanted = Wanted::Member { judge: Arc::clone(&judge), expect };
        let tls = tls::client(Some(me), wanted, trust.floor, Protocol::Session.alpn())?;
        let config = transport::line(tls)
            .map_err(|_| DialError::Local(io::Error::from(ErrorKind::Unsupported)))?;
        let address = peer.to_string();
        let connecting =
            self.endpoint.connect_with(config, peer, SERVER_NAME).map_err(|error| {
                let source = io::Error::new(ErrorKind::AddrNotAvailable, error);
                DialError::Route { address: address.clone(), source }
            })?;
        let outcome = timeout(CONNECT_TIME_MAX, connecting).await;
        let inner = met(outcome, &address, CONNECT_TIME_MAX, &judge)?;
        let known = leaf(&inner).and_then(|leaf| judge.peer(&leaf));
        Ok(Connection::new(inner, None, known, Protocol::Session))
    }
}

/// Ends only with the kernel's word that nothing can arrive there; silence stays silence.
async fn kernel_says(ear: &tokio::net::UdpSocket) -> io::Error {
    sleep(ASK_KERNEL_AFTER).await;
    let mut nothing = [0u8; 1];
    loop {
        // QUIC ignores a datagram of one byte.
        if let Err(error) = ear.send(&[0]).await {
            return error;
        }
        match timeout(Duration::from_secs(1), ear.recv(&mut nothing)).await {
            Ok(Err(error)) => return error,
            // Some service echoes; that is no answer either.
            Ok(Ok(_)) => sleep(Duration::from_secs(1)).await,
            Err(_) => {}
        }
    }
}

/// Looks up and dials a member of the organisation.
///
/// # Errors
/// [`DialError`].
pub async fn dial(
    address: &str,
    me: &Identity,
    trust: &Trust,
    expect: &Expect,
) -> Result<Connection, DialError> {
    Line::prepare(address).await?.dial(me, trust, expect).await
}

/// Looks up and dials a desk as a console; `id`: the desk's, where it is known.
///
/// # Errors
/// [`DialError`].
pub async fn dial_desk(
    address: &str,
    me: &Identity,
    trust: &Trust,
    id: Option<&str>,
) -> Result<Connection, DialError> {
    Line::prepare(address).await?.dial_desk(me, trust, id).await
}

/// Looks up and dials a peer of which only the key is known: enrolment.
///
/// # Errors
/// [`DialError`].
pub async fn dial_pinned(address: &str, key: Digest, alpn: &[u8]) -> Result<Connection, DialError> {
    Line::prepare(address).await?.dial_pinned(key, alpn).await
}
