//! From the first instruction to the lock. Never compiles a script before the process is locked;
//! the only input read before that is the keeper's own message, which names no
//! script.
//!
//! There is one thread and it is the first one: its stack grows to the limit that the lock sets,
//! so the lock needs to hold no second thread.

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use hatch::pipe::{Inbox, Outbox};
use hatch::{FromInterpreter, Prepare, ToInterpreter, fds, inherited, lock};
use protocol::error_chain::ErrorChain;
use protocol::limits;
use script::Reader;

use crate::peer::Peer;
use crate::serve::{Job, exit, serve};

/// Why an interpreter did not come to its script.
#[derive(Debug, thiserror::Error)]
enum NotStarted {
    #[error("could not lock the interpreter")]
    Lock(#[from] lock::LockError),
    #[error("could not take over the descriptors")]
    Descriptors(#[from] hatch::InheritError),
    #[error("could not speak with the keeper")]
    Keeper(#[from] hatch::pipe::PipeError),
    #[error("the keeper closed before it said what to run")]
    NothingToDo,
}

/// Runs one script for the keeper that started this process.
#[must_use]
pub fn main() -> ExitCode {
    match start() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error);
            ExitCode::from(exit::NOT_STARTED)
        }
    }
}

/// One line to the log descriptor; nobody can be told that it did not arrive.
fn complain(error: &NotStarted) {
    use std::io::Write;
    let line = format!("interpreter: {}\n", ErrorChain(error));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn start() -> Result<u8, NotStarted> {
    let keep = [fds::FROM_KEEPER, fds::TO_KEEPER, fds::LOG, fds::PEER_IN, fds::PEER_OUT];
    lock::begin("interpreter", &keep)?;
    // Never closed by hand, as in `Peer`.
    let mut keeper_in = ManuallyDrop::new(Inbox::from_fd(inherited(fds::FROM_KEEPER)?));
    let mut keeper = ManuallyDrop::new(Outbox::from_fd(inherited(fds::TO_KEEPER)?));
    let peer_in = Inbox::from_fd(inherited(fds::PEER_IN)?).at_most(limits::PEER_BYTES_MAX);
    let peer_out = Outbox::from_fd(inherited(fds::PEER_OUT)?).at_most(limits::PEER_BYTES_MAX);
    let Some(ToInterpreter::Prepare(Prepare { exceptions, nobody })) = keeper_in.recv()? else {
        return Err(NotStarted::NothingToDo);
    };
    let defences = lock::interpreter(nobody, &exceptions)?;
    keeper.send(&FromInterpreter::Ready { defences })?;
    // Its script may still be on its way.
    let reader = Reader::default();
    let Some(ToInterpreter::Start { source, mode, parameters, limit_ms }) = keeper_in.recv()?
    else {
        return Err(NotStarted::NothingToDo);
    };
    let job = Job { source, mode, parameters, limit_ms };
    let served = serve(reader, &job, Peer::new(peer_in, peer_out));
    let ended = FromInterpreter::Ended { findings: served.findings, fault: served.fault };
    keeper.send(&ended)?;
    Ok(served.code)
}
