//! `salve policy`: who may run what. Shows the signed policy, explains what it decides, tries cases,
//! and signs a new one.

use std::path::PathBuf;

use ::policy::{Misfit, Policy, explain, forecast};
use clap::{Args, Subcommand, ValueEnum};
use desk::catalogue::{self, CatalogueTrouble};
use desk::inventory::find_endpoint;
use desk::org::Desk;
use desk::rules::{self, Case, CaseResult, Draft, DraftError};
use protocol::documents::{ConsentAnswer, Heard};
use protocol::{AgentName, Label, Mode, ParamValue, Refusal, Risk, ScriptName, Time};
use serde::Serialize;
use trust::catalogue::Catalogue;

use crate::cli::look::Pair;
use crate::cli::signers::Signers;
use crate::cli::typed::{label, risk};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::policy as view;

/// Who may run what: show, change, explain and try the signed policy
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the policy in force; with --toml its text, to edit
    Show {
        /// The text: edit it, `lint` it, `sign` it
        #[arg(long)]
        toml: bool,
    },
    /// Read a draft: every fault, what it changes, what looks like a mistake
    Lint {
        /// The draft
        file: PathBuf,
    },
    /// Say what the policy decides, and which rule
    Explain(Box<ExplainArgs>),
    /// Try cases that say what the policy must decide
    Test(TestArgs),
    /// Sign a draft and publish it, once it says what it changes
    Sign(SignArgs),
}

/// `salve policy explain`
#[derive(Debug, Args)]
struct ExplainArgs {
    /// The script, as in cache.clear
    script: ScriptName,
    /// The machine, by name (without a shared desk also by its beginning); without one, a machine
    /// with the labels given
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "labels")]
    on: Option<String>,
    /// A label of the machine, as in group=office; may be repeated
    #[arg(long = "label", value_name = "LABEL=VALUE", value_parser = label)]
    labels: Vec<(Label, Label)>,
    /// Who orders [you]
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// How
    #[arg(long, value_enum, default_value = "fix")]
    mode: ModeArg,
    /// Of this risk, where the catalogue does not list the script
    #[arg(long, value_enum)]
    risk: Option<RiskArg>,
    /// The order names no ticket
    #[arg(long)]
    no_ticket: bool,
    /// The caller was identified
    #[arg(long)]
    identified: bool,
    /// The desk checked it with a code
    #[arg(long)]
    identity_checked: bool,
    /// What the person at the machine answered
    #[arg(long, value_enum)]
    consent: Option<ConsentArg>,
    /// It is bound to no plan
    #[arg(long)]
    unplanned: bool,
    /// Who approved it; may be repeated
    #[arg(long, value_name = "NAME")]
    approved_by: Vec<AgentName>,
    /// It waits at the desk for its machine
    #[arg(long)]
    wait: bool,
    /// Signed by a session key that is good up to this risk
    #[arg(long, value_name = "RISK", value_parser = risk)]
    session: Option<Risk>,
    /// When it is decided, as in 2026-11-27T22:00:00Z [now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// A parameter, as in min_mib=50; may be repeated
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = Pair)]
    args: Vec<(String, String)>,
    /// By this draft instead of the policy in force
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
}

/// `salve policy test`
#[derive(Debug, Args)]
struct TestArgs {
    /// The cases
    file: PathBuf,
    /// By this draft instead of the policy in force
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
}

