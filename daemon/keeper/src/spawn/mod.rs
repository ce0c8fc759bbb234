//! Starts the four siblings and gives the keeper's ends of their pipes. The only room of the
//! keeper that starts anything. Never passes a descriptor that is not in the table.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use hatch::cgroup::{CgroupError, Folder};
use hatch::messages::ToPrompter;
use hatch::pipe::{Inbox, Outbox, PipeError, pair};
use hatch::spawn::{Child, End, Program, SpawnError, spawn, spawn_in};
use hatch::{FromGate, Prepare, ToExecutor, ToGate, ToInterpreter, fds};

/// Most bytes that may wait for the gate: the whole effects files of a run's four followers and of
/// two that were asked for, and eight full frames, one a stream of a busy session.
pub const GATE_WAITING_MAX: usize = 6 * protocol::limits::EFFECTS_BYTES_MAX + GATE_SLOW_BYTES;
/// From here on live events are dropped until half of it is taken.
pub const GATE_SLOW_BYTES: usize = 8 * protocol::limits::HATCH_BYTES_MAX;
/// Most bytes that may wait for a child: its start and a few secrets.
const CHILD_WAITING_MAX: usize = 4 * protocol::limits::HATCH_BYTES_MAX;

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A program.
    #[error(transparent)]
    Program(#[from] SpawnError),
    /// Its pipes.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// `/dev/null`, of all things.
    #[error("could not open `/dev/null`")]
    Null(#[source] std::io::Error),
    /// The gate ended without its result.
    #[error("the gate ended before it answered ({0:?}); its last words are above")]
    NoResult(Option<End>),
}

/// The four siblings, held open from the start: an upgrade mixes no versions.
#[derive(Debug)]
pub struct Programs {
    gate: Program,
    interpreter: Program,
    executor: Program,
    prompter: Program,
}

impl Programs {
    /// Opens them in this folder.
    ///
    /// # Errors
    /// [`SpawnError`] names the one that is missing.
    pub fn open(libexec: &Path) -> Result<Self, SpawnError> {
        Ok(Self {
            gate: Program::open(&libexec.join("gate"))?,
            interpreter: Program::open(&libexec.join("interpreter"))?,
            executor: Program::open(&libexec.join("executor"))?,
            prompter: Program::open(&libexec.join("prompter"))?,
        })
    }
}

/// A running child and the keeper's ends of its pipes.
#[derive(Debug)]
pub struct Line {
    /// The child.
    pub child: Child,
    /// What it says.
    pub inbox: Inbox,
    /// What it is told.
    pub outbox: Outbox,
}

/// The pipes of one child: its two ends and ours.
struct Pipes {
    theirs_in: OwnedFd,
    theirs_out: OwnedFd,
    inbox: Inbox,
    outbox: Outbox,
}

fn pipes(bound: usize) -> Result<Pipes, PipeError> {
    let (theirs_in, ours_out) = pair()?;
    let (ours_in, theirs_out) = pair()?;
    let inbox = Inbox::nonblocking(ours_in)?;
    let outbox = Outbox::nonblocking(ours_out, bound)?;
    Ok(Pipes { theirs_in, theirs_out, inbox, outbox })
}

/// Starts the gate.
///
/// # Errors
/// [`StartError`]; nothing runs.
pub fn gate(programs: &Programs) -> Result<Line, StartError> {
    let pipes = pipes(GATE_WAITING_MAX)?;
    let log = std::io::stderr();
    let table = [
        (pipes.theirs_in.as_fd(), fds::FROM_KEEPER),
        (pipes.theirs_out.as_fd(), fds::TO_KEEPER),
        (log.as_fd(), fds::LOG),
    ];
    let child = spawn(&programs.gate, &["serve"], &table)?;
    Ok(Line { child, inbox: pipes.inbox, outbox: pipes.outbox })
}

/// Runs the gate for one errand: says the one message, gives every answer to `each` until the
/// result, and waits for its end.
///
/// # Errors
/// [`StartError`]; nothing runs any more.
pub fn errand(
    gate: &Program,
    message: &ToGate,
    mut each: impl FnMut(FromGate),
) -> Result<(), StartError> {
    let (theirs_in, ours_out) = pair()?;
    let (ours_in, theirs_out) = pair()?;
    let log = std::io::stderr();
    let word = if matches!(message, ToGate::Probe { .. }) { "probe" } else { "enrol" };
    let table = [
        (theirs_in.as_fd(), fds::FROM_KEEPER),
        (theirs_out.as_fd(), fds::TO_KEEPER),
        (log.as_fd(), fds::LOG),
    ];
    let child = spawn(gate, &[word], &table)?;
    drop((theirs_in, theirs_out));
    let mut outbox = Outbox::from_fd(ours_out);
    let mut inbox = Inbox::from_fd(ours_in);
    let mut done = false;
    // A gate that died at once is no reason not to read what it said.
    let sent = outbox.send(message);
    loop {
        match inbox.recv::<FromGate>() {
            Ok(Some(answer)) => {
                done |= matches!(answer, FromGate::Result { .. });
                each(answer);
                if done {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error.into());
            }
        }
    }
    drop(outbox);
    let end = child.wait()?;
    match (done, sent) {
        (true, _) => Ok(()),
        (false, Err(error)) if end == End::Exited(0) => Err(error.into()),
        (false, _) => Err(StartError::NoResult(Some(end))),
    }
}

/// Both children of a run.
#[derive(Debug)]
pub struct Run {
    /// Touches the machine.
    pub executor: Line,
    /// Reads the script.
    pub interpreter: Line,
}

/// Starts a run's two children in its folder: each with its pipes to the keeper, the pair between
/// them, and the executor with its effects file. Both are told what to do before they know a run.
///
/// # Errors
/// [`StartError`]; nothing runs.
pub fn run(
    programs: &Programs,
    folder: Option<&Folder>,
    effects: &File,
    prepare: &Prepare,
) -> Result<Run, StartError> {
    let inside = match folder {
        Some(folder) => Some(folder.open()?),
        None if prepare.exceptions.cgroup => None,
        None => return Err(CgroupError::NotThere.into()),
    };
    let inside = inside.as_ref().map(|fd| fd.as_fd());
    let (calls_in, calls_out) = pair()?;
    let (answers_in, answers_out) = pair()?;
    let executor = child(
        &programs.executor,
        inside,
        (calls_in.as_fd(), answers_out.as_fd()),
        Some(effects.as_fd()),
    )?;
    let ends = (answers_in.as_fd(), calls_out.as_fd());
    match child(&programs.interpreter, inside, ends, None) {
        Ok(interpreter) => {
            let mut run = Run { executor, interpreter };
            run.executor.outbox.queue(&ToExecutor::Prepare(*prepare))?;
            run.interpreter.outbox.queue(&ToInterpreter::Prepare(*prepare))?;
            // One that ended at once does not read it, and its end is seen.
            let _ = run.executor.outbox.flush();
            let _ = run.interpreter.outbox.flush();
            Ok(run)
        }
        Err(error) => {
            executor.child.kill()?;
            executor.child.wait()?;
            Err(error)
        }
    }
}

fn child(
    program: &Program,
    inside: Option<BorrowedFd<'_>>,
    (peer_in, peer_out): (BorrowedFd<'_>, BorrowedFd<'_>),
    effects: Option<BorrowedFd<'_>>,
) -> Result<Line, StartError> {
    let pipes = pipes(CHILD_WAITING_MAX)?;
    let log = std::io::stderr();
    let mut table = vec![
        (pipes.theirs_in.as_fd(), fds::FROM_KEEPER),
        (pipes.theirs_out.as_fd(), fds::TO_KEEPER),
        (log.as_fd(), fds::LOG),
        (peer_in, fds::PEER_IN),
        (peer_out, fds::PEER_OUT),
    ];
    table.extend(effects.map(|fd| (fd, fds::EFFECTS)));
    let child = match inside {
        Some(folder) => spawn_in(folder, program, &[], &table)?,
        None => spawn(program, &[], &table)?,
    };
    Ok(Line { child, inbox: pipes.inbox, outbox: pipes.outbox })
}

/// Starts the process that asks, in a folder of its own, and says what. Without one, as under its
/// exception, it ends with the keeper.
///
/// # Errors
/// [`StartError`]; nothing runs.
pub fn prompter(
    programs: &Programs,
    folder: Option<&Folder>,
    message: &ToPrompter,
) -> Result<Line, StartError> {
    let pipes = pipes(CHILD_WAITING_MAX)?;
    let log = std::io::stderr();
    let table = [
        (pipes.theirs_in.as_fd(), fds::FROM_KEEPER),
        (pipes.theirs_out.as_fd(), fds::TO_KEEPER),
        (log.as_fd(), fds::LOG),
    ];
    let child = match folder {
        Some(folder) => spawn_in(folder.open()?.as_fd(), &programs.prompter, &[], &table)?,
        None => spawn(&programs.prompter, &[], &table)?,
    };
    let mut line = Line { child, inbox: pipes.inbox, outbox: pipes.outbox };
    if let Err(error) = line.outbox.queue(message) {
        // Not yet anybody's: it has read nothing.
        line.child.kill()?;
        line.child.wait()?;
        return Err(error.into());
    }
    // One that ended at once does not read it, and its end is seen.
    let _ = line.outbox.flush();
    Ok(line)
}

/// Starts the system's unit at boot and now.
///
/// # Errors
/// [`StartError`] where there is no systemctl.
pub fn start_unit() -> Result<End, StartError> {
    systemctl(&["enable", "--now", "salved.service"])
}

/// Starts the system's unit at the next boot, not now.
///
/// # Errors
/// [`StartError`] where there is no systemctl.
pub fn enable_unit() -> Result<End, StartError> {
    systemctl(&["enable", "salved.service"])
}

/// Stops the system's unit, for good.
///
/// # Errors
/// [`StartError`] where there is no systemctl.
pub fn stop_unit() -> Result<End, StartError> {
    systemctl(&["disable", "--now", "salved.service"])
}

fn systemctl(arguments: &[&str]) -> Result<End, StartError> {
    let program = Program::open(Path::new("/usr/bin/systemctl"))?;
    let null = File::open("/dev/null").map_err(StartError::Null)?;
    let log = std::io::stderr();
    let table = [(null.as_fd(), 0), (log.as_fd(), 1), (log.as_fd(), 2)];
    Ok(spawn(&program, arguments, &table)?.wait()?)
}

/// Opens the gate alone, for an errand.
///
/// # Errors
/// [`SpawnError`] where it is missing.
pub fn gate_program(libexec: &Path) -> Result<Program, SpawnError> {
    Program::open(&libexec.join("gate"))
}

/// Uid and gid of a user, from the files: the keeper asks no service.
#[must_use]
pub fn user(name: &str) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        found.then_some((uid, gid))
    })
}

#[cfg(test)]
mod tests;
