//! Session keys, by the real programs: unlocked once, by a real ssh-agent or a passphrase, and taken by
//! endpoints for what policy lets them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::{Done, Going, Lab, free_port, run, wait_for};

use crate::bench;
use crate::shared_desk::begun_with;
use crate::waiting::counter;

/// A real ssh-agent, ended when dropped.
struct SshAgent {
    child: Child,
    socket: PathBuf,
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SshAgent {
    fn start(lab: &Lab) -> Self {
        let socket = lab.folder().join("ssh-agent");
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("/usr/bin/ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("openssh-client is installed");
        let agent = Self { child, socket };
        wait_for("the ssh-agent", 10, || {
            std::os::unix::net::UnixStream::connect(&agent.socket).ok().map(drop)
        });
        agent
    }

    fn tool(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        run(command.args(args).env("SSH_AUTH_SOCK", &self.socket), b"").expect(0);
    }

    fn salve(&self, lab: &Lab, args: &[&str]) -> Done {
        run(lab.command(args).env("SSH_AUTH_SOCK", &self.socket), b"")
    }
}

fn policy(lab: &Lab, from: &str, to: &str) {
    let draft = lab.folder().join("policy.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    assert!(text.contains(from), "{text}");
    std::fs::write(&draft, text.replace(from, to)).expect("written");
    lab.salve(&["policy", "sign", draft.to_str().expect("UTF-8"), "--yes"]).expect(0);
}

const CHECK: [&str; 5] = ["--json", "check", "health.check", "--on", "pc"];

fn check(lab: &Lab) -> Done {
    lab.salve(&CHECK)
}

/// A look that was let: whatever it found.
fn looked(done: &Done) {
    assert!(done.code == 0 || done.code == 1, "{}{}", done.out, done.err);
    assert_eq!(done.json()["verified"], true, "{}", done.out);
}

/// What the endpoint says of the last run.
fn record(lab: &Lab) -> Value {
    lab.salve(&["--json", "runs", "show", "last"]).json()
}

#[test]
fn a_day_by_a_session_that_a_real_ssh_agent_unlocked() {
    let lab = Lab::solo();
    let _pc = lab.endpoint("pc");
    let agent = SshAgent::start(&lab);
    let file = lab.folder().join("id");
    let path = file.to_str().expect("UTF-8");
    agent.tool("/usr/bin/ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", path]);
    agent.tool("/usr/bin/ssh-add", &["-q", path]);
    let listed = agent.salve(&lab, &["--json", "keys", "ssh-agent", "--list"]).expect(0).json();
    let new = listed[0]["key"].as_str().expect("a key").to_owned();
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    let line = text.lines().find(|line| line.starts_with("signing_key = ")).expect("a key");
    policy(&lab, line, &format!("signing_key = \"{new}\""));
    agent.salve(&lab, &["keys", "ssh-agent"]).expect(0);
    assert!(!lab.home().join("agents/a.kaya/signing.pem").exists());

    // The agent itself signs; without it nobody does.
    looked(&agent.salve(&lab, &CHECK));
    check(&lab).expect(2);
    let unlocked = agent.salve(&lab, &["--json", "unlock", "--for", "1h"]).expect(0).json();
    drop(agent);
    looked(&check(&lab));
    let shown = record(&lab).to_string();
    assert!(shown.contains("signed by a session key for medium risk"), "{shown}");
    lab.salve(&["verify", "last"]).expect(0).says("by a session key until");

    // It leaked: denied with the next catalogue, which travels with the order.
    let key = unlocked["key"].as_str().expect("a key");
    policy(&lab, "\nkeys = []", &format!("\nkeys = [\"{key}\"]"));
    let denied = check(&lab);
    assert_eq!(denied.code, 4, "{}{}", denied.out, denied.err);
    assert!(record(&lab).to_string().contains("signer-withdrawn"));
    lab.salve(&["lock"]).expect(0).says("Locked");
    check(&lab).expect(2);

    let agent = SshAgent::start(&lab);
    agent.tool("/usr/bin/ssh-add", &["-q", path]);
    agent.salve(&lab, &["unlock"]).expect(0).says("Unlocked until");
    looked(&check(&lab));
}

#[test]
fn a_colleague_works_at_the_shared_desk_by_a_session_and_what_waits_runs_by_it_too() {
    let (_lab, mut desk, mut pc, colleague) = begun_with(free_port(), &counter());
    colleague.salve(&["keys", "passphrase"]).expect(0);
    std::fs::write(colleague.passphrase(), "\n").expect("written");
    colleague.salve(&["--json", "check", "health.check", "--on", "pc"]).expect(2);
    std::fs::write(colleague.passphrase(), format!("{}\n", support::PASSPHRASE)).expect("written");
    colleague.salve(&["unlock", "--for", "2h"]).expect(0);
    std::fs::write(colleague.passphrase(), "\n").expect("written");

    let ticket = bench::ticket(&colleague, "count it", "pc");
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", &ticket, "--arg", &nonce];
    let mut command = colleague.command(&args);
    command.args(["--identified", "callback", "--yes"]);
    let done = Going::start(&mut command).end().expect(0).json();
    assert_eq!(done["verified"], true, "{done}");
    assert_eq!(bench::executions(), 1);

    pc.stop();
    desk.says("pc took leave");
    let other = bench::ticket(&colleague, "count it again", "pc");
    let nonce = format!("nonce={other}");
    let args = ["--json", "run", "lab.count", "--ticket", &other, "--arg", &nonce];
    let mut command = colleague.command(&args);
    command.args(["--identified", "callback", "--yes", "--wait", "30m"]);
    let left = Going::start(&mut command).end().expect(7).json();
    assert_eq!(left["waiting"], true, "{left}");
    let back = colleague.salve(&["cancel", left["run"].as_str().expect("a run")]);
    back.expect(0);
    let mut command = colleague.command(&args);
    command.args(["--identified", "callback", "--yes", "--wait", "30m"]);
    let left = Going::start(&mut command).end().expect(7).json();
    pc.start();
    wait_for("its execution", 30, || (bench::executions() == 2).then_some(()));
    let run = left["run"].as_str().expect("a run");
    let done = colleague.salve(&["--json", "runs", "follow", run]).expect(0).json();
    assert_eq!(done["verified"], true, "{done}");
    colleague.salve(&["verify", run]).expect(0).says("by a session key until");
}
