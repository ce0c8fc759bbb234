//! Machines join at the shared desk: one by name, a wave with one line, clones and machines that were
//! set up anew.

use std::process::Command;

use support::{Done, Endpoint, Going, Lab, free_port, programs, run, wait_for};

/// A lab whose desk serves at this address.
fn served() -> (Lab, Going, String) {
    let lab = Lab::solo();
    let address = format!("127.0.0.1:{}", free_port());
    let mut desk = lab.start(&["serve", "--listen", &address]);
    says(&mut desk, "listening on");
    (lab, desk, address)
}

#[track_caller]
fn says(desk: &mut Going, words: &str) {
    wait_for(words, 30, || {
        assert!(!desk.ended(), "the desk ended without `{words}`: {}", desk.err());
        desk.err().contains(words).then_some(())
    });
}

/// Pastes a line on a machine that calls itself so.
fn paste(machine: &Endpoint, host: &str, token: &str) -> Done {
    run(&mut named(machine, host, &["enroll", token]), b"")
}

/// `salved` on a machine that calls itself so.
fn named(machine: &Endpoint, host: &str, args: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--uts", "/bin/sh", "-c", "hostname \"$0\" && exec \"$@\"", host]);
    command.arg(programs().join("salved")).arg("--config").arg(machine.config());
    command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn line(done: &Done) -> String {
    let token = done.out.lines().find_map(|line| line.strip_prefix("sudo salved enroll "));
    token.unwrap_or_else(|| panic!("no line to paste: {}{}", done.out, done.err)).to_owned()
}

#[test]
fn a_machine_joins_at_the_shared_desk_and_keeps_its_line_there() {
    let (lab, mut desk, address) = served();
    let colleague = lab.colleague("m.ruiz");
    let args = ["endpoints", "enroll", "pc", "--desk", &address, "--label", "group=office"];
    let (console, token) = lab.enrolling_by(lab.command(&[&args[..], &["--owner", "jo"]].concat()));
    let mut pc = Endpoint::bare(&lab, "pc");
    let joined = paste(&pc, "whatever", &token).expect(0);
    assert!(joined.out.contains("pc joined"), "{}", joined.out);
    assert!(console.end().expect(0).out.contains("pc joined"));
    // Nothing was written by hand: where it joined is where it dials.
    pc.start();
    says(&mut desk, "pc is here");
    lab.salve(&["endpoints", "set", "pc", "--at", "127.0.0.1:9"]).expect(0);
    colleague.salve(&["desk", "set", &address]).expect(0);
    let shown = colleague.salve(&["--json", "endpoints", "show", "pc"]).json();
    assert_eq!(shown["card"]["labels"]["group"], "office", "{shown}");
    assert_eq!(shown["endpoint"]["person"], "jo", "{shown}");
    let check = colleague.salve(&["--json", "check", "health.check", "--on", "pc"]).json();
    assert_eq!(check["verified"], true, "{check}");

    // The line is used up, and who is no administrator makes none.
    let second = Endpoint::bare(&lab, "second");
    let refused = paste(&second, "pc", &token).expect(4);
    assert!(refused.err.contains("unknown, used or expired"), "{}", refused.err);
    let forbidden = colleague.salve(&["endpoints", "enroll", "pc-2"]).expect(4);
    assert!(forbidden.err.contains("administrator"), "{}", forbidden.err);
}

