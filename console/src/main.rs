//! The `salve` command: reads the command line, runs one command, says how it went.
//!
//! The only file of the console that reads the clock and the environment. Never decides anything.
#![forbid(unsafe_code)]

pub mod cli;
pub mod ctx;
pub mod exit;
pub mod failures;
pub mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    let line = cli::Cli::parse();
    let json = line.json;
    match go(line) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}

fn go(line: cli::Cli) -> Result<Exit, Failure> {
    let home = match line.home.clone() {
        Some(home) => home,
        None => default_home()?,
    };
    let ctx = Ctx {
        home,
        json: line.json,
        keys: line.keys.clone(),
        ssh_agent: std::env::var_os("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(Into::into),
        passphrase_fd: line.passphrase_fd,
        given: ctx::Given::default(),
        scripts_beside: scripts_beside(),
        now,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::broken("could not start").because(e))?;
    runtime.block_on(cli::run(&ctx, line.command))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the console reads the wall clock here and nowhere else"
)]
fn now() -> protocol::Time {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    protocol::Time::from_unix(since)
}

/// `--home` aside: the XDG data folder `salve`.
fn default_home() -> Result<PathBuf, Failure> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    of("XDG_DATA_HOME")
        .or_else(|| of("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("salve"))
        .ok_or_else(|| {
            Failure::usage("there is no home folder to keep the organisation in")
                .next("name a folder:  salve --home DIR ...")
        })
}

/// The project's scripts: as installed, or in the checkout that the program was built in.
fn scripts_beside() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    ["../share/salve/scripts", "../scripts", "../../scripts"]
        .into_iter()
        .map(|way| folder.join(way))
        .find(|scripts| scripts.is_dir())
}
