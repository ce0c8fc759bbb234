//! A taken gate: everything that the process which faces the network could say to a real keeper,
//! written into the pipe between the two (E39).

use support::{Done, Endpoint, Going, Lab, Process, programs, sh, wait_for};

use crate::bench;

/// A keeper's memory, resident: three times what it is here.
const SMALL_KIB: u64 = 64 * 1024;
/// What may wait for a gate: six whole effects files and eight frames.
const WAITING_KIB: u64 = 98 * 1024;

/// A run under way, with processes of its own.
fn going(lab: &Lab, pc: &Endpoint, seconds: u32) -> Going {
    lab.publish(&crate::p4::stays("lab.watch", "2m", seconds));
    let going =
        lab.start(&["--json", "check", "lab.watch", "--on", "pc", "--arg", "unit=lab.service"]);
    wait_for("the run", 20, || (pc.entries().started == 1).then_some(()));
    going
}

/// Says it in this gate's place, in the pipe that is its only way to the keeper; how many messages
/// the keeper took.
fn say(gate: Process, what: &str, count: u32) -> usize {
    let double = programs().join("salved-crash");
    let done = sh(&format!("exec {} say {} {what} {count}", double.display(), gate.0)).expect(0);
    done.out.trim().parse().expect("a number")
}

/// The gate ends, and another one listens in its place.
fn replaced(pc: &Endpoint, gate: Process, listened: usize) {
    wait_for("the gate's end", 20, || (!gate.lives()).then_some(()));
    wait_for("the next gate", 20, || (pc.listened() > listened).then_some(()));
}

fn recorded(done: &Done) {
    let run = done.json();
    assert_eq!(run["outcome"], "unchanged", "{}{}", done.out, done.err);
    assert_eq!(run["verified"], true, "{}", done.out);
}

fn memory_kib(process: Process, what: &str) -> u64 {
    let field = process.field(what).expect("it lives");
    field.trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn bytes_that_are_no_message_end_the_gate_and_no_run() {
    let lab = Lab::solo_with(&["lab.service"]);
    crate::p4::service();
    let mut pc = lab.endpoint("pc");
    let (keeper, going) = (pc.keeper(), going(&lab, &pc, 8));
    let executor = pc.child("executor");
    for what in ["length", "noise", "trailing", "beginning"] {
        let (gate, listened) = (pc.child("gate"), pc.listened());
        assert_eq!(say(gate, what, 1), 1);
        if what == "beginning" {
            // Half a message is none as soon as its writer is gone.
            sh(&format!("kill -KILL {}", gate.0)).expect(0);
        }
        replaced(&pc, gate, listened);
        assert!(executor.lives(), "the run ended with the gate after `{what}`");
    }
    let said = pc.log_text();
    assert!(said.contains("the other side sent no known message"), "{said}");
    assert!(said.contains("the pipe was cut in the middle of a message"), "{said}");
    recorded(&going.end());
    assert!(pc.alive() && pc.keeper() == keeper);
    assert_eq!((pc.entries().started, pc.entries().records), (1, 1));
}

#[test]
fn a_million_messages_start_nothing_and_leave_the_keeper_small_and_awake() {
    const FLOOD: u32 = 1_000_000;
    let lab = Lab::solo_with(&["lab.service"]);
    crate::p4::service();
    let mut pc = lab.endpoint("pc");
    lab.publish(bench::NOTHING);
    let keeper = Process(pc.keeper());
    let (gate, listened) = (pc.child("gate"), pc.listened());
    let watching = going(&lab, &pc, 3);
    // The honest half of this gate is silent meanwhile: two writers would cut each other's words.
    sh(&format!("kill -STOP {}", gate.0)).expect(0);
    assert_eq!(say(gate, "flood", FLOOD), FLOOD as usize);
    wait_for("the record of the run under way", 20, || (pc.entries().records == 1).then_some(()));
    sh(&format!("kill -CONT {}", gate.0)).expect(0);
    recorded(&watching.end());
    recorded(&lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]).expect(0));
    assert!(gate.lives() && pc.listened() == listened, "it broke no rule and is the same one");
    let high = memory_kib(keeper, "VmHWM");
    assert!(high < SMALL_KIB, "{high} KiB");

    // Questions whose answers it does not take: they wait, up to a bound, and then the gate goes.
    sh(&format!("kill -STOP {}", gate.0)).expect(0);
    let said = say(gate, "hellos", 200_000);
    replaced(&pc, gate, listened);
    recorded(&lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]).expect(0));
    let (high, now) = (memory_kib(keeper, "VmHWM"), memory_kib(keeper, "VmRSS"));
    assert!(said < 200_000 && high < WAITING_KIB + SMALL_KIB, "{said} hellos, {high} KiB");
    assert!(now < SMALL_KIB, "{now} KiB are kept for a gate that is gone");
    assert!(pc.alive() && Process(pc.keeper()) == keeper);
    assert_eq!((pc.entries().started, pc.entries().records), (3, 3));
}
