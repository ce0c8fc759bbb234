//! What a vetter's signature would mean, worked out before a key is touched.
//!
//! Never from what the draft says of itself: from what is published and the bytes it brings.

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
    let beside = |(manifest, _): (Manifest, Vec<u8>)| Added {
        before: catalogue.latest(&manifest.name).map(|entry| entry.manifest.clone()),
        manifest,
    };
    let added = review.added.into_iter().map(beside).collect();
    Ok(Proposal { risk, added, withdrawn: review.withdrawn, ends: review.ends })
}
