//! Finding and removing on made trees: what may go, what never goes, and what is written down.

use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

use proptest::prelude::*;
use protocol::{EffectTally, Mode, PlanLine};
use rustix::fs::OFlags;

use super::*;
use crate::testing::{self, Made, Tree, picture, put};

const TMP: &[&str] = &["/tmp/**"];
const CACHE: &[&str] = &["{homes}/.cache/x/**"];

fn open(tree: &Tree, mode: Mode, nouns: &[&str]) -> Made {
    let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
    let mut made = testing::open(tree, testing::start(mode, grants, &["files"]));
    made.remediate();
    made
}
fn find(made: &mut Made, pattern: &str) -> Value {
    made.call("fs.find", &[Value::text(pattern)]).unwrap()
}
fn paths(value: &Value) -> Vec<String> {
    let path = |one: &Value| one.get("path").unwrap().as_text().unwrap().to_owned();
    value.as_list().unwrap().iter().map(path).collect()
}
fn went(count: i64, bytes: i64, skipped: i64) -> Value {
    let [count, bytes, skipped] = [count, bytes, skipped].map(Value::Int);
    Value::map([("count", count), ("bytes", bytes), ("skipped", skipped)])
}

#[test]
fn symlinks_and_what_they_point_to_stay() {
    let tree = testing::machine();
    put(&tree.root, "/etc/precious/key", "keep");
    put(&tree.root, "/tmp/real/a", "12345");
    symlink(tree.root.at("/etc/precious"), tree.root.at("/tmp/folder")).unwrap();
    symlink(tree.root.at("/etc/precious/key"), tree.root.at("/tmp/file")).unwrap();
    symlink("../../etc/precious/key", tree.root.at("/tmp/real/up")).unwrap();
    let mut made = open(&tree, Mode::Fix, TMP);
    let files = find(&mut made, "/tmp/**");
    assert_eq!(paths(&files), ["/tmp/real/a"]);
    assert_eq!(made.call("fs.remove", &[files]), Ok(went(1, 5, 0)));
    assert_eq!(tree.root.text("/etc/precious/key").unwrap(), "keep");
}

#[test]
fn a_folder_swapped_for_a_symlink_after_the_search_leads_nowhere() {
    let tree = testing::machine();
    put(&tree.root, "/etc/precious/a", "12345");
    put(&tree.root, "/tmp/real/a", "12345");
    let mut made = open(&tree, Mode::Fix, TMP);
    let files = find(&mut made, "/tmp/**");
    std::fs::rename(tree.root.at("/tmp/real"), tree.root.at("/tmp/moved")).unwrap();
    symlink(tree.root.at("/etc/precious"), tree.root.at("/tmp/real")).unwrap();
    assert_eq!(made.call("fs.remove", &[files]), Ok(went(0, 0, 1)));
    assert!(tree.root.at("/etc/precious/a").exists() && tree.root.at("/tmp/moved/a").exists());
    assert_eq!(made.run.report.skipped, ["1 files beneath /tmp/** changed since they were found"]);
}

#[test]
fn a_file_that_changed_or_was_replaced_is_skipped() {
    let tree = testing::machine();
    for name in ["same", "longer", "other", "link"] {
        put(&tree.root, &format!("/tmp/{name}"), "12345");
    }
    put(&tree.root, "/etc/key", "12345");
    let mut made = open(&tree, Mode::Fix, TMP);
    let files = find(&mut made, "/tmp/**");
    put(&tree.root, "/tmp/longer", "123456");
    std::fs::remove_file(tree.root.at("/tmp/other")).unwrap();
    std::fs::hard_link(tree.root.at("/etc/key"), tree.root.at("/tmp/other")).unwrap();
    std::fs::remove_file(tree.root.at("/tmp/link")).unwrap();
    symlink("/etc/key", tree.root.at("/tmp/link")).unwrap();
    assert_eq!(made.call("fs.remove", &[files]), Ok(went(1, 5, 3)));
    for name in ["/tmp/longer", "/tmp/other", "/etc/key"] {
        assert!(tree.root.at(name).exists(), "{name}");
    }
}

