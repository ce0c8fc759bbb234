//! What an older generation listed, as far as its files are still here: for judging what was decided
//! by it. Never for deciding: nothing here is asked whether it is fresh.

use std::collections::BTreeMap;

use protocol::documents::CatalogueVersions;
use protocol::{Digest, Risk, ScriptName};
use sigstore_tuf::{Metadata, Targets};

use super::build;
use super::current::{Part, top_keys};
use super::files::{Files, role_file, target_file};
use super::guard::{self, POLICY, POLICY_PATH};
use super::plan::RoleKeys;
use super::read::{Walk, manifest};
use super::{Catalogue, ScriptKey, install_provider};

/// What one generation of the catalogue listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// The policy's text.
    pub policy: String,
    /// SHA-256 of every listed script version's source.
    pub scripts: BTreeMap<(ScriptName, u32), Digest>,
}

impl Catalogue {
    /// The generation that `versions` name: the root chain is followed to that root, and each list
    /// is held to the threshold of the keys of then. Timestamp and snapshot are not looked at: they
    /// say what was newest, and a record says itself which versions it was decided by. `None` where
    /// a file of it is not here any more or does not verify.
    #[must_use]
    pub fn then(files: &Files, root: &[u8], versions: &CatalogueVersions) -> Option<Then> {
        install_provider();
        let top_level = Walk::roles_of_root(root, files, versions.root)?;
        let top = part(files, "targets", versions.targets, top_level.get("targets")?)?;
        let roles = top_keys(&top).ok()?;
        let policy = part(files, POLICY, versions.policy, roles.get(POLICY)?)?;
        let listed = targets(&policy, POLICY)?.targets;
        let target = listed.get(POLICY_PATH)?;
        let digest = guard::sha256(&target.hashes)?;
        let text = files.get(&target_file(POLICY_PATH, &digest.to_string()))?;
        let good = Digest::of(text) == digest && listed.len() == 1;
        let policy = good.then(|| String::from_utf8(text.to_vec()).ok()).flatten()?;
        let mut scripts = BTreeMap::new();
        for (risk, version) in [
            (Risk::Low, versions.risk_low),
            (Risk::Medium, versions.risk_medium),
            (Risk::High, versions.risk_high),
        ] {
            if version > 0 {
                let list = part(files, risk.role(), version, roles.get(risk.role())?)?;
                scripts.extend(listing(&list, risk)?);
            }
        }
        Some(Then { policy, scripts })
    }
}

/// A role's file of one version, signed by enough of its people.
fn part(files: &Files, role: &str, version: u64, keys: &RoleKeys) -> Option<Part> {
    let part = Part::read(files, &role_file(version, role)).ok()?;
    build::enough(role, &part.signed, keys, &part.signatures(keys)).ok()?;
    (part.version == version).then_some(part)
}

fn targets(part: &Part, role: &str) -> Option<Targets> {
    let targets = Metadata::<Targets>::from_slice(&part.bytes).ok()?.into_signed();
    guard::leaf(role, &targets).ok()?;
    Some(targets)
}

fn listing(part: &Part, risk: Risk) -> Option<BTreeMap<ScriptKey, Digest>> {
    let listed = targets(part, risk.role())?.targets;
    let entry = |(path, target): (&String, _)| {
        let manifest = manifest(path, target, risk).ok()?;
        Some(((manifest.name, manifest.version), guard::sha256(&target.hashes)?))
    };
    listed.iter().map(entry).collect()
}
