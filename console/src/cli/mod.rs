//! The command line: one file a command. `run` only hands over; it never does the work itself.
//!
//! A command file has `#[derive(clap::Args)] pub struct XArgs` and
//! `pub async fn run(ctx: &Ctx, args: XArgs) -> Result<Exit, Failure>`.

pub mod start;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// Repairs machines with vetted, signed scripts and leaves proof on the ticket.
#[derive(Debug, Parser)]
#[command(name = "salve", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Folder of the organisation, your keys and the desk's database [XDG data folder `salve`]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the passphrase from this descriptor instead of the terminal
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// The command; without one, what to do next.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands, in the order `--help` shows them: the daily verbs, then the nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    // run plan check cancel verify status
    // init join agents endpoints scripts runs tickets secrets
}

/// Runs one command.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, command: Option<Command>) -> Result<Exit, Failure> {
    match command {
        None => start::run(ctx),
        Some(command) => match command {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
