//! A keeper's double, a house of certificates, and a peer that follows no rules.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gate::{Reader, Writer};
use hatch::{FromGate, ToGate};
use link::{Connection, Expect, Identity, Role, Trust, uri};
use protocol::{Bytes, Time, limits};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};

pub(crate) const WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, what).await.expect("nothing happened in time")
}

/// Another uid where we may become one.
pub(crate) fn ids() -> Option<(u32, u32)> {
    (std::fs::metadata("/proc/self").unwrap().uid() == 0).then_some((65534, 65534))
}

pub(crate) struct Keeper {
    pub(crate) child: Child,
    pub(crate) from_gate: Reader,
    pub(crate) to_gate: Option<Writer>,
}

impl Keeper {
    #[expect(clippy::disallowed_methods, reason = "tests start the program under test")]
    pub(crate) fn start() -> Self {
        let (gate_in, to_gate) = hatch::pipe::pair().unwrap();
        let (from_gate, gate_out) = hatch::pipe::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gate"))
            .stdin(Stdio::from(gate_in))
            .stdout(Stdio::from(gate_out))
            .spawn()
            .unwrap();
        let fds: (OwnedFd, OwnedFd) = (from_gate, to_gate);
        Self {
            child,
            from_gate: Reader::from_fd(fds.0).unwrap(),
            to_gate: Some(Writer::from_fd(fds.1).unwrap()),
        }
    }
    pub(crate) async fn say(&mut self, message: ToGate) {
        soon(self.to_gate.as_mut().unwrap().send(&message)).await.unwrap();
    }
    pub(crate) async fn hear(&mut self) -> FromGate {
        soon(self.from_gate.next()).await.unwrap().expect("the gate closed its pipe")
    }
    /// Whether the gate says anything in this time.
    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.from_gate.next::<FromGate>()).await.is_err()
    }
    pub(crate) async fn ended(mut self) -> ExitStatus {
        // Its end of the pipe closes with the process.
        let last = soon(self.from_gate.next::<FromGate>()).await.unwrap();
        assert_eq!(last, None);
        self.child.wait().unwrap()
    }
    pub(crate) fn status(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }
    pub(crate) fn issue(&self, role: Role, id: &str, serial: u8) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        self.issue_for(role, id, serial, &key.serialize_der())
    }
    /// For a key that somebody has already (PKCS#8).
    pub(crate) fn issue_for(&self, role: Role, id: &str, serial: u8, key: &[u8]) -> Identity {
        let key = KeyPair::try_from(key).unwrap();
        let mut params = CertificateParams::default();
        let name = uri("demo", role, id);
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if role != Role::Agent {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificates: vec![certificate.der().to_vec()], key: key.serialize_der().into() }
    }
}

/// A serving gate and everybody's papers.
pub(crate) struct House {
    pub(crate) keeper: Keeper,
    pub(crate) address: String,
    pub(crate) people: Ca,
    pub(crate) machines: Ca,
    /// The gate's TLS key (PKCS#8).
    pub(crate) key: Vec<u8>,
}

/// What a gate is told of desks.
pub(crate) struct Desks {
    pub(crate) addresses: Vec<String>,
    pub(crate) chance: u64,
    pub(crate) look_up: u64,
}

impl Desks {
    pub(crate) fn at(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        Self { addresses, chance: 7, look_up: limits::RESOLVE_AGAIN_SECONDS }
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with((Ca::new("people"), Ca::new("machines")), Desks::at(&[])).await
    }
    pub(crate) async fn with((people, machines): (Ca, Ca), desks: Desks) -> Self {
        let me = machines.issue(Role::Endpoint, "e1", 1);
        let mut keeper = Keeper::start();
        keeper
            .say(ToGate::Serve {
                listen: "127.0.0.1:0".into(),
                key: Bytes(me.key.to_vec()),
                certificates: me.certificates.iter().cloned().map(Bytes).collect(),
                people_ca: vec![Bytes(people.der.clone())],
                organisation: "demo".into(),
                denied: Vec::new(),
                floor: Time(0),
                ids: ids(),
                desks: desks.addresses,
                chance: desks.chance,
                redial: limits::REDIAL_SECONDS_MIN,
                look_up: desks.look_up,
            })
            .await;
        let FromGate::Ready { address, defences } = keeper.hear().await else {
            panic!("not ready")
        };
        assert!(!defences.is_empty());
        Self { keeper, address, people, machines, key: me.key.to_vec() }
    }
    pub(crate) fn trust(&self) -> Trust {
        Trust {
            cas: vec![self.machines.der.clone()],
            organisation: "demo".into(),
            denied: Vec::new(),
            floor: Time(0),
        }
    }
    pub(crate) async fn dial(&self, me: &Identity) -> Connection {
        let expect = Expect { role: Role::Endpoint, id: Some("e1".into()), key: None };
        soon(link::dial(&self.address, me, &self.trust(), &expect)).await.unwrap()
    }
    /// An agent with a serial of his own.
    pub(crate) async fn agent(&self, serial: u8) -> Connection {
        self.dial(&self.people.issue(Role::Agent, "a.kaya", serial)).await
    }
    /// QUIC without our framing: whatever bytes it likes, on streams it likes.
    pub(crate) async fn rude(&self) -> (quinn::Endpoint, quinn::Connection) {
        let me = self.people.issue(Role::Agent, "rude", 9);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(me.key.to_vec());
        let chain = me.certificates.into_iter().map(Into::into).collect();
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_client_auth_cert(chain, key.into())
            .unwrap();
        tls.alpn_protocols = vec![limits::ALPN.to_vec()];
        let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(quic));
        let address = self.address.parse().unwrap();
        let connecting = endpoint.connect_with(config, address, "salve.invalid").unwrap();
        let connection = soon(connecting).await.unwrap();
        (endpoint, connection)
    }
}

/// The rude peer does not care whom it meets.
#[derive(Debug)]
pub(crate) struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ED25519]
    }
}
