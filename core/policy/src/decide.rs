//! The decision: facts in, permit or refusal out. Deny by default; the deciding rule is named.

use std::collections::{BTreeMap, BTreeSet};

use protocol::documents::{Asked, ConsentAnswer, Heard};
use protocol::{AgentName, Consent, Label, Mode, Params, Refusal, Risk, ScriptName, Time};

use crate::file::{Bound, Rule};
use crate::permit::Permit;
use crate::policy::{Policy, script_fits};

/// Begins the reason of a permit for which glass was broken, and no other.
pub const BREAK_GLASS: &str = "BREAK GLASS by ";

/// A break-glass key that signed this very order and plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glass {
    /// Its name in the policy.
    pub key: Label,
    /// Why, as the order says.
    pub reason: String,
}

/// What was established before policy is asked. Each field was checked by whoever fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Who ordered; the seal was opened with this person's key.
    pub agent: AgentName,
    /// Which script.
    pub script: ScriptName,
    /// Its risk: of the role that lists it.
    pub risk: Risk,
    /// How.
    pub mode: Mode,
    /// What the script says about the person at the machine.
    pub consent: Consent,
    /// Labels of the endpoint's card.
    pub labels: BTreeMap<Label, Label>,
    /// The order names a ticket.
    pub ticket: bool,
    /// A good attestation fits that ticket, this agent and this endpoint.
    pub attested: bool,
    /// The order says how the person was identified.
    pub identified: bool,
    /// A good attestation says that the desk checked it, for this agent, ticket and script.
    pub identity_checked: bool,
    /// What the agent states that the person answered, where the question was the script's own.
    pub answer: Option<ConsentAnswer>,
    /// What came of asking the person at the machine about the plan that binds this fix.
    pub asked: Option<Asked>,
    /// The fix is bound to a plan that this endpoint keeps.
    pub planned: bool,
    /// Other people whose seal says yes to this order and plan.
    pub approved_by: BTreeSet<AgentName>,
    /// The break-glass key that stands in for other people.
    pub glass: Option<Glass>,
    /// The dispatch is by the agent's own key.
    pub own_key: bool,
    /// The order is signed by a session key that is good up to this risk; none: by the agent's own.
    pub session: Option<Risk>,
    /// Secrets travel in either direction.
    pub secrets: bool,
    /// When it is decided.
    pub at: Time,
    /// The parameters, presets filled in.
    pub parameters: Params,
}

/// Yes or no.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, and why.
    Permit(Permit),
    /// No, and why.
    Refuse(Refusal),
}

/// What a decision would be, without being one: nothing can be started with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The rule and what it waived, where it would be a yes.
    pub reasons: Vec<String>,
    /// Why not, where it would be a no.
    pub refusal: Option<Refusal>,
}

/// Decides. The first rule that fits the agent, risk, mode, script and endpoint is the only one
/// that counts; where none fits the answer is no.
pub fn decide(facts: &Facts, policy: &Policy) -> Decision {
    let Some(rule) = deciding(facts, policy) else {
        let because = match at_other_hours(facts, policy) {
            Some(rule) => {
                let hours: Vec<String> = rule.hours.iter().map(ToString::to_string).collect();
                format!("rule {} lets it only {} UTC", rule.id, hours.join(", "))
            }
            None => format!(
                "no rule lets {} run {} of {} risk in mode {} here",
                facts.agent,
                facts.script,
                facts.risk,
                facts.mode.word()
            ),
        };
        return Decision::Refuse(Refusal::NotAllowed { because });
    };
    if rule.deny {
        let because = format!("rule {} denies it", rule.id);
        return Decision::Refuse(Refusal::NotAllowed { because });
    }
    let mut reasons = vec![format!("rule {}", rule.id)];
    match missing(rule, facts, policy, &mut reasons) {
        Some(refusal) => Decision::Refuse(refusal),
        None => Decision::Permit(Permit::new(rule.id.clone(), reasons)),
    }
}

/// What [`decide`] would say, for a desk that wants to tell people before it asks an endpoint.
#[must_use]
pub fn forecast(facts: &Facts, policy: &Policy) -> Forecast {
    match decide(facts, policy) {
        Decision::Permit(permit) => Forecast { reasons: permit.reasons().to_vec(), refusal: None },
        Decision::Refuse(refusal) => Forecast { reasons: Vec::new(), refusal: Some(refusal) },
    }
}

