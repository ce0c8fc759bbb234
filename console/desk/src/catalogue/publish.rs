//! Publishing a policy: read back before it is signed, so that nobody signs a file with faults.

use std::collections::BTreeSet;

use policy::{Policy, PolicyFile};
use protocol::Time;
use trust::{Signer, SigningKey};

use super::{CatalogueTrouble, open, repository};
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

/// The role that signs the policy.
pub const POLICY: &str = "policy";

/// Refuses where these keys do not reach a role's threshold: whoever is asked for the next
/// passphrase should know it before.
///
/// # Errors
/// [`CatalogueTrouble::TooFewSigners`].
pub fn enough_signers(
    home: &Home,
    role: &str,
    keys: &[SigningKey],
    now: Time,
) -> Result<(), CatalogueTrouble> {
    let catalogue = open(home, now)?;
    let listed = catalogue.role_keys(role);
    let policy = PolicyFile::read(catalogue.policy_text()).map_err(CatalogueTrouble::Policy)?;
    let withdrawn =
        |key: &_| policy.person_of(key).is_some_and(|person| policy.is_withdrawn(person, now));
    // No two keys of one person are in a role, so keys are people here.
    let good: BTreeSet<_> = keys
        .iter()
        .map(Signer::public_key)
        .filter(|key| listed.contains(key) && !withdrawn(key))
        .collect();
    let wanted = catalogue.thresholds().get(role).map_or(1, |(wanted, _)| *wanted);
    if good.len() >= wanted {
        return Ok(());
    }
    Err(CatalogueTrouble::TooFewSigners { role: role.to_owned(), have: good.len(), wanted })
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
    enough_signers(home, POLICY, admins, now)?;
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    let signers: Vec<&dyn Signer> =
        admins.iter().chain([&online]).map(|key| key as &dyn Signer).collect();
    Ok(repository(home)?.set_policy(text, &signers, now)?)
}
