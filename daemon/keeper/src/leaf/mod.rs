//! Is a renewed certificate one for this endpoint? Reads exactly the profile that our CAs write and
//! nothing wider; the gate's library judges peers, this judges only what is kept here.
//!
//! Never believes a field before the CA's signature over it held.

mod der;
mod read;

use protocol::{Bytes, Digest, EndpointId, Time, limits};

use read::Certificate;

/// What a certificate must be to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The endpoints' CAs of the current policy (DER).
    pub cas: &'a [Bytes],
    /// The organisation in the URI SAN.
    pub organisation: &'a str,
    /// This endpoint.
    pub endpoint: EndpointId,
    /// SHA-256 of the SubjectPublicKeyInfo of its TLS key.
    pub tls_key: Digest,
    /// Withdrawn serials, big endian.
    pub denied: &'a [Vec<u8>],
    /// Now, as the keeper trusts it.
    pub now: Time,
    /// End of the certificate that is had.
    pub after: Time,
}

/// Why a certificate is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafFault {
    /// Not a certificate of our profile.
    #[error("it is no certificate of an endpoint's profile")]
    Profile,
    /// No CA of policy signed it.
    #[error("no CA for endpoints that policy lists signed it")]
    Issuer,
    /// Another key.
    #[error("it is for another key than this endpoint's")]
    Key,
    /// Another endpoint, organisation or role.
    #[error("it names another than this endpoint")]
    Name,
    /// Its serial was withdrawn.
    #[error("its serial was withdrawn")]
    Denied,
    /// Not valid at this time.
    #[error("it is not valid at this time")]
    Time,
    /// It ends no later than the one that is had.
    #[error("it ends no later than the certificate that is here")]
    NotLater,
}

impl LeafFault {
    /// Stable word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Name => "name",
            Self::Denied => "denied",
            Self::Time => "time",
            Self::NotLater => "not-later",
        }
    }
}

/// Checks a leaf (DER). Gives its end.
///
/// # Errors
/// [`LeafFault`].
pub fn check(leaf: &[u8], wanted: &Wanted<'_>) -> Result<Time, LeafFault> {
    let leaf = Certificate::read(leaf).ok_or(LeafFault::Profile)?;
    let signed = wanted.cas.iter().any(|ca| {
        let ca = Certificate::read(&ca.0).filter(|ca| ca.is_ca && ca.subject == leaf.issuer);
        ca.is_some_and(|ca| trust::verify(&ca.key, leaf.signed, leaf.signature))
    });
    if !signed {
        return Err(LeafFault::Issuer);
    }
    if leaf.is_ca || !leaf.serves || !leaf.dials {
        return Err(LeafFault::Profile);
    }
    if Digest::of(leaf.spki) != wanted.tls_key {
        return Err(LeafFault::Key);
    }
    let name = format!("salve://{}/endpoint/{}", wanted.organisation, wanted.endpoint);
    if leaf.uri != Some(name.as_bytes()) {
        return Err(LeafFault::Name);
    }
    if wanted.denied.iter().any(|serial| read::unpadded(serial) == leaf.serial) {
        return Err(LeafFault::Denied);
    }
    let begun = leaf.not_before <= wanted.now.plus(limits::CLOCK_SKEW_SECONDS);
    if !begun || leaf.not_after <= wanted.now {
        return Err(LeafFault::Time);
    }
    if leaf.not_after <= wanted.after {
        return Err(LeafFault::NotLater);
    }
    Ok(leaf.not_after)
}

/// When a certificate that is kept here ends; none where it is not of our profile.
#[must_use]
pub fn ends(leaf: &[u8]) -> Option<Time> {
    Certificate::read(leaf).map(|leaf| leaf.not_after)
}

#[cfg(test)]
mod tests;