/// Why a rule says nothing about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is about other people.
    Who,
    /// About other risks.
    Risk,
    /// Other modes.
    Mode,
    /// Other scripts.
    Script,
    /// Endpoints of other groups.
    Place,
    /// Other hours, and nothing else.
    Hours,
}

/// What every rule says to an order, in their order; the first without a misfit is the only one that
/// counts.
#[must_use]
pub fn explain<'p>(facts: &Facts, policy: &'p Policy) -> Vec<(&'p str, Option<Misfit>)> {
    let asked = Orders::new(facts, policy);
    policy.rules().iter().map(|rule| (rule.id.as_str(), asked.misfit(rule))).collect()
}

/// The rule that decides over these facts, whether it permits them or not.
#[must_use]
pub fn deciding<'p>(facts: &Facts, policy: &'p Policy) -> Option<&'p Rule> {
    let asked = Orders::new(facts, policy);
    policy.rules().iter().find(|rule| asked.misfit(rule).is_none())
}

/// The first rule that would decide at another hour and lets something through.
fn at_other_hours<'p>(facts: &Facts, policy: &'p Policy) -> Option<&'p Rule> {
    let asked = Orders::new(facts, policy);
    policy.rules().iter().find(|rule| !rule.deny && asked.misfit(rule) == Some(Misfit::Hours))
}

/// Facts, with what the policy makes of the person and the machine.
struct Orders<'a> {
    facts: &'a Facts,
    roles: &'a [Label],
    groups: Vec<&'a Label>,
}

impl<'a> Orders<'a> {
    fn new(facts: &'a Facts, policy: &'a Policy) -> Self {
        let roles = policy.person(&facts.agent).map_or(&[][..], |person| &person.roles);
        Self { facts, roles, groups: policy.groups_of(&facts.labels) }
    }

    fn misfit(&self, rule: &Rule) -> Option<Misfit> {
        let Self { facts, roles, groups } = self;
        let named = rule.agents.contains(&facts.agent);
        if !named && !rule.roles.iter().any(|role| roles.contains(role)) {
            return Some(Misfit::Who);
        }
        if !rule.risk.contains(&facts.risk) {
            return Some(Misfit::Risk);
        }
        if !rule.modes.contains(&facts.mode) {
            return Some(Misfit::Mode);
        }
        if !script_fits(&rule.scripts, &facts.script) {
            return Some(Misfit::Script);
        }
        let here = rule.groups.is_empty() || rule.groups.iter().any(|g| groups.contains(&g));
        if !here {
            return Some(Misfit::Place);
        }
        let now = rule.hours.is_empty() || rule.hours.iter().any(|hours| hours.has(facts.at));
        (!now).then_some(Misfit::Hours)
    }
}

/// The first thing that the rule wants and the facts lack; what is not asked goes to the reasons.
fn missing(
    rule: &Rule,
    facts: &Facts,
    policy: &Policy,
    reasons: &mut Vec<String>,
) -> Option<Refusal> {
    if (facts.risk == Risk::High || facts.secrets || rule.own_key) && !facts.own_key {
        return Some(Refusal::DispatchKey);
    }
    if let Some(refusal) = session(rule, facts, reasons) {
        return Some(refusal);
    }
    let outside = policy.person(&facts.agent).is_some_and(|person| person.only_ticket);
    if (rule.ticket_required || outside || facts.glass.is_some()) && !facts.ticket {
        return Some(Refusal::TicketRequired);
    }
    if (rule.attestation_required || outside) && !facts.attested {
        let because = "policy wants one and none came".to_owned();
        return Some(Refusal::TicketAttestation { because });
    }
    if let Some(refusal) = bounds(rule, facts) {
        return Some(refusal);
    }
    if rule.identity_checked && !facts.identity_checked {
        return Some(Refusal::IdentityCheckRequired);
    }
    let person = facts.mode.mutates() && facts.consent == Consent::Identity;
    if (rule.identity || person) && !facts.identified {
        return Some(Refusal::IdentityRequired);
    }
    if let Some(refusal) = consent(rule, facts, reasons) {
        return Some(refusal);
    }
    if rule.plan_bound && facts.mode == Mode::Fix && !facts.planned {
        return Some(Refusal::PlanRequired);
    }
    approvals(rule, facts, policy, reasons)
}

