//! Start-up, in its one order: start message, bus, folders, lock, `Ready`, service.
//!
//! Nothing of the interpreter is read before the lock; nothing is opened for it afterwards.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hatch::lock::{self, LockError};
use hatch::messages::{ExecutorStart, FromExecutor, Prepare, ToExecutor, fds};
use hatch::pipe::{Inbox, Outbox};
use hatch::{Defences, InheritError, inherited};
use protocol::error_chain::ErrorChain;
use protocol::limits;
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use surface::Class;

use crate::clock::Clock;
use crate::link::Lost;
use crate::pipes::{KeeperPipes, PeerPipes};
use crate::profile;
use crate::root::Root;
use crate::run::{self, Parts, Run, Unready};
use crate::serve;
use bus::{Bus, BusError, SYSTEM};

/// Longest wait for the bus at start-up: a machine without one answers at once.
const BUS_MAX: Duration = Duration::from_secs(5);

/// Why this process ends without having served.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("could not take over a descriptor")]
    Inherit(#[from] InheritError),
    #[error("could not lock this process")]
    Lock(#[from] LockError),
    #[error("could not begin the run")]
    Run(#[from] Unready),
    #[error("the keeper sent something else than a start")]
    NoStart,
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    match whole() {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            let line = format!("executor: {}\n", ErrorChain(&stopped));
            // Stderr is the keeper's log; where it is gone there is nobody to tell.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn whole() -> Result<(), Stopped> {
    let keep =
        [fds::FROM_KEEPER, fds::TO_KEEPER, fds::LOG, fds::PEER_IN, fds::PEER_OUT, fds::EFFECTS];
    lock::begin("salve-executor", &keep)?;
    let mut keeper = KeeperPipes {
        from: Inbox::from_fd(inherited(fds::FROM_KEEPER)?),
        to: Outbox::from_fd(inherited(fds::TO_KEEPER)?),
    };
    let mut peer = PeerPipes {
        from: Inbox::from_fd(inherited(fds::PEER_IN)?).at_most(limits::PEER_BYTES_MAX),
        to: Outbox::from_fd(inherited(fds::PEER_OUT)?).at_most(limits::PEER_BYTES_MAX),
    };
    let effects = inherited(fds::EFFECTS)?.into();
    let Ok(Some(ToExecutor::Prepare(prepare))) = keeper.from.recv() else {
        return Err(Stopped::NoStart);
    };
    // Most runs only look: their connection is made while their order may still be on its way.
    let early = as_nobody(&prepare)?;
    let Ok(Some(ToExecutor::Start(start))) = keeper.from.recv() else {
        return Err(Stopped::NoStart);
    };
    let exceptions = start.exceptions;
    let mut defences = Defences::new();
    let bus = bus(&start, early, &mut defences)?;
    let parts = Parts { root: Root::system(), effects, keeper: Box::new(keeper), bus };
    let mut run = Run::open(*start, parts)?;
    defences.extend(lock::executor(&profile::profile(&run), &exceptions)?);
    run.keeper.tell(&FromExecutor::Ready { defences })?;
    serve::serve(&mut run, &mut peer)?;
    Ok(())
}

/// A connection to the system's bus as nobody, so that the bus and systemd themselves refuse
/// changes; none where this process cannot become nobody.
fn as_nobody(prepare: &Prepare) -> Result<Option<Result<Bus, BusError>>, Stopped> {
    if !rustix::process::geteuid().is_root() || prepare.exceptions.uid {
        return Ok(None);
    }
    let step = |what| {
        move |source: rustix::io::Errno| {
            Stopped::Lock(LockError::Step { what, source: source.into() })
        }
    };
    let (nobody, gid) = prepare.nobody;
    let left = Identity::leave(nobody, gid).map_err(step("become nobody for the bus"))?;
    let bus = Bus::connect(Path::new(SYSTEM), nobody, Clock::until(BUS_MAX));
    left.back().map_err(step("come back from the bus"))?;
    Ok(Some(bus))
}

/// The connection that the run works with: root's where it restarts units. A machine without a bus
/// has none: queries say so.
fn bus(
    start: &ExecutorStart,
    early: Option<Result<Bus, BusError>>,
    defences: &mut Defences,
) -> Result<Option<Bus>, Stopped> {
    let services = run::classes(start)?.contains(&Class::Services);
    let (bus, word) = match early.filter(|_| !services) {
        Some(bus) => (bus, "connected as nobody"),
        None => {
            let own = rustix::process::geteuid().as_raw();
            let bus = Bus::connect(Path::new(SYSTEM), own, Clock::until(BUS_MAX));
            (bus, "connected as root: mediated, not held by the kernel")
        }
    };
    defences.insert("bus".to_owned(), bus.as_ref().map_or("none", |_| word).to_owned());
    Ok(bus.ok())
}

/// Root's identity while this thread is somebody else: the real uid stays, so that it can return.
struct Identity {
    uid: Uid,
    gid: Gid,
}

impl Identity {
    fn leave(uid: u32, gid: u32) -> rustix::io::Result<Self> {
        let own = Self { uid: rustix::process::getuid(), gid: rustix::process::getgid() };
        set_thread_groups(&[])?;
        set_thread_res_gid(own.gid, Gid::from_raw(gid), own.gid)?;
        set_thread_res_uid(own.uid, Uid::from_raw(uid), own.uid)?;
        Ok(own)
    }
    fn back(self) -> rustix::io::Result<()> {
        set_thread_res_uid(self.uid, self.uid, self.uid)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)
    }
}
