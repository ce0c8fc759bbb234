//! What a well-formed policy file may still get wrong: two owners of a key, names of nothing.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{PublicKey, limits};
use trust::is_weak;

use crate::file::{Person, PolicyFile};
use crate::policy::Policy;
use crate::read::Reader;

pub(crate) fn check(file: PolicyFile, reader: &mut Reader) -> Option<Policy> {
    organisation(&file, reader);
    people(&file, reader);
    keys(&file, reader);
    lists(&file, reader);
    rules(&file, reader);
    Some(Policy::new(file))
}

fn organisation(file: &PolicyFile, reader: &mut Reader) {
    let name = &file.organisation;
    let plain = |c: char| !c.is_control() && c != '/';
    if name.trim().is_empty() || name.chars().count() > 64 || !name.chars().all(plain) {
        let why = "expected a name of 1 to 64 characters without `/`".to_owned();
        reader.later("organisation", why, "write it as on a letter head");
    }
    let (orders, seconds) = (file.limits.orders_a_minute, file.limits.order_seconds);
    if orders == 0 || orders > 10_000 {
        let why = "expected 1 to 10000".to_owned();
        reader.later("limits.orders_a_minute", why, "write 60 if in doubt");
    }
    if seconds == 0 || seconds > limits::ORDER_SECONDS_MAX {
        let why = format!("expected 1 to {}", limits::ORDER_SECONDS_MAX);
        reader.later("limits.order_seconds", why, "write 3600 if in doubt");
    }
    if file.cas.people.is_empty() {
        reader.later("cas.people", "no CA: nobody could connect".to_owned(), "add its certificate");
    }
}

fn people(file: &PolicyFile, reader: &mut Reader) {
    let mut names = BTreeSet::new();
    for (index, person) in file.people.iter().enumerate() {
        if !names.insert(&person.name) {
            let why = format!("`{}` is listed twice", person.name);
            reader.later(&format!("people[{index}].name"), why, "a name means one person");
        }
        keys_of(index, person, reader);
    }
    if file.people.is_empty() {
        let why = "nobody is listed: nothing could be ordered".to_owned();
        reader.later("people", why, "add at least one [[people]] entry");
    }
}

/// Whoever has not joined yet has no agent's keys, but then a key in the catalogue's roles.
fn keys_of(index: usize, person: &Person, reader: &mut Reader) {
    if person.signing_key.is_some() {
        return;
    }
    if person.vetter_key.is_none() && person.admin_key.is_none() {
        let at = format!("people[{index}].signing_key");
        reader.later(&at, "it is missing".to_owned(), "add it, or remove the whole entry");
    }
    if person.sealing_key.is_some() {
        let at = format!("people[{index}].sealing_key");
        let why = "secrets could be sealed to somebody who can order nothing".to_owned();
        reader.later(&at, why, "remove it until the person has joined");
    }
}

/// INVARIANT (one-key-one-owner): a key says one thing about one person or one desk duty.
fn keys(file: &PolicyFile, reader: &mut Reader) {
    let mut owners: BTreeMap<PublicKey, String> = BTreeMap::new();
    let mut own = |key: &PublicKey, path: String, reader: &mut Reader| {
        if is_weak(key) {
            reader.later(&path, "a weak key: anybody could sign".to_owned(), "make a new key");
        }
        if let Some(first) = owners.get(key) {
            let why = format!("this key is already {first}");
            reader.later(&path, why, "one key has one owner and one use");
        } else {
            owners.insert(*key, path);
        }
    };
    for (index, person) in file.people.iter().enumerate() {
        let at = |field: &str| format!("people[{index}].{field}");
        if let Some(key) = &person.signing_key {
            own(key, at("signing_key"), reader);
        }
        if let Some(key) = &person.vetter_key {
            own(key, at("vetter_key"), reader);
        }
        if let Some(key) = &person.admin_key {
            own(key, at("admin_key"), reader);
        }
    }
    for (index, enroller) in file.enrollers.iter().enumerate() {
        own(&enroller.key, format!("enrollers[{index}].key"), reader);
    }
    for (index, key) in file.ticket_keys.iter().enumerate() {
        own(key, format!("ticket_keys[{index}]"), reader);
    }
    // So the two keys that break glass are never one, and never two of one person.
    let mut names = BTreeSet::new();
    for (index, glass) in file.break_glass.iter().enumerate() {
        own(&glass.key, format!("break_glass[{index}].key"), reader);
        if !names.insert(&glass.name) {
            let why = format!("`{}` is listed twice", glass.name);
            reader.later(&format!("break_glass[{index}].name"), why, "a name means one key");
        }
    }
}

