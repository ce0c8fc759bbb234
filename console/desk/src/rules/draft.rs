//! A policy that somebody wrote: read, held against the one in force, signed and published.

use std::collections::BTreeSet;

use policy::{Policy, PolicyFile, Rule};
use protocol::{AgentName, Label, Time};
use trust::SigningKey;

use super::changes::{Change, changes};
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::Home;
use crate::org::Desk;

/// Begins the first line of a file that [`editable`] made: which version it was made from.
const MADE_FROM: &str = "# made from policy version ";

/// A policy that may be signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its text, byte for byte.
    pub text: String,
    /// What it means.
    pub policy: Policy,
    /// What it changes.
    pub changes: Vec<Change>,
    /// Taken back by it: withdrawn people, keys, cards, scripts or serials that would count again.
    pub trusted_again: Vec<String>,
    /// What is allowed and still looks like a mistake.
    pub warnings: Vec<String>,
    /// What is weak by it, as every record says.
    pub weak: Vec<String>,
}

/// Why a draft is not signed.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The catalogue, or faults in the draft.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// It has no TOML form.
    #[error(transparent)]
    Write(#[from] toml::ser::Error),
    /// Another policy came into force after it was made.
    #[error("the draft was made from policy version {from}, and version {current} is in force")]
    Behind {
        /// As its first line says.
        from: u64,
        /// The version in force.
        current: u64,
    },
    /// It would trust again what was withdrawn.
    #[error("the draft takes back what was withdrawn: {}", what.join(", "))]
    TrustsAgain {
        /// What.
        what: Vec<String>,
    },
    /// It changes nothing.
    #[error("the draft changes nothing")]
    Unchanged,
    /// Whoever signs would lock everybody out.
    #[error("after it nobody could sign orders")]
    Nobody,
}

/// The policy in force, to edit: its first line says from which version it was made.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn editable(home: &Home, now: Time) -> Result<String, CatalogueTrouble> {
    let open = catalogue::open(home, now)?;
    Ok(format!("{MADE_FROM}{}\n{}", open.versions().policy, open.policy_text()))
}

/// From which version a draft was made, where it says so.
fn made_from(text: &str) -> Option<u64> {
    text.lines().next()?.strip_prefix(MADE_FROM)?.trim().parse().ok()
}

/// Reads a draft and holds it against the policy in force.
///
/// # Errors
/// [`DraftError::Catalogue`] with every fault of the draft, [`DraftError::Behind`].
pub fn draft(home: &Home, text: &str, now: Time) -> Result<Draft, DraftError> {
    let policy = PolicyFile::read(text).map_err(CatalogueTrouble::Policy)?;
    let open = catalogue::open(home, now)?;
    let before = catalogue::policy_of(&open)?;
    let current = open.versions().policy;
    if let Some(from) = made_from(text).filter(|from| *from != current) {
        return Err(DraftError::Behind { from, current });
    }
    let scripts: Vec<_> = open.scripts().map(|entry| entry.manifest.name.clone()).collect();
    Ok(Draft {
        changes: changes(before.file(), policy.file())?,
        trusted_again: trusted_again(before.file(), policy.file()),
        warnings: warnings(&policy, &scripts, now),
        weak: policy.weaknesses(),
        text: text.to_owned(),
        policy,
    })
}

/// Signs a draft with these administrators' keys and publishes it.
///
/// # Errors
/// [`DraftError`]; nothing has changed then.
pub fn publish(
    desk: &Desk,
    draft: &Draft,
    trust_again: bool,
    admins: &[SigningKey],
    now: Time,
) -> Result<(), DraftError> {
    if draft.changes.is_empty() {
        return Err(DraftError::Unchanged);
    }
    if !draft.trusted_again.is_empty() && !trust_again {
        return Err(DraftError::TrustsAgain { what: draft.trusted_again.clone() });
    }
    let policy = &draft.policy;
    let signs = |person: &&policy::Person| {
        person.signing_key.is_some() && !policy.is_withdrawn(person, now)
    };
    if policy.file().people.iter().filter(signs).count() == 0 {
        return Err(DraftError::Nobody);
    }
    let from = made_from(&draft.text);
    catalogue::change(desk, now, |home| {
        // A colleague's may have come in between.
        let current = catalogue::open(home, now)?.versions().policy;
        if let Some(from) = from.filter(|from| *from != current) {
            return Ok(Err(DraftError::Behind { from, current }));
        }
        catalogue::publish_policy(home, &draft.text, admins, now).map(Ok)
    })?
}

