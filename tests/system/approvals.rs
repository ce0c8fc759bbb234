//! A second person's yes: asked at the shared desk, given over what the approver's own console verified,
//! checked by the machine, and bound to the plan that was shown.

use serde_json::Value;
use support::{Going, Lab, free_port, wait_for};

use crate::bench::{self, COUNTER};
use crate::shared_desk::{begun_with, notes};

/// Has the policy want one approval of every fix of high risk.
pub(crate) fn want_approvals(lab: &Lab) {
    let draft = lab.folder().join("policy.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    let rule = "id = \"fix-high\"\n";
    assert!(text.contains(rule), "{text}");
    let text = text.replace(rule, &format!("{rule}approvals = 1\napprovers = [\"agent\"]\n"));
    std::fs::write(&draft, text).expect("written");
    let draft = draft.to_str().expect("UTF-8");
    lab.salve(&["policy", "sign", draft, "--yes"]).expect(0).says("approvals");
}

pub(crate) fn fix(lab: &Lab, ticket: &str) -> Going {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut command = lab.command(&args);
    command.args(["--identified", "callback", "--yes"]);
    Going::start(&mut command)
}

/// What asks this console's owner.
fn asking(lab: &Lab) -> Vec<Value> {
    let listed = lab.salve(&["--json", "approve"]).expect(0).json();
    listed.as_array().expect("a list").clone()
}

/// Waits for the one order that asks this console's owner, and names it.
pub(crate) fn asked(lab: &Lab, going: &mut Going) -> String {
    wait_for("an order that asks", 30, || {
        assert!(!going.ended(), "{}{}", going.out(), going.err());
        let order = asking(lab).first()?["order"].as_str()?.to_owned();
        Some(order.chars().take(12).collect())
    })
}

#[test]
fn a_fix_of_high_risk_waits_for_another_person_and_runs_with_exactly_what_they_saw() {
    let (lab, desk, _pc, colleague) = begun_with(free_port(), COUNTER);
    let second = lab.colleague("s.okafor");
    second.salve(&["desk", "set", &desk.address]).expect(0);
    want_approvals(&lab);

    // The colleague orders, over the line; the agent at the desk says yes.
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let before = bench::executions();
    let mut going = fix(&colleague, &ticket);
    let order = asked(&lab, &mut going);
    let shown = lab.salve(&["approve", &order, "--yes"]).expect(0);
    for words in
        ["of m.ruiz, for ticket 1", "lab.count 1 on pc: high risk", "nonce = 1", "signed that plan"]
    {
        assert!(shown.out.contains(words), "{words}\n{}", shown.out);
    }
    let done = going.end().expect(0);
    assert!(done.err.contains("asked a.kaya"), "{}", done.err);
    assert!(done.err.contains("a.kaya approved this plan"), "{}", done.err);
    let run = done.json();
    assert_eq!((&run["verified"], &run["outcome"]), (&true.into(), &"succeeded".into()), "{run}");
    let record = colleague.salve(&["--json", "runs", "show", "last"]).expect(0).json();
    let reasons = record["record"]["predicate"]["decision"].to_string();
    assert!(reasons.contains("approved by a.kaya"), "{reasons}");
    assert_eq!(bench::executions(), before + 1);
    assert_eq!(asking(&lab), Vec::<Value>::new(), "it asks no more");
    let note = colleague.salve(&["--json", "tickets", "show", &ticket]).expect(0).json();
    assert_eq!(notes(&note), 1, "{note}");

    // Without anybody's yes no machine takes it, whatever the console would do.
    let direct = lab.salve(&["policy", "explain", "lab.count", "--on", "pc", "--identified"]);
    direct.expect(4).says("approval-required");

    // A no is a no; nobody answers their own.
    let ticket = bench::ticket(&second, "count it again", "pc");
    let mut going = fix(&second, &ticket);
    let order = asked(&colleague, &mut going);
    second.salve(&["approve", &order, "--yes"]).expect(4).says("nobody approves their own order");
    colleague.salve(&["approve", &order, "--no"]).expect(0).says("You declined it");
    going.end().expect(4).says("m.ruiz said no. Nothing was changed.");
    assert_eq!(bench::executions(), before + 1);

    // Whoever leaves finds the order approved when they come back; it is sent once.
    let mut going = fix(&second, &ticket);
    let order = asked(&colleague, &mut going);
    going.kill();
    second.salve(&["orders", "send", &order]).expect(4).says("0 of 1 approved it so far");
    colleague.salve(&["status"]).says("an order asks for approval");
    colleague.salve(&["orders", "send", &order]).expect(4).says("it is s.okafor's order");
    colleague.salve(&["approve", &order, "--yes"]).expect(0);
    second.salve(&["orders", "list"]).expect(0).says("1 of 1");
    second.salve(&["orders", "send", &order]).expect(0).says("FIXED");
    second.salve(&["orders", "send", &order]).expect(2).says("asks for approval");
    assert_eq!(bench::executions(), before + 2);

    // One that is taken back is never sent.
    let ticket = bench::ticket(&second, "not this one", "pc");
    let mut going = fix(&second, &ticket);
    let order = asked(&colleague, &mut going);
    colleague.salve(&["orders", "recall", &order]).expect(4).says("it is s.okafor's order");
    second.salve(&["orders", "recall", &order]).expect(0).says("asks no more");
    going.end().expect(4).says("asks no more");
    colleague.salve(&["approve", &order]).expect(2).says("no order");
    assert_eq!(bench::executions(), before + 2);
}
