//! The matrix: the keeper is ended by SIGKILL right after every kind of effect, every kind of message
//! that it says or hears and every kind of ledger entry, in the middle of a real run with real
//! children; then it starts again. Each time: one record at most an order, one execution at most,
//! the chain whole, what was in flight named, one note.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::{Endpoint, Lab, programs, wait_for};

use crate::bench::{self, COUNTER, Held};

/// Points that no run of an order passes, and who holds them.
const ELSEWHERE: [(&str, &str); 10] = [
    ("to-gate:Enrol", "no ledger exists while enrolling: the keeper's own tests interrupt it"),
    ("to-gate:Probe", "salved doctor has no ledger open"),
    ("to-gate:Certificate", "a renewal touches no order: the simulation ends it there"),
    ("effect:StoreCertificate", "the same"),
    ("effect:DropSpare", "comes when nobody orders anything: the simulation ends it there"),
    ("effect:Ask", "asks a person who is signed in: the simulation ends it there"),
    ("effect:EndAsk", "the same"),
    ("effect:ReadOutput", "asked of a run that has its record: the simulation asks it"),
    ("effect:ReadOrder", "the same"),
    ("ledger:Opened", "written while a ledger is made, before there is anything to lose"),
];

/// How many orders are accepted before the point counts. A `salve run` sends two: plan, then fix.
fn orders_before(point: &str) -> u32 {
    match point {
        "to-gate:Serve"
        | "from-gate:Ready"
        | "from-gate:Opened"
        | "to-gate:Trust"
        | "effect:ReplaceCatalogue"
        // The processes of a look are made while its order is on the way.
        | "effect:MakeSpare"
        | "to-executor:Prepare"
        | "to-interpreter:Prepare" => 0,
        "effect:KeepPlan" | "effect:DropPlan" => 1,
        _ => 2,
    }
}

fn points() -> Vec<String> {
    let out = Command::new(programs().join("salved-crash")).arg("points").output().expect("run");
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    all.retain(|point| !ELSEWHERE.iter().any(|(name, _)| name == point));
    // Plans go only after sixteen of them: by then there are.
    all.sort_by_key(|point| point == "effect:DropPlan");
    assert!(all.len() > 35, "{all:?}");
    all
}

/// A daemon that will end itself.
struct Doomed(Child);

