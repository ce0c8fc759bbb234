//! `salve run`: detect and plan, show it, ask, and do exactly that; then the proof and the ticket.

use std::path::PathBuf;

use clap::Args;
use desk::approvals::Wanted;
use desk::glass::InHand;
use desk::outbox::Delivery;
use desk::runs::{self, RunError, RunResult, Wish};
use desk::session::Session;
use protocol::documents::{Asked, ConsentAnswer, ConsentStatement, Heard, Identified};
use protocol::{Digest, Mode, Outcome, TicketId};

use crate::cli::identify::identify;
use crate::cli::look::{Job, Named, catch_up, exit_of, foresee, foresee_approved, go};
use crate::cli::watch::{Watched, confirm, left};
use crate::cli::work::{Work, of_run};
use crate::cli::{approve, glass, wait};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Heading, RunView, found, plan_words, safe};

/// Show what a script would do, ask, do it, and leave the proof on the ticket
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What runs, where, and for which ticket.
    #[command(flatten)]
    pub named: Named,
    /// How the person was identified: code (one goes to the contact on file, and the caller says it),
    /// callback, manager:NAME or id-card
    #[arg(long, value_name = "HOW", value_parser = identified)]
    pub identified: Option<Identified>,
    /// Read what the caller says from this descriptor instead of the terminal, a line a try
    #[arg(long, value_name = "N")]
    pub code_fd: Option<u32>,
    /// The script's question was read aloud and the person said yes
    #[arg(long)]
    pub spoken: bool,
    /// Nobody who may approve it can be asked: a key from the safe stands in for them. Everybody
    /// hears of it
    #[arg(long, requires_all = ["glass_key", "reason", "ticket"], conflicts_with = "wait")]
    pub break_glass: bool,
    /// The file of that key
    #[arg(long, value_name = "FILE", requires = "break_glass")]
    pub glass_key: Option<PathBuf>,
    /// Do not ask before the fix
    #[arg(long, short = 'y')]
    pub yes: bool,
}

fn identified(text: &str) -> Result<Identified, String> {
    match text.split_once(':') {
        None => match text {
            "code" => Ok(Identified::Code),
            "callback" => Ok(Identified::Callback),
            "id-card" => Ok(Identified::IdCard),
            _ => Err("expected code, callback, manager:NAME or id-card".to_owned()),
        },
        Some(("manager", name)) if (1..=64).contains(&name.chars().count()) => {
            Ok(Identified::Manager { name: name.to_owned() })
        }
        Some(_) => Err("expected code, callback, manager:NAME or id-card".to_owned()),
    }
}

/// Runs.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: RunArgs) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let job = Job::find(&work, &args.named)?;
    // With the answers that are still to be asked taken as yes: what stays is a real no.
    let mut hope =
        job.wish(Mode::Fix, args.identified.clone(), spoken(&job), Some(Digest([0; 32])));
    hope.asked = asks(&job, &args).then(|| Asked::nobody(Heard::Yes, None, ctx.now()));
    let glass = args.glass_key.as_ref().map(|file| glass::open(ctx, &work, file)).transpose()?;
    let wanted = foresee_fix(ctx, &work, hope.clone(), glass.as_ref())?;
    let plan = job.wish(Mode::Plan, args.identified.clone(), None, None);
    foresee(ctx, &work, &plan)?;
    work.ready(ctx, &[&hope, &plan], args.named.wait)?;
    let Some(session) = wait::meet(ctx, &work, &job, &args.named, "run").await? else {
        return unseen(ctx, &work, &job, &args).await;
    };
    let instead = Instead { wanted, glass };
    let exit = over(ctx, &work, &session, &job, &args, &instead).await;
    catch_up(ctx, &work, &session).await;
    session.leave().await;
    exit
}

/// The fix of a machine that is away: nobody has seen a plan, and whoever leaves it is told so.
async fn unseen(ctx: &Ctx, work: &Work, job: &Job, args: &RunArgs) -> Result<Exit, Failure> {
    let identified = args.identified.clone();
    let hoped = job.wish(Mode::Fix, identified.clone(), spoken(job), None);
    wait::foresee(ctx, work, &hoped, &args.named)?;
    let question = match args.named.export {
        None => "Leave it until the machine is back?",
        Some(_) => "Write it?",
    };
    ctx.note(format!(
        "  {} is away, so no plan was seen: it may do all that {} declares.   salve scripts show {}",
        job.endpoint.name, args.named.script, args.named.script
    ));
    identify(ctx, work, job, (args.identified.as_ref(), args.code_fd)).await?;
    let Some(consent) = agree(ctx, job, args, question).await? else {
        return Ok(Exit::NeedsPerson);
    };
    wait::leave(ctx, work, &job.wish(Mode::Fix, identified, consent, None), &args.named).await
}

