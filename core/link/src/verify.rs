//! Judges certificates: chain, validity at max(clock, floor), purpose, serial, role, id, key.
//!
//! Never tells the peer more than a fixed word: the precise fault stays on this side.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::Digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage};

use crate::identity::{Expect, Peer, Role, Trust, read_peer, serial, spki_digest};
use crate::reception::Reception;

/// Only ed25519, in chains and in handshakes.
pub(crate) const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::ring::ED25519],
    mapping: &[(SignatureScheme::ED25519, &[webpki::ring::ED25519])],
};

/// What is wrong with a peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate this side can read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// No CA that policy lists signed it.
    #[error("no CA of the organisation signed the certificate")]
    UnknownIssuer,
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// Its extended key usage is not the one of its profile.
    #[error("the certificate is for another purpose")]
    Purpose,
    /// A CA's certificate in place of a leaf.
    #[error("the certificate is that of a CA")]
    CaAsLeaf,
    /// Its serial was withdrawn.
    #[error("the certificate was withdrawn")]
    Withdrawn,
    /// Not exactly one name of this organisation.
    #[error("the certificate does not say what it is in this organisation")]
    Name,
    /// Another role than the wanted one.
    #[error("the certificate is that of another role")]
    Role,
    /// Another machine than the wanted one.
    #[error("the certificate is that of another machine")]
    Id,
    /// Another key than the known one.
    #[error("the key is not the one that is known for this machine")]
    Key,
}

impl CertificateFault {
    /// Only a clock or a renewal can help.
    #[must_use]
    pub const fn is_about_time(self) -> bool {
        matches!(self, Self::Expired | Self::NotYetValid)
    }
    /// What the peer is told: an alert with a fixed text, no times, no names.
    fn to_tls(self) -> Error {
        Error::InvalidCertificate(match self {
            Self::Malformed => CertificateError::BadEncoding,
            Self::UnknownIssuer => CertificateError::UnknownIssuer,
            Self::Expired => CertificateError::Expired,
            Self::NotYetValid => CertificateError::NotValidYet,
            Self::Purpose | Self::CaAsLeaf => CertificateError::InvalidPurpose,
            Self::Withdrawn => CertificateError::Revoked,
            Self::Name | Self::Role | Self::Id | Self::Key => {
                CertificateError::ApplicationVerificationFailure
            }
        })
    }
}

/// Which extended key usages a leaf may have on one side of the handshake.
#[derive(Debug, Clone, Copy)]
struct Purpose {
    required: KeyUsage,
    /// Desks and endpoints may have both usages, each listens and dials; agents only dial.
    both: bool,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let ours = [KeyUsage::CLIENT_AUTH_REPR, KeyUsage::SERVER_AUTH_REPR];
        let required: Vec<usize> = self.required.oid_values().collect();
        let present =
            iter.map(|id| id.map(|id| id.to_decoded_oid())).collect::<Result<Vec<_>, _>>()?;
        let known =
            |oid: &Vec<usize>| *oid == required || (self.both && ours.contains(&oid.as_slice()));
        if present.contains(&required) && present.iter().all(known) {
            return Ok(());
        }
        let required = self.required;
        let context = webpki::RequiredEkuNotFoundContext { required, present };
        Err(webpki::Error::RequiredEkuNotFoundContext(context))
    }
}

/// What the two sides have in common: whom they trust, and the last fault they saw.
#[derive(Debug)]
pub(crate) struct Judge {
    anchors: Vec<TrustAnchor<'static>>,
    organisation: String,
    denied: Vec<Vec<u8>>,
    fault: Mutex<Option<CertificateFault>>,
}

impl Judge {
    /// # Errors
    /// A CA that cannot be read.
    pub(crate) fn new(trust: &Trust) -> Result<Self, CertificateFault> {
        let anchor = |der: &Vec<u8>| {
            let der = CertificateDer::from(der.as_slice());
            let anchor = webpki::anchor_from_trusted_cert(&der);
            anchor.map(|a| a.to_owned()).map_err(|_| CertificateFault::Malformed)
        };
        Ok(Self {
            anchors: trust.cas.iter().map(anchor).collect::<Result<_, _>>()?,
            organisation: trust.organisation.clone(),
            denied: trust.denied.iter().map(|bytes| serial(bytes)).collect(),
            fault: Mutex::new(None),
        })
    }
    /// The fault behind the last failed handshake of this judge.
    pub(crate) fn fault(&self) -> Option<CertificateFault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn is_denied(&self, peer: &Peer) -> bool {
        self.denied.contains(&peer.serial)
    }
    pub(crate) fn peer(&self, leaf: &CertificateDer<'_>) -> Option<Peer> {
        read_peer(leaf, &self.organisation)
    }
    pub(crate) fn note(&self, fault: CertificateFault) -> Error {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        fault.to_tls()
    }

