//! Certificates for tests, good and bad.

use protocol::Time;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber, date_time_ymd,
};
use std::time::Duration;

use crate::{Identity, Role, uri};

pub(super) const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;
pub(super) const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;

#[expect(clippy::disallowed_methods, reason = "certificates of tests begin and end around now")]
pub(super) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_unix(since)
}

pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }
    pub(super) fn der(&self) -> Vec<u8> {
        self.der.clone()
    }
    pub(super) fn issue(&self, leaf: &Leaf) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = leaf.params().signed_by(&key, &self.issuer).unwrap();
        Identity { certificates: vec![certificate.der().to_vec()], key: key.serialize_der().into() }
    }
}

#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) uris: Vec<String>,
    pub(super) purposes: Vec<ExtendedKeyUsagePurpose>,
    pub(super) not_before: Time,
    pub(super) not_after: Time,
    pub(super) is_ca: bool,
    pub(super) serial: Vec<u8>,
}

impl Leaf {
    pub(super) fn of(role: Role, id: &str, purpose: ExtendedKeyUsagePurpose) -> Self {
        Self {
            uris: vec![uri("demo", role, id)],
            purposes: vec![purpose],
            not_before: now().minus(600),
            not_after: now().plus(600),
            is_ca: false,
            serial: vec![0x11, 0x22],
        }
    }
    pub(super) fn agent(id: &str) -> Self {
        Self::of(Role::Agent, id, CLIENT)
    }
    pub(super) fn endpoint(id: &str) -> Self {
        Self::of(Role::Endpoint, id, SERVER)
    }
    fn params(&self) -> CertificateParams {
        let epoch = date_time_ymd(1970, 1, 1);
        let mut params = CertificateParams::default();
        let san = |uri: &String| SanType::URI(uri.as_str().try_into().unwrap());
        params.subject_alt_names = self.uris.iter().map(san).collect();
        params.extended_key_usages = self.purposes.clone();
        params.not_before = epoch + Duration::from_secs(self.not_before.0);
        params.not_after = epoch + Duration::from_secs(self.not_after.0);
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.serial_number = Some(SerialNumber::from_slice(&self.serial));
        params
    }
    pub(super) fn machine(id: &str) -> Self {
        Self { purposes: vec![CLIENT, SERVER], ..Self::endpoint(id) }
    }
    pub(super) fn desk(id: &str) -> Self {
        Self { purposes: vec![CLIENT, SERVER], ..Self::of(Role::Desk, id, SERVER) }
    }
    pub(super) fn self_signed(&self) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = self.params().self_signed(&key).unwrap();
        Identity { certificates: vec![certificate.der().to_vec()], key: key.serialize_der().into() }
    }
}
