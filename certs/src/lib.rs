//! Certificate authorities, the three leaf profiles, certificates. X.509 opens the QUIC door only.
//!
//! Never decides who may do what (signatures do), never reads a clock, never makes chance, never
//! touches a file. Every key is ed25519; a certificate for any other key is refused.
#![forbid(unsafe_code)]

mod ca;
mod error;
mod leaf;
mod read;

pub use ca::{Ca, Kind};
pub use error::CertError;
pub use leaf::{Leaf, Profile};
pub use read::{Facts, from_pem, read, signed_part, spki_of, to_pem};

/// An agent's certificate, days: renewed by the console that holds the CA, or by the shared desk.
pub const AGENT_DAYS: u64 = 30;
/// An endpoint's certificate, days.
pub const ENDPOINT_DAYS: u64 = 90;
/// The desk's certificate, days.
pub const DESK_DAYS: u64 = 90;
/// A CA's certificate, days: it is withdrawn by policy, not by waiting.
pub const CA_DAYS: u64 = 3650;
/// Seconds of a day.
pub const DAY: u64 = 86_400;

const _: () = assert!(AGENT_DAYS < ENDPOINT_DAYS && ENDPOINT_DAYS < CA_DAYS);

#[cfg(test)]
mod tests;
