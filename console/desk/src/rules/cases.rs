//! Cases that a policy must decide as they say: a file that lies beside the policy, and is tried
//! before it is signed.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Decision, Facts, Glass, Policy};
use protocol::documents::{Asked, ConsentAnswer, Heard};
use protocol::{AgentName, Consent, Label, Mode, Params, Risk, ScriptName, Time};
use serde::{Deserialize, Serialize};
use trust::catalogue::ScriptEntry;

/// 2026-01-07T12:00:00Z, where a case says no time.
const WEDNESDAY: Time = Time(1_767_787_200);

/// What a case is about and what is to come of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// In words.
    pub name: String,
    /// Who orders.
    pub agent: AgentName,
    /// What.
    pub script: ScriptName,
    /// Its risk, where the catalogue does not list it.
    #[serde(default)]
    pub risk: Option<Risk>,
    /// What it asks of the person at the machine, where the catalogue does not list it [nothing].
    #[serde(default)]
    pub asks: Option<Consent>,
    /// How.
    pub mode: Mode,
    /// Labels of the machine.
    #[serde(default)]
    pub labels: BTreeMap<Label, Label>,
    /// The order names a ticket, and the desk attests it.
    #[serde(default)]
    pub ticket: bool,
    /// It says how the person was identified.
    #[serde(default)]
    pub identified: bool,
    /// The desk checked it with a code.
    #[serde(default)]
    pub identity_checked: bool,
    /// What the person answered.
    #[serde(default)]
    pub consent: Option<ConsentAnswer>,
    /// What came of asking the person at the machine.
    #[serde(default)]
    pub asked: Option<Heard>,
    /// It is bound to a plan.
    #[serde(default)]
    pub planned: bool,
    /// Who approved it.
    #[serde(default)]
    pub approved_by: BTreeSet<AgentName>,
    /// It breaks glass, with this key.
    #[serde(default)]
    pub break_glass: Option<Label>,
    /// It waits at the desk, so that a key made for it signs its dispatch.
    #[serde(default)]
    pub waits: bool,
    /// A session key that is good up to this risk signs it.
    #[serde(default)]
    pub session: Option<Risk>,
    /// When it is decided [noon of a Wednesday, UTC].
    #[serde(default)]
    pub at: Option<Time>,
    /// Parameters that a rule may narrow, presets filled in.
    #[serde(default)]
    pub parameters: Params,
    /// `permit`, or the code of the refusal.
    pub expect: String,
    /// The rule that decides; none: whichever.
    #[serde(default)]
    pub rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesFile {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

/// Why a file of cases is none.
#[derive(Debug, thiserror::Error)]
pub enum BadCases {
    /// Not TOML of this shape.
    #[error("{}", .0.message())]
    Shape(#[from] toml::de::Error),
    /// Nothing would be tried.
    #[error("it has no [[case]]")]
    Empty,
    /// No code of any refusal.
    #[error("case `{name}` expects `{expect}`, and there is no such answer")]
    Expect {
        /// The case.
        name: String,
        /// As written.
        expect: String,
    },
    /// Neither the catalogue nor the case says its risk.
    #[error("case `{name}`: the catalogue lists no script {script}, so it must say its risk")]
    Risk {
        /// The case.
        name: String,
        /// The script.
        script: ScriptName,
    },
}

/// How a case went.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Whether the policy decides as it says.
    pub good: bool,
    /// `permit` or the refusal's code.
    pub decided: String,
    /// The rule, where one permits it.
    pub rule: Option<String>,
    /// What was expected.
    pub expected: String,
}

/// Reads cases.
///
/// # Errors
/// [`BadCases`].
pub fn read_cases(text: &str) -> Result<Vec<Case>, BadCases> {
    let cases = toml::from_str::<CasesFile>(text)?.cases;
    if cases.is_empty() {
        return Err(BadCases::Empty);
    }
    let known = |expect: &str| expect == "permit" || protocol::Refusal::CODES.contains(&expect);
    match cases.iter().find(|case| !known(&case.expect)) {
        Some(case) => {
            Err(BadCases::Expect { name: case.name.clone(), expect: case.expect.clone() })
        }
        None => Ok(cases),
    }
}

impl Case {
    /// The facts that policy is asked about; `listed`: the script's newest version in the catalogue.
    ///
    /// # Errors
    /// [`BadCases::Risk`] where nobody says the script's risk.
    pub fn facts(&self, listed: Option<&ScriptEntry>) -> Result<Facts, BadCases> {
        let risk = self.risk.or(listed.map(|entry| entry.risk)).ok_or_else(|| BadCases::Risk {
            name: self.name.clone(),
            script: self.script.clone(),
        })?;
        let asks = listed.map(|entry| entry.manifest.consent);
        Ok(Facts {
            agent: self.agent.clone(),
            script: self.script.clone(),
            risk,
            mode: self.mode,
            consent: self.asks.or(asks).unwrap_or(Consent::None),
            labels: self.labels.clone(),
            ticket: self.ticket,
            attested: self.ticket,
            identified: self.identified || self.identity_checked,
            identity_checked: self.identity_checked,
            answer: self.consent,
            asked: self.asked.map(|heard| Asked::nobody(heard, None, self.at.unwrap_or(WEDNESDAY))),
            planned: self.planned,
            approved_by: self.approved_by.clone(),
            glass: self.break_glass.clone().map(|key| Glass { key, reason: self.name.clone() }),
            own_key: !self.waits && self.session.is_none(),
            session: self.session,
            secrets: listed.is_some_and(|e| e.manifest.permissions.contains_key("secret.one_time")),
            at: self.at.unwrap_or(WEDNESDAY),
            parameters: self.parameters.clone(),
        })
    }
}

/// Tries every case; `listed` finds the catalogue's newest version of a script.
///
/// # Errors
/// [`BadCases::Risk`].
pub fn try_cases<'e>(
    cases: &[Case],
    policy: &Policy,
    listed: impl Fn(&ScriptName) -> Option<&'e ScriptEntry>,
) -> Result<Vec<CaseResult>, BadCases> {
    let result = |case: &Case| {
        let facts = case.facts(listed(&case.script))?;
        let (decided, rule) = match policy::decide(&facts, policy) {
            Decision::Permit(permit) => ("permit", Some(permit.rule().to_owned())),
            Decision::Refuse(refusal) => (refusal.code(), None),
        };
        let by = case.rule.as_ref().is_none_or(|wanted| {
            rule.as_ref().map_or_else(
                || policy::deciding(&facts, policy).is_some_and(|rule| rule.id == *wanted),
                |rule| rule == wanted,
            )
        });
        Ok(CaseResult {
            name: case.name.clone(),
            good: decided == case.expect && by,
            decided: decided.to_owned(),
            rule,
            expected: match &case.rule {
                Some(rule) => format!("{} by rule {rule}", case.expect),
                None => case.expect.clone(),
            },
        })
    };
    cases.iter().map(result).collect()
}
