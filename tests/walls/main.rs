//! The walls of the house: who may depend on whom, licences, lengths. Cheap on day one.

mod doors;
mod lengths;
mod licences;
mod programs;
mod words;

use std::path::PathBuf;
use std::process::Command;

/// The workspace's root.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_path_buf()
}

/// Runs cargo in the workspace and gives its output.
fn cargo(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo");
    assert!(out.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("cargo prints UTF-8")
}

/// Files that git tracks, with the given ending.
fn tracked(ending: &str) -> Vec<PathBuf> {
    let out =
        Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git");
    assert!(out.status.success(), "git ls-files failed; the walls are checked in a git checkout");
    let names = String::from_utf8(out.stdout).expect("names are UTF-8");
    let files: Vec<_> = names
        .split('\0')
        .filter(|name| name.ends_with(ending))
        .map(|name| root().join(name))
        .collect();
    assert!(!files.is_empty(), "no {ending} file is tracked");
    files.into_iter().filter(|file| file.exists()).collect()
}
