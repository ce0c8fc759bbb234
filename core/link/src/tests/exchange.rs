//! Which key exchange two sides agree on, over TLS without a network: quinn does not tell.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, NamedGroup, ServerConnection};

use super::*;
use crate::tls;
use crate::verify::Wanted;

/// Lets two sides speak until both are done, and says what they agreed on.
fn agreed(client: rustls::ClientConfig, server: rustls::ServerConfig) -> NamedGroup {
    let name = ServerName::try_from("salve").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    let groups = [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()];
    let [ours, theirs] = groups.map(|group| group.unwrap().name());
    assert_eq!(ours, theirs);
    ours
}

/// The same provider with X25519 alone, as of a machine that can do no more.
fn old(provider: &rustls::crypto::CryptoProvider) -> Arc<rustls::crypto::CryptoProvider> {
    let groups = vec![rustls::crypto::ring::kx_group::X25519];
    Arc::new(rustls::crypto::CryptoProvider { kx_groups: groups, ..provider.clone() })
}

#[test]
fn both_sides_agree_on_the_hybrid_exchange_and_on_x25519_with_whoever_cannot() {
    let desk = Ca::new("people").issue(&Leaf::endpoint("e1"));
    let pin = crate::spki_digest(&desk.certificates[0]).unwrap();
    let server = || tls::enrolment_server(&desk).unwrap();
    let client = || {
        let judge = Arc::new(crate::verify::Judge::new(&trust(&Ca::new("people"))).unwrap());
        let wanted = Wanted::Pinned { judge, key: pin };
        tls::client(None, wanted, Time(0), protocol::limits::ALPN_ENROL).unwrap()
    };
    let best = match crate::key_exchanges().as_str() {
        "X25519MLKEM768, X25519" => NamedGroup::X25519MLKEM768,
        "X25519" => NamedGroup::X25519,
        other => panic!("{other}"),
    };
    assert_eq!(agreed(client(), server()), best);
    let provider = old(client().crypto_provider());
    let no_better = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(desk.key.to_vec());
    let chain = vec![desk.certificates[0].clone().into()];
    let mut no_better = no_better.with_single_cert(chain, key.into()).unwrap();
    no_better.alpn_protocols = vec![protocol::limits::ALPN_ENROL.to_vec()];
    assert_eq!(agreed(client(), no_better), NamedGroup::X25519);
}
