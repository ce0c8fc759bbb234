//! Whom a verifier believes: enrollers, agents and endpoints by their public keys.
//!
//! Comes from the organisation's own policy, or from a `keys.json` that somebody hands over; one
//! that lies beside the papers it should prove is worth nothing by itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use policy::{Policy, PolicyFile};
use protocol::documents::CatalogueVersions;
use protocol::{AgentName, Digest, PublicKey, ScriptName, Time};
use serde::{Deserialize, Serialize};
use trust::catalogue::{Catalogue, CatalogueError, Files, Listed, ScriptEntry, Then};

use crate::met::Met;

/// An agent's key as the verifier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// Verifies the agent's orders.
    pub key: PublicKey,
    /// Whether the key counts no more.
    pub withdrawn: bool,
    /// Until when it counts, where that is said.
    pub until: Option<Time>,
}

impl KnownAgent {
    /// Whether the key counted at a time.
    #[must_use]
    pub fn counted(&self, at: Time) -> bool {
        !self.withdrawn && self.until.is_none_or(|until| at <= until)
    }
}

/// An enroller's key as the verifier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnroller {
    /// Verifies cards.
    pub key: PublicKey,
    /// Whether the key counts no more.
    pub withdrawn: bool,
}

/// Listed script versions and the digest of each one's source.
type Scripts = BTreeMap<(ScriptName, u32), Digest>;

/// Whom a verifier believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors {
    /// Where they come from, as in "the policy of Demo Ltd, version 3".
    pub source: String,
    /// Who may sign cards.
    pub enrollers: Vec<KnownEnroller>,
    /// Who may sign orders.
    pub agents: BTreeMap<AgentName, KnownAgent>,
    /// Cards revoked by serial.
    pub denied_cards: Vec<u64>,
    /// Denied keys: those of sessions are known by nothing else.
    pub denied_keys: Vec<PublicKey>,
    /// The catalogue that they come from, if known: what was published when they were written down.
    pub versions: Option<CatalogueVersions>,
    /// What the catalogue lists and nobody denied; none where only keys are known.
    pub scripts: Option<Scripts>,
    /// The catalogue's files, older generations among them; empty where only keys are known.
    pub past: Files,
    /// The root that the chain of roots in `past` is followed from.
    pub root: Vec<u8>,
    /// Machines as this console met them; empty where it knows none of them.
    pub machines: Vec<Met>,
}

/// By whose lists a record is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The generation that the record names is the newest.
    Same,
    /// An older one, by its own lists.
    Then,
    /// An older one that is not kept here: by those of today.
    Today,
}

/// Why files that were handed over say nobody to believe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnchors {
    /// Roots, timestamp or snapshot.
    #[error("it does not verify by the root that was given")]
    Catalogue(#[from] CatalogueError),
    /// A list.
    #[error("a list of its newest generation is not here or does not verify")]
    Lists,
    /// The policy.
    #[error("its newest policy has faults")]
    Policy,
}

fn digests(listed: &BTreeMap<(ScriptName, u32), Listed>) -> Scripts {
    listed.iter().map(|(key, entry)| (key.clone(), entry.digest)).collect()
}

/// Whether two generations list the same policy and scripts: the rest is freshness.
fn same_lists(one: &CatalogueVersions, other: &CatalogueVersions) -> bool {
    let lists = |v: &CatalogueVersions| (v.policy, v.risk_low, v.risk_medium, v.risk_high);
    lists(one) == lists(other)
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied_keys: Vec<PublicKey>,
    catalogue: Option<CatalogueVersions>,
}

impl Anchors {
    /// From a policy that was read from a verified catalogue.
    #[must_use]
    pub fn of_policy(policy: &Policy, catalogue: &Catalogue) -> Self {
        let listed = |entry: &ScriptEntry| {
            let name = entry.manifest.name.clone();
            ((name, entry.manifest.version), entry.digest)
        };
        Self::of(policy, catalogue.versions(), catalogue.scripts().map(listed).collect())
    }

    /// As [`Anchors::of_policy`], for judging this record: the older generations come along where it
    /// was decided by one of them.
    #[must_use]
    pub fn judging(policy: &Policy, catalogue: &Catalogue, files: &Files, record: &[u8]) -> Self {
        let anchors = Self::of_policy(policy, catalogue);
        let used = crate::peek_record(record).map(|(record, _)| record.predicate.catalogue);
        match used.map(|used| anchors.at(&used).0) {
            Some(Judged::Today) => anchors.with_past(files.clone()),
            _ => anchors,
        }
    }

