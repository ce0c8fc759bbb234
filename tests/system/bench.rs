//! A script whose executions the disk counts, and what can be read of runs and tickets from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Going, Lab};

/// One line for every time that the unit was started.
const COUNT: &str = "/run/salve-count";
/// While this pipe is there, a start of the unit waits for somebody to write into it.
const HOLD: &str = "/run/salve-hold";
/// The unit.
pub(crate) const UNIT: &str = "salve-count.service";

/// Looks at nothing and is content with it.
pub(crate) const NOTHING: &str = r#"
const ABOUT = #{
    id: "lab.nothing", version: 1, title: "Nothing", does: "looks at nothing",
    risk: "low", consent: "none", platforms: ["linux"], permissions: #{}, words: ["nothing"],
};
fn detect(p) { healthy("nothing is wrong") }
fn remediate(p, found) { report::note("nothing was done"); }
fn verify(p, found) { healthy("nothing is wrong") }
"#;

/// Restarts a unit that counts its starts; says, prints, attaches and makes a secret on the way.
pub(crate) const COUNTER: &str = r#"
const ABOUT = #{
    id: "lab.count", version: 1, title: "Count one execution",
    does: "restarts a unit that counts its starts",
    risk: "high", consent: "none", platforms: ["linux"], limit: "1m",
    params: #{ nonce: #{ kind: "int", min: 0, max: 9999, preset: 0, ask: "Which time?" } },
    permissions: #{ "service.restart": ["salve-count.service"], "secret.one_time": [] },
    words: ["count"],
};
fn detect(p) { needed(`it can always be counted once more (${p.nonce})`) }
fn remediate(p, found) {
    print("about to count");
    report::attach("before", "a log");
    let secret = secret::one_time(#{ length: 16, minutes: 10 });
    service::restart("salve-count.service", #{ wait: 60 });
}
fn verify(p, found) {
    report::say("It was counted.");
    healthy("counted")
}
"#;

/// Makes the unit.
pub(crate) fn make_unit() {
    let unit = format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/bin/sh -c 'echo started >>{COUNT}; test ! -p {HOLD} || cat {HOLD}'\n"
    );
    fs::write(format!("/etc/systemd/system/{UNIT}"), unit).expect("written");
    let _ = fs::remove_file(COUNT);
    let _ = fs::remove_file(HOLD);
    systemctl(&["daemon-reload"]);
}

pub(crate) fn systemctl(args: &[&str]) {
    let status = Command::new("/usr/bin/systemctl").args(args).status().expect("systemctl");
    assert!(status.success(), "systemctl {args:?}");
}

/// How often the unit was started.
pub(crate) fn executions() -> usize {
    fs::read_to_string(COUNT).unwrap_or_default().lines().count()
}

/// The unit's next start waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Held;

impl Held {
    pub(crate) fn new() -> Self {
        assert!(Command::new("/usr/bin/mkfifo").arg(HOLD).status().expect("mkfifo").success());
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = fs::remove_file(HOLD);
        let mut stop = Command::new("/usr/bin/systemctl");
        let _ = stop.args(["kill", "--signal=KILL", UNIT]).output();
        let _ = Command::new("/usr/bin/systemctl").args(["stop", UNIT]).output();
    }
}

/// Runs of a ticket, newest first.
pub(crate) fn runs(lab: &Lab, ticket: &str) -> Vec<Value> {
    let done = lab.salve(&["--json", "runs", "list", "--number", "0", "--ticket", ticket]);
    done.expect(0).json().as_array().expect("a list").clone()
}

/// A new ticket's number.
pub(crate) fn ticket(lab: &Lab, subject: &str, on: &str) -> String {
    let mut args = vec!["--json", "tickets", "new", subject, "--for", "jo.meyer"];
    args.extend(["--on", on]);
    let done = lab.salve(&args).expect(0);
    let id = &done.json()["id"];
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// What a ticket shows.
pub(crate) fn shown(lab: &Lab, ticket: &str) -> Value {
    lab.salve(&["--json", "tickets", "show", ticket]).expect(0).json()
}

/// A ticket when nothing of it is due any more: what a killed console left is taken over by the next
/// command.
pub(crate) fn delivered(lab: &Lab, ticket: &str) -> Value {
    support::wait_for("what is due on the ticket to be delivered", 20, || {
        let shown = shown(lab, ticket);
        shown["undelivered"].as_array().is_some_and(Vec::is_empty).then_some(shown)
    })
}

/// Copies a folder, whole.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = Command::new("/bin/cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(done.success(), "cp -a {} {}", from.display(), to.display());
}

/// The command line of a fix for a ticket; no two tickets' plans are the same bytes.
pub(crate) fn fix_command(lab: &Lab, ticket: &str) -> Command {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut command = lab.command(&args);
    command.args(["--identified", "callback", "--yes"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Starts a fix for a ticket and keeps what it says.
pub(crate) fn start_fix(lab: &Lab, ticket: &str) -> Going {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    lab.start(&[&args[..], &["--identified", "callback", "--yes"]].concat())
}
