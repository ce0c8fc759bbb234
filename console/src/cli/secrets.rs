//! `salve secrets open`: a one-time secret, once, to the terminal or a pipe and nowhere else.

use std::io::Write as _;

use clap::{Args, Subcommand};
use desk::inventory::{SecretError, Unclear, find_run, open_secret};
use desk::org::Desk;
use protocol::RunId;
use serde_json::json;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// Open a one-time secret
#[derive(Debug, Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Open a run's secret: you, once, in time
    Open {
        /// The run, the beginning of its id, or `last` (the newest secret)
        #[arg(default_value = "last")]
        run: String,
    },
}

/// Opens.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: SecretsArgs) -> Result<Exit, Failure> {
    let What::Open { run } = args.what;
    let desk = ctx.desk()?;
    let run = which(&desk, &run)?;
    let opened = open_secret(&desk, &run, ctx.now())?;
    if ctx.json {
        let text = String::from_utf8_lossy(&opened.clear);
        ctx.json(&json!({ "run": run, "secret": text, "until": opened.until }))?;
        return Ok(Exit::Fine);
    }
    ctx.note(format!(
        "The secret of run {}, shown once; the person has until {}:",
        run.short(),
        opened.until
    ));
    print(&opened.clear)?;
    ctx.note("It is not stored in clear anywhere. Clear the screen when you have read it out.");
    Ok(Exit::Fine)
}

/// `last` is the newest secret that nobody opened; without one, the newest run.
fn which(desk: &Desk, typed: &str) -> Result<RunId, Failure> {
    if typed == "last" {
        let unopened = desk.store.unopened_escrows()?;
        let newest = unopened.into_iter().max_by_key(|secret| secret.not_after);
        return newest.map(|secret| secret.run).ok_or_else(|| {
            Failure::usage("there is no secret that waits to be opened")
                .next("name the run to see why:  salve secrets open RUN")
        });
    }
    find_run(&desk.store, typed).map(|run| run.id).map_err(|e: Unclear| e.into())
}

/// The secret alone on stdout, so that it can be piped. Bytes that could steer a terminal are
/// escaped: an endpoint chose them.
fn print(clear: &[u8]) -> Result<(), Failure> {
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(clear).into_owned());
    let shown = zeroize::Zeroizing::new(safe(&text));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", *shown)
        .and_then(|()| out.flush())
        .map_err(|e| Failure::broken("could not show the secret; it is spent").because(e))
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let error = match error {
            SecretError::Store(error) => return error.into(),
            other => other,
        };
        let reset = "the person needs a new one: run the script again";
        let (exit, next) = match &error {
            SecretError::Home(_) | SecretError::Store(_) | SecretError::Damaged(_) => {
                (Exit::Broken, None)
            }
            SecretError::Seal(_) | SecretError::NotNamed(_) => {
                (Exit::NotVerified, Some("salve verify RUN"))
            }
            SecretError::None(_) => (Exit::Usage, Some("salve status lists unopened secrets")),
            SecretError::NoOrder(_) => (Exit::Usage, None),
            SecretError::NotYours(_) => (Exit::Refused, None),
            SecretError::Opened(_) | SecretError::Ended(_) => (Exit::NeedsPerson, Some(reset)),
        };
        let sentence = error.to_string();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let mut failure = Self::new(exit, sentence.clone());
        if let Some(cause) = cause.filter(|cause| *cause != sentence) {
            failure = failure.because(cause);
        }
        match next {
            Some(next) => failure.next(next),
            None => failure,
        }
    }
}