    fn of(policy: &Policy, versions: CatalogueVersions, mut scripts: Scripts) -> Self {
        let agents = policy.file().people.iter().filter_map(|person| {
            // Its time is judged apart: at the time of the run.
            let withdrawn = policy.is_withdrawn(person, Time(0));
            let (key, until) = (person.signing_key?, person.valid_until);
            Some((person.name.clone(), KnownAgent { key, withdrawn, until }))
        });
        let enrollers = policy
            .file()
            .enrollers
            .iter()
            .map(|e| KnownEnroller { key: e.key, withdrawn: policy.is_denied_key(&e.key) });
        scripts.retain(|_, digest| !policy.is_denied_script(digest));
        Self {
            source: format!("the policy of {}, version {}", policy.organisation(), versions.policy),
            enrollers: enrollers.collect(),
            agents: agents.collect(),
            denied_cards: policy.file().denied.cards.clone(),
            denied_keys: policy.file().denied.keys.clone(),
            versions: Some(versions),
            scripts: Some(scripts),
            past: Files::new(),
            root: Vec::new(),
            machines: Vec::new(),
        }
    }

    /// With the catalogue's files, so that records of older generations are judged by those. They are
    /// this home's own: their first root is the one that it trusts.
    #[must_use]
    pub fn with_past(self, past: Files) -> Self {
        let root = past.get("1.root.json").unwrap_or_default().to_vec();
        Self { past, root, ..self }
    }

    /// From files that somebody handed over, by the root that the verifier has from elsewhere: by what
    /// is the newest in them; gives their policy and when the online key issued them.
    pub(crate) fn handed(files: Files, root: &[u8]) -> Result<(Self, Policy, Time), NoAnchors> {
        let newest = Catalogue::newest(&files, root)?;
        let then = Catalogue::then(&files, root, &newest.versions).ok_or(NoAnchors::Lists)?;
        let policy = PolicyFile::read(&then.policy).map_err(|_| NoAnchors::Policy)?;
        let anchors = Self::of(&policy, newest.versions, digests(&then.scripts));
        let root = root.to_vec();
        Ok((Self { past: files, root, ..anchors }, policy, newest.issued))
    }

    /// With machines as this console met them, so that no card made later speaks for them.
    #[must_use]
    pub fn knowing(self, machines: Vec<Met>) -> Self {
        Self { machines, ..self }
    }

    /// Whom to believe of a record that was decided by the generation `used`.
    #[must_use]
    pub fn at(&self, used: &CatalogueVersions) -> (Judged, Cow<'_, Self>) {
        if self.scripts.is_some() && self.versions.is_some_and(|ours| same_lists(&ours, used)) {
            return (Judged::Same, Cow::Borrowed(self));
        }
        match self.generation(used) {
            Some((policy, then)) => {
                (Judged::Then, Cow::Owned(Self::of(&policy, *used, digests(&then.scripts))))
            }
            None => (Judged::Today, Cow::Borrowed(self)),
        }
    }

    /// The policy and lists of one generation, where its files are here and verify.
    pub(crate) fn generation(&self, used: &CatalogueVersions) -> Option<(Policy, Then)> {
        let then = Catalogue::then(&self.past, &self.root, used)?;
        Some((PolicyFile::read(&then.policy).ok()?, then))
    }

    /// To hand over with a record of the generation `used`: the keys of then, and which of them
    /// count no more.
    #[must_use]
    pub fn for_record(&self, used: &CatalogueVersions) -> Self {
        let (_, then) = self.at(used);
        let mut all = then.into_owned();
        for (name, agent) in &mut all.agents {
            let same = self.agents.get(name).filter(|today| today.key == agent.key);
            agent.withdrawn |= same.is_none_or(|today| today.withdrawn);
            agent.until = same.map_or(agent.until, |today| today.until);
        }
        all.denied_cards.clone_from(&self.denied_cards);
        all.denied_keys.clone_from(&self.denied_keys);
        all.source.clone_from(&self.source);
        all.versions = self.versions;
        all
    }

    /// `keys.json`: the keys in the form that Python's securesystemslib takes, as they stand `now`.
    #[must_use]
    pub fn to_json(&self, now: Time) -> Vec<u8> {
        let file = KeysFile {
            source: self.source.clone(),
            enrollers: self.enrollers.iter().map(|e| Key::of(&e.key)).collect(),
            agents: self.agents.iter().map(|(n, a)| (n.clone(), Key::of(&a.key))).collect(),
            withdrawn: self
                .agents
                .iter()
                .filter(|(_, agent)| !agent.counted(now))
                .map(|(name, _)| name.clone())
                .collect(),
            denied_cards: self.denied_cards.clone(),
            denied_keys: self.denied_keys.clone(),
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
            (name, KnownAgent { key: key.keyval.public, withdrawn, until: None })
        });
        Ok(Self {
            source: from.to_owned(),
            agents: agents.collect(),
            enrollers: file
                .enrollers
                .into_iter()
                .map(|key| KnownEnroller { key: key.keyval.public, withdrawn: false })
                .collect(),
            denied_cards: file.denied_cards,
            denied_keys: file.denied_keys,
            versions: file.catalogue,
            scripts: None,
            past: Files::new(),
            root: Vec::new(),
            machines: Vec::new(),
        })
    }
}
