//! Every crate we link has a licence we allow; the list is deny.toml's.

use std::collections::BTreeSet;

use crate::{cargo, root};

fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let list = text.split("allow = [").nth(1).and_then(|t| t.split("\n]").next()).expect("allow");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be satisfied with the allowed licences (OR, AND, parentheses).
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    if expression.contains('(') {
        // `A AND (B OR C)`: every AND part needs one allowed member.
        return flat
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|l| allowed.contains(l.trim())));
    }
    flat.split(" OR ").any(|part| part.split(" AND ").all(|l| allowed.contains(l.trim())))
}

#[test]
fn every_linked_crate_has_an_allowed_licence() {
    let allowed = allowed();
    let lines = cargo(&[
        "tree",
        "--locked",
        "--workspace",
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "-f",
        "{p}|{l}",
    ]);
    let mut seen = BTreeSet::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.split_once('|').expect("package|licence");
        let licence = licence.trim_end_matches(" (*)").trim();
        let name = package.split(' ').next().unwrap_or_default();
        if name == "smartstring" {
            assert!(licence.starts_with("MPL-2.0"), "smartstring is the one named exception");
            continue;
        }
        assert!(satisfied(licence, &allowed), "{package}: licence `{licence}` is not in deny.toml");
        seen.insert(name.to_owned());
    }
    println!("{} crates, every licence allowed", seen.len());
    assert!(seen.len() > 50, "the tree was not read");
}
