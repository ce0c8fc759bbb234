//! Freshness without a server: timestamp and snapshot renewed by whoever talks to endpoints.

use protocol::Time;

use super::{CatalogueTrouble, repository};
use crate::home::{Home, Online, is_there};

/// Renews timestamp and snapshot where they are older than a day; says whether it did. Does
/// nothing in a home without the online key.
///
/// # Errors
/// [`CatalogueTrouble`].
pub fn renew_if_old(home: &Home, now: Time) -> Result<bool, CatalogueTrouble> {
    if !is_there(&home.online(Online::SnapshotTimestamp)) {
        return Ok(false);
    }
    let key = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    Ok(repository(home)?.renew_online(&key, now)?)
}
