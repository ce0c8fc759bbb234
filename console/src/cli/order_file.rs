//! `salve orders export` and `import`: an order carried to its machine as a file, and back with its
//! record.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use desk::books::BookError;
use desk::home;
use desk::inventory::{RunState, find_run, find_ticket};
use desk::order_file::{
    self, BadOrderFile, BringError, ExportError, Opened, OrderFile, OrderFileError,
};
use desk::runs::{RunError, RunResult, RunRow, Wish, attest_ticket, carried_back, send_carried};
use desk::session::{Session, SessionError};
use protocol::documents::Order;
use protocol::limits::ORDER_FILE_BYTES_MAX;
use protocol::{Refusal, RunId, Time};
use serde::Serialize;

use crate::cli::look::{exit_of, not_sent};
use crate::cli::run::tell_ticket;
use crate::cli::watch::{Watch, Watched, confirm};
use crate::cli::work::{Work, of_run, of_session};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::{RunView, safe};

/// What `salve orders export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run that waits, or the beginning of its id
    run: String,
    /// The new file
    file: PathBuf,
}

/// What `salve orders import` takes.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The order file
    file: PathBuf,
    /// Run it now, over a line from here to the machine, which answers there
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<String>,
    /// Do not ask before it runs
    #[arg(long, short = 'y')]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Out<'a> {
    file: &'a Path,
    run: RunId,
    endpoint: String,
    script: String,
    until: Time,
    waiting: bool,
}

/// Copies an order that waits.
///
/// # Errors
/// What the command says.
pub async fn export(ctx: &Ctx, args: ExportArgs) -> Result<Exit, Failure> {
    free(&args.file)?;
    let work = Work::open(ctx)?;
    let row = find_run(&work.desk.store, &args.run)?;
    write(ctx, &work, &row, &args.file).await?;
    Ok(Exit::Fine)
}

/// Whether a new file of that name can be made.
///
/// # Errors
/// There is one.
pub(super) fn free(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(Failure::usage(format!("`{}` is there already", safe(&path.to_string_lossy())))
            .next("choose another name")),
    }
}

/// Writes the copy of an order that waits at the desk.
///
/// # Errors
/// What the desk says to it.
pub(super) async fn write(
    ctx: &Ctx,
    work: &Work,
    row: &RunRow,
    path: &Path,
) -> Result<Exit, Failure> {
    let file = order_file::carry(&work.desk, &work.agent, row, ctx.now()).await?;
    home::write_secret(path, &file.write()?)?;
    said(ctx, work, (row.id, file), path, true)
}

/// Writes a new order where there is no desk at which it could wait.
///
/// # Errors
/// What the store says to it; then it is not sent.
pub(super) fn write_new(
    ctx: &Ctx,
    work: &Work,
    wish: &Wish,
    seconds: u64,
    path: &Path,
) -> Result<Exit, Failure> {
    free(path)?;
    let (run, file) = order_file::carry_new(&work.desk, &work.agent, wish, seconds, ctx.now())?;
    let written = file.write().map_err(Failure::from);
    let written = written.and_then(|bytes| Ok(home::write_secret(path, &bytes)?));
    if let Err(failure) = written {
        order_file::not_written(&work.desk, &run, ctx.now())?;
        return Err(failure);
    }
    said(ctx, work, (run, file), path, false)
}

fn said(
    ctx: &Ctx,
    work: &Work,
    (run, file): (RunId, OrderFile),
    path: &Path,
    waiting: bool,
) -> Result<Exit, Failure> {
    let opened = order_file::open(&work.agent, file, ctx.now())?;
    let out = Out {
        file: path,
        run,
        endpoint: opened.endpoint.name.to_string(),
        script: opened.order.script.name.to_string(),
        until: opened.order.not_after,
        waiting,
    };
    ctx.show(&out, words)?;
    // Nothing ran yet.
    Ok(Exit::Unknown)
}

