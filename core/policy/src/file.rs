//! `policy.toml` as administrators sign it: the file's shape, and nothing checked yet.

use std::collections::BTreeMap;

use protocol::documents::SealingKey;
use protocol::{AgentName, Bytes, Digest, Label, Mode, ParamValue, PublicKey, Risk, Time, limits};
use serde::{Deserialize, Serialize};

use crate::hours::Hours;

/// How an organisation was set up; decides the first rules only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// One person does everything.
    Solo,
    /// A few people who know each other.
    Small,
    /// Duties are separated.
    Regulated,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyFile {
    /// The organisation's name, as in certificates.
    pub organisation: String,
    /// How it was set up.
    pub profile: Profile,
    /// Permissions that tell of people and that scripts may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<String>,
    /// Numbers.
    pub limits: PolicyLimits,
    /// Keys that sign ticket attestations.
    pub ticket_keys: Vec<PublicKey>,
    /// CA certificates.
    pub cas: Cas,
    /// What is withdrawn.
    pub denied: Denied,
    /// Groups of endpoints: name to the labels an endpoint must have.
    pub groups: BTreeMap<Label, BTreeMap<Label, Label>>,
    /// Site lists: name to values that a choice may take.
    pub sites: BTreeMap<String, Vec<String>>,
    /// Permissions whose least risk is raised above the product's own.
    pub least_risk: BTreeMap<String, Risk>,
    /// People and their keys.
    pub people: Vec<Person>,
    /// Who may sign endpoint cards.
    pub enrollers: Vec<Enroller>,
    /// Keys that may stand in for approvals where a rule says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<GlassKey>,
    /// Rules; the first that fits decides.
    pub rules: Vec<Rule>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// As in orders.
    pub name: AgentName,
    /// What rules call this person: `agent`, `lead`, `vetter`, `administrator` or own words.
    pub roles: Vec<Label>,
    /// Verifies orders, approvals and recalls; none where the person has not joined yet, who then
    /// orders, approves and recalls nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PublicKey>,
    /// Secrets for this person are sealed to this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing_key: Option<SealingKey>,
    /// The key in the risk roles, so that two keys of one person are seen as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vetter_key: Option<PublicKey>,
    /// The key in targets and policy roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_key: Option<PublicKey>,
    /// After this nothing that the person signs counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
    /// Orders for tickets only that the desk attests, as for somebody from another house.
    #[serde(default, skip_serializing_if = "is_false")]
    pub only_ticket: bool,
}

/// A key that signs endpoint cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enroller {
    /// The key.
    pub key: PublicKey,
    /// Labels it may give: label to values, `*` for any.
    #[serde(default)]
    pub labels: BTreeMap<Label, Vec<String>>,
}

impl Enroller {
    /// Whether it may give a machine this label.
    #[must_use]
    pub fn may_give(&self, label: &Label, value: &Label) -> bool {
        let values = self.labels.get(label);
        values.is_some_and(|all| all.iter().any(|v| v == "*" || v == value.as_str()))
    }
}

/// A key in a safe that may stand in for approvals. Nobody's own: whoever opens the safe has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassKey {
    /// As in orders.
    pub name: Label,
    /// The key.
    pub key: PublicKey,
    /// After this it stands in for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// CA certificates (DER).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cas {
    /// Of agents and desks.
    pub people: Vec<Bytes>,
    /// Of endpoints.
    pub endpoints: Vec<Bytes>,
}

/// What is withdrawn. Never emptied by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Denied {
    /// Sources of scripts.
    pub scripts: Vec<Digest>,
    /// Keys of any kind.
    pub keys: Vec<PublicKey>,
    /// Certificate serials, lower-case hex without leading zeros.
    pub serials: Vec<String>,
    /// Endpoint cards, by their serial.
    pub cards: Vec<u64>,
    /// People.
    pub people: Vec<AgentName>,
    /// When each of them was, as the administrators say: the name, digest, key or serial as it stands
    /// above, and the time. For whoever looks back; decides nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, Time>,
}

