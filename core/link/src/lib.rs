//! How bytes travel: quinn and rustls, once; identity, dial, accept, typed streams.
//!
//! Never decides what may run: a certificate admits a connection, signatures decide. Never looks
//! into a frame. The only room that opens a network socket.
#![forbid(unsafe_code)]

mod connection;
mod dial;
mod identity;
mod listen;
mod own;
mod reception;
mod tls;
mod transport;
mod verify;

pub use connection::{Connection, LinkError, Objection, Receiving, Sending, Stream};
pub use dial::{DialError, Dialler, Line, dial, dial_desk, dial_pinned, look_up};
pub use identity::{Expect, Identity, Peer, Role, Trust, spki_digest, uri};
pub use listen::{ListenError, Listener, Rejected};
pub use own::own_address;
pub use reception::Protocol;
pub use tls::{BadIdentity, key_exchanges};
pub use verify::CertificateFault;

#[cfg(test)]
mod tests;
