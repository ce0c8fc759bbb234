//! From the configuration to a running daemon: reads the state, opens the ledger, fails closed.

use hatch::{Exceptions, Prepare};
use protocol::{Digest, Time};
use trust::catalogue::{FolderStore, TrustedStore as _, install_provider};

use super::{Door, Driver, DriverError, World, now};
use crate::config::Config;
use crate::core::{Core, Setup};
use crate::enrol::gate_ids;
use crate::leaf;
use crate::ledger::{FolderDisk, Ledger};
use crate::plans::Plans;
use crate::spawn::{self, Programs};
use crate::state::{Identity, Layout, failed};

/// Nobody, as every Linux numbers it, where the files name none.
const NOBODY: (u32, u32) = (65534, 65534);

/// Reads everything that a daemon begins with.
///
/// # Errors
/// [`DriverError`]: not enrolled, a defence missing, a ledger that cannot be used.
pub fn begin(config: &Config) -> Result<(Core, World), DriverError> {
    hatch::lock::keeper().map_err(|error| DriverError::Begin(error.to_string()))?;
    install_provider();
    let layout = Layout::new(&config.state);
    let identity = Identity::load(&layout)?;
    let programs = Programs::open(&config.libexec).map_err(spawn::StartError::from)?;
    let ids = gate_ids(config).map_err(|error| DriverError::Begin(error.to_string()))?;
    let start = now();
    let mut epoch = [0u8; 32];
    getrandom::fill(&mut epoch)
        .map_err(|_| DriverError::Begin("the kernel gave no chance".into()))?;
    let folder = layout.ledger();
    let disk = FolderDisk::open(&folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::WouldBlock {
            DriverError::Begin(format!("another salved runs on `{}`", folder.display()))
        } else {
            failed("open", &folder)(error).into()
        }
    })?;
    let version = env!("CARGO_PKG_VERSION");
    let opened = Ledger::open(disk, Digest(epoch), start.wall, version)?;
    if opened.torn > 0 {
        tracing::warn!("removed {} bytes of an interrupted write from the ledger", opened.torn);
    }
    if opened.began {
        tracing::warn!("there was no ledger: a new epoch begins, and the desk sees it");
    }
    let door = Door {
        listen: config.listen.to_string(),
        key: identity.tls.clone(),
        certificates: identity.certificates.iter().cloned().map(protocol::Bytes).collect(),
        ids,
        desks: config.desks.clone(),
    };
    let exceptions = config.exceptions;
    let prepare = Prepare { exceptions, nobody: spawn::user("nobody").unwrap_or(NOBODY) };
    let sealing = identity.sealing;
    // One that is not of our profile is no reason to stop: a renewal mends it.
    let first = identity.certificates.first();
    let certificate_ends = first.and_then(|leaf| leaf::ends(leaf)).unwrap_or(Time(0));
    let world = World::new(programs, prepare, opened.ledger, &layout, sealing, door)?;
    let plans = world.shelf().plans()?;
    let core = Core::new(Setup {
        card: identity.card_envelope,
        card_document: identity.card,
        signer: Box::new(identity.record),
        root: identity.root,
        files: FolderStore::open(layout.catalogue())?.load()?,
        index: opened.index,
        plans: Plans::load(plans.into_iter().map(|plan| plan.bytes.0)),
        platform: std::env::consts::OS.to_owned(),
        version: version.to_owned(),
        exceptions,
        defences: keepers(&exceptions),
        certificate_ends,
        reserve: world.refill(),
        now: start,
    });
    if let Some(distrust) = core.distrust() {
        let why = protocol::error_chain::ErrorChain(distrust).to_string();
        return Err(DriverError::Untrusted { folder: layout.catalogue(), why });
    }
    Ok((core, world))
}

/// The keeper's own defences, for records.
fn keepers(exceptions: &Exceptions) -> hatch::Defences {
    let mut report = hatch::Defences::from([(
        "keeper".to_owned(),
        "no network, no core file, one thread".to_owned(),
    )]);
    for (is, name) in [(exceptions.uid, "uid"), (exceptions.cgroup, "cgroup")] {
        if is {
            report.insert(format!("exception {name}"), "may be missing here".to_owned());
        }
    }
    report
}

/// Runs the daemon until it is asked to end. `after` hears the name of every effect that was done.
///
/// # Errors
/// [`DriverError`].
pub fn daemon(config: &Config, after: &mut dyn FnMut(&'static str)) -> Result<(), DriverError> {
    let (core, world) = begin(config)?;
    Driver::new(core, world, after)?.run()
}
