//! Verifies a whole catalogue, from the pinned root to the last byte of the last script.
//!
//! Works on copies: what comes out is whole, or nothing comes out. TUF's own rules are
//! `sigstore-tuf`'s; what TUF leaves open is `guard`'s. That library's `TrustedMetadataSet` is used
//! without its `Updater`: everything is in memory already, so that there is nothing to fetch. Every
//! check runs as if it were 1970, so that an expired catalogue is still a floor that nothing rolls
//! back below; whether something has expired is asked afterwards, by whom it concerns.

use std::collections::BTreeMap;

use protocol::documents::CatalogueVersions;
use protocol::{Digest, Manifest, PublicKey, Risk, Time, limits};
use sigstore_tuf::{Error as Tuf, Metadata, Role, TargetFile, Targets, TrustedMetadataSet};

use super::error::CatalogueError;
use super::files::{Files, role_file, target_file};
use super::guard::{self, POLICY, POLICY_PATH};
use super::plan::RoleKeys;
use super::then::Newest;
use super::{Catalogue, ScriptEntry, ScriptKey, TARGETS, install_provider};

/// Largest policy, bytes: people, groups and rules of 40,000 machines.
pub(super) const POLICY_BYTES_MAX: usize = 1024 * 1024;

pub(super) const TIMESTAMP: &str = "timestamp.json";

pub(super) struct Walk<'a> {
    base: &'a Files,
    new: &'a Files,
    set: TrustedMetadataSet,
    kept: Files,
    roles: BTreeMap<String, RoleKeys>,
    ends: BTreeMap<String, Time>,
    signers: BTreeMap<String, Vec<PublicKey>>,
}

/// Verifies `new` over `base`: what `new` lacks is taken from `base`, and nothing goes back behind
/// `base`. Gives the catalogue and exactly the files that make it up.
pub(super) fn read(
    pinned: &[u8],
    base: &Files,
    new: &Files,
) -> Result<(Catalogue, Files), CatalogueError> {
    install_provider();
    let mut walk = Walk::begin(pinned, base, new)?;
    walk.roots(base, usize::MAX)?;
    let before = walk.set.root().version;
    walk.roots(new, limits::ROOT_CHAIN_MAX)?;
    if !new.is_empty() && base.get(TIMESTAMP).is_some() {
        let floors = walk.floors();
        // After a root that changed keys the old files may verify no more: that is how TUF
        // recovers from a stolen online key. Under the same root they must.
        if walk.set.root().version == before {
            floors?;
        }
    }
    walk.timestamp()?;
    walk.snapshot()?;
    walk.top()?;
    let mut scripts = BTreeMap::new();
    let mut sources = BTreeMap::new();
    for risk in Risk::ALL {
        if walk.roles.contains_key(risk.role()) {
            walk.scripts(risk, &mut scripts, &mut sources)?;
        }
    }
    let policy = walk.policy()?;
    walk.finish(scripts, sources, policy)
}

fn as_time(stamp_seconds: i64) -> Time {
    Time(u64::try_from(stamp_seconds).unwrap_or(0))
}

fn tuf(file: &str) -> impl FnOnce(Tuf) -> CatalogueError {
    let file = file.to_owned();
    move |source| CatalogueError::Tuf { file, source }
}

