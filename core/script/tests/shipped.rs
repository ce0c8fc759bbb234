//! Every shipped script is clean, and its cases come out as they say.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use script::{Script, about, cases, faults_text, lint};

fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let mut found = Vec::new();
    for area in fs::read_dir(&root).unwrap() {
        let area = area.unwrap().path();
        if area.is_dir() {
            let files = fs::read_dir(&area).unwrap().map(|file| file.unwrap().path());
            found.extend(files.filter(|file| file.extension().is_some_and(|end| end == "rhai")));
        }
    }
    found.sort();
    found
}

#[test]
fn the_scripts_are_there_and_lint_has_nothing_to_say() {
    let scripts = scripts();
    for name in
        ["cache/clear", "disk/free", "health/check", "service/restart", "user/password-reset"]
    {
        assert!(scripts.iter().any(|path| path.ends_with(format!("{name}.rhai"))), "{name}");
    }
    for path in scripts {
        let faults = lint::lint(&fs::read_to_string(&path).unwrap());
        assert!(faults.is_empty(), "{}\n{}", path.display(), faults_text(&faults));
    }
}

#[test]
fn every_case_of_every_script_comes_out_as_it_says() {
    let mut wrong = Vec::new();
    for path in scripts() {
        let source = fs::read_to_string(&path).unwrap();
        let author = "s.okafor".parse().unwrap();
        let manifest = about::read(&source, Some(&author)).unwrap();
        let script = Script::compile(&source).unwrap();
        let text = fs::read_to_string(path.with_extension("cases.toml")).unwrap();
        let cases = cases::read(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        assert!(cases.len() >= 5, "{} has {} cases", path.display(), cases.len());
        for case in cases {
            if let Err(why) = cases::check(&script, &manifest, &case) {
                wrong.push(format!("{}: {}\n{why}", manifest.name, case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_plan_and_its_fix_reach_for_the_same_things() {
    for path in scripts() {
        let source = fs::read_to_string(&path).unwrap();
        let manifest = about::read(&source, Some(&"s.okafor".parse().unwrap())).unwrap();
        let script = Script::compile(&source).unwrap();
        let text = fs::read_to_string(path.with_extension("cases.toml")).unwrap();
        for case in cases::read(&text).unwrap() {
            let mut planned = case.clone();
            planned.mode = protocol::Mode::Plan;
            let mut fixed = case;
            fixed.mode = protocol::Mode::Fix;
            let (_, plan) = cases::play(&script, &manifest, &planned);
            let (_, fix) = cases::play(&script, &manifest, &fixed);
            assert_eq!(plan.actions, fix.actions, "{}: {}", manifest.name, fixed.name);
        }
    }
}

#[test]
fn manifests_say_what_the_scripts_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let read = |path: &str| {
        let source = fs::read_to_string(root.join(path)).unwrap();
        about::read(&source, Some(&"s.okafor".parse().unwrap())).unwrap()
    };
    let cache = read("cache/clear.rhai");
    assert_eq!(cache.target_path(), "scripts/low/cache.clear-1.rhai");
    assert_eq!(cache.limit_seconds, 300);
    assert_eq!(cache.author.as_str(), "s.okafor");
    let health = read("health/check.rhai");
    assert!(health.permissions.is_empty(), "it must work with no permission");
    let password = read("user/password-reset.rhai");
    assert_eq!(password.risk, protocol::Risk::High);
    assert_eq!(password.consent, protocol::Consent::Identity);
    let service = read("service/restart.rhai");
    let unit = service.parameters.get("unit").unwrap();
    assert_eq!(unit.choices, Some(protocol::Choices::From("site.units".into())));
}

/// Features that would take the limits away, or bring back what was left out.
#[test]
fn rhai_is_pinned_and_built_without_what_would_unlock_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let workspace: toml::Table = fs::read_to_string(root).unwrap().parse().unwrap();
    let rhai = &workspace["workspace"]["dependencies"]["rhai"];
    assert!(rhai["version"].as_str().unwrap().starts_with('='), "{rhai}");
    assert_eq!(rhai["default-features"].as_bool(), Some(false));
    let features: Vec<_> =
        rhai["features"].as_array().unwrap().iter().filter_map(|f| f.as_str()).collect();
    for needed in ["no_float", "no_time"] {
        assert!(features.contains(&needed), "{needed}");
    }
    for banned in ["unchecked", "internals", "metadata", "sync", "grain", "no_module", "debugging"]
    {
        assert!(!features.contains(&banned), "{banned}");
    }
}
