//! Reading our own certificates back: for renewal, lists and tests. Never verifies a chain.

use protocol::{PublicKey, Time};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::CertError;
use crate::leaf::SPKI_HEAD;

/// What a certificate says. Nothing here was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Organisation in the subject.
    pub organisation: String,
    /// Common name in the subject.
    pub common_name: String,
    /// All URI SANs.
    pub uris: Vec<String>,
    /// Big endian, without leading zeros: as policy denies it.
    pub serial: Vec<u8>,
    /// Valid from.
    pub not_before: Time,
    /// Valid until.
    pub not_after: Time,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Whether it may sign others.
    pub is_ca: bool,
}

/// Reads one certificate (DER, no trailing bytes).
///
/// # Errors
/// [`CertError::NotACertificate`].
pub fn read(der: &[u8]) -> Result<Facts, CertError> {
    let (rest, cert) = X509Certificate::from_der(der).map_err(|_| CertError::NotACertificate)?;
    if !rest.is_empty() {
        return Err(CertError::NotACertificate);
    }
    let text = |found: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        found.and_then(|a| a.as_str().ok()).unwrap_or_default().to_owned()
    };
    let names = cert.subject_alternative_name().map_err(|_| CertError::NotACertificate)?;
    let uris =
        names.iter().flat_map(|san| &san.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
    let stamp = |seconds: i64| Time(u64::try_from(seconds).unwrap_or_default());
    Ok(Facts {
        organisation: text(cert.subject().iter_organization().next()),
        common_name: text(cert.subject().iter_common_name().next()),
        uris: uris.collect(),
        serial: cert.raw_serial().iter().copied().skip_while(|byte| *byte == 0).collect(),
        not_before: stamp(cert.validity().not_before.timestamp()),
        not_after: stamp(cert.validity().not_after.timestamp()),
        spki: cert.public_key().raw.to_vec(),
        is_ca: cert.is_ca(),
    })
}

/// What the issuer of a certificate (DER) signed, and the signature, as they stand in it.
///
/// # Errors
/// [`CertError::NotACertificate`].
pub fn signed_part(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CertError> {
    let (_, cert) = X509Certificate::from_der(der).map_err(|_| CertError::NotACertificate)?;
    Ok((cert.tbs_certificate.as_ref().to_vec(), cert.signature_value.data.to_vec()))
}

/// SubjectPublicKeyInfo (DER) of an ed25519 key.
#[must_use]
pub fn spki_of(key: &PublicKey) -> Vec<u8> {
    [&SPKI_HEAD[..], &key.0[..]].concat()
}

/// Certificates (DER) as PEM, in their order.
#[must_use]
pub fn to_pem<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for der in chain {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64(der);
        for line in text.as_bytes().chunks(64) {
            // Base64 is ASCII, so every cut is a character's edge.
            let _ = writeln!(out, "{}", String::from_utf8_lossy(line));
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Certificates (DER) of a PEM file, in their order; at least one.
///
/// # Errors
/// [`CertError::NotACertificate`] where a block is damaged or there is none.
pub fn from_pem(text: &str) -> Result<Vec<Vec<u8>>, CertError> {
    let mut out = Vec::new();
    for block in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let der = block.map_err(|_| CertError::NotACertificate)?;
        read(&der)?;
        out.push(der.to_vec());
    }
    if out.is_empty() { Err(CertError::NotACertificate) } else { Ok(out) }
}
