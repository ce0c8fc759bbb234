//! What an auditor sees when everybody is gone: one file, one root, and a program that has neither our
//! store nor a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Done, Lab, free_port, programs, run};

use crate::approvals::{asked, fix, want_approvals};
use crate::bench::{self, COUNTER};
use crate::shared_desk::begun_with;

/// `salve-verify` in a network of its own, which is none.
pub(crate) fn judged(file: &Path, root: &Path, more: &[&str]) -> Done {
    let mut command = Command::new("/usr/bin/unshare");
    command.arg("--net").arg(programs().join("salve-verify")).arg(file).arg("--root").arg(root);
    run(command.args(more).env_clear(), b"")
}

pub(crate) fn exported(lab: &Lab, ticket: &str, name: &str) -> std::path::PathBuf {
    let file = lab.folder().join(name);
    let out = file.to_str().expect("UTF-8");
    lab.salve(&["audit", "export", ticket, "--out", out]).expect(0).says("no secrets");
    file
}

/// Takes the script out of use, as a person does it: in the policy.
fn deny_script(lab: &Lab, digest: &str) {
    let draft = lab.folder().join("deny.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    assert!(text.contains("[denied]\nscripts = []\n"), "{text}");
    let listed = format!("[denied]\nscripts = [\"{digest}\"]\n");
    fs::write(&draft, text.replace("[denied]\nscripts = []\n", &listed)).expect("written");
    lab.salve(&["policy", "sign", draft.to_str().expect("UTF-8"), "--yes"]).expect(0);
}

#[test]
fn a_ticket_is_evidence_after_the_agent_left_the_script_was_withdrawn_and_the_machine_is_scrap() {
    let (lab, _desk, mut pc, colleague) = begun_with(free_port(), COUNTER);
    want_approvals(&lab);
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let nothing = colleague.salve(&["audit", "export", &ticket, "--out", "/tmp/none.bundle"]);
    nothing.expect(2).says("no fix or undo was ordered");
    let mut going = fix(&colleague, &ticket);
    let order = asked(&lab, &mut going);
    lab.salve(&["approve", &order, "--yes"]).expect(0);
    going.end().expect(0);

    // Over the line, by the agent; the auditor has the root on another way.
    let root = lab.folder().join("root.json");
    fs::copy(lab.home().join("org/repository/1.root.json"), &root).expect("copied");
    let fresh = judged(&exported(&colleague, &ticket, "fresh.bundle"), &root, &[]).expect(0);
    for words in
        ["m.ruiz: key valid then and now", "a.kaya: another person, plan ", "VALID WHEN MADE. Not"]
    {
        assert!(fresh.out.contains(words), "{words}\n{}", fresh.out);
    }

    let shown = lab.salve(&["--json", "runs", "show", "last"]).expect(0).json();
    let script = &shown["record"]["predicate"]["script"]["digest"];
    deny_script(&lab, script.as_str().expect("a digest"));
    lab.salve(&["agents", "withdraw", "m.ruiz"]).expect(0);
    lab.salve(&["endpoints", "withdraw", "pc"]).expect(0);
    pc.stop();
    let file = exported(&lab, &ticket, "later.bundle");
    let later = judged(&file, &root, &[]).expect(0);
    for words in [
        "lab.count 1 on pc, ",
        "m.ruiz: key valid then, withdrawn 20",
        "this version withdrawn since, after this run",
        "signed by pc (withdrawn 20",
        "VALID WHEN MADE. Not proven: that the person was who they said",
    ] {
        assert!(later.out.contains(words), "{words}\n{}", later.out);
    }
    // Every order of those days, by both, and that none is missing.
    let days = ["audit", "list", "--from", "2020-01-01", "--to", "2099-12-31", "--risk", "high"];
    let csv = lab.folder().join("all.csv");
    let mut args = days.to_vec();
    args.extend(["--csv", csv.to_str().expect("UTF-8")]);
    lab.salve(&args).expect(0).says("1 fixed, 1 planned. Complete: no record is missing");
    assert_eq!(fs::read_to_string(&csv).expect("read").lines().count(), 3);
    let json = judged(&file, &root, &["--json"]).expect(0).json();
    assert_eq!(
        (&json["valid"], &json["ticket"]),
        (&true.into(), &ticket.as_str().into()),
        "{json}"
    );
    // The desk's own judge says the same of the run.
    lab.salve(&["verify", "last"]).expect(0).says("valid then, withdrawn since");

    // One byte of it, here and there; another organisation's root; no bundle at all.
    let bytes = fs::read(&file).expect("read");
    let altered = lab.folder().join("altered.bundle");
    for place in (0..bytes.len()).step_by(bytes.len() / 12) {
        let mut other = bytes.clone();
        other[place] ^= 1;
        fs::write(&altered, other).expect("written");
        let done = judged(&altered, &root, &[]).expect(3);
        assert!(format!("{}{}", done.out, done.err).contains("INVALID: "), "{place}: {done:?}");
    }
    let strangers = Lab::solo();
    let foreign = strangers.home().join("org/repository/1.root.json");
    judged(&file, &foreign, &[]).expect(3).says("INVALID: the catalogue");
    judged(&file, &file, &[]).expect(2).says("is not a root");
    judged(Path::new("/nowhere"), &root, &[]).expect(2).says("could not read");
}
