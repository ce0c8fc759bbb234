//! Whom a desk receives on its one port: consoles, endpoints, and whoever wants to enrol.
//!
//! Each role is judged by its own CAs, and each protocol has exactly one kind of peer.

use std::time::Duration;

use protocol::{Time, limits};
use rustls::Error;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use webpki::KeyUsage;

use crate::identity::{Peer, Role, Trust};
use crate::tls::FlooredClock;
use crate::verify::{CertificateFault, Judge};

/// How long after its end an endpoint's certificate still opens the way to its renewal.
const GRACE: Duration = Duration::from_secs(limits::EXPIRED_ENDPOINT_DAYS * 86_400);

/// By which protocol a peer came (ALPN); it says what the peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `salve/1`: a session with an endpoint, whoever dialled.
    Session,
    /// `salve-desk/1`: a console's line to a desk.
    Console,
    /// `salve-enrol/1`: somebody without a certificate.
    Enrolment,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Session, Self::Console, Self::Enrolment];
    /// Its ALPN.
    #[must_use]
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Session => limits::ALPN,
            Self::Console => limits::ALPN_DESK,
            Self::Enrolment => limits::ALPN_ENROL,
        }
    }
    pub(crate) fn of_alpn(alpn: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.alpn() == alpn)
    }
}

/// A verified certificate: whose, and whether its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) peer: Peer,
    pub(crate) expired: bool,
}

/// Both lists of CAs, and the clock.
#[derive(Debug)]
pub(crate) struct Reception {
    people: Judge,
    endpoints: Judge,
    clock: FlooredClock,
}

impl Reception {
    /// # Errors
    /// A CA that cannot be read.
    pub(crate) fn new(people: &Trust, endpoints: &Trust) -> Result<Self, CertificateFault> {
        Ok(Self {
            people: Judge::new(people)?,
            endpoints: Judge::new(endpoints)?,
            clock: FlooredClock(floor(people, endpoints)),
        })
    }
    pub(crate) fn fault(&self) -> Option<CertificateFault> {
        self.people.fault()
    }
    pub(crate) fn note(&self, fault: CertificateFault) -> Error {
        self.people.note(fault)
    }
    /// None: a good certificate without a name of ours.
    pub(crate) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<Option<Guest>, CertificateFault> {
        let usage = KeyUsage::client_auth();
        // What the leaf says of itself only chooses who judges it.
        let is_endpoint = self.endpoints.peer(leaf).is_some_and(|peer| peer.role == Role::Endpoint);
        let (peer, expired) = if is_endpoint {
            self.endpoints.chain_or_lapsed(leaf, usage, now, GRACE)?
        } else {
            (self.people.chain(leaf, usage, now)?, false)
        };
        Ok(peer.map(|peer| Guest { peer, expired }))
    }
    pub(crate) fn denies(&self, peer: &Peer) -> bool {
        match peer.role {
            Role::Endpoint => self.endpoints.is_denied(peer),
            Role::Agent | Role::Desk => self.people.is_denied(peer),
        }
    }
    /// Who the peer is, where this protocol is for such a one: exactly a console, exactly an
    /// endpoint, or nobody.
    ///
    /// # Errors
    /// What is wrong, for this side's log; the peer is told a fixed code.
    pub(crate) fn receive(
        &self,
        protocol: Protocol,
        leaf: Option<&CertificateDer<'_>>,
    ) -> Result<Option<Guest>, Option<CertificateFault>> {
        let wanted = match protocol {
            Protocol::Session => Role::Endpoint,
            Protocol::Console => Role::Agent,
            Protocol::Enrolment if leaf.is_none() => return Ok(None),
            Protocol::Enrolment => return Err(Some(CertificateFault::Role)),
        };
        let leaf = leaf.ok_or(None)?;
        let now = self.clock.current_time().ok_or(None)?;
        let guest = self.judge(leaf, now).map_err(Some)?;
        let guest = guest.ok_or(Some(CertificateFault::Name))?;
        if guest.peer.role == wanted { Ok(Some(guest)) } else { Err(Some(CertificateFault::Role)) }
    }
}

/// The later of the two.
pub(crate) fn floor(people: &Trust, endpoints: &Trust) -> Time {
    people.floor.max(endpoints.floor)
}