impl Doomed {
    fn start(pc: &Endpoint, point: &str) -> Self {
        let log = std::fs::File::options().append(true).open(pc.log()).expect("a log");
        let before = pc.listened();
        let mut child = Command::new(programs().join("salved-crash"))
            .args(["run", pc.config().to_str().expect("UTF-8"), point])
            .arg(orders_before(point).to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("salved-crash");
        wait_for("it to listen or to end", 20, || {
            let ended = child.try_wait().expect("wait").is_some();
            (ended || pc.listened() > before).then_some(())
        });
        Self(child)
    }

    /// True once it was ended by SIGKILL.
    fn dead(&mut self) -> bool {
        let Some(status) = self.0.try_wait().expect("wait") else { return false };
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
        true
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What one point came to.
#[derive(Debug)]
struct Told {
    ticket: String,
    ran: usize,
}

struct Matrix {
    pc: Endpoint,
    lab: Lab,
}

impl Matrix {
    fn new() -> Self {
        let lab = Lab::solo();
        bench::make_unit();
        lab.publish(COUNTER);
        let mut pc = lab.endpoint("pc");
        pc.stop();
        Self { pc, lab }
    }

    /// One crash at this point, one start, and all that there is brought home.
    fn crash(&mut self, point: &str) -> Told {
        let ticket = bench::ticket(&self.lab, point, "pc");
        let before = bench::executions();
        if matches!(point, "to-gate:Trust" | "effect:ReplaceCatalogue") {
            self.lab.salve(&["scripts", "renew"]).expect(0);
        }
        // A recall needs a run that is still there to be taken back.
        let held = (point == "ledger:Recalled").then(Held::new);
        let mut doomed = Doomed::start(&self.pc, point);
        if !doomed.dead() {
            let console = bench::start_fix(&self.lab, &ticket);
            if held.is_some() {
                wait_for("the action", 20, || (bench::executions() > before).then_some(()));
                self.lab.start(&["cancel", "last"]).end();
            }
            // What follows the console's end is reached a moment later, or never.
            wait_for(point, 15, || doomed.dead().then_some(()));
            // The console goes down too: what it left behind must do.
            drop(console);
        }
        drop((doomed, held));
        self.pc.start();
        for run in bench::runs(&self.lab, &ticket) {
            if run["outcome"].is_null() {
                let run = run["id"].as_str().expect("an id").to_owned();
                self.lab.salve(&["--json", "runs", "follow", &run]);
            }
        }
        self.pc.kill();
        Told { ticket, ran: bench::executions() - before }
    }

    /// The ledger, read and verified as a whole.
    fn account(&self) -> Vec<Value> {
        let mut command = Command::new(programs().join("salved-crash"));
        let out = command.arg("account").arg(self.pc.config()).output().expect("run");
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "the ledger does not verify: {err}");
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Holds what one point left against the ledger.
    fn check(&self, point: &str, told: &Told, account: &[Value]) {
        let of = |kind: &str, key: &str, value: &Value| -> Vec<Value> {
            let fits = |e: &&Value| e["kind"] == kind && &e[key] == value;
            account.iter().filter(fits).cloned().collect()
        };
        assert!(told.ran <= 1, "{point}: executed {} times", told.ran);
        let shown = bench::delivered(&self.lab, &told.ticket);
        let mut fixes = 0;
        for run in bench::runs(&self.lab, &told.ticket) {
            let records = of("record", "run", &run["id"]);
            let accepted = of("accepted", "order", &run["order"]).len();
            assert!(accepted <= 1, "{point}: accepted {accepted} times");
            assert_eq!(records.len(), accepted, "{point}: {run} has {records:?}");
            assert_eq!(run["outcome"].is_null(), records.is_empty(), "{point}: {run}");
            let Some(record) = records.first() else { continue };
            assert_eq!(run["verified"], true, "{point}: {run}");
            assert_eq!(run["outcome"], record["outcome"], "{point}");
            if run["mode"] == "fix" {
                fixes += 1;
                assert!(
                    told.ran as u64 >= record["done"].as_u64().expect("n"),
                    "{point}: {record}"
                );
                // An execution that the record does not report as done must be named as in flight.
                let flying = &record["in_flight"];
                let reported = record["done"] == 1 || flying["noun"] == bench::UNIT;
                assert!(told.ran == 0 || reported, "{point}: untold: {record}");
                if flying.is_object() {
                    assert_eq!(record["outcome"], "interrupted", "{point}");
                    let known = [("service.restart", bench::UNIT), ("secret.one_time", "one_time")];
                    let named =
                        known.iter().any(|(f, n)| flying["function"] == *f && flying["noun"] == *n);
                    assert!(named, "{point}: {flying}");
                }
            }
        }
        assert!(told.ran == 0 || fixes == 1, "{point}: ran without a record");
        let public = |want: bool| {
            let notes = shown["notes"].as_array().expect("notes");
            notes.iter().filter(|note| note["public"] == want).count()
        };
        assert_eq!(public(false), fixes, "{point}: notes for {fixes} fix orders: {shown}");
        assert!(public(true) <= fixes, "{point}: {shown}");
        assert_eq!(shown["undelivered"].as_array().map(Vec::len), Some(0), "{point}: {shown}");
    }
}

#[test]
fn killed_after_every_effect_and_message_a_run_happens_once_and_is_told_once() {
    let mut matrix = Matrix::new();
    let mut told = BTreeMap::new();
    for point in points() {
        let one = matrix.crash(&point);
        told.insert(point, one);
    }
    let account = matrix.account();
    for (point, one) in &told {
        matrix.check(point, one, &account);
    }
    let outcomes: BTreeSet<&str> =
        account.iter().filter_map(|entry| entry["outcome"].as_str()).collect();
    assert!(outcomes.contains("interrupted") && outcomes.contains("succeeded"), "{outcomes:?}");
    let flying = account.iter().filter(|entry| entry["in_flight"].is_object()).count();
    println!("{} points, outcomes {outcomes:?}, {flying} in flight", told.len());
}
