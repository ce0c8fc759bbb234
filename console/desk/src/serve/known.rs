//! The catalogue as the desk has it now: read once, shared by everybody who asks.

use std::time::SystemTime;

use link::Trust;
use policy::Policy;
use protocol::{ScriptName, Time, limits};
use trust::catalogue::{Catalogue, Files};

use crate::catalogue::{self, CatalogueTrouble};
use crate::home::Home;
use crate::verify::Anchors;

/// Catalogue, its files and its policy, of one generation.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) catalogue: Catalogue,
    pub(super) files: Files,
    pub(super) policy: Policy,
    /// Of the files that it was read from.
    pub(super) stamp: Option<Stamp>,
}

/// When the catalogue's newest file was written, and which file that is.
pub(super) type Stamp = (SystemTime, u64);

/// The stamp of the catalogue as it lies in the home: every publication writes a timestamp anew.
pub(super) fn stamp(home: &Home) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(home.repository().join("timestamp.json")).ok()?;
    Some((found.modified().ok()?, found.ino()))
}

impl Known {
    pub(super) fn read(home: &Home, now: Time) -> Result<Self, CatalogueTrouble> {
        // Before the files: what is written while they are read is read again the next time.
        let stamp = stamp(home);
        let (catalogue, files) = (catalogue::open(home, now)?, catalogue::files(home)?);
        let policy = catalogue::policy_of(&catalogue)?;
        Ok(Self { catalogue, files, policy, stamp })
    }
    fn trust(&self, cas: &[protocol::Bytes], organisation: &str) -> Trust {
        Trust {
            cas: cas.iter().map(|der| der.0.clone()).collect(),
            organisation: organisation.to_owned(),
            denied: self.policy.denied_serials(),
            floor: self.catalogue.floor(),
        }
    }
    /// Whom the desk takes for an agent.
    pub(super) fn people(&self, organisation: &str) -> Trust {
        self.trust(&self.policy.file().cas.people, organisation)
    }
    /// Whom it takes for an endpoint.
    pub(super) fn endpoints(&self, organisation: &str) -> Trust {
        self.trust(&self.policy.file().cas.endpoints, organisation)
    }
    /// Whom filing believes of this record.
    pub(super) fn anchors(&self, record: &[u8]) -> Anchors {
        Anchors::judging(&self.policy, &self.catalogue, &self.files, record)
    }
    /// How long a script may run, seconds; the longest there is where it is not listed.
    pub(super) fn limit_seconds(&self, script: &ScriptName) -> u64 {
        match self.catalogue.latest(script).map(|entry| entry.manifest.limit_seconds) {
            Some(0) => limits::RUN_SECONDS_DEFAULT,
            Some(seconds) => seconds,
            None => limits::RUN_SECONDS_MAX,
        }
    }
}
