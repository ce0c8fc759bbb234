//! P6: a ticket receives exactly one note for each fix order that names it, whenever the console
//! dies; none for looks; a public reply only where the script says one.

use std::fs;
use std::process::Child;

use serde_json::Value;
use support::{Endpoint, Lab, wait_for};

use crate::bench::{self, COUNTER};

fn begun() -> (Lab, Endpoint) {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let pc = lab.endpoint("pc");
    (lab, pc)
}

/// Notes of a ticket: internal ones, public ones.
fn notes(lab: &Lab, ticket: &str) -> (Vec<String>, Vec<String>) {
    let shown = bench::shown(lab, ticket);
    let all = shown["notes"].as_array().expect("notes");
    let of = |public: bool| {
        let fits = all.iter().filter(|note| note["public"] == public);
        fits.map(|note| note["body"].as_str().expect("a body").to_owned()).collect()
    };
    (of(false), of(true))
}

/// Size and time of the console's store: each transaction moves one of them.
fn written(lab: &Lab) -> Vec<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    let look = |name: &str| {
        let found = fs::metadata(lab.home().join(name));
        found.map_or((0, 0, 0), |m| (m.len(), m.mtime(), m.mtime_nsec()))
    };
    vec![look("desk.db-wal"), look("desk.db")]
}

/// When the console is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When its store has moved so many times.
    Moves(usize),
    /// When the endpoint has accepted its order.
    Accepted,
    /// When the endpoint has done what was ordered.
    Done,
}

/// Kills the console when the moment has come. False: it ended before.
fn killed_at(lab: &Lab, pc: &Endpoint, console: &mut Child, moment: Moment) -> bool {
    let (mut seen, mut last) = (0, written(lab));
    let (accepted, done) = (pc.entries().accepted, bench::executions());
    wait_for("the console to get there", 60, || {
        if console.try_wait().expect("wait").is_some() {
            return Some(false);
        }
        // Looks as often as it can: what moves between two looks counts as one.
        for _ in 0..if matches!(moment, Moment::Moves(_)) { 2000 } else { 1 } {
            let come = match moment {
                Moment::Moves(moves) => {
                    let now = written(lab);
                    if now != last {
                        (seen, last) = (seen + 1, now);
                    }
                    seen >= moves
                }
                // Its plan is accepted first.
                Moment::Accepted => pc.entries().accepted >= accepted + 2,
                Moment::Done => bench::executions() > done,
            };
            if come {
                console.kill().expect("killed");
                console.wait().expect("ended");
                return Some(true);
            }
        }
        None
    })
}

#[test]
fn whenever_the_console_is_killed_a_later_command_leaves_exactly_one_note() {
    let (lab, pc) = begun();
    let (mut unsent, mut told, mut kills) = (0, 0, 0);
    let mut moved_out = false;
    let moves = (1..60).map(Moment::Moves);
    for moment in moves.chain([Moment::Accepted, Moment::Done, Moment::Accepted, Moment::Done]) {
        if moved_out && matches!(moment, Moment::Moves(_)) {
            continue;
        }
        // Sessions of killed consoles hold their places at the door until their idle time is over.
        if kills >= 12 {
            let look = ["check", "lab.count", "--on", "pc"];
            wait_for("a place at the door", 60, || (lab.salve(&look).code != 5).then_some(()));
        }
        let ticket = bench::ticket(&lab, &format!("killed at {moment:?}"), "pc");
        let before = bench::executions();
        let mut console = bench::fix_command(&lab, &ticket).spawn().expect("salve");
        let killed = killed_at(&lab, &pc, &mut console, moment);
        kills += usize::from(killed);
        // What the endpoint has taken goes on without any console.
        wait_for("the endpoint to be at rest", 30, || {
            let entries = pc.entries();
            (entries.accepted == entries.records).then_some(())
        });
        for run in bench::runs(&lab, &ticket) {
            if run["outcome"].is_null() {
                let follow = ["runs", "follow", run["id"].as_str().expect("an id")];
                wait_for("a place at the door", 60, || {
                    (lab.salve(&follow).code != 5).then_some(())
                });
            }
        }
        let ran = bench::executions() - before;
        assert!(ran <= 1);
        let runs = bench::runs(&lab, &ticket);
        let fix: Vec<&Value> = runs.iter().filter(|run| run["mode"] == "fix").collect();
        // Any command looks after what is due; twice, so that a note could come twice.
        lab.salve(&["status"]);
        if ran == 1 {
            bench::delivered(&lab, &ticket);
        }
        let (internal, public) = notes(&lab, &ticket);
        if ran == 1 {
            told += 1;
            assert_eq!((internal.len(), public.len()), (1, 1), "at {moment:?}: {fix:?}");
        } else {
            unsent += 1;
            // An order that never arrived did not happen: no note may say that it did.
            assert!(internal.is_empty() && public.is_empty(), "at {moment:?}: {internal:?}");
        }
        moved_out |= !killed;
    }
    println!("{kills} kills, {told} told, {unsent} never arrived");
    assert!(kills >= 6 && told >= 2 && unsent >= 2, "{kills} kills, {told} told, {unsent} unsent");
}

