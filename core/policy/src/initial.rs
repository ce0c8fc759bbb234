//! The policy that `salve init` writes. One person alone has nobody to approve; every record says so.

use std::collections::BTreeMap;

use protocol::{Bytes, Label, Mode, PublicKey, Risk};

use crate::file::{
    Cas, ConsentRule, Denied, Enroller, Person, PolicyFile, PolicyLimits, Profile, Rule,
};

/// What a new organisation knows about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    /// Its name.
    pub organisation: String,
    /// How it is set up.
    pub profile: Profile,
    /// Its people; everybody gets the role `agent`.
    pub people: Vec<Person>,
    /// Signs endpoint cards.
    pub enroller_key: PublicKey,
    /// Signs ticket attestations.
    pub ticket_key: PublicKey,
    /// CA of agents and desks (DER).
    pub people_ca: Vec<u8>,
    /// CA of endpoints (DER).
    pub endpoints_ca: Vec<u8>,
    /// systemd units that agents may name to scripts.
    pub units: Vec<String>,
}

fn label(text: &str) -> Option<Label> {
    text.parse().ok()
}

fn rule(id: &str, risk: &[Risk], modes: &[Mode]) -> Rule {
    Rule {
        id: id.to_owned(),
        deny: false,
        agents: Vec::new(),
        roles: label("agent").into_iter().collect(),
        risk: risk.to_vec(),
        modes: modes.to_vec(),
        scripts: Vec::new(),
        groups: Vec::new(),
        hours: Vec::new(),
        parameters: std::collections::BTreeMap::new(),
        ticket_required: false,
        attestation_required: false,
        identity: false,
        identity_checked: false,
        consent: ConsentRule::default(),
        plan_bound: false,
        approvals: 0,
        approvers: Vec::new(),
        break_glass: false,
        own_key: false,
        session_key: false,
    }
}

impl PolicyFile {
    /// The first policy of an organisation.
    #[must_use]
    pub fn initial(new: Initial) -> Self {
        let regulated = new.profile == Profile::Regulated;
        let mut people = new.people;
        for person in &mut people {
            let agent = label("agent").filter(|agent| !person.roles.contains(agent));
            person.roles.extend(agent);
        }
        let fix = |id: &str, risk: Risk| Rule {
            ticket_required: true,
            plan_bound: regulated && risk > Risk::Low,
            own_key: regulated || risk == Risk::High,
            session_key: !regulated && risk < Risk::High,
            identity: risk == Risk::High,
            approvals: match (new.profile, risk) {
                (Profile::Small, Risk::High) | (Profile::Regulated, Risk::Medium) => 1,
                (Profile::Regulated, Risk::High) => 2,
                _ => 0,
            },
            ..rule(id, &[risk], &[Mode::Fix])
        };
        let any = |name: &str| label(name).map(|name| (name, vec!["*".to_owned()]));
        let sites = if new.units.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([("units".to_owned(), new.units)])
        };
        Self {
            organisation: new.organisation,
            profile: new.profile,
            limits: PolicyLimits::default(),
            ticket_keys: vec![new.ticket_key],
            cas: Cas {
                people: vec![Bytes(new.people_ca)],
                endpoints: vec![Bytes(new.endpoints_ca)],
            },
            denied: Denied::default(),
            groups: BTreeMap::new(),
            sites,
            least_risk: BTreeMap::new(),
            personal: Vec::new(),
            people,
            enrollers: vec![Enroller {
                key: new.enroller_key,
                labels: ["group", "owner", "site"].into_iter().filter_map(any).collect(),
            }],
            break_glass: Vec::new(),
            rules: vec![
                Rule { session_key: true, ..rule("look", &Risk::ALL, &[Mode::Check, Mode::Plan]) },
                fix("fix-low", Risk::Low),
                fix("fix-medium", Risk::Medium),
                fix("fix-high", Risk::High),
            ],
        }
    }
}
