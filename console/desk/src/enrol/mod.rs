//! Machines and colleagues join: one token, one request, one answer, over a door that is open for
//! fifteen minutes, or at the shared desk with a token that says for how many machines it is. Private
//! keys never travel, in neither direction.
//!
//! Never admits by certificate or address: the token's secret admits once, and the request is
//! signed by the key that it names.

mod admit;
mod book;
mod door;
mod endpoint;
mod error;
mod join;
mod person;
mod renew;
mod token;
mod wave;

pub use admit::{Joined, Turned};
pub use door::{Door, Place, answer_guest};
pub(crate) use endpoint::CARD_DAYS;
pub use endpoint::EndpointGuest;
pub use error::EnrolError;
pub use join::{JoinError, join};
pub use person::AgentGuest;
pub use renew::{renewed_agent, renewed_certificate};
pub use token::ENROL_PORT;
pub use wave::{NewWave, WaveToken};

#[cfg(test)]
mod tests;
