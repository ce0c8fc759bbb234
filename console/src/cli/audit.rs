//! `salve audit`: evidence for somebody who was not there.

use std::path::{Path, PathBuf};

use ::policy::PolicyFile;
use clap::{Args, Subcommand};
use desk::audit::{self, Access, ExportError, Exported, ListError};
use desk::home;
use desk::inventory::find_ticket;
use desk::org::Desk;
use protocol::{Risk, TicketId, Time};
use serde::Serialize;

use crate::cli::contacts::only_administrators;
use crate::cli::typed;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::policy::page as policy_page;
use crate::view::status::retention as retention_words;
use crate::view::{audit as view, bytes, count, safe};

const DAY_SECONDS: u64 = 86_400;

/// Evidence for somebody who was not there
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write every fix and undo of a ticket as one file that `salve-verify` judges
    Export(ExportArgs),
    /// Who could order, vet and administer what on a day, by the policies in force then
    Access(AccessArgs),
    /// How long bodies are kept (effects, plans, reasons, notes, sealed secrets); records stay
    ///
    /// What is older goes within a day: at the shared desk by itself, else with the next command. A rule that
    /// keeps them shorter counts after 7 days; until then `salve status` says so. Shows who set it, and who had
    /// what erased.
    Retention(RetentionArgs),
    /// Erase the bodies of one ticket's runs and its texts now, as a person asks for it
    Erase(EraseArgs),
    /// Every order of some days with its outcome, and whether that is all
    ///
    /// Exit code: 0 complete, 1 something is missing, which is named.
    List(ListArgs),
}

#[derive(Debug, Args)]
struct AccessArgs {
    /// The day, as in 2026-07-01 (UTC)
    #[arg(long, value_name = "DATE", value_parser = typed::day)]
    on: Time,
}

#[derive(Debug, Args)]
struct RetentionArgs {
    /// Keep them so many days, 30 to 14600
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Those of scripts of high risk so many days; at least as many
    #[arg(long, value_name = "N")]
    keep_high: Option<u32>,
}

#[derive(Debug, Args)]
struct EraseArgs {
    /// The ticket, as its orders name it
    #[arg(long)]
    ticket: TicketId,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The first day, as in 2026-07-01 (UTC)
    #[arg(long, value_name = "DATE", value_parser = typed::day)]
    from: Time,
    /// The last day
    #[arg(long, value_name = "DATE", value_parser = typed::day)]
    to: Time,
    /// Only scripts of this class
    #[arg(long, value_parser = typed::risk)]
    risk: Option<Risk>,
    /// Also as a new CSV file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The ticket, or `last`
    ticket: String,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: AuditArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    match args.what {
        What::Export(which) => export(ctx, &desk, &which),
        What::Access(which) => access(ctx, &desk, which.on),
        What::List(which) => list(ctx, &desk, &which),
        What::Retention(wanted) => retention(ctx, &desk, &wanted),
        What::Erase(which) => erase(ctx, &desk, &which),
    }
}

fn retention(ctx: &Ctx, desk: &Desk, wanted: &RetentionArgs) -> Result<Exit, Failure> {
    let now = ctx.now();
    let row = desk.store.retention(now)?;
    if wanted.days.is_some() || wanted.keep_high.is_some() {
        only_administrators(ctx, desk)?;
        let mut rule = row.next.map_or(row.rule, |next| next.rule);
        rule.days = wanted.days.unwrap_or(rule.days);
        rule.high_days = wanted.keep_high.unwrap_or(rule.high_days.max(rule.days));
        if !rule.is_sound() {
            let (least, most) = (audit::Retention::DAYS_MIN, audit::Retention::DAYS_MAX);
            return Err(Failure::usage(format!(
                "bodies are kept {least} to {most} days, those of high risk no shorter"
            ))
            .next("salve audit retention --days 400 --keep-high 800"));
        }
        desk.store.set_retention(rule, desk.organisation.me.clone(), now)?;
    }
    let row = desk.store.retention(now)?;
    ctx.show(&row, |row| {
        format!("{}records and digests stay", retention_words(row, row.erasures.len()))
    })?;
    Ok(Exit::Fine)
}

fn erase(ctx: &Ctx, desk: &Desk, which: &EraseArgs) -> Result<Exit, Failure> {
    only_administrators(ctx, desk)?;
    let me = desk.organisation.me.clone();
    let done = desk.store.erase_ticket(which.ticket.clone(), me, ctx.now())?;
    ctx.show(&done, |done| {
        let (runs, notes) = (count(done.runs, "run"), count(done.notes, "note"));
        format!(
            "Erased: the bodies of {runs}, {notes} and the ticket's own words and codes. Records and \
             digests stay, and so do contacts; runs that go on were left.\nBackups of the desk hold \
             them still, and another ticket system its own notes."
        )
    })?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Then<'a> {
    version: u64,
    from: Time,
    until: Option<Time>,
    policy: &'a PolicyFile,
}