#[test]
fn one_line_is_for_as_many_machines_as_it_says_and_for_their_names_only() {
    let (lab, mut desk, address) = served();
    let mut copies = Vec::new();
    let wave = |names: &str| {
        let args = ["endpoints", "enroll", "--names", names, "--count", "2", "--expires", "7d"];
        let more = ["--label", "group=office", "--desk", &address];
        line(&lab.salve(&[&args[..], &more].concat()).expect(0))
    };
    let token = wave("lt-*,pc-*");
    let [one, two, three, other] = ["a", "b", "c", "d"].map(|name| Endpoint::bare(&lab, name));
    let stranger = paste(&other, "mail.example.org", &token).expect(2);
    assert!(stranger.err.contains("lt-*,pc-*"), "{}", stranger.err);
    paste(&one, "LT-1.example.org", &token).expect(0);
    paste(&two, "pc-7", &token).expect(0);
    let late = paste(&three, "lt-3", &token).expect(4);
    assert!(late.err.contains("unknown, used or expired"), "{}", late.err);
    says(&mut desk, "lt-1 joined");
    let tokens = lab.salve(&["--json", "endpoints", "tokens"]).json();
    assert_eq!((&tokens[0]["joined"], &tokens[0]["state"]), (&2.into(), &"used up".into()));
    let listed = lab.salve(&["endpoints", "list"]).expect(0).out;
    assert!(listed.contains("lt-1") && listed.contains("pc-7"), "{listed}");

    // A clone of lt-1: a person must say which is meant, and no place is lost.
    let token = wave("lt-*");
    let held = paste(&three, "lt-1", &token).expect(1);
    assert!(held.err.contains("a machine named `lt-1` already"), "{}", held.err);
    let shown = lab.salve(&["endpoints", "held"]).expect(0).out;
    assert!(shown.contains("lt-1") && shown.contains("replace"), "{shown}");
    paste(&three, "lt-3", &token).expect(0);
    paste(&other, "lt-4", &token).expect(0);
    let ids = ["lt-1", "lt-3", "lt-4"].map(|name| {
        lab.salve(&["--json", "endpoints", "show", name]).json()["endpoint"]["id"].clone()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");

    // Two copies of one image become two machines, each with keys of its own, at their first start.
    let token = wave("img-*");
    let master = Endpoint::bare(&lab, "master");
    master.salved(&["prepare-image", &token]).expect(0);
    for (name, host) in [("copy-1", "img-1"), ("copy-2", "img-2")] {
        let mut copy = Endpoint::bare(&lab, name);
        run(Command::new("/bin/cp").args(["-a"]).arg(master.state()).arg(copy.state()), b"")
            .expect(0);
        copy.start_by(named(&copy, host, &["run"]));
        says(&mut desk, &format!("{host} is here"));
        copies.push(copy);
    }
    let cards = ["img-1", "img-2"].map(|name| {
        lab.salve(&["--json", "endpoints", "show", name]).json()["card"]["record_key"].clone()
    });
    assert_ne!(cards[0], cards[1]);
    let enrolled = copies[0].salved(&["prepare-image", &token]).expect(1);
    assert!(enrolled.err.contains("enrolled as img-1"), "{}", enrolled.err);

    // Void: nobody joins with it any more.
    let token = wave("srv-*");
    let tokens = lab.salve(&["--json", "endpoints", "tokens"]).json();
    let open = tokens.as_array().expect("rows").iter().find(|row| row["state"] == "open");
    let id = open.expect("an open line")["id"].as_str().expect("an id").to_owned();
    lab.salve(&["endpoints", "tokens", "--withdraw", &id]).expect(0);
    let fifth = Endpoint::bare(&lab, "e");
    paste(&fifth, "srv-1", &token).expect(4);
}

#[test]
fn a_machine_that_was_set_up_anew_has_its_name_and_labels_and_the_old_one_is_out() {
    let (lab, mut desk, address) = served();
    let args = ["endpoints", "enroll", "pc", "--desk", &address, "--label", "group=office"];
    let (console, token) = lab.enrolling_by(lab.command(&args));
    let mut old = Endpoint::bare(&lab, "old");
    paste(&old, "pc", &token).expect(0);
    console.end().expect(0);
    old.start();
    says(&mut desk, "pc is here");
    // How the machine is makes no difference here.
    let check = lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
    assert_eq!(check.json()["verified"], true, "{}", check.out);

    let args = ["endpoints", "replace", "pc", "--desk", &address];
    let (console, token) = lab.enrolling_by(lab.command(&args));
    let mut new = Endpoint::bare(&lab, "new");
    paste(&new, "pc", &token).expect(0);
    console.end().expect(0);
    new.start();
    wait_for("the new one", 30, || (desk.err().matches("pc is here").count() >= 2).then_some(()));
    let shown = lab.salve(&["--json", "endpoints", "show", "pc"]).json();
    assert_eq!(shown["card"]["labels"]["group"], "office", "{shown}");
    assert_eq!(shown["before"].as_array().map(Vec::len), Some(1), "{shown}");
    let runs = lab.salve(&["--json", "runs", "list"]).json();
    let before = &shown["before"][0]["id"];
    let kept = runs.as_array().expect("runs").iter().filter(|run| run["endpoint"] == *before);
    assert_eq!(kept.count(), 1, "the history stays under the old id: {runs}");
    // The old machine still runs somewhere: nobody lets it in.
    old.stop();
    old.start();
    wait_for("its rejection", 30, || {
        let status = old.salved(&["status"]).expect(0).out;
        status.contains("withdrawn").then_some(())
    });
    let check = lab.salve(&["--json", "check", "health.check", "--on", "pc"]).json();
    assert_eq!(check["verified"], true, "{check}");
}

#[test]
fn a_machine_whose_answer_was_lost_asks_again_and_costs_one_place() {
    let (lab, mut desk, address) = served();
    let args = ["endpoints", "enroll", "--names", "lt-*", "--count", "1", "--desk", &address];
    let token = line(&lab.salve(&args).expect(0));
    let mut machine = Endpoint::bare(&lab, "a");
    // It gets its answer and cannot write it down.
    let blocked = machine.state().join(".enrolling.json.next");
    std::fs::create_dir_all(&blocked).expect("made");
    let cut = paste(&machine, "lt-1", &token).expect(6);
    assert!(cut.err.contains("then run the same line again"), "{}", cut.err);
    says(&mut desk, "lt-1 joined");
    std::fs::remove_dir(&blocked).expect("removed");
    // Another machine gets neither its place nor its answer.
    let other = Endpoint::bare(&lab, "b");
    paste(&other, "lt-1", &token).expect(4);
    paste(&machine, "lt-1", &token).expect(0);
    let tokens = lab.salve(&["--json", "endpoints", "tokens"]).json();
    assert_eq!((&tokens[0]["joined"], &tokens[0]["state"]), (&1.into(), &"used up".into()));
    machine.start_by(named(&machine, "lt-1", &["run"]));
    says(&mut desk, "lt-1 is here");
    let check = lab.salve(&["--json", "check", "health.check", "--on", "lt-1"]).json();
    assert_eq!(check["verified"], true, "{check}");
    assert!(!machine.state().join("asking.json").exists());
}
