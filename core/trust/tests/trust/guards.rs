//! Attacks on the catalogue: each is signed well and refused all the same, for a stated reason.

use std::collections::BTreeMap;

use protocol::{AgentName, Digest, PublicKey, Risk, limits};
use serde_json::{Value, json};
use trust::catalogue::{Lifetimes, Repository, RoleKeys};
use trust::{Signer as _, key_id};

use crate::forge::{Forge, forged, forged_top, starts};
use crate::sample::{self, NOW, all, key, keys, manifest, role};

fn made() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let repository = sample::repository(folder.path()).unwrap();
    (folder, repository)
}

#[test]
fn the_forge_itself_makes_a_good_catalogue() {
    let mut forge = Forge::new();
    assert!(forge.read().is_ok());
    assert!(forge.pin().read().is_ok(), "so that what follows is refused for its own reason");
}

#[test]
fn one_key_under_two_ids_is_one_key() {
    // E8: TUF lets one private key reach a threshold of two this way.
    starts(
        &forged(|forge| {
            let mut top = forge.signed("1.targets.json");
            let id = key_id(&key("vetter a").public_key());
            let alias = "11".repeat(32);
            let keys = top["delegations"]["keys"].as_object_mut().unwrap();
            let twin = keys[&id].clone();
            keys.insert(alias.clone(), twin);
            for role in top["delegations"]["roles"].as_array_mut().unwrap() {
                role["keyids"].as_array_mut().unwrap().push(json!(alias));
            }
            forge.put("1.targets.json", &top, &["admin a"]);
            let list = forge.signed("2.risk-medium.json");
            let both = Forge::sign(&list, &[("", "vetter a"), (&alias, "vetter a")]);
            forge.files.insert("2.risk-medium.json", both);
            forge.pin();
        }),
        "key: `1.targets.json` lists a key that is not taken: a key under another id than its own",
    );
}

#[test]
fn one_vetter_is_never_two() {
    let list = |signers: &'static [&'static str]| {
        forged(move |forge| {
            let list = forge.signed("2.risk-medium.json");
            forge.put("2.risk-medium.json", &list, signers).pin();
        })
    };
    starts(&list(&["vetter a"]), "threshold");
    starts(&list(&["vetter a", "vetter a"]), "threshold");
    starts(&list(&["vetter a", "admin a"]), "threshold");
    starts(&list(&["vetter a", "a.kaya"]), "threshold");
    starts(&list(&[]), "threshold");
}

#[test]
fn thresholds_are_counted_over_people() {
    let (_folder, repository) = made();
    let catalogue = repository.catalogue(NOW).unwrap();
    let people = |pairs: &'static [(&'static str, &'static str)]| {
        let people: BTreeMap<PublicKey, AgentName> = pairs
            .iter()
            .map(|(name, person)| (key(name).public_key(), person.parse().unwrap()))
            .collect();
        let answer = catalogue.check_people(&|key| people.get(key).cloned());
        answer.map_err(|error| format!("{}: {error}", error.code()))
    };
    let good =
        people(&[("vetter a", "l.brandt"), ("vetter b", "s.okafor"), ("vetter c", "m.ruiz")]);
    assert_eq!(good, Ok(()));
    let two =
        people(&[("vetter a", "l.brandt"), ("vetter b", "s.okafor"), ("vetter c", "l.brandt")]);
    assert_eq!(two, Err("people: role `risk-high` lists two keys of l.brandt".to_owned()));
    // A key that belongs to nobody counts for nobody.
    let stranger = people(&[("vetter a", "s.okafor")]).unwrap_err();
    let wanted =
        "people: `scripts/medium/service.restart-1.rhai` was vetted by 1 people, 2 are needed";
    assert_eq!(stranger, wanted, "and so its author alone is too few");
}

#[test]
fn the_top_level_lists_nothing_itself() {
    starts(
        &forged_top(|top| {
            let entry = json!({ "length": 1, "hashes": { "sha256": Digest::of(b"x") } });
            top["targets"] = json!({ "scripts/medium/evil.script-1.rhai": entry });
        }),
        "layout: `1.targets.json`: the top-level targets may list no targets",
    );
}

