//! `salve cancel`: takes a run back, signed, and brings the record of what was done until then.

use clap::Args;
use desk::inventory::find_run;
use desk::runs::recall;
use desk::session::{Session, SessionError};
use protocol::frames::Stop;

use crate::cli::follow::home;
use crate::cli::work::{Work, endpoint_of, of_session};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// Cancel a run that runs or waits
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run, the beginning of its id, or `last`
    pub run: String,
    /// Why, in a few words, for the record
    #[arg(long, value_name = "WORDS", default_value = "cancelled at the console")]
    pub reason: String,
}

/// Cancels.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: CancelArgs) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let row = find_run(&work.desk.store, &args.run)?;
    if row.outcome.is_some() {
        return Err(Failure::usage(format!("run {} has ended already", row.id.short()))
            .next(format!("salve runs show {}", row.id.short())));
    }
    let endpoint = endpoint_of(&work, &row)?;
    let own = row.agent.as_deref() == Some(work.agent.name.as_str());
    if !own || work.agent.signing.session().is_none() {
        work.open_own_key(ctx)?;
    }
    let signed = recall(&work.agent, (row.order, own), &args.reason, ctx.now())
        .map_err(|e| Failure::broken("could not sign the recall").because(e))?;
    if let (Some(line), Some(_)) = (work.desk.store.line(), work.desk.store.waiting_run(row.id)?) {
        let taken = Session::recall_at_desk(line, &endpoint, &signed).await;
        if !taken.map_err(|error| of_session(error, &endpoint, ctx))? {
            ctx.note(format!(
                "the desk says: run {} waited for {} and will not be sent; nobody signed that",
                row.id.short(),
                endpoint.name
            ));
            return Ok(Exit::Fine);
        }
        // It left in between.
        ctx.note(format!("cancelling on {} ...", endpoint.name));
        return home(ctx, &work, &row).await;
    }
    let session = work.meet(ctx, &endpoint).await?;
    let taken = session.recall(&signed).await;
    session.leave().await;
    match taken {
        Ok(true) => ctx.note(format!("cancelling on {} ...", endpoint.name)),
        Ok(false) if work.desk.store.line().is_some() => {
            ctx.note("the desk says: it was not running and will not start; nobody signed that");
        }
        Ok(false) => ctx.note("it was not running; it will not start either"),
        Err(SessionError::Stopped(Stop::NotYours)) => {
            return Err(Failure::refused("only the run's own agent, or whom policy names, may")
                .next("ask the person who started it:  salve runs show"));
        }
        Err(error) => return Err(of_session(error, &endpoint, ctx)),
    }
    home(ctx, &work, &row).await
}
