//! Orders that wait, by the real programs: the machine is away, the desk is killed, and it runs once.

use serde_json::Value;
use support::{Done, Going, Lab, free_port, wait_for};

use crate::bench::{self, COUNTER};
use crate::shared_desk::{Served, begun_with, notes};

/// The script of [`bench`] with a risk that may wait, and without a secret.
pub(crate) fn counter() -> String {
    COUNTER
        .replace("risk: \"high\"", "risk: \"medium\"")
        .replace(", \"secret.one_time\": []", "")
        .replace("    let secret = secret::one_time(#{ length: 16, minutes: 10 });\n", "")
}

/// Leaves the fix for a ticket waiting.
fn leave(lab: &Lab, ticket: &str, time: &str) -> Done {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut command = lab.command(&args);
    command.args(["--identified", "callback", "--yes", "--wait", time]);
    Going::start(&mut command).end()
}

fn waiting(lab: &Lab) -> Vec<Value> {
    lab.salve(&["--json", "orders", "list"]).expect(0).json()["waiting"]
        .as_array()
        .expect("a list")
        .clone()
}

#[test]
fn an_order_waits_over_a_killed_desk_and_runs_once_when_its_machine_is_back() {
    let port = free_port();
    let (lab, mut desk, mut pc, colleague) = begun_with(port, &counter());
    pc.stop();
    desk.says("pc took leave");

    // Without --wait: the command that waits is named.
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let away = colleague.salve(&["check", "lab.count", "--ticket", &ticket]).expect(5);
    let command = format!("salve check lab.count --ticket {ticket} --wait ");
    assert!(away.err.contains(&command), "{}", away.err);
    assert!(away.err.contains("Nothing was sent."), "{}", away.err);

    let left = leave(&colleague, &ticket, "30m").expect(7).json();
    assert_eq!(left["waiting"], true, "{left}");
    let rows = waiting(&lab);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["agent"], &rows[0]["run"]), (&"m.ruiz".into(), &left["run"]));

    // Another one is taken back while it waits, and its ticket says so.
    let other = bench::ticket(&colleague, "count it not", "pc");
    let back = leave(&colleague, &other, "30m").expect(7).json();
    let run = back["run"].as_str().expect("a run");
    colleague.salve(&["cancel", run]).expect(0);
    let shown = bench::delivered(&lab, &other);
    let told = shown["notes"].to_string();
    assert!(told.contains("NOT RUN") && told.contains("taken back by m.ruiz"), "{shown}");
    assert_eq!(notes(&shown), 1, "{shown}");

    desk.going.kill();
    let mut desk = Served::start(&lab, port);
    assert_eq!(waiting(&lab).len(), 1, "the desk kept it");
    assert_eq!(bench::executions(), 0);
    pc.start();
    desk.says("pc is here");
    wait_for("its execution", 30, || (bench::executions() == 1).then_some(()));
    let run = left["run"].as_str().expect("a run");
    let done = colleague.salve(&["--json", "runs", "follow", run]).expect(0).json();
    assert_eq!(done["verified"], true, "{done}");
    let shown = bench::delivered(&lab, &ticket);
    assert_eq!(notes(&shown), 1, "{shown}");
    assert!(waiting(&lab).is_empty());

    // It comes again, and nothing runs again.
    pc.stop();
    desk.says("pc took leave");
    pc.start();
    let check = wait_for("pc to be back", 30, || {
        let check = colleague.salve(&["--json", "check", "health.check", "--on", "pc"]);
        (check.code != 5).then_some(check)
    });
    assert_eq!(check.json()["verified"], true);
    assert_eq!(bench::executions(), 1, "it ran once");
    assert_eq!(notes(&bench::shown(&lab, &ticket)), 1);
}

#[test]
fn an_order_whose_time_is_over_is_never_sent_and_its_ticket_says_so() {
    let port = free_port();
    let (lab, mut desk, mut pc, colleague) = begun_with(port, &counter());
    pc.stop();
    desk.says("pc took leave");
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let left = leave(&colleague, &ticket, "30m").expect(7).json();
    let run = left["run"].as_str().expect("a run");
    desk.going.kill();

    // The desk comes back when the order is over.
    let clock = lab.folder().join("clock");
    std::fs::write(&clock, "+31m\n").expect("written");
    let address = format!("127.0.0.1:{port}");
    let mut serve = lab.command(&["serve", "--listen", &address]);
    crate::clock::fake(&mut serve, &clock);
    let mut desk = Served { going: Going::start(&mut serve), address };
    desk.says("listening on");
    let shown = wait_for("the note", 30, || {
        let shown = bench::shown(&lab, &ticket);
        (notes(&shown) == 1).then_some(shown)
    });
    assert!(shown["notes"].to_string().contains("NOT RUN"), "{shown}");
    assert!(waiting(&lab).is_empty());
    pc.start();
    desk.says("pc is here");
    colleague.salve(&["runs", "show", run]).expect(7).says("NOT SENT");
    assert_eq!(bench::executions(), 0, "it never ran");
}

#[test]
fn what_policy_wants_signed_by_hand_is_not_left_waiting() {
    let (_lab, mut desk, mut pc, colleague) = begun_with(free_port(), COUNTER);
    pc.stop();
    desk.says("pc took leave");
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let refused = leave(&colleague, &ticket, "30m").expect(4);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("is not left waiting"), "{said}");
    assert!(waiting(&colleague).is_empty());
}
