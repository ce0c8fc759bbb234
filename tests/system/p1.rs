//! P1: nothing runs unless the catalogue's people signed the script and an agent signed the order,
//! both checked on the endpoint. The desk is taken here: `cheat` holds its keys, store and line.
//!
//! Bytes that wait for 61 s are tried in the simulation (`tests/sim/refusals.rs`): the daemon asks
//! the kernel itself for the time, so nothing that a test can preload moves its clock.

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Endpoint, Entries, Lab, Process, programs, run, sh, wait_for};

use crate::bench;

/// Holds that nothing was started by what was tried, and that the daemon took no harm.
fn unmoved(endpoint: &mut Endpoint, before: Entries, tried: &str) {
    assert!(endpoint.alive(), "{tried}: the keeper is gone");
    let now = endpoint.entries();
    assert_eq!((now.accepted, now.started), (before.accepted, before.started), "{tried} ran");
}

/// A check that is fine; the run's id.
fn check(lab: &Lab, endpoint: &Endpoint) -> String {
    let done = lab.salve(&["--json", "check", "health.check", "--on", endpoint.name()]);
    let said = done.json();
    assert_eq!(said["verified"], true, "{}{}", done.out, done.err);
    assert_eq!(said["refusal"], serde_json::Value::Null, "{}", done.out);
    said["run"].as_str().expect("an id").to_owned()
}

#[test]
fn forged_altered_and_misdirected_orders_start_nothing() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    let before = pc.entries();
    for (trick, answer, words) in [
        ("forged-order", "stop", "no agent signed this"),
        ("script-byte", "record", "script digest: cache.clear 1 is not the vetted one"),
        ("wrong-endpoint", "record", "the order names another endpoint"),
        ("other-session", "record", "the endpoint's challenge is unknown or has died"),
    ] {
        let said = lab.cheat("pc", &[trick]);
        assert_eq!(said["answer"], answer, "{trick}: {said}");
        assert_eq!(said["sentence"], words, "{trick}: {said}");
        if answer == "record" {
            assert_eq!(said["outcome"], "refused", "{trick}: {said}");
        }
        unmoved(&mut pc, before, trick);
    }
    check(&lab, &pc);
    assert_eq!(pc.entries().started, before.started + 1);
}

#[test]
fn captured_bytes_run_nothing_a_second_time() {
    let lab = Lab::solo();
    let (mut pc, mut other) = (lab.endpoint("pc"), lab.endpoint("other"));
    let said = lab.cheat("pc", &["twice"]);
    assert_eq!(said["first"]["decision"]["decision"], "permit", "{said}");
    assert_eq!(said["again"]["reason"], "already-run", "{said}");

    let run = check(&lab, &pc);
    let before = pc.entries();
    let again = |pc: &mut Endpoint, when: &str| {
        for trick in ["stale-dispatch", "replay"] {
            let said = lab.cheat("pc", &[trick, &run]);
            assert_eq!(said["reason"], "already-run", "{trick}, {when}: {said}");
            assert!(said["sentence"].as_str().expect("words").contains(&run), "{said}");
            unmoved(pc, before, when);
        }
    };
    again(&mut pc, "on a new connection");
    pc.stop();
    pc.start();
    again(&mut pc, "after a restart");
    pc.kill();
    pc.start();
    again(&mut pc, "after a power cut");

    let before = other.entries();
    for trick in ["stale-dispatch", "replay"] {
        let said = lab.cheat("other", &[trick, &run]);
        assert_eq!(said["reason"], "wrong-endpoint", "{trick}: {said}");
        unmoved(&mut other, before, trick);
    }
}

#[test]
fn papers_that_are_no_orders_order_nothing() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    let run = check(&lab, &pc);
    let before = pc.entries();
    let said = lab.cheat("pc", &["papers", &run]);
    for paper in ["record", "dispatch", "approval"] {
        assert_eq!(said[paper]["sentence"], "no agent signed this", "{paper}: {said}");
    }
    unmoved(&mut pc, before, "other papers");
    assert_eq!(pc.entries(), before, "bytes without a seal are not recorded");
}

#[test]
fn an_altered_or_older_catalogue_is_refused_whole() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    check(&lab, &pc);
    let repository = lab.home().join("org/repository");
    let old = lab.folder().join("old");
    sh(&format!("cp -a {} {}", repository.display(), old.display())).expect(0);
    lab.publish(bench::NOTHING);
    lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]).expect(0);

    let catalogue = |pc: &Endpoint| {
        let said = pc.salved(&["status"]).expect(0).out;
        said.lines().find(|line| line.starts_with("catalogue")).expect("a line").to_owned()
    };
    let (before, trusted) = (pc.entries(), catalogue(&pc));
    for trick in [vec!["altered-catalogue"], vec!["rollback", old.to_str().expect("UTF-8")]] {
        let said = lab.cheat("pc", &trick);
        assert_eq!(said["answer"], "catalogue-refused", "{trick:?}: {said}");
        let code = if trick[0] == "rollback" { "rollback" } else { "mismatch" };
        assert_eq!(said["code"], code, "{said}");
        unmoved(&mut pc, before, trick[0]);
        assert_eq!(catalogue(&pc), trusted);
    }
    lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]).expect(0);
}

