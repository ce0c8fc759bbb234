//! `salve runs`: what ran, what it did, and its papers for somebody else to check.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use desk::books::Paper;
use desk::inventory::{RunFilter, RunRow, RunState, find_endpoint, find_run, find_ticket};
use desk::org::Desk;
use desk::verify::{self, FolderError};
use protocol::Plan;

use crate::cli::follow;
use crate::cli::look::exit_of_record;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::runs::{self, RunPage};

/// Lists, shows, follows and exports runs
#[derive(Debug, Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List runs, newest first
    List(ListArgs),
    /// Show a run's record, and exit as that run ended
    ///
    /// Exit code: 0 fixed or healthy, 1 needs a person (not repaired, check found something), 3 the
    /// record does not verify, 4 refused, 5 busy or never sent, 7 unknown, interrupted or still
    /// running. With --export: 0 when the papers are written.
    Show(ShowArgs),
    Follow(follow::FollowArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Of this ticket
    #[arg(long)]
    ticket: Option<String>,
    /// On this machine
    #[arg(long, value_name = "ENDPOINT")]
    on: Option<String>,
    /// At most so many; 0 means all
    #[arg(short = 'n', long, default_value_t = 20)]
    number: usize,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The run, the beginning of its id, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Also every effect
    #[arg(long)]
    effects: bool,
    /// Write its papers as a new folder that other tools can check
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: RunsArgs) -> Result<Exit, Failure> {
    match args.what {
        What::List(which) => list(ctx, &ctx.desk()?, &which),
        What::Show(which) => show(ctx, &ctx.desk()?, &which),
        What::Follow(which) => follow::run(ctx, which).await,
    }
}

fn list(ctx: &Ctx, desk: &Desk, which: &ListArgs) -> Result<Exit, Failure> {
    let endpoint = which.on.as_ref().map(|typed| find_endpoint(&desk.store, typed)).transpose()?;
    let ticket = which.ticket.as_ref().map(|typed| find_ticket(&desk.store, typed)).transpose()?;
    let filter = RunFilter {
        ticket: ticket.map(|(id, _)| id),
        endpoint: endpoint.map(|e| e.id),
        limit: which.number,
        ..RunFilter::default()
    };
    let rows = desk.store.runs(&filter)?;
    let now = ctx.now();
    ctx.show(&rows, |rows| runs::list(rows, now))?;
    if desk.store.line().is_some() && !rows.is_empty() {
        ctx.note("that is the desk's word; verified here:  salve runs show RUN");
    }
    Ok(Exit::Fine)
}

fn show(ctx: &Ctx, desk: &Desk, which: &ShowArgs) -> Result<Exit, Failure> {
    let run = find_run(&desk.store, &which.run)?;
    if let Some(folder) = &which.export {
        return export(ctx, desk, &run, folder);
    }
    let run = if desk.store.line().is_some() { judged(ctx, desk, run)? } else { run };
    let page = page(desk, run, which.effects)?;
    ctx.show(&page, runs::page)?;
    Ok(exit_of_page(&page))
}

/// A run of the shared desk's books: what a record says is taken from the record, and whether it
/// holds is found out here.
fn judged(ctx: &Ctx, desk: &Desk, mut run: RunRow) -> Result<RunRow, Failure> {
    let Some(papers) = verify::papers_of(&desk.store, &run.id)? else {
        (run.outcome, run.verified) = (None, None);
        return Ok(run);
    };
    let anchors = verify::own_anchors(&desk.home, ctx.now())?;
    let report = verify::verify_run(&run.id, &papers, &anchors);
    (run.state, run.verified, run.reason) = (RunState::Ended, Some(report.verified), report.fault);
    (run.outcome, run.record_hash) = (None, report.record);
    if let Some((record, _)) = verify::peek_record(&papers.record) {
        let says = record.predicate;
        run.outcome = Some(says.outcome);
        run.endpoint_name = Some(says.endpoint.name.to_string());
        run.script = Some(says.script.name.to_string());
        run.mode = Some(says.mode.word().to_owned());
    }
    Ok(run)
}

/// As the run ended; without a record nobody knows, unless it never left this desk.
fn exit_of_page(page: &RunPage) -> Exit {
    match (&page.record, page.run.state) {
        (Some(record), _) => exit_of_record(&record.predicate, page.run.verified == Some(true)),
        (None, RunState::Ended) => Exit::NotVerified,
        (None, RunState::NotSent) if !page.at_desk => Exit::Unreachable,
        (None, _) => Exit::Unknown,
    }
}

fn page(desk: &Desk, run: RunRow, effects: bool) -> Result<RunPage, Failure> {
    let store = &desk.store;
    let record = store.run_record(run.id)?.and_then(|bytes| verify::peek_record(&bytes));
    let plan = store.bytes_of(run.id, Paper::Plan)?;
    let plan = plan.and_then(|bytes| protocol::json::read::<Plan>(&bytes).ok());
    let effects = if effects { store.bytes_of(run.id, Paper::Effects)? } else { None };
    let effects = effects.map(|bytes| {
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect::<Vec<_>>()
    });
    Ok(RunPage {
        others: store.strays(run.id)?.len(),
        secret: store.escrow(run.id)?.map(|secret| (secret.not_after, secret.opened_at)),
        record: record.map(|(record, _)| record),
        plan,
        effects,
        at_desk: store.line().is_some(),
        run,
    })
}