#[test]
fn delegations_have_one_layout() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 9] = [
        ("layout: `1.targets.json`: a delegated role that salve", |role| {
            role["name"] = json!("risk-none")
        }),
        ("layout: `1.targets.json`: a delegated role has another", |role| {
            role["paths"] = json!(["scripts/*/*"])
        }),
        ("layout: `1.targets.json`: a delegated role has another", |role| {
            role["path_hash_prefixes"] = json!([""]);
        }),
        ("layout: `1.targets.json`: a delegation does not end", |role| {
            role["terminating"] = json!(false)
        }),
        ("layout: `1.targets.json`: a threshold is zero", |role| role["threshold"] = json!(0)),
        ("layout: `1.targets.json`: a threshold is zero", |role| role["threshold"] = json!(9)),
        ("layout: `1.targets.json`: a role lists one key twice", |role| {
            let first = role["keyids"][0].clone();
            role["keyids"].as_array_mut().unwrap().push(first);
        }),
        ("layout: `1.targets.json`: a role names a key", |role| {
            role["keyids"].as_array_mut().unwrap().push(json!("22".repeat(32)));
        }),
        ("layout: `1.targets.json`: a role is delegated twice", |role| {
            role["name"] = json!("risk-medium");
            role["paths"] = json!(["scripts/medium/*"]);
        }),
    ];
    for (wanted, change) in cases {
        starts(
            &forged_top(|top| {
                let roles = top["delegations"]["roles"].as_array_mut().unwrap();
                change(roles.iter_mut().find(|role| role["name"] == "risk-low").unwrap());
            }),
            wanted,
        );
    }
    starts(
        &forged_top(|top| {
            let roles = top["delegations"]["roles"].as_array_mut().unwrap();
            roles.retain(|role| role["name"] != "policy");
        }),
        "layout: `1.targets.json`: role `policy` is not delegated",
    );
    // Another way to delegate that TUF knows.
    starts(
        &forged_top(|top| top["delegations"]["succinct_roles"] = json!({})),
        "layout: `1.targets.json`: delegations have keys and roles and nothing else",
    );
}

#[test]
fn a_root_has_one_layout_and_its_own_key_ids() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 5] = [
        ("layout: `1.root.json`: snapshots must be consistent", |root| {
            root["consistent_snapshot"] = json!(false);
        }),
        ("layout: `1.root.json`: a root has the four roles", |root| {
            root["roles"]["mirrors"] = root["roles"]["root"].clone();
        }),
        ("layout: `1.root.json`: a threshold is zero", |root| {
            root["roles"]["timestamp"]["threshold"] = json!(0);
        }),
        ("layout: `1.root.json`: a role lists one key twice", |root| {
            let first = root["roles"]["targets"]["keyids"][0].clone();
            root["roles"]["targets"]["keyids"].as_array_mut().unwrap().push(first);
        }),
        ("key: `1.root.json` lists a key that is not taken: a key under another id", |root| {
            let id = root["roles"]["targets"]["keyids"][0].as_str().unwrap().to_owned();
            let alias = "33".repeat(32);
            root["keys"][&alias] = root["keys"][&id].clone();
            root["roles"]["targets"]["keyids"].as_array_mut().unwrap().push(json!(alias));
        }),
    ];
    for (wanted, change) in cases {
        let refusal = forged(|forge| {
            let mut root = forge.signed("1.root.json");
            change(&mut root);
            forge.put("1.root.json", &root, &["root a", "root b"]);
            forge.root = forge.files.get("1.root.json").unwrap().to_vec();
        });
        starts(&refusal, wanted);
    }
}

