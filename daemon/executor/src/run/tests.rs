//! A run as a whole: refusals, broken files, lost keepers and hostile interpreters.

use proptest::prelude::*;

use super::*;
use crate::testing::{self, put};

#[test]
fn every_row_has_a_function_here() {
    let tree = testing::machine();
    let mut made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
    for row in surface::REGISTRY {
        let checked = Checked::bare(row);
        let answer = made.run.dispatch(&checked);
        assert!(answer.is_ok() || !answer.unwrap_err().fatal, "{}", row.name);
    }
}

#[test]
fn after_the_deadline_no_call_is_answered() {
    let tree = testing::machine();
    let mut start = testing::start(Mode::Check, &[], &[]);
    start.limit_ms = 0;
    let mut made = testing::open(&tree, start);
    let error = made.call("host.memory", &[]).unwrap_err();
    assert_eq!((error.code.as_str(), error.fatal), ("limit_time", true));
    assert_eq!(made.run.report.limits_hit, ["time"]);
}

#[test]
fn what_the_keeper_says_must_be_known_here() {
    let tree = testing::machine();
    for (grants, classes) in [
        (&[("fs.chmod", &[][..])][..], &[][..]),
        (&[("fs.find", &["relative/*"][..])][..], &[][..]),
        (&[][..], &["everything"][..]),
    ] {
        let file = tempfile::tempfile().unwrap();
        let keeper = Box::new(testing::Heard::default());
        let parts = Parts { root: tree.root.clone(), effects: file, keeper, bus: None };
        assert!(Run::open(testing::start(Mode::Fix, grants, classes), parts).is_err());
    }
}

#[test]
fn nothing_is_done_that_could_not_be_written_down() {
    let tree = testing::machine();
    put(&tree.root, "/tmp/a", "1");
    put(&tree.root, "/var/cache/apt/archives/a.deb", "1");
    let grants: &[(&str, &[&str])] = &[
        ("fs.find", &["/tmp/**"]),
        ("fs.remove", &["/tmp/**"]),
        ("pkg.clean_cache", &[]),
        ("secret.one_time", &[]),
        ("user.clear_failures", &["humans"]),
    ];
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let keeper = testing::Heard::default();
    let heard = keeper.messages.clone();
    let parts =
        Parts { root: tree.root.clone(), effects: full, keeper: Box::new(keeper), bus: None };
    let start = testing::start(Mode::Fix, grants, &["files", "accounts"]);
    let mut run = Run::open(start, parts).unwrap();
    run.phase(Phase::Detect).unwrap();
    run.phase(Phase::Remediate).unwrap();
    let call = |run: &mut Run, function: &str, args: &[Value]| {
        run.call(&Call { function: function.to_owned(), args: args.to_vec() })
    };
    let found = call(&mut run, "fs.find", &[Value::text("/tmp/**")]).unwrap();
    for (function, args) in [
        ("fs.remove", vec![found]),
        ("pkg.clean_cache", Vec::new()),
        ("secret.one_time", Vec::new()),
        ("user.clear_failures", vec![Value::text("jo")]),
    ] {
        let error = call(&mut run, function, &args).unwrap_err();
        assert_eq!((error.code.as_str(), error.fatal), ("effects", true), "{function}");
    }
    assert!(tree.root.at("/tmp/a").exists());
    assert!(tree.root.at("/var/cache/apt/archives/a.deb").exists());
    let asked = |message: &FromExecutor| matches!(message, FromExecutor::OneTime { .. });
    assert!(!heard.borrow().iter().any(asked));
}

