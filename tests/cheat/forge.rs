//! Catalogues as somebody makes them who holds the online keys and nobody else's.

use protocol::Digest;
use serde_json::{Value, json};
use trust::catalogue::Files;
use trust::{Signer as _, SigningKey};

/// A script that would read anything, if somebody let it.
const ROGUE: &str = "fn detect(p) { healthy(\"ours now\") }\n";

/// A catalogue that is being forged.
pub(crate) struct Forge<'a> {
    files: Files,
    key: &'a SigningKey,
    changed: Vec<(String, u64)>,
}

fn written(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("written")
}

fn signed(signed: &Value, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&written(signed)).expect("signed");
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let keyid = trust::key_id(&key.public_key());
    written(&json!({ "signatures": [{ "keyid": keyid, "sig": hex }], "signed": signed }))
}

impl<'a> Forge<'a> {
    pub(crate) const fn of(files: Files, key: &'a SigningKey) -> Self {
        Self { files, key, changed: Vec::new() }
    }

    /// The newest version of a role and what it says.
    fn newest(&self, role: &str) -> (u64, Value) {
        let number = |name: &str| name.strip_suffix(&format!(".{role}.json"))?.parse().ok();
        let newest = self.files.iter().filter_map(|(name, _)| number(name)).max();
        let version: u64 = newest.expect("the role is published");
        let bytes = self.files.get(&format!("{version}.{role}.json")).expect("there");
        let all: Value = serde_json::from_slice(bytes).expect("JSON");
        (version, all["signed"].clone())
    }

    /// A next version of a role under the online key.
    pub(crate) fn role(&mut self, role: &str, change: impl FnOnce(&mut Value)) {
        let (version, mut says) = self.newest(role);
        says["version"] = json!(version + 1);
        change(&mut says);
        self.files.insert(format!("{}.{role}.json", version + 1), signed(&says, self.key));
        self.changed.push((role.to_owned(), version + 1));
    }

    /// Another content for the version that everybody has.
    pub(crate) fn again(&mut self, role: &str, change: impl FnOnce(&mut Value)) {
        let (version, mut says) = self.newest(role);
        change(&mut says);
        self.files.insert(format!("{version}.{role}.json"), signed(&says, self.key));
        self.changed.push((role.to_owned(), version));
    }

    fn pin(&self, file: &str, version: u64) -> Value {
        let bytes = self.files.get(file).expect("there");
        let digest = Digest::of(bytes).to_string();
        json!({ "hashes": { "sha256": digest }, "length": bytes.len(), "version": version })
    }

    /// Snapshot and timestamp over it: what the online key is for.
    pub(crate) fn stamped(mut self) -> Files {
        let changed = std::mem::take(&mut self.changed);
        let pins: Vec<_> = changed
            .iter()
            .map(|(role, v)| (format!("{role}.json"), self.pin(&format!("{v}.{role}.json"), *v)))
            .collect();
        self.role("snapshot", |says| {
            for (name, pin) in pins {
                says["meta"][name] = pin;
            }
        });
        let (version, _) = self.newest("snapshot");
        let pin = self.pin(&format!("{version}.snapshot.json"), version);
        self.timestamp(|says| says["meta"]["snapshot.json"] = pin)
    }

    /// The next timestamp, and nothing else.
    pub(crate) fn timestamp(mut self, change: impl FnOnce(&mut Value)) -> Files {
        let bytes = self.files.get("timestamp.json").expect("there");
        let all: Value = serde_json::from_slice(bytes).expect("JSON");
        let mut says = all["signed"].clone();
        says["version"] = json!(says["version"].as_u64().expect("a number") + 1);
        change(&mut says);
        self.files.insert("timestamp.json", signed(&says, self.key));
        self.files
    }
}

/// What the online key alone can make of a catalogue, by what is tried.
pub(crate) fn forged(what: &str, files: Files, old: &Files, key: &SigningKey) -> Files {
    let mut forge = Forge::of(files.clone(), key);
    let pin = json!({ "hashes": { "sha256": Digest::of(ROGUE.as_bytes()).to_string() },
        "length": ROGUE.len() });
    match what {
        "script" => {
            let (_, low) = forge.newest("risk-low");
            let listed = low["targets"].as_object().expect("targets").values().next();
            let mut rogue = listed.expect("a script").clone();
            rogue["hashes"] = pin["hashes"].clone();
            rogue["length"] = pin["length"].clone();
            let digest = Digest::of(ROGUE.as_bytes());
            forge.files.insert(format!("scripts/low/{digest}.rogue.one-1.rhai"), ROGUE.into());
            forge.role("risk-low", |says| says["targets"]["scripts/low/rogue.one-1.rhai"] = rogue);
        }
        // Whoever it was taken from is still listed; more time is all that is asked for.
        "policy" => forge.role("policy", |says| says["expires"] = json!("2100-01-01T00:00:00Z")),
        "targets" => forge.role("targets", |says| says["expires"] = json!("2100-01-01T00:00:00Z")),
        "root" => {
            let id = trust::key_id(&key.public_key());
            forge.role("root", |says| {
                for role in ["root", "targets"] {
                    says["roles"][role] = json!({ "keyids": [id], "threshold": 1 });
                }
            });
            forge.changed.clear();
        }
        "role-twice" => forge.again("risk-low", |says| says["targets"] = json!({})),
        "timestamp-twice" => {
            return forge.timestamp(|says| {
                says["version"] = json!(says["version"].as_u64().expect("a number") - 1);
                says["expires"] = json!("2100-01-01T00:00:00Z");
            });
        }
        "snapshot-back" => {
            let (version, _) = Forge::of(old.clone(), key).newest("snapshot");
            let pin = Forge::of(old.clone(), key).pin(&format!("{version}.snapshot.json"), version);
            return forge.timestamp(|says| says["meta"]["snapshot.json"] = pin);
        }
        "role-back" => {
            let (version, _) = Forge::of(old.clone(), key).newest("risk-low");
            forge.changed.push(("risk-low".to_owned(), version));
        }
        "timestamp-back" => {
            let mut mixed = files;
            mixed.insert("timestamp.json", old.get("timestamp.json").expect("there").to_vec());
            return mixed;
        }
        "mixed" => {
            let (version, _) = forge.newest("snapshot");
            let name = format!("{version}.snapshot.json");
            let mut mixed = forge.stamped();
            let (next, _) = Forge::of(mixed.clone(), key).newest("snapshot");
            let bytes = mixed.get(&name).expect("there").to_vec();
            mixed.insert(format!("{next}.snapshot.json"), bytes);
            return mixed;
        }
        other => panic!("no such forgery: {other}"),
    }
    forge.stamped()
}

/// All forgeries, by name.
pub(crate) const ALL: [&str; 10] = [
    "script",
    "policy",
    "targets",
    "root",
    "role-twice",
    "timestamp-twice",
    "snapshot-back",
    "role-back",
    "timestamp-back",
    "mixed",
];
