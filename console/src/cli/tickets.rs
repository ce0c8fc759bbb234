//! `salve tickets`: open, list, show, hand over, close and reopen tickets of the built-in system.

use clap::{Args, Subcommand, ValueEnum};
use desk::inventory::{
    Draft, OutboxRow, OutboxState, RunFilter, TicketKind, TicketRow, TicketTrouble, Tickets,
    assign_ticket, find_endpoint, find_ticket, move_ticket, open_ticket,
};
use desk::org::Desk;
use desk::outbox::{self, Delivery};
use desk::verify::{self, Anchors, CopyReport};
use protocol::documents::TicketState;
use protocol::{AgentName, TicketId};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;
use crate::view::ticket::{self, FileLine, TicketLine, TicketPage};

/// Open, list, show, close and reopen tickets
#[derive(Debug, Args)]
pub struct TicketsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Open a ticket
    New(NewArgs),
    /// List the open tickets, newest first
    List(ListArgs),
    /// Show a ticket with its notes, files and runs
    Show(OneArgs),
    /// Hand a ticket to a colleague; a note says who gave it to whom
    Assign(AssignArgs),
    /// Close a ticket
    Close(OneArgs),
    /// Open a closed or resolved ticket again
    Reopen(OneArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// What is wrong, in one line
    subject: String,
    /// The person with the problem, as in jo.meyer
    #[arg(long = "for", value_name = "PERSON")]
    person: Option<String>,
    /// The machine, by name; without a shared desk also by the beginning of it
    #[arg(long, value_name = "ENDPOINT")]
    on: Option<String>,
    /// What was said, in more words
    #[arg(long, default_value = "")]
    body: String,
    /// Why there is a ticket
    #[arg(long, value_enum, default_value = "incident")]
    kind: KindArg,
    /// A word to sort it by, as in disk
    #[arg(long)]
    category: Option<String>,
    /// How it came: phone, mail, chat, desk
    #[arg(long, default_value = "desk")]
    channel: String,
    /// How many people cannot work
    #[arg(long, default_value_t = 0)]
    blocked: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindArg {
    Incident,
    Request,
    Change,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Also resolved and closed ones
    #[arg(long)]
    all: bool,
    /// Only those assigned to you
    #[arg(long)]
    mine: bool,
    /// Only those of this machine
    #[arg(long, value_name = "ENDPOINT")]
    on: Option<String>,
}

#[derive(Debug, Args)]
struct AssignArgs {
    /// The ticket's number, or `last`
    ticket: String,
    /// Who has it from now on, as in m.ruiz
    to: AgentName,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The ticket's number, or `last`
    ticket: String,
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: TicketsArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    catch_up(ctx, &desk);
    match args.what {
        What::New(new) => open(ctx, &desk, new),
        What::List(which) => list(ctx, &desk, &which),
        What::Show(one) => show(ctx, &desk, &one.ticket),
        What::Assign(args) => assign(ctx, &desk, &args),
        What::Close(one) => put(ctx, &desk, &one.ticket, TicketState::Closed),
        What::Reopen(one) => put(ctx, &desk, &one.ticket, TicketState::Open),
    }
}

/// Tells tickets what an earlier command could not: no `serve` is needed for a note to arrive.
pub(super) fn catch_up(ctx: &Ctx, desk: &Desk) {
    // A shared desk tells tickets itself.
    let Ok(store) = desk.store.here() else { return };
    let now = ctx.now();
    if let Err(error) = outbox::sweep(store, now) {
        ctx.note(format!("note: {}", safe(&error.to_string())));
    }
    match outbox::deliver_builtin(store, now) {
        Ok(all) => {
            for (ticket, delivery) in all {
                if let Delivery::Failed { why, .. } = delivery {
                    ctx.note(format!("note: ticket {ticket} could not be told: {}", safe(&why)));
                }
            }
        }
        Err(error) => ctx.note(format!("note: {}", safe(&error.to_string()))),
    }
}

fn open(ctx: &Ctx, desk: &Desk, new: NewArgs) -> Result<Exit, Failure> {
    let endpoint = new.on.map(|typed| find_endpoint(&desk.store, &typed)).transpose()?;
    let draft = Draft {
        subject: new.subject,
        body: new.body,
        kind: match new.kind {
            KindArg::Incident => TicketKind::Incident,
            KindArg::Request => TicketKind::Request,
            KindArg::Change => TicketKind::Change,
        },
        category: new.category,
        channel: new.channel,
        requester: new.person,
        assignee: None,
        endpoint: endpoint.as_ref().map(|e| e.id),
        blocked: new.blocked,
    };
    let id = open_ticket(desk, draft, ctx.now())?;
    let (_, row) = find_ticket(&desk.store, id.as_str())?;
    let me = desk.organisation.me.to_string();
    ctx.show(&line(desk, row)?, |line| opened(line, &me))?;
    Ok(Exit::Fine)
}

fn opened(line: &TicketLine, me: &str) -> String {
    let endpoint = line
        .endpoint_name
        .as_ref()
        .map_or_else(|| ", no endpoint".to_owned(), |name| format!(", endpoint {}", safe(name)));
    format!("Ticket {}, assigned to you ({me}){endpoint}.", line.ticket.id)
}

fn line(desk: &Desk, ticket: TicketRow) -> Result<TicketLine, Failure> {
    let endpoint = match ticket.endpoint {
        Some(id) => desk.store.endpoint(id)?,
        None => None,
    };
    Ok(TicketLine { endpoint_name: endpoint.map(|e| e.name.to_string()), ticket })
}

fn list(ctx: &Ctx, desk: &Desk, which: &ListArgs) -> Result<Exit, Failure> {
    let endpoint = which.on.as_ref().map(|typed| find_endpoint(&desk.store, typed)).transpose()?;
    let filter = Tickets {
        all: which.all,
        assignee: which.mine.then(|| desk.organisation.me.clone()),
        endpoint: endpoint.map(|e| e.id),
        ..Tickets::default()
    };
    let rows = desk.store.tickets(&filter)?;
    let lines = rows.into_iter().map(|row| line(desk, row)).collect::<Result<Vec<_>, _>>()?;
    let now = ctx.now();
    ctx.show(&lines, |lines| ticket::list(lines, now))?;
    Ok(Exit::Fine)
}

fn show(ctx: &Ctx, desk: &Desk, typed: &str) -> Result<Exit, Failure> {
    let (id, row) = find_ticket(&desk.store, typed)?;
    let anchors = verify::own_anchors(&desk.home, ctx.now())?;
    let page = page(desk, &id, row, &anchors)?;
    let altered = page.files.iter().any(|file| file.verified == Some(false));
    let now = ctx.now();
    ctx.show(&page, |page| ticket::page(page, now))?;
    Ok(if altered { Exit::NotVerified } else { Exit::Fine })
}

fn page(
    desk: &Desk,
    id: &TicketId,
    row: TicketRow,
    anchors: &Anchors,
) -> Result<TicketPage, Failure> {
    let number = row.id;
    let mut files = Vec::new();
    for file in desk.store.files(number)? {
        let bytes = desk.store.file_bytes(file.key.clone())?.unwrap_or_default().0;
        // What the desk attached itself is records; anything else is not ours to judge.
        let ours = file.name == "records.jsonl";
        let reports =
            if ours { verify::verify_lines(&desk.store, &bytes, anchors)? } else { Vec::new() };
        let bad = reports.iter().find(|copy| !copy.report.verified);
        let fault = bad.and_then(|copy| copy.report.fault.clone());
        let difference = bad.and_then(|CopyReport { difference, .. }| difference.clone());
        let verified = (!reports.is_empty()).then_some(bad.is_none());
        files.push(FileLine { file, verified, fault, difference });
    }
    let filter = RunFilter { ticket: Some(id.clone()), ..RunFilter::default() };
    let todo = desk.store.outbox_todo()?;
    Ok(TicketPage {
        notes: desk.store.notes(number)?,
        files,
        runs: desk.store.runs(&filter)?,
        undelivered: todo.iter().filter(|r| r.ticket == *id).map(undelivered).collect(),
        ticket: line(desk, row)?,
    })
}

fn undelivered(row: &OutboxRow) -> String {
    let what = row.kind.word();
    match (row.state, &row.last_error) {
        (OutboxState::Waiting, _) => format!("{what}, it waits for the record"),
        (_, Some(error)) => format!("{what}, {} tries, last: {error}", row.tries),
        (_, None) => format!("{what}, it is due"),
    }
}

fn assign(ctx: &Ctx, desk: &Desk, args: &AssignArgs) -> Result<Exit, Failure> {
    let (id, before) = find_ticket(&desk.store, &args.ticket)?;
    let now = ctx.now();
    let policy = desk::catalogue::policy(&desk.home, now)?;
    let takes = |person: &policy::Person| !policy.is_withdrawn(person, now);
    if !policy.person(&args.to).is_some_and(takes) {
        let sentence = format!("nobody named `{}` may work here", args.to);
        return Err(Failure::usage(sentence).next("salve agents list"));
    }
    if before.assignee.as_ref() == Some(&args.to) {
        let words = format!("{} has ticket {id} already.", args.to);
        ctx.show(&line(desk, before)?, |_| words)?;
        return Ok(Exit::Fine);
    }
    let after = assign_ticket(desk, &id, args.to.clone(), now)?;
    let filter = RunFilter { ticket: Some(id.clone()), unanswered: true, ..RunFilter::default() };
    for run in desk.store.runs(&filter)? {
        let run = run.id.short();
        ctx.note(format!("note: run {run} is under way:  salve runs follow {run}"));
    }
    ctx.show(&line(desk, after)?, |_| format!("Ticket {id} is {}'s now.", args.to))?;
    Ok(Exit::Fine)
}

fn put(ctx: &Ctx, desk: &Desk, typed: &str, to: TicketState) -> Result<Exit, Failure> {
    let (id, before) = find_ticket(&desk.store, typed)?;
    if before.state == to {
        let words = format!("Ticket {id} is {} already.", ticket::state(to));
        let now = line(desk, before)?;
        ctx.show(&now, |_| words)?;
        return Ok(Exit::Fine);
    }
    move_ticket(desk, &id, to, ctx.now())?;
    let (_, after) = find_ticket(&desk.store, id.as_str())?;
    let word = if to == TicketState::Open { "reopened" } else { ticket::state(to) };
    let filter = RunFilter { ticket: Some(id.clone()), unanswered: true, ..RunFilter::default() };
    for run in desk.store.runs(&filter)? {
        let run = run.id.short();
        ctx.note(format!("note: run {run} has no record yet:  salve runs follow {run}"));
    }
    ctx.show(&line(desk, after)?, |_| format!("Ticket {id} {word}."))?;
    Ok(Exit::Fine)
}

impl From<TicketTrouble> for Failure {
    fn from(trouble: TicketTrouble) -> Self {
        let trouble = match trouble {
            TicketTrouble::Book(error) => return error.into(),
            other => other,
        };
        let exit = match &trouble {
            busy if crate::failures::busy(busy) => Exit::Unreachable,
            TicketTrouble::TooLong { .. } => Exit::Usage,
            TicketTrouble::Ticket(error) => match error {
                desk::inventory::TicketError::Invalid { .. }
                | desk::inventory::TicketError::NotFound { .. } => Exit::Usage,
                desk::inventory::TicketError::StateRefused { .. } => Exit::Refused,
                _ => Exit::Broken,
            },
            TicketTrouble::Chance(_) | TicketTrouble::Book(_) => Exit::Broken,
        };
        let sentence = trouble.to_string();
        let cause = std::error::Error::source(&trouble).map(ToString::to_string);
        match cause.filter(|cause| *cause != sentence) {
            Some(cause) => Self::new(exit, sentence).because(cause),
            None => Self::new(exit, sentence),
        }
    }
}
