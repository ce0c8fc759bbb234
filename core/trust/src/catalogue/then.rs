//! What an older generation listed, as far as its files are still here: for judging what was decided
//! by it. Never for deciding: nothing here is asked whether it is fresh.

use std::collections::BTreeMap;

use protocol::documents::CatalogueVersions;
use protocol::{Digest, Manifest, PublicKey, Risk, ScriptName, Time};
use sigstore_tuf::{Metadata, Targets};

use super::build;
use super::current::{Part, top_keys};
use super::files::{Files, read_role_file, role_file, target_file};
use super::guard::{self, POLICY, POLICY_PATH};
use super::plan::RoleKeys;
use super::read::{TIMESTAMP, Walk, manifest};
use super::{Catalogue, CatalogueError, ScriptKey, install_provider};

/// What one generation of the catalogue listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// The policy's text.
    pub policy: String,
    /// Every listed script version.
    pub scripts: BTreeMap<(ScriptName, u32), Listed>,
}

/// A policy that is, or was, in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyThen {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub ends: Time,
    /// Its text.
    pub text: String,
}

/// One script version in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// SHA-256 of its source.
    pub digest: Digest,
    /// Its manifest; its risk is that of the list.
    pub manifest: Manifest,
    /// Whose good signatures the list carries.
    pub signers: Vec<PublicKey>,
    /// How many it needed.
    pub wanted: usize,
}

/// The newest generation that files lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Versions of all roles.
    pub versions: CatalogueVersions,
    /// When its timestamp was issued, as the online key says.
    pub issued: Time,
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
                let keys = roles.get(risk.role())?;
                let list = part(files, risk.role(), version, keys)?;
                scripts.extend(listing(&list, risk, keys)?);
            }
        }
        Some(Then { policy, scripts })
    }

    /// Every policy that is in `files`, oldest first, each held to the administrators whom a generation
    /// that is here names. One that nobody of them signed is left out.
    #[must_use]
    pub fn policies(files: &Files, root: &[u8]) -> Vec<PolicyThen> {
        install_provider();
        let versions = |role: &str| {
            let of = files.iter().filter_map(|(name, _)| read_role_file(name));
            let mut all: Vec<u64> = of.filter(|(_, is)| *is == role).map(|(n, _)| n).collect();
            all.sort_unstable();
            all
        };
        let (roots, tops) = (versions("root"), versions("targets"));
        // The newest first: most policies were signed by those who sign today.
        let pairs =
            || roots.iter().rev().flat_map(|root| tops.iter().rev().map(move |t| (*root, *t)));
        let then = |policy: u64| {
            let of = |(root, targets)| CatalogueVersions {
                root,
                targets,
                policy,
                ..CatalogueVersions::default()
            };
            let found = pairs().find_map(|pair| Self::then(files, root, &of(pair)))?;
            let ends = Part::read(files, &role_file(policy, POLICY)).ok()?.expires();
            Some(PolicyThen { version: policy, ends, text: found.policy })
        };
        versions(POLICY).into_iter().filter_map(then).collect()
    }

    /// Which generation is the newest in `files`: the root chain is followed to its end, and the
    /// timestamp and snapshot are held to its keys. Lists and sources of scripts are not asked for.
    ///
    /// # Errors
    /// [`CatalogueError`] names the first file that does not verify or is not here.
    pub fn newest(files: &Files, root: &[u8]) -> Result<Newest, CatalogueError> {
        install_provider();
        Walk::newest(root, files)
    }

    /// The version of a root's file, if it is one; says nothing about who signed it.
    #[must_use]
    pub fn root_version(root: &[u8]) -> Option<u64> {
        install_provider();
        Walk::root_version(root)
    }

    /// The highest class that each script was ever listed under, in all the lists that are here. Checks
    /// no signature: for finding, never for deciding.
    #[must_use]
    pub fn risks(files: &Files) -> BTreeMap<ScriptName, Risk> {
        let mut highest: BTreeMap<ScriptName, Risk> = BTreeMap::new();
        for (name, _) in files.iter() {
            let Some((_, role)) = read_role_file(name) else { continue };
            let Some(risk) = Risk::ALL.into_iter().find(|risk| risk.role() == role) else {
                continue;
            };
            let part = Part::read(files, name).ok();
            let listed = part.and_then(|part| targets(&part, role)).map(|list| list.targets);
            for (path, target) in listed.into_iter().flatten() {
                if let Ok(manifest) = manifest(&path, &target, risk) {
                    let known = highest.entry(manifest.name).or_insert(risk);
                    *known = risk.max(*known);
                }
            }
        }
        highest
    }

    /// The files that judging by these generations takes, and by the newest: every root, the pins of
    /// what is newest, and each generation's lists and policy; never a script's source. What is not
    /// here is left out. Checks no signature.
    #[must_use]
    pub fn evidence(files: &Files, generations: &[CatalogueVersions]) -> Files {
        let mut kept = Files::new();
        let mut keep = |name: &str| {
            if let Some(bytes) = files.get(name) {
                kept.insert(name, bytes.to_vec());
            }
        };
        for (name, _) in files.iter() {
            if matches!(read_role_file(name), Some((_, "root"))) {
                keep(name);
            }
        }
        keep(TIMESTAMP);
        for versions in generations {
            for (role, version) in versions.named() {
                keep(&role_file(version, role));
            }
            let policy = Part::read(files, &role_file(versions.policy, POLICY)).ok();
            let target = policy.and_then(|part| {
                guard::sha256(&targets(&part, POLICY)?.targets.get(POLICY_PATH)?.hashes)
            });
            if let Some(digest) = target {
                keep(&target_file(POLICY_PATH, &digest.to_string()));
            }
        }
        kept
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

fn listing(part: &Part, risk: Risk, keys: &RoleKeys) -> Option<BTreeMap<ScriptKey, Listed>> {
    let metadata = Metadata::<Targets>::from_slice(&part.bytes).ok()?;
    let signers = super::read::signers(&metadata, keys);
    let listed = targets(part, risk.role())?.targets;
    let entry = |(path, target): (&String, _)| {
        let manifest = manifest(path, target, risk).ok()?;
        let digest = guard::sha256(&target.hashes)?;
        let (signers, wanted) = (signers.clone(), keys.threshold);
        let key = (manifest.name.clone(), manifest.version);
        Some((key, Listed { digest, manifest, signers, wanted }))
    };
    listed.iter().map(entry).collect()
}