    /// Chain, validity, purpose and serial; the role is the caller's matter.
    pub(crate) fn chain(
        &self,
        leaf: &CertificateDer<'_>,
        required: KeyUsage,
        now: UnixTime,
    ) -> Result<Option<Peer>, CertificateFault> {
        let cert =
            webpki::EndEntityCert::try_from(leaf).map_err(|_| CertificateFault::Malformed)?;
        let peer = self.peer(leaf);
        self.verify(&cert, peer.as_ref(), required, now).map_err(fault_of)?;
        self.undenied(&cert)?;
        Ok(peer)
    }
    /// As [`Self::chain`], but a leaf that expired within `grace` passes, as good as it was at its
    /// last moment. True: it has expired.
    pub(crate) fn chain_or_lapsed(
        &self,
        leaf: &CertificateDer<'_>,
        required: KeyUsage,
        now: UnixTime,
        grace: Duration,
    ) -> Result<(Option<Peer>, bool), CertificateFault> {
        let cert =
            webpki::EndEntityCert::try_from(leaf).map_err(|_| CertificateFault::Malformed)?;
        let peer = self.peer(leaf);
        let expired = match self.verify(&cert, peer.as_ref(), required, now) {
            Ok(()) => false,
            Err(webpki::Error::CertExpired { not_after, .. })
                if now.as_secs().saturating_sub(not_after.as_secs()) <= grace.as_secs() =>
            {
                self.verify(&cert, peer.as_ref(), required, not_after).map_err(fault_of)?;
                true
            }
            Err(error) => return Err(fault_of(error)),
        };
        self.undenied(&cert)?;
        Ok((peer, expired))
    }
    fn verify(
        &self,
        cert: &webpki::EndEntityCert<'_>,
        peer: Option<&Peer>,
        required: KeyUsage,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let both = peer.is_some_and(|p| p.role != Role::Agent);
        let purpose = Purpose { required, both };
        cert.verify_for_usage(ALGORITHMS.all, &self.anchors, &[], now, purpose, None, None)
            .map(|_| ())
    }
    fn undenied(&self, cert: &webpki::EndEntityCert<'_>) -> Result<(), CertificateFault> {
        if self.denied.contains(&serial(cert.serial())) {
            return Err(CertificateFault::Withdrawn);
        }
        Ok(())
    }
}

fn fault_of(error: webpki::Error) -> CertificateFault {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::InvalidCertValidity => {
            CertificateFault::Expired
        }
        webpki::Error::CertNotValidYet { .. } => CertificateFault::NotYetValid,
        webpki::Error::CaUsedAsEndEntity => CertificateFault::CaAsLeaf,
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
            CertificateFault::Purpose
        }
        webpki::Error::BadDer => CertificateFault::Malformed,
        _ => CertificateFault::UnknownIssuer,
    }
}

/// The accepting side's view. A good certificate of the wrong role passes here and is closed with
/// a code of ours afterwards.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Everybody by one list of CAs, and nobody without a certificate.
    Members(Arc<Judge>),
    /// A desk's: each by the CAs of its role; without a certificate one may enrol.
    Guests(Arc<Reception>),
}

impl ClientCertVerifier for Admission {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = match self {
            Self::Members(judge) => {
                let judged = judge.chain(leaf, KeyUsage::client_auth(), now);
                judged.map(|_| ()).map_err(|fault| judge.note(fault))
            }
            Self::Guests(reception) => {
                let judged = reception.judge(leaf, now);
                judged.map(|_| ()).map_err(|fault| reception.note(fault))
            }
        };
        judged.map(|()| ClientCertVerified::assertion())
    }
    fn client_auth_mandatory(&self) -> bool {
        matches!(self, Self::Members(_))
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

/// The dialling side's view: a chain and who is expected, or one pinned key and nothing else.
#[derive(Debug)]
pub(crate) enum Wanted {
    Member { judge: Arc<Judge>, expect: Expect },
    Pinned { judge: Arc<Judge>, key: Digest },
}

impl Wanted {
    fn judge(&self) -> &Judge {
        match self {
            Self::Member { judge, .. } | Self::Pinned { judge, .. } => judge,
        }
    }
    fn check(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateFault> {
        match self {
            Self::Pinned { key, .. } => match spki_digest(leaf) {
                Some(digest) if digest == *key => Ok(()),
                Some(_) => Err(CertificateFault::Key),
                None => Err(CertificateFault::Malformed),
            },
            Self::Member { judge, expect } => {
                let peer = judge.chain(leaf, KeyUsage::server_auth(), now)?;
                let peer = peer.ok_or(CertificateFault::Name)?;
                if peer.role != expect.role {
                    return Err(CertificateFault::Role);
                }
                if expect.id.as_ref().is_some_and(|id| *id != peer.id) {
                    return Err(CertificateFault::Id);
                }
                if expect.key.is_some_and(|key| key != peer.key) {
                    return Err(CertificateFault::Key);
                }
                Ok(())
            }
        }
    }
}

impl ServerCertVerifier for Wanted {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.check(leaf, now);
        checked.map(|()| ServerCertVerified::assertion()).map_err(|f| self.judge().note(f))
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}