#[test]
fn only_plain_strong_ed25519_keys_are_taken() {
    type Change = fn(&mut Value);
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PublicKey(identity);
    let weak_value =
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": weak } });
    let cases: [(&str, Change); 4] = [
        ("key: `1.targets.json` lists a key that is not taken: only", |k| {
            k["scheme"] = json!("ecdsa-sha2-nistp256")
        }),
        ("key: `1.targets.json` lists a key that is not taken: only", |k| {
            k["keytype"] = json!("rsa")
        }),
        ("key: `1.targets.json` lists a key that is not taken: a public key is 64", |k| {
            k["keyval"]["public"] = json!(k["keyval"]["public"].as_str().unwrap().to_uppercase());
        }),
        ("key: `1.targets.json` lists a key that is not taken: a key has", |k| {
            k["keyval"]["private"] = json!("x")
        }),
    ];
    for (wanted, change) in cases {
        starts(
            &forged_top(|top| {
                let keys = top["delegations"]["keys"].as_object_mut().unwrap();
                change(keys.values_mut().next().unwrap());
            }),
            wanted,
        );
    }
    starts(
        &forged_top(move |top| {
            let keys = top["delegations"]["keys"].as_object_mut().unwrap();
            keys.insert(key_id(&weak), weak_value);
        }),
        "key: `1.targets.json` lists a key that is not taken: a weak key",
    );
}

#[test]
fn json_with_two_readings_is_refused() {
    for (from, to) in [
        ("\"version\":3", "\"version\":9,\"version\":3"),
        ("\"issued\"", "\"x\":1.5,\"issued\""),
        ("\"issued\"", "\"x\":9007199254740993,\"issued\""),
        ("{\"signatures\"", "{\"signatures\":[],\"signatures\""),
    ] {
        let refusal = forged(|forge| {
            let text = String::from_utf8(forge.files.get("timestamp.json").unwrap().to_vec());
            let changed = text.unwrap().replacen(from, to, 1).into_bytes();
            forge.files.insert("timestamp.json", changed);
        });
        starts(&refusal, "malformed: `timestamp.json` is not strict JSON");
    }
    // Every kind of file, and before anything else of it is believed.
    let two = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replacen("\"version\":", "\"version\":9,\"version\":", 1).into_bytes()
    };
    for file in ["3.snapshot.json", "1.targets.json", "2.risk-medium.json", "1.policy.json"] {
        let refusal = forged(|forge| {
            let changed = two(forge.files.get(file).unwrap());
            forge.files.insert(file, changed);
        });
        starts(&refusal, &format!("malformed: `{file}` is not strict JSON"));
    }
    let pinned = forged(|forge| forge.root = two(&forge.root));
    starts(&pinned, "malformed: `root.json` is not strict JSON");
    let next = forged(|forge| {
        let changed = two(&forge.root);
        forge.files.insert("2.root.json", changed);
    });
    starts(&next, "malformed: `2.root.json` is not strict JSON");
}

#[test]
fn pins_have_length_and_digest_and_a_timestamp_its_issue() {
    type Change = fn(&mut Value);
    let cases: [Change; 4] = [
        |pin| drop(pin.as_object_mut().unwrap().remove("length")),
        |pin| drop(pin.as_object_mut().unwrap().remove("hashes")),
        |pin| pin["hashes"]["sha512"] = json!("00"),
        |pin| pin["hashes"] = json!({}),
    ];
    for change in cases {
        let refusal = forged(|forge| {
            let mut snapshot = forge.signed("3.snapshot.json");
            change(&mut snapshot["meta"]["risk-low.json"]);
            forge.put("3.snapshot.json", &snapshot, &["online"]).stamp(3);
        });
        starts(&refusal, "layout: `3.snapshot.json`: a file is not pinned by length and sha256");
    }
    for issued in [Value::Null, json!("yesterday"), json!(7)] {
        let refusal = forged(|forge| {
            let mut timestamp = forge.signed("timestamp.json");
            timestamp["issued"] = issued;
            forge.put("timestamp.json", &timestamp, &["online"]);
        });
        starts(&refusal, "layout: `timestamp.json`: a timestamp says when it was issued");
    }
    let extra = forged(|forge| {
        let mut snapshot = forge.signed("3.snapshot.json");
        snapshot["meta"]["risk-none.json"] = snapshot["meta"]["risk-low.json"].clone();
        forge.put("3.snapshot.json", &snapshot, &["online"]).stamp(3);
    });
    starts(&extra, "layout: `3.snapshot.json`: a snapshot names a role that salve does not know");
    let zero = forged(|forge| {
        let mut snapshot = forge.signed("3.snapshot.json");
        snapshot["meta"]["risk-low.json"]["version"] = json!(0);
        forge.put("3.snapshot.json", &snapshot, &["online"]).stamp(3);
    });
    starts(&zero, "layout: `3.snapshot.json`: versions begin at 1");
    let more = forged(|forge| {
        let mut timestamp = forge.signed("timestamp.json");
        timestamp["meta"]["other.json"] = timestamp["meta"]["snapshot.json"].clone();
        forge.put("timestamp.json", &timestamp, &["online"]);
    });
    starts(&more, "layout: `timestamp.json`: a timestamp names the snapshot and nothing else");
}

