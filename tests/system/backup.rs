//! A desk is copied while it serves, dies, and comes back elsewhere: same machine, same ticket, no note
//! twice, and what was published in between is there again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;
use support::{Going, Lab, free_port, wait_for};

use crate::bench::{self, COUNTER};

fn serve(lab: &Lab, address: &str) -> Going {
    let going = lab.start(&["serve", "--listen", address, "--metrics", "127.0.0.1:0"]);
    says(&going, &format!("listening on {address}"));
    going
}

/// Shows the desk's journal where a test fails.
struct Journal<'a>(&'a Going);

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the desk's journal:\n{}", self.0.err());
        }
    }
}

#[track_caller]
fn says(desk: &Going, words: &str) {
    let _shown = Journal(desk);
    wait_for(words, 30, || {
        let said = desk.err();
        assert!(!said.contains("panicked"), "{said}");
        said.contains(words).then_some(())
    });
}

/// What the desk answers a monitor.
fn scraped(desk: &Going) -> String {
    let said = desk.err();
    let url = said.lines().find_map(|line| line.strip_prefix("metrics on http://"));
    let address = url.and_then(|url| url.strip_suffix("/metrics")).expect("where it answers");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: desk\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    text
}

/// A repair by this console; what it says of its run.
fn fix(console: &Lab, ticket: &str, nonce: u8) -> Value {
    let nonce = format!("nonce={nonce}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut fix = console.command(&args);
    fix.args(["--identified", "callback", "--yes"]);
    Going::start(&mut fix).end().expect(0).json()
}

#[test]
fn a_desk_that_died_comes_back_from_its_copy_and_repeats_nothing() {
    let lab = Lab::solo();
    bench::make_unit();
    let colleague = lab.colleague("m.ruiz");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut pc = lab.endpoint("pc");
    pc.stop();
    pc.configure(&format!("desk = \"{address}\""));
    lab.salve(&["endpoints", "set", "pc", "--at", "127.0.0.1:9"]).expect(0);
    let desk = serve(&lab, &address);
    pc.start();
    says(&desk, "pc is here");
    colleague.salve(&["desk", "set", &address]).expect(0);

    let ticket = bench::ticket(&colleague, "count it", "pc");
    let copy = lab.folder().join("desk.backup");
    let copy = copy.to_str().expect("UTF-8");
    let made = lab.salve(&["backup", copy]).expect(0);
    assert!(made.out.contains("! KEYS") && made.out.contains("Not in it"), "{}", made.out);

    // After the copy: a script is published, and run for the ticket; its note is posted.
    lab.publish(COUNTER);
    let done = fix(&colleague, &ticket, 1);
    assert_eq!(done["outcome"], "succeeded", "{done}");
    let counted = bench::executions();
    let numbers = scraped(&desk);
    for sample in
        ["salve_endpoints_held 1\n", "{outcome=\"succeeded\"} ", "_resident_memory_bytes "]
    {
        assert!(numbers.contains(sample), "{sample} in {numbers}");
    }
    let others = lab.salve(&["serve", "--metrics", "0.0.0.0:0"]).expect(2);
    assert!(others.err.contains("--metrics-to-others"), "{}", others.err);

    // The desk's disk is gone. Its keys of people lie elsewhere, as they should.
    desk.kill();
    // An idle line is noticed as dead after a minute or two; nobody waits for that here.
    pc.stop();
    put_back(&lab, copy);

    let desk = serve(&lab, &address);
    pc.start();
    says(&desk, "pc is here");
    says(&desk, "it has a newer catalogue than this desk");
    let status = lab.salve(&["--json", "status"]).expect(1).json();
    assert_eq!(status["ahead"][0]["endpoint"], "pc", "{status}");
    // The colleague has what was published; any command brings it back.
    let listed = colleague.salve(&["tickets", "list"]).expect(0);
    assert!(listed.err.contains("took ours again"), "{}", listed.err);
    let status = lab.salve(&["--json", "status"]).json();
    assert_eq!(status["ahead"], serde_json::json!([]), "{status}");
    came_home(&lab, &colleague, &ticket, &done["run"]);
    says(&desk, "records came home");

    // Nothing ran again by that; its script does when somebody says so, and once.
    assert_eq!(bench::executions(), counted);
    let done = fix(&colleague, &ticket, 2);
    assert_eq!(
        (&done["outcome"], &done["verified"]),
        (&"succeeded".into(), &true.into()),
        "{done}"
    );
    assert_eq!(bench::executions(), counted + 1);
    let shown = bench::delivered(&colleague, &ticket);
    assert_eq!(internal(&shown), 2, "{shown}");
    pc.stop();
    pc.start();
    colleague.salve(&["runs", "follow", "last"]).expect(0);
    assert_eq!(internal(&bench::delivered(&colleague, &ticket)), 2, "one an order");
}

/// Restores the copy into a home that is gone, after a full home and a damaged copy were refused; people's
/// keys come back from their own copies.
fn put_back(lab: &Lab, copy: &str) {
    let (home, old) = (lab.home(), lab.folder().join("old"));
    let cut = lab.folder().join("cut");
    let bytes = fs::read(copy).expect("read");
    fs::write(&cut, &bytes[..bytes.len() - 1]).expect("written");
    let full = lab.salve(&["restore", copy]).expect(2);
    assert!(full.err.contains("is not empty"), "{}", full.err);
    fs::rename(&home, &old).expect("moved");
    let damaged = lab.salve(&["restore", cut.to_str().expect("UTF-8")]).expect(3);
    assert!(damaged.err.contains("it is cut off"), "{}", damaged.err);
    assert!(!home.exists(), "a damaged copy left something");
    lab.salve(&["restore", copy]).expect(0).says("is back in");
    for kept in ["agents", "keys/root", "keys/admin", "keys/vetter"] {
        fs::rename(old.join(kept), home.join(kept)).expect("put back");
    }
}

/// The desk had acknowledged what it lost with its disk: order and record come back from the machine,
/// and the ticket is told what its copy did not know.
fn came_home(lab: &Lab, colleague: &Lab, ticket: &str, run: &Value) {
    let run = run.as_str().expect("a run");
    let home_again = wait_for("the run that was lost", 30, || {
        let listed = colleague.salve(&["--json", "runs", "list", "--ticket", ticket]).json();
        let all = listed.as_array().expect("a list").clone();
        let found =
            all.into_iter().find(|row| row["id"].as_str().is_some_and(|id| id.starts_with(run)));
        found.filter(|row| row["state"] == "ended")
    });
    assert_eq!(home_again["verified"], true, "{home_again}");
    assert_eq!(home_again["agent"], "m.ruiz", "{home_again}");
    assert_eq!(internal(&bench::delivered(colleague, ticket)), 1);
    let from = ["--json", "audit", "list", "--from", "2026-01-01", "--to", "2099-01-01"];
    lab.salve(&from).expect(0);
}

fn internal(shown: &Value) -> usize {
    let notes = shown["notes"].as_array().expect("notes");
    notes.iter().filter(|note| note["public"] == false).count()
}
