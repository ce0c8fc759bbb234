//! `salve endpoints facts` and `refresh`: what a machine says of itself, and asking it again.

use desk::facts::{self, NoFacts, Proved, SCRIPT};
use desk::inventory::find_endpoint;
use desk::runs::{self, EndpointRow, RunResult, Wish};
use desk::verify::own_anchors;
use protocol::facts::Facts;
use protocol::{Mode, Outcome, RunId, Time};
use serde::Serialize;

use crate::cli::look::{Job, foresee};
use crate::cli::work::{Work, of_run, of_session};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::facts as view;
use crate::view::safe;

#[derive(Debug, Serialize)]
struct Page {
    endpoint: String,
    facts: Facts,
    looked: Time,
    run: RunId,
}

pub(super) fn of_facts(error: NoFacts, name: &str) -> Failure {
    match error {
        NoFacts::Book(error) => error.into(),
        NoFacts::Store(error) => error.into(),
        error @ (NoFacts::Digest | NoFacts::Record { .. } | NoFacts::Bad(_)) => {
            Failure::not_verified(format!("the facts of {name} are not to be believed"))
                .because(error)
                .next(format!("ask it again:  salve endpoints refresh {name}"))
        }
    }
}

/// What a machine said, judged here by the record that proves it.
///
/// # Errors
/// None are there, or they do not verify.
pub fn show(ctx: &Ctx, name: &str, packages: bool) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let row = find_endpoint(&desk.store, name)?;
    let anchors = own_anchors(&desk.home, ctx.now())?;
    let proved = facts::of(&desk.store, row.id, &anchors);
    let proved = proved.map_err(|error| of_facts(error, row.name.as_str()))?;
    let Some(Proved { facts, looked, run }) = proved else {
        return Err(Failure::needs_person(format!("no facts of {} are known", row.name))
            .next(format!("salve endpoints refresh {}", row.name)));
    };
    let page = Page { endpoint: row.name.to_string(), facts, looked, run };
    ctx.show(&page, |page| {
        let head =
            format!("{}, as it signed {}", page.endpoint, crate::view::ago(looked, ctx.now()));
        format!("{head}\n{}", view::page(&page.facts, packages))
    })?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Asked {
    endpoint: String,
    kept: bool,
    why: Option<String>,
}

/// Asks machines for their facts: those that are named, or all that can be asked at this moment.
///
/// # Errors
/// The script is not published, or policy does not let this agent look.
pub async fn refresh(ctx: &Ctx, names: &[String]) -> Result<Exit, Failure> {
    let work = Work::open(ctx)?;
    let script = work.script(SCRIPT)?;
    let shared = work.desk.store.line().is_some();
    let rows: Vec<EndpointRow> = if names.is_empty() {
        let mut rows = Vec::new();
        for one in work.desk.store.listed(None, ctx.now())? {
            if one.here || (!shared && one.address.is_some()) {
                rows.extend(work.desk.store.endpoint(one.id)?);
            }
        }
        rows
    } else {
        let find = |name: &String| find_endpoint(&work.desk.store, name);
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut all = Vec::new();
    for row in rows {
        let job = Job {
            script: script.clone(),
            endpoint: row,
            ticket: None,
            parameters: protocol::Params::new(),
            reason: "facts for the desk's lists".to_owned(),
        };
        let wish = job.wish(Mode::Check, None, None, None);
        foresee(ctx, &work, &wish)?;
        let asked = match one(ctx, &work, &wish).await {
            Ok(result) => told(&result, &wish),
            Err(failure) => {
                let endpoint = wish.endpoint.name.to_string();
                Asked { endpoint, kept: false, why: Some(failure.sentence) }
            }
        };
        if !ctx.json {
            match &asked.why {
                None => ctx.say(format!("  {}  facts taken", asked.endpoint)),
                Some(why) => ctx.say(format!("  {}  {}", asked.endpoint, safe(why))),
            }
        }
        all.push(asked);
    }
    let kept = all.iter().filter(|asked| asked.kept).count();
    let whole = kept == all.len();
    ctx.show(&all, |all| match all.len() {
        0 => "No machine can be asked at this moment.".to_owned(),
        n => format!("{kept} of {n} told."),
    })?;
    Ok(if whole { Exit::Fine } else { Exit::NeedsPerson })
}

async fn one(ctx: &Ctx, work: &Work, wish: &Wish) -> Result<RunResult, Failure> {
    let to = &wish.endpoint;
    let session = work.session(ctx, to).await.map_err(|error| of_session(error, to, ctx))?;
    let run = runs::run(&work.desk, &work.agent, &session, wish, ctx.now, &mut |_| ()).await;
    session.leave().await;
    run.map_err(|error| of_run(error, to, ctx))
}

fn told(result: &RunResult, wish: &Wish) -> Asked {
    let record = &result.record.predicate;
    let why = match (&result.filing.report.fault, &result.no_facts) {
        (Some(fault), _) => Some(fault.clone()),
        (None, Some(why)) => Some(format!("its facts were not kept: {why}")),
        (None, None) if record.outcome != Outcome::Unchanged => Some(record.summary.clone()),
        (None, None) => None,
    };
    Asked { endpoint: wish.endpoint.name.to_string(), kept: why.is_none(), why }
}
