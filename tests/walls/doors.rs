//! A crate exists because it forbids a dependency, has other rights, is another process, or both
//! sides need it. This is the table that holds it to that.

use std::collections::BTreeSet;

use crate::cargo;

/// Every crate that `package` links in a release (normal edges, all of them).
fn linked(package: &str) -> BTreeSet<String> {
    let tree = cargo(&[
        "tree", "--locked", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p}",
    ]);
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn never(package: &str, banned: &[&str]) {
    let linked = linked(package);
    println!("{package}: {} crates, none of {banned:?}", linked.len());
    let found: Vec<_> = banned.iter().filter(|name| linked.contains(**name)).collect();
    assert!(
        found.is_empty(),
        "`{package}` must never link {found:?}: cargo tree -p {package} -i {found:?}"
    );
}

const FACES: [&str; 6] = ["rusqlite", "ratatui", "axum", "clap", "aws-lc-sys", "openssl-sys"];

#[test]
fn the_gate_cannot_decide_or_run_anything() {
    never("gate", &["trust", "policy", "script", "rhai", "ed25519-dalek", "sigstore-tuf"]);
    never("gate", &FACES);
}

#[test]
fn the_keeper_has_no_network_and_reads_no_script() {
    never("keeper", &["quinn", "rustls", "rhai", "tokio", "link", "script"]);
    never("keeper", &FACES);
}

#[test]
fn the_interpreter_has_nothing_but_the_script() {
    never("interpreter", &["quinn", "tokio", "rustls", "trust", "policy", "link", "keeper"]);
    never("interpreter", &FACES);
}

#[test]
fn the_executor_reads_no_script_and_has_no_network_stack() {
    never("executor", &["quinn", "tokio", "rustls", "rhai", "script", "trust", "policy", "link"]);
    never("executor", &FACES);
}

#[test]
fn who_asks_the_person_at_the_machine_knows_nothing_else() {
    let more = ["quinn", "tokio", "rustls", "rhai", "script", "trust", "policy", "link", "keeper"];
    never("prompter", &more);
    never("prompter", &FACES);
}

#[test]
fn what_both_sides_share_does_no_io() {
    never("protocol", &["tokio", "rusqlite", "rustls", "ed25519-dalek", "rhai", "rustix"]);
    never("trust", &["tokio", "rusqlite", "rustls", "rhai", "quinn", "reqwest"]);
    never("surface", &["tokio", "rusqlite", "rhai", "ed25519-dalek"]);
    never("policy", &["tokio", "rusqlite", "rhai", "rustls"]);
    never("script", &["tokio", "rusqlite", "rustls", "ed25519-dalek"]);
    never("link", &["rusqlite", "rhai", "ed25519-dalek", "trust", "policy"]);
}

#[test]
fn the_desk_has_doors_too() {
    never("store", &["tokio", "quinn", "rhai", "clap"]);
    never("tickets", &["rusqlite", "quinn", "rhai", "trust", "clap"]);
    never("evidence", &["store", "tickets", "link", "certs", "script", "desk"]);
    never("evidence", &["tokio", "quinn", "rustls", "rusqlite", "rhai", "clap", "reqwest"]);
    never("console", &["hatch", "keeper", "executor", "interpreter", "gate", "aws-lc-sys"]);
}

/// Direct dependencies that only one room may have.
#[test]
fn each_dangerous_library_has_one_room() {
    let metadata: serde_json::Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]))
    .expect("cargo metadata is JSON");
    let wrappers: &[(&str, &[&str])] = &[
        ("quinn", &["link"]),
        ("rustls", &["link", "certs"]),
        ("ring", &["link"]),
        ("rhai", &["script"]),
        ("rusqlite", &["store"]),
        ("ed25519-dalek", &["trust"]),
        ("sigstore-tuf", &["trust"]),
        ("hpke", &["trust"]),
        ("clap", &["console"]),
        ("landlock", &["hatch"]),
        ("seccompiler", &["hatch"]),
        ("zbus", &["bus", "executor"]),
    ];
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let wanted = dependency["name"].as_str().expect("name");
            if let Some((_, rooms)) = wrappers.iter().find(|(library, _)| *library == wanted) {
                assert!(rooms.contains(&name), "`{name}` depends on {wanted}; only {rooms:?} may");
            }
        }
    }
}
