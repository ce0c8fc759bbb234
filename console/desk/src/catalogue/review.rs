//! What a vetter's signature would mean, worked out before a key is touched.
//!
//! Never from what the draft says of itself: from what is published and the bytes it brings.

use std::collections::BTreeMap;

use protocol::{Manifest, Risk, Time};
use serde::Serialize;
use trust::catalogue::{Catalogue, Draft, Repository};

use super::scripts::{ScriptFile, drafts};
use super::{CatalogueTrouble, open, repository};
use crate::home::Home;

/// A list as it would become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// Of which risk.
    pub risk: Risk,
    /// Script versions that it adds.
    pub added: Vec<Added>,
    /// Target paths that it takes away.
    pub withdrawn: Vec<String>,
    /// When it ends.
    pub ends: Time,
}

/// A script version that a list would add, beside the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// As it would be listed.
    pub manifest: Manifest,
    /// The newest version in force, where there is one.
    pub before: Option<Manifest>,
    /// Its text.
    #[serde(skip)]
    pub source: Vec<u8>,
    /// The text of the version in force.
    #[serde(skip)]
    pub source_before: Option<Vec<u8>>,
}

/// A permission that one of two versions has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionChange {
    /// The host function.
    pub function: String,
    /// The nouns that are new, or gone; none where the function takes none.
    pub nouns: Vec<String>,
    /// Whether it is new.
    pub gained: bool,
    /// Whether it changes a machine.
    pub action: bool,
    /// The least class of a script that has it.
    pub least_risk: Risk,
}

impl Added {
    /// What it may do that the version in force may not, then what it may do no more.
    #[must_use]
    pub fn permissions(&self) -> Vec<PermissionChange> {
        let none = BTreeMap::new();
        let before = self.before.as_ref().map_or(&none, |before| &before.permissions);
        let mut changes = beyond(&self.manifest.permissions, before, true);
        changes.extend(beyond(before, &self.manifest.permissions, false));
        changes
    }

    /// The least class that its permissions take.
    #[must_use]
    pub fn least_risk(&self) -> Risk {
        let rows = self.manifest.permissions.keys().filter_map(|name| surface::find(name));
        rows.map(|row| row.least_risk).max().unwrap_or(Risk::Low)
    }
}

type Permissions = BTreeMap<String, Vec<String>>;

/// What `these` have that `those` have not.
fn beyond(these: &Permissions, those: &Permissions, gained: bool) -> Vec<PermissionChange> {
    let mut changes = Vec::new();
    for (function, nouns) in these {
        let other = those.get(function);
        let is_new = |noun: &&String| other.is_none_or(|other| !other.contains(noun));
        let nouns: Vec<String> = nouns.iter().filter(is_new).cloned().collect();
        if !nouns.is_empty() || other.is_none() {
            let row = surface::find(function);
            changes.push(PermissionChange {
                function: function.clone(),
                nouns,
                gained,
                // What is not known is taken for the worst.
                action: row.is_none_or(|row| row.kind == surface::Kind::Action),
                least_risk: row.map_or(Risk::High, |row| row.least_risk),
            });
        }
    }
    changes
}

/// What [`super::sign`] would sign, for the vetter to look at first.
///
/// # Errors
/// [`CatalogueTrouble`]; among them a draft that hides an entry.
pub fn proposals(
    home: &Home,
    scripts: &[ScriptFile],
    now: Time,
) -> Result<Vec<Proposal>, CatalogueTrouble> {
    let (catalogue, repository) = (open(home, now)?, repository(home)?);
    let drafts = drafts(home, &repository, &catalogue, scripts, now)?;
    let each = drafts.iter().map(|(risk, draft)| propose(&repository, &catalogue, *risk, draft));
    each.collect()
}

/// What one draft would change.
///
/// # Errors
/// As [`proposals`].
pub(super) fn propose(
    repository: &Repository,
    catalogue: &Catalogue,
    risk: Risk,
    draft: &Draft,
) -> Result<Proposal, CatalogueTrouble> {
    let review = repository.review(draft)?;
    let beside = |(manifest, source): (Manifest, Vec<u8>)| {
        let before = catalogue.latest(&manifest.name);
        let source_before = before.and_then(|entry| catalogue.source(entry)).map(<[u8]>::to_vec);
        let before = before.map(|entry| entry.manifest.clone());
        Added { before, source_before, manifest, source }
    };
    let added = review.added.into_iter().map(beside).collect();
    Ok(Proposal { risk, added, withdrawn: review.withdrawn, ends: review.ends })
}