#[test]
fn a_huge_version_is_no_version() {
    // E11: a fast-forward to the end of the number range would block every later update.
    for version in [1_u64 << 53, u64::MAX] {
        let refusal = forged(|forge| {
            forge.stamp(version);
        });
        starts(&refusal, "malformed: `timestamp.json` is not strict JSON");
    }
}

#[test]
fn too_much_is_refused_before_anything_is_read() {
    let mut forge = Forge::new();
    forge.files.insert("9.snapshot.json", vec![b' '; limits::CATALOGUE_BYTES_MAX]);
    starts(&forge.refused(), "too-large");
    let mut forge = Forge::new();
    for number in 0..limits::CATALOGUE_FILES_MAX {
        forge.files.insert(format!("scripts/low/{number}"), Vec::new());
    }
    starts(&forge.refused(), "too-large");
}

#[test]
fn a_repository_of_one_person_is_possible_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let alone = |names: &[&str]| role(1, names);
    let plan = trust::catalogue::RepositoryPlan {
        root: alone(&["root a"]),
        targets: alone(&["admin a"]),
        policy: alone(&["admin a"]),
        risks: Risk::ALL.into_iter().map(|risk| (risk, alone(&["vetter a"]))).collect(),
        online: key("online").public_key(),
        lifetimes: Lifetimes::small(),
        policy_text: String::new(),
    };
    let signers = keys(&["root a", "admin a", "vetter a", "online"]);
    let mut repository = Repository::create(folder.path(), plan, &all(&signers), NOW).unwrap();
    let high = manifest("user.remove", 1, Risk::High).unwrap();
    repository.add_script(b"x", &high, &all(&signers), NOW).unwrap();
    let catalogue = repository.catalogue(NOW).unwrap();
    assert_eq!(
        catalogue.weaknesses(),
        [
            "scripts of every risk need one signature of 1",
            "root changes need one signature of 1",
            "changes of roles need one signature of 1",
            "policy changes need one signature of 1",
        ]
    );
    assert!(catalogue.check_people(&|_| None).is_ok(), "one of one asks for nobody else");
}

#[test]
fn one_signature_of_several_is_said_for_each_risk() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = sample::plan();
    let names = [&["vetter a"][..], &["vetter a"], &["vetter a", "vetter b"]];
    plan.risks = Risk::ALL.into_iter().zip(names.map(|names| role(1, names))).collect();
    let signers = keys(&sample::EVERYBODY);
    let repository = Repository::create(folder.path(), plan, &all(&signers), NOW).unwrap();
    let said = repository.catalogue(NOW).unwrap().weaknesses();
    let of = |risk: Risk, keys| format!("scripts of {risk} risk need one signature of {keys}");
    assert_eq!(said[..3], [of(Risk::Low, 1), of(Risk::Medium, 1), of(Risk::High, 2)]);
}

#[test]
fn weak_or_doubled_keys_are_never_published() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = sample::plan();
    let doubled = key("admin a").public_key();
    plan.policy = RoleKeys::new(1, [doubled, doubled]);
    let signers = keys(&sample::EVERYBODY);
    assert!(Repository::create(folder.path(), plan, &all(&signers), NOW).is_err());
    assert!(!folder.path().join("timestamp.json").exists());
}

#[test]
fn an_online_key_alone_does_not_move_the_time_to_where_nothing_is_fresh() {
    // The floor of every later judgement: beyond the root's end nothing could ever be taken again.
    let refusal = forged(|forge| {
        let mut timestamp = forge.signed("timestamp.json");
        timestamp["issued"] = json!("2999-01-01T00:00:00Z");
        timestamp["expires"] = json!("2999-12-31T00:00:00Z");
        forge.put("timestamp.json", &timestamp, &["online"]);
    });
    starts(&refusal, "stale: `root` expired");
}
