//! The organisation's catalogue at the desk: read, kept fresh, policy and scripts published.
//!
//! Never vets: a person's key does, and it comes with the call.

mod fresh;
mod publish;
mod review;
mod scripts;
mod search;
mod shared;
mod trouble;

use policy::{Policy, PolicyFile};
use protocol::Time;
use protocol::documents::CatalogueVersions;
use trust::catalogue::{Catalogue, Files, Repository, RepositoryError};

use crate::home::{Home, Online, is_there};

pub use fresh::{catch_up, renew_if_old, renew_lists};
pub use publish::{POLICY, enough_signers, policy_text, publish_policy};
pub use review::{Added, PermissionChange, Proposal, proposals};
pub use scripts::{
    Pending, PendingScript, Played, Published, ScriptFile, pending, publish, sign, sign_shown,
};
pub(crate) use scripts::{publish_locked, sign_locked};
pub use search::{Hit, search};
pub use shared::{Refreshed, bring_past, change, refresh};
pub use trouble::CatalogueTrouble;

pub(crate) fn repository(home: &Home) -> Result<Repository, CatalogueTrouble> {
    Ok(Repository::open(home.repository())?)
}

/// Every file of the catalogue.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn files(home: &Home) -> Result<Files, CatalogueTrouble> {
    Ok(repository(home)?.files()?)
}

/// The same with lists and policies of generations that nobody is handed any more.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn files_with_past(home: &Home) -> Result<Files, CatalogueTrouble> {
    Ok(repository(home)?.files_with_past()?)
}

/// The catalogue, verified as an endpoint would.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn open(home: &Home, now: Time) -> Result<Catalogue, CatalogueTrouble> {
    Ok(repository(home)?.catalogue(now)?)
}

/// Takes files of a newer catalogue that was made elsewhere; see [`Repository::adopt`].
///
/// # Errors
/// [`CatalogueTrouble`]; nothing has changed then.
pub fn adopt(
    home: &Home,
    new: &Files,
    base: Option<CatalogueVersions>,
    now: Time,
) -> Result<Catalogue, CatalogueTrouble> {
    let _lock = home.lock()?;
    Ok(repository(home)?.adopt(new, base, now)?)
}

/// The same at a desk that was put back from a copy: what was published since is joined to what it
/// has published since. See [`Repository::rejoin`].
fn rejoin(
    home: &Home,
    new: &Files,
    base: CatalogueVersions,
    now: Time,
) -> Result<Catalogue, CatalogueTrouble> {
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    Ok(repository(home)?.rejoin(new, base, &online, now)?)
}

/// Takes a publication that came over a line: as [`adopt`] does; only a desk that was put back from
/// a copy joins what does not follow on its own.
///
/// # Errors
/// [`CatalogueTrouble`]; nothing has changed then.
pub(crate) fn take(
    home: &Home,
    new: &Files,
    base: CatalogueVersions,
    now: Time,
) -> Result<Catalogue, CatalogueTrouble> {
    match adopt(home, new, Some(base), now) {
        Err(CatalogueTrouble::Repository(refused @ RepositoryError::Refused(_)))
            if is_there(&home.restored_file()) =>
        {
            rejoin(home, new, base, now).map_err(|_| refused.into())
        }
        other => other,
    }
}

/// The policy in force.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn policy(home: &Home, now: Time) -> Result<Policy, CatalogueTrouble> {
    policy_of(&open(home, now)?)
}

/// The policy in a catalogue that is open already: verifying one is most of what a command does.
///
/// # Errors
/// [`CatalogueTrouble::Policy`].
pub fn policy_of(catalogue: &Catalogue) -> Result<Policy, CatalogueTrouble> {
    PolicyFile::read(catalogue.policy_text()).map_err(CatalogueTrouble::Policy)
}

#[cfg(test)]
pub(crate) mod tests;
