//! Attacks on the lists of scripts: what a vetter alone, or a changed file, could smuggle in.

use protocol::{Digest, Risk, Time, limits};
use serde_json::{Value, json};
use trust::Signer as _;
use trust::catalogue::{Catalogue, CatalogueError};

use crate::forge::{Forge, forged, forged_list, pin_of, starts};
use crate::sample::{NOW, key, manifest};

#[test]
fn only_good_signers_are_named() {
    let mut forge = Forge::new();
    let list = forge.signed("2.risk-medium.json");
    forge.put("2.risk-medium.json", &list, &["vetter a", "vetter b", "vetter c"]);
    let bytes = forge.files.get("2.risk-medium.json").unwrap();
    let mut file: Value = serde_json::from_slice(bytes).unwrap();
    for bad in ["", "zz", "00"] {
        file["signatures"][1]["sig"] = json!(bad);
        forge.files.insert("2.risk-medium.json", serde_json::to_vec(&file).unwrap());
        let catalogue = forge.pin().read().unwrap();
        let entry = catalogue.scripts().find(|entry| entry.risk == Risk::Medium).unwrap();
        let good = ["vetter a", "vetter c"].map(|name| key(name).public_key());
        assert_eq!(entry.signers, good, "{bad:?}");
    }
}

#[test]
fn a_list_of_a_risk_delegates_nothing() {
    starts(
        &forged_list("2.risk-low.json", |list| {
            list["delegations"] = json!({ "keys": {}, "roles": [] });
        }),
        "layout: `2.risk-low.json`: only the top-level targets may delegate",
    );
}

const PATH: &str = "scripts/low/cache.clear-3.rhai";

#[test]
fn the_largest_manifest_is_taken() {
    for (more, taken) in [(0, true), (1, false)] {
        let mut forge = Forge::new();
        let mut list = forge.signed("2.risk-low.json");
        let custom = &mut list["targets"][PATH]["custom"];
        custom["does"] = json!("");
        let rest = limits::MANIFEST_BYTES_MAX - serde_json::to_vec(custom).unwrap().len();
        custom["does"] = json!("x".repeat(rest + more));
        forge.put("2.risk-low.json", &list, &["vetter a", "vetter b"]).pin();
        assert_eq!(forge.read().is_ok(), taken, "{more}");
    }
}

/// The sample's catalogue read at `NOW + 200`, where this file says that it ends then.
fn ending(file: &str, names: &[&str], end: Time) -> Result<Catalogue, CatalogueError> {
    let mut forge = Forge::new();
    let mut signed = forge.signed(file);
    signed["expires"] = json!(end);
    forge.put(file, &signed, names);
    match file {
        "timestamp.json" => {}
        "1.root.json" => forge.root = forge.files.get(file).unwrap().to_vec(),
        "3.snapshot.json" => drop(forge.stamp(3)),
        _ => drop(forge.pin()),
    }
    forge.read()
}

#[test]
fn each_role_ends_with_the_second_that_its_file_says() {
    let now = NOW.plus(200);
    for (role, file, names) in [
        ("root", "1.root.json", &["root a", "root b"][..]),
        ("timestamp", "timestamp.json", &["online"]),
        ("snapshot", "3.snapshot.json", &["online"]),
        ("targets", "1.targets.json", &["admin a"]),
    ] {
        let refusal = ending(file, names, now).unwrap_err();
        assert!(
            matches!(&refusal, CatalogueError::Expired { role: of, expired } if of == role && *expired == now),
            "{role}: {refusal:?}"
        );
        let taken = ending(file, names, now.plus(1)).unwrap();
        assert_eq!(taken.expired(now), None);
        assert_eq!(taken.expired(now.plus(1)), Some((role.to_owned(), now.plus(1))));
    }
    // A list of one risk or the policy harms no other when it ends: it is asked for where it counts.
    for (role, file, names) in [
        ("policy", "1.policy.json", &["admin a", "admin b"][..]),
        ("risk-medium", "2.risk-medium.json", &["vetter a", "vetter b"]),
    ] {
        let taken = ending(file, names, now).unwrap();
        let ended = Some((role.to_owned(), now));
        assert_eq!(taken.expired(now), ended);
        assert_eq!(taken.expired(now.minus(1)), None);
        assert_eq!(taken.expired_for(Risk::Medium, now), ended);
        let low = ended.filter(|_| role == "policy");
        assert_eq!(taken.expired_for(Risk::Low, now), low, "{role}");
    }
}

#[test]
fn a_manifest_belongs_to_its_path_and_risk() {
    type Change = fn(&mut Value);
    let cases: [Change; 7] = [
        |custom| custom["risk"] = json!("medium"),
        |custom| custom["name"] = json!("cache.other"),
        |custom| custom["version"] = json!(4),
        |custom| custom["surprise"] = json!(1),
        |custom| *custom = Value::Null,
        |custom| custom["does"] = json!("x".repeat(limits::MANIFEST_BYTES_MAX)),
        |custom| custom["parameters"]["days"]["kind"] = json!("anything"),
    ];
    for change in cases {
        let refusal =
            forged_list("2.risk-low.json", |list| change(&mut list["targets"][PATH]["custom"]));
        starts(&refusal, "manifest");
    }
    let zero = forged_list("2.risk-low.json", |list| {
        let mut entry = list["targets"][PATH].clone();
        entry["custom"]["version"] = json!(0);
        list["targets"] = json!({ "scripts/low/cache.clear-0.rhai": entry });
    });
    starts(&zero, "manifest: the manifest of `scripts/low/cache.clear-0.rhai`");
}

