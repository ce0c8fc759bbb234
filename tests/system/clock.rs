//! Clocks that are wrong, on either side. No time before what the desk signed last is believed on
//! an endpoint, and no wall clock moves what it trusts. What cannot go on says which clock is
//! meant, and goes on as soon as that clock is right.
//!
//! `faketime` moves the wall clock of a whole console, and of the keeper: its other clock counts
//! on truly (it asks the kernel itself), and its children are started without an environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Done, Endpoint, Lab};

/// Gives a program the wall clock that a file names, as in `+1h` or `-1y`; the file may change.
pub(crate) fn fake(command: &mut Command, clock: &Path) {
    command
        .env("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// A file with the clock in it.
fn clock(lab: &Lab, offset: &str) -> PathBuf {
    let file = lab.folder().join(format!("clock{offset}"));
    fs::write(&file, format!("{offset}\n")).expect("written");
    file
}

const CHECK: [&str; 5] = ["--json", "check", "health.check", "--on", "pc"];

/// A check by a console with another wall clock.
fn check_at(lab: &Lab, offset: &str) -> Done {
    let mut command = lab.command(&CHECK);
    fake(&mut command, &clock(lab, offset));
    support::run(&mut command, b"")
}

#[track_caller]
fn fine(done: &Done) {
    let run = done.json();
    assert_eq!(run["verified"], true, "{}{}", done.out, done.err);
    assert_eq!(run["refusal"], serde_json::Value::Null, "{}", done.out);
}

/// Refused by the endpoint, in a record that verifies, and the clocks are named.
#[track_caller]
fn refused(done: &Done, reason: &str) {
    let run = done.clone().expect(4).json();
    assert_eq!(run["reason"], reason, "{}", done.out);
    assert_eq!(run["verified"], true, "{}", done.out);
    assert!(run["next"].as_str().expect("words").contains("compare the clocks"), "{}", done.out);
}

fn restart(lab: &Lab, pc: &mut Endpoint, offset: &str) {
    pc.stop();
    let mut command = pc.command(&["run"]);
    fake(&mut command, &clock(lab, offset));
    pc.start_by(command);
}

#[test]
fn a_console_whose_clock_is_wrong_is_told_so_and_heals_with_its_clock() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    fine(&lab.salve(&CHECK));
    // Within the skew nothing is noticed.
    for offset in ["+90s", "-90s"] {
        fine(&check_at(&lab, offset));
    }
    refused(&check_at(&lab, "+1h"), "not-yet-valid");
    fine(&lab.salve(&CHECK));
    // Far off it makes a certificate and a timestamp of that time, which no endpoint takes now.
    for offset in ["-2h", "-1y", "+25d", "+1y"] {
        let done = check_at(&lab, offset);
        assert!([4, 5].contains(&done.code), "{offset}: {}{}", done.out, done.err);
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains("compare the clocks"), "{offset}: {said}");
        fine(&lab.salve(&CHECK));
    }
    assert_eq!(pc.entries().accepted, pc.entries().started);
}

#[test]
fn an_endpoint_whose_clock_is_behind_takes_the_desks_time_and_goes_on() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    fine(&lab.salve(&CHECK));
    for offset in ["-1h", "-1y"] {
        restart(&lab, &mut pc, offset);
        fine(&lab.salve(&CHECK));
        let mut doctor = pc.command(&["doctor"]);
        fake(&mut doctor, &clock(&lab, offset));
        let said = support::run(&mut doctor, b"").expect(1);
        assert!(said.out.contains("WRONG clock"), "{}", said.out);
        assert!(said.err.contains("set the clock"), "{}", said.err);
    }
}

#[test]
fn an_endpoint_whose_clock_is_ahead_refuses_and_names_the_clocks() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    fine(&lab.salve(&CHECK));
    restart(&lab, &mut pc, "+2h");
    refused(&lab.salve(&CHECK), "order-expired");
    // A year: everything has ended there, the console's certificate first.
    restart(&lab, &mut pc, "+1y");
    let done = lab.salve(&CHECK);
    assert!([4, 5].contains(&done.code), "{}{}", done.out, done.err);
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("clock"), "no word of the clock: {said}");
    assert_eq!(pc.entries().accepted, 1);
    // Its wall clock moved nothing that it trusts: set right, it goes on.
    pc.stop();
    pc.start();
    fine(&lab.salve(&CHECK));
}
