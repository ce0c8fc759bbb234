//! `salve check` and `salve plan`: look, and change nothing. Also the first half of `salve run`.

use std::path::PathBuf;

use clap::Args;
use desk::approvals::{self, Wanted};
use desk::runs::{
    self, EndpointRow, News, RunResult, ScriptEntry, TicketRow, Wish, attest, forecast, parameters,
};
use desk::session::Session;
use protocol::documents::{ConsentStatement, Identified, RecordPredicate};
use protocol::{AgentName, Digest, Mode, Outcome, Params, Refusal, TicketId};

use crate::cli::run::tell_ticket;
use crate::cli::typed::seconds;
use crate::cli::watch::{Watch, Watched};
use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{joined, word};

/// What the command line named, all of it checked.
#[derive(Debug)]
pub struct Job {
    /// The script.
    pub script: ScriptEntry,
    /// The machine.
    pub endpoint: EndpointRow,
    /// The ticket.
    pub ticket: Option<(TicketId, TicketRow)>,
    /// The parameters.
    pub parameters: Params,
    /// Why, in the agent's words.
    pub reason: String,
}

/// What the command line of `check`, `plan` and `run` names.
#[derive(Debug, Args)]
pub struct Named {
    /// The script, as in cache.clear
    pub script: String,
    /// The ticket; names the machine where --on does not
    #[arg(long, value_name = "NUMBER")]
    pub ticket: Option<String>,
    /// The machine, where no ticket names it
    #[arg(long, value_name = "NAME")]
    pub on: Option<String>,
    /// A parameter of the script
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = Pair)]
    pub args: Vec<(String, String)>,
    /// Why, in a few words, for the record
    #[arg(long, value_name = "WORDS")]
    pub reason: Option<String>,
    /// Where the machine is away: leave the order at the desk for so long, as in 8h; it runs once,
    /// when the machine is back
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub wait: Option<u64>,
    /// With --wait: also write the order as a file, to be carried to the machine:  salve orders import
    #[arg(long, value_name = "FILE", requires = "wait")]
    pub export: Option<PathBuf>,
}

/// `NAME=VALUE`. What has no `=` may be a value in the wrong place: it is not repeated.
#[derive(Debug, Clone, Copy)]
pub struct Pair;

impl clap::builder::TypedValueParser for Pair {
    type Value = (String, String);

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let pair = value.to_str().and_then(|text| text.split_once('='));
        let words = "--arg takes NAME=VALUE\n  salve scripts show SCRIPT   lists the names\n";
        pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, words).with_cmd(command)
        })
    }
}

/// A refusal before anything was sent.
pub fn not_sent(refusal: &Refusal, script: &str) -> Failure {
    let parameter = matches!(
        refusal,
        Refusal::ParameterUnknown { .. }
            | Refusal::ParameterMissing { .. }
            | Refusal::ParameterType { .. }
            | Refusal::ParameterRange { .. }
    );
    let exit = if parameter { Exit::Usage } else { Exit::Refused };
    Failure::new(exit, format!("not sent: {}", refusal.sentence())).next(if parameter {
        format!("salve scripts show {script}")
    } else {
        refusal.next_step().to_owned()
    })
}

impl Job {
    /// Finds everything that was named.
    ///
    /// # Errors
    /// What is not there or not unique.
    pub fn find(work: &Work, named: &Named) -> Result<Self, Failure> {
        let script = work.script(&named.script)?;
        let ticket = work.ticket(named.ticket.as_deref())?;
        let endpoint = work.endpoint(named.on.as_deref(), ticket.as_ref())?;
        let checked = parameters(&script.manifest, &named.args, &work.agent.policy);
        let parameters =
            checked.map_err(|refusal| not_sent(&refusal, script.manifest.name.as_str()))?;
        let about = |row: &TicketRow| row.subject.clone();
        let reason = named.reason.clone();
        let reason = reason.or_else(|| ticket.as_ref().map(|(_, row)| about(row)));
        let reason = reason.unwrap_or_else(|| "asked for at the console".to_owned());
        Ok(Self { script, endpoint, ticket, parameters, reason })
    }

