//! Why a stream or a session ends without a record: a closed list.

use minicbor::{Decode, Encode};

/// Why a stream or session ends without a record. Also the application's error code in QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum Stop {
    /// No common session version.
    #[error("no common protocol version")]
    #[n(1)]
    Version,
    /// A frame longer than the limit, empty, or not CBOR of a known message.
    #[error("bad frame")]
    #[n(2)]
    Frame,
    /// A known message at the wrong time.
    #[error("message in the wrong state")]
    #[n(3)]
    State,
    /// No hello in time.
    #[error("no hello in time")]
    #[n(4)]
    Late,
    /// The peer's certificate has a role that is not served here.
    #[error("role not served here")]
    #[n(5)]
    Role,
    /// The peer's certificate was withdrawn.
    #[error("certificate withdrawn")]
    #[n(6)]
    Withdrawn,
    /// The seals did not open: no agent that policy knows signed this.
    #[error("no agent signed this")]
    #[n(7)]
    Seal,
    /// Too much of it.
    #[error("too many requests")]
    #[n(8)]
    Rate,
    /// The daemon is stopping.
    #[error("shutting down")]
    #[n(9)]
    Drain,
    /// No such run here.
    #[error("no such run here")]
    #[n(10)]
    NoRun,
    /// The daemon could not go on; its journal says why.
    #[error("the endpoint's daemon has a fault; see its journal")]
    #[n(11)]
    Fault,
    /// The recall is not by somebody who may.
    #[error("not yours to recall")]
    #[n(12)]
    NotYours,
    /// The catalogue is expired or missing and nothing but an update is served.
    #[error("the catalogue here has expired; send an update first")]
    #[n(13)]
    Stale,
    /// The enrolment token is unknown, used or expired.
    #[error("the token is unknown, used or expired")]
    #[n(14)]
    Token,
    /// A machine of this name is there already: a person at the desk must say which is meant.
    #[error("a machine of this name is known there; a person at the desk must say which is meant")]
    #[n(15)]
    Held,
}

impl Stop {
    /// The QUIC application error code.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Version => 1,
            Self::Frame => 2,
            Self::State => 3,
            Self::Late => 4,
            Self::Role => 5,
            Self::Withdrawn => 6,
            Self::Seal => 7,
            Self::Rate => 8,
            Self::Drain => 9,
            Self::NoRun => 10,
            Self::Fault => 11,
            Self::NotYours => 12,
            Self::Stale => 13,
            Self::Token => 14,
            Self::Held => 15,
        }
    }
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Version,
        Self::Frame,
        Self::State,
        Self::Late,
        Self::Role,
        Self::Withdrawn,
        Self::Seal,
        Self::Rate,
        Self::Drain,
        Self::NoRun,
        Self::Fault,
        Self::NotYours,
        Self::Stale,
        Self::Token,
        Self::Held,
    ];
    /// The meaning of a QUIC application error code.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|stop| u64::from(stop.code()) == code)
    }
}
