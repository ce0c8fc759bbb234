//! Checks 8 and 9: the catalogue has this very script, it fits its class and this machine, and the
//! parameters fit it.

use std::collections::BTreeMap;

use policy::{Policy, check_parameters, fill_permissions};
use protocol::documents::Order;
use protocol::{Manifest, Mode, Params, PublicKey, Refusal, RunsOn, Time};
use trust::catalogue::{Catalogue, ScriptEntry};

use super::State;

/// A script that may be asked for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) manifest: Manifest,
    pub(super) source: String,
    pub(super) parameters: Params,
    pub(super) grants: BTreeMap<String, Vec<String>>,
}

pub(super) fn check(order: &Order, state: &State<'_>) -> Result<Found, Refusal> {
    let catalogue = state.catalogue;
    if let Some((role, have, want)) = catalogue.versions().behind(&order.catalogue) {
        return Err(Refusal::CatalogueBehind { role: role.to_owned(), have, want });
    }
    let (script, version) = (order.script.name.clone(), order.script.version);
    let unknown = || Refusal::ScriptUnknown { script: script.clone(), version };
    let entry = catalogue.script(&script, version).ok_or_else(unknown)?;
    if entry.digest != order.script.digest {
        return Err(Refusal::ScriptDigest { script, version });
    }
    if state.policy.is_denied_script(&entry.digest) {
        return Err(Refusal::ScriptWithdrawn { script, version });
    }
    if let Some((role, expired)) = catalogue.expired_for(entry.risk, state.now) {
        return Err(Refusal::CatalogueExpired { role, expired });
    }
    vetters(entry, state.catalogue, state.policy, state.now)?;
    let manifest = &entry.manifest;
    risk(manifest, state)?;
    platform(manifest, state)?;
    if order.mode == Mode::Undo {
        return Err(Refusal::ModeUnsupported { mode: order.mode.word().to_owned() });
    }
    let parameters = check_parameters(manifest, &order.parameters, state.policy)?;
    let grants =
        fill_permissions(manifest, &parameters, |function| state.policy.allows_personal(function))?;
    // Its size was checked where catalogues are read, and only there.
    let source = catalogue.source(entry);
    let source = source.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let source = source.ok_or_else(unknown)?;
    Ok(Found { manifest: manifest.clone(), source, parameters, grants })
}

/// Who signed the list that it stands in counts while policy has not withdrawn them. That enough
/// people signed at all was checked when the catalogue was taken.
pub(crate) fn vetters(
    entry: &ScriptEntry,
    catalogue: &Catalogue,
    policy: &Policy,
    now: Time,
) -> Result<(), Refusal> {
    let counts = |key: &PublicKey| policy.counts(key, now);
    let person = |key: &PublicKey| policy.person_of(key).map(|person| person.name.clone());
    let (have, want) = catalogue.vetted(entry, &counts, &person);
    if have >= want {
        return Ok(());
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (have, want) = (number(have), number(want));
    Err(Refusal::ScriptVetters { script: entry.manifest.name.clone(), have, want })
}

/// The class must be at least that of every permission. That the manifest's risk is its role's is
/// checked where catalogues are read, and only there.
fn risk(manifest: &Manifest, state: &State<'_>) -> Result<(), Refusal> {
    let mut permissions = manifest.permissions.keys();
    let above = permissions.find(|name| state.policy.least_risk(name) > manifest.risk);
    match above {
        Some(name) => Err(Refusal::ScriptRisk { permission: name.clone() }),
        None => Ok(()),
    }
}

fn platform(manifest: &Manifest, state: &State<'_>) -> Result<(), Refusal> {
    if !manifest.platforms.iter().any(|platform| platform == state.platform) {
        return Err(Refusal::Platform { platform: state.platform.to_owned() });
    }
    let mut labels = state.card.labels.iter();
    let is_management = labels.any(|(k, v)| k.as_str() == "role" && v.as_str() == "management");
    if manifest.runs_on == RunsOn::Management && !is_management {
        let platform = "an endpoint without the label role = management".to_owned();
        return Err(Refusal::Platform { platform });
    }
    Ok(())
}
