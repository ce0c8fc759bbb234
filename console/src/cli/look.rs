//! `salve check` and `salve plan`: look, and change nothing. Also the first half of `salve run`.

use desk::runs::{
    self, EndpointRow, News, RunResult, ScriptEntry, TicketRow, Wish, attest, forecast, parameters,
};
use desk::session::Session;
use protocol::documents::{ConsentStatement, Identified};
use protocol::{Digest, Mode, Outcome, Params, Refusal, TicketId};

use crate::cli::run::tell_ticket;
use crate::cli::watch::{Watch, Watched};
use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::word;

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

/// What a command line names.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// As typed.
    pub script: &'a str,
    /// As typed.
    pub on: Option<&'a str>,
    /// As typed.
    pub ticket: Option<&'a str>,
    /// `NAME=VALUE` each.
    pub args: &'a [(String, String)],
    /// As typed.
    pub reason: Option<&'a str>,
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
    pub fn find(work: &Work, named: Named<'_>) -> Result<Self, Failure> {
        let script = work.script(named.script)?;
        let ticket = work.ticket(named.ticket)?;
        let endpoint = work.endpoint(named.on, ticket.as_ref())?;
        let checked = parameters(&script.manifest, named.args, &work.agent.policy);
        let parameters =
            checked.map_err(|refusal| not_sent(&refusal, script.manifest.name.as_str()))?;
        let about = |row: &TicketRow| row.subject.clone();
        let reason = named.reason.map(str::to_owned);
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
        }
    }
}

/// Asks our own copy of the policy before anybody is bothered.
///
/// # Errors
/// The refusal that the endpoint would give.
pub fn foresee(ctx: &Ctx, work: &Work, wish: &Wish) -> Result<(), Failure> {
    let attested = attest(&work.desk, wish, ctx.now())
        .map_err(|e| Failure::broken("could not attest the ticket").because(e))?
        .is_some();
    match forecast(&work.agent, wish, attested).refusal {
        Some(refusal) => Err(not_sent(&refusal, wish.script.manifest.name.as_str())),
        None => Ok(()),
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
    let record = &result.record.predicate;
    if !result.filing.report.verified {
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
