//! The one place that builds a crypto provider and TLS configurations: ring, TLS 1.3 only, no
//! tickets, no resumption, no early data.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Time, limits};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, ServerConfig};

use crate::identity::Identity;
use crate::reception::Reception;
use crate::verify::{ALGORITHMS, Admission, Judge, Wanted};

/// An identity or CA that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not use this side's certificate and key")]
pub struct BadIdentity(#[source] pub(crate) rustls::Error);

/// Whether this machine can do X25519MLKEM768. Graviola ends the process at its first operation where
/// an instruction is missing, and its own check does not ask for BMI2.
fn post_quantum() -> bool {
    #[cfg(target_arch = "x86_64")]
    let can = graviola::util::is_cpu_supported() && std::arch::is_x86_feature_detected!("bmi2");
    #[cfg(target_arch = "aarch64")]
    let can = graviola::util::is_cpu_supported();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let can = false;
    can
}

/// The key exchanges that this side offers, best first: X25519MLKEM768 holds also against whoever
/// records today and has a quantum computer later. A peer that does not know it gets X25519.
fn exchanges() -> Vec<&'static dyn SupportedKxGroup> {
    let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if post_quantum() {
        groups.push(rustls_graviola::kx::X25519MLKEM768);
    }
    groups.push(rustls::crypto::ring::kx_group::X25519);
    groups
}

/// Their names, for people: `X25519MLKEM768, X25519`.
#[must_use]
pub fn key_exchanges() -> String {
    let names = exchanges().into_iter().map(|group| format!("{:?}", group.name()));
    names.collect::<Vec<_>>().join(", ")
}

/// ring's TLS 1.3 suites; ed25519 signatures only.
fn provider() -> Arc<CryptoProvider> {
    let ring = rustls::crypto::ring::default_provider();
    let tls13 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
    Arc::new(CryptoProvider {
        cipher_suites: ring.cipher_suites.iter().filter(|s| tls13(s)).copied().collect(),
        kx_groups: exchanges(),
        signature_verification_algorithms: ALGORITHMS,
        ..ring
    })
}

/// The wall clock, never earlier than the floor.
#[derive(Debug)]
pub(crate) struct FlooredClock(pub(crate) Time);

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        let floor = UnixTime::since_unix_epoch(Duration::from_secs(self.0.0));
        Some(DefaultTimeProvider.current_time().map_or(floor, |now| now.max(floor)))
    }
}

fn chain(me: &Identity) -> Vec<CertificateDer<'static>> {
    me.certificates.iter().map(|der| CertificateDer::from(der.clone())).collect()
}

fn key(me: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(me.key.to_vec()))
}

fn seal_server(mut config: ServerConfig, alpns: &[&[u8]]) -> ServerConfig {
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config
}

fn seal_client(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config
}

fn judging(
    me: &Identity,
    admission: Admission,
    floor: Time,
    alpns: &[&[u8]],
) -> Result<ServerConfig, BadIdentity> {
    let clock = Arc::new(FlooredClock(floor));
    let config = ServerConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(BadIdentity)?
        .with_client_cert_verifier(Arc::new(admission))
        .with_single_cert(chain(me), key(me))
        .map_err(BadIdentity)?;
    Ok(seal_server(config, alpns))
}

/// Accepts peers whose certificate the judge admits.
pub(crate) fn server(
    me: &Identity,
    judge: Arc<Judge>,
    floor: Time,
) -> Result<ServerConfig, BadIdentity> {
    judging(me, Admission::Members(judge), floor, &[limits::ALPN])
}

/// A desk's one port: who needs a certificate is asked again when the handshake said by which
/// protocol the peer came.
pub(crate) fn desk_server(
    me: &Identity,
    reception: Arc<Reception>,
    floor: Time,
) -> Result<ServerConfig, BadIdentity> {
    let alpns = [limits::ALPN, limits::ALPN_DESK, limits::ALPN_ENROL];
    judging(me, Admission::Guests(reception), floor, &alpns)
}

/// Accepts anybody: the enrolment token decides, and the peer pins this side's key.
pub(crate) fn enrolment_server(me: &Identity) -> Result<ServerConfig, BadIdentity> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(BadIdentity)?
        .with_no_client_auth()
        .with_single_cert(chain(me), key(me))
        .map_err(BadIdentity)?;
    Ok(seal_server(config, &[limits::ALPN_ENROL]))
}

/// Dials with or without a certificate of its own.
pub(crate) fn client(
    me: Option<&Identity>,
    wanted: Wanted,
    floor: Time,
    alpn: &[u8],
) -> Result<ClientConfig, BadIdentity> {
    let clock = Arc::new(FlooredClock(floor));
    let builder = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(BadIdentity)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(wanted));
    let config = match me {
        Some(me) => builder.with_client_auth_cert(chain(me), key(me)).map_err(BadIdentity)?,
        None => builder.with_no_client_auth(),
    };
    Ok(seal_client(config, alpn))
}