fn export(ctx: &Ctx, desk: &Desk, run: &RunRow, folder: &std::path::Path) -> Result<Exit, Failure> {
    let short = run.id.short();
    let papers = verify::papers_of(&desk.store, &run.id)?.ok_or_else(|| {
        Failure::new(Exit::Unknown, format!("run {short} has no record yet"))
            .next(format!("bring it home:  salve runs follow {short}"))
    })?;
    let anchors = verify::own_anchors(&desk.home, ctx.now())?;
    let repository = desk::catalogue::files(&desk.home)?;
    verify::export(folder, &papers, (&anchors, ctx.now()), &repository)?;
    let view = serde_json::json!({ "run": run.id, "folder": folder });
    ctx.show(&view, |_| {
        let folder = crate::view::safe(&folder.to_string_lossy());
        format!(
            "Run {short}: its papers lie in {folder}; README.txt there says how to check them.\n\
             Hand keys.json over on another way than the rest."
        )
    })?;
    Ok(Exit::Fine)
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let exit = match &error {
            FolderError::Exists(_) | FolderError::Read { .. } => Exit::Usage,
            FolderError::Make { .. } | FolderError::Write(_) => Exit::Broken,
        };
        let sentence = error.to_string();
        match std::error::Error::source(&error).map(ToString::to_string) {
            Some(cause) => Self::new(exit, sentence).because(cause),
            None => Self::new(exit, sentence),
        }
    }
}

#[cfg(test)]
mod tests {
    use desk::verify::fixture::{Fixture, NOW};
    use protocol::documents::{Decision, Record};
    use protocol::{Digest, Mode, Outcome, Refusal, RunId};

    use super::*;

    fn shown(state: RunState, verified: Option<bool>, record: Option<Record>) -> Exit {
        let run = RunRow {
            id: RunId([1; 16]),
            order: Digest([2; 32]),
            endpoint: Fixture::id(),
            endpoint_name: None,
            script: None,
            mode: None,
            agent: None,
            ticket: None,
            state,
            outcome: record.as_ref().map(|record| record.predicate.outcome),
            record_hash: None,
            verified,
            reason: None,
            sent_at: None,
            carried: None,
            created: NOW,
            ended: None,
            filed: None,
        };
        let (plan, effects, secret) = (None, None, None);
        exit_of_page(&RunPage { run, record, plan, effects, others: 0, secret, at_desk: false })
    }

    fn ended(mode: Mode, outcome: Outcome) -> Record {
        let f = Fixture::default();
        let mut record = f.record(&f.order());
        (record.predicate.mode, record.predicate.outcome) = (mode, outcome);
        record
    }

    #[test]
    fn a_shown_run_exits_as_it_ended() {
        let good = |mode, outcome| shown(RunState::Ended, Some(true), Some(ended(mode, outcome)));
        assert_eq!(good(Mode::Fix, Outcome::Succeeded), Exit::Fine);
        assert_eq!(good(Mode::Check, Outcome::Unchanged), Exit::Fine);
        assert_eq!(good(Mode::Check, Outcome::Succeeded), Exit::NeedsPerson);
        assert_eq!(good(Mode::Fix, Outcome::Failed), Exit::NeedsPerson);
        assert_eq!(good(Mode::Fix, Outcome::Refused), Exit::Refused);
        assert_eq!(good(Mode::Fix, Outcome::Interrupted), Exit::Unknown);
        let mut busy = ended(Mode::Fix, Outcome::Refused);
        let by = serde_json::json!({ "agent": "m.ruiz", "script": "pkg.update",
            "since": "2026-11-22T10:40:00Z", "run": RunId([2; 16]) });
        let refusal = Refusal::Busy { by: serde_json::from_value(by).unwrap() };
        busy.predicate.decision = Decision::Refuse { refusal };
        assert_eq!(shown(RunState::Ended, Some(true), Some(busy)), Exit::Unreachable);
        let bad = Some(ended(Mode::Fix, Outcome::Succeeded));
        assert_eq!(shown(RunState::Ended, Some(false), bad), Exit::NotVerified);
    }

    #[test]
    fn without_a_record_nobody_knows_unless_it_never_left() {
        for state in [RunState::Prepared, RunState::Carried, RunState::Sent, RunState::Accepted] {
            assert_eq!(shown(state, None, None), Exit::Unknown, "{state:?}");
        }
        assert_eq!(shown(RunState::NotSent, None, None), Exit::Unreachable);
        assert_eq!(shown(RunState::Ended, Some(false), None), Exit::NotVerified);
    }
}