fn words(out: &Out<'_>) -> String {
    let file = safe(&out.file.to_string_lossy());
    let also = match out.waiting {
        true => "\n           It waits at the desk too; whichever comes first runs.",
        false => "",
    };
    format!(
        "WRITTEN  {} for {}, until {}: it runs once.   run {}\n  \
         File     {file} (mode 0600): with it and a certificate of the organisation one can have this \
         run\n           and no other.{also}\n  \
         Next     where the machine can be reached:  salve orders import {file} --at HOST:PORT\n           \
         then back here with the same file:  salve orders import {file}",
        out.script,
        out.endpoint,
        out.until,
        out.run.short(),
    )
}

fn read(path: &Path) -> Result<OrderFile, Failure> {
    let unreadable = |source| home::FileError::Read { path: path.to_owned(), source };
    let fail = |source| first(Exit::Usage, unreadable(source));
    let most = u64::try_from(ORDER_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    Ok(OrderFile::read(&bytes)?)
}

/// Runs an order file, leaves it at the desk, or files the record that it holds.
///
/// # Errors
/// What the command says.
pub async fn import(ctx: &Ctx, args: ImportArgs) -> Result<Exit, Failure> {
    let file = read(&args.file)?;
    let work = if args.at.is_some() { Work::open_away(ctx)? } else { Work::open(ctx)? };
    let mut opened = order_file::open(&work.agent, file, ctx.now())?;
    if opened.file.answer.is_some() {
        return bring_back(ctx, &work, &opened).await;
    }
    if args.at.is_none() && work.desk.store.line().is_some() {
        return leave(ctx, &work, &opened, &args.file).await;
    }
    if let Some(at) = args.at {
        opened.endpoint.address = Some(at);
    } else if let Some(known) = work.desk.store.endpoint(opened.endpoint.id)? {
        opened.endpoint.address = known.address.or(opened.endpoint.address);
    }
    // Where nobody is asked the endpoint decides alone, which may not have heard of a recall.
    if let Ok(Some(row)) = work.desk.store.run(opened.run)
        && let (RunState::Carried, Some(why)) = (row.state, row.reason)
    {
        return Err(Failure::refused(format!("not sent: {}", safe(&why)))
            .next(format!("salve runs show {}", opened.run.short())));
    }
    if let Some(refusal) = order_file::foresee(&work.agent, &opened, ctx.now()) {
        return Err(not_sent(&refusal, opened.order.script.name.as_str()));
    }
    if !args.yes && !ctx.json {
        ctx.say(about(&opened));
    }
    if !args.yes && !confirm(ctx, "Go?").await {
        ctx.note("Nothing was changed. To go without being asked:  add --yes");
        return Ok(Exit::NeedsPerson);
    }
    run(ctx, &work, opened, &args.file).await
}

/// What an order would do, by its own words.
fn about(opened: &Opened) -> String {
    let order = &opened.order;
    let ticket = order.ticket.as_ref().map_or_else(String::new, |t| format!(" for ticket {t}"));
    let plan = match order.plan {
        None => ", bound to no plan",
        Some(_) => "",
    };
    format!(
        "{} {} on {}: {}{plan}\n  Ordered  by {}{ticket}: {}\n  Until    {}",
        order.script.name,
        order.script.version,
        opened.endpoint.name,
        order.mode.word(),
        order.agent,
        safe(&order.reason),
        order.not_after,
    )
}

/// Over a line from here. The file keeps its key until the record is in it.
async fn run(ctx: &Ctx, work: &Work, opened: Opened, path: &Path) -> Result<Exit, Failure> {
    let to = &opened.endpoint;
    let name = to.name.to_string();
    let session = Session::open(&work.agent, to, ctx.now()).await;
    let session = session.map_err(|error| of_session(error, to, ctx))?;
    work.compare(ctx, &session);
    let attested = attested(ctx, work, &opened.order)?;
    let watch = Watch::default();
    let mut tell = |news: desk::runs::News<'_>| watch.tell(ctx, &news);
    let mut answer = None;
    let sending = async {
        let sent =
            send_carried(&work.agent, &session, &opened, attested, ctx.now, &mut tell).await?;
        answer = Some(sent.answer);
        Ok(sent.result)
    };
    let watched = watch.over(ctx, work, Some(&session), &name, sending).await;
    session.leave().await;
    let file = safe(&path.to_string_lossy());
    let again = format!("its record comes with the same command:  salve orders import {file}");
    let result = match watched? {
        Watched::Ended(result) => result,
        Watched::Failed(error @ (RunError::Unknown { .. } | RunError::NotTaken { .. })) => {
            return Err(Failure { next_step: None, ..of_run(error, to, ctx) }.next(again));
        }
        Watched::Failed(error) => return Err(of_run(error, to, ctx)),
        Watched::Left(_) => {
            ctx.note(format!("The run goes on on {}; {again}", safe(&name)));
            return Ok(Exit::Unknown);
        }
    };
    let Some(answer) = answer else { return Err(Failure::broken("the run left no papers")) };
    let mut view = RunView::of(&result, &name);
    if busy(&result) {
        view.next = Some(format!("the file is as it was; try again:  salve orders import {file}"));
        ctx.show(&view, RunView::words)?;
        return Ok(exit_of(&result));
    }
    let opened = Opened { file: opened.file.answered(answer), ..opened };
    home::write_secret(path, &opened.file.write()?)?;
    match filed(ctx, work, &opened, &result).await {
        Ok(told) => view.ticket = told,
        Err(why) => {
            ctx.note(format!("note: not filed from here: {}", safe(&why)));
            let back = "the record is in the file; back where it was written";
            view.next = Some(format!("{back}:  salve orders import {file}"));
        }
    }
    ctx.show(&view, RunView::words)?;
    Ok(exit_of(&result))
}

/// Another run was in the way: the order is as good as before.
fn busy(result: &RunResult) -> bool {
    matches!(
        &result.record.predicate.decision,
        protocol::documents::Decision::Refuse { refusal: Refusal::Busy { .. } }
    )
}

/// The desk's word on the ticket and on who was calling, where this home is the desk.
fn attested(ctx: &Ctx, work: &Work, order: &Order) -> Result<Option<protocol::Envelope>, Failure> {
    let (Some(ticket), None) = (&order.ticket, work.desk.store.line()) else { return Ok(None) };
    let Ok((id, row)) = find_ticket(&work.desk.store, ticket.as_str()) else { return Ok(None) };
    let now = ctx.now();
    attest_ticket(&work.desk, (&id, &row), Some((order, now)), now)
        .map_err(|error| Failure::broken("could not attest the ticket").because(error))
}

/// Files the record where the order was stored, and says what its ticket was told; else why not.
async fn filed(
    ctx: &Ctx,
    work: &Work,
    opened: &Opened,
    result: &RunResult,
) -> Result<Option<String>, String> {
    let brought = order_file::bring(&work.desk, &work.agent, opened, ctx.now()).await;
    brought.map_err(|error| protocol::error_chain::ErrorChain(&error).to_string())?;
    let ticket = opened.order.ticket.as_ref().filter(|_| opened.order.mode.mutates());
    let told = ticket.map(|ticket| tell_ticket(ctx, work, ticket, result)).transpose();
    told.map_err(|failure| failure.sentence)
}

/// The record that a file holds goes where its order came from.
async fn bring_back(ctx: &Ctx, work: &Work, opened: &Opened) -> Result<Exit, Failure> {
    let to = &opened.endpoint;
    let result = carried_back(&work.agent, opened).map_err(|error| of_run(error, to, ctx))?;
    order_file::bring(&work.desk, &work.agent, opened, ctx.now()).await?;
    let mut view = RunView::of(&result, to.name.as_str());
    let ticket = opened.order.ticket.as_ref().filter(|_| opened.order.mode.mutates());
    view.ticket = ticket.map(|ticket| tell_ticket(ctx, work, ticket, &result)).transpose()?;
    ctx.show(&view, RunView::words)?;
    Ok(exit_of(&result))
}

/// At the shared desk it waits, as any other; one that waits there already does.
async fn leave(ctx: &Ctx, work: &Work, opened: &Opened, path: &Path) -> Result<Exit, Failure> {
    let (to, run) = (&opened.endpoint, opened.run);
    let file = safe(&path.to_string_lossy());
    let from_here = format!("to run it from here:  salve orders import {file} --at HOST:PORT");
    let line = work.desk.store.line().ok_or_else(|| Failure::broken("there is no desk"))?;
    if work.desk.store.waiting_run(run)?.is_none() {
        if work.desk.store.run(run)?.is_some() {
            let sentence = format!("the desk sends run {} no more", run.short());
            return Err(Failure::usage(sentence)
                .next(format!("salve runs show {}", run.short()))
                .next(from_here));
        }
        let Some(key) = &opened.file.key else {
            return Err(Failure::broken("the file has no key"));
        };
        let waiting = (&opened.sealed, &*key.0);
        let left = Session::wait_at_desk(line, &work.agent, to, waiting, ctx.now()).await;
        left.map_err(|error| of_session(error, to, ctx))?;
    }
    let out = Out {
        file: path,
        run,
        endpoint: to.name.to_string(),
        script: opened.order.script.name.to_string(),
        until: opened.order.not_after,
        waiting: true,
    };
    ctx.show(&out, |out| {
        format!(
            "WAITS    {} for {}, until {}, at the desk: it runs once, when the machine is back.   run {}\n  \
             Next     {from_here}",
            out.script,
            out.endpoint,
            out.until,
            out.run.short()
        )
    })?;
    Ok(Exit::Unknown)
}

impl From<BadOrderFile> for Failure {
    fn from(error: BadOrderFile) -> Self {
        match error {
            BadOrderFile::Altered => first(Exit::NotVerified, error)
                .next("copy it again from where it was written:  salve orders export RUN FILE"),
            _ => first(Exit::Usage, error).next("name a file that `salve orders export` wrote"),
        }
    }
}

impl From<OrderFileError> for Failure {
    fn from(error: OrderFileError) -> Self {
        match error {
            OrderFileError::Organisation { .. } => first(Exit::Usage, error)
                .next("use the home of that organisation:  salve --home DIR"),
            OrderFileError::Over(_) => {
                first(Exit::Refused, error).next("have it ordered anew:  salve runs list")
            }
            OrderFileError::Unsealed(_) => first(Exit::Refused, error)
                .next("ask whether that person was withdrawn:  salve agents list"),
            OrderFileError::Card(_) => first(Exit::NotVerified, error)
                .next("ask an administrator whether that machine was set up anew"),
            OrderFileError::Unfit(_) => first(Exit::NotVerified, error)
                .next("copy it again from where it was written:  salve orders export RUN FILE"),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::NotWaiting { run } => first(Exit::Usage, error)
                .next(format!("salve runs show {};  what waits:  salve orders list", run.short())),
            ExportError::NotYours { .. } => {
                first(Exit::Refused, error).next("ask one of them:  salve agents list")
            }
            ExportError::NotTheOrder { .. } => {
                first(Exit::NotVerified, error).next("do not carry it; order it anew")
            }
            ExportError::NoEndpoint { .. } => {
                first(Exit::Usage, error).next("salve endpoints list")
            }
            ExportError::Session(SessionError::Desk(no)) => BookError::from(no).into(),
            ExportError::Session(SessionError::NoDesk(fault)) => BookError::from(fault).into(),
            ExportError::Session(error) => first(Exit::Unreachable, error).next("try again"),
            ExportError::Book(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::Promise(_) | ExportError::Seal(_) | ExportError::Write(_) => {
                first(Exit::Broken, error)
            }
        }
    }
}

impl From<BringError> for Failure {
    fn from(error: BringError) -> Self {
        match error {
            BringError::NoRun { .. } => first(Exit::Usage, error)
                .next("import it where the order was made; the file keeps the record"),
            BringError::Unfit(_) => first(Exit::NotVerified, error)
                .next("the endpoint has the record still, and offers it when it answers again"),
            BringError::Session(SessionError::Desk(no)) => BookError::from(no).into(),
            BringError::Session(SessionError::NoDesk(fault)) => BookError::from(fault).into(),
            BringError::Session(error) => first(Exit::Unreachable, error).next("try again"),
            BringError::Book(error) => error.into(),
        }
    }
}
