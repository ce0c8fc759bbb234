//! `salve approve`: another person's yes or no to an order, over what this console verified itself.
//! Also the other side: the order that waits for its answers.

use std::time::Duration;

use clap::Args;
use desk::approvals::{self, Answers, ApprovalError, Approved, Asked, RequestRow, Wanted};
use desk::runs::Wish;
use protocol::{RunId, Time};
use serde::Serialize;

use crate::cli::look::others;
use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::approval as view;
use crate::view::{joined, safe};

/// How often the desk is asked for answers.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// `salve approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The order, by the beginning of its name; without one, those that ask are listed
    order: Option<String>,
    /// Say no
    #[arg(long, conflicts_with = "yes")]
    no: bool,
    /// Say yes without being asked
    #[arg(long, short = 'y')]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Answered {
    order: String,
    yes: bool,
}

/// Answers, or lists what asks.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: &ApproveArgs) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let Some(typed) = &args.order else {
        let mine = waiting_for(&work, ctx.now())?;
        ctx.show(&mine, |rows| view::list(rows, ctx.now()))?;
        return Ok(Exit::Fine);
    };
    let row = approvals::find(&work.desk, typed, ctx.now()).map_err(of_approval)?;
    let asked = approvals::read(&work.desk, &work.agent, &row, ctx.now()).map_err(of_approval)?;
    if asked.order.agent == work.agent.name {
        return Err(of_approval(ApprovalError::Own));
    }
    if !ctx.json {
        ctx.say(view::asked(&asked));
    }
    if !args.yes && !args.no && !ctx.confirm("Approve exactly this? Your answer is signed.") {
        return Err(Failure::new(Exit::NeedsPerson, "nothing was answered")
            .next(format!("to say no:  salve approve {} --no", row.order.short())));
    }
    let yes = !args.no;
    work.open_own_key(ctx)?;
    approvals::answer(&work.desk, &work.agent, &asked, yes, ctx.now()).map_err(of_approval)?;
    ctx.show(&Answered { order: row.order.to_string(), yes }, |_| {
        let (agent, word) = (&asked.order.agent, if yes { "approved" } else { "declined" });
        format!("You {word} it. {agent}'s console hears of it now; the machine checks your seal.")
    })?;
    Ok(Exit::Fine)
}

/// What asks and is somebody else's.
///
/// # Errors
/// The books'.
pub fn waiting_for(work: &Work, now: Time) -> Result<Vec<RequestRow>, Failure> {
    let me = &work.agent.name;
    let mut rows = work.desk.store.requests(now)?;
    rows.retain(|row| row.agent != *me && !row.answers.iter().any(|answer| answer.person == *me));
    Ok(rows)
}

/// An approval's failure in words.
pub fn of_approval(error: ApprovalError) -> Failure {
    match error {
        ApprovalError::Book(error) => error.into(),
        ApprovalError::Catalogue(error) => error.into(),
        ApprovalError::Nothing { .. } | ApprovalError::Over => {
            Failure::usage(error.to_string()).next("salve approve   lists what asks")
        }
        ApprovalError::Several { ref orders, .. } => {
            let next = orders.join(" or ");
            Failure::usage(error.to_string()).next(next)
        }
        ApprovalError::Papers { .. } => Failure::not_verified(error.to_string())
            .next("do not approve it; ask whoever ordered it, and whoever runs the desk"),
        ApprovalError::Own => {
            Failure::refused(error.to_string()).next("ask a colleague:  salve agents list")
        }
        ApprovalError::Seal(_) | ApprovalError::Write(_) | ApprovalError::Run(_) => {
            Failure::broken("could not make the paper").because(error)
        }
    }
}

/// Has the order ask, and waits for the answers. `None`: the agent left; it asks on.
///
/// # Errors
/// Somebody said no, nobody answered in time, the desk is away.
pub async fn wait(
    ctx: &Ctx,
    work: &Work,
    fix: &Wish,
    plan_run: RunId,
    wanted: &Wanted,
) -> Result<Option<Approved>, Failure> {
    let count = wanted.count;
    let asked = approvals::ask(&work.desk, &work.agent, fix, (plan_run, count), ctx.now())
        .map_err(of_approval)?;
    let short = asked.sealed.digest().short();
    ctx.note(format!(
        "  Approval {} of role {}: asked {}   (there:  salve approve {short})",
        others(count),
        joined(&wanted.roles, " or "),
        joined(&wanted.people, ", ")
    ));
    let over = || {
        Failure::refused("the order asks no more; nothing was changed")
            .next("run the command again")
    };
    let (mut answers, mut told) = (Answers::default(), Vec::new());
    loop {
        let row = work.desk.store.request(asked.sealed.digest())?.ok_or_else(over)?;
        // The papers are long: they are asked for when there is something new in them.
        if row.answers != told {
            let new = approvals::answers(&work.desk, &work.agent, &asked, ctx.now())?;
            let new = new.ok_or_else(over)?;
            for person in new.yes.keys().filter(|person| !answers.yes.contains_key(*person)) {
                ctx.note(format!("  {person} approved this plan {}", ctx.now().clock()));
            }
            (answers, told) = (new, row.answers);
        }
        if let Some(done) = decided(ctx, work, &asked, answers.clone(), wanted)? {
            return Ok(Some(done));
        }
        tokio::select! {
            () = tokio::time::sleep(ASKED_EVERY) => {}
            _ = tokio::signal::ctrl_c() => {
                ctx.note(format!(
                    "^C  It asks on until {}. Send it once it is approved:  salve orders send \
                     {short}\n    Take it back:  salve orders recall {short}",
                    asked.order.not_after.clock()
                ));
                return Ok(None);
            }
        }
    }
}

/// The approved order, where all has been said that must be.
///
/// # Errors
/// Somebody said no, or the order's time is over.
pub fn decided(
    ctx: &Ctx,
    work: &Work,
    asked: &Approved,
    mut answers: Answers,
    wanted: &Wanted,
) -> Result<Option<Approved>, Failure> {
    if let Some(person) = answers.no.first() {
        sent(ctx, work, asked);
        return Err(Failure::refused(format!("{person} said no. Nothing was changed."))
            .next(format!("ask {person} why")));
    }
    if ctx.now() > asked.order.not_after {
        return Err(Failure::refused("nobody approved it in time. Nothing was changed.")
            .next("run the command again, for a new plan"));
    }
    // Whoever has no role for it may say yes, and the endpoint does not count it.
    answers.yes.retain(|person, _| wanted.people.contains(person));
    let enough = answers.yes.len() >= usize::try_from(wanted.count).unwrap_or(usize::MAX);
    Ok(enough.then(|| asked.clone().with(answers)))
}

/// It asks no more.
pub fn sent(ctx: &Ctx, work: &Work, asked: &Approved) {
    let ended = work.desk.store.end_request(asked.sealed.digest(), work.agent.name.clone());
    if let Err(error) = ended {
        ctx.note(format!("note: the order asks on at the desk: {}", safe(&error.to_string())));
    }
}

/// An order of one's own that asked, as it was sealed.
///
/// # Errors
/// It is somebody else's.
pub fn own(work: &Work, asked: Asked) -> Result<Approved, Failure> {
    if asked.order.agent != work.agent.name {
        return Err(Failure::refused(format!("it is {}'s order", asked.order.agent))
            .next("its agent sends it"));
    }
    let sealed = asked.sealed;
    Ok(Approved::new(asked.order.get().clone(), sealed).with(asked.answers))
}