/// The refusal of one script, good in itself, as a list of another risk has it.
fn listed_under(file: &str, path: &str, risk: &str, name: &str, source: &[u8]) -> String {
    forged(|forge| {
        let digest = Digest::of(source);
        let mut custom =
            serde_json::to_value(manifest("cache.clear", 3, Risk::Low).unwrap()).unwrap();
        custom["risk"] = json!(risk);
        custom["name"] = json!(name);
        let hashes = json!({ "sha256": digest });
        let entry = json!({ "length": source.len(), "hashes": hashes, "custom": custom });
        let mut list = forge.signed(file);
        list["targets"][path] = entry;
        forge.put(file, &list, &["vetter a", "vetter b"]);
        let (folder, base) = path.rsplit_once('/').unwrap();
        forge.files.insert(format!("{folder}/{digest}.{base}"), source.to_vec());
        forge.pin();
    })
}

#[test]
fn a_list_takes_scripts_of_its_own_risk_only() {
    // One vetter's signature is enough for low risk: whatever else he lists there is refused.
    for (file, path, risk) in [
        ("2.risk-low.json", "scripts/medium/cache.other-3.rhai", "medium"),
        ("2.risk-low.json", "scripts/high/cache.other-3.rhai", "high"),
        ("1.risk-high.json", "scripts/low/cache.other-3.rhai", "low"),
    ] {
        starts(&listed_under(file, path, risk, "cache.other", b"x"), "manifest");
    }
    let twice = "scripts/medium/cache.clear-3.rhai";
    let refusal = listed_under("2.risk-medium.json", twice, "medium", "cache.clear", b"x");
    starts(&refusal, "layout: `2.risk-medium.json`: a script version is listed under two risks");
    let (path, source) =
        ("scripts/low/cache.other-3.rhai", vec![b' '; limits::SCRIPT_BYTES_MAX + 1]);
    let large = listed_under("2.risk-low.json", path, "low", "cache.other", &source);
    starts(&large, "mismatch: `scripts/low/cache.other-3.rhai`");
}

#[test]
fn a_list_has_one_content_per_version() {
    // All keys in one hand: the same version of a list once more, with another end.
    let (mut forge, held) = (Forge::new(), Forge::new().files);
    let mut list = forge.signed("1.risk-high.json");
    list["expires"] = json!("2030-01-01T00:00:00Z");
    forge.put("1.risk-high.json", &list, &["vetter a", "vetter b"]).pin();
    let mut snapshot = forge.signed("3.snapshot.json");
    snapshot["version"] = json!(4);
    forge.put("4.snapshot.json", &snapshot, &["online"]);
    let mut timestamp = forge.signed("timestamp.json");
    let pin = pin_of(4, forge.files.get("4.snapshot.json").unwrap());
    (timestamp["meta"]["snapshot.json"], timestamp["version"]) = (pin, json!(4));
    forge.put("timestamp.json", &timestamp, &["online"]);
    assert!(forge.read().is_ok(), "good for who has seen no other");
    let error = Catalogue::update(&held, &forge.root, &forge.files, NOW.plus(200)).unwrap_err();
    assert!(matches!(&error, CatalogueError::Equivocation { name } if name == "1.risk-high.json"));
}

#[test]
fn changed_and_missing_bytes_are_refused() {
    let clean = Forge::new();
    for (name, bytes) in clean.files.iter() {
        let mut forge = clean.clone();
        forge.files.0.remove(name);
        if name == "1.root.json" {
            assert!(forge.read().is_ok(), "the pinned root is known already");
        } else {
            starts(&forge.refused(), "incomplete");
        }
        if name.contains('/') {
            let mut forge = clean.clone();
            forge.files.0.get_mut(name).unwrap()[0] ^= 1;
            starts(&forge.refused(), "mismatch");
        }
        let mut forge = clean.clone();
        let mut changed = bytes.to_vec();
        changed.push(b' ');
        forge.files.insert(name, changed);
        match name {
            // White space at its end is no part of what the timestamp's signature covers.
            "1.root.json" | "timestamp.json" => assert!(forge.read().is_ok()),
            _ => starts(&forge.refused(), "mismatch"),
        }
    }
}

#[test]
fn a_listed_length_is_the_length() {
    let refusal = forged_list("2.risk-low.json", |list| {
        list["targets"]["scripts/low/cache.clear-3.rhai"]["length"] = json!(1);
    });
    starts(&refusal, "mismatch: `scripts/low/cache.clear-3.rhai`");
}
