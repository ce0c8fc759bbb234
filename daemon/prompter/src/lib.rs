//! Asks one question of the person at the machine, as that person, and tells the keeper what came of
//! it. Never decides what that means.
//!
//! The question is shown on the session's screens: a terminal, a desktop. It is answered on the
//! desktop, or with `salved answer`, which speaks to a socket in the person's own runtime folder.
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod desktop;
mod screen;
mod terminal;
mod words;

use std::process::ExitCode;

use hatch::messages::{FromPrompter, ToPrompter, runtime};
use hatch::pipe::{Inbox, Outbox};
use hatch::{fds, inherited, lock};
use protocol::error_chain::ErrorChain;

use crate::ask::{Asking, ask};
use crate::screen::Screens;

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error("could not lock the prompter")]
    Lock(#[from] lock::LockError),
    #[error("could not take over the descriptors")]
    Descriptors(#[from] hatch::InheritError),
    #[error("could not speak with the keeper")]
    Keeper(#[from] hatch::pipe::PipeError),
    #[error("the keeper closed before it said what to ask")]
    NothingToDo,
}

/// Asks once, for the keeper that started this process.
#[must_use]
pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            // Nobody can be told that it did not arrive.
            let _ = writeln!(std::io::stderr(), "prompter: {}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), NotAsked> {
    lock::begin("prompter", &[fds::FROM_KEEPER, fds::TO_KEEPER, fds::LOG])?;
    let mut keeper_in = Inbox::from_fd(inherited(fds::FROM_KEEPER)?);
    let mut keeper = Outbox::from_fd(inherited(fds::TO_KEEPER)?);
    let Some(message) = keeper_in.recv::<ToPrompter>()? else { return Err(NotAsked::NothingToDo) };
    let ToPrompter { session, question, command, exceptions } = message;
    lock::person(session.ids, &exceptions)?;
    let folder = runtime(session.ids.0);
    let prepared = answer::Door::open(&folder)
        .map_err(|error| format!("no answer could be taken: {}", ErrorChain(&error)))
        .map(|door| (door, Screens::open(&session, &folder)));
    lock::prompter()?;
    let told = match prepared {
        Err(because) => FromPrompter::not_shown(because),
        Ok((door, screens)) => ask(Asking {
            question: &question,
            command: &command,
            uid: session.ids.0,
            keeper: &keeper_in,
            door,
            screens,
        }),
    };
    keeper.send(&told)?;
    Ok(())
}
