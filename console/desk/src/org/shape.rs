//! How a profile divides duties: how many people found it, and how many of them must sign what.
//! Never makes a key.

use std::collections::{BTreeMap, BTreeSet};

use policy::Profile;
use protocol::{AgentName, PublicKey, Risk};
use trust::SigningKey;
use trust::catalogue::{Lifetimes, RoleKeys};

use super::setup::{Founding, InitError, profile_word};
use crate::home::Held;

/// Each founder's own keys, those that are here.
pub(super) type HeldKeys = BTreeMap<AgentName, BTreeMap<Held, SigningKey>>;

/// Founders of a profile and how many of them must sign each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many people found it, each with a root, an admin and a vetter key.
    pub people: usize,
    /// Root changes.
    pub root: usize,
    /// Changes of roles, and policy changes.
    pub admin: usize,
    /// Scripts by risk: low, medium, high.
    pub vetters: [usize; 3],
}

/// The shape of a profile.
#[must_use]
pub const fn shape(profile: Profile) -> Shape {
    match profile {
        Profile::Solo => Shape { people: 1, root: 1, admin: 1, vetters: [1, 1, 1] },
        Profile::Small => Shape { people: 3, root: 2, admin: 2, vetters: [1, 2, 2] },
        Profile::Regulated => Shape { people: 5, root: 3, admin: 2, vetters: [2, 2, 2] },
    }
}

/// How long catalogue files of a profile are good.
#[must_use]
pub const fn lifetimes(profile: Profile) -> Lifetimes {
    match profile {
        Profile::Solo | Profile::Small => Lifetimes::small(),
        Profile::Regulated => Lifetimes::regulated(),
    }
}

impl Shape {
    /// How many vetters sign scripts of this risk.
    #[must_use]
    pub const fn of(&self, risk: Risk) -> usize {
        let [low, medium, high] = self.vetters;
        match risk {
            Risk::Low => low,
            Risk::Medium => medium,
            Risk::High => high,
        }
    }
}

/// `threshold` of everybody's keys of one kind.
pub(super) fn role(keys: &HeldKeys, kind: Held, threshold: usize) -> RoleKeys {
    let key = |own: &BTreeMap<Held, SigningKey>| -> Option<PublicKey> {
        own.get(&kind).map(trust::Signer::public_key)
    };
    RoleKeys::new(threshold, keys.values().filter_map(key))
}

/// Refuses people who could not found an organisation of this profile, me first.
///
/// # Errors
/// [`InitError::NeedsMorePeople`], [`InitError::NamedTwice`], [`InitError::People`].
pub fn check_founders(profile: Profile, people: &[&AgentName]) -> Result<(), InitError> {
    let (word, wanted, named) = (profile_word(profile), shape(profile).people, people.len());
    if named == 1 && wanted > 1 {
        return Err(InitError::NeedsMorePeople(word));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = people.iter().find(|name| !names.insert(**name)) {
        return Err(InitError::NamedTwice((*twice).clone()));
    }
    if named == wanted {
        return Ok(());
    }
    Err(InitError::People { profile: word, wanted, named })
}

impl Founding {
    /// Everybody, me first.
    pub fn people(&self) -> impl Iterator<Item = (&AgentName, &str)> {
        let others = self.others.iter().map(|other| (&other.name, other.passphrase.as_str()));
        std::iter::once((&self.me, self.passphrase.as_str())).chain(others)
    }

    /// Refuses what could not be founded, before anything is written.
    pub(super) fn check(&self) -> Result<(), InitError> {
        let names: Vec<&AgentName> = self.people().map(|(name, _)| name).collect();
        check_founders(self.profile, &names)?;
        // Nobody has a key yet, so nobody learns a passphrase that opens one.
        let mut passphrases: BTreeMap<&str, &AgentName> = BTreeMap::new();
        for (name, passphrase) in self.people() {
            if let Some(other) = passphrases.insert(passphrase, name) {
                let (first, second) = (other.clone(), name.clone());
                return Err(InitError::SamePassphrase { first, second });
            }
        }
        Ok(())
    }
}
