//! Scripts on their way into the catalogue: read, linted, signed into a draft, published.
//!
//! A draft waits in the home per risk; what is in force is only ever what was published.

use std::collections::BTreeSet;

use protocol::{AgentName, Manifest, Risk, ScriptName, Time, limits};
use serde::Serialize;
use trust::SigningKey;
use trust::catalogue::{Catalogue, Draft, Repository};

use super::review::{Proposal, propose};
use super::{CatalogueTrouble, open, policy, repository};
use crate::home::{self, Home, Online};

/// A script as a person hands it in: linted, its manifest read.
#[derive(Debug, Clone)]
pub struct ScriptFile {
    source: Vec<u8>,
    /// Whether the text says who wrote it.
    names_author: bool,
    /// What its `ABOUT` says.
    pub manifest: Manifest,
}

impl ScriptFile {
    /// Reads and lints a script. `author` is recorded where `ABOUT` names nobody.
    ///
    /// # Errors
    /// [`CatalogueTrouble::Script`] with every fault.
    pub fn read(source: &[u8], author: &AgentName) -> Result<Self, CatalogueTrouble> {
        if source.len() > limits::SCRIPT_BYTES_MAX {
            return Err(CatalogueTrouble::NotText);
        }
        let text = std::str::from_utf8(source).map_err(|_| CatalogueTrouble::NotText)?;
        let faults = script::lint::lint(text);
        if !faults.is_empty() {
            return Err(CatalogueTrouble::Script(faults));
        }
        let named = script::about::read(text, None);
        let names_author = named.is_ok();
        let manifest = named
            .or_else(|_| script::about::read(text, Some(author)))
            .map_err(CatalogueTrouble::Script)?;
        Ok(Self { source: source.to_vec(), names_author, manifest })
    }

    /// Runs its cases on the machine that each describes: the name of each, and what came otherwise
    /// than expected.
    ///
    /// # Errors
    /// Cases that cannot be read, in words for people.
    pub fn play(&self, cases: &str) -> Result<Vec<Played>, String> {
        let source = std::str::from_utf8(&self.source).map_err(|error| error.to_string())?;
        let script = script::Script::compile(source).map_err(|fault| fault.to_string())?;
        let cases = script::cases::read(cases)?.into_iter().map(|case| {
            let done = script::cases::check(&script, &self.manifest, &case);
            (case.name, done)
        });
        Ok(cases.collect())
    }

    /// The manifest as it waits or is published already: where the text names no author it is
    /// whoever handed that version in first, so that the second vetter signs the same list.
    fn manifest_beside(&self, draft: Option<&Draft>, catalogue: &Catalogue) -> Manifest {
        let mut manifest = self.manifest.clone();
        if self.names_author {
            return manifest;
        }
        let (name, version) = (&self.manifest.name, self.manifest.version);
        let waiting = draft.into_iter().flat_map(Draft::manifests);
        let published = catalogue.script(name, version).map(|entry| entry.manifest.clone());
        let same = |m: &Manifest| m.name == *name && m.version == version;
        if let Some(first) = waiting.chain(published).find(same) {
            manifest.author = first.author;
        }
        manifest
    }
}

/// A case's name, and what came otherwise than expected.
pub type Played = (String, Result<(), String>);

/// A script version that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingScript {
    /// Its name.
    pub name: ScriptName,
    /// Its version.
    pub version: u32,
    /// Its class.
    pub risk: Risk,
}

/// What waits for one risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// The class.
    pub risk: Risk,
    /// The versions that would become listed.
    pub scripts: Vec<PendingScript>,
    /// Who signed.
    pub signed: Vec<AgentName>,
    /// How many people must.
    pub wanted: usize,
}

/// A script version that is in force now.
pub type Published = PendingScript;

fn draft_path(home: &Home, risk: Risk) -> std::path::PathBuf {
    home.pending().join(format!("{}.json", risk.role()))
}