fn lists(file: &PolicyFile, reader: &mut Reader) {
    for (name, values) in &file.sites {
        let plain =
            |v: &String| !v.is_empty() && v.len() <= 256 && !v.chars().any(char::is_control);
        if values.is_empty() || !values.iter().all(plain) {
            let why = "expected values of 1 to 256 characters".to_owned();
            reader.later(&format!("sites.{name}"), why, "remove the list if nothing belongs on it");
        }
    }
    for (index, serial) in file.denied.serials.iter().enumerate() {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if serial.is_empty() || !serial.bytes().all(hex) || serial.starts_with("00") {
            let why = "expected lower-case hex without leading zeros".to_owned();
            reader.later(&format!("denied.serials[{index}]"), why, "copy it from the certificate");
        }
    }
    for (index, name) in file.personal.iter().enumerate() {
        if !surface::find(name).is_some_and(|row| row.personal) {
            let why = format!("`{name}` is no permission that tells of people");
            reader.later(&format!("personal[{index}]"), why, "remove it");
        }
    }
    for name in file.least_risk.keys() {
        if surface::find(name).is_none() {
            let why = format!("there is no permission `{name}`");
            reader.later(&format!("least_risk.{name}"), why, "see the reference of host functions");
        }
    }
}

fn rules(file: &PolicyFile, reader: &mut Reader) {
    let mut ids = BTreeSet::new();
    let people: BTreeSet<_> = file.people.iter().map(|p| &p.name).collect();
    for (index, rule) in file.rules.iter().enumerate() {
        let mut bad = |field: &str, why: String, cure: &str| {
            reader.later(&format!("rules[{index}].{field}"), why, cure);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
        if rule.id.is_empty() || rule.id.len() > 64 || !rule.id.chars().all(plain) {
            bad("id", "expected 1 to 64 letters, digits, blanks and . _ -".into(), "rename it");
        }
        if !ids.insert(&rule.id) {
            bad("id", format!("`{}` names two rules", rule.id), "give each rule its own id");
        }
        if rule.agents.is_empty() && rule.roles.is_empty() {
            bad("roles", "the rule names nobody".into(), "add roles or agents");
        }
        if rule.risk.is_empty() || rule.modes.is_empty() {
            bad("risk", "the rule fits nothing".into(), "name at least one risk and one mode");
        }
        for agent in rule.agents.iter().filter(|a| !people.contains(a)) {
            bad("agents", format!("`{agent}` is not in people"), "list the person first");
        }
        for group in rule.groups.iter().filter(|g| !file.groups.contains_key(*g)) {
            bad("groups", format!("there is no group `{group}`"), "define it under [groups]");
        }
        for pattern in rule.scripts.iter().filter(|p| !is_pattern(p)) {
            let why = format!("`{pattern}` is neither a script nor an area like `cache.*`");
            bad("scripts", why, "write `cache.clear`, `cache.*` or leave it out");
        }
        for (name, bound) in &rule.parameters {
            let twisted = bound.min.zip(bound.max).is_some_and(|(min, max)| min > max);
            if twisted || bound.words().is_empty() {
                let field = format!("parameters.{name}");
                bad(&field, "it lets nothing or everything through".into(), "add min, max or only");
            }
        }
        if rule.break_glass && rule.approvals == 0 {
            let why = "the rule asks for no approvals".into();
            bad("break_glass", why, "remove it, or add approvals");
        }
        if rule.session_key && rule.own_key {
            let why = "beside own_key it says nothing".to_owned();
            bad("session_key", why, "leave one of the two out");
        }
        for (wants, field) in [
            (rule.attestation_required, "attestation_required"),
            (rule.identity_checked, "identity_checked"),
        ] {
            if wants && !rule.ticket_required {
                bad(field, "without a ticket".into(), "add ticket_required = true");
            }
        }
    }
}

fn is_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(area) => area.parse::<protocol::Label>().is_ok(),
        None => pattern.parse::<protocol::ScriptName>().is_ok(),
    }
}
