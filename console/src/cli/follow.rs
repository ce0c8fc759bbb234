//! `salve runs follow`: watch a run that goes on, or bring its record home.

use clap::Args;
use desk::inventory::find_run;
use desk::runs::{self, News, RunRow};
use protocol::TicketId;

use crate::cli::look::exit_of;
use crate::cli::run::tell_ticket;
use crate::cli::watch::{Watch, Watched, left};
use crate::cli::work::{Work, endpoint_of, of_run};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::RunView;

/// Watch a run, or bring its record home
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The run, the beginning of its id, or `last`
    #[arg(default_value = "last")]
    pub run: String,
}

/// Follows.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: FollowArgs) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let row = find_run(&work.desk.store, &args.run)?;
    home(ctx, &work, &row).await
}

/// Follows one run to its record, files it and tells its ticket.
pub(super) async fn home(ctx: &Ctx, work: &Work, row: &RunRow) -> Result<Exit, Failure> {
    let endpoint = endpoint_of(work, row)?;
    let name = endpoint.name.to_string();
    let watch = Watch::of(row.id, row.order);
    let mut tell = |news: News<'_>| watch.tell(ctx, &news);
    let which = (row.id, row.order);
    let heard = runs::resume(&work.desk, &work.agent, &endpoint, which, ctx.now, &mut tell);
    match watch.over(ctx, work, None, &name, heard).await? {
        Watched::Ended(result) => {
            let record = &result.record.predicate;
            let mut view = RunView::of(&result, &name);
            let noted: Option<&TicketId> = row.ticket.as_ref();
            if let Some(ticket) = noted.filter(|_| record.mode.mutates()) {
                view.ticket = Some(tell_ticket(ctx, work, ticket, &result)?);
            }
            ctx.show(&view, RunView::words)?;
            Ok(exit_of(&result))
        }
        Watched::Failed(error) => Err(of_run(error, &endpoint, ctx)),
        Watched::Left(run) => Ok(left(ctx, run, &name)),
    }
}