impl<'a> Walk<'a> {
    fn begin(pinned: &[u8], base: &'a Files, new: &'a Files) -> Result<Self, CatalogueError> {
        guard::strict("root.json", pinned)?;
        let set = TrustedMetadataSet::from_root(pinned).map_err(tuf("root.json"))?;
        let name = role_file(set.root().version, "root");
        let roles = guard::root(&name, set.root())?;
        let mut kept = Files::new();
        kept.insert(name, pinned.to_vec());
        let (ends, signers) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { base, new, set, kept, roles, ends, signers })
    }

    /// Who may sign what by one root of the chain that begins with `pinned`.
    pub(super) fn roles_of_root(
        pinned: &[u8],
        files: &'a Files,
        version: u64,
    ) -> Option<BTreeMap<String, RoleKeys>> {
        let mut walk = Self::begin(pinned, files, files).ok()?;
        while walk.set.root().version < version {
            walk.next_root(files).ok()?.then_some(())?;
        }
        (walk.set.root().version == version).then_some(walk.roles)
    }

    pub(super) fn root_version(pinned: &[u8]) -> Option<u64> {
        let none = Files::new();
        Some(Walk::begin(pinned, &none, &none).ok()?.set.root().version)
    }

    /// The newest generation that the files lead to; its lists are not looked at.
    pub(super) fn newest(pinned: &[u8], files: &'a Files) -> Result<Newest, CatalogueError> {
        let mut walk = Self::begin(pinned, files, files)?;
        walk.roots(files, usize::MAX)?;
        walk.timestamp()?;
        walk.snapshot()?;
        let pin = |role: &str| {
            let pins = walk.set.snapshot()?;
            Some(pins.meta.get(&format!("{role}.json"))?.version)
        };
        let version = |role: &str| pin(role).unwrap_or(0);
        let versions = CatalogueVersions {
            root: walk.set.root().version,
            timestamp: walk.set.timestamp().map_or(0, |t| t.version),
            snapshot: walk.set.snapshot().map_or(0, |s| s.version),
            targets: version(TARGETS),
            policy: version(POLICY),
            risk_low: version(Risk::Low.role()),
            risk_medium: version(Risk::Medium.role()),
            risk_high: version(Risk::High.role()),
        };
        Ok(Newest { versions, issued: walk.issued()? })
    }

    fn issued(&self) -> Result<Time, CatalogueError> {
        let issued = self.set.timestamp().and_then(|t| t.extra.get("issued"));
        let issued = issued.and_then(|v| v.as_str()).and_then(|text| text.parse().ok());
        issued.ok_or(CatalogueError::Layout {
            file: TIMESTAMP.to_owned(),
            because: "a timestamp says when it was issued",
        })
    }

    fn roots(&mut self, files: &Files, most: usize) -> Result<(), CatalogueError> {
        let mut steps = 0;
        while files.get(&self.next_root_name()).is_some() {
            if steps == most {
                return Err(CatalogueError::RootChain);
            }
            steps += 1;
            self.next_root(files)?;
        }
        Ok(())
    }

    fn next_root_name(&self) -> String {
        role_file(self.set.root().version.saturating_add(1), "root")
    }

    /// One step of the chain of roots; false where it ends.
    fn next_root(&mut self, files: &Files) -> Result<bool, CatalogueError> {
        let name = self.next_root_name();
        let Some(bytes) = files.get(&name) else { return Ok(false) };
        guard::strict(&name, bytes)?;
        self.set.update_root(bytes).map_err(tuf(&name))?;
        self.roles = guard::root(&name, self.set.root())?;
        self.kept.insert(name, bytes.to_vec());
        Ok(true)
    }

    /// Loads what was trusted before as the floor for what comes.
    fn floors(&mut self) -> Result<(), CatalogueError> {
        let early = Time(0).to_jiff();
        let bytes = self.base.get(TIMESTAMP).unwrap_or_default();
        self.set.update_timestamp(bytes, early).map_err(tuf(TIMESTAMP))?;
        let name = self.snapshot_name()?;
        let bytes = self.base.get(&name).unwrap_or_default();
        self.set.update_snapshot(bytes, early).map_err(tuf(&name))
    }

    fn timestamp(&mut self) -> Result<(), CatalogueError> {
        let early = Time(0).to_jiff();
        let held = self.base.get(TIMESTAMP);
        let bytes = self.new.get(TIMESTAMP).or(held).ok_or_else(|| missing(TIMESTAMP))?;
        guard::strict(TIMESTAMP, bytes)?;
        match self.set.update_timestamp(bytes, early) {
            Err(Tuf::EqualVersion { .. }) if held == Some(bytes) => {}
            done => done.map_err(tuf(TIMESTAMP))?,
        }
        let Some(timestamp) = self.set.timestamp() else { return Err(missing(TIMESTAMP)) };
        guard::timestamp(TIMESTAMP, timestamp)?;
        self.ends.insert("timestamp".to_owned(), as_time(timestamp.expires().as_second()));
        self.keep(TIMESTAMP, bytes)
    }

    fn snapshot_name(&self) -> Result<String, CatalogueError> {
        let pin = self.set.timestamp().and_then(|t| t.snapshot_meta());
        pin.map(|pin| role_file(pin.version, "snapshot")).ok_or_else(|| missing("snapshot.json"))
    }

    fn snapshot(&mut self) -> Result<(), CatalogueError> {
        let name = self.snapshot_name()?;
        let bytes = self.fetch(&name)?;
        guard::strict(&name, bytes)?;
        self.set.update_snapshot(bytes, Time(0).to_jiff()).map_err(tuf(&name))?;
        let Some(snapshot) = self.set.snapshot() else { return Err(missing(&name)) };
        guard::snapshot(&name, snapshot)?;
        self.ends.insert("snapshot".to_owned(), as_time(snapshot.expires().as_second()));
        self.keep(&name, bytes)
    }

    fn top(&mut self) -> Result<(), CatalogueError> {
        let (name, bytes) = self.role_bytes(TARGETS)?;
        let targets = self.set.update_targets(bytes, Time(0).to_jiff()).map_err(tuf(&name))?;
        self.ends.insert(TARGETS.to_owned(), as_time(targets.expires().as_second()));
        self.roles.extend(guard::top(&name, targets)?);
        let metadata = Metadata::<Targets>::from_slice(bytes).map_err(tuf(&name))?;
        let signed = self.roles.get(TARGETS).map(|keys| signers(&metadata, keys));
        self.signers.insert(TARGETS.to_owned(), signed.unwrap_or_default());
        self.keep(&name, bytes)
    }

    /// Verifies a delegated role; gives its targets and who signed it.
    fn leaf(&mut self, role: &str) -> Result<(String, Targets, Vec<PublicKey>), CatalogueError> {
        let (name, bytes) = self.role_bytes(role)?;
        let early = Time(0).to_jiff();
        self.set.update_delegated_targets(bytes, role, "targets", early).map_err(tuf(&name))?;
        let metadata = Metadata::<Targets>::from_slice(bytes).map_err(tuf(&name))?;
        let signers = self.roles.get(role).map(|keys| signers(&metadata, keys));
        let signers = signers.unwrap_or_default();
        let targets = metadata.into_signed();
        guard::leaf(&name, &targets)?;
        self.ends.insert(role.to_owned(), as_time(targets.expires().as_second()));
        self.keep(&name, bytes)?;
        Ok((name, targets, signers))
    }

    fn scripts(
        &mut self,
        risk: Risk,
        scripts: &mut BTreeMap<ScriptKey, ScriptEntry>,
        sources: &mut BTreeMap<Digest, Vec<u8>>,
    ) -> Result<(), CatalogueError> {
        let (file, targets, signers) = self.leaf(risk.role())?;
        for (path, target) in &targets.targets {
            let manifest = manifest(path, target, risk)?;
            let (digest, source) = self.target(path, target, limits::SCRIPT_BYTES_MAX)?;
            let key = (manifest.name.clone(), manifest.version);
            let entry = ScriptEntry { manifest, digest, risk, signers: signers.clone() };
            if scripts.insert(key, entry).is_some() {
                let because = "a script version is listed under two risks";
                return Err(CatalogueError::Layout { file, because });
            }
            sources.insert(digest, source);
        }
        Ok(())
    }

    fn policy(&mut self) -> Result<String, CatalogueError> {
        let (file, targets, signers) = self.leaf(POLICY)?;
        self.signers.insert(POLICY.to_owned(), signers);
        let layout = |because| CatalogueError::Layout { file: file.clone(), because };
        let (1, Some(target)) = (targets.targets.len(), targets.target(POLICY_PATH)) else {
            return Err(layout("role `policy` lists policy/policy.toml and nothing else"));
        };
        let (_, bytes) = self.target(POLICY_PATH, target, POLICY_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| layout("the policy is not text"))
    }

    /// A target's bytes, checked against its listing.
    fn target(
        &mut self,
        path: &str,
        target: &TargetFile,
        most: usize,
    ) -> Result<(Digest, Vec<u8>), CatalogueError> {
        let wrong = || CatalogueError::Target { path: path.to_owned() };
        let digest = guard::sha256(&target.hashes).ok_or_else(wrong)?;
        let name = target_file(path, &digest.to_string());
        let bytes = self.fetch(&name)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length != target.length || bytes.len() > most || Digest::of(bytes) != digest {
            return Err(wrong());
        }
        self.keep(&name, bytes)?;
        Ok((digest, bytes.to_vec()))
    }

    fn role_bytes(&self, role: &str) -> Result<(String, &'a [u8]), CatalogueError> {
        let pin = self.set.snapshot().and_then(|s| s.meta.get(&format!("{role}.json")));
        let version = pin.map(|pin| pin.version).ok_or_else(|| missing(&format!("{role}.json")))?;
        let name = role_file(version, role);
        let bytes = self.fetch(&name)?;
        guard::strict(&name, bytes)?;
        Ok((name, bytes))
    }

    fn fetch(&self, name: &str) -> Result<&'a [u8], CatalogueError> {
        self.new.get(name).or(self.base.get(name)).ok_or_else(|| missing(name))
    }

    /// Keeps a verified file, unless the trusted catalogue has another one of that name. Only the
    /// timestamp keeps its name from version to version.
    fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), CatalogueError> {
        if name != TIMESTAMP && self.base.get(name).is_some_and(|held| held != bytes) {
            return Err(CatalogueError::Equivocation { name: name.to_owned() });
        }
        self.kept.insert(name, bytes.to_vec());
        Ok(())
    }

    fn finish(
        mut self,
        scripts: BTreeMap<ScriptKey, ScriptEntry>,
        sources: BTreeMap<Digest, Vec<u8>>,
        policy: String,
    ) -> Result<(Catalogue, Files), CatalogueError> {
        let ends = as_time(self.set.root().expires().as_second());
        self.ends.insert("root".to_owned(), ends);
        let issued = self.issued()?;
        let version = |role: &str| self.set.targets_role(role).map_or(0, |t| t.version);
        let versions = CatalogueVersions {
            root: self.set.root().version,
            timestamp: self.set.timestamp().map_or(0, |t| t.version),
            snapshot: self.set.snapshot().map_or(0, |s| s.version),
            targets: version("targets"),
            policy: version(POLICY),
            risk_low: version(Risk::Low.role()),
            risk_medium: version(Risk::Medium.role()),
            risk_high: version(Risk::High.role()),
        };
        let Self { roles, ends, kept, signers, .. } = self;
        let catalogue =
            Catalogue { versions, issued, ends, roles, signers, scripts, sources, policy };
        Ok((catalogue, kept))
    }
}

