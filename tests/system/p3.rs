//! P3: every accepted order ends in exactly one signed record, whichever of the processes dies, and
//! the ticket hears of it once.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use protocol::limits;
use serde_json::Value;
use support::{Endpoint, Lab, Process, cgroup_root, wait_for};

use crate::bench::{self, COUNTER, Held};

fn begun() -> (Lab, Endpoint) {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let pc = lab.endpoint("pc");
    (lab, pc)
}

fn kill(process: Process) {
    let pid = process.0.to_string();
    assert!(Command::new("/bin/kill").args(["-KILL", &pid]).status().expect("kill").success());
}

/// The fix of a ticket, whose record is there, and its one internal note.
fn told(lab: &Lab, ticket: &str) -> (Value, String) {
    let fixes: Vec<Value> =
        bench::runs(lab, ticket).into_iter().filter(|run| run["mode"] == "fix").collect();
    assert_eq!(fixes.len(), 1, "{fixes:?}");
    let shown = bench::shown(lab, ticket);
    let notes: Vec<&Value> = shown["notes"]
        .as_array()
        .expect("notes")
        .iter()
        .filter(|note| note["public"] == false)
        .collect();
    assert_eq!(notes.len(), 1, "{shown}");
    (fixes[0].clone(), notes[0]["body"].as_str().expect("a body").to_owned())
}

#[test]
fn a_daemon_killed_in_mid_action_says_which_and_the_waiting_console_hears_it() {
    let (lab, mut pc) = begun();
    let ticket = bench::ticket(&lab, "count", "pc");
    let held = Held::new();
    let console = bench::start_fix(&lab, &ticket);
    wait_for("the action", 20, || (bench::executions() == 1).then_some(()));
    let (executor, interpreter) = (pc.child("executor"), pc.child("interpreter"));
    // E40: what the run holds beside its processes, its folder and all of the held scratch.
    let folder = cgroup_root().join(executor.cgroup().trim_start_matches('/'));
    let scratch = pc.state().join("reserve/scratch");
    assert!(folder.is_dir() && !scratch.exists());
    pc.kill();
    assert!(folder.is_dir() && !scratch.exists(), "somebody else tidied up");
    pc.start();
    for process in [executor, interpreter] {
        assert!(!process.lives(), "a child outlived the daemon's next start");
    }
    assert!(!folder.exists(), "the folder of the run is left");
    wait_for("room for the next run", 20, || scratch.exists().then_some(()));
    // Nobody restarts the console: it asks again by itself.
    let done = console.end().expect(7);
    assert_eq!(done.json()["outcome"], "interrupted");
    drop(held);
    let (run, note) = told(&lab, &ticket);
    assert_eq!(run["outcome"], "interrupted");
    assert!(note.contains("UNKNOWN") && note.contains("IN FLIGHT, state unknown"), "{note}");
    assert!(note.contains("service.restart on salve-count.service"), "{note}");
    let id = run["id"].as_str().expect("an id");
    lab.salve(&["runs", "follow", id]).expect(7);
    lab.salve(&["runs", "show", id]).expect(7).says("UNKNOWN").says("IN FLIGHT");
    lab.salve(&["verify", id]).expect(0);
    told(&lab, &ticket);
    let left = std::fs::read_dir(pc.state().join("effects")).expect("a folder").flatten();
    let blocks: u64 = left.map(|file| file.metadata().expect("there").blocks()).sum();
    assert!(blocks * 512 < limits::SCRATCH_BYTES / 2, "{blocks} blocks of a dead run are kept");
    assert_eq!(bench::executions(), 1);
    assert_eq!((pc.entries().accepted, pc.entries().records), (2, 2));
}

#[test]
fn each_child_killed_in_mid_action_is_one_record_with_its_name() {
    let (lab, pc) = begun();
    for (number, victim) in ["executor", "interpreter"].into_iter().enumerate() {
        let ticket = bench::ticket(&lab, victim, "pc");
        let held = Held::new();
        let console = bench::start_fix(&lab, &ticket);
        wait_for("the action", 20, || (bench::executions() == number + 1).then_some(()));
        kill(pc.child(victim));
        if victim == "interpreter" {
            // Its executor ends what it is doing first.
            std::fs::write("/run/salve-hold", "go on\n").expect("written");
        }
        let done = console.end();
        drop(held);
        let (run, note) = told(&lab, &ticket);
        assert!(run["outcome"] != "succeeded" && run["verified"] == true, "{run}");
        let said = done.json();
        assert_eq!(said["reason"], format!("{victim}-died"), "{said}");
        assert!(!note.starts_with("FIXED"), "{note}");
        assert_eq!(bench::executions(), number + 1);
    }
    let entries = pc.entries();
    assert_eq!((entries.accepted, entries.started, entries.records), (4, 4, 4));
}

#[test]
fn a_gate_killed_in_mid_run_loses_no_run_and_comes_back() {
    let (lab, pc) = begun();
    let ticket = bench::ticket(&lab, "gate", "pc");
    let held = Held::new();
    let console = bench::start_fix(&lab, &ticket);
    wait_for("the action", 20, || (bench::executions() == 1).then_some(()));
    let before = pc.listened();
    kill(pc.child("gate"));
    wait_for("a new gate", 20, || (pc.listened() > before).then_some(()));
    drop(console);
    std::fs::write("/run/salve-hold", "go on\n").expect("written");
    wait_for("the record", 20, || (pc.entries().records == 2).then_some(()));
    drop(held);
    let run = bench::runs(&lab, &ticket)[0]["id"].as_str().expect("an id").to_owned();
    lab.salve(&["runs", "show", &run]).expect(7);
    lab.salve(&["runs", "follow", &run]).expect(0);
    lab.salve(&["runs", "show", &run]).expect(0).says("FIXED");
    let (fix, note) = told(&lab, &ticket);
    assert_eq!(fix["outcome"], "succeeded");
    assert!(note.starts_with("FIXED"), "{note}");
    assert_eq!((bench::executions(), pc.entries().records), (1, 2));
}
