//! Orders that ask other people: what the agent asks, what the others are shown, what they answer.
//!
//! The desk keeps the papers and is believed in nothing: the approver verifies the order, the plan and
//! the machine that made it, the agent verifies the answers, and the endpoint verifies both again.

use std::collections::{BTreeMap, BTreeSet};

use policy::Facts;
use protocol::documents::{Approval, Order};
use protocol::{AgentName, Bytes, Digest, Envelope, Label, Plan, RunId, Time};
pub use store::RequestRow;
use trust::Verified;
use trust::catalogue::ScriptEntry;
use trust::seal::{self, SealError};

use crate::books::{BookError, Paper};
use crate::org::Desk;
use crate::runs::{RunError, Wish, facts, open_order, order};
use crate::session::Agent;
use crate::verify::{Report, own_anchors, papers_of, verify_run};

/// Who is to approve, by the rule that decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many other people.
    pub count: u32,
    /// Of which roles.
    pub roles: Vec<Label>,
    /// Who that is: joined, not withdrawn, not the agent.
    pub people: Vec<AgentName>,
}

/// An order that has its approvals: sent as it is, for the seals cover it.
#[derive(Debug, Clone)]
pub struct Approved {
    /// The order.
    pub order: Order,
    /// Its envelope.
    pub sealed: Envelope,
    /// The answers.
    pub approvals: Vec<Envelope>,
    /// Whose they are.
    pub by: BTreeSet<AgentName>,
}

impl Approved {
    /// An order that nobody has approved yet.
    #[must_use]
    pub fn new(order: Order, sealed: Envelope) -> Self {
        Self { order, sealed, approvals: Vec::new(), by: BTreeSet::new() }
    }

    /// With the answers of those who said yes.
    #[must_use]
    pub fn with(self, answers: Answers) -> Self {
        let (by, approvals) = answers.yes.into_iter().unzip();
        Self { approvals, by, ..self }
    }
}

/// What was answered so far, each seal checked.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Who said yes, with the sealed answer.
    pub yes: BTreeMap<AgentName, Envelope>,
    /// Who said no.
    pub no: Vec<AgentName>,
}

/// An order that asks, as an approver's own console verified it.
#[derive(Debug)]
pub struct Asked {
    /// The order under its agent's seal.
    pub order: Verified<Order>,
    /// Its envelope.
    pub sealed: Envelope,
    /// The script, from this console's own catalogue.
    pub script: ScriptEntry,
    /// The machine's name, as its own record says.
    pub endpoint: protocol::EndpointName,
    /// The plan that the order is bound to.
    pub plan: Plan,
    /// Its digest.
    pub digest: Digest,
    /// What was answered before.
    pub answers: Answers,
}

