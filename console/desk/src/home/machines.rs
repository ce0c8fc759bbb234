//! Which keys each machine showed when this agent's console first met it.
//!
//! A card is signed by an enroller, and an enroller's key lies on the desk's host (decision 0023). Ids
//! are never reused and a machine's keys never change under its id, so a second key under one id is a
//! forgery whoever signed it; and a name passes to another machine only where policy, which the desk
//! cannot sign, denies the card of the one before.
//!
//! A text file beside the agent's keys, a line a machine, as `known_hosts` is for ssh:
//! id, name, record key, SHA-256 of the sealing key, the card's serial, when it was first met.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use evidence::{Met, Stranger, recognise};
use protocol::documents::Card;
use protocol::{AgentName, EndpointId, EndpointName, Time};

use super::files::open_private;
use super::{FileError, Home};

/// Largest file that is read: about 300,000 machines.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a card is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    /// It contradicts what is known.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// What is known cannot be read, or not be written down.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The file of one agent.
#[derive(Debug, Clone)]
pub struct Machines {
    home: Home,
    path: PathBuf,
}

impl Home {
    /// What this agent's console knows of machines.
    #[must_use]
    pub fn machines(&self, agent: &AgentName) -> Machines {
        Machines { home: self.clone(), path: self.agent(agent).join("machines") }
    }
}

impl Machines {
    /// The whole lines of the file, and how many bytes they are; a line that a crash cut off was
    /// never known.
    fn text(&self) -> Result<(String, u64), FileError> {
        let fail = |source| FileError::Read { path: self.path.clone(), source };
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => {
                file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail(e)),
        }
        // What is behind the limit would be cut off by the next machine.
        if u64::try_from(text.len()).is_ok_and(|len| len >= FILE_BYTES_MAX) {
            let why = format!("it is larger than {FILE_BYTES_MAX} bytes");
            return Err(FileError::Damaged { path: self.path.clone(), why });
        }
        text.truncate(text.rfind('\n').map_or(0, |end| end.saturating_add(1)));
        let whole = u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok((text, whole))
    }

    /// The machines of these lines of which the first two words, id and name, are wanted.
    fn met(&self, text: &str, wanted: impl Fn(&str, &str) -> bool) -> Result<Vec<Met>, FileError> {
        let damaged = |number: usize| FileError::Damaged {
            path: self.path.clone(),
            why: format!(
                "line {} is not id, name, two keys, serial and time",
                number.saturating_add(1)
            ),
        };
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(' ');
            let (id, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if wanted(id, name) {
                found.push(Met::read(line).ok_or_else(|| damaged(number))?);
            }
        }
        Ok(found)
    }

    /// Every machine that is known.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn all(&self) -> Result<Vec<Met>, FileError> {
        self.met(&self.text()?.0, |_, _| true)
    }

    /// What was met under this id, or this name.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn under(&self, id: &EndpointId, name: &EndpointName) -> Result<Vec<Met>, FileError> {
        self.under_in(&self.text()?.0, id, name)
    }

    fn under_in(
        &self,
        text: &str,
        id: &EndpointId,
        name: &EndpointName,
    ) -> Result<Vec<Met>, FileError> {
        let shown = id.to_string();
        self.met(text, |id, named| id == shown || named == name.as_str())
    }

    /// Holds a card against what is known, and remembers nothing; whether its machine is known.
    ///
    /// # Errors
    /// [`Unmet`].
    pub fn hold(&self, card: &Card, denied: impl Fn(u64) -> bool) -> Result<bool, Unmet> {
        let met = self.under(&card.endpoint, &card.name)?;
        Ok(recognise(&met, card, denied)?)
    }

    /// Holds the card of a machine that was met against what is known, and remembers it.
    ///
    /// # Errors
    /// [`Unmet`]; nothing is remembered then.
    pub fn meet(&self, card: &Card, denied: impl Fn(u64) -> bool, now: Time) -> Result<(), Unmet> {
        if self.hold(card, &denied)? {
            return Ok(());
        }
        // Another command may have met it in between.
        let _lock = self.home.lock()?;
        let (text, whole) = self.text()?;
        let met = self.under_in(&text, &card.endpoint, &card.name)?;
        if recognise(&met, card, denied)? {
            return Ok(());
        }
        let append = || -> io::Result<()> {
            let mut file = open_private(&self.path)?;
            file.set_len(whole)?;
            file.seek(io::SeekFrom::Start(whole))?;
            file.write_all(Met::of(card, now).line().as_bytes())?;
            file.sync_all()
        };
        append().map_err(|source| FileError::Write { path: self.path.clone(), source }.into())
    }
}

