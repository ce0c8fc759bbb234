//! Accounts on a made machine whose three programs are small shell scripts.

use protocol::{Bytes, Mode};

use super::*;
use crate::testing::{self, Made, Tree, put};

const GRANTS: &[(&str, &[&str])] = &[
    ("user.get", &[]),
    ("user.set_password", &["humans"]),
    ("user.require_change", &["jo", "root"]),
    ("user.clear_failures", &["humans"]),
];
const CLASSES: &[&str] = &["accounts"];

/// A program of the made machine; `$T` is its root.
fn program(tree: &Tree, program: Program, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = tree.root.at(program.path());
    let top = tree.root.top().display();
    put(&tree.root, program.path(), format!("#!/bin/sh\nT={top}\n{script}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn fix(tree: &Tree) -> Made {
    let mut start = testing::start(Mode::Fix, GRANTS, CLASSES);
    start.secrets.insert("pw".into(), Bytes(b"Correct:Horse".to_vec()));
    let mut made = testing::open(tree, start);
    made.remediate();
    made
}

fn field(made: &mut Made, name: &str, key: &str) -> Value {
    made.call("user.get", &[Value::text(name)]).unwrap().get(key).unwrap().clone()
}

const SET: &str = "read -r line; echo \"$line\" >$T/stdin; echo \"$0 $* $(env)\" >$T/seen
sed -i 's/^jo:[^:]*:[^:]*/jo:$y$new:20700/' $T/etc/shadow";

#[test]
fn a_password_is_set_by_stdin_and_read_again() {
    let tree = testing::machine();
    program(&tree, Program::SetPassword, SET);
    let mut made = fix(&tree);
    made.call("user.set_password", &[Value::text("jo"), Value::Secret(0)]).unwrap();
    assert_eq!(tree.root.text("/stdin").unwrap(), "jo:Correct:Horse\n");
    let seen = tree.root.text("/seen").unwrap();
    assert!(!seen.contains("Horse") && seen.contains("LC_ALL=C") && !seen.contains("CARGO"));
    let effects = made.effects();
    assert!(effects.contains("\"done\"") && !effects.contains("Horse"), "{effects}");
}

#[test]
fn what_the_files_say_counts_more_than_what_the_program_says() {
    for (script, state, word) in [
        ("cat >/dev/null; exit 0", "failed", Some("not done: the program ended with 0")),
        ("cat >/dev/null; echo no luck >&2; exit 1", "failed", Some("ended with 1: no luck")),
        (&*format!("{SET}\nexit 1"), "done", None),
        ("cat >/dev/null; rm $T/etc/shadow", "unknown", Some("unknown whether it was done")),
        ("read -r l; echo \"$l\" >&2; exit 3", "failed", Some("what may not be repeated")),
    ] {
        let tree = testing::machine();
        program(&tree, Program::SetPassword, script);
        let mut made = fix(&tree);
        let answer = made.call("user.set_password", &[Value::text("jo"), Value::Secret(0)]);
        let message = answer.err().map(|error| error.message);
        match word {
            Some(word) => assert!(message.as_deref().unwrap().contains(word), "{message:?}"),
            None => assert_eq!(message, None),
        }
        assert!(made.effects().contains(&format!("\"state\":\"{state}\"")), "{script}");
        let all = format!("{message:?} {:?} {}", made.heard.borrow(), made.effects());
        assert!(!all.contains("Horse"), "{all}");
    }
}

#[test]
fn only_people_can_be_changed_whatever_is_granted() {
    let tree = testing::machine();
    let mut made = fix(&tree);
    for name in ["root", "toor", "daemon", "nobody", "svc", "quiet", "ghost", "-d", "jo\nroot"] {
        let code = made.code("user.clear_failures", &[Value::text(name)]);
        assert_eq!(code, "not_human", "{name}");
    }
    assert_eq!(made.code("user.require_change", &[Value::text("root")]), "not_human");
    assert_eq!(made.code("user.require_change", &[Value::text("mo")]), "not_permitted");
    let unknown = [Value::text("jo"), Value::Secret(9)];
    assert_eq!(made.code("user.set_password", &unknown), "bad_argument");
    assert_eq!(made.effects(), "");
}

#[test]
fn a_program_that_hangs_is_ended_with_the_run() {
    let tree = testing::machine();
    program(&tree, Program::RequireChange, "exec sleep 600");
    let mut start = testing::start(Mode::Fix, GRANTS, CLASSES);
    start.limit_ms = 300;
    let mut made = testing::open(&tree, start);
    made.remediate();
    let error = made.call("user.require_change", &[Value::text("jo")]).unwrap_err();
    assert_eq!(error.message, "not done: the program did not end in time");
}

#[test]
fn a_missing_program_changes_nothing_and_says_so() {
    let tree = testing::machine();
    let mut made = fix(&tree);
    let error = made.call("user.require_change", &[Value::text("jo")]).unwrap_err();
    assert!(error.message.starts_with("not done: could not start /usr/bin/chage"), "{error:?}");
}

#[test]
fn a_plan_is_seen_by_what_follows_and_starts_nothing() {
    let tree = testing::machine();
    let mut start = testing::start(Mode::Plan, GRANTS, &[]);
    start.secrets.insert("pw".into(), Bytes(b"x".to_vec()));
    let mut made = testing::open(&tree, start);
    made.remediate();
    let before = testing::picture(tree.root.top());
    assert_eq!(field(&mut made, "jo", "changed_days"), Value::Int(775));
    made.call("user.set_password", &[Value::text("mo"), Value::Secret(0)]).unwrap();
    assert_eq!(field(&mut made, "mo", "password"), Value::text("set"));
    assert_eq!(field(&mut made, "mo", "must_change"), Value::Bool(false));
    made.call("user.require_change", &[Value::text("jo")]).unwrap();
    assert_eq!(field(&mut made, "jo", "must_change"), Value::Bool(true));
    made.call("user.clear_failures", &[Value::text("jo")]).unwrap();
    assert_eq!(field(&mut made, "jo", "failures"), Value::Int(0));
    assert_eq!(testing::picture(tree.root.top()), before);
    let keys: Vec<_> = made.lines().into_iter().map(|line| line.key).collect();
    assert_eq!(keys, ["mo", "jo", "jo"]);
}

#[test]
fn accounts_are_told_from_the_files() {
    let tree = testing::machine();
    let mut made = testing::open(&tree, testing::start(Mode::Check, &[("user.get", &[])], &[]));
    assert_eq!(made.call("user.get", &[Value::text("ghost")]), Ok(Value::Unit));
    for (name, key, value) in [
        ("jo", "human", Value::Bool(true)),
        ("jo", "password", Value::text("set")),
        ("mo", "locked", Value::Bool(true)),
        ("mo", "must_change", Value::Bool(true)),
        ("mo", "changed_days", Value::Unit),
        ("mo", "expired", Value::Bool(true)),
        ("jo", "expired", Value::Bool(false)),
        ("quiet", "password", Value::text("none")),
        ("root", "human", Value::Bool(false)),
        ("svc", "locked", Value::Bool(true)),
    ] {
        assert_eq!(field(&mut made, name, key), value, "{name} {key}");
    }
    put(&tree.root, "/etc/nsswitch.conf", "passwd: files sss\n");
    assert_eq!(made.code("user.get", &[Value::text("ghost")]), "unknowable");
}
