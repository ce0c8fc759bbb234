//! A night in which nobody can be asked: a key from a safe in the place of another person, over the
//! shared desk and on a real machine; and everybody hears of it until somebody has looked.

use serde_json::Value;
use support::{Lab, free_port};

use crate::approvals::want_approvals;
use crate::bench::{self, COUNTER};
use crate::evidence::{exported, judged};
use crate::shared_desk::begun_with;

fn key_file(lab: &Lab) -> String {
    lab.folder().join("stick/safe-1.pem").to_str().expect("UTF-8").to_owned()
}

/// The policy lets a fix of high risk have the key in the place of its approval.
fn may_break_glass(lab: &Lab) {
    want_approvals(lab);
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    let text = text.replace("approvals = 1\n", "approvals = 1\nbreak_glass = true\n");
    let draft = lab.folder().join("policy.toml");
    std::fs::write(&draft, text).expect("written");
    let draft = draft.to_str().expect("UTF-8");
    lab.salve(&["policy", "lint", draft]).says("break_glass without a [[break_glass]] key");
    lab.salve(&["policy", "sign", draft, "--yes"]).expect(0).says("break_glass");
}

/// Makes a key and gives its public half.
fn made(lab: &Lab) -> String {
    let file = key_file(lab);
    let made = lab.salve(&["--json", "keys", "make", "break-glass", "safe-1", "--to", &file]);
    let made = made.expect(0).json();
    lab.salve(&["keys", "make", "break-glass", "safe-1", "--to", &file])
        .expect(2)
        .says("there already");
    made["key"].as_str().expect("a key").to_owned()
}

fn broken<'a>(ticket: &'a str, nonce: &'a str, file: &'a str) -> Vec<&'a str> {
    let mut args = vec!["--json", "run", "lab.count", "--ticket", ticket, "--arg", nonce, "--yes"];
    args.extend(["--identified", "callback", "--break-glass", "--glass-key", file]);
    args.extend(["--reason", "nobody answers"]);
    args
}

fn needs(lab: &Lab) -> Vec<String> {
    let state = lab.salve(&["--json", "status"]).json();
    let needs = state["needs_person"].as_array().expect("a list").iter();
    needs.filter_map(Value::as_str).filter(|n| n.contains("GLASS")).map(str::to_owned).collect()
}

#[test]
fn glass_is_broken_at_night_and_another_person_looks_at_it_in_the_morning() {
    let (lab, _desk, pc, colleague) = begun_with(free_port(), COUNTER);
    may_break_glass(&lab);
    let (key, file) = (made(&lab), key_file(&lab));
    let ticket = bench::ticket(&colleague, "count it at night", "pc");
    let nonce = format!("nonce={ticket}");
    let before = bench::executions();
    let args = broken(&ticket, &nonce, &file);
    colleague.salve(&args).expect(4).says("the policy lists no break-glass key");
    lab.salve(&["keys", "give", "break-glass", "safe-1", "--key", &key]).expect(0);

    // What is left out is said before anything happens.
    let without = |gone: &str| -> Vec<&str> {
        let at = args.iter().position(|arg| *arg == gone).expect("an argument");
        let long = args[at].starts_with("--identified") || gone == "--reason";
        args.iter()
            .enumerate()
            .filter(|(n, _)| *n != at && !(long && *n == at + 1))
            .map(|(_, a)| *a)
            .collect()
    };
    colleague.salve(&without("--reason")).expect(2);
    colleague.salve(&without("--identified")).expect(4).says("identity check");
    assert_eq!(bench::executions(), before);

    let run = colleague.salve(&args).expect(0).says("GLASS WAS BROKEN").json();
    assert_eq!((&run["verified"], &run["outcome"]), (&true.into(), &"succeeded".into()), "{run}");
    assert_eq!(bench::executions(), before + 1);
    let said = "BREAK GLASS by m.ruiz with key safe-1 instead of 1 approval: \"nobody answers\"";
    let record = colleague.salve(&["--json", "runs", "show", "last"]).expect(0).json();
    let reasons = record["record"]["predicate"]["decision"]["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason == said), "{reasons:?}");
    let warned = |line: &str| line.contains("WARN") && line.contains("BREAK GLASS by m.ruiz");
    assert!(pc.log_text().lines().any(warned), "{}", pc.log_text());
    let note = colleague.salve(&["--json", "tickets", "show", &ticket]).expect(0).json();
    let notes = note["notes"].as_array().expect("notes");
    let first = "BREAK GLASS by m.ruiz with key safe-1 instead of approvals: \"nobody answers\"\n";
    let body = |note: &Value| note["body"].as_str().is_some_and(|body| body.starts_with(first));
    assert!(notes.iter().any(body), "{note}");

    // Everybody's status says it until somebody else has looked.
    assert_eq!((needs(&lab).len(), needs(&colleague).len()), (1, 1));
    let need = needs(&lab).remove(0);
    let order = need.rsplit(' ').next().expect("an order");
    colleague.salve(&["orders", "reviewed", order]).expect(4).says("nobody reviews their own");
    let list = ["audit", "list", "--from", "2020-01-01", "--to", "2099-12-31"];
    lab.salve(&list).says("NOT REVIEWED");
    lab.salve(&["orders", "reviewed", order]).expect(0).says("m.ruiz broke glass");
    lab.salve(&["orders", "reviewed", order]).expect(2).says("reviewed before");
    assert_eq!((needs(&lab).len(), needs(&colleague).len()), (0, 0));
    lab.salve(&list).says("safe-1, reviewed by a.kaya").says("Broke glass: 1, 0 not reviewed");

    // The auditor's own program says it too.
    let root = lab.home().join("org/repository/1.root.json");
    let bundle = exported(&lab, &ticket, "glass.bundle");
    judged(&bundle, &root, &[]).expect(0).says("BROKEN by m.ruiz, key safe-1");

    // A key that was used is taken: it is worth nothing any more.
    lab.salve(&["keys", "take", "break-glass", "safe-1"]).expect(0).says("denies safe-1");
    colleague.salve(&args).expect(4).says("the policy lists no break-glass key");
    assert_eq!(bench::executions(), before + 1);
}
