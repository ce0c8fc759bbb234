//! An evidence bundle: all that judging a ticket's runs takes, in one file. Never holds a secret.
//!
//! One line, `salve evidence 1 sha256 HEX`, then strict JSON of [`Bundle`] to the end of the file: see
//! [`protocol::headed`].

use std::collections::{BTreeMap, BTreeSet};

use protocol::documents::{CatalogueVersions, Dispatch};
use protocol::limits::{EVIDENCE_BYTES_MAX, EVIDENCE_LINKS_MAX, EVIDENCE_RUNS_MAX};
use protocol::{Bytes, Digest, Envelope, Erased, RunId, TicketId, Time, headed, json};
use serde::{Deserialize, Serialize};
use trust::catalogue::{Catalogue, Files, is_plain};

use crate::heads::HeadPapers;
use crate::papers::{Papers, peek_record};

const MAGIC: &str = "salve evidence 1 sha256 ";

/// One ticket's runs with what they are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Whose, as its policy writes it.
    pub organisation: String,
    /// Which ticket.
    pub ticket: TicketId,
    /// When it was written, by the clock of whoever did.
    pub made: Time,
    /// The papers of every run, oldest first.
    pub runs: Vec<RunPapers>,
    /// Runs of the ticket that have no record.
    pub unanswered: Vec<RunId>,
    /// Files of the catalogue: the roots, what decided each run, and what was in force at the end.
    pub catalogue: BTreeMap<String, Bytes>,
}

/// The papers of one run, byte for byte; see [`Papers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPapers {
    /// The record's envelope.
    pub record: Bytes,
    /// The order's envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Bytes>,
    /// The dispatch's envelope, unless secrets travelled in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Bytes>,
    /// Envelopes of approvals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Bytes>,
    /// The card's envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Bytes>,
    /// The effects file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Bytes>,
    /// SHA-256 of each line of it, to find the one that was altered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effect_lines: Vec<Digest>,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Bytes>,
    /// The record before it in the endpoint's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Bytes>,
    /// The record after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Bytes>,
    /// The next head of the chain that a person countersigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadPapers>,
    /// The records behind `after` up to that head, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Bytes>,
    /// When and why what is missing was erased, by the word of the desk that kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erased>,
}

/// Why a file is no evidence bundle.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// Larger than any.
    #[error("bundle of {0} bytes is larger than {EVIDENCE_BYTES_MAX}")]
    TooLarge(usize),
    /// Another file, or a version that is not known here.
    #[error("it does not begin as an evidence bundle of version 1")]
    Head,
    /// Not the JSON of a bundle.
    #[error("what it holds cannot be read")]
    Shape(#[source] json::BadJson),
    /// More runs than any ticket has, or none.
    #[error("bundle of {0} runs: it takes 1 to {EVIDENCE_RUNS_MAX}")]
    Runs(usize),
    /// Two of one run.
    #[error("a run is in it twice")]
    Twice,
    /// A longer way to a head than any reader goes.
    #[error("it has more than {EVIDENCE_LINKS_MAX} records between a run and a head")]
    Links,
    /// A file name that no catalogue has.
    #[error("it names a file that no catalogue has")]
    Name,
}

/// A bundle that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What is in it.
    pub bundle: Bundle,
    /// Whether it is the file that was written, to the byte.
    pub intact: bool,
}

/// The SHA-256 of every line, with its line end.
pub(crate) fn lines_of(effects: &[u8]) -> impl Iterator<Item = Digest> + '_ {
    effects.split_inclusive(|byte| *byte == b'\n').map(Digest::of)
}