#[test]
fn a_keeper_that_seals_nothing_or_is_gone_gives_no_secret() {
    let tree = testing::machine();
    let grants: &[(&str, &[&str])] = &[("secret.one_time", &[])];
    let file = tempfile::tempfile().unwrap();
    let keeper = Box::new(testing::Heard::default());
    let parts = Parts { root: tree.root.clone(), effects: file, keeper, bus: None };
    let mut run = Run::open(testing::start(Mode::Fix, grants, &[]), parts).unwrap();
    run.phase(Phase::Detect).unwrap();
    run.phase(Phase::Remediate).unwrap();
    let call = Call { function: "secret.one_time".to_owned(), args: Vec::new() };
    let error = run.call(&call).unwrap_err();
    assert_eq!((error.code.as_str(), error.fatal), ("failed", false));
    assert!(!run.vault.has(0));
    run.keeper = Box::new(Gone);
    let error = run.call(&call).unwrap_err();
    assert_eq!((error.code.as_str(), error.fatal), ("interrupted", true));
}

#[derive(Debug)]
struct Gone;

impl Keeper for Gone {
    fn tell(&mut self, _: &FromExecutor) -> Result<(), Lost> {
        Err(Lost)
    }
    fn flush(&mut self) -> Result<(), Lost> {
        Err(Lost)
    }
    fn hear(&mut self, _: crate::clock::Deadline) -> Result<hatch::ToExecutor, Lost> {
        Err(Lost)
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("/tmp/**"),
        Just("/tmp/a"),
        Just("/etc/passwd"),
        Just("/tmp/../etc/passwd"),
        Just("jo"),
        Just("root"),
        Just("x.service"),
        Just("files"),
        Just("{homes}/.cache/x/**"),
        Just(""),
        Just("humans"),
        Just("/var/cache/apt/archives/a.deb"),
        Just("\0"),
    ];
    let leaf = prop_oneof![
        Just(Value::Unit),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![any::<i64>(), 0i64..200].prop_map(Value::Int),
        text.prop_map(Value::text),
        (0u32..4).prop_map(Value::Secret),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key =
            prop_oneof![Just("path"), Just("size"), Just("only"), Just("older"), Just("wait")];
        let key = key.prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::btree_map(key, inner, 0..3).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_an_interpreter_says_only_permitted_files_go(
        calls in proptest::collection::vec(
            (0..surface::REGISTRY.len(), proptest::collection::vec(value(), 0..4)),
            1..25,
        ),
    ) {
        let tree = testing::machine();
        for path in ["/tmp/a", "/tmp/b/c", "/var/cache/apt/archives/a.deb", "/home/jo/.cache/x/y"] {
            put(&tree.root, path, "12345");
        }
        let grants: &[(&str, &[&str])] = &[
            ("fs.find", &["/tmp/**", "{homes}/.cache/x/**"]),
            ("fs.remove", &["/tmp/b/*"]),
            ("user.set_password", &["humans"]),
            ("user.clear_failures", &["humans"]),
            ("service.restart", &["x.service"]),
            ("secret.one_time", &[]),
        ];
        let start = testing::start(Mode::Fix, grants, &["files", "accounts", "services"]);
        let mut made = testing::open(&tree, start);
        made.remediate();
        let before = testing::picture(tree.root.top());
        // Something that may go is always among what was found.
        made.call("fs.find", &[Value::text("/tmp/**")]).unwrap();
        for (row, args) in calls {
            let _ = made.call(surface::REGISTRY[row].name, &args);
        }
        let all = [Value::text("/tmp/b/c"), Value::text("/tmp/a")].map(|path| vec![path]);
        for list in all {
            let _ = made.call("fs.remove", &[Value::List(list)]);
        }
        let after = testing::picture(tree.root.top());
        let gone: Vec<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        let permitted = tree.root.at("/tmp/b/c");
        prop_assert_eq!(gone, [permitted.to_str().unwrap()]);
        for (path, was) in &before {
            let same = after.get(path).is_none_or(|is| {
                (is.0, is.3, &is.4) == (was.0, was.3, &was.4)
            });
            prop_assert!(same, "{}", path);
        }
        prop_assert!(after.keys().all(|path| before.contains_key(path)));
    }
}
