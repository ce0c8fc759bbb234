//! The two CAs: `people` signs agents and desks, `endpoints` signs endpoints. Never the other way.

use std::fmt;

use protocol::{AgentName, EndpointId, Label, Time};
use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::error::CertError;
use crate::leaf::{self, HolderKey, Leaf, Profile};
use crate::read;

/// Whom a CA speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Agents and desks: endpoints admit them.
    People,
    /// Endpoints: agents and desks admit them.
    Endpoints,
}

impl Kind {
    /// The word in the CA's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Endpoints => "endpoints",
        }
    }
}

/// A CA with its private key.
pub struct Ca {
    kind: Kind,
    organisation: String,
    certificate: Vec<u8>,
    key: KeyPair,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({} of {}, key hidden)", self.kind.word(), self.organisation)
    }
}

fn key_pair(kind: Kind, pkcs8: &[u8]) -> Result<KeyPair, CertError> {
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)
        .map_err(|e| CertError::PrivateKey(kind.word(), e))
}

impl Ca {
    /// Makes a CA: self-signed, path length 0, KeyCertSign and CRLSign, explicit validity.
    ///
    /// `organisation` is the id in URIs (a-z 0-9 . _ -), `pkcs8` an ed25519 key (DER).
    ///
    /// # Errors
    /// [`CertError`] names the part that cannot be.
    pub fn create(
        kind: Kind,
        organisation: &str,
        pkcs8: &[u8],
        serial: [u8; 16],
        not_before: Time,
        not_after: Time,
    ) -> Result<Self, CertError> {
        let bad = || CertError::Organisation(organisation.chars().take(80).collect());
        organisation.parse::<Label>().map_err(|_| bad())?;
        let key = key_pair(kind, pkcs8)?;
        let name = format!("{organisation} {} CA", kind.word());
        let mut params = leaf::base(&name, organisation, serial, (not_before, not_after))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(CertError::Sign)?.der().to_vec();
        Ok(Self { kind, organisation: organisation.to_owned(), certificate, key })
    }

    /// Takes up a CA whose certificate (DER) and key (PKCS#8 DER) were kept.
    ///
    /// # Errors
    /// [`CertError::WrongCa`] where the two do not belong together or the kind is another.
    pub fn load(kind: Kind, certificate: &[u8], pkcs8: &[u8]) -> Result<Self, CertError> {
        let wrong = |why| CertError::WrongCa { wanted: kind.word(), why };
        let key = key_pair(kind, pkcs8)?;
        let facts = read::read(certificate)?;
        if !facts.is_ca {
            return Err(wrong("it is no CA"));
        }
        if facts.common_name != format!("{} {} CA", facts.organisation, kind.word()) {
            return Err(wrong("it has another name"));
        }
        if facts.spki != key.subject_public_key_info() {
            return Err(wrong("the private key is not its own"));
        }
        let organisation = facts.organisation;
        Ok(Self { kind, organisation, certificate: certificate.to_vec(), key })
    }

    /// The CA's own certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
    /// Whom it speaks for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
    /// The organisation's id.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// An agent's certificate, DER; by the people CA only.
    ///
    /// # Errors
    /// [`CertError`] names what is wrong with the request.
    pub fn issue_agent(
        &self,
        spki: &[u8],
        id: &AgentName,
        serial: [u8; 16],
        not_before: Time,
        not_after: Time,
    ) -> Result<Vec<u8>, CertError> {
        let id = id.as_str();
        self.issue(Profile::Agent, &Leaf { spki, id, serial, not_before, not_after })
    }

    /// A desk's certificate, DER; by the people CA only.
    ///
    /// # Errors
    /// [`CertError`] names what is wrong with the request.
    pub fn issue_desk(
        &self,
        spki: &[u8],
        id: &str,
        serial: [u8; 16],
        not_before: Time,
        not_after: Time,
    ) -> Result<Vec<u8>, CertError> {
        self.issue(Profile::Desk, &Leaf { spki, id, serial, not_before, not_after })
    }

    /// An endpoint's certificate, DER; by the endpoints CA only.
    ///
    /// # Errors
    /// [`CertError`] names what is wrong with the request.
    pub fn issue_endpoint(
        &self,
        spki: &[u8],
        id: &EndpointId,
        serial: [u8; 16],
        not_before: Time,
        not_after: Time,
    ) -> Result<Vec<u8>, CertError> {
        let id = id.to_string();
        self.issue(Profile::Endpoint, &Leaf { spki, id: &id, serial, not_before, not_after })
    }

    /// A leaf of any profile that this CA signs.
    ///
    /// # Errors
    /// [`CertError::WrongCa`] for a profile of the other CA; else what is wrong with the request.
    pub fn issue(&self, profile: Profile, leaf: &Leaf<'_>) -> Result<Vec<u8>, CertError> {
        let wanted = match profile {
            Profile::Agent | Profile::Desk => Kind::People,
            Profile::Endpoint => Kind::Endpoints,
        };
        if wanted != self.kind {
            let why = "this profile is signed by the other CA";
            return Err(CertError::WrongCa { wanted: wanted.word(), why });
        }
        let holder = HolderKey::read(leaf.spki)?;
        let params = leaf::params(profile, &self.organisation, leaf)?;
        let name = format!("{} {} CA", self.organisation, self.kind.word());
        // Only the issuer's name and the way its key identifier is made are taken from these.
        let validity = (leaf.not_before, leaf.not_after);
        let issuer = leaf::base(&name, &self.organisation, leaf.serial, validity)?;
        let issuer = Issuer::from_params(&issuer, &self.key);
        Ok(params.signed_by(&holder, &issuer).map_err(CertError::Sign)?.der().to_vec())
    }
}