impl RunPapers {
    /// What may leave the house: neither a secret's sealed bytes nor a dispatch that carries some.
    #[must_use]
    pub fn public(papers: Papers, approvals: Vec<Bytes>) -> Self {
        let carries = |bytes: &Vec<u8>| {
            let dispatch = Envelope::read(bytes).ok();
            let dispatch = dispatch.and_then(|e| trust::seal::peek::<Dispatch>(&e).ok());
            dispatch.is_none_or(|dispatch| dispatch.secrets.is_some())
        };
        Self {
            record: Bytes(papers.record),
            order: papers.order.map(Bytes),
            dispatch: papers.dispatch.filter(|bytes| !carries(bytes)).map(Bytes),
            approvals,
            card: papers.card.map(Bytes),
            effect_lines: papers.effects.iter().flat_map(|bytes| lines_of(bytes)).collect(),
            effects: papers.effects.map(Bytes),
            plan: papers.plan.map(Bytes),
            before: papers.before.map(Bytes),
            after: papers.after.map(Bytes),
            head: papers.head,
            links: papers.links.into_iter().map(Bytes).collect(),
            erased: papers.erased,
        }
    }

    pub(crate) fn papers(&self) -> Papers {
        let bytes = |given: &Option<Bytes>| given.as_ref().map(|bytes| bytes.0.clone());
        Papers {
            record: self.record.0.clone(),
            order: bytes(&self.order),
            dispatch: bytes(&self.dispatch),
            effects: bytes(&self.effects),
            plan: bytes(&self.plan),
            escrow: None,
            card: bytes(&self.card),
            before: bytes(&self.before),
            after: bytes(&self.after),
            head: self.head.clone(),
            links: self.links.iter().map(|link| link.0.clone()).collect(),
            erased: self.erased,
        }
    }
}

impl Bundle {
    /// The generations that decided its runs, each once.
    #[must_use]
    pub fn generations(runs: &[RunPapers]) -> Vec<CatalogueVersions> {
        let mut all: Vec<CatalogueVersions> = Vec::new();
        for run in runs {
            if let Some((record, _)) = peek_record(&run.record.0) {
                let used = record.predicate.catalogue;
                if !all.contains(&used) {
                    all.push(used);
                }
            }
        }
        all
    }

    /// The files of a catalogue that judging these runs takes; `today` is what is in force.
    #[must_use]
    pub fn catalogue_of(
        runs: &[RunPapers],
        today: CatalogueVersions,
        all: &Files,
    ) -> BTreeMap<String, Bytes> {
        let mut generations = Self::generations(runs);
        generations.push(today);
        let files = Catalogue::evidence(all, &generations);
        files.0.into_iter().map(|(name, bytes)| (name, Bytes(bytes))).collect()
    }

    /// The file.
    ///
    /// # Errors
    /// [`BadBundle`] where no reader would take it.
    pub fn write(&self) -> Result<Vec<u8>, BadBundle> {
        self.check()?;
        let body = json::write(self).map_err(BadBundle::Shape)?;
        let file = headed::write(MAGIC, &body);
        if file.len() > EVIDENCE_BYTES_MAX {
            return Err(BadBundle::TooLarge(file.len()));
        }
        Ok(file)
    }

    /// Reads a file. One that is not as it was written is read all the same, so that what was altered
    /// can be named.
    ///
    /// # Errors
    /// [`BadBundle`].
    pub fn read(file: &[u8]) -> Result<Opened, BadBundle> {
        if file.len() > EVIDENCE_BYTES_MAX {
            return Err(BadBundle::TooLarge(file.len()));
        }
        let (body, intact) = headed::read(MAGIC, file).ok_or(BadBundle::Head)?;
        let bundle: Self = json::read(body).map_err(BadBundle::Shape)?;
        bundle.check()?;
        Ok(Opened { bundle, intact })
    }

    fn check(&self) -> Result<(), BadBundle> {
        if self.runs.is_empty() || self.runs.len() > EVIDENCE_RUNS_MAX {
            return Err(BadBundle::Runs(self.runs.len()));
        }
        let mut seen = BTreeSet::new();
        if !self.runs.iter().all(|run| seen.insert(Digest::of(&run.record.0))) {
            return Err(BadBundle::Twice);
        }
        if self.runs.iter().any(|run| run.links.len() > EVIDENCE_LINKS_MAX) {
            return Err(BadBundle::Links);
        }
        if !self.catalogue.keys().all(|name| is_plain(name)) {
            return Err(BadBundle::Name);
        }
        Ok(())
    }
}
