//! How a core comes to be, and what the gate must be told of trust. Never reads a file.

use std::collections::{BTreeMap, VecDeque};

use hatch::messages::{Defences, Exceptions};
use protocol::documents::Card;
use protocol::{Bytes, Envelope, Time};
use trust::Signer;
use trust::catalogue::Files;

use super::event::Stamp;
use super::update::Trusted;
use super::{Core, Identity};
use crate::ledger::Index;
use crate::plans::Plans;

/// What the driver read at start.
#[derive(Debug)]
pub struct Setup {
    /// This endpoint's card, as its enroller sealed it.
    pub card: Envelope,
    /// What the card says.
    pub card_document: Card,
    /// Signs hellos and records.
    pub signer: Box<dyn Signer>,
    /// The pinned first root.
    pub root: Vec<u8>,
    /// The trusted catalogue's files; none before the first update.
    pub files: Files,
    /// The ledger's sum.
    pub index: Index,
    /// Kept plans.
    pub plans: Plans,
    /// As in `linux`.
    pub platform: String,
    /// Version of the daemon.
    pub version: String,
    /// Defences that may be missing.
    pub exceptions: Exceptions,
    /// The keeper's own defences, for records.
    pub defences: Defences,
    /// When the certificate that the gate shows ends.
    pub certificate_ends: Time,
    /// Whether the reserve on disk is whole.
    pub reserve: bool,
    /// Both clocks.
    pub now: Stamp,
}

/// What the gate is told of trust, at start and after every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateTrust {
    /// CA of agents and desks (DER).
    pub people_ca: Vec<Bytes>,
    /// Withdrawn certificate serials.
    pub denied: Vec<Bytes>,
    /// Organisation's name in the URI SAN.
    pub organisation: String,
    /// Time floor.
    pub floor: Time,
}

impl Core {
    /// A core over what the driver read. Feed it `Begin` next.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let opened = Trusted::open(&setup.files, &setup.root, setup.now.wall);
        let (trusted, distrust) = match opened {
            Ok(trusted) => (Some(trusted), None),
            Err(distrust) => (None, Some(distrust)),
        };
        let id = Identity {
            card_digest: setup.card.digest(),
            card_envelope: Bytes(setup.card.write().unwrap_or_default()),
            card: setup.card_document,
            signer: setup.signer,
            platform: setup.platform,
            version: setup.version,
            exceptions: setup.exceptions,
            certificate_ends: setup.certificate_ends,
            defences: setup.defences,
        };
        Self {
            id,
            root: setup.root,
            files: setup.files,
            trusted,
            distrust,
            index: setup.index,
            plans: setup.plans,
            boot: setup.now,
            sessions: BTreeMap::new(),
            staging: None,
            storing: None,
            renewing: None,
            gate_ready: false,
            gate_slow: false,
            gate_defences: Defences::new(),
            runs: BTreeMap::new(),
            queue: VecDeque::new(),
            untidied: BTreeMap::new(),
            fetching: 0,
            lost: BTreeMap::new(),
            orders: BTreeMap::new(),
            refusals: BTreeMap::new(),
            mismatches: VecDeque::new(),
            asks: VecDeque::new(),
            unsealed: 0,
            reserve: setup.reserve,
            spare: None,
            draining: false,
            stopped: false,
        }
    }

    /// What the gate must believe now; none before a catalogue is trusted.
    #[must_use]
    pub fn gate_trust(&self, now: Stamp) -> Option<GateTrust> {
        let policy = &self.trusted.as_ref()?.policy;
        Some(GateTrust {
            people_ca: policy.file().cas.people.clone(),
            denied: policy.denied_serials().into_iter().map(Bytes).collect(),
            organisation: policy.organisation().to_owned(),
            floor: self.floor(now),
        })
    }
}
