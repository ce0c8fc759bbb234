//! `salve check`: what is wrong there? Changes nothing.

use protocol::Mode;

use crate::cli::look::{Job, Named, catch_up, exit_of, foresee, go};
use crate::cli::wait;
use crate::cli::watch::{Watched, left};
use crate::cli::work::{Work, of_run};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Heading, RunView, safe};

/// Checks.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, named: Named) -> Result<Exit, Failure> {
    look(ctx, &named, Mode::Check).await
}

pub(super) async fn look(ctx: &Ctx, named: &Named, mode: Mode) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let job = Job::find(&work, named)?;
    let wish = job.wish(mode, None, None, None);
    foresee(ctx, &work, &wish)?;
    work.ready(ctx, &[&wish], named.wait)?;
    let Some(session) = wait::meet(ctx, &work, &job, named, mode.word()).await? else {
        return wait::leave(ctx, &work, &wish, named).await;
    };
    let name = job.endpoint.name.to_string();
    let by = job.ticket.as_ref().filter(|_| named.on.is_none()).map(|(id, _)| id.clone());
    if !ctx.json {
        let mut heading = Heading::of(&job.script, &name, by);
        // A check takes nothing that could be taken back.
        heading.undo = heading.undo.filter(|_| mode == Mode::Plan);
        ctx.say(heading.words());
    }
    let watched = go(ctx, &work, &session, &wish).await?;
    let exit = match watched {
        Watched::Ended(result) => {
            let view = RunView::of(&result, &name);
            ctx.show(&view, |view| format!("{}{}", view.findings(), view.words()))?;
            if let Some(why) = &result.no_facts {
                ctx.note(format!("note: its facts were not kept: {}", safe(why)));
            }
            exit_of(&result)
        }
        Watched::Failed(error) => return Err(of_run(error, &job.endpoint, ctx)),
        Watched::Left(run) => left(ctx, run, &name),
    };
    catch_up(ctx, &work, &session).await;
    session.leave().await;
    Ok(exit)
}