fn read_draft(home: &Home, risk: Risk) -> Result<Option<Draft>, CatalogueTrouble> {
    match home::read(&draft_path(home, risk)) {
        Ok(bytes) => Ok(Some(Draft::read(&bytes)?)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write_draft(home: &Home, risk: Risk, draft: &Draft) -> Result<(), CatalogueTrouble> {
    Ok(home::write_secret(&draft_path(home, risk), &draft.write()?)?)
}

/// The drafts that these scripts and what waits make, unsigned additions included.
///
/// # Errors
/// [`CatalogueTrouble`].
pub(super) fn drafts(
    home: &Home,
    repository: &Repository,
    catalogue: &Catalogue,
    scripts: &[ScriptFile],
    now: Time,
) -> Result<Vec<(Risk, Draft)>, CatalogueTrouble> {
    let mut out = Vec::new();
    for risk in Risk::ALL {
        let mine = scripts.iter().filter(|script| script.manifest.risk == risk);
        let mut draft = read_draft(home, risk)?
            .filter(|draft| draft.version() == next_version(catalogue, risk));
        for script in mine {
            let manifest = script.manifest_beside(draft.as_ref(), catalogue);
            match &mut draft {
                Some(draft) => draft.add_script(&script.source, &manifest)?,
                None => draft = repository.draft_script(&script.source, &manifest, now)?,
            }
        }
        out.extend(draft.map(|draft| (risk, draft)));
    }
    Ok(out)
}

/// Signs scripts into the drafts of their risks; without scripts, signs what waits. Adding a
/// script to a draft drops the signatures it had: they were for another list. Versions that are
/// published already with the same bytes are left out.
///
/// # Errors
/// [`CatalogueTrouble`]; drafts are as they were then.
pub fn sign(
    home: &Home,
    scripts: &[ScriptFile],
    vetter: &SigningKey,
    now: Time,
) -> Result<Vec<Pending>, CatalogueTrouble> {
    let lock = home.lock()?;
    sign_locked(home, scripts, vetter, now)?;
    drop(lock);
    pending(home, now)
}

/// As [`sign`], and only what [`super::proposals`] showed at the same `now`.
///
/// # Errors
/// [`CatalogueTrouble::NotWhatWasShown`], and as [`sign`].
pub fn sign_shown(
    home: &Home,
    scripts: &[ScriptFile],
    shown: &[Proposal],
    vetter: &SigningKey,
    now: Time,
) -> Result<Vec<Pending>, CatalogueTrouble> {
    let lock = home.lock()?;
    sign_drafts(home, scripts, Some(shown), vetter, now)?;
    drop(lock);
    pending(home, now)
}

/// As [`sign`], for whoever holds the home's lock.
pub(crate) fn sign_locked(
    home: &Home,
    scripts: &[ScriptFile],
    vetter: &SigningKey,
    now: Time,
) -> Result<(), CatalogueTrouble> {
    sign_drafts(home, scripts, None, vetter, now)
}

/// Each draft is reviewed before the key touches it: one that hides an entry is refused.
fn sign_drafts(
    home: &Home,
    scripts: &[ScriptFile],
    shown: Option<&[Proposal]>,
    vetter: &SigningKey,
    now: Time,
) -> Result<(), CatalogueTrouble> {
    let catalogue = open(home, now)?;
    let repository = repository(home)?;
    let mut touched = Vec::new();
    for (risk, mut draft) in drafts(home, &repository, &catalogue, scripts, now)? {
        let proposal = propose(&repository, &catalogue, risk, &draft)?;
        if shown.is_some_and(|shown| !shown.contains(&proposal)) {
            return Err(CatalogueTrouble::NotWhatWasShown { risk });
        }
        let key = trust::Signer::public_key(vetter);
        if !catalogue.role_keys(risk.role()).contains(&key) {
            let policy = policy(home, now)?;
            let unknown = || trust::key_id(&key).chars().take(8).collect::<String>().parse().ok();
            let person = policy.person_of(&key).map(|p| p.name.clone()).or_else(unknown);
            return Err(match person {
                Some(person) => CatalogueTrouble::NotAVetter { person, risk },
                None => CatalogueTrouble::NothingPending,
            });
        }
        let policy = policy(home, now)?;
        if let Some(person) = policy.person_of(&key).filter(|p| policy.is_withdrawn(p, now)) {
            return Err(CatalogueTrouble::Withdrawn { person: person.name.clone() });
        }
        draft.sign(vetter)?;
        touched.push((risk, draft));
    }
    for (risk, draft) in &touched {
        write_draft(home, *risk, draft)?;
    }
    Ok(())
}

fn next_version(catalogue: &Catalogue, risk: Risk) -> u64 {
    let versions = catalogue.versions();
    let now = match risk {
        Risk::Low => versions.risk_low,
        Risk::Medium => versions.risk_medium,
        Risk::High => versions.risk_high,
    };
    now.saturating_add(1)
}

/// What waits, by risk.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn pending(home: &Home, now: Time) -> Result<Vec<Pending>, CatalogueTrouble> {
    let catalogue = open(home, now)?;
    let policy = policy(home, now)?;
    let mut out = Vec::new();
    for risk in Risk::ALL {
        let Some(draft) = read_draft(home, risk)? else { continue };
        if draft.version() != next_version(&catalogue, risk) {
            continue;
        }
        let keys = catalogue.role_keys(risk.role());
        let good = draft.signers().into_iter().filter(|key| keys.contains(key));
        let person = |key| policy.person_of(&key).filter(|p| !policy.is_withdrawn(p, now));
        let people: BTreeSet<AgentName> =
            good.filter_map(|key| person(key).map(|p| p.name.clone())).collect();
        let scripts = draft.manifests().into_iter().map(listed).collect();
        let wanted = catalogue.thresholds().get(risk.role()).map_or(1, |(wanted, _)| *wanted);
        out.push(Pending { risk, scripts, signed: people.into_iter().collect(), wanted });
    }
    Ok(out)
}

fn listed(manifest: Manifest) -> PendingScript {
    PendingScript { name: manifest.name, version: manifest.version, risk: manifest.risk }
}

/// Publishes what waits and has its people. Nothing is published where one list has too few: people
/// are counted, so that an author is never alone where two must sign.
///
/// # Errors
/// [`CatalogueTrouble::TooFewPeople`], [`CatalogueTrouble::NothingPending`].
pub fn publish(home: &Home, now: Time) -> Result<Vec<Published>, CatalogueTrouble> {
    let _lock = home.lock()?;
    let published = publish_locked(home, now)?;
    if published.is_empty() { Err(CatalogueTrouble::NothingPending) } else { Ok(published) }
}

/// As [`publish`], for whoever holds the home's lock; nothing waiting is nothing published.
pub(crate) fn publish_locked(home: &Home, now: Time) -> Result<Vec<Published>, CatalogueTrouble> {
    let waiting = pending(home, now)?;
    let online = home.online_key(Online::SnapshotTimestamp)?;
    for list in &waiting {
        let (have, risk) = (list.signed.len(), list.risk);
        if have < list.wanted {
            return Err(CatalogueTrouble::TooFewPeople { risk, have, wanted: list.wanted });
        }
    }
    let mut out = Vec::new();
    for list in waiting {
        let Some(draft) = read_draft(home, list.risk)? else { continue };
        repository(home)?.publish(draft, &online, now)?;
        home::remove(&draft_path(home, list.risk))?;
        out.extend(list.scripts);
    }
    Ok(out)
}
