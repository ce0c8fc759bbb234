//! Who is at the other end, as its certificate says: role, id, key, serial. Never a permission.

use std::fmt;

use protocol::{Digest, Time};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

/// What this side shows: a certificate chain and the key that belongs to it.
#[derive(Clone)]
pub struct Identity {
    /// Chain (DER), leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// PKCS#8 (DER) of the leaf's ed25519 key.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates, key hidden)", self.certificates.len())
    }
}

/// Whom this side admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// CAs (DER) of the peers; they sign leaves directly, there are no intermediates.
    pub cas: Vec<Vec<u8>>,
    /// The organisation in the peers' URI SAN.
    pub organisation: String,
    /// Withdrawn serials (big endian).
    pub denied: Vec<Vec<u8>>,
    /// Validity is judged at the later of this and the clock.
    pub floor: Time,
}

impl Trust {
    /// Whether the peer's certificate was withdrawn.
    #[must_use]
    pub fn denies(&self, peer: &Peer) -> bool {
        self.denied.iter().any(|denied| serial(denied) == peer.serial)
    }
}

/// What a leaf certificate is for; the three profiles are told apart by one URI SAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A person's console.
    Agent,
    /// The shared desk.
    Desk,
    /// A machine that is helped.
    Endpoint,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Desk, Self::Endpoint];
    /// The word in the URI SAN.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Desk => "desk",
            Self::Endpoint => "endpoint",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The one URI SAN of a leaf: `salve://<organisation>/<agent|desk|endpoint>/<id>`.
#[must_use]
pub fn uri(organisation: &str, role: Role, id: &str) -> String {
    format!("salve://{organisation}/{role}/{id}")
}

/// Whom a dialling side wants to meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The peer's role.
    pub role: Role,
    /// The peer's id, where known.
    pub id: Option<String>,
    /// SHA-256 of the peer's SubjectPublicKeyInfo, where known.
    pub key: Option<Digest>,
}

/// A peer as its verified certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it is.
    pub role: Role,
    /// Which one.
    pub id: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Digest,
    /// Serial of its certificate, big endian without leading zeros.
    pub serial: Vec<u8>,
}

/// Characters of an id: no separator, no wildcard, no escape.
fn is_id(text: &str) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=64).contains(&text.len()) && text.bytes().all(ok)
}

/// Big endian without leading zeros: how serials are compared.
pub(crate) fn serial(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// Reads the peer out of a leaf whose chain was verified. `None`: not exactly one URI SAN of ours.
pub(crate) fn read_peer(leaf: &CertificateDer<'_>, organisation: &str) -> Option<Peer> {
    let cert = webpki::EndEntityCert::try_from(leaf).ok()?;
    let mut uris = cert.valid_uri_names();
    let name = uris.next()?;
    if uris.next().is_some() {
        return None;
    }
    let rest = name.strip_prefix("salve://")?.strip_prefix(organisation)?.strip_prefix('/')?;
    let (word, id) = rest.split_once('/')?;
    let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
    is_id(id).then(|| Peer {
        role,
        id: id.to_owned(),
        key: Digest::of(cert.subject_public_key_info().as_ref()),
        serial: serial(cert.serial()),
    })
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo; `None` where the bytes are no certificate.
#[must_use]
pub fn spki_digest(certificate: &[u8]) -> Option<Digest> {
    let der = CertificateDer::from(certificate);
    let cert = webpki::EndEntityCert::try_from(&der).ok()?;
    Some(Digest::of(cert.subject_public_key_info().as_ref()))
}