/// Asks our own copy of the policy about a fix, for which the key from the safe may stand in for others.
fn foresee_fix(
    ctx: &Ctx,
    work: &Work,
    hope: Wish,
    glass: Option<&InHand>,
) -> Result<Option<Wanted>, Failure> {
    let Some(glass) = glass else { return foresee_approved(ctx, work, &hope) };
    let hope = Wish { break_glass: Some(glass.name.clone()), ..hope };
    foresee(ctx, work, &hope).map(|()| None)
}

/// Whose word the fix needs beside the agent's.
struct Instead {
    wanted: Option<Wanted>,
    glass: Option<InHand>,
}

async fn over(
    ctx: &Ctx,
    work: &Work,
    session: &Session,
    job: &Job,
    args: &RunArgs,
    instead: &Instead,
) -> Result<Exit, Failure> {
    let name = job.endpoint.name.to_string();
    let by = job.ticket.as_ref().filter(|_| args.named.on.is_none()).map(|(id, _)| id.clone());
    if !ctx.json {
        ctx.say(Heading::of(&job.script, &name, by).words());
    }
    identify(ctx, work, job, (args.identified.as_ref(), args.code_fd)).await?;
    let question = asks(job, args).then(|| statement(job, ConsentAnswer::Ask)).flatten();
    let wish = job.wish(Mode::Plan, args.identified.clone(), question, None);
    let planned = match go(ctx, work, session, &wish).await? {
        Watched::Ended(result) => result,
        Watched::Failed(error) => return Err(of_run(error, &job.endpoint, ctx)),
        Watched::Left(run) => return Ok(left(ctx, run, &name)),
    };
    let asked = planned.plan.as_ref().and_then(|(_, plan)| plan.asked.clone());
    let digest = match (planned.record.predicate.outcome, &planned.plan) {
        (Outcome::Succeeded, Some((digest, shown))) if planned.filing.report.verified => {
            if !ctx.json {
                let at = planned.record.predicate.duration_ms;
                ctx.say(found(&shown.found, at));
                ctx.say(plan_words(shown, &name));
            }
            *digest
        }
        // Healthy, refused, failed, or no proof: there is nothing to go on with.
        _ => {
            let mut view = RunView::of(&planned, &name);
            let record = &planned.record.predicate;
            if record.outcome == Outcome::Unchanged && job.ticket.is_some() {
                view.next = Some("nothing to do there; the ticket was not touched".to_owned());
            }
            ctx.show(&view, |view| view.words())?;
            return Ok(exit_of(&planned));
        }
    };
    let consent = match asked.map(|asked| (asked.answer, asked)) {
        // Their yes is the go, and the machine's own word of it counts, nobody's here.
        Some((Heard::Yes, _)) => None,
        Some((Heard::No, asked)) => {
            return Err(Failure::refused(format!(
                "nothing was changed: {}",
                safe(&asked.to_string())
            ))
            .next("talk to the person first, then run it again"));
        }
        Some((Heard::NobodyThere | Heard::NoAnswer | Heard::NotShown, _)) | None => {
            // Where only the person's own answer counts, nothing is read aloud.
            let hope = job.wish(Mode::Fix, args.identified.clone(), spoken(job), Some(digest));
            foresee_fix(ctx, work, hope, instead.glass.as_ref())?;
            match agree(ctx, job, args, "Go?").await? {
                Some(consent) => consent,
                None => return Ok(Exit::NeedsPerson),
            }
        }
    };
    let mut fix = job.wish(Mode::Fix, args.identified.clone(), consent, Some(digest));
    if let Some(glass) = &instead.glass {
        fix.approved = Some(glass::broken(ctx, work, &fix, glass)?);
    } else if let Some(wanted) = &instead.wanted {
        let Some(approved) = approve::wait(ctx, work, &fix, planned.run, wanted).await? else {
            return Ok(Exit::NeedsPerson);
        };
        fix.approved = Some(approved);
    }
    send(ctx, work, session, job, &fix).await
}

