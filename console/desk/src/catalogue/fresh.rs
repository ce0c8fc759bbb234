//! Freshness without a server: timestamp and snapshot renewed by whoever talks to endpoints.

use protocol::documents::CatalogueVersions;
use protocol::{Risk, Time};
use trust::{Signer, SigningKey};

use super::{CatalogueTrouble, POLICY, enough_signers, open, repository};
use crate::books::BookError;
use crate::home::{Home, Online, is_there};
use crate::org::Desk;

/// Renews timestamp and snapshot where they are older than a day; says whether it did. Does
/// nothing in a home without the online key, or with a shared desk: that renews its own.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn renew_if_old(home: &Home, now: Time) -> Result<bool, CatalogueTrouble> {
    let shared = is_there(&home.desk_file());
    if shared || !is_there(&home.online(Online::SnapshotTimestamp)) {
        return Ok(false);
    }
    let key = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    Ok(repository(home)?.renew_online(&key, now)?)
}

/// At a desk that was put back from a copy: makes snapshot and timestamp anew behind those that its
/// endpoints have seen, so that they take its word again; says whether it did.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn catch_up(desk: &Desk, now: Time) -> Result<bool, CatalogueTrouble> {
    let home = &desk.home;
    let Ok(store) = desk.store.here() else { return Ok(false) };
    let online = home.online(Online::SnapshotTimestamp);
    if !is_there(&home.restored_file()) || !is_there(&online) {
        return Ok(false);
    }
    let rows = store.endpoints().map_err(|error| Box::new(BookError::from(error)))?;
    let mut seen = CatalogueVersions::default();
    for versions in rows.iter().filter_map(|row| row.versions) {
        seen.snapshot = seen.snapshot.max(versions.snapshot);
        seen.timestamp = seen.timestamp.max(versions.timestamp);
    }
    let key = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    Ok(repository(home)?.catch_up(seen, &key, now)?)
}

/// Gives the policy and the lists of scripts a new end, as they are. `signers` are administrators
/// and vetters. Answers with each role and its end.
///
/// # Errors
/// [`CatalogueTrouble::TooFewSigners`] before anything is renewed.
pub fn renew_lists(
    home: &Home,
    signers: &[SigningKey],
    now: Time,
) -> Result<Vec<(String, Time)>, CatalogueTrouble> {
    let roles: Vec<&str> =
        [POLICY].into_iter().chain(Risk::ALL.into_iter().map(Risk::role)).collect();
    for role in &roles {
        enough_signers(home, role, signers, now)?;
    }
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    let all: Vec<&dyn Signer> =
        signers.iter().chain([&online]).map(|key| key as &dyn Signer).collect();
    for role in &roles {
        repository(home)?.renew(role, &all, now)?;
    }
    let catalogue = open(home, now)?;
    let end = |role: &str| catalogue.end_of(role).map(|end| (role.to_owned(), end));
    Ok(roles.into_iter().filter_map(end).collect())
}
