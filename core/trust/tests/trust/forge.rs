//! A forger's bench: the sample's catalogue, changed and signed again with some of its keys.

use protocol::Digest;
use protocol::documents::CatalogueVersions;
use serde_json::{Value, json};
use trust::catalogue::{Catalogue, CatalogueError, Files, delta};
use trust::{Signer as _, key_id};

use crate::sample::{self, NOW, key};

/// The sample's files as a forger with some of the keys would change them.
#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) files: Files,
    pub(crate) root: Vec<u8>,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = sample::repository(folder.path()).unwrap();
        let files = delta(CatalogueVersions::default(), &repository.files().unwrap());
        Self { root: files.get("1.root.json").unwrap().to_vec(), files }
    }

    pub(crate) fn signed(&self, file: &str) -> Value {
        let value: Value = serde_json::from_slice(self.files.get(file).unwrap()).unwrap();
        value.get("signed").unwrap().clone()
    }

    /// Signs a changed role's file as these people would.
    pub(crate) fn sign(signed: &Value, ids: &[(&str, &str)]) -> Vec<u8> {
        let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(signed).unwrap();
        let signature = |(id, name): &(&str, &str)| {
            let signer = key(name);
            let id = if id.is_empty() { key_id(&signer.public_key()) } else { (*id).to_owned() };
            let hex: String =
                signer.sign(&bytes).unwrap().iter().map(|b| format!("{b:02x}")).collect();
            json!({ "keyid": id, "sig": hex })
        };
        let signatures: Vec<Value> = ids.iter().map(signature).collect();
        serde_json::to_vec(&json!({ "signatures": signatures, "signed": signed })).unwrap()
    }

    pub(crate) fn put(&mut self, file: &str, signed: &Value, names: &[&str]) -> &mut Self {
        let ids: Vec<(&str, &str)> = names.iter().map(|name| ("", *name)).collect();
        self.files.insert(file, Self::sign(signed, &ids));
        self
    }

    /// Pins every role's file anew, as who holds the online key can.
    pub(crate) fn pin(&mut self) -> &mut Self {
        let mut snapshot = self.signed("3.snapshot.json");
        for (file, pin) in snapshot["meta"].as_object_mut().unwrap() {
            let name = format!("{}.{file}", pin["version"]);
            *pin = pin_of(pin["version"].as_u64().unwrap(), self.files.get(&name).unwrap());
        }
        self.put("3.snapshot.json", &snapshot, &["online"]).stamp(3)
    }

    pub(crate) fn stamp(&mut self, version: u64) -> &mut Self {
        let mut timestamp = self.signed("timestamp.json");
        let bytes = self.files.get("3.snapshot.json").unwrap();
        timestamp["meta"]["snapshot.json"] = pin_of(3, bytes);
        timestamp["version"] = json!(version);
        self.put("timestamp.json", &timestamp, &["online"])
    }

    pub(crate) fn read(&self) -> Result<Catalogue, CatalogueError> {
        let update = Catalogue::update(&Files::new(), &self.root, &self.files, NOW.plus(200));
        update.map(|(catalogue, _)| catalogue)
    }

    pub(crate) fn refused(&self) -> String {
        let error = self.read().err().unwrap();
        format!("{}: {}", error.code(), protocol::error_chain::ErrorChain(&error))
    }
}

pub(crate) fn pin_of(version: u64, bytes: &[u8]) -> Value {
    let hashes = json!({ "sha256": Digest::of(bytes) });
    json!({ "version": version, "length": bytes.len(), "hashes": hashes })
}

pub(crate) fn forged(change: impl FnOnce(&mut Forge)) -> String {
    let mut forge = Forge::new();
    change(&mut forge);
    forge.refused()
}

/// The refusal of a top-level targets changed so and signed by its administrator.
pub(crate) fn forged_top(change: impl FnOnce(&mut Value)) -> String {
    forged(|forge| {
        let mut top = forge.signed("1.targets.json");
        change(&mut top);
        forge.put("1.targets.json", &top, &["admin a"]).pin();
    })
}

/// The refusal of a list changed so and signed by two vetters.
pub(crate) fn forged_list(file: &str, change: impl FnOnce(&mut Value)) -> String {
    forged(|forge| {
        let mut list = forge.signed(file);
        change(&mut list);
        forge.put(file, &list, &["vetter a", "vetter b"]).pin();
    })
}

pub(crate) fn starts(refusal: &str, code: &str) {
    assert!(refusal.starts_with(code), "wanted {code}, got {refusal}");
}