#[test]
fn a_hard_link_loses_one_name_and_frees_nothing() {
    let tree = testing::machine();
    put(&tree.root, "/var/keep", vec![7; 9000]);
    std::fs::hard_link(tree.root.at("/var/keep"), tree.root.at("/tmp/name")).unwrap();
    let mut made = open(&tree, Mode::Fix, TMP);
    let files = find(&mut made, "/tmp/**");
    assert_eq!(made.call("fs.remove", &[files]), Ok(went(1, 0, 0)));
    assert_eq!(std::fs::metadata(tree.root.at("/var/keep")).unwrap().nlink(), 1);
}

#[test]
fn only_what_this_run_found_can_be_removed_and_only_where_permitted() {
    let tree = testing::machine();
    put(&tree.root, "/tmp/a", "1");
    put(&tree.root, "/tmp/folder/b", "1");
    put(&tree.root, "/etc/passwd-", "1");
    let grants: &[(&str, &[&str])] = &[("fs.find", TMP), ("fs.remove", &["/tmp/folder/*"])];
    let mut made = testing::open(&tree, testing::start(Mode::Fix, grants, &["files"]));
    made.remediate();
    let list = |path: &str| Value::List(vec![Value::text(path)]);
    for path in ["/tmp/a", "/etc/passwd-", "/tmp/folder/../a", "/tmp/folder"] {
        assert_eq!(made.code("fs.remove", &[list(path)]), "bad_argument", "{path}");
    }
    find(&mut made, "/tmp/**");
    assert_eq!(made.code("fs.remove", &[list("/tmp/a")]), "not_permitted");
    let folders = Value::map([("only", Value::text("folders"))]);
    made.call("fs.find", &[Value::text("/tmp/**"), folders]).unwrap();
    assert_eq!(made.code("fs.remove", &[list("/tmp/folder")]), "bad_argument");
    assert_eq!(made.code("fs.find", &[Value::text("/etc/**")]), "not_permitted");
    assert_eq!(made.code("fs.remove", &[Value::List(vec![Value::Int(3)])]), "bad_argument");
    assert_eq!(made.effects(), "");
    let lies = Value::map([("path", Value::text("/tmp/folder/b")), ("size", Value::Int(1 << 40))]);
    assert_eq!(made.call("fs.remove", &[Value::List(vec![lies])]), Ok(went(1, 1, 0)));
    assert_eq!(made.lines()[0].key, "/tmp/folder/*");
}

#[test]
fn age_and_kind_are_options() {
    let tree = testing::machine();
    put(&tree.root, "/tmp/new/a", "1");
    put(&tree.root, "/tmp/old", "1");
    let now = std::time::Duration::from_secs(testing::NOW.0);
    let at = |age: u64| std::time::UNIX_EPOCH + now - std::time::Duration::from_secs(age);
    let set = |path: &str, age: u64| {
        std::fs::File::open(tree.root.at(path)).unwrap().set_modified(at(age)).unwrap();
    };
    set("/tmp/new/a", 10);
    set("/tmp/old", 5000);
    let mut made = open(&tree, Mode::Check, TMP);
    let mut with = |key: &str, value: Value| {
        let options = Value::map([(key, value)]);
        made.call("fs.find", &[Value::text("/tmp/**"), options]).map_err(|error| error.code)
    };
    assert_eq!(paths(&with("older", Value::Int(1000)).unwrap()), ["/tmp/old"]);
    assert_eq!(paths(&with("only", Value::text("folders")).unwrap()), ["/tmp/new"]);
    assert_eq!(with("only", Value::text("sockets")), Err("bad_argument".into()));
    assert_eq!(with("older", Value::Int(-1)), Err("bad_argument".into()));
    let list = find(&mut made, "/tmp/**");
    assert_eq!(list.as_list().unwrap()[1].get("changed"), Some(&Value::Int(5000)));
}

