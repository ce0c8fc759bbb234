//! What an endpoint that trusts older versions lacks. Never checks anything: the endpoint does.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Risk;
use protocol::documents::CatalogueVersions;
use serde::Deserialize;

use super::files::{Files, read_role_file, role_file, target_file};
use super::guard::POLICY;

/// As much of any role's file as finding the others needs.
#[derive(Deserialize)]
struct Outline {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    version: u64,
    #[serde(default)]
    meta: BTreeMap<String, Pin>,
    #[serde(default)]
    targets: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Pin {
    version: u64,
}

#[derive(Deserialize)]
struct Listed {
    hashes: BTreeMap<String, String>,
}

fn outline(files: &Files, name: &str) -> Option<Signed> {
    let outline: Outline = serde_json::from_slice(files.get(name)?).ok()?;
    Some(outline.signed)
}

/// The names of the target files that a role's file lists.
fn listed(role: &Signed) -> BTreeSet<String> {
    let sha256 = |l: &Listed| l.hashes.get("sha256").cloned();
    role.targets.iter().filter_map(|(path, l)| Some(target_file(path, &sha256(l)?))).collect()
}

/// The files of the newest catalogue in `files` that an endpoint with versions `from` lacks; all
/// of them for `CatalogueVersions::default()`, and none where it lacks nothing.
#[must_use]
pub fn delta(from: CatalogueVersions, files: &Files) -> Files {
    let mut wanted = BTreeSet::new();
    for (name, _) in files.iter() {
        if let Some((version, "root")) = read_role_file(name)
            && version > from.root
        {
            wanted.insert(name.to_owned());
        }
    }
    if let Some(timestamp) = outline(files, "timestamp.json") {
        if timestamp.version > from.timestamp {
            wanted.insert("timestamp.json".to_owned());
        }
        if let Some(pin) = timestamp.meta.get("snapshot.json") {
            below_snapshot(from, files, pin.version, &mut wanted);
        }
    }
    let found = |name: String| files.get(&name).map(|bytes| (name.clone(), bytes.to_vec()));
    wanted.into_iter().filter_map(found).collect()
}

fn below_snapshot(
    from: CatalogueVersions,
    files: &Files,
    version: u64,
    wanted: &mut BTreeSet<String>,
) {
    let name = role_file(version, "snapshot");
    if version > from.snapshot {
        wanted.insert(name.clone());
    }
    let Some(snapshot) = outline(files, &name) else { return };
    let held = [
        ("targets", from.targets),
        (POLICY, from.policy),
        (Risk::Low.role(), from.risk_low),
        (Risk::Medium.role(), from.risk_medium),
        (Risk::High.role(), from.risk_high),
    ];
    for (role, have) in held {
        let Some(pin) = snapshot.meta.get(&format!("{role}.json")) else { continue };
        if pin.version <= have {
            continue;
        }
        let name = role_file(pin.version, role);
        if let Some(now) = outline(files, &name) {
            // Where the older list is not kept any more, everything is sent: never too little.
            let before = outline(files, &role_file(have, role));
            let before = before.map(|role| listed(&role)).unwrap_or_default();
            wanted.extend(listed(&now).difference(&before).cloned());
        }
        wanted.insert(name);
    }
}