/// What was denied and would be no more.
fn trusted_again(before: &PolicyFile, after: &PolicyFile) -> Vec<String> {
    fn gone<T: PartialEq + std::fmt::Display>(what: &str, old: &[T], new: &[T]) -> Vec<String> {
        old.iter().filter(|one| !new.contains(one)).map(|one| format!("{what} {one}")).collect()
    }
    let (old, new) = (&before.denied, &after.denied);
    [
        gone("person", &old.people, &new.people),
        gone("key", &old.keys, &new.keys),
        gone("card", &old.cards, &new.cards),
        gone("script", &old.scripts, &new.scripts),
        gone("certificate", &old.serials, &new.serials),
    ]
    .concat()
}

/// What is allowed and looks like a mistake.
fn warnings(policy: &Policy, scripts: &[protocol::ScriptName], now: Time) -> Vec<String> {
    let file = policy.file();
    let mut out = Vec::new();
    let people: Vec<_> =
        file.people.iter().filter(|person| !policy.is_withdrawn(person, now)).collect();
    let roles: BTreeSet<&Label> = people.iter().flat_map(|person| &person.roles).collect();
    for (index, rule) in file.rules.iter().enumerate() {
        let id = &rule.id;
        for role in rule.roles.iter().filter(|role| !roles.contains(role)) {
            out.push(format!("rule {id}: nobody has the role {role}"));
        }
        if let Some(first) = file.rules.iter().take(index).find(|earlier| covers(earlier, rule)) {
            out.push(format!("rule {id} is never reached: {} fits first", first.id));
        }
        for pattern in &rule.scripts {
            let takes = |script| policy::script_fits(std::slice::from_ref(pattern), script);
            if !scripts.iter().any(takes) {
                out.push(format!("rule {id}: the catalogue lists no script {pattern}"));
            }
        }
        out.extend(too_few(rule, &people));
        let counts = |key: &policy::GlassKey| policy.glass_key(&key.name, now).is_some();
        if rule.break_glass && !file.break_glass.iter().any(counts) {
            out.push(format!("rule {id}: break_glass without a [[break_glass]] key that counts"));
        }
    }
    out
}

/// Whether whatever fits `rule` fits `earlier` too.
fn covers(earlier: &Rule, rule: &Rule) -> bool {
    fn within<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
        wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|one| wide.contains(one))
    }
    let all = |wide: &[AgentName], narrow: &[AgentName]| narrow.iter().all(|n| wide.contains(n));
    let who = all(&earlier.agents, &rule.agents)
        && rule.roles.iter().all(|role| earlier.roles.contains(role));
    who && rule.risk.iter().all(|risk| earlier.risk.contains(risk))
        && rule.modes.iter().all(|mode| earlier.modes.contains(mode))
        && within(&earlier.scripts, &rule.scripts)
        && within(&earlier.groups, &rule.groups)
}

/// A rule whose approvals some person could never get.
fn too_few(rule: &Rule, people: &[&policy::Person]) -> Option<String> {
    if rule.approvals == 0 {
        return None;
    }
    let approves = |person: &policy::Person| {
        person.signing_key.is_some() && person.roles.iter().any(|role| rule.may_approve(role))
    };
    let orders = |person: &policy::Person| {
        person.signing_key.is_some()
            && (rule.agents.contains(&person.name)
                || person.roles.iter().any(|role| rule.roles.contains(role)))
    };
    let stuck = people.iter().filter(|person| orders(person)).find(|person| {
        let others = people.iter().filter(|other| other.name != person.name && approves(other));
        others.count() < usize::try_from(rule.approvals).unwrap_or(usize::MAX)
    })?;
    Some(format!(
        "rule {}: {} can never get {} of other people",
        rule.id,
        stuck.name,
        match rule.approvals {
            1 => "the one approval".to_owned(),
            n => format!("{n} approvals"),
        }
    ))
}
