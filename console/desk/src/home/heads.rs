//! The newest head of each machine's records that this agent's console knows: a taken desk that keeps
//! heads to itself takes nothing away from it.
//!
//! A file a machine beside the agent's keys, strict JSON. Written without a wait for the disk: what a
//! power cut takes is seen again at the next meeting.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use evidence::HeadPapers;
use protocol::documents::{Doubt, Sighting};
use protocol::{AgentName, EndpointId, json};
use serde::{Deserialize, Serialize};

use super::files::write_soon;
use super::{FileError, Home, read};

/// A head, and what proves it to others where this console countersigned it; a record that verified
/// here shows one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// What was seen.
    pub sighting: Sighting,
    /// The proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub papers: Option<HeadPapers>,
}

/// What is known of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// The head with the most records.
    pub newest: Known,
    /// One that was shown and does not fit, or that others saw; it stays until the machine goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
}

/// The files of one agent.
#[derive(Debug, Clone)]
pub struct Heads {
    home: Home,
    folder: PathBuf,
}

impl Home {
    /// What this agent's console knows of machines' records.
    #[must_use]
    pub fn heads(&self, agent: &AgentName) -> Heads {
        Heads { home: self.clone(), folder: self.agent(agent).join("heads") }
    }
}

impl Heads {
    /// Where what is known of a machine lies.
    #[must_use]
    pub fn path(&self, endpoint: &EndpointId) -> PathBuf {
        self.folder.join(endpoint.to_string())
    }

    /// What is known of a machine.
    ///
    /// # Errors
    /// [`FileError`]; [`FileError::Damaged`] where a power cut took a part.
    pub fn of(&self, endpoint: &EndpointId) -> Result<Option<Remembered>, FileError> {
        let path = self.path(endpoint);
        let bytes = match read(&path) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let why = |bad: json::BadJson| FileError::Damaged { path, why: bad.to_string() };
        json::read(&bytes).map(Some).map_err(why)
    }

    /// The machines of which this console found that their heads do not fit.
    ///
    /// # Errors
    /// [`FileError`]; a file that a power cut took a part of is passed over: its machine is met again.
    pub fn doubts(&self) -> Result<Vec<(EndpointId, Doubt)>, FileError> {
        let fail = |source| FileError::Read { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fail)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let known = match self.of(&id) {
                Err(FileError::Damaged { .. }) => None,
                other => other?,
            };
            found.extend(known.and_then(|known| known.doubt).map(|doubt| (id, doubt)));
        }
        Ok(found)
    }

    /// Remembers a head, where it tells more than what is known, and a doubt, where there was none.
    ///
    /// # Errors
    /// [`FileError`]; what was known is known still.
    pub fn keep(
        &self,
        endpoint: &EndpointId,
        known: &Known,
        doubt: Option<&Doubt>,
    ) -> Result<(), FileError> {
        let _lock = self.home.lock()?;
        // What cannot be read is no memory any more; whoever meets the machine was told so.
        let before = self.of(endpoint).unwrap_or_default();
        let after = match before.clone() {
            None => Remembered { newest: known.clone(), doubt: doubt.cloned() },
            Some(before) => Remembered {
                newest: if more(&before.newest, known) { known.clone() } else { before.newest },
                doubt: before.doubt.or_else(|| doubt.cloned()),
            },
        };
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        let path = self.path(endpoint);
        let why =
            |bad: json::BadJson| FileError::Damaged { path: path.clone(), why: bad.to_string() };
        write_soon(&path, &json::write(&after).map_err(why)?)
    }
}

/// Whether a head tells more than the one that is known.
fn more(before: &Known, now: &Known) -> bool {
    let (one, two) = (before.sighting.head, now.sighting.head);
    if one.epoch != two.epoch {
        return now.sighting.seen >= before.sighting.seen;
    }
    two.counter > one.counter || one == two && before.papers.is_none() && now.papers.is_some()
}

#[cfg(test)]
mod tests {
    use protocol::documents::Head;
    use protocol::{Digest, Time};

    use super::*;

    const ID: EndpointId = EndpointId([1; 16]);

    fn known(epoch: u8, counter: u64, at: u64) -> Known {
        let head = Head { epoch: Digest([epoch; 32]), counter, hash: Digest([7; 32]) };
        let sighting = Sighting { head, clock: Time(at), seen: Time(at), by: None };
        Known { sighting, papers: None }
    }

    #[test]
    fn the_head_with_the_most_records_is_remembered_and_the_first_doubt_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let heads = home.heads(&"a.kaya".parse().unwrap());
        super::super::create_folder(home.path()).unwrap();
        assert_eq!(heads.of(&ID).unwrap(), None);
        let newest = || heads.of(&ID).unwrap().unwrap().newest;
        heads.keep(&ID, &known(1, 4, 100), None).unwrap();
        heads.keep(&ID, &known(1, 6, 101), None).unwrap();
        heads.keep(&ID, &known(1, 5, 102), None).unwrap();
        assert_eq!(newest(), known(1, 6, 101));
        let doubt = Doubt::between(&known(1, 6, 101).sighting, &known(1, 5, 102).sighting);
        assert!(doubt.is_some());
        heads.keep(&ID, &known(1, 5, 102), doubt.as_ref()).unwrap();
        heads.keep(&ID, &known(2, 0, 103), None).unwrap();
        assert_eq!(newest(), known(2, 0, 103), "what began anew is what it has now");
        assert_eq!(heads.of(&ID).unwrap().unwrap().doubt, doubt);
        // A half file is named, and then replaced.
        super::super::write_secret(&heads.path(&ID), b"{\"newest\":").unwrap();
        assert!(matches!(heads.of(&ID), Err(FileError::Damaged { .. })));
        heads.keep(&ID, &known(2, 1, 104), None).unwrap();
        assert_eq!(newest(), known(2, 1, 104));
    }
}