/// Numbers of the organisation, within the product's own limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyLimits {
    /// Orders of one agent in a minute on one endpoint.
    pub orders_a_minute: u32,
    /// Longest life of an order, seconds.
    pub order_seconds: u64,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        // One a second: nobody types faster, and a script that loops is noticed.
        Self { orders_a_minute: 60, order_seconds: limits::ORDER_SECONDS_MAX }
    }
}

/// What a rule says about a script's question to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsentRule {
    /// The agent may say that the question was waived.
    pub waive: bool,
    /// The agent may state that the person said yes; where not, only what was answered at the machine
    /// counts.
    pub spoken: bool,
}

impl Default for ConsentRule {
    fn default() -> Self {
        Self { waive: false, spoken: true }
    }
}

/// Narrower bounds of one parameter than the script's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bound {
    /// Smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// One of these; `true` and `false` for yes and no.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

impl Bound {
    /// Whether it lets a value through.
    #[must_use]
    pub fn has(&self, value: &ParamValue) -> bool {
        let (number, text) = match value {
            ParamValue::Int(number) => (Some(*number), number.to_string()),
            ParamValue::Bool(yes) => (None, yes.to_string()),
            ParamValue::Text(text) => (None, text.clone()),
        };
        let small = self.min.is_some_and(|min| number.is_none_or(|number| number < min));
        let large = self.max.is_some_and(|max| number.is_none_or(|number| number > max));
        !small && !large && (self.only.is_empty() || self.only.contains(&text))
    }

    /// In words: `at least 1, at most 9`, `one of a, b`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words: Vec<String> = self.min.iter().map(|min| format!("at least {min}")).collect();
        words.extend(self.max.iter().map(|max| format!("at most {max}")));
        if !self.only.is_empty() {
            words.push(format!("one of {}", self.only.join(", ")));
        }
        words.join(", ")
    }
}

/// One rule. What it leaves out of `agents` and `roles`, `scripts` or `groups` does not narrow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Named in every decision.
    pub id: String,
    /// Refuses what it fits, whatever later rules say.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deny: bool,
    /// These people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentName>,
    /// Whoever has one of these roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Label>,
    /// Scripts of these risks.
    pub risk: Vec<Risk>,
    /// In these modes.
    pub modes: Vec<Mode>,
    /// Scripts by name, or by area as in `cache.*`; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// Endpoints of one of these groups; none: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Label>,
    /// Only in these hours (UTC); none: always. Outside them the rule says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// Parameters within narrower bounds than the script's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Bound>,
    /// The order must name a ticket.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ticket_required: bool,
    /// The desk must attest that ticket.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attestation_required: bool,
    /// The order must say how the person was identified.
    #[serde(default, skip_serializing_if = "is_false")]
    pub identity: bool,
    /// The desk must have checked it with a code, and attest that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub identity_checked: bool,
    /// About the script's question.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consent: ConsentRule,
    /// A fix must be bound to a plan.
    #[serde(default, skip_serializing_if = "is_false")]
    pub plan_bound: bool,
    /// How many other people must approve.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approvals: u32,
    /// Roles that may approve; none: `lead`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Label>,
    /// A break-glass key may stand in for all of them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// Dispatches by the agent's own key only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_key: bool,
    /// A session key may sign the order; never for high risk or secrets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub session_key: bool,
}

impl Rule {
    /// Whether whoever has this role may approve what the rule lets others order.
    #[must_use]
    pub fn may_approve(&self, role: &Label) -> bool {
        match self.approvers.is_empty() {
            true => role.as_str() == "lead",
            false => self.approvers.contains(role),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if gives a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if gives a reference"
)]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}
fn is_default(value: &ConsentRule) -> bool {
    *value == ConsentRule::default()
}

impl PolicyFile {
    /// The file's text, as it is signed.
    ///
    /// # Errors
    /// Where a value has no TOML form; none of ours is like that.
    pub fn write(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
