//! Hello: an endpoint says, under its record key, what it is, what it trusts, and its challenge.

use serde::{Deserialize, Serialize};

use crate::{Digest, PayloadType, Time, limits};

/// Versions of the catalogue's roles, zero where a role is not there.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct CatalogueVersions {
    /// TUF root.
    #[n(0)]
    pub root: u64,
    /// TUF timestamp.
    #[n(1)]
    pub timestamp: u64,
    /// TUF snapshot.
    #[n(2)]
    pub snapshot: u64,
    /// Top-level targets.
    #[n(3)]
    pub targets: u64,
    /// Role `policy`.
    #[n(4)]
    pub policy: u64,
    /// Role `risk-low`.
    #[n(5)]
    pub risk_low: u64,
    /// Role `risk-medium`.
    #[n(6)]
    pub risk_medium: u64,
    /// Role `risk-high`.
    #[n(7)]
    pub risk_high: u64,
}

impl CatalogueVersions {
    /// Role names beside their versions, in the order they are compared.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("root", self.root),
            ("timestamp", self.timestamp),
            ("snapshot", self.snapshot),
            ("targets", self.targets),
            ("policy", self.policy),
            ("risk-low", self.risk_low),
            ("risk-medium", self.risk_medium),
            ("risk-high", self.risk_high),
        ]
    }
    /// What people sign for: without snapshot and timestamp, which are the desk's own.
    #[must_use]
    pub const fn lists(self) -> Self {
        Self { snapshot: 0, timestamp: 0, ..self }
    }
    /// The first role in which `self` is older than `wanted`: role, version here, version wanted.
    #[must_use]
    pub fn behind(&self, wanted: &Self) -> Option<(&'static str, u64, u64)> {
        let pairs = self.named().into_iter().zip(wanted.named());
        pairs
            .map(|((role, have), (_, want))| (role, have, want))
            .find(|(_, have, want)| have < want)
    }
}

/// The head of the chain of records.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Made anew whenever a ledger begins; a lost ledger shows as a new epoch.
    #[n(0)]
    pub epoch: Digest,
    /// Records written in this epoch.
    #[n(1)]
    pub counter: u64,
    /// SHA-256 of the last record's payload; the epoch itself where there is none.
    #[n(2)]
    pub hash: Digest,
}

/// First thing an endpoint sends on a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Digest of the card that travels beside it.
    pub card: Digest,
    /// Session protocol versions taken.
    pub protocol_min: u32,
    /// Session protocol versions taken.
    pub protocol_max: u32,
    /// Newest document version taken; the one before is taken too.
    pub documents_max: u32,
    /// What it trusts.
    pub catalogue: CatalogueVersions,
    /// Head of its records.
    pub head: Head,
    /// Its clock.
    pub clock: Time,
    /// 32 random bytes by the keeper, one per session; dies with it or after 60 s unused.
    pub challenge: Digest,
    /// Version of the daemon.
    pub version: String,
}

impl PayloadType for Hello {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.hello.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}
