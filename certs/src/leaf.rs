//! The three leaf profiles: what they share, and the one line in which each differs.

use protocol::Time;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use time::OffsetDateTime;

use crate::error::CertError;

/// What a leaf is for. The word stands in its URI SAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// A person's console: it only dials.
    Agent,
    /// The desk: it dials endpoints and listens for those that join.
    Desk,
    /// A machine that is helped: it listens, and dials out where it is behind NAT.
    Endpoint,
}

impl Profile {
    /// The word in the URI SAN.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Desk => "desk",
            Self::Endpoint => "endpoint",
        }
    }
    fn usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Agent => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Self::Desk | Self::Endpoint => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
        }
    }
}

/// What a leaf certificate says beside its profile.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// SubjectPublicKeyInfo (DER) of the holder's ed25519 key, made by the holder.
    pub spki: &'a [u8],
    /// Who or which: a person's name, an endpoint's id, a desk's name.
    pub id: &'a str,
    /// 16 random bytes; the top bits are set so that the serial is positive and 16 bytes long.
    pub serial: [u8; 16],
    /// Valid from.
    pub not_before: Time,
    /// Valid until.
    pub not_after: Time,
}

/// RFC 8410: the 12 bytes before an ed25519 key in SubjectPublicKeyInfo.
pub(crate) const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A public key that rcgen puts into a certificate.
#[derive(Debug)]
pub(crate) struct HolderKey(pub(crate) [u8; 32]);

impl HolderKey {
    pub(crate) fn read(spki: &[u8]) -> Result<Self, CertError> {
        spki.strip_prefix(&SPKI_HEAD)
            .and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or(CertError::PublicKey)
    }
}

impl PublicKeyData for HolderKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

pub(crate) fn serial(random: [u8; 16]) -> SerialNumber {
    let mut bytes = random;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

pub(crate) fn instant(time: Time) -> Result<OffsetDateTime, CertError> {
    i64::try_from(time.0)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(CertError::Validity)
}

/// Parameters that leafs and CAs share: name, serial, explicit validity.
pub(crate) fn base(
    common_name: &str,
    organisation: &str,
    random: [u8; 16],
    validity: (Time, Time),
) -> Result<CertificateParams, CertError> {
    if validity.1 <= validity.0 {
        return Err(CertError::Validity);
    }
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params.serial_number = Some(serial(random));
    params.not_before = instant(validity.0)?;
    params.not_after = instant(validity.1)?;
    Ok(params)
}

fn is_id(text: &str) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=64).contains(&text.len()) && text.bytes().all(ok)
}

pub(crate) fn params(
    profile: Profile,
    organisation: &str,
    leaf: &Leaf<'_>,
) -> Result<CertificateParams, CertError> {
    let bad_id = || CertError::Id(leaf.id.chars().take(80).collect());
    if !is_id(leaf.id) {
        return Err(bad_id());
    }
    let uri = format!("salve://{organisation}/{}/{}", profile.word(), leaf.id);
    let validity = (leaf.not_before, leaf.not_after);
    let mut params = base(leaf.id, organisation, leaf.serial, validity)?;
    params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(|_| bad_id())?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = profile.usages();
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
