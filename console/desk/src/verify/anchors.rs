//! Whom a verifier believes: enrollers, agents and endpoints by their public keys.
//!
//! Comes from the organisation's own policy, or from a `keys.json` that somebody hands over; one
//! that lies beside the papers it should prove is worth nothing by itself.

use std::collections::BTreeMap;

use policy::Policy;
use protocol::documents::CatalogueVersions;
use protocol::{AgentName, PublicKey, Time};
use serde::{Deserialize, Serialize};

/// An agent's key as the verifier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// Verifies the agent's orders.
    pub key: PublicKey,
    /// Whether the key counts no more today.
    pub withdrawn: bool,
}

/// Whom a verifier believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors {
    /// Where they come from, as in "the policy of Demo Ltd, version 3".
    pub source: String,
    /// Who may sign cards.
    pub enrollers: Vec<PublicKey>,
    /// Who may sign orders.
    pub agents: BTreeMap<AgentName, KnownAgent>,
    /// Cards revoked by serial.
    pub denied_cards: Vec<u64>,
    /// The newest catalogue that was published, if known.
    pub versions: Option<CatalogueVersions>,
}

/// A public key in the form of TUF and securesystemslib.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    keyid: String,
    keytype: String,
    scheme: String,
    keyval: KeyValue,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    public: PublicKey,
}

impl Key {
    fn of(key: &PublicKey) -> Self {
        Self {
            keyid: trust::key_id(key),
            keytype: "ed25519".to_owned(),
            scheme: "ed25519".to_owned(),
            keyval: KeyValue { public: *key },
        }
    }
}

/// `keys.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    source: String,
    enrollers: Vec<Key>,
    agents: BTreeMap<AgentName, Key>,
    withdrawn: Vec<AgentName>,
    denied_cards: Vec<u64>,
    catalogue: Option<CatalogueVersions>,
}

impl Anchors {
    /// From a policy that was read from a verified catalogue.
    #[must_use]
    pub fn of_policy(policy: &Policy, versions: CatalogueVersions, now: Time) -> Self {
        let agents = policy.file().people.iter().filter_map(|person| {
            let withdrawn = policy.is_withdrawn(person, now);
            Some((person.name.clone(), KnownAgent { key: person.signing_key?, withdrawn }))
        });
        Self {
            source: format!("the policy of {}, version {}", policy.organisation(), versions.policy),
            enrollers: policy.file().enrollers.iter().map(|e| e.key).collect(),
            agents: agents.collect(),
            denied_cards: policy.file().denied.cards.clone(),
            versions: Some(versions),
        }
    }

    /// `keys.json`: the keys in the form that Python's securesystemslib takes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let file = KeysFile {
            source: self.source.clone(),
            enrollers: self.enrollers.iter().map(Key::of).collect(),
            agents: self.agents.iter().map(|(n, a)| (n.clone(), Key::of(&a.key))).collect(),
            withdrawn: self
                .agents
                .iter()
                .filter(|(_, agent)| agent.withdrawn)
                .map(|(name, _)| name.clone())
                .collect(),
            denied_cards: self.denied_cards.clone(),
            catalogue: self.versions,
        };
        serde_json::to_vec_pretty(&file).unwrap_or_default()
    }

    /// Reads a `keys.json` that somebody handed over; `from` says who, for the report.
    ///
    /// # Errors
    /// Bytes that are not such a file.
    pub fn from_json(bytes: &[u8], from: &str) -> Result<Self, protocol::json::BadJson> {
        let file: KeysFile = protocol::json::read(bytes)?;
        let agents = file.agents.into_iter().map(|(name, key)| {
            let withdrawn = file.withdrawn.contains(&name);
            (name, KnownAgent { key: key.keyval.public, withdrawn })
        });
        Ok(Self {
            source: from.to_owned(),
            agents: agents.collect(),
            enrollers: file.enrollers.into_iter().map(|key| key.keyval.public).collect(),
            denied_cards: file.denied_cards,
            versions: file.catalogue,
        })
    }
}
