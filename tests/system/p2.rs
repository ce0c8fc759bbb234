//! P2: an order runs at most once per endpoint, also after a crash, a restored or a damaged ledger.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Endpoint, Lab, wait_for};

use crate::bench::{self, COUNTER, Held};

fn begun() -> (Lab, Endpoint, String) {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let pc = lab.endpoint("pc");
    let ticket = bench::ticket(&lab, "count", "pc");
    (lab, pc, ticket)
}

fn last_run(lab: &Lab, ticket: &str) -> String {
    bench::runs(lab, ticket)[0]["id"].as_str().expect("an id").to_owned()
}

fn ledger(pc: &Endpoint) -> PathBuf {
    pc.state().join("ledger")
}

/// The first segment, and how many of its bytes are written.
fn segment(pc: &Endpoint) -> (PathBuf, usize) {
    let list = fs::read_dir(ledger(pc)).expect("a ledger").flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> =
        list.filter(|p| p.extension().is_some_and(|e| e == "ledger")).collect();
    all.sort();
    let path = all.remove(0);
    let bytes = fs::read(&path).expect("read");
    let written = bytes.iter().rposition(|byte| *byte != 0).expect("something") + 1;
    (path, written)
}

#[test]
fn the_same_order_once_more_is_already_run_also_after_a_crash_in_mid_run() {
    let (lab, mut pc, ticket) = begun();
    let held = Held::new();
    let console = bench::start_fix(&lab, &ticket);
    wait_for("the action", 20, || (bench::executions() == 1).then_some(()));
    pc.kill();
    drop((console, held));
    pc.start();
    let run = last_run(&lab, &ticket);
    for _ in 0..2 {
        let said = lab.cheat("pc", &["replay", &run]);
        assert!(said.to_string().contains("already run"), "{said}");
        let stale = lab.cheat("pc", &["stale-dispatch", &run]);
        assert_ne!(stale["outcome"], "succeeded", "{stale}");
        pc.kill();
        pc.start();
    }
    assert_eq!(bench::executions(), 1);
    assert_eq!(pc.entries().started, 2, "one plan, one fix");
}

#[test]
fn a_damaged_ledger_stops_the_start_with_a_remedy_and_never_starts_empty() {
    let (lab, mut pc, ticket) = begun();
    bench::start_fix(&lab, &ticket).end().expect(0);
    pc.stop();
    let (path, written) = segment(&pc);
    for at in [100, written / 3, written / 2, written - 2] {
        let file = fs::File::options().read(true).write(true).open(&path).expect("open");
        let mut byte = [0u8];
        file.read_exact_at(&mut byte, at as u64).expect("read");
        file.write_all_at(&[byte[0] ^ 0x10], at as u64).expect("flipped");
        let before = fs::read(&path).expect("read");
        let done =
            pc.salved(&["run"]).expect(6).says("is damaged").says("restore it from a backup");
        assert!(!done.err.contains("listening"), "{}", done.err);
        assert!(fs::read(&path).expect("read") == before, "damage was written over at {at}");
        file.write_all_at(&byte, at as u64).expect("mended");
    }
    // Not a byte is missing: it goes on as if nothing had been.
    pc.start();
    let run = last_run(&lab, &ticket);
    assert!(lab.cheat("pc", &["replay", &run]).to_string().contains("already run"));
    assert_eq!(bench::executions(), 1);
}

#[test]
fn a_torn_tail_is_repaired_and_what_was_acknowledged_stays() {
    let (lab, mut pc, ticket) = begun();
    bench::start_fix(&lab, &ticket).end().expect(0);
    pc.stop();
    let before = pc.entries();
    let (path, written) = segment(&pc);
    // An entry of 4000 bytes of which the power left 300.
    let mut torn = Vec::from(4000u32.to_be_bytes());
    torn.extend((!4000u32).to_be_bytes());
    torn.resize(300, 0x42);
    let file = fs::File::options().write(true).open(&path).expect("open");
    file.write_all_at(&torn, written as u64).expect("torn");
    pc.start();
    assert!(pc.log_text().contains("of an interrupted write"), "{}", pc.log_text());
    assert_eq!(pc.entries(), before);
    let run = last_run(&lab, &ticket);
    assert!(lab.cheat("pc", &["replay", &run]).to_string().contains("already run"));
    bench::start_fix(&lab, &ticket).end().expect(0);
    assert_eq!(bench::executions(), 2);
    assert_eq!(pc.entries().started, before.started + 2);
}

#[test]
fn an_old_copy_of_the_ledger_is_seen_and_its_orders_do_not_run_again() {
    let (lab, mut pc, ticket) = begun();
    bench::start_fix(&lab, &ticket).end().expect(0);
    pc.stop();
    let (now, old) = (ledger(&pc), lab.folder().join("old-ledger"));
    bench::copy(&now, &old);
    pc.start();
    bench::start_fix(&lab, &ticket).end().expect(0);
    let run = last_run(&lab, &ticket);
    pc.stop();
    fs::remove_dir_all(&now).expect("removed");
    bench::copy(&old, &now);
    pc.start();
    // Its dispatch was for a session that is over; with a fresh one only the ledger knows.
    let stale = lab.cheat("pc", &["stale-dispatch", &run]);
    assert_ne!(stale["outcome"], "succeeded", "{stale}");
    assert_eq!(bench::executions(), 2);
    // The desk knows a later record than the endpoint now says it has, or another one at its place:
    // whoever meets it is told, and it stays told.
    // Of two hellos of one second nobody knows which was first.
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let this = second();
    wait_for("another second", 10, || (second() > this).then_some(()));
    let loud = |text: &str| text.contains("pc WENT BACK") || text.contains("pc SHOWS TWO PASTS");
    let check = lab.salve(&["check", "lab.count", "--on", "pc"]);
    assert!(loud(&check.err), "{}", check.err);
    assert!(check.err.contains("salve endpoints replace pc"), "{}", check.err);
    let status = lab.salve(&["status"]).out;
    assert!(loud(&status), "{status}");
    let verified = lab.salve(&["verify", &run]).out;
    assert!(loud(&verified), "{verified}");
    let list = lab.salve(&["audit", "list", "--from", "2020-01-01", "--to", "2099-01-01"]);
    assert!(loud(&list.out), "{}", list.out);
}