fn missing(file: &str) -> CatalogueError {
    CatalogueError::Missing { file: file.to_owned() }
}

/// Which of a role's keys signed, each once. The threshold was met before this is asked, so that as
/// many candidates as it needs are all good; only more than that are looked at again.
pub(super) fn signers(metadata: &Metadata<Targets>, role: &RoleKeys) -> Vec<PublicKey> {
    let signed = metadata.signatures().iter().filter(|s| !s.sig.is_empty());
    let by_id: BTreeMap<&str, &str> = signed.map(|s| (s.keyid.as_str(), s.sig.as_str())).collect();
    let hex = |key: &PublicKey| by_id.get(crate::key_id(key).as_str()).copied();
    let candidates = role.keys.iter().filter_map(|key| Some((*key, hex(key)?)));
    let candidates: Vec<(PublicKey, &str)> = candidates.collect();
    let all_good = candidates.len() == role.threshold;
    let good = |(key, hex): &(PublicKey, &str)| {
        let bytes = hex_bytes(hex).unwrap_or_default();
        all_good || crate::keys::verify(key, metadata.signed_canonical(), &bytes)
    };
    candidates.into_iter().filter(good).map(|(key, _)| key).collect()
}

pub(super) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut pairs = text.as_bytes().chunks(2);
    pairs.try_fold(Vec::with_capacity(64), |mut out, pair| match pair {
        [high, low] => {
            out.push(digit(*high)? << 4 | digit(*low)?);
            Some(out)
        }
        _ => None,
    })
}

/// A script's manifest: strict, of this path, of this risk.
pub(super) fn manifest(
    path: &str,
    target: &TargetFile,
    risk: Risk,
) -> Result<Manifest, CatalogueError> {
    let wrong = |source| CatalogueError::Manifest { path: path.to_owned(), source };
    let custom = target.custom.as_ref().ok_or_else(|| wrong(None))?;
    let bytes = serde_json::to_vec(custom).map_err(|e| wrong(Some(e)))?;
    if bytes.len() > limits::MANIFEST_BYTES_MAX {
        return Err(wrong(None));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| wrong(Some(e)))?;
    // The path holds name, version and risk: a manifest cannot be moved to another listing.
    if manifest.risk != risk || manifest.target_path() != path || manifest.version == 0 {
        return Err(wrong(None));
    }
    Ok(manifest)
}
