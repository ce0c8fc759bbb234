//! Publishing a policy: read back before it is signed, so that nobody signs a file with faults.

use policy::{Policy, PolicyFile};
use protocol::Time;
use trust::{Signer, SigningKey};

use super::{CatalogueTrouble, repository};
use crate::home::{Home, Online};

/// The text of a policy that has no faults.
///
/// # Errors
/// [`CatalogueTrouble::Policy`] with every fault.
pub fn policy_text(file: &PolicyFile) -> Result<String, CatalogueTrouble> {
    let text = file.write()?;
    let _: Policy = PolicyFile::read(&text).map_err(CatalogueTrouble::Policy)?;
    Ok(text)
}

/// Publishes a policy with the administrators' keys and the online key.
///
/// # Errors
/// [`CatalogueTrouble`]; nothing has changed then.
pub fn publish_policy(
    home: &Home,
    text: &str,
    admins: &[SigningKey],
    now: Time,
) -> Result<(), CatalogueTrouble> {
    let _: Policy = PolicyFile::read(text).map_err(CatalogueTrouble::Policy)?;
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    let signers: Vec<&dyn Signer> =
        admins.iter().chain([&online]).map(|key| key as &dyn Signer).collect();
    Ok(repository(home)?.set_policy(text, &signers, now)?)
}