    /// The wish for one mode.
    #[must_use]
    pub fn wish(
        &self,
        mode: Mode,
        identified: Option<Identified>,
        consent: Option<ConsentStatement>,
        plan: Option<Digest>,
    ) -> Wish {
        Wish {
            script: self.script.clone(),
            mode,
            endpoint: self.endpoint.clone(),
            parameters: self.parameters.clone(),
            ticket: self.ticket.as_ref().map(|(id, _)| id.clone()),
            ticket_row: self.ticket.as_ref().map(|(_, row)| row.clone()),
            reason: self.reason.clone(),
            identified,
            consent,
            plan,
            asked: None,
            break_glass: None,
            approved: None,
        }
    }
}

/// Asks our own copy of the policy before anybody is bothered.
///
/// # Errors
/// The refusal that the endpoint would give.
pub fn foresee(ctx: &Ctx, work: &Work, wish: &Wish) -> Result<(), Failure> {
    foresee_as(ctx, work, wish, &[])
}

/// As [`foresee`], as if these people had approved it.
fn foresee_as(ctx: &Ctx, work: &Work, wish: &Wish, people: &[AgentName]) -> Result<(), Failure> {
    let attested = attest(&work.desk, wish, None, ctx.now())
        .map_err(|e| Failure::broken("could not attest the ticket").because(e))?
        .is_some()
        // At the shared desk the desk attests.
        || work.desk.store.line().is_some();
    match forecast(&work.agent, wish, attested, people, ctx.now()).refusal {
        Some(refusal) => Err(not_sent(&refusal, wish.script.manifest.name.as_str())),
        None => Ok(()),
    }
}

/// As [`foresee`], for a fix that other people may have to approve: who, where that is all that it
/// lacks.
///
/// # Errors
/// The refusal that the endpoint would give whoever approved, and where nobody could.
pub fn foresee_approved(ctx: &Ctx, work: &Work, wish: &Wish) -> Result<Option<Wanted>, Failure> {
    let wanted = approvals::wanted(&work.agent, wish, ctx.now());
    let Some(wanted) = wanted else { return foresee(ctx, work, wish).map(|()| None) };
    // Where no shared desk was ever served, nobody else could answer.
    let store = &work.desk.store;
    if store.line().is_none() && store.agents_seen(ctx.now())?.is_empty() {
        let sentence = format!(
            "not sent: {} must approve it, and that is done at a shared desk",
            others(wanted.count)
        );
        return Err(Failure::refused(sentence).next("salve desk --help"));
    }
    if wanted.people.len() < usize::try_from(wanted.count).unwrap_or(usize::MAX) {
        let sentence = format!(
            "not sent: {} of role {} must approve it, and policy has {} who could",
            others(wanted.count),
            joined(&wanted.roles, " or "),
            wanted.people.len()
        );
        return Err(Failure::refused(sentence).next("salve agents list;  salve policy show"));
    }
    foresee_as(ctx, work, wish, &wanted.people)?;
    Ok(Some(wanted))
}

/// As in `one other person`.
#[must_use]
pub fn others(count: u32) -> String {
    match count {
        1 => "one other person".to_owned(),
        n => format!("{n} other people"),
    }
}

/// Runs one wish over a session and watches it.
///
/// # Errors
/// What watching says.
pub async fn go(
    ctx: &Ctx,
    work: &Work,
    session: &Session,
    wish: &Wish,
) -> Result<Watched, Failure> {
    let watch = Watch::default();
    let mut tell = |news: News<'_>| watch.tell(ctx, &news);
    let run = runs::run(&work.desk, &work.agent, session, wish, ctx.now, &mut tell);
    watch.over(ctx, work, Some(session), wish.endpoint.name.as_str(), run).await
}

