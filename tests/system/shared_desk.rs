//! The shared desk, by the real programs: a machine that nobody can dial, two agents with consoles of
//! their own, and a desk that is killed in the middle.

use std::process::Command;

use serde_json::Value;
use support::{Endpoint, Going, Lab, free_port, wait_for};

use crate::bench::{self, COUNTER};

/// `salve serve` over a lab's home.
pub(crate) struct Served {
    pub(crate) going: Going,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(lab: &Lab, port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let going = lab.start(&["serve", "--listen", &address]);
        let mut served = Self { going, address };
        let address = served.address.clone();
        served.says(&format!("listening on {address}"));
        served
    }

    /// Waits until its journal has these words.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) {
        wait_for(words, 30, || {
            let (said, ended) = (self.going.err(), self.going.ended());
            assert!(!ended, "the desk ended without `{words}`: {said}");
            said.contains(words).then_some(())
        });
    }
}

/// An organisation with a desk at this port, a machine that holds a line to it and listens where
/// nobody finds it, and a colleague who knows the desk only.
fn begun(port: u16) -> (Lab, Served, Endpoint, Lab) {
    begun_with(port, COUNTER)
}

/// As [`begun`], with this script.
pub(crate) fn begun_with(port: u16, script: &str) -> (Lab, Served, Endpoint, Lab) {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(script);
    let colleague = lab.colleague("m.ruiz");
    let mut pc = lab.endpoint("pc");
    pc.stop();
    pc.configure(&format!("desk = \"127.0.0.1:{port}\""));
    lab.salve(&["endpoints", "set", "pc", "--at", "127.0.0.1:9"]).expect(0);
    let mut desk = Served::start(&lab, port);
    pc.start();
    desk.says("pc is here");
    colleague.salve(&["desk", "set", &desk.address]).expect(0).says("works with it");
    (lab, desk, pc, colleague)
}

/// The fix of [`bench`] by this console.
fn fix(lab: &Lab, ticket: &str) -> Command {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut command = lab.command(&args);
    command.args(["--identified", "callback", "--yes"]);
    command
}

pub(crate) fn notes(shown: &Value) -> usize {
    let all = shown["notes"].as_array().expect("notes");
    all.iter().filter(|note| note["public"] == false).count()
}

#[test]
fn two_agents_share_a_machine_that_nobody_can_dial() {
    let (lab, mut desk, mut pc, colleague) = begun(free_port());

    // What is in no home but the desk's: the machine, the ticket, the runs.
    let listed = colleague.salve(&["endpoints", "list"]).expect(0);
    assert!(listed.out.contains("pc"), "{}", listed.out);
    let check = colleague.salve(&["--json", "check", "health.check", "--on", "pc"]).json();
    assert_eq!(check["verified"], true, "{check}");

    let ticket = bench::ticket(&colleague, "count it", "pc");
    let done = Going::start(&mut fix(&colleague, &ticket)).end().expect(0).json();
    assert_eq!(
        (&done["verified"], &done["outcome"]),
        (&true.into(), &"succeeded".into()),
        "{done}"
    );
    assert_eq!(bench::executions(), 1);
    for console in [&colleague, &lab] {
        let shown = bench::delivered(console, &ticket);
        assert_eq!(notes(&shown), 1, "{shown}");
        console.salve(&["verify", "last"]).expect(0);
    }

    // A ticket changes hands: a note says so, and it is on the other one's list.
    let handed = colleague.salve(&["tickets", "assign", &ticket, "a.kaya"]).expect(0);
    assert!(handed.out.contains("a.kaya's now"), "{}", handed.out);
    let mine = lab.salve(&["--json", "tickets", "list", "--mine"]).json();
    assert!(mine.to_string().contains("count it"), "{mine}");
    let shown = lab.salve(&["tickets", "show", &ticket]).expect(0).out;
    assert!(shown.contains("m.ruiz handed this ticket to a.kaya."), "{shown}");
    colleague.salve(&["tickets", "assign", &ticket, "nobody"]).expect(2).says("nobody named");

    // Somebody else follows a run that is under way, with all that was said before.
    let held = bench::Held::new();
    let ticket = bench::ticket(&colleague, "count it again", "pc");
    let run = Going::start(&mut fix(&colleague, &ticket));
    wait_for("the second start", 30, || (bench::executions() == 2).then_some(()));
    let third = lab.colleague("s.okafor");
    third.salve(&["desk", "set", &desk.address]).expect(0);
    let follows = third.start(&["--json", "runs", "follow", "last"]);
    // Each hears who else is there.
    for (console, other) in [(&run, "s.okafor watches too"), (&follows, "m.ruiz watches too")] {
        wait_for(other, 30, || console.err().contains(other).then_some(()));
    }
    drop(held);
    let (run, followed) = (run.end().json(), follows.end().json());
    assert_eq!(run["record"], followed["record"], "{followed}");

    // Away: since when, that it took leave, and that nothing was sent.
    pc.stop();
    desk.says("pc took leave");
    let away = colleague.salve(&["check", "health.check", "--on", "pc"]).expect(5);
    let words = "pc is not connected: last seen ";
    assert!(
        away.err.contains(words) && away.err.contains("it signed off normally"),
        "{}",
        away.err
    );
    assert!(away.err.contains("Nothing was sent."), "{}", away.err);
}

#[test]
fn a_desk_that_is_killed_in_mid_run_loses_nothing_and_repeats_nothing() {
    let port = free_port();
    let (lab, desk, pc, colleague) = begun(port);
    let held = bench::Held::new();
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let run = Going::start(&mut fix(&colleague, &ticket));
    wait_for("the start", 30, || (bench::executions() == 1).then_some(()));
    desk.going.kill();
    drop(held);
    wait_for("its record", 30, || (pc.entries().records >= 2).then_some(()));

    let mut desk = Served::start(&lab, port);
    desk.says("pc is here");
    // The console asks again by itself, and hears of the very run that it ordered.
    let done = run.end();
    let (code, said) = (done.code, format!("{}{}", done.out, done.err));
    assert!(code == 0 || code == 1, "{code}: {said}");
    let shown = bench::delivered(&lab, &ticket);
    assert_eq!(notes(&shown), 1, "{shown}");
    assert_eq!(bench::executions(), 1, "it ran once");
    let runs = bench::runs(&lab, &ticket);
    let fixes = runs.iter().filter(|run| run["mode"] == "fix").count();
    assert_eq!(fixes, 1, "{runs:?}");
    lab.salve(&["verify", "last"]).expect(0);
}