/// `salve policy sign`
#[derive(Debug, Args)]
struct SignArgs {
    /// The draft
    file: PathBuf,
    /// Cases that it must decide as they say
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Let count again what the draft takes off the deny lists
    #[arg(long)]
    trust_again: bool,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    signers: Signers,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    Check,
    Plan,
    Fix,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RiskArg {
    Low,
    Medium,
    High,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ConsentArg {
    /// Yes, at the machine
    Yes,
    /// No, at the machine
    No,
    /// Yes, as the agent states
    Spoken,
    /// Not asked, as the agent states
    Waived,
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: PolicyArgs) -> Result<Exit, Failure> {
    match args.what {
        What::Show { toml } => show(ctx, toml),
        What::Lint { file } => lint(ctx, &file),
        What::Explain(args) => explained(ctx, *args),
        What::Test(args) => test(ctx, &args),
        What::Sign(args) => sign(ctx, &args),
    }
}

fn show(ctx: &Ctx, toml: bool) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    if toml && !ctx.json {
        ctx.say(rules::editable(&desk.home, ctx.now())?.trim_end());
        return Ok(Exit::Fine);
    }
    let open = catalogue::open(&desk.home, ctx.now())?;
    let policy = catalogue::policy_of(&open)?;
    let (version, ends) = (open.versions().policy, open.end_of(catalogue::POLICY));
    ctx.show(policy.file(), |_| view::page(&policy, version, ends, ctx.now()))?;
    Ok(Exit::Fine)
}

fn read(ctx: &Ctx, desk: &Desk, file: &std::path::Path) -> Result<Draft, Failure> {
    let text = desk::home::read_text(file)?;
    rules::draft(&desk.home, &text, ctx.now()).map_err(|error| of_draft(error, file))
}

/// The policy of a draft, or the one in force.
fn which(
    ctx: &Ctx,
    desk: &Desk,
    draft: Option<&std::path::Path>,
) -> Result<(Policy, Catalogue), Failure> {
    let open = catalogue::open(&desk.home, ctx.now())?;
    let policy = match draft {
        Some(file) => read(ctx, desk, file)?.policy,
        None => catalogue::policy_of(&open)?,
    };
    Ok((policy, open))
}

fn of_draft(error: DraftError, file: &std::path::Path) -> Failure {
    let file = file.display();
    match error {
        DraftError::Catalogue(trouble @ CatalogueTrouble::Policy(_)) => {
            let CatalogueTrouble::Policy(faults) = &trouble else { return trouble.into() };
            let lines: Vec<String> = faults.iter().map(|f| format!("`{file}` {f}")).collect();
            Failure::usage(lines.join("\n")).next("correct the draft; nothing was signed")
        }
        DraftError::Catalogue(trouble) => trouble.into(),
        DraftError::Behind { .. } => Failure::usage(error.to_string())
            .next("salve policy show --toml   and make the change in that"),
        DraftError::TrustsAgain { .. } => Failure::refused(error.to_string())
            .next("put the lines back under [denied], or mean it:  --trust-again"),
        DraftError::Unchanged => {
            Failure::usage(error.to_string()).next("to give it a new end:  salve scripts renew")
        }
        DraftError::Nobody => Failure::refused(error.to_string())
            .next("leave somebody with a signing key who is not withdrawn"),
        DraftError::Write(_) => Failure::broken("could not write the policy").because(error),
    }
}

fn lint(ctx: &Ctx, file: &std::path::Path) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let draft = read(ctx, &desk, file)?;
    ctx.show(&view::DraftPage::of(&draft), view::draft)?;
    let good = draft.warnings.is_empty() && draft.trusted_again.is_empty();
    Ok(if good { Exit::Fine } else { Exit::NeedsPerson })
}

/// What was decided, and how every rule stands to it.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The order, in words.
    pub order: String,
    /// Each rule, in order, with why it says nothing.
    pub rules: Vec<(String, Option<&'static str>)>,
    /// Why it is permitted; empty where it is not.
    pub reasons: Vec<String>,
    /// Why it is refused, and what to do.
    pub refusal: Option<(&'static str, String, &'static str)>,
}

const fn about(misfit: Misfit) -> &'static str {
    match misfit {
        Misfit::Who => "is about other people",
        Misfit::Risk => "is about other risks",
        Misfit::Mode => "is about other modes",
        Misfit::Script => "is about other scripts",
        Misfit::Place => "is about other machines",
        Misfit::Hours => "is about other hours",
    }
}

/// A parameter's value, by what it looks like: no manifest says it where a script is not listed.
fn value(text: String) -> ParamValue {
    match (text.as_str(), text.parse()) {
        ("true" | "yes", _) => ParamValue::Bool(true),
        ("false" | "no", _) => ParamValue::Bool(false),
        (_, Ok(number)) => ParamValue::Int(number),
        _ => ParamValue::Text(text),
    }
}