/// A session key signs only what the rule lets it, up to the risk that the person lent it for.
fn session(rule: &Rule, facts: &Facts, reasons: &mut Vec<String>) -> Option<Refusal> {
    let most = facts.session?;
    let because = match () {
        () if facts.risk == Risk::High || facts.secrets => {
            "high risk and secrets want the agent's own key".to_owned()
        }
        () if !rule.session_key => format!("rule {} wants the agent's own key", rule.id),
        () if facts.risk > most => format!("it is good for {most} risk, this is {}", facts.risk),
        () => {
            reasons.push(format!("signed by a session key for {most} risk"));
            return None;
        }
    };
    Some(Refusal::SessionKey { because })
}

/// Parameters that the rule narrows. A value is never told.
fn bounds(rule: &Rule, facts: &Facts) -> Option<Refusal> {
    let beyond = |(name, bound): (&String, &Bound)| {
        let given = facts.parameters.get(name)?;
        (!bound.has(given)).then(|| Refusal::ParameterRange {
            name: name.clone(),
            wants: format!("{} by rule {}", bound.words(), rule.id),
        })
    };
    rule.parameters.iter().find_map(beyond)
}

fn consent(rule: &Rule, facts: &Facts, reasons: &mut Vec<String>) -> Option<Refusal> {
    if !facts.mode.mutates() || facts.consent != Consent::Ask {
        return None;
    }
    match facts.asked.as_ref().map(|asked| (asked.answer, asked)) {
        Some((Heard::Yes, asked)) => {
            reasons.push(format!("consent: {asked}"));
            return None;
        }
        Some((Heard::No, _)) => return Some(Refusal::ConsentRefused),
        Some((Heard::NobodyThere | Heard::NoAnswer | Heard::NotShown, _)) | None => {}
    }
    match facts.answer {
        Some(ConsentAnswer::Spoken) if rule.consent.spoken => {
            let before =
                facts.asked.as_ref().map_or_else(String::new, |asked| format!("; {asked}"));
            reasons.push(format!("consent: spoken, as stated by the agent{before}"));
            None
        }
        Some(ConsentAnswer::Waived) if rule.consent.waive => {
            reasons.push(format!("consent: waived by rule {}", rule.id));
            None
        }
        Some(ConsentAnswer::Waived | ConsentAnswer::Spoken | ConsentAnswer::Ask) | None => {
            Some(Refusal::ConsentRequired)
        }
    }
}

fn approvals(
    rule: &Rule,
    facts: &Facts,
    policy: &Policy,
    reasons: &mut Vec<String>,
) -> Option<Refusal> {
    if let Some(glass) = &facts.glass {
        return broken(rule, facts, glass, reasons);
    }
    if rule.approvals == 0 {
        if facts.mode.mutates() && facts.risk > Risk::Low {
            reasons.push(format!("no approval by another person asked ({} risk)", facts.risk));
        }
        return None;
    }
    let may = |name: &&AgentName| {
        **name != facts.agent
            && policy
                .person(name)
                .is_some_and(|person| person.roles.iter().any(|role| rule.may_approve(role)))
    };
    let good: Vec<_> = facts.approved_by.iter().filter(may).map(ToString::to_string).collect();
    let count = u32::try_from(good.len()).unwrap_or(u32::MAX);
    if count < rule.approvals {
        return Some(Refusal::ApprovalRequired { count: rule.approvals.saturating_sub(count) });
    }
    reasons.push(format!("approved by {}", good.join(", ")));
    None
}

/// Glass is broken only where that is allowed and needed, and never silently.
fn broken(rule: &Rule, facts: &Facts, glass: &Glass, reasons: &mut Vec<String>) -> Option<Refusal> {
    let no =
        |words: &str| Some(Refusal::BreakGlass { because: format!("rule {} {words}", rule.id) });
    if rule.approvals == 0 {
        return no("asks for no approval");
    }
    if !rule.break_glass {
        return no("does not allow it");
    }
    if facts.session.is_some() {
        return no("takes the agent's own key beside the one from the safe");
    }
    if glass.reason.trim().is_empty() {
        return Some(Refusal::BreakGlass { because: "the order gives no reason".to_owned() });
    }
    let instead = match rule.approvals {
        1 => "1 approval".to_owned(),
        n => format!("{n} approvals"),
    };
    reasons.push(format!(
        "{BREAK_GLASS}{} with key {} instead of {instead}: \"{}\"",
        facts.agent, glass.key, glass.reason
    ));
    None
}