#[test]
fn homes_are_those_of_people_and_entered_in_their_name() {
    let tree = testing::machine();
    for home in ["jo", "mo", "svc", "toor"] {
        put(&tree.root, &format!("/home/{home}/.cache/x/a"), "123");
    }
    put(&tree.root, "/root/.cache/x/a", "123");
    let root = rustix::process::geteuid().is_root();
    if root {
        for home in ["jo", "mo"] {
            let uid = if home == "jo" { 1001 } else { 1002 };
            for path in ["", "/.cache", "/.cache/x", "/.cache/x/a"] {
                let path = tree.root.at(&format!("/home/{home}{path}"));
                std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
            }
        }
        // A folder that its person may not change, though root could.
        std::os::unix::fs::chown(tree.root.at("/home/mo/.cache/x"), Some(0), Some(0)).unwrap();
    }
    let mut made = open(&tree, Mode::Fix, CACHE);
    let files = find(&mut made, CACHE[0]);
    assert_eq!(paths(&files), ["/home/jo/.cache/x/a", "/home/mo/.cache/x/a"]);
    if root {
        assert_eq!(made.call("fs.remove", &[files]), Ok(went(1, 3, 1)));
        assert!(tree.root.at("/home/mo/.cache/x/a").exists());
        assert!(made.effects().contains("\"failed\""));
    }
    assert!(tree.root.at("/home/svc/.cache/x/a").exists());
}

#[test]
fn a_home_that_is_a_symlink_is_nobodys() {
    let tree = testing::machine();
    put(&tree.root, "/etc/.cache/x/a", "123");
    std::fs::remove_dir(tree.root.at("/home/mo")).unwrap();
    symlink(tree.root.at("/etc"), tree.root.at("/home/mo")).unwrap();
    let mut made = open(&tree, Mode::Check, CACHE);
    assert!(paths(&find(&mut made, CACHE[0])).is_empty());
}