#[test]
fn looks_leave_no_note_and_a_fix_leaves_one_and_one_reply() {
    let (lab, _pc) = begun();
    let ticket = bench::ticket(&lab, "looks", "pc");
    lab.salve(&["check", "lab.count", "--ticket", &ticket]).expect(1);
    lab.salve(&["plan", "lab.count", "--ticket", &ticket, "--identified", "callback"]);
    assert_eq!(notes(&lab, &ticket), (Vec::new(), Vec::new()));
    assert_eq!(bench::executions(), 0);
    bench::start_fix(&lab, &ticket).end().expect(0);
    let (internal, public) = notes(&lab, &ticket);
    assert_eq!((internal.len(), public.len()), (1, 1));
    assert!(public[0].starts_with("It was counted."), "{public:?}");
}

#[test]
fn a_reply_is_written_only_where_the_script_says_one() {
    let (lab, _pc) = begun();
    let silent = COUNTER.replace("    report::say(\"It was counted.\");\n", "");
    lab.publish(&silent.replace("version: 1", "version: 2"));
    let ticket = bench::ticket(&lab, "silent", "pc");
    bench::start_fix(&lab, &ticket).end().expect(0);
    let (internal, public) = notes(&lab, &ticket);
    assert_eq!((internal.len(), public.len()), (1, 0), "{public:?}");
}

#[test]
fn a_fix_for_a_closed_ticket_is_refused_and_nothing_starts() {
    let (lab, pc) = begun();
    let ticket = bench::ticket(&lab, "closed", "pc");
    lab.salve(&["tickets", "close", &ticket]).expect(0);
    bench::start_fix(&lab, &ticket).end().expect(4).says("is closed");
    assert_eq!((pc.entries().accepted, pc.entries().started, bench::executions()), (0, 0, 0));
}

#[test]
fn a_fix_that_the_endpoint_refuses_leaves_one_note_that_says_so() {
    let (lab, pc) = begun();
    let ticket = bench::ticket(&lab, "closed meanwhile", "pc");
    let args = ["run", "lab.count", "--ticket", &ticket, "--identified", "callback"];
    let mut console = lab.on_terminal(&args);
    console.says("Go?");
    // Between the plan and the yes somebody closes it.
    lab.salve(&["tickets", "close", &ticket]).expect(0);
    console.answer("y");
    console.end().expect(4);
    let (internal, public) = notes(&lab, &ticket);
    assert_eq!((internal.len(), public.len()), (1, 0), "{internal:?} {public:?}");
    assert!(internal[0].starts_with("REFUSED"), "{internal:?}");
    lab.salve(&["status"]);
    assert_eq!(notes(&lab, &ticket).0.len(), 1);
    let entries = pc.entries();
    assert_eq!((entries.accepted, entries.records, bench::executions()), (1, 2, 0));
}
