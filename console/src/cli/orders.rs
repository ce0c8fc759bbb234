//! `salve orders`: what waits at the desk for its machine, until when, and taking it back.

use clap::{Args, Subcommand};
use desk::inventory::WaitingRow;
use protocol::Time;

use crate::cli::cancel::{self, CancelArgs};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, ago};

/// Lists orders that wait, and takes one back
#[derive(Debug, Args)]
pub struct OrdersArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the orders that wait for their machines
    List,
    /// Take one back: it is never sent
    Recall(CancelArgs),
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: OrdersArgs) -> Result<Exit, Failure> {
    match args.what {
        What::List => {
            let rows = ctx.desk()?.store.waiting()?;
            let now = ctx.now();
            ctx.show(&rows, |rows| list(rows, now))?;
            Ok(Exit::Fine)
        }
        What::Recall(which) => cancel::run(ctx, which).await,
    }
}

fn list(rows: &[WaitingRow], now: Time) -> String {
    if rows.is_empty() {
        return "No order waits.".to_owned();
    }
    let mut table =
        Table::new(["RUN", "SCRIPT", "MODE", "WAITS FOR", "BY", "SINCE", "UNTIL", "TICKET"]);
    for row in rows {
        table.row([
            &row.run.short(),
            row.script.as_str(),
            row.mode.word(),
            &row.endpoint_name.clone().unwrap_or_else(|| row.endpoint.short()),
            row.agent.as_str(),
            &ago(row.since, now),
            &row.until.to_string(),
            row.ticket.as_ref().map_or("", |ticket| ticket.as_str()),
        ]);
    }
    table.render()
}
