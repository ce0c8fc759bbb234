//! Who holds what, and making a new key for somebody.
//!
//! The policy says whose a vetter's or an administrator's key is. Whose a root key is, only this
//! home's `org/roots.toml` says: nothing is decided by it, it gives a key its person's name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::{AgentName, PublicKey, Time};
use serde::Serialize;
use trust::{Signer as _, SigningKey};

use super::change::DutyError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::chance::fresh;
use crate::home::{self, FileError, Held, Home, HomeError, is_there};

/// A key of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Whose; none where nothing says it.
    pub person: Option<AgentName>,
    /// The key.
    pub key: PublicKey,
}

/// A role of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// As in the catalogue: `root`, `targets`, `policy`, `risk-low`.
    pub name: String,
    /// How many must sign.
    pub threshold: usize,
    /// Whose keys it lists.
    pub holders: Vec<Holder>,
    /// When what they signed ends.
    pub ends: Option<Time>,
}

fn roots_file(home: &Home) -> PathBuf {
    home.path().join("org").join("roots.toml")
}

fn roots(home: &Home) -> Result<BTreeMap<AgentName, PublicKey>, FileError> {
    let path = roots_file(home);
    match home::read_text(&path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| FileError::Damaged { path, why: error.message().to_owned() }),
        Err(error) if error.is_missing() => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Writes down whose the root keys are.
pub(crate) fn remember_roots(
    home: &Home,
    new: impl IntoIterator<Item = (AgentName, Option<PublicKey>)>,
) -> Result<(), FileError> {
    let mut all = roots(home)?;
    for (person, key) in new {
        match key {
            Some(key) => all.insert(person, key),
            None => all.remove(&person),
        };
    }
    let path = roots_file(home);
    let text = toml::to_string(&all)
        .map_err(|error| FileError::Damaged { path: path.clone(), why: error.to_string() })?;
    home::write_public(&path, text.as_bytes())
}

/// The key of one kind that the catalogue in force knows as this person's.
///
/// # Errors
/// [`DutyError`].
pub fn holder_of(
    home: &Home,
    kind: Held,
    person: &AgentName,
    now: Time,
) -> Result<Option<PublicKey>, DutyError> {
    let policy = catalogue::policy(home, now)?;
    let listed = policy.person(person);
    Ok(match kind {
        Held::Root => roots(home)?.get(person).copied(),
        Held::Admin => listed.and_then(|person| person.admin_key),
        Held::Vetter => listed.and_then(|person| person.vetter_key),
    })
}

/// Every role of the catalogue in force, in the catalogue's order.
///
/// # Errors
/// [`DutyError`].
pub fn roles(home: &Home, now: Time) -> Result<Vec<Role>, DutyError> {
    let open = catalogue::open(home, now)?;
    let (policy, roots) = (catalogue::policy_of(&open)?, roots(home)?);
    let whose = |key: &PublicKey| {
        let listed = policy.person_of(key).map(|person| person.name.clone());
        listed.or_else(|| roots.iter().find(|(_, root)| *root == key).map(|(who, _)| who.clone()))
    };
    let thresholds = open.thresholds();
    let role = |(name, _): (&str, u64)| {
        let keys = open.role_keys(name);
        Role {
            name: name.to_owned(),
            threshold: thresholds.get(name).map_or(1, |(threshold, _)| *threshold),
            holders: keys.into_iter().map(|key| Holder { person: whose(&key), key }).collect(),
            ends: open.end_of(name),
        }
    };
    Ok(open.versions().named().into_iter().map(role).collect())
}

/// Where a key lies that was made and is not in force yet.
fn next(home: &Home, kind: Held, person: &AgentName) -> PathBuf {
    home.held(kind, person).with_extension("next.pem")
}

/// Makes a key for somebody, under a passphrase; it is in force when it is given. One that was made
/// before and not given is shown again.
///
/// # Errors
/// [`DutyError`]; one that was made under another passphrase does not open.
pub fn make(
    home: &Home,
    kind: Held,
    person: &AgentName,
    passphrase: &str,
) -> Result<PublicKey, DutyError> {
    let path = next(home, kind, person);
    let _lock = home.lock()?;
    if !is_there(&path) {
        let key = SigningKey::from_seed(fresh()?);
        let pem = key
            .to_encrypted_pem(passphrase.as_bytes(), fresh()?, fresh()?)
            .map_err(|source| HomeError::Key { path: path.clone(), source })?;
        home::write_secret(&path, pem.as_bytes())?;
    }
    Ok(Home::open_held_key(&path, passphrase)?.public_key())
}

/// The key that was made for somebody here and is not in force yet, open; none where there is none.
///
/// # Errors
/// [`DutyError`]: a wrong passphrase.
pub fn made(
    home: &Home,
    kind: Held,
    person: &AgentName,
    passphrase: impl FnOnce(&std::path::Path) -> Result<SigningKey, DutyError>,
) -> Result<Option<SigningKey>, DutyError> {
    let path = next(home, kind, person);
    is_there(&path).then(|| passphrase(&path)).transpose()
}

/// A key that was made here has come into force: it takes the old one's place, which is kept beside it.
pub(super) fn promote(home: &Home, kind: Held, person: &AgentName) -> Result<(), FileError> {
    let (new, held) = (next(home, kind, person), home.held(kind, person));
    if !is_there(&new) {
        return Ok(());
    }
    let fail = |source| FileError::Write { path: held.clone(), source };
    if is_there(&held) {
        std::fs::rename(&held, held.with_extension("old.pem")).map_err(fail)?;
    }
    std::fs::rename(&new, &held).map_err(fail)
}

impl From<CatalogueTrouble> for DutyError {
    fn from(trouble: CatalogueTrouble) -> Self {
        Self::Catalogue(Box::new(trouble))
    }
}
