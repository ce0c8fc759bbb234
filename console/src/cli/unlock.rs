//! `salve unlock` and `salve lock`: a session key for a working day, so that daily work asks for no
//! passphrase and no touch; and its end.

use clap::Args;
use desk::session::{Lend, LendError};
use protocol::{Label, PublicKey, Risk, Time, limits};
use serde::Serialize;

use crate::cli::typed::{risk, seconds};
use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::{first, of_signing};

/// `salve unlock`
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// For how long, as in 8h; at most 12h
    #[arg(long = "for", value_name = "TIME", value_parser = seconds, default_value = "8h")]
    pub life: u64,
    /// Up to which risk: low or medium
    #[arg(long, value_name = "RISK", value_parser = risk, default_value = "medium")]
    pub risk: Risk,
    /// What this machine is called, for whoever reads the paper later
    #[arg(long, value_name = "NAME")]
    pub machine: Option<Label>,
}

#[derive(Debug, Serialize)]
struct Unlocked {
    until: Time,
    risk: Risk,
    key: PublicKey,
}

/// Makes a session key: the own key signs its paper, and is not needed again until it ends.
///
/// # Errors
/// A life or risk beyond the limit, a policy that takes none, a key that does not open.
pub fn run(ctx: &Ctx, args: &UnlockArgs) -> Result<Exit, Failure> {
    if args.life > limits::SESSION_KEY_SECONDS_MAX {
        return Err(
            Failure::usage("a session lasts 12 hours at most").next("salve unlock --for 12h")
        );
    }
    if args.risk == Risk::High {
        return Err(Failure::usage("high risk is signed by your own key each time, by no session")
            .next("salve unlock --risk medium"));
    }
    let work = Work::open_away(ctx)?;
    let (agent, now) = (&work.agent, ctx.now());
    if !agent.policy.file().rules.iter().any(|rule| rule.session_key) {
        return Err(Failure::refused("no rule of the policy takes a session key")
            .next("ask an administrator: session_key = true   (docs/policy.md)"));
    }
    let listed = agent.policy.person(&agent.name).and_then(|person| person.signing_key);
    if listed != Some(trust::Signer::public_key(&agent.signing)) {
        return Err(Failure::refused("the policy lists another key for you, or none")
            .next("ask an administrator: `salve agents list`"));
    }
    work.open_own_key(ctx)?;
    let wanted = Lend { risk: args.risk, seconds: args.life, machine: args.machine.clone() };
    let says = agent.signing.lend(&work.desk.home, &agent.name, wanted, now)?;
    let view = Unlocked { until: says.not_after, risk: says.risk, key: says.key };
    ctx.show(&view, |view| {
        let what = match view.risk {
            Risk::Low => "low risk",
            _ => "low and medium risk",
        };
        format!(
            "Unlocked until {}: {what} is signed by a session key, where the policy lets it.\n  \
             Key      {}\n  Next     salve lock   ends it at once",
            view.until, view.key
        )
    })?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct LockedAgain {
    was_unlocked: bool,
}

/// Removes the session key from this home.
///
/// # Errors
/// There is no organisation here, or the file stays.
pub fn lock(ctx: &Ctx) -> Result<Exit, Failure> {
    let home = ctx.home();
    // Reads no list and asks no desk: ending a session must work whatever else does not.
    let me = desk::home::Organisation::read(&home)?.me;
    let was_unlocked = home.end_session(&me)?;
    ctx.show(&LockedAgain { was_unlocked }, |view| {
        match view.was_unlocked {
            true => "Locked: the session key is gone from this home.",
            false => "There was no session here.",
        }
        .to_owned()
    })?;
    Ok(Exit::Fine)
}

impl From<LendError> for Failure {
    fn from(error: LendError) -> Self {
        match error {
            LendError::Keep(error) => error.into(),
            LendError::Seal(error) => {
                of_signing(&error).unwrap_or_else(|| first(Exit::Broken, LendError::Seal(error)))
            }
            LendError::Chance(_) => first(Exit::Broken, error),
        }
    }
}
