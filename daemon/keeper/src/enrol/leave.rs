//! Leaving: this machine forgets who it was. Its account stays readable in an archive; its keys do
//! not.

use std::io;
use std::path::PathBuf;

use protocol::documents::{Card, Head};
use protocol::{EndpointName, Time};

use crate::ledger::{FolderDisk, Ledger, LedgerError};
use crate::state::{FileError, Identity, KeyName, Layout, StateError, failed, remove, sync_folder};

/// Why it did not leave.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// It was nowhere.
    #[error(transparent)]
    State(#[from] StateError),
    /// The daemon runs.
    #[error("salved is running here; stop it first: `systemctl stop salved`")]
    Running,
    /// The ledger.
    #[error("could not read the ledger; nothing was changed")]
    Ledger(#[from] LedgerError),
    /// A file.
    #[error("could not archive everything; run it again")]
    File(#[from] FileError),
}

/// What was left behind.
#[derive(Debug)]
pub struct Left {
    /// As it was called.
    pub name: EndpointName,
    /// The last record and how many there are: the desk compares.
    pub head: Head,
    /// Where ledger, card and the rest lie now.
    pub archive: PathBuf,
}

/// Archives the account, destroys the keys. The card goes last: a cut is finished by a rerun.
///
/// # Errors
/// [`LeaveError`].
pub fn leave(layout: &Layout, now: Time) -> Result<Left, LeaveError> {
    let card = match Identity::load(layout) {
        Ok(identity) => identity.card,
        // Keys that an interrupted rerun has destroyed already do not keep it here.
        Err(error) => interrupted(layout).ok_or(error)?,
    };
    let head = head(layout, now)?;
    // Ids are never reused: one archive an enrolment, the same one for a rerun.
    let archive = layout.root().join(format!("left-{}-{}", card.name, card.endpoint.short()));
    crate::state::make_folder(&archive)?;
    for key in [KeyName::Tls, KeyName::Record, KeyName::Sealing] {
        remove(&layout.key(key))?;
    }
    let parts = [
        "effects",
        "escrow",
        "plans",
        "records",
        "certificates",
        "catalogue",
        "root.json",
        "desks",
        "ledger",
        "card.json",
    ];
    for part in parts {
        let (from, to) = (layout.root().join(part), archive.join(part));
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("archive", &from)(error).into()),
        }
    }
    sync_folder(&archive)?;
    sync_folder(layout.root())?;
    Ok(Left { name: card.name, head, archive })
}

/// The card of a folder whose keys are gone.
fn interrupted(layout: &Layout) -> Option<Card> {
    if layout.key(KeyName::Record).exists() {
        return None;
    }
    let bytes = crate::state::read(&layout.card()).ok()?;
    let envelope = protocol::Envelope::read(&bytes).ok()?;
    trust::seal::peek(&envelope).ok()
}

/// The chain's end; also makes sure that no daemon writes.
fn head(layout: &Layout, now: Time) -> Result<Head, LeaveError> {
    let folder = layout.ledger();
    if !folder.exists() {
        let none = protocol::Digest([0; 32]);
        return Ok(Head { epoch: none, counter: 0, hash: none });
    }
    let disk = match FolderDisk::open(&folder) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(LeaveError::Running),
        other => other.map_err(failed("open", &folder))?,
    };
    let epoch = protocol::Digest([0; 32]);
    Ok(Ledger::open(disk, epoch, now, env!("CARGO_PKG_VERSION"))?.index.head())
}