/// Why an order that asks cannot be shown or answered.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// Nothing asks under that name.
    #[error("no order `{typed}` asks for approval")]
    Nothing {
        /// As typed.
        typed: String,
    },
    /// Several do.
    #[error("`{typed}` fits {} orders that ask", orders.len())]
    Several {
        /// As typed.
        typed: String,
        /// Their short names.
        orders: Vec<String>,
    },
    /// A paper is not what it must be: the desk's own fault, or worse.
    #[error("what asks is not to be believed: {why}")]
    Papers {
        /// What is wrong.
        why: String,
    },
    /// One's own order.
    #[error("nobody approves their own order")]
    Own,
    /// It was over before it was answered.
    #[error("it asks no more: it was sent, taken back, or its time is over")]
    Over,
    /// The answer could not be sealed.
    #[error("could not seal the answer")]
    Seal(#[from] SealError),
    /// It could not be written.
    #[error("could not write the answer")]
    Write(#[from] protocol::json::BadJson),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The catalogue here.
    #[error(transparent)]
    Catalogue(#[from] crate::catalogue::CatalogueTrouble),
    /// The order could not be made.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
}

fn papers(why: impl Into<String>) -> ApprovalError {
    ApprovalError::Papers { why: why.into() }
}

/// Who must approve this wish before an endpoint takes it; none where nobody must.
#[must_use]
pub fn wanted(agent: &Agent, wish: &Wish, now: Time) -> Option<Wanted> {
    let facts: Facts = facts(agent, wish, false, now);
    let rule = policy::deciding(&facts, &agent.policy).filter(|rule| rule.approvals > 0)?;
    let may = |person: &&policy::Person| {
        person.name != agent.name
            && person.signing_key.is_some()
            && !agent.policy.is_withdrawn(person, now)
            && person.roles.iter().any(|role| rule.may_approve(role))
    };
    let people = agent.policy.file().people.iter().filter(may);
    let roles = match rule.approvers.is_empty() {
        true => "lead".parse().into_iter().collect(),
        false => rule.approvers.clone(),
    };
    Some(Wanted { count: rule.approvals, roles, people: people.map(|p| p.name.clone()).collect() })
}

/// Seals the order and has it ask at the desk.
///
/// # Errors
/// [`ApprovalError`]; nobody was asked then.
pub fn ask(
    desk: &Desk,
    agent: &Agent,
    wish: &Wish,
    (plan_run, wanted): (RunId, u32),
    now: Time,
) -> Result<Approved, ApprovalError> {
    let plan = desk.store.bytes_of(plan_run, Paper::Plan)?;
    let plan = plan.filter(|bytes| wish.plan == Some(Digest::of(bytes)));
    let plan = plan.ok_or_else(|| papers("the desk does not have the plan that was shown"))?;
    let (order, sealed, _) = order(agent, wish, now).map_err(Box::new)?;
    let (by, paper) = (agent.name.clone(), Bytes(sealed.write()?));
    desk.store.add_request(paper, Bytes(plan), plan_run, wanted, by, now)?;
    Ok(Approved::new(order, sealed))
}

/// What was answered so far to an order that is bound to this plan.
fn read_answers(
    agent: &Agent,
    (order, by): (Digest, &AgentName),
    plan: Digest,
    envelopes: &[Bytes],
    now: Time,
) -> Answers {
    let mut answers = Answers::default();
    for bytes in envelopes {
        let Ok(envelope) = Envelope::read(&bytes.0) else { continue };
        // Unverified: only to find out whose key must have signed.
        let Ok(claim) = seal::peek::<Approval>(&envelope) else { continue };
        let Some(person) = agent.policy.person(&claim.person) else { continue };
        let Some(key) = person.signing_key else { continue };
        let Ok(said) = seal::open_one::<Approval>(&envelope, &key) else { continue };
        let fits = said.order == order && said.plan == plan && now <= said.not_after;
        if !fits || said.person == *by || agent.policy.is_withdrawn(person, now) {
            continue;
        }
        if said.yes {
            answers.yes.insert(said.person.clone(), envelope);
        } else {
            answers.no.push(said.person.clone());
        }
    }
    answers
}

/// What was answered so far to an order of one's own; none where it asks no more.
///
/// # Errors
/// The books'.
pub fn answers(
    desk: &Desk,
    agent: &Agent,
    asked: &Approved,
    now: Time,
) -> Result<Option<Answers>, BookError> {
    let order = asked.sealed.digest();
    let (Some(papers), Some(plan)) = (desk.store.request_papers(order)?, asked.order.plan) else {
        return Ok(None);
    };
    Ok(Some(read_answers(agent, (order, &agent.name), plan, &papers.answers, now)))
}

/// Finds an order that asks by the beginning of its digest.
///
/// # Errors
/// [`ApprovalError::Nothing`], [`ApprovalError::Several`].
pub fn find(desk: &Desk, typed: &str, now: Time) -> Result<RequestRow, ApprovalError> {
    let typed = typed.to_ascii_lowercase();
    let mut rows = desk.store.requests(now)?;
    rows.retain(|row| typed.len() >= 4 && row.order.to_string().starts_with(&typed));
    match rows.len() {
        0 => Err(ApprovalError::Nothing { typed }),
        1 => rows.pop().ok_or(ApprovalError::Nothing { typed }),
        _ => {
            let orders = rows.iter().map(|row| row.order.short()).collect();
            Err(ApprovalError::Several { typed, orders })
        }
    }
}

/// Reads an order that asks and verifies all that an approver is shown.
///
/// # Errors
/// [`ApprovalError`]: what does not verify is not shown.
pub fn read(
    desk: &Desk,
    agent: &Agent,
    row: &RequestRow,
    now: Time,
) -> Result<Asked, ApprovalError> {
    let found = desk.store.request_papers(row.order)?.ok_or(ApprovalError::Over)?;
    let sealed = Envelope::read(&found.order.0).map_err(|_| papers("the order cannot be read"))?;
    if sealed.digest() != row.order {
        return Err(papers("the desk gave another order"));
    }
    let claim: Order = seal::peek(&sealed).map_err(|_| papers("the order cannot be read"))?;
    let person = agent.policy.person(&claim.agent);
    if person.is_some_and(|person| agent.policy.is_withdrawn(person, now)) {
        return Err(papers(format!("{} was withdrawn", claim.agent)));
    }
    let order = open_order(&sealed, &agent.policy, now)
        .map_err(|_| papers(format!("{} did not sign the order", claim.agent)))?;
    if order.not_after < now {
        return Err(ApprovalError::Over);
    }
    let script = agent.catalogue.script(&order.script.name, order.script.version);
    let script = script.filter(|entry| entry.digest == order.script.digest);
    let script = script
        .ok_or_else(|| papers(format!("the catalogue here does not list {}", order.script.name)))?;
    let digest = Digest::of(&found.plan.0);
    if order.plan != Some(digest) {
        return Err(papers("the order is bound to another plan than the one beside it"));
    }
    let plan: Plan =
        protocol::json::read(&found.plan.0).map_err(|_| papers("the plan cannot be read"))?;
    let (endpoint, report) = proof(desk, row, digest, now)?;
    if let Some(fault) = report.fault {
        return Err(papers(format!("nobody proves that the machine made this plan: {fault}")));
    }
    let target = order.targets.as_slice() == [plan.endpoint];
    let parameters = protocol::json::write(&order.parameters).map(|bytes| Digest::of(&bytes))?;
    if !target || plan.script_digest != order.script.digest || plan.parameters != parameters {
        return Err(papers("order and plan are about different things"));
    }
    let by = (row.order, &order.agent);
    let answers = read_answers(agent, by, digest, &found.answers, now);
    Ok(Asked { script: script.clone(), endpoint, plan, digest, answers, order, sealed })
}

/// The record of the run that made the plan: whose it is, and whether it proves the plan.
fn proof(
    desk: &Desk,
    row: &RequestRow,
    plan: Digest,
    now: Time,
) -> Result<(protocol::EndpointName, Report), ApprovalError> {
    let found = papers_of(&desk.store, &row.plan_run)?;
    let found = found.ok_or_else(|| papers("the record of the plan is not here"))?;
    let (record, _) = crate::verify::peek_record(&found.record)
        .ok_or_else(|| papers("the record of the plan cannot be read"))?;
    let report = verify_run(&row.plan_run, &found, &own_anchors(&desk.home, now)?);
    if record.predicate.plan != Some(plan) {
        return Err(papers("the machine's record names another plan"));
    }
    if record.predicate.endpoint.id != row.endpoint {
        return Err(papers("another machine made the plan"));
    }
    Ok((record.predicate.endpoint.name, report))
}

/// Seals yes or no and leaves it at the desk.
///
/// # Errors
/// [`ApprovalError`]; nothing was answered then.
pub fn answer(
    desk: &Desk,
    agent: &Agent,
    asked: &Asked,
    yes: bool,
    now: Time,
) -> Result<(), ApprovalError> {
    if asked.order.agent == agent.name {
        return Err(ApprovalError::Own);
    }
    let approval = Approval {
        order: asked.order.digest(),
        plan: asked.digest,
        person: agent.name.clone(),
        yes,
        not_after: asked.order.not_after,
    };
    let sealed = seal::seal(&approval, &[&agent.signing])?;
    let kept = desk.store.add_approval(Bytes(sealed.write()?), agent.name.clone(), now)?;
    if kept { Ok(()) } else { Err(ApprovalError::Over) }
}