fn access(ctx: &Ctx, desk: &Desk, on: Time) -> Result<Exit, Failure> {
    let all = audit::access(desk, on, ctx.now())?;
    if all.is_empty() {
        let none = "no policy of that day is kept in this home";
        return Err(Failure::new(Exit::NeedsPerson, none)
            .next("run it at the desk, whose home has every policy since the beginning"));
    }
    let then = |one: &'_ Access| {
        let until = match one.until {
            Some(until) => format!("until {until}"),
            None => "still in force".to_owned(),
        };
        // Who was withdrawn by then, and whose time was over.
        let at = on.plus(DAY_SECONDS - 1).min(one.until.unwrap_or(ctx.now()));
        let page = policy_page(&one.policy, one.version, None, at);
        format!("In force from {}, {until}\n{page}", one.from)
    };
    let view: Vec<Then<'_>> = all
        .iter()
        .map(|one| Then {
            version: one.version,
            from: one.from,
            until: one.until,
            policy: one.policy.file(),
        })
        .collect();
    ctx.show(&view, |_| all.iter().map(then).collect::<Vec<_>>().join("\n\n"))?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct View<'a> {
    file: &'a PathBuf,
    bytes: usize,
    ticket: &'a TicketId,
    orders: usize,
    records: usize,
    identity_statements: usize,
    unanswered: usize,
    policy: u64,
    root: protocol::Digest,
}

impl<'a> View<'a> {
    fn of(file: &'a PathBuf, made: &'a Exported) -> Self {
        let runs = &made.bundle.runs;
        let identified = |run: &&audit::RunPapers| {
            let record = desk::verify::peek_record(&run.record.0);
            record.is_some_and(|(record, _)| record.predicate.identified.is_some())
        };
        Self {
            file,
            bytes: made.file.len(),
            ticket: &made.bundle.ticket,
            orders: runs.iter().filter(|run| run.order.is_some()).count(),
            records: runs.len(),
            identity_statements: runs.iter().filter(identified).count(),
            unanswered: made.bundle.unanswered.len(),
            policy: made.policy,
            root: made.root,
        }
    }
}

/// A file that nobody had before.
fn new_file(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let shown = path.to_string_lossy();
    Err(Failure::usage(format!("`{shown}` is there already")).next("name a file that is not"))
}

fn list(ctx: &Ctx, desk: &Desk, which: &ListArgs) -> Result<Exit, Failure> {
    if which.to < which.from {
        return Err(Failure::usage("the last day is before the first")
            .next("salve audit list --from 2026-07-01 --to 2026-09-30"));
    }
    which.csv.as_deref().map_or(Ok(()), new_file)?;
    let days = (which.from, which.to.plus(DAY_SECONDS.saturating_sub(1)));
    let found = audit::list(desk, days, which.risk, ctx.now())?;
    if let Some(file) = &which.csv {
        home::write_public(file, view::csv(&found).as_bytes())?;
    }
    ctx.show(&found, view::list)?;
    if desk.store.line().is_some() {
        ctx.note(
            "that is the desk's word; one ticket's proof:  salve audit export TICKET --out FILE",
        );
    }
    Ok(if found.incomplete.is_empty() { Exit::Fine } else { Exit::NeedsPerson })
}

fn export(ctx: &Ctx, desk: &Desk, which: &ExportArgs) -> Result<Exit, Failure> {
    new_file(&which.out)?;
    // Of another system a ticket is what its orders say.
    let (id, known) = match find_ticket(&desk.store, &which.ticket) {
        Ok((id, _)) => (id, true),
        Err(unclear) => match which.ticket.parse::<TicketId>() {
            Ok(id) => (id, false),
            Err(_) => return Err(unclear.into()),
        },
    };
    let made = match audit::export(desk, &id, ctx.now()) {
        Err(ExportError::Nothing(_)) if !known => {
            return Err(find_ticket(&desk.store, &which.ticket)
                .map_or_else(Failure::from, |_| Failure::usage("no such ticket")));
        }
        other => other?,
    };
    home::write_public(&which.out, &made.file)?;
    ctx.show(&View::of(&which.out, &made), words)?;
    Ok(Exit::Fine)
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn words(view: &View<'_>) -> String {
    let file = safe(&view.file.to_string_lossy());
    let mut out = format!(
        "{}, {}, {}, policy {}: {}, no secrets.\n",
        count(number(view.orders), "order"),
        count(number(view.identity_statements), "identity statement"),
        count(number(view.records), "record"),
        view.policy,
        bytes(number(view.bytes)),
    );
    if view.unanswered > 0 {
        let runs = count(number(view.unanswered), "run");
        out.push_str(&format!("{runs} without a record, named in it:  salve runs list\n"));
    }
    out.push_str(&format!(
        "The auditor:  salve-verify {file} --root ROOT.json\n\
         ROOT.json is org/repository/1.root.json of this home, sha256 {}\n\
         Hand that over, or compare it, on another way than the file.",
        view.root
    ));
    out
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Catalogue(trouble) => trouble.into(),
            ListError::Book(error) => error.into(),
            ListError::Heads(error) => error.into(),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Nothing(_) => {
                first(Exit::Usage, error).next("what ran for it:  salve runs list --ticket TICKET")
            }
            ExportError::NoRecord(_) => {
                first(Exit::Unknown, error).next("bring them home:  salve runs follow RUN")
            }
            ExportError::NotKept { .. } => first(Exit::NeedsPerson, error)
                .next("run it at the desk, whose home has every policy since the beginning"),
            ExportError::Bundle { .. } => {
                first(Exit::Broken, error).next("run by run:  salve runs show RUN --export FOLDER")
            }
            ExportError::Catalogue(trouble) => trouble.into(),
            ExportError::File(error) => error.into(),
            ExportError::Book(error) => error.into(),
        }
    }
}