fn explained(ctx: &Ctx, args: ExplainArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let (policy, catalogue) = which(ctx, &desk, args.draft.as_deref())?;
    let machine = args.on.as_deref().map(|typed| find_endpoint(&desk.store, typed)).transpose()?;
    let case = Case {
        name: args.script.to_string(),
        agent: args.agent.unwrap_or_else(|| desk.organisation.me.clone()),
        script: args.script,
        risk: args.risk.map(|risk| match risk {
            RiskArg::Low => Risk::Low,
            RiskArg::Medium => Risk::Medium,
            RiskArg::High => Risk::High,
        }),
        asks: None,
        mode: match args.mode {
            ModeArg::Check => Mode::Check,
            ModeArg::Plan => Mode::Plan,
            ModeArg::Fix => Mode::Fix,
        },
        labels: machine
            .as_ref()
            .map_or_else(|| args.labels.into_iter().collect(), |row| row.labels.clone()),
        ticket: !args.no_ticket,
        identified: args.identified,
        identity_checked: args.identity_checked,
        consent: match args.consent {
            Some(ConsentArg::Spoken) => Some(ConsentAnswer::Spoken),
            Some(ConsentArg::Waived) => Some(ConsentAnswer::Waived),
            Some(ConsentArg::Yes | ConsentArg::No) | None => None,
        },
        asked: match args.consent {
            Some(ConsentArg::Yes) => Some(Heard::Yes),
            Some(ConsentArg::No) => Some(Heard::No),
            Some(ConsentArg::Spoken | ConsentArg::Waived) | None => None,
        },
        planned: !args.unplanned,
        approved_by: args.approved_by.into_iter().collect(),
        break_glass: None,
        waits: args.wait,
        session: args.session,
        at: Some(args.at.unwrap_or_else(ctx.now)),
        parameters: args.args.into_iter().map(|(name, text)| (name, value(text))).collect(),
        expect: String::new(),
        rule: None,
    };
    let facts = case.facts(catalogue.latest(&case.script)).map_err(of_cases)?;
    let forecast = forecast(&facts, &policy);
    let groups: Vec<String> =
        policy.groups_of(&facts.labels).iter().map(ToString::to_string).collect();
    let place = machine.map_or_else(|| "a machine".to_owned(), |row| row.name.to_string());
    let groups = match groups.is_empty() {
        true => "in no group".to_owned(),
        false => format!("group {}", groups.join(", ")),
    };
    let mode = facts.mode.word();
    let order = format!(
        "{} ({} risk), {mode}, ordered by {} for {place} ({groups})",
        facts.script, facts.risk, facts.agent
    );
    let rules = explain(&facts, &policy);
    let page = Explained {
        order,
        rules: rules.into_iter().map(|(id, why)| (id.to_owned(), why.map(about))).collect(),
        reasons: forecast.reasons,
        refusal: forecast.refusal.map(|r: Refusal| (r.code(), r.sentence(), r.next_step())),
    };
    let refused = page.refusal.is_some();
    ctx.show(&page, view::explained)?;
    Ok(if refused { Exit::Refused } else { Exit::Fine })
}

fn of_cases(error: rules::BadCases) -> Failure {
    Failure::usage(error.to_string()).next("docs/policy.md shows a file of cases")
}

/// Tries a file of cases; prints how each went.
fn tried(
    file: &std::path::Path,
    policy: &Policy,
    catalogue: &Catalogue,
) -> Result<Vec<CaseResult>, Failure> {
    let text = desk::home::read_text(file)?;
    let cases = rules::read_cases(&text).map_err(of_cases)?;
    rules::try_cases(&cases, policy, |script| catalogue.latest(script)).map_err(of_cases)
}

fn test(ctx: &Ctx, args: &TestArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let (policy, catalogue) = which(ctx, &desk, args.draft.as_deref())?;
    let results = tried(&args.file, &policy, &catalogue)?;
    ctx.show(&results, |results| view::cases(results))?;
    Ok(if results.iter().all(|r| r.good) { Exit::Fine } else { Exit::NeedsPerson })
}

fn sign(ctx: &Ctx, args: &SignArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let draft = read(ctx, &desk, &args.file)?;
    if let Some(cases) = &args.cases {
        let results = tried(cases, &draft.policy, &catalogue::open(&desk.home, ctx.now())?)?;
        let bad = results.iter().filter(|result| !result.good).count();
        if bad > 0 {
            return Err(Failure::refused(format!(
                "{bad} of {} cases are decided otherwise. Nothing was signed.",
                results.len()
            ))
            .next(format!(
                "salve policy test {} --draft {}",
                cases.display(),
                args.file.display()
            )));
        }
    }
    if !ctx.json {
        ctx.say(view::draft(&view::DraftPage::of(&draft)));
    }
    if !args.yes && !ctx.confirm("Sign and publish this?") {
        return Err(Failure::new(Exit::NeedsPerson, "nothing was signed")
            .next("with --yes nothing is asked"));
    }
    let admins = args.signers.admins(ctx, &desk)?;
    rules::publish(&desk, &draft, args.trust_again, &admins, ctx.now())
        .map_err(|error| of_draft(error, &args.file))?;
    let version = catalogue::open(&desk.home, ctx.now())?.versions().policy;
    #[derive(Serialize)]
    struct Signed {
        policy: u64,
        changes: usize,
    }
    ctx.show(&Signed { policy: version, changes: draft.changes.len() }, |signed| {
        format!(
            "Policy version {} is published; endpoints take it up with their next session.",
            signed.policy
        )
    })?;
    Ok(Exit::Fine)
}
