//! An order carried as a file, by the real programs: to a machine that its desk does not reach, and
//! back with the record. It runs once, whichever copy comes first.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Done, Endpoint, Lab, free_port, wait_for};

use crate::bench;
use crate::shared_desk::{Served, begun_with, notes};
use crate::waiting::counter;

/// Orders the fix for a ticket into a file.
fn carried(lab: &Lab, ticket: &str, file: &Path) -> Done {
    let nonce = format!("nonce={ticket}");
    let file = file.display().to_string();
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce, "--yes"];
    let rest = ["--identified", "callback", "--wait", "30m", "--export", &file];
    lab.salve(&[&args[..], &rest].concat())
}

fn import(lab: &Lab, file: &Path, more: &[&str]) -> Done {
    let file = file.display().to_string();
    lab.salve(&[&["--json", "orders", "import", &file, "--yes"], more].concat())
}

fn listed(lab: &Lab, which: &str) -> usize {
    let all = lab.salve(&["--json", "orders", "list"]).expect(0).json();
    all[which].as_array().expect("a list").len()
}

fn has_key(file: &Path) -> bool {
    let text = fs::read_to_string(file).expect("the file");
    let (_, body) = text.split_once('\n').expect("a first line");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_ne!(body.get("key").is_some(), body.get("answer").is_some(), "one of them");
    body.get("key").is_some()
}

/// The machine listens where its desk cannot dial it, and keeps no line to any.
fn alone(pc: &mut Endpoint, desk: &mut Served) -> String {
    pc.stop();
    pc.without_desk();
    pc.start();
    desk.says("pc took leave");
    format!("127.0.0.1:{}", pc.port())
}

#[test]
fn a_file_reaches_a_machine_without_a_desk_and_brings_its_record_back() {
    let port = free_port();
    let (lab, mut desk, mut pc, colleague) = begun_with(port, &counter());
    let third = lab.colleague("s.okafor");
    third.salve(&["desk", "set", &desk.address]).expect(0);
    let at = alone(&mut pc, &mut desk);

    let ticket = bench::ticket(&colleague, "count it", "pc");
    let file = lab.folder().join("order.salve");
    let out = carried(&colleague, &ticket, &file).expect(7).json();
    let run = out["run"].as_str().expect("a run").to_owned();
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    assert!(has_key(&file));
    assert_eq!((listed(&lab, "waiting"), listed(&lab, "carried")), (1, 1), "it waits here too");
    carried(&colleague, &ticket, &file).expect(2).says("is there already");
    let copy: PathBuf = lab.folder().join("copy.salve");
    fs::copy(&file, &copy).expect("a copy");
    third.salve(&["orders", "export", &run, "/nowhere/x"]).expect(4).says("may carry it");

    // Beside the machine, with no line to anybody else.
    desk.going.kill();
    let done = import(&third, &file, &["--at", &at]).expect(0);
    assert!(done.err.contains("The desk is not reached"), "{}", done.err);
    assert!(done.err.contains("not filed from here"), "{}", done.err);
    let done = done.json();
    let short = done["run"].as_str().expect("a run");
    assert!(done["verified"] == true && run.starts_with(short), "{done}");
    assert_eq!(bench::executions(), 1);
    assert!(!has_key(&file), "the record took the key's place");
    // Another copy is the same order: it brings the same record and runs nothing.
    let again = import(&third, &copy, &["--at", &at]).expect(0).json();
    assert_eq!((&again["run"], &again["outcome"]), (&done["run"], &done["outcome"]), "{again}");
    assert!(!has_key(&copy));
    assert_eq!(bench::executions(), 1);

    // Back at the desk, by whoever has the file.
    let mut desk = Served::start(&lab, port);
    assert_eq!(notes(&bench::shown(&lab, &ticket)), 0);
    let back = import(&third, &file, &[]).expect(0).json();
    assert_eq!(back["verified"], true, "{back}");
    let shown = bench::delivered(&lab, &ticket);
    assert_eq!(notes(&shown), 1, "{shown}");
    assert_eq!((listed(&lab, "waiting"), listed(&lab, "carried")), (0, 0));
    let shown_run = colleague.salve(&["--json", "runs", "show", &run]).expect(0).json();
    assert_eq!(shown_run["run"]["verified"], true, "{shown_run}");
    colleague.salve(&["verify", &run]).expect(0);
    import(&colleague, &copy, &[]).expect(0);

    // The machine finds its desk again, and nothing is told or run twice.
    pc.stop();
    pc.configure(&format!("desk = \"127.0.0.1:{port}\""));
    pc.start();
    desk.says("pc is here");
    colleague.salve(&["check", "health.check", "--on", "pc"]);
    assert_eq!(bench::executions(), 1);
    assert_eq!(notes(&bench::shown(&lab, &ticket)), 1);
}