/// Sends the fix and says how it ended.
pub(super) async fn send(
    ctx: &Ctx,
    work: &Work,
    session: &Session,
    job: &Job,
    fix: &Wish,
) -> Result<Exit, Failure> {
    let name = job.endpoint.name.to_string();
    let watched = go(ctx, work, session, fix).await?;
    if let Some(approved) = &fix.approved
        && approved.order.break_glass.is_none()
        && !matches!(watched, Watched::Failed(RunError::NotSent(_)))
    {
        approve::sent(ctx, work, approved);
    }
    if let Some(approved) = fix.approved.as_ref().filter(|a| a.order.break_glass.is_some()) {
        ctx.note(glass::loud(&approved.sealed.digest()));
    }
    match watched {
        Watched::Ended(result) => conclude(ctx, work, job, &result, &name),
        Watched::Failed(error) => Err(of_run(error, &job.endpoint, ctx)),
        Watched::Left(run) => Ok(left(ctx, run, &name)),
    }
}

/// What an order says about the person's answer, where the script asks one.
fn statement(job: &Job, answer: ConsentAnswer) -> Option<ConsentStatement> {
    let question = job.script.manifest.asks()?.to_owned();
    Some(ConsentStatement { answer, question })
}

fn spoken(job: &Job) -> Option<ConsentStatement> {
    statement(job, ConsentAnswer::Spoken)
}

/// Whether the plan puts the script's question to the person at the machine.
fn asks(job: &Job, args: &RunArgs) -> bool {
    job.script.manifest.asks().is_some() && !args.spoken
}

/// Asks the person's question, or the agent `question`. `None`: nobody said go, and nothing was changed.
async fn agree(
    ctx: &Ctx,
    job: &Job,
    args: &RunArgs,
    question: &str,
) -> Result<Option<Option<ConsentStatement>>, Failure> {
    let statement = spoken(job);
    match &statement {
        Some(asked) if !args.spoken => {
            ctx.note(format!("  Read aloud: \"{}\"", safe(&asked.question)));
            let yes = confirm(
                ctx,
                "Did the person say yes? Your answer goes on the record as spoken consent.",
            )
            .await;
            if !yes {
                return Err(Failure::refused("nothing was changed: the person did not say yes")
                    .next("when the person has said yes:  add --spoken"));
            }
        }
        _ if args.yes => {}
        _ => {
            if !confirm(ctx, question).await {
                ctx.note("Nothing was changed. To go without being asked:  add --yes");
                return Ok(None);
            }
        }
    }
    Ok(Some(statement))
}

fn conclude(
    ctx: &Ctx,
    work: &Work,
    job: &Job,
    result: &RunResult,
    name: &str,
) -> Result<Exit, Failure> {
    let mut view = RunView::of(result, name);
    let record = &result.record.predicate;
    if let Some((ticket, _)) = &job.ticket {
        view.ticket = Some(tell_ticket(ctx, work, ticket, result)?);
        let done = matches!(record.outcome, Outcome::Succeeded | Outcome::Unchanged);
        if done && view.verified && view.next.is_none() {
            view.next = Some(format!("salve tickets close {ticket}"));
        }
    }
    let secret = work.desk.store.escrow(result.run)?;
    view.secret_until = secret.map(|secret| secret.not_after);
    ctx.show(&view, |view| view.words())?;
    Ok(exit_of(result))
}

/// Delivers what the filing made due; what fails stays due and is tried again by the next command.
pub(super) fn tell_ticket(
    ctx: &Ctx,
    work: &Work,
    ticket: &TicketId,
    result: &RunResult,
) -> Result<String, Failure> {
    let done = runs::tell_ticket(&work.desk, ticket, ctx.now())?;
    let told = result.record.predicate.say.is_some() && result.filing.report.verified;
    // A shared desk does it, and only it knows.
    let whose = if work.desk.store.line().is_some() { "the desk says: " } else { "" };
    Ok(match done {
        Delivery::Done { .. } if told => {
            format!("{ticket}: {whose}note and record added, user told.")
        }
        Delivery::Done { .. } => format!("{ticket}: {whose}note and record added."),
        Delivery::Later { at } => format!("{ticket}: the note waits until {}.", at.clock()),
        Delivery::Failed { why, .. } => format!("{ticket}: the note waits ({why})."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_identifying_have_one_spelling() {
        assert_eq!(identified("code"), Ok(Identified::Code));
        let manager = Identified::Manager { name: "s.okafor".into() };
        assert_eq!(identified("manager:s.okafor"), Ok(manager));
        for bad in ["", "Code", "manager", "manager:", "card", "code:1"] {
            assert!(identified(bad).is_err(), "{bad}");
        }
    }
}
