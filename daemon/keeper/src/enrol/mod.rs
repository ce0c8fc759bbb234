//! Enrolment: keys are made here and never leave, one signed request, an answer that must prove
//! itself. Never half: the card is written last, and a rerun finishes what was cut.

mod answer;
mod image;
mod leave;
mod pending;

use std::path::Path;

use hatch::{FromGate, ProbeStep, ToGate};
use protocol::documents::{EnrolRequest, Token};
use protocol::frames::{EnrolFrame, FrameError, Stop, decode};
use protocol::{Bytes, EndpointName, NamePatterns, Time, limits};
use trust::catalogue::Files;
use trust::{SealingSecret, Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::spawn::{self, StartError};
use crate::state::{FileError, Layout, spki};

pub use answer::Untrusted;
pub use image::{AGAIN, ImageError, first_start, join_at_first_start, prepare};
pub use leave::{LeaveError, Left, leave};
pub use pending::Pending;

/// Why this machine is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// It is already.
    #[error("already enrolled as {0}; `salved leave` first, if it should belong elsewhere")]
    Already(String),
    /// The line is for machines of other names.
    #[error(
        "this machine calls itself `{host}` and the line is for machines named {names}; give it \
         such a name (hostnamectl hostname NAME), or ask for a line of its own"
    )]
    HostName {
        /// What it calls itself.
        host: String,
        /// Whom the line is for.
        names: NamePatterns,
    },
    /// One of its name is there already.
    #[error(
        "the desk knows a machine named `{0}` already; ask the help desk which one is meant (salve \
         endpoints held), then run the same line again"
    )]
    Held(EndpointName),
    /// The desk was not reached.
    #[error("could not reach the desk at {desk}: {what}: {detail}")]
    Unreached {
        /// Where.
        desk: String,
        /// `name`, `route`, `udp`, `certificate`, `clock`, `answer`.
        what: String,
        /// One sentence.
        detail: String,
    },
    /// The desk said no.
    #[error("the desk refused: {0}; ask for a new line to paste")]
    Refused(#[source] Stop),
    /// The answer was cut or is no answer.
    #[error("the desk's answer is not whole; run the same line again")]
    Answer(#[source] Option<FrameError>),
    /// More than any catalogue.
    #[error("the desk sent more than a catalogue's {max} bytes", max = limits::CATALOGUE_BYTES_MAX)]
    TooMuch,
    /// The answer does not prove itself.
    #[error("the desk's answer does not prove itself; nothing was written")]
    Untrusted(#[source] Untrusted),
    /// The gate.
    #[error("could not send the request")]
    Gate(#[from] StartError),
    /// A file.
    #[error("could not keep the enrolment; free some space, then run the same line again")]
    File(#[from] FileError),
    /// The catalogue's folder.
    #[error("could not keep the catalogue; run the same line again")]
    Store(#[from] trust::catalogue::StoreError),
    /// The ledger.
    #[error("could not begin the ledger")]
    Ledger(#[from] crate::ledger::LedgerError),
    /// The reserve for a full disk does not fit.
    #[error(
        "`{0}` has no room for the ledger and the reserve (about 60 MiB); free some space, \
             then run the same line again"
    )]
    NoRoom(String),
    /// A key of ours, or the request.
    #[error("could not make the request: {0}")]
    Request(String),
    /// Nobody but root can give the gate a user of its own.
    #[error("only root can give the gate its own user; run it with sudo")]
    NotRoot,
    /// The gate's user is missing.
    #[error("there is no user {0}: install the package, or add it with useradd --system {0}")]
    NoUser(String),
}

/// What an enrolment needs of the world.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The pasted token.
    pub token: &'a Token<NamePatterns>,
    /// Now, by the wall clock.
    pub now: Time,
    /// The machine's own name for itself.
    pub host: String,
}

/// Three keys that are fresh.
fn fresh_keys() -> Result<pending::Keys, EnrolError> {
    let seed = || {
        let mut seed = Zeroizing::new([0u8; 32]);
        let drawn = getrandom::fill(seed.as_mut_slice());
        drawn.map_err(|_| EnrolError::Request("the kernel gave no chance".into()))?;
        Ok::<_, EnrolError>(seed)
    };
    Ok(pending::Keys {
        tls: SigningKey::from_seed(*seed()?),
        record: SigningKey::from_seed(*seed()?),
        sealing: SealingSecret::from_seed(*seed()?),
    })
}

/// The gate's uid and gid; none under exception `uid` where there is no such user, or it cannot be
/// taken: a container's root may know the name and not have the uid.
///
/// # Errors
/// [`EnrolError::NoUser`], [`EnrolError::NotRoot`].
pub fn gate_ids(config: &Config) -> Result<Option<(u32, u32)>, EnrolError> {
    let root = rustix::process::geteuid().is_root();
    match spawn::user(&config.gate_user) {
        Some(ids) if root && (hatch::lock::other_users() || !config.exceptions.uid) => {
            Ok(Some(ids))
        }
        _ if config.exceptions.uid => Ok(None),
        Some(_) => Err(EnrolError::NotRoot),
        None => Err(EnrolError::NoUser(config.gate_user.clone())),
    }
}

/// Enrols this machine. Gives its name.
///
/// # Errors
/// [`EnrolError`]; nothing is enrolled, and the same line may be run again.
pub fn enrol(wish: &Wish<'_>) -> Result<EndpointName, EnrolError> {
    let layout = Layout::new(&wish.config.state);
    if layout.is_enrolled() {
        let name = crate::state::Identity::load(&layout).map(|own| own.card.name.to_string());
        return Err(EnrolError::Already(name.unwrap_or_else(|_| wish.token.name.to_string())));
    }
    // An answer that was taken and not yet written: finish it without asking again.
    if let Some(pending) = Pending::read(&layout)?
        && pending.is_for(wish.token)
    {
        return pending.finish(&layout, wish.now);
    }
    let name = wish.token.name.name_of(&wish.host).ok_or_else(|| EnrolError::HostName {
        host: wish.host.clone(),
        names: wish.token.name.clone(),
    })?;
    let ids = gate_ids(wish.config)?;
    room(&layout)?;
    let keys = pending::Keys::for_token(&layout, wish.token)?;
    let request = request(wish, &name, &keys)?;
    let message = ToGate::Enrol {
        desk: wish.token.desk.clone(),
        desk_key: wish.token.desk_key,
        request: Bytes(request),
        ids,
    };
    let (files, json) = ask(wish, &message).map_err(|error| match error {
        EnrolError::Refused(Stop::Held) => EnrolError::Held(name.clone()),
        other => other,
    })?;
    let answer = answer::read(wish.token, &name, &keys, files, &json, wish.now)
        .map_err(EnrolError::Untrusted)?;
    let pending = Pending::new(wish.token, &keys, answer);
    pending.write(&layout)?;
    pending.finish(&layout, wish.now)
}

/// Whether the folder can be made and has room, before a token is spent.
fn room(layout: &Layout) -> Result<(), EnrolError> {
    crate::state::make(layout)?;
    let reserve = crate::state::Reserve::open(layout.reserve())?;
    if reserve.refill().whole() {
        return Ok(());
    }
    Err(EnrolError::NoRoom(layout.root().display().to_string()))
}

fn request(
    wish: &Wish<'_>,
    name: &EndpointName,
    keys: &pending::Keys,
) -> Result<Vec<u8>, EnrolError> {
    let broken = |error: &dyn std::error::Error| {
        EnrolError::Request(protocol::error_chain::ErrorChain(error).to_string())
    };
    let request = EnrolRequest {
        secret: wish.token.secret.clone(),
        name: name.clone(),
        tls_key: Bytes(spki(&keys.tls.public_key())),
        record_key: keys.record.public_key(),
        sealing_key: keys.sealing.public().map_err(|error| broken(&error))?,
        port: wish.config.listen.port(),
        platform: std::env::consts::OS.to_owned(),
        host: wish.host.clone(),
    };
    let sealed = trust::seal::seal(&request, &[&keys.record]).map_err(|error| broken(&error))?;
    sealed.write().map_err(|error| broken(&error))
}

/// Sends the request through the gate and gathers the answer's frames.
fn ask(wish: &Wish<'_>, message: &ToGate) -> Result<(Files, Vec<u8>), EnrolError> {
    let gate = spawn::gate_program(&wish.config.libexec).map_err(StartError::from)?;
    let mut gathered = Gathered::default();
    let mut steps: Vec<ProbeStep> = Vec::new();
    spawn::errand(&gate, message, |said| match said {
        FromGate::Answer { bytes } => gathered.take(&bytes.0),
        FromGate::Result { steps: all } => steps = all,
        _ => gathered.fault = Some(EnrolError::Answer(None)),
    })?;
    if let Some(fault) = gathered.fault {
        return Err(fault);
    }
    if let Some(json) = gathered.json {
        return Ok((gathered.files, json));
    }
    match steps.into_iter().find(|step| !step.ok) {
        Some(step) => Err(EnrolError::Unreached {
            desk: wish.token.desk.clone(),
            what: step.what,
            detail: step.detail,
        }),
        None => Err(EnrolError::Answer(None)),
    }
}

#[derive(Debug, Default)]
struct Gathered {
    files: Files,
    open: Option<(String, Vec<u8>)>,
    bytes: usize,
    json: Option<Vec<u8>>,
    fault: Option<EnrolError>,
}

impl Gathered {
    fn take(&mut self, bytes: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.frame(bytes).err();
        }
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), EnrolError> {
        let frame: EnrolFrame = decode(bytes).map_err(|error| EnrolError::Answer(Some(error)))?;
        if self.json.is_some() {
            return Err(EnrolError::Answer(None));
        }
        match frame {
            EnrolFrame::Wait => Ok(()),
            EnrolFrame::Refused { stop } => Err(EnrolError::Refused(stop)),
            EnrolFrame::Answer { json } if self.open.is_none() => {
                self.json = Some(json.0);
                Ok(())
            }
            EnrolFrame::Answer { .. } => Err(EnrolError::Answer(None)),
            EnrolFrame::CatalogueFile { name, part, last } => self.part(name, &part.0, last),
        }
    }

    fn part(&mut self, name: String, part: &[u8], last: bool) -> Result<(), EnrolError> {
        self.bytes = self.bytes.saturating_add(part.len());
        if self.bytes > limits::CATALOGUE_BYTES_MAX
            || self.files.len() >= limits::CATALOGUE_FILES_MAX
        {
            return Err(EnrolError::TooMuch);
        }
        let mut open = match self.open.take() {
            Some((same, bytes)) if same == name => bytes,
            Some(_) => return Err(EnrolError::Answer(None)),
            None if self.files.get(&name).is_some() => return Err(EnrolError::Answer(None)),
            None => Vec::new(),
        };
        open.extend_from_slice(part);
        if last {
            self.files.insert(name, open);
        } else {
            self.open = Some((name, open));
        }
        Ok(())
    }
}

/// The machine's name for itself, for people.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether systemd runs this machine.
#[must_use]
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

#[cfg(test)]
mod tests;