#[test]
fn a_mount_is_not_entered() {
    let tree = testing::machine();
    let mut made = open(&tree, Mode::Check, &["/proc/**"]);
    // The made tree has no mounts; the real one has one that is always there.
    assert!(paths(&find(&mut made, "/proc/**")).is_empty());
    let top =
        rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty()).unwrap();
    for over in [false, true] {
        let by_kernel = place::step(top.as_fd(), "proc", OFlags::RDONLY, over);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let by_hand = place::step_by_hand(top.as_fd(), "proc", flags, over);
        assert_eq!((by_kernel.is_ok(), by_hand.is_ok()), (over, over));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = tempfile::tempdir().unwrap();
    symlink("/etc", link.path().join("etc")).unwrap();
    let here = rustix::fs::open(link.path(), OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    assert!(place::step_by_hand(here.as_fd(), "etc", flags, true).is_err());
    assert!(place::step(here.as_fd(), "etc", OFlags::RDONLY, true).is_err());
}

#[test]
fn a_plan_is_seen_by_later_questions_and_changes_nothing() {
    let tree = testing::machine();
    put(&tree.root, "/tmp/a", vec![1; 50_000]);
    put(&tree.root, "/tmp/b", vec![1; 70_000]);
    let before = picture(tree.root.top());
    let mut made = open(&tree, Mode::Plan, TMP);
    let free = |made: &mut Made| {
        let space = made.call("fs.space", &[Value::text("/tmp")]).unwrap();
        space.get("free").unwrap().as_int().unwrap()
    };
    let files = find(&mut made, "/tmp/**");
    let was = free(&mut made);
    let first = Value::List(files.as_list().unwrap()[..1].to_vec());
    assert_eq!(made.call("fs.remove", std::slice::from_ref(&first)), Ok(went(1, 50_000, 0)));
    assert_eq!(made.call("fs.remove", &[first]), Ok(went(0, 0, 1)));
    assert_eq!(paths(&find(&mut made, "/tmp/**")), ["/tmp/b"]);
    // Other programs use the same disk meanwhile: only the direction is certain.
    assert!(free(&mut made) >= was || was > 0);
    assert_eq!(made.run.overlay.freed(before_device(&tree)).inodes, 1);
    assert_eq!(picture(tree.root.top()), before);
    assert_eq!(made.effects(), "");
}

fn before_device(tree: &Tree) -> u64 {
    std::fs::metadata(tree.root.at("/tmp/a")).unwrap().dev()
}

#[test]
fn more_than_planned_stops_before_the_first_file() {
    let tree = testing::machine();
    put(&tree.root, "/tmp/a", "1");
    let mut plan = open(&tree, Mode::Plan, TMP);
    let files = find(&mut plan, "/tmp/**");
    plan.call("fs.remove", &[files]).unwrap();
    for name in ["b", "c"] {
        put(&tree.root, &format!("/tmp/{name}"), "1");
    }
    let before = picture(tree.root.top());
    let grants: &[(&str, &[&str])] = &[("fs.find", TMP), ("fs.remove", TMP)];
    let start = testing::bound(testing::start(Mode::Fix, grants, &["files"]), &plan.lines());
    let mut fix = testing::open(&tree, start);
    fix.remediate();
    let files = find(&mut fix, "/tmp/**");
    let error = fix.call("fs.remove", &[files]).unwrap_err();
    assert_eq!((error.code.as_str(), error.fatal), ("plan_drift", true));
    assert_eq!(error.message, "more than planned under `/tmp/**`: planned 1, wanted 3");
    assert_eq!(picture(tree.root.top()), before);
    fix.run.finish().unwrap();
    let heard = fix.heard.borrow();
    let Some(hatch::FromExecutor::Finished(report)) = heard.last() else { panic!("no report") };
    assert_eq!(report.drift.as_deref(), Some(error.message.as_str()));
    assert_eq!(fix.effects(), "");
}

#[test]
fn the_effects_file_names_each_file_before_it_goes() {
    let tree = testing::machine();
    for name in ["a", "b", "c"] {
        put(&tree.root, &format!("/tmp/{name}"), "12");
    }
    let mut made = open(&tree, Mode::Fix, TMP);
    let files = find(&mut made, "/tmp/**");
    made.call("fs.remove", &[files]).unwrap();
    let text = made.effects();
    let states: Vec<_> = text
        .lines()
        .map(|line| protocol::json::read::<protocol::EffectLine>(line.as_bytes()).unwrap())
        .map(|line| format!("{:?} {}", line.state, line.noun))
        .collect();
    let wanted = [
        "Begin /tmp/**",
        "About /tmp/a",
        "Done /tmp/a",
        "About /tmp/b",
        "Done /tmp/b",
        "About /tmp/c",
        "Done /tmp/c",
        "End /tmp/**",
    ];
    assert_eq!(states, wanted);
    // Cut anywhere, as by a kill: what was in flight has a name, and nothing else is claimed.
    for cut in 0..text.len() {
        let tally = EffectTally::of(&text.as_bytes()[..cut]);
        assert_eq!(tally.unreadable, 0);
        let whole = text.as_bytes()[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(tally.in_flight().is_some(), (1..8).contains(&whole), "{cut}");
    }
}

fn tree_of(files: &[(String, usize)]) -> Tree {
    let tree = testing::machine();
    for (path, size) in files {
        let path = format!("/tmp/{path}");
        if !tree.root.at(&path).is_dir() {
            let parent = tree.root.at(&path);
            if std::fs::create_dir_all(parent.parent().unwrap()).is_ok() {
                put(&tree.root, &path, vec![b'x'; *size]);
            }
        }
    }
    tree
}

fn act(made: &mut Made) -> Vec<PlanLine> {
    for pattern in ["/tmp/**.{gz,1}", "/tmp/a/*", "/tmp/**"] {
        let files = find(made, pattern);
        made.call("fs.remove", &[files]).unwrap();
    }
    made.lines()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_plan_leaves_every_byte_and_its_fix_does_just_that(
        files in proptest::collection::vec(
            ("[abc]{1,2}(/[abc]{1,2}){0,2}(\\.gz|\\.1)?", 0usize..300),
            0..25,
        ),
    ) {
        let tree = tree_of(&files);
        let nouns: &[&str] = &["/tmp/**.{gz,1}", "/tmp/a/*", "/tmp/**"];
        let before = picture(tree.root.top());
        let mut plan = open(&tree, Mode::Plan, nouns);
        let lines = act(&mut plan);
        prop_assert_eq!(&picture(tree.root.top()), &before);
        prop_assert_eq!(lines.is_empty(), files.is_empty());
        let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
        let mut start = testing::start(Mode::Fix, grants, &["files"]);
        start.risk = protocol::Risk::High;
        let mut fix = testing::open(&tree, testing::bound(start, &lines));
        fix.remediate();
        prop_assert_eq!(act(&mut fix), lines);
        prop_assert!(paths(&find(&mut fix, "/tmp/**")).is_empty());
        let gone = EffectTally::of(fix.effects().as_bytes());
        let removed = before.keys().filter(|path| !std::path::Path::new(path).exists()).count();
        let done = gone.by_function.get("fs.remove").map_or(0, |sum| sum.done);
        prop_assert_eq!(done, removed as u64);
    }
}
