//! Refusals: why an endpoint did not run an order. An answer with a reason and a next step, never
//! an error.

use serde::{Deserialize, Serialize};

use crate::{AgentName, RunId, ScriptName, TicketId, Time};

/// Who keeps an endpoint busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusyWith {
    /// Whose order runs.
    pub agent: AgentName,
    /// What runs.
    pub script: ScriptName,
    /// For which ticket.
    pub ticket: Option<TicketId>,
    /// Since when.
    pub since: Time,
    /// The run, to follow it.
    pub run: RunId,
}

macro_rules! refusals {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $($(#[$fdoc:meta])* $field:ident : $ty:ty),+ $(,)? })? = $code:literal
    ),+ $(,)?) => {
        /// Why an order was refused. Codes are stable; they never carry a parameter's value.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "code", deny_unknown_fields)]
        pub enum Refusal {
            $( $(#[$doc])* #[serde(rename = $code)] $variant $({ $($(#[$fdoc])* $field: $ty),+ })? ),+
        }
        impl Refusal {
            /// Every code, for the test that each has a sentence, a next step and a named test.
            pub const CODES: &'static [&'static str] = &[$($code),+];
            /// The stable code, as in `script-digest`.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $( Self::$variant $({ $($field: _),+ })? => $code ),+ }
            }
        }
    };
}

refusals! {
    /// The order names other endpoints.
    WrongEndpoint = "wrong-endpoint",
    /// The order's not-before lies ahead by more than the clock skew.
    NotYetValid { /** Not before. */ not_before: Time } = "not-yet-valid",
    /// The order's not-after has passed.
    OrderExpired { /** Not after. */ not_after: Time } = "order-expired",
    /// The order may live longer than policy or the format allows.
    OrderTooLong = "order-too-long",
    /// The order already ran here.
    AlreadyRun { /** That run. */ run: RunId } = "already-run",
    /// The order's id was used by an order with other content.
    OrderIdReused = "order-id-reused",
    /// The dispatch belongs to another order or endpoint.
    DispatchMismatch = "dispatch-mismatch",
    /// The dispatch has expired, or lives longer than allowed.
    DispatchExpired = "dispatch-expired",
    /// The dispatch names a challenge that this session did not get, or that died.
    ChallengeUnknown = "challenge-unknown",
    /// The pair of challenge and number was taken before.
    ChallengeUsed = "challenge-used",
    /// High risk and secrets need a dispatch by the agent's own key.
    DispatchKey = "dispatch-key",
    /// Policy does not know the signer.
    SignerUnknown = "signer-unknown",
    /// The signer's key or person was withdrawn.
    SignerWithdrawn = "signer-withdrawn",
    /// The order says one agent and another one signed.
    SignerMismatch = "signer-mismatch",
    /// The order is signed by a session key, which is not good for it.
    SessionKey { /** Why not. */ because: String } = "session-key",
    /// The catalogue does not list this script version.
    ScriptUnknown {
        /// Wanted script.
        script: ScriptName,
        /// Wanted version.
        version: u32,
    } = "script-unknown",
    /// The catalogue's digest for this version is another one.
    ScriptDigest {
        /// Wanted script.
        script: ScriptName,
        /// Wanted version.
        version: u32,
    } = "script-digest",
    /// This digest is on the deny list.
    ScriptWithdrawn {
        /// Withdrawn script.
        script: ScriptName,
        /// Withdrawn version.
        version: u32,
    } = "script-withdrawn",
    /// Without those who were withdrawn, too few people vetted it.
    ScriptVetters {
        /// Wanted script.
        script: ScriptName,
        /// How many people vetted it.
        have: u32,
        /// How many must.
        want: u32,
    } = "script-vetters",
    /// The manifest's risk differs from its role or is below a permission's least risk.
    ScriptRisk { /** What is wrong. */ permission: String } = "script-risk",
    /// The script does not run on this platform.
    Platform { /** This platform. */ platform: String } = "platform",
    /// The agent saw newer catalogue versions than this endpoint has.
    CatalogueBehind {
        /// The role that is behind.
        role: String,
        /// Version here.
        have: u64,
        /// Version wanted.
        want: u64,
    } = "catalogue-behind",
    /// A catalogue role has expired here.
    CatalogueExpired {
        /// The role.
        role: String,
        /// Since when.
        expired: Time,
    } = "catalogue-expired",
    /// The order names a parameter that the script does not have.
    ParameterUnknown { /** The parameter. */ name: String } = "parameter-unknown",
    /// A required parameter is missing.
    ParameterMissing { /** The parameter. */ name: String } = "parameter-missing",
    /// A parameter has the wrong type.
    ParameterType {
        /// The parameter.
        name: String,
        /// What it takes.
        wants: String,
    } = "parameter-type",
    /// A parameter is out of its range.
    ParameterRange {
        /// The parameter.
        name: String,
        /// What it takes.
        wants: String,
    } = "parameter-range",
    /// No rule of the policy lets this agent run this here.
    NotAllowed { /** What was missing. */ because: String } = "not-allowed",
    /// Policy wants a ticket.
    TicketRequired = "ticket-required",
    /// The ticket attestation is missing, expired, or says another ticket or endpoint.
    TicketAttestation { /** What is wrong. */ because: String } = "ticket-attestation",
    /// The ticket is closed.
    TicketClosed { /** The ticket. */ ticket: TicketId } = "ticket-closed",
    /// Policy wants an identity statement.
    IdentityRequired = "identity-required",
    /// Policy wants the desk's word that it checked who is calling.
    IdentityCheckRequired = "identity-check-required",
    /// The person has to say yes first.
    ConsentRequired = "consent-required",
    /// The person said no.
    ConsentRefused = "consent-refused",
    /// Policy wants approvals by other people.
    ApprovalRequired { /** How many. */ count: u32 } = "approval-required",
    /// The order breaks glass, and that may not be here or was not done right.
    BreakGlass { /** What is wrong. */ because: String } = "break-glass",
    /// Policy wants this fix bound to a plan.
    PlanRequired = "plan-required",
    /// This endpoint does not keep that plan (any more).
    PlanUnknown = "plan-unknown",
    /// The plan was made for another script or other parameters.
    PlanMismatch = "plan-mismatch",
    /// A run that changes things is under way and the queue is full.
    Busy { /** By whom. */ by: BusyWith } = "busy",
    /// Too many orders of this agent.
    RateLimited = "rate-limited",
    /// The order was recalled before it started.
    Recalled = "recalled",
    /// A required defence is missing on this endpoint.
    DefenceMissing { /** Which. */ defences: Vec<String> } = "defence-missing",
    /// Undo is asked for a run that left no journal.
    ModeUnsupported { /** Which mode. */ mode: String } = "mode-unsupported",
    /// The endpoint's disk has no reserve left for a record.
    NoReserve = "no-reserve",
}