#[test]
fn the_machine_comes_home_first_with_what_it_ran_from_a_file() {
    let port = free_port();
    let (lab, mut desk, mut pc, colleague) = begun_with(port, &counter());
    let at = alone(&mut pc, &mut desk);
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let file = lab.folder().join("order.salve");
    let out = carried(&colleague, &ticket, &file).expect(7).json();
    let run = out["run"].as_str().expect("a run").to_owned();
    let third = lab.colleague("s.okafor");
    import(&third, &file, &["--at", &at]).expect(0);
    assert_eq!(bench::executions(), 1);

    // It waits at the desk still, which sends nothing to whoever brings its record.
    pc.stop();
    pc.configure(&format!("desk = \"127.0.0.1:{port}\""));
    pc.start();
    desk.says("pc is here");
    let shown = bench::delivered(&lab, &ticket);
    assert_eq!(notes(&shown), 1, "{shown}");
    let shown_run = colleague.salve(&["--json", "runs", "show", &run]).expect(0).json();
    assert_eq!(shown_run["run"]["verified"], true, "{shown_run}");
    assert_eq!((listed(&lab, "waiting"), listed(&lab, "carried")), (0, 0));
    let runs = lab.salve(&["--json", "runs", "list", "--ticket", &ticket]).expect(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "no refusal beside it: {runs}");
    import(&colleague, &file, &[]).expect(0);
    assert_eq!((bench::executions(), notes(&bench::shown(&lab, &ticket))), (1, 1));
}

#[test]
fn without_a_shared_desk_an_order_goes_into_a_file_and_can_be_taken_back() {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(&counter());
    let mut pc = lab.endpoint("pc");
    let file = lab.folder().join("order.salve");
    let ticket = bench::ticket(&lab, "count it", "pc");
    carried(&lab, &ticket, &file).expect(2).says("nothing to carry");
    pc.stop();
    let out = carried(&lab, &ticket, &file).expect(7).json();
    assert_eq!(out["waiting"], false, "{out}");
    assert_eq!(listed(&lab, "carried"), 1);
    let run = out["run"].as_str().expect("a run");
    lab.salve(&["runs", "show", run]).expect(7).says("OUT IN A FILE");
    assert_eq!(bench::executions(), 0);

    // While the machine is away the file stays as it is.
    import(&lab, &file, &[]).expect(5);
    assert!(has_key(&file));
    pc.start();
    let done = import(&lab, &file, &[]).expect(0).json();
    assert_eq!(done["outcome"], "succeeded", "{done}");
    assert_eq!(bench::executions(), 1);
    let shown = bench::delivered(&lab, &ticket);
    assert_eq!(notes(&shown), 1, "{shown}");
    lab.salve(&["verify", "last"]).expect(0);

    // One that is taken back at its machine runs from no file.
    let other = bench::ticket(&lab, "count it not", "pc");
    let second = lab.folder().join("second.salve");
    pc.stop();
    let out = carried(&lab, &other, &second).expect(7).json();
    pc.start();
    lab.salve(&["cancel", out["run"].as_str().expect("a run")]);
    let refused = import(&lab, &second, &[]).expect(4).json();
    assert_eq!(refused["refusal"]["code"], "recalled", "{refused}");
    assert_eq!(bench::executions(), 1);
    let shown = wait_for("its note", 30, || {
        let shown = bench::shown(&lab, &other);
        (notes(&shown) == 1).then_some(shown)
    });
    assert!(shown["notes"].to_string().contains("REFUSED"), "{shown}");

    // Where it cannot be written, nothing is out.
    pc.stop();
    let third = bench::ticket(&lab, "count it nowhere", "pc");
    carried(&lab, &third, Path::new("/proc/order.salve")).expect(6);
    assert_eq!(listed(&lab, "carried"), 0);
    let shown = bench::delivered(&lab, &third);
    assert!(shown["notes"].to_string().contains("NOT SENT"), "{shown}");
}

#[test]
fn an_order_that_was_taken_back_at_its_desk_is_sent_by_nobody_who_can_ask() {
    let port = free_port();
    let (lab, mut desk, mut pc, colleague) = begun_with(port, &counter());
    let at = alone(&mut pc, &mut desk);
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let file = lab.folder().join("order.salve");
    let out = carried(&colleague, &ticket, &file).expect(7).json();
    let run = out["run"].as_str().expect("a run");
    import(&colleague, &file, &[]).expect(7);
    colleague.salve(&["cancel", run]).expect(5).says("a copy is out in a file");
    assert_eq!((listed(&lab, "waiting"), listed(&lab, "carried")), (0, 1));
    colleague.salve(&["runs", "show", run]).expect(7).says("taken back by m.ruiz");
    import(&colleague, &file, &["--at", &at]).expect(4).says("taken back by m.ruiz");
    import(&colleague, &file, &[]).expect(2).says("the desk sends run");
    assert_eq!((bench::executions(), notes(&bench::shown(&lab, &ticket))), (0, 0));
}
