//! Publishing a policy: read back before it is signed, so that nobody signs a file with faults.

use std::collections::BTreeSet;

use policy::{Policy, PolicyFile};
use protocol::{PublicKey, Time};
use trust::catalogue::{Catalogue, Counts};
use trust::{Signer, SigningKey};

use super::{CatalogueTrouble, open, policy_of, repository};
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
/// The role that says who may sign what.
const TARGETS: &str = "targets";

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
    let policy = policy_of(&catalogue)?;
    enough(&catalogue, role, keys, &|key| policy.counts(key, now))
}

fn enough(
    catalogue: &Catalogue,
    role: &str,
    keys: &[SigningKey],
    counts: Counts<'_>,
) -> Result<(), CatalogueTrouble> {
    let listed = catalogue.role_keys(role);
    // No two keys of one person are in a role, so keys are people here.
    let good: BTreeSet<_> = keys
        .iter()
        .map(Signer::public_key)
        .filter(|key| listed.contains(key) && counts(key))
        .collect();
    let wanted = catalogue.thresholds().get(role).map_or(1, |(wanted, _)| *wanted);
    if good.len() >= wanted {
        return Ok(());
    }
    Err(CatalogueTrouble::TooFewSigners { role: role.to_owned(), have: good.len(), wanted })
}

/// Publishes a policy with the administrators' keys and the online key. Endpoints count nobody whom
/// it withdraws: where the roles rest on such a signature, the same administrators sign them again
/// first.
///
/// # Errors
/// [`CatalogueTrouble`]; nothing has changed then.
pub fn publish_policy(
    home: &Home,
    text: &str,
    admins: &[SigningKey],
    now: Time,
) -> Result<(), CatalogueTrouble> {
    let next: Policy = PolicyFile::read(text).map_err(CatalogueTrouble::Policy)?;
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let _lock = home.lock()?;
    let catalogue = open(home, now)?;
    let before = policy_of(&catalogue)?;
    let counts = |key: &PublicKey| before.counts(key, now) && next.counts(key, now);
    enough(&catalogue, POLICY, admins, &counts)?;
    let signers: Vec<&dyn Signer> =
        admins.iter().chain([&online]).map(|key| key as &dyn Signer).collect();
    let mut repository = repository(home)?;
    if !catalogue.is_signed(TARGETS, &counts) {
        enough(&catalogue, TARGETS, admins, &counts)?;
        repository.renew_roles(&signers, now)?;
    }
    Ok(repository.set_policy(text, &signers, now)?)
}
