//! The command line: one file a command. `run` only hands over; it never does the work itself.
//!
//! A command file has `#[derive(clap::Args)] pub struct XArgs` and
//! `pub async fn run(ctx: &Ctx, args: XArgs) -> Result<Exit, Failure>`.

pub mod adopt;
pub mod agents;
pub mod approve;
pub mod audit;
pub mod backup;
pub mod cancel;
pub mod check;
pub mod contacts;
pub mod desk;
pub mod endpoints;
pub mod enroll;
pub mod facts;
pub mod follow;
pub mod glass;
pub mod identify;
pub mod init;
pub mod join;
pub mod keys;
pub mod look;
pub mod order_file;
pub mod orders;
pub mod own_key;
pub mod plan;
pub mod policy;
pub mod run;
pub mod runs;
pub mod scripts;
pub mod secrets;
pub mod serve;
pub mod signers;
pub mod start;
pub mod status;
pub mod tickets;
pub mod typed;
pub mod unlock;
pub mod verify;
pub mod wait;
pub mod watch;
pub mod work;

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
    /// A folder with root/, admin/ and vetter/ for keys that were moved out of the home; may be
    /// repeated
    #[arg(long, global = true, value_name = "DIR")]
    pub keys: Vec<PathBuf>,
    /// Read passphrases from this descriptor instead of the terminal, one line a person
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// The command; without one, what to do next.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands, in the order `--help` shows them: the daily verbs, then the nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a script would do, ask, do it, and leave the proof on the ticket
    Run(run::RunArgs),
    /// Make a script's plan on a machine and show it; changes nothing
    Plan(look::Named),
    /// Look whether a script's problem is there; changes nothing
    Check(look::Named),
    /// Answer a colleague's order that asks for approval; without one, list those that do
    Approve(approve::ApproveArgs),
    /// Cancel a run that runs or waits
    Cancel(cancel::CancelArgs),
    /// Verify a run's papers: a run, a record's file or an exported folder
    Verify(verify::VerifyArgs),
    /// Sign daily work with a session key for some hours, without passphrase or touch
    Unlock(unlock::UnlockArgs),
    /// End that session
    Lock,
    /// What needs a person, what ends when, which key lies where
    Status(status::StatusArgs),
    /// Sets a new organisation up
    Init(init::InitArgs),
    /// Joins the organisation of a colleague who invited you
    Join(join::JoinArgs),
    /// People who may sign orders
    Agents(agents::AgentsArgs),
    /// Who holds which key of the catalogue, and how many must sign
    Keys(keys::KeysArgs),
    /// Machines that are helped
    Endpoints(endpoints::EndpointsArgs),
    /// Scripts: vet, publish, find
    Scripts(scripts::ScriptsArgs),
    /// Who may run what: show, change, explain and try the signed policy
    Policy(policy::PolicyArgs),
    /// Orders that wait for their machines: list, take one back
    Orders(orders::OrdersArgs),
    /// Runs: list, show, follow, export
    Runs(runs::RunsArgs),
    /// Tickets: open, list, show, close, reopen
    Tickets(tickets::TicketsArgs),
    /// Where people are reached, for codes that find out who is calling
    Contacts(contacts::ContactsArgs),
    /// Evidence of a ticket, for somebody who was not there
    Audit(audit::AuditArgs),
    /// One-time secrets: open one
    Secrets(secrets::SecretsArgs),
    /// The shared desk that this home works with
    Desk(desk::DeskArgs),
    /// Be the shared desk: endpoints behind NAT and colleagues' consoles dial it
    Serve(serve::ServeArgs),
    /// Copy the desk to one file, also while it serves
    Backup(backup::BackupArgs),
    /// Put a desk back from its backup, into an empty home
    Restore(backup::RestoreArgs),
}

/// Runs one command.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, command: Option<Command>) -> Result<Exit, Failure> {
    match command {
        None => start::run(ctx),
        Some(Command::Run(args)) => run::run(ctx, args).await,
        Some(Command::Plan(args)) => plan::run(ctx, args).await,
        Some(Command::Check(args)) => check::run(ctx, args).await,
        Some(Command::Approve(args)) => approve::run(ctx, &args),
        Some(Command::Cancel(args)) => cancel::run(ctx, args).await,
        Some(Command::Verify(args)) => verify::run(ctx, args),
        Some(Command::Unlock(args)) => unlock::run(ctx, &args),
        Some(Command::Lock) => unlock::lock(ctx),
        Some(Command::Status(args)) => status::run(ctx, args),
        Some(Command::Policy(args)) => policy::run(ctx, args),
        Some(Command::Orders(args)) => orders::run(ctx, args).await,
        Some(Command::Runs(args)) => runs::run(ctx, args).await,
        Some(Command::Tickets(args)) => tickets::run(ctx, args),
        Some(Command::Contacts(args)) => contacts::run(ctx, args),
        Some(Command::Audit(args)) => audit::run(ctx, args),
        Some(Command::Secrets(args)) => secrets::run(ctx, args),
        Some(Command::Desk(args)) => desk::run(ctx, &args),
        Some(Command::Serve(args)) => serve::run(ctx, args).await,
        Some(Command::Backup(args)) => backup::make(ctx, &args),
        Some(Command::Restore(args)) => backup::restore(ctx, &args),
        Some(Command::Init(args)) => init::run(ctx, args).await,
        Some(Command::Join(args)) => join::run(ctx, args).await,
        Some(Command::Agents(args)) => agents::run(ctx, args).await,
        Some(Command::Keys(args)) => keys::run(ctx, args),
        Some(Command::Endpoints(args)) => endpoints::run(ctx, args).await,
        Some(Command::Scripts(args)) => scripts::run(ctx, args).await,
    }
}

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod team_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
