//! The policy in words.

use ::policy::{Policy, Rule};
use desk::rules::{CaseResult, Change, Draft};
use protocol::Time;
use serde::Serialize;

use crate::cli::policy::Explained;
use crate::view::{Table, joined, safe};

/// What a rule wants before it says yes.
fn wants(rule: &Rule) -> String {
    if rule.deny {
        return "refused".to_owned();
    }
    let mut wants: Vec<String> = Vec::new();
    if !rule.hours.is_empty() {
        wants.push(format!("only {} UTC", joined(&rule.hours, ", ")));
    }
    for (name, bound) in &rule.parameters {
        wants.push(format!("{} {}", safe(name), safe(&bound.words())));
    }
    if rule.attestation_required {
        wants.push("a ticket that the desk attests".to_owned());
    } else if rule.ticket_required {
        wants.push("a ticket".to_owned());
    }
    if rule.identity_checked {
        wants.push("the caller identified by a code that the desk checked".to_owned());
    } else if rule.identity {
        wants.push("the caller identified".to_owned());
    }
    if rule.plan_bound {
        wants.push("bound to a plan".to_owned());
    }
    if rule.approvals > 0 {
        let by = match rule.approvers.is_empty() {
            true => "lead".to_owned(),
            false => joined(&rule.approvers, ", "),
        };
        let or = if rule.break_glass { ", or broken glass" } else { "" };
        wants.push(format!("{} approved by {by}{or}", rule.approvals));
    }
    if rule.own_key {
        wants.push("the agent's own key".to_owned());
    }
    if rule.session_key {
        wants.push("a session key may sign".to_owned());
    }
    if rule.consent.waive {
        wants.push("consent may be waived".to_owned());
    }
    if !rule.consent.spoken {
        wants.push("a yes at the machine itself".to_owned());
    }
    if wants.is_empty() { "nothing more".to_owned() } else { wants.join(", ") }
}

fn rule(rule: &Rule) -> [String; 6] {
    let who = [joined(&rule.roles, ", "), joined(&rule.agents, ", ")];
    let who: Vec<&str> = who.iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
    let modes: Vec<&str> = rule.modes.iter().map(|mode| mode.word()).collect();
    let any = |all: String, word: &str| if all.is_empty() { word.to_owned() } else { all };
    [
        rule.id.clone(),
        who.join(", "),
        format!("{} {}", joined(&rule.risk, ", "), modes.join(", ")),
        any(rule.scripts.join(", "), "all"),
        any(joined(&rule.groups, ", "), "all"),
        wants(rule),
    ]
}

/// The policy in force.
#[must_use]
pub fn page(policy: &Policy, version: u64, ends: Option<Time>, now: Time) -> String {
    let file = policy.file();
    let mut out = format!("Policy of {}, version {version}", safe(&file.organisation));
    if let Some(end) = ends {
        out.push_str(&format!(", until {end}"));
    }
    out.push_str("\n\n");
    let mut people = Table::new(["PERSON", "ROLES", "SIGNS", "UNTIL"]);
    for person in &file.people {
        let keys = [
            (person.signing_key.is_some(), "orders"),
            (person.vetter_key.is_some(), "scripts"),
            (person.admin_key.is_some(), "policy"),
        ];
        let signs: Vec<&str> = keys.iter().filter(|(has, _)| *has).map(|(_, w)| *w).collect();
        let signs = match policy.is_withdrawn(person, now) {
            true => "withdrawn".to_owned(),
            false => signs.join(", "),
        };
        let until = person.valid_until.map(|until| until.to_string()).unwrap_or_default();
        let roles = match person.only_ticket {
            true => format!("{}; only tickets", joined(&person.roles, ", ")),
            false => joined(&person.roles, ", "),
        };
        people.row([person.name.as_str(), &roles, &signs, &until]);
    }
    out.push_str(&people.render());
    out.push_str("\nRules; the first that fits decides, and where none does the answer is no.\n");
    let mut rules = Table::new(["RULE", "WHO", "WHAT", "SCRIPTS", "GROUPS", "WANTS"]);
    for one in &file.rules {
        let cells = rule(one);
        rules.row(cells.each_ref().map(String::as_str));
    }
    out.push_str(&rules.render());
    for glass in &file.break_glass {
        let stands = match policy.glass_key(&glass.name, now) {
            Some(_) => String::new(),
            None => ", counts no more".to_owned(),
        };
        let until = glass.valid_until.map(|until| format!(", until {until}")).unwrap_or_default();
        out.push_str(&format!("break-glass key {}: {}{until}{stands}\n", glass.name, glass.key));
    }
    for (name, labels) in &file.groups {
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        out.push_str(&format!("group {name}: {}\n", labels.join(" ")));
    }
    for weak in policy.weaknesses() {
        out.push_str(&format!("weak: {weak}\n"));
    }
    out.trim_end().to_owned()
}