#[cfg(test)]
mod tests {
    use protocol::documents::SealingKey;
    use protocol::{Bytes, Digest, PublicKey};

    use super::super::write_secret;
    use super::*;

    fn now() -> Time {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn card(id: u8, name: &str, key: u8) -> Card {
        Card {
            endpoint: EndpointId([id; 16]),
            name: name.parse().unwrap(),
            tls_key: Digest([1; 32]),
            record_key: PublicKey([key; 32]),
            sealing_key: SealingKey { algorithm: "x".to_owned(), key: Bytes(vec![key; 8]) },
            labels: std::collections::BTreeMap::new(),
            serial: u64::from(id),
            issued: now(),
            not_after: now().plus(60),
        }
    }

    fn none(_: u64) -> bool {
        false
    }

    fn machines() -> (tempfile::TempDir, Machines) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let me: AgentName = "a.kaya".parse().unwrap();
        super::super::create_folder(&home.agent(&me)).unwrap();
        (dir, home.machines(&me))
    }

    fn stranger(met: Result<(), Unmet>) -> Stranger {
        match met {
            Err(Unmet::Stranger(stranger)) => stranger,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_is_known_by_the_keys_that_it_showed_first() {
        let (_dir, machines) = machines();
        machines.meet(&card(1, "pc", 1), none, now()).unwrap();
        machines.meet(&card(2, "other", 2), none, now()).unwrap();
        machines.meet(&card(1, "pc", 1), none, now().plus(9)).unwrap();
        assert_eq!(machines.all().unwrap().len(), 2);
        let mut forged = card(1, "pc", 1);
        forged.sealing_key.key = Bytes(vec![9; 8]);
        for forged in [card(1, "pc", 3), card(1, "elsewhere", 3), forged] {
            let since = Stranger::Keys { name: "pc".parse().unwrap(), since: now() };
            assert_eq!(stranger(machines.meet(&forged, none, now().plus(9))), since);
        }
        assert_eq!(machines.all().unwrap().len(), 2);
    }

    #[test]
    fn a_name_passes_on_when_policy_denies_the_card_of_the_one_before() {
        let (_dir, machines) = machines();
        machines.meet(&card(1, "pc", 1), none, now()).unwrap();
        let anew = card(2, "pc", 2);
        let met = machines.meet(&anew, |serial| serial == 7, now());
        let before = Stranger::Machine { name: "pc".parse().unwrap(), since: now(), serial: 1 };
        assert_eq!(stranger(met), before);
        machines.meet(&anew, |serial| serial == 1, now().plus(9)).unwrap();
        // Records of the one before are those of a machine that is known, whatever came after it.
        let met = machines.all().unwrap();
        assert_eq!(recognise(&met, &card(1, "pc", 1), |serial| serial == 1), Ok(true));
        // One that stood there before this console met anybody was denied then.
        assert_eq!(recognise(&met, &card(9, "pc", 9), |serial| serial == 9), Ok(false));
        assert!(recognise(&met, &card(9, "pc", 9), none).is_err());
    }

    #[test]
    fn a_line_that_was_cut_off_was_never_known_and_a_damaged_one_is_named() {
        let (_dir, machines) = machines();
        machines.meet(&card(1, "pc", 1), none, now()).unwrap();
        let whole = std::fs::read_to_string(&machines.path).unwrap();
        let cut: String = whole.chars().take(70).collect();
        write_secret(&machines.path, format!("{whole}{cut}").as_bytes()).unwrap();
        machines.meet(&card(2, "other", 2), none, now()).unwrap();
        assert_eq!(machines.all().unwrap().len(), 2);
        write_secret(&machines.path, whole.replace(" pc ", " pc  ").as_bytes()).unwrap();
        let error = machines.meet(&card(1, "pc", 1), none, now()).unwrap_err();
        assert!(
            matches!(&error, Unmet::File(FileError::Damaged { why, .. }) if why.contains("line 1 "))
        );
        // Whose line it is not is not stopped by it.
        machines.meet(&card(2, "other", 2), none, now()).unwrap();
    }
}
