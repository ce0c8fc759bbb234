//! `--wait`: an order whose machine is away stays at the shared desk and runs once when it is back.

use desk::inventory::find_run;
use desk::runs::{Wish, attest, forecast_waiting, longest, waiting_order};
use desk::session::{Session, SessionError};
use protocol::{Refusal, RunId, Time};
use serde::Serialize;

use crate::cli::look::{Job, Named, not_sent};
use crate::cli::order_file;
use crate::cli::work::{Work, of_session};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// What is offered where policy lets an order live as long, seconds: a working day.
const OFFERED: u64 = 8 * 3600;

/// An order that was left at the desk.
#[derive(Debug, Serialize)]
struct Left {
    waiting: bool,
    run: RunId,
    endpoint: String,
    script: String,
    until: Time,
}

/// `8h`, `30m`: as `--wait` reads it; whole minutes, at least one.
fn time(seconds: u64) -> String {
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{}h", s / 3600),
        s => format!("{}m", (s / 60).max(1)),
    }
}

impl Named {
    /// The same command with `--wait`. Values of parameters are not repeated.
    fn waiting(&self, verb: &str, seconds: u64) -> String {
        let mut line = format!("salve {verb} {}", self.script);
        for (option, value) in [("--ticket", &self.ticket), ("--on", &self.on)] {
            if let Some(value) = value {
                line.push_str(&format!(" {option} {value}"));
            }
        }
        for (name, _) in &self.args {
            line.push_str(&format!(" --arg {name}=..."));
        }
        format!("{line} --wait {}", time(seconds))
    }
}

/// A session; none where the machine is away and the order may wait for it.
///
/// # Errors
/// As [`Work::meet`]; where it is away, with the command that waits.
pub async fn meet(
    ctx: &Ctx,
    work: &Work,
    job: &Job,
    named: &Named,
    verb: &str,
) -> Result<Option<Session>, Failure> {
    let most = longest(&work.agent);
    if named.wait.is_some_and(|wait| wait > most) {
        let sentence = format!("policy lets an order wait for {} at most", time(most));
        return Err(Failure::usage(sentence).next(named.waiting(verb, most)));
    }
    let shared = work.desk.store.line().is_some();
    match work.session(ctx, &job.endpoint).await {
        Ok(session) if named.export.is_some() => {
            session.leave().await;
            let sentence = format!("{} is here: there is nothing to carry", job.endpoint.name);
            Err(Failure::usage(sentence).next("run it without --wait and --export"))
        }
        Ok(session) => Ok(Some(session)),
        Err(SessionError::Away { .. }) if named.wait.is_some() => Ok(None),
        // A home of its own dials by itself.
        Err(SessionError::Dial(_) | SessionError::NoAddress { .. }) if named.export.is_some() => {
            Ok(None)
        }
        Err(error) => {
            let away = matches!(error, SessionError::Away { .. });
            let failure = of_session(error, &job.endpoint, ctx);
            if away {
                let command = named.waiting(verb, OFFERED.min(most));
                let day = "To run it when the machine is back, today only:";
                return Err(failure.next(format!("{day}   {command}")));
            }
            if named.wait.is_some() && !shared && failure.exit == Exit::Unreachable {
                return Err(failure.next(
                    "orders wait at a shared desk, and this home works with none:  salve desk --help\n\
                     or carry it there as a file:  add --export FILE",
                ));
            }
            Err(failure)
        }
    }
}

/// Asks our own copy of the policy about an order that waits.
///
/// # Errors
/// The refusal that the endpoint would give.
pub fn foresee(ctx: &Ctx, work: &Work, wish: &Wish, named: &Named) -> Result<(), Failure> {
    let attested = attest(&work.desk, wish, None, ctx.now())
        .map_err(|e| Failure::broken("could not attest the ticket").because(e))?
        .is_some()
        // At the shared desk the desk attests.
        || work.desk.store.line().is_some();
    // Nobody attests a ticket beside the machine.
    let attested = attested && named.export.is_none();
    match forecast_waiting(&work.agent, wish, attested, ctx.now()).refusal {
        None => Ok(()),
        Some(Refusal::DispatchKey) => Err(Failure::refused(format!(
            "{} is not left waiting: policy wants your own signature when the machine is there. \
             Nothing was sent.",
            named.script
        ))
        .next("run it without --wait when the machine is back:  salve endpoints list")),
        Some(refusal) => Err(not_sent(&refusal, &named.script)),
    }
}

/// Leaves the order at the desk.
///
/// # Errors
/// What policy or the desk says to it.
pub async fn leave(ctx: &Ctx, work: &Work, wish: &Wish, named: &Named) -> Result<Exit, Failure> {
    foresee(ctx, work, wish, named)?;
    let to = &wish.endpoint;
    let seconds = named.wait.unwrap_or(OFFERED);
    let Some(line) = work.desk.store.line() else {
        return match &named.export {
            Some(path) => order_file::write_new(ctx, work, wish, seconds, path),
            None => {
                Err(Failure::usage("orders wait at a shared desk, and this home works with none")
                    .next("salve desk --help;  or carry it there as a file:  add --export FILE"))
            }
        };
    };
    if let Some(path) = &named.export {
        order_file::free(path)?;
    }
    let (order, seed) = waiting_order(&work.agent, wish, seconds, ctx.now())
        .map_err(|e| Failure::broken("could not seal the order").because(e))?;
    let waiting = (&order, &*seed);
    let left = Session::wait_at_desk(line, &work.agent, to, waiting, ctx.now()).await;
    let (run, until) = left.map_err(|error| of_session(error, to, ctx))?;
    if let Some(path) = &named.export {
        let row = find_run(&work.desk.store, &run.to_string())?;
        return order_file::write(ctx, work, &row, path).await;
    }
    let endpoint = to.name.to_string();
    let script = wish.script.manifest.name.to_string();
    ctx.show(&Left { waiting: true, run, endpoint, script, until }, |left| {
        format!(
            "WAITS    {} for {}, until {}: it runs once, when the machine is back.   run {run}\n  \
             Next     salve orders list;  to take it back:  salve cancel {run}",
            left.script,
            left.endpoint,
            left.until,
            run = left.run.short()
        )
    })?;
    // Nothing ran yet: whoever goes on by the exit code must not take it for fixed.
    Ok(Exit::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_waits_is_the_same_one_and_repeats_no_value() {
        let mut named = Named {
            script: "disk.free".into(),
            ticket: Some("1482".into()),
            on: None,
            args: Vec::new(),
            reason: None,
            wait: None,
            export: None,
        };
        assert_eq!(named.waiting("run", OFFERED), "salve run disk.free --ticket 1482 --wait 8h");
        named.args.push(("unit".into(), "geheim".into()));
        named.on = Some("lt-4411".into());
        assert_eq!(
            named.waiting("check", 5400),
            "salve check disk.free --ticket 1482 --on lt-4411 --arg unit=... --wait 90m"
        );
    }
}
