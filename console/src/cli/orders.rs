//! `salve orders`: what waits at the desk for its machine or asks for approval, until when; taking it
//! back, and sending what was approved.

use clap::{Args, Subcommand};
use desk::approvals::{self, ApprovalError, RequestRow};
use desk::inventory::{RunFilter, RunRow, WaitingRow};
use protocol::{Mode, Time};
use serde::Serialize;

use crate::cli::approve::{decided, of_approval, own};
use crate::cli::cancel::{self, CancelArgs};
use crate::cli::glass;
use crate::cli::look::Job;
use crate::cli::order_file::{self, ExportArgs, ImportArgs};
use crate::cli::run::send as send_fix;
use crate::cli::work::{Work, machine};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, ago, approval};

/// Lists orders that wait or ask, takes one back, carries one as a file, sends one that was approved
#[derive(Debug, Args)]
pub struct OrdersArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the orders that wait for their machines, are out in files, or ask for approval
    List,
    /// Take one back: it is never sent
    Recall(CancelArgs),
    /// Copy one that waits to a file, to be carried to where its machine can be reached
    Export(ExportArgs),
    /// Run an order file, or bring one back with its record
    ///
    /// Exit code: as the run ended; 7 where it was left to wait at the desk.
    Import(ImportArgs),
    /// Say that you have looked at an order of somebody else that broke glass
    Reviewed {
        /// The order, by the beginning of its name
        order: String,
    },
    /// Send an order of yours that was approved while you were away
    Send {
        /// The order, by the beginning of its name
        order: String,
    },
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: OrdersArgs) -> Result<Exit, Failure> {
    match args.what {
        What::List => {
            let store = ctx.desk()?.store;
            let now = ctx.now();
            let open = RunFilter { unanswered: true, ..RunFilter::default() };
            let mut carried = store.runs(&open)?;
            carried.retain(|run| run.carried.is_some());
            let all = Orders { waiting: store.waiting()?, carried, asking: store.requests(now)? };
            ctx.show(&all, |all| {
                let asking = if all.asking.is_empty() {
                    String::new()
                } else {
                    format!("\nAsk for approval:\n{}", approval::list(&all.asking, now))
                };
                let carried = match all.carried.is_empty() {
                    true => String::new(),
                    false => format!("\nOut in files:\n{}", out(&all.carried)),
                };
                format!("{}{carried}{asking}", list(&all.waiting, now).trim_end())
            })?;
            Ok(Exit::Fine)
        }
        What::Recall(which) => recall(ctx, which).await,
        What::Export(which) => order_file::export(ctx, which).await,
        What::Import(which) => order_file::import(ctx, which).await,
        What::Reviewed { order } => glass::reviewed(ctx, &order),
        What::Send { order } => send(ctx, &order).await,
    }
}

/// Orders that have not been sent yet.
#[derive(Debug, Serialize)]
struct Orders {
    waiting: Vec<WaitingRow>,
    /// Those of which a copy is out in a file, whether they wait here too or not.
    carried: Vec<RunRow>,
    asking: Vec<RequestRow>,
}

/// One that asks is an order without a run; what waits is named by its run.
async fn recall(ctx: &Ctx, which: CancelArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let me = desk.organisation.me.clone();
    match approvals::find(&desk, &which.run, ctx.now()) {
        Err(ApprovalError::Nothing { .. }) => cancel::run(ctx, which).await,
        Err(error) => Err(of_approval(error)),
        Ok(row) if row.agent != me => Err(Failure::refused(format!("it is {}'s order", row.agent))
            .next(format!("to say no:  salve approve {} --no", row.order.short()))),
        Ok(row) => {
            desk.store.end_request(row.order, me)?;
            ctx.note(format!("order {} asks no more; it was never sent", row.order.short()));
            Ok(Exit::Fine)
        }
    }
}

/// Sends what others approved, as they saw it.
async fn send(ctx: &Ctx, typed: &str) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let row = approvals::find(&work.desk, typed, ctx.now()).map_err(of_approval)?;
    let asked = approvals::read(&work.desk, &work.agent, &row, ctx.now()).map_err(of_approval)?;
    let endpoint = machine(&work, row.endpoint, &format!("order {}", row.order.short()))?;
    let ticket = work.ticket(asked.order.ticket.as_ref().map(|ticket| ticket.as_str()))?;
    let job = Job {
        script: asked.script.clone(),
        endpoint,
        ticket,
        parameters: asked.order.parameters.clone(),
        reason: asked.order.reason.clone(),
    };
    let (identified, consent) = (asked.order.identified.clone(), asked.order.consent.clone());
    let mut fix = job.wish(Mode::Fix, identified, consent, asked.order.plan);
    // A policy that changed since may want nobody's word any more.
    let wanted = approvals::wanted(&work.agent, &fix, ctx.now()).unwrap_or_default();
    let (answers, order) = (asked.answers.clone(), own(&work, asked)?);
    let have = answers.yes.len();
    fix.approved = decided(ctx, &work, &order, answers, &wanted)?;
    if fix.approved.is_none() {
        return Err(Failure::refused(format!("{have} of {} approved it so far", wanted.count))
            .next("salve orders list"));
    }
    // What others approved bears the own key.
    work.open_own_key(ctx)?;
    let session = work.meet(ctx, &job.endpoint).await?;
    let exit = send_fix(ctx, &work, &session, &job, &fix).await;
    session.leave().await;
    exit
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

fn out(rows: &[RunRow]) -> String {
    let mut table = Table::new(["RUN", "SCRIPT", "MODE", "FOR", "BY", "GOOD UNTIL", "TICKET"]);
    for row in rows {
        table.row([
            &row.id.short(),
            row.script.as_deref().unwrap_or_default(),
            row.mode.as_deref().unwrap_or_default(),
            &row.endpoint_name.clone().unwrap_or_else(|| row.endpoint.short()),
            row.agent.as_deref().unwrap_or_default(),
            &row.carried.map(|until| until.to_string()).unwrap_or_default(),
            row.ticket.as_ref().map_or("", |ticket| ticket.as_str()),
        ]);
    }
    table.render().trim_end().to_owned()
}