/// Brings home the records that the machine offers again, and tells their tickets. Never the
/// reason for a failure: what does not come now is offered again.
pub async fn catch_up(ctx: &Ctx, work: &Work, session: &Session) {
    let Ok(home) = runs::collect(&work.desk, &work.agent, session, ctx.now).await else { return };
    for result in home {
        let record = &result.record.predicate;
        ctx.note(format!(
            "note: the record of {} came home: {} {}",
            result.run.short(),
            record.script.name,
            word(record.mode, record.outcome)
        ));
        if let Some(ticket) = record.ticket.as_ref().filter(|_| record.mode.mutates())
            && let Err(failure) = tell_ticket(ctx, work, ticket, &result)
        {
            ctx.note(format!("note: {}", failure.for_people()));
        }
    }
}

/// The exit code of a run with its record.
#[must_use]
pub fn exit_of(result: &RunResult) -> Exit {
    exit_of_record(&result.record.predicate, result.filing.report.verified)
}

/// The exit code of a record: the same when it comes home and whenever it is shown.
#[must_use]
pub fn exit_of_record(record: &RecordPredicate, verified: bool) -> Exit {
    if !verified {
        return Exit::NotVerified;
    }
    match (record.mode, record.outcome) {
        (Mode::Check, Outcome::Succeeded) => Exit::NeedsPerson,
        (_, Outcome::Refused) => match &record.decision {
            protocol::documents::Decision::Refuse { refusal: Refusal::Busy { .. } } => {
                Exit::Unreachable
            }
            _ => Exit::Refused,
        },
        (_, outcome) => Exit::of(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of every refusal, from its code and whatever fields that one has.
    fn every_refusal() -> Vec<Refusal> {
        let fields = serde_json::json!({
            "not_before": "2026-11-22T10:00:00Z", "not_after": "2026-11-22T10:00:00Z",
            "expired": "2026-11-22T10:00:00Z", "run": protocol::RunId([1; 16]),
            "script": "cache.clear", "version": 3, "permission": "fs.remove", "platform": "linux",
            "role": "risk-low", "have": 1, "want": 2, "name": "unit", "wants": "a number",
            "because": "rule 7", "ticket": "1482", "count": 2, "defences": ["landlock"],
            "mode": "undo",
            "by": { "agent": "m.ruiz", "script": "pkg.update", "ticket": "1479",
                    "since": "2026-11-22T10:40:00Z", "run": protocol::RunId([2; 16]) },
        });
        let fields = fields.as_object().unwrap();
        let with = |code: &str, names: &[&String]| {
            let mut document = serde_json::Map::from_iter([("code".into(), code.into())]);
            document.extend(names.iter().map(|name| ((*name).clone(), fields[*name].clone())));
            serde_json::from_value::<Refusal>(document.into()).ok()
        };
        let names: Vec<&String> = fields.keys().collect();
        let make = |code: &&str| {
            let none = with(code, &[]);
            let one = || names.iter().find_map(|one| with(code, &[*one]));
            let two = || {
                let pairs = names.iter().flat_map(|a| names.iter().map(move |b| [*a, *b]));
                pairs.into_iter().find_map(|pair| with(code, &pair))
            };
            let three = |wanted: [&str; 3]| {
                let of = |name: &&&String| wanted.contains(&name.as_str());
                with(code, &names.iter().filter(of).copied().collect::<Vec<_>>())
            };
            let counts = || three(["role", "have", "want"]);
            let people = || three(["script", "have", "want"]);
            none.or_else(one).or_else(two).or_else(counts).or_else(people)
        };
        Refusal::CODES.iter().map(|code| make(code).unwrap_or_else(|| panic!("{code}"))).collect()
    }

    #[test]
    fn every_refusal_has_a_sentence_a_next_step_and_an_exit_code() {
        let all = every_refusal();
        assert_eq!(all.len(), Refusal::CODES.len());
        for refusal in &all {
            let failure = not_sent(refusal, "cache.clear");
            assert!(failure.sentence.len() > "not sent: ".len() + 8, "{refusal:?}");
            assert!(!failure.sentence.ends_with('.'), "{refusal:?}");
            assert!(failure.next_step.is_some_and(|step| step.len() > 8), "{refusal:?}");
            assert!(matches!(failure.exit, Exit::Refused | Exit::Usage), "{refusal:?}");
        }
        let mut sentences: Vec<String> = all.iter().map(Refusal::sentence).collect();
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), all.len(), "each says something of its own");
    }
}