/// A draft as it is shown before it is signed.
#[derive(Debug, Serialize)]
pub struct DraftPage {
    changes: Vec<Change>,
    trusted_again: Vec<String>,
    warnings: Vec<String>,
    weak: Vec<String>,
}

impl DraftPage {
    /// Of a draft.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        Self {
            changes: draft.changes.clone(),
            trusted_again: draft.trusted_again.clone(),
            warnings: draft.warnings.clone(),
            weak: draft.weak.clone(),
        }
    }
}

/// What a draft changes, and what is strange about it.
#[must_use]
pub fn draft(page: &DraftPage) -> String {
    let mut lines = Vec::new();
    if page.changes.is_empty() {
        lines.push("It changes nothing.".to_owned());
    }
    for change in &page.changes {
        lines.push(match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                format!("  ~ {}: {} -> {}", safe(&change.at), safe(before), safe(after))
            }
            (None, Some(after)) => format!("  + {}: {}", safe(&change.at), safe(after)),
            (Some(before), None) => format!("  - {}: {}", safe(&change.at), safe(before)),
            (None, None) => format!("  ~ {}", safe(&change.at)),
        });
    }
    for what in &page.trusted_again {
        lines.push(format!("  ! counts again: {}", safe(what)));
    }
    for warning in &page.warnings {
        lines.push(format!("  ? {}", safe(warning)));
    }
    lines.extend(page.weak.iter().map(|weak| format!("  weak: {weak}")));
    lines.join("\n")
}

/// What the policy decides and why.
#[must_use]
pub fn explained(page: &Explained) -> String {
    let mut lines = vec![page.order.clone()];
    let mut decided = false;
    let wide = page.rules.iter().map(|(id, _)| id.chars().count()).max().unwrap_or_default();
    for (id, misfit) in &page.rules {
        let says = match misfit {
            Some(misfit) => *misfit,
            None if decided => "fits too, and is not asked",
            None => "decides",
        };
        decided |= misfit.is_none();
        lines.push(format!("  {id:wide$}  {says}"));
    }
    match &page.refusal {
        None => lines.push(format!("ALLOWED  {}", page.reasons.join("; "))),
        Some((code, sentence, next)) => {
            lines.push(format!("REFUSED  {} ({code})", safe(sentence)));
            lines.push(format!("  Next   {}", safe(next)));
        }
    }
    lines.join("\n")
}

/// How cases went.
#[must_use]
pub fn cases(results: &[CaseResult]) -> String {
    let line = |result: &CaseResult| {
        let word = if result.good { "good " } else { "WRONG" };
        let by = result.rule.as_ref().map(|rule| format!(" by rule {rule}")).unwrap_or_default();
        let decided = format!("{}{by}", result.decided);
        match result.good {
            true => format!("{word}  {}: {decided}", safe(&result.name)),
            false => format!(
                "{word}  {}: {decided}, expected {}",
                safe(&result.name),
                safe(&result.expected)
            ),
        }
    };
    let good = results.iter().filter(|result| result.good).count();
    let mut lines: Vec<String> = results.iter().map(line).collect();
    lines.push(format!("{good} of {} as expected.", results.len()));
    lines.join("\n")
}
