//! QUIC's first packets, made by hand: as a client makes them, and as none does.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::limits;
use rustls::Side;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Keys, Version};
use tokio::net::UdpSocket;

use crate::support::{Anybody, soon};

/// The least size of a datagram with a first packet in it.
const DATAGRAM: usize = 1200;
/// Long header, type Initial, packet numbers of four bytes.
const INITIAL: u8 = 0xc3;

/// A number as QUIC writes it, always in eight bytes.
pub(crate) fn varint(number: u64) -> Vec<u8> {
    (number | 0b11 << 62).to_be_bytes().to_vec()
}

/// A transport parameter.
pub(crate) fn parameter(id: u64, value: &[u8]) -> Vec<u8> {
    [varint(id), varint(value.len() as u64), value.to_vec()].concat()
}

/// A piece of the handshake's stream.
pub(crate) fn crypto(offset: u64, bytes: &[u8]) -> Vec<u8> {
    [vec![6], varint(offset), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// Somebody who speaks the first words of QUIC and no more.
pub(crate) struct Stranger {
    pub(crate) socket: UdpSocket,
    gate: SocketAddr,
    to: Vec<u8>,
    token: Vec<u8>,
    number: u32,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Show first that you hear us.
    Retry,
    /// The handshake goes on.
    Handshake,
    /// This version is none of ours: the answer to [`Stranger::ask`].
    Versions,
}

impl Stranger {
    /// From this address of loopback. `chance` names the connection.
    pub(crate) async fn at(address: &str, gate: &str, chance: u64) -> Self {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        let to = chance.to_be_bytes().to_vec();
        Self { socket, gate: gate.parse().unwrap(), to, token: Vec::new(), number: 0 }
    }

    /// Another connection from the same socket.
    pub(crate) fn again(&mut self, chance: u64) {
        (self.to, self.token, self.number) = (chance.to_be_bytes().to_vec(), Vec::new(), 0);
    }

    /// The name that it gives itself.
    pub(crate) fn name(&self) -> &[u8] {
        b"stranger"
    }

    /// One packet of the handshake's first kind with these frames, filled up with padding.
    pub(crate) fn initial(&mut self, frames: &[u8]) -> Vec<u8> {
        let mut header = vec![INITIAL, 0, 0, 0, 1, self.to.len() as u8];
        header.extend(&self.to);
        header.push(self.name().len() as u8);
        header.extend(self.name());
        header.extend(varint(self.token.len() as u64));
        header.extend(&self.token);
        // What follows: its length, the packet's number, the frames, the tag.
        let around = header.len() + 8 + 4 + 16;
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(DATAGRAM.saturating_sub(around)), 0);
        header.extend(varint(4 + payload.len() as u64 + 16));
        let place = header.len();
        header.extend(self.number.to_be_bytes());
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let keys = Keys::initial(Version::V1, suite, suite.quic.unwrap(), &self.to, Side::Client);
        let number = u64::from(self.number);
        self.number += 1;
        let tag = keys.local.packet.encrypt_in_place(number, &header, &mut payload).unwrap();
        let mut packet = [&header, &payload[..], tag.as_ref()].concat();
        let sample = packet[place + 4..place + 20].to_vec();
        let (first, rest) = packet.split_at_mut(1);
        let number = &mut rest[place - 1..place + 3];
        keys.local.header.encrypt_in_place(&sample, &mut first[0], number).unwrap();
        packet
    }

    /// What a client of ours says first, with these transport parameters.
    pub(crate) fn hello_with(&self, parameters: Vec<u8>) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        tls.alpn_protocols = vec![limits::ALPN.to_vec()];
        let name = ServerName::try_from("salve.invalid").unwrap();
        let version = Version::V1;
        let mut client = ClientConnection::new(Arc::new(tls), version, name, parameters).unwrap();
        let mut hello = Vec::new();
        client.write_hs(&mut hello);
        hello
    }

    /// The same with good ones.
    pub(crate) fn hello(&self) -> Vec<u8> {
        self.hello_with(parameter(0x0f, self.name()))
    }

    pub(crate) async fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, self.gate).await.unwrap();
    }

    /// Says its hello, a good one, and no more.
    pub(crate) async fn begin(&mut self) {
        let hello = crypto(0, &self.hello());
        let packet = self.initial(&hello);
        self.send(&packet).await;
    }

    /// A question that a door answers at once, whatever else it does: behind its answer everything
    /// that was sent before it has been looked at.
    pub(crate) async fn ask(&self) {
        let mut packet = vec![INITIAL, 0x1a, 0x2a, 0x3a, 0x4a, 8];
        packet.extend(&self.to);
        packet.push(0);
        packet.resize(DATAGRAM, 0);
        self.send(&packet).await;
    }

    /// The next answer; where it is a Retry, what is sent from now on shows that it was heard.
    pub(crate) async fn hear(&mut self) -> Heard {
        let mut packet = [0; 2048];
        let (len, _) = soon(self.socket.recv_from(&mut packet)).await.unwrap();
        let packet = &packet[..len];
        if packet[1..5] == [0; 4] {
            return Heard::Versions;
        }
        if packet[0] & 0xf0 != 0xf0 {
            return Heard::Handshake;
        }
        let own = 6 + usize::from(packet[5]);
        let theirs = own + 1 + usize::from(packet[own]);
        self.to = packet[own + 1..theirs].to_vec();
        self.token = packet[theirs..len - 16].to_vec();
        Heard::Retry
    }

    /// The next answer that is there already.
    pub(crate) async fn has_heard(&mut self) -> Option<Heard> {
        tokio::select! {
            biased;
            heard = self.hear() => Some(heard),
            () = std::future::ready(()) => None,
        }
    }

    /// Asks, and hears everything up to the answer.
    pub(crate) async fn until_answered(&mut self) -> Vec<Heard> {
        self.ask().await;
        let mut heard = Vec::new();
        loop {
            match self.hear().await {
                Heard::Versions => return heard,
                other => heard.push(other),
            }
        }
    }
}
