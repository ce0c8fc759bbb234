//! A policy that has no faults, and what one may ask of it. Never changes.

use std::collections::BTreeMap;

use protocol::{AgentName, Digest, Label, PublicKey, Risk, ScriptName, Time};

use crate::file::{Enroller, GlassKey, Person, PolicyFile, Rule};

/// A policy without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    file: PolicyFile,
}

impl Policy {
    pub(crate) const fn new(file: PolicyFile) -> Self {
        Self { file }
    }
    /// The file, to change a copy of it.
    #[must_use]
    pub const fn file(&self) -> &PolicyFile {
        &self.file
    }
    /// The organisation's name.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.file.organisation
    }
    /// A person by name.
    #[must_use]
    pub fn person(&self, name: &AgentName) -> Option<&Person> {
        self.file.people.iter().find(|person| person.name == *name)
    }
    /// Whose key this is: the signing, vetter or admin key.
    #[must_use]
    pub fn person_of(&self, key: &PublicKey) -> Option<&Person> {
        self.file.people.iter().find(|person| {
            person.signing_key == Some(*key)
                || person.vetter_key == Some(*key)
                || person.admin_key == Some(*key)
        })
    }
    /// Whether nothing that this person signs with the signing key counts any more.
    #[must_use]
    pub fn is_withdrawn(&self, person: &Person, now: Time) -> bool {
        person.signing_key.is_some_and(|key| self.is_denied_key(&key))
            || self.file.denied.people.contains(&person.name)
            || person.valid_until.is_some_and(|until| now > until)
    }
    /// Whether this person may recall an order of that agent: its agent, a lead or an administrator.
    #[must_use]
    pub fn may_recall(&self, by: &AgentName, agent: &AgentName, now: Time) -> bool {
        let Some(person) = self.person(by) else { return false };
        let others = || person.roles.iter().any(|r| matches!(r.as_str(), "lead" | "administrator"));
        !self.is_withdrawn(person, now) && (by == agent || others())
    }
    /// Whether a signature by this key counts towards a role of the catalogue at this time: it is not
    /// denied, nor was its owner withdrawn. A key of nobody is nobody's to withdraw.
    #[must_use]
    pub fn counts(&self, key: &PublicKey, now: Time) -> bool {
        let gone = |person: &Person| self.is_withdrawn(person, now);
        !self.is_denied_key(key) && !self.person_of(key).is_some_and(gone)
    }
    /// Whether a key is denied, whoever holds it.
    #[must_use]
    pub fn is_denied_key(&self, key: &PublicKey) -> bool {
        self.file.denied.keys.contains(key)
    }
    /// Whether a script's source is denied.
    #[must_use]
    pub fn is_denied_script(&self, source: &Digest) -> bool {
        self.file.denied.scripts.contains(source)
    }
    /// Whether an endpoint card is revoked.
    #[must_use]
    pub fn is_denied_card(&self, serial: u64) -> bool {
        self.file.denied.cards.contains(&serial)
    }
    /// Denied certificate serials, big endian without leading zeros.
    #[must_use]
    pub fn denied_serials(&self) -> Vec<Vec<u8>> {
        self.file.denied.serials.iter().map(|text| from_hex(text)).collect()
    }
    /// Values of a site list.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&[String]> {
        // `site.units` in a manifest and `units` under `[sites]` are the same list.
        let name = name.strip_prefix("site.").unwrap_or(name);
        self.file.sites.get(name).map(Vec::as_slice)
    }
    /// An enroller by its key, unless that key is denied.
    #[must_use]
    pub fn enroller(&self, key: &PublicKey) -> Option<&Enroller> {
        let known = self.file.enrollers.iter().find(|enroller| enroller.key == *key);
        known.filter(|_| !self.is_denied_key(key))
    }
    /// A break-glass key by its name, unless it is denied or its time is over.
    #[must_use]
    pub fn glass_key(&self, name: &Label, now: Time) -> Option<&GlassKey> {
        let known = self.file.break_glass.iter().find(|known| known.name == *name);
        let over = |known: &GlassKey| known.valid_until.is_some_and(|until| now > until);
        known.filter(|known| !self.is_denied_key(&known.key) && !over(known))
    }
    /// Ticket keys that are not denied.
    #[must_use]
    pub fn ticket_keys(&self) -> Vec<PublicKey> {
        self.file.ticket_keys.iter().copied().filter(|key| !self.is_denied_key(key)).collect()
    }
    /// Groups that an endpoint with these labels is in.
    #[must_use]
    pub fn groups_of(&self, labels: &BTreeMap<Label, Label>) -> Vec<&Label> {
        let fits = |wanted: &BTreeMap<Label, Label>| {
            wanted.iter().all(|(label, value)| labels.get(label) == Some(value))
        };
        self.file.groups.iter().filter(|(_, wanted)| fits(wanted)).map(|(name, _)| name).collect()
    }
    /// Whether scripts may use a permission as far as it tells of people.
    #[must_use]
    pub fn allows_personal(&self, permission: &str) -> bool {
        let personal = surface::find(permission).is_some_and(|row| row.personal);
        !personal || self.file.personal.iter().any(|listed| listed == permission)
    }
    /// The least risk of a permission: the product's, or what this policy raised it to.
    #[must_use]
    pub fn least_risk(&self, permission: &str) -> Risk {
        let built_in = surface::find(permission).map_or(Risk::High, |row| row.least_risk);
        self.file.least_risk.get(permission).copied().map_or(built_in, |own| own.max(built_in))
    }
    /// What is weak by this policy, for every record: nothing is hidden that nobody asked for.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<String> {
        let mut out = Vec::new();
        for risk in [Risk::Medium, Risk::High] {
            let changes = |rule: &&Rule| {
                !rule.deny && rule.risk.contains(&risk) && rule.modes.iter().any(|m| m.mutates())
            };
            if self.file.rules.iter().filter(changes).any(|rule| rule.approvals == 0) {
                out.push(format!("fixes of {risk} risk need no approval by another person"));
            }
        }
        for rule in self.file.rules.iter().filter(|rule| rule.break_glass && !rule.deny) {
            out.push(format!(
                "a break-glass key can stand in for the approvals of rule {}",
                rule.id
            ));
        }
        let unattested = |rule: &Rule| {
            !rule.deny && !rule.attestation_required && rule.modes.iter().any(|m| m.mutates())
        };
        if self.file.rules.iter().any(unattested) {
            out.push("tickets are named by the agent, not attested by the desk".to_owned());
        }
        out
    }
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.file.rules
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
    let padded = if digits.len() % 2 == 1 { [vec![0], digits].concat() } else { digits };
    padded.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

/// Whether a rule's script list takes this script.
#[must_use]
pub fn script_fits(patterns: &[String], script: &ScriptName) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match pattern.strip_suffix(".*") {
            Some(area) => script.area() == area,
            None => script.as_str() == pattern,
        })
}