impl Refusal {
    /// One sentence for people: what was wrong. Lower case, no full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::WrongEndpoint => "the order names another endpoint".into(),
            Self::NotYetValid { not_before } => {
                format!("the order is not valid before {not_before}")
            }
            Self::OrderExpired { not_after } => format!("the order expired at {not_after}"),
            Self::OrderTooLong => "the order lives longer than allowed".into(),
            Self::AlreadyRun { run } => format!("already run, record {}", run.short()),
            Self::OrderIdReused => "another order used this order id".into(),
            Self::DispatchMismatch => "the dispatch belongs to another order or endpoint".into(),
            Self::DispatchExpired => "the dispatch has expired".into(),
            Self::ChallengeUnknown => "the endpoint's challenge is unknown or has died".into(),
            Self::ChallengeUsed => "this dispatch was sent before".into(),
            Self::DispatchKey => "high risk and secrets need the agent's own key".into(),
            Self::SignerUnknown => "no agent signed this".into(),
            Self::SignerWithdrawn => "the signer's key was withdrawn".into(),
            Self::SignerMismatch => "the order names one agent and another one signed it".into(),
            Self::SessionKey { because } => format!("the session key: {because}"),
            Self::ScriptUnknown { script, version } => {
                format!("the catalogue has no {script} version {version}")
            }
            Self::ScriptDigest { script, version } => {
                format!("script digest: {script} {version} is not the vetted one")
            }
            Self::ScriptWithdrawn { script, version } => {
                format!("{script} {version} was withdrawn")
            }
            Self::ScriptVetters { script, have, want } => format!(
                "{script} was vetted by {have} of {want} people, not counting who was withdrawn"
            ),
            Self::ScriptRisk { permission } => {
                format!("the script's risk does not fit its permission {permission}")
            }
            Self::Platform { platform } => format!("the script does not run on {platform}"),
            Self::CatalogueBehind { role, have, want } => {
                format!("catalogue behind: {role} is at {have} here, the agent saw {want}")
            }
            Self::CatalogueExpired { role, expired } => {
                format!("the catalogue's {role} expired at {expired}")
            }
            Self::ParameterUnknown { name } => format!("unknown parameter {name}"),
            Self::ParameterMissing { name } => format!("parameter {name} is missing"),
            Self::ParameterType { name, wants } => format!("parameter {name} takes {wants}"),
            Self::ParameterRange { name, wants } => format!("parameter {name} must be {wants}"),
            Self::NotAllowed { because } => format!("policy does not allow this: {because}"),
            Self::TicketRequired => "policy wants a ticket".into(),
            Self::TicketAttestation { because } => format!("the ticket's attestation: {because}"),
            Self::TicketClosed { ticket } => format!("ticket {ticket} is closed"),
            Self::IdentityRequired => "high risk needs an identity check".into(),
            Self::IdentityCheckRequired => {
                "policy wants the caller identified by a code that the desk checked".into()
            }
            Self::ConsentRequired => "the person at the machine has to say yes first".into(),
            Self::ConsentRefused => "the person at the machine said no".into(),
            Self::ApprovalRequired { count } => format!("policy wants {count} more approval(s)"),
            Self::BreakGlass { because } => format!("breaking glass: {because}"),
            Self::PlanRequired => "policy wants this fix bound to a plan".into(),
            Self::PlanUnknown => "the endpoint does not keep that plan any more".into(),
            Self::PlanMismatch => "the plan was made for another script or other parameters".into(),
            Self::Busy { by } => {
                let ticket = by.ticket.as_ref().map_or(String::new(), |t| format!(", ticket {t}"));
                format!("busy: {} runs {} since {}{ticket}", by.agent, by.script, by.since.clock())
            }
            Self::RateLimited => "too many orders of this agent in a minute".into(),
            Self::Recalled => "the order was recalled".into(),
            Self::DefenceMissing { defences } => {
                format!("defence missing: {}", defences.join(", "))
            }
            Self::ModeUnsupported { mode } => format!("mode {mode} is not possible here"),
            Self::NoReserve => "the endpoint's disk has no room left for a record".into(),
        }
    }

    /// What to do next, one sentence.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::WrongEndpoint | Self::DispatchMismatch => {
                "name the endpoint with --on and run it again"
            }
            Self::NotYetValid { .. } => "compare the clocks: `date -u` here and there",
            Self::OrderExpired { .. } => {
                "run the command again: it signs a fresh order; if that is too late too, compare \
                 the clocks: `date -u` here and there"
            }
            Self::OrderTooLong | Self::DispatchExpired => {
                "run the command again: it signs a fresh order"
            }
            Self::AlreadyRun { .. } | Self::ChallengeUsed | Self::OrderIdReused => {
                "look at the record that exists: `salve runs show last`"
            }
            Self::ChallengeUnknown => "run the command again: it asks for a new challenge",
            Self::DispatchKey => "run it from the console that holds the agent's own key",
            Self::SignerUnknown | Self::SignerMismatch => {
                "ask an administrator whether policy lists you: `salve agents list`"
            }
            Self::SignerWithdrawn => {
                "ask an administrator for a new key: `salve agents invite NAME`"
            }
            Self::SessionKey { .. } => {
                "end the session and sign with your own key: `salve lock`, then run it again"
            }
            Self::ScriptUnknown { .. } | Self::ScriptDigest { .. } => {
                "compare with `salve scripts list`; a vetter may have to sign and publish it"
            }
            Self::ScriptWithdrawn { .. } => "use a newer version: `salve scripts list`",
            Self::ScriptVetters { .. } => {
                "other vetters sign its list again: `salve scripts renew --as NAME --as NAME`"
            }
            Self::ScriptRisk { .. } => "ask its vetters to sign it at the higher risk",
            Self::Platform { .. } => "choose a script for this platform: `salve scripts search`",
            Self::CatalogueBehind { .. } => "run the command again: the update travels with it",
            Self::CatalogueExpired { .. } => {
                "renew it where its keys lie: `salve status` says which and how"
            }
            Self::ParameterUnknown { .. }
            | Self::ParameterMissing { .. }
            | Self::ParameterType { .. }
            | Self::ParameterRange { .. } => "see its parameters: `salve scripts show NAME`",
            Self::NotAllowed { .. } => "ask a colleague whom policy allows, or an administrator",
            Self::TicketRequired => "add --ticket NUMBER",
            Self::TicketAttestation { .. } => "compare the ticket: `salve tickets show NUMBER`",
            Self::TicketClosed { .. } => "reopen the ticket or open a new one",
            Self::IdentityRequired => "add --identified code | callback | manager:NAME | id-card",
            Self::IdentityCheckRequired => "add --identified code",
            Self::ConsentRequired => "ask the person and answer y, or add --spoken",
            Self::ConsentRefused => "talk to the person first",
            Self::ApprovalRequired { .. } => "ask a colleague to approve the order",
            Self::BreakGlass { .. } => {
                "compare rule and keys: `salve policy show`; or leave out --break-glass"
            }
            Self::PlanRequired | Self::PlanUnknown | Self::PlanMismatch => {
                "run `salve run` again: it makes a new plan and shows it"
            }
            Self::Busy { .. } => "watch it: `salve runs follow RUN`, or try again later",
            Self::RateLimited => "wait a minute",
            Self::Recalled => "run the command again if it is still wanted",
            Self::DefenceMissing { .. } => "run `salved doctor` on the endpoint",
            Self::ModeUnsupported { .. } => "use check, plan or fix",
            Self::NoReserve => "free some space on the endpoint; `salved doctor` says where",
        }
    }
}