#[test]
fn a_vetted_script_that_lies_about_itself_gets_no_further_than_its_about() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    let file = lab.folder().join("rogue.rhai");
    fs::write(
        &file,
        r#"
const ABOUT = #{
    id: "cache.peek", version: 1, title: "Look at caches", does: "looks at caches",
    risk: "low", consent: "none", platforms: ["linux"], limit: "1m",
    params: #{}, permissions: #{ "fs.find": ["/var/cache/apt/archives/*"] }, words: ["cache"],
};
fn detect(p) { fs::find("/etc/shadow"); healthy("read it") }
fn remediate(p, found) { }
fn verify(p, found) { healthy("done") }
"#,
    )
    .expect("written");
    let passphrase = lab.passphrase();
    let files = [file.to_str().expect("UTF-8"), passphrase.to_str().expect("UTF-8")];
    let said = lab.cheat("pc", &["rogue-script", files[0], files[1]]);
    assert_eq!(said["outcome"], "failed", "{said}");
    assert!(said["sentence"].as_str().expect("words").contains("not among the nouns"), "{said}");
    assert!(pc.alive());
}

#[test]
fn a_script_that_was_withdrawn_runs_nowhere_and_the_version_before_it_counts() {
    let lab = Lab::solo();
    let _pc = lab.endpoint("pc");
    lab.publish(bench::NOTHING);
    lab.publish(&bench::NOTHING.replace("version: 1,", "version: 2,"));
    let version = || {
        let check = lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]);
        check.json()["version"].as_u64()
    };
    assert_eq!(version(), Some(2));
    lab.salve(&["scripts", "withdraw", "lab.nothing", "--version", "2"]).expect(0);
    assert_eq!(version(), Some(1), "the newest that counts");
    lab.salve(&["scripts", "withdraw", "lab.nothing"]).expect(0).says("lab.nothing 1 is withdrawn");
    let refused = lab.salve(&["check", "lab.nothing", "--on", "pc"]).expect(4);
    assert!(refused.err.contains("every version of lab.nothing is withdrawn"), "{}", refused.err);
    lab.salve(&["scripts", "withdraw", "lab.nothing"]).expect(2).says("not withdrawn");
}

#[test]
fn a_person_who_was_withdrawn_signs_nothing_any_more() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    let colleague = lab.colleague("m.ruiz");
    // The endpoint learns of the colleague with the next word of the desk, and of the end likewise.
    check(&lab, &pc);
    check(&colleague, &pc);
    lab.salve(&["agents", "withdraw", "m.ruiz"]).expect(0);
    check(&lab, &pc);
    let before = pc.entries();
    let done = colleague.salve(&["--json", "check", "health.check", "--on", "pc"]);
    assert_ne!(done.code, 0, "{}{}", done.out, done.err);
    unmoved(&mut pc, before, "a withdrawn colleague's order");
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("withdrawn"), "does not say why: {said}");
}

#[test]
fn a_gate_that_is_killed_comes_back_and_takes_no_run_with_it() {
    let lab = Lab::solo_with(&["lab.service"]);
    crate::p4::service();
    let mut pc = lab.endpoint("pc");
    let keeper = pc.keeper();
    let (gate, listened) = (pc.child("gate"), pc.listened());
    kill(gate);
    wait_for("the next gate", 20, || (pc.listened() > listened).then_some(()));
    assert!(!gate.lives());
    check(&lab, &pc);

    // And in the middle of a run: the run goes on, its record is fetched over the next gate.
    lab.publish(&crate::p4::stays("lab.watch", "1m", 5));
    let going =
        lab.start(&["--json", "check", "lab.watch", "--on", "pc", "--arg", "unit=lab.service"]);
    // Its processes may wait for it before it has come.
    wait_for("the order", 20, || (pc.entries().started >= 2).then_some(()));
    kill(pc.child("gate"));
    let done = going.end();
    assert_eq!(pc.keeper(), keeper);
    assert!(pc.alive());
    let run = done.json();
    assert_eq!(run["outcome"], "unchanged", "{}{}", done.out, done.err);
    assert_eq!(run["verified"], true, "{}", done.out);
    assert_eq!(pc.entries().started, 2);
}

/// E7. Whoever is withdrawn with a run under way loses both, while another agent is served.
#[test]
fn an_agent_who_is_withdrawn_loses_the_line_and_the_run_under_way() {
    let lab = Lab::solo_with(&["lab.service"]);
    crate::p4::service();
    let mut pc = lab.endpoint("pc");
    lab.publish(&crate::p4::stays("lab.watch", "5m", 100));
    let colleague = lab.colleague("m.ruiz");
    let mut going = colleague.start(&[
        "--json",
        "check",
        "lab.watch",
        "--on",
        "pc",
        "--arg",
        "unit=lab.service",
    ]);
    wait_for("the run", 20, || (pc.entries().started == 1).then_some(()));
    let executor = pc.child("executor");
    lab.salve(&["agents", "withdraw", "m.ruiz"]).expect(0);
    assert!(executor.lives() && !going.ended(), "nobody has told the machine yet");
    check(&lab, &pc);
    wait_for("the end of the line", 5, || going.err().contains("the line was lost").then_some(()));
    wait_for("the end of the run", 10, || (!executor.lives()).then_some(()));
    // It came back and was not let in: for its console this run is over without a record.
    going.end().expect(7).says("certificate withdrawn");
    wait_for("the record", 20, || (pc.entries().records == 2).then_some(()));
    check(&lab, &pc);
    let double = programs().join("salved-crash");
    let account = run(Command::new(double).arg("account").arg(pc.config()), b"").expect(0);
    let found = account.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut ended = found.filter(|entry: &Value| entry["outcome"] == "cancelled");
    let record = ended.next().expect("the record of the run");
    let why = record["summary"].as_str().expect("words");
    assert!(why.contains("m.ruiz was withdrawn by policy"), "{record}");
    assert_eq!(ended.next(), None);
    assert!(pc.alive());
}

fn kill(process: Process) {
    sh(&format!("kill -KILL {}", process.0)).expect(0);
}
