//! Setting up, publishing and joining, cut by SIGKILL at many moments: the same command completes
//! it. A line to paste works once, for one machine, in its time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{Done, Endpoint, Going, Lab};

use crate::bad_input::refused;
use crate::bench;

/// Every file beneath a folder, as in `keys/root/a.kaya.pem`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Kills it as soon as `moment` has come; whether it was still under way.
fn cut(mut going: Going, moment: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    // No pause between two looks: the moments are short.
    while !moment() && !going.ended() {
        assert!(Instant::now() < end, "neither the moment nor the end came");
    }
    let under_way = !going.ended();
    going.kill();
    under_way
}

fn init() -> [&'static str; 9] {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
    ["init", "--profile", "solo", "--name", "Lab", "--me", "a.kaya", "--scripts", scripts]
}

#[test]
fn an_interrupted_init_is_completed_by_the_same_command() {
    let mut cuts = 0;
    for count in [1, 3, 6, 9, 12, 15, 20, 25, 30] {
        let lab = Lab::empty();
        let home = lab.home();
        let under_way = cut(lab.start(&init()), || files(&home).len() >= count);
        if under_way && !home.join("org/organisation.toml").exists() {
            cuts += 1;
            let done = lab.salve(&["status"]);
            assert!([1, 2].contains(&done.code), "{}{}", done.out, done.err);
            refused(done.clone(), done.code, "");
            lab.salve(&init()).expect(0);
        } else {
            let done = lab.salve(&init());
            assert!([0, 2].contains(&done.code), "{}{}", done.out, done.err);
        }
        assert_eq!(
            lab.salve(&["--json", "scripts", "list"]).expect(0).out.matches("\"name\"").count(),
            6
        );
        refused(lab.salve(&init()), 2, "already holds the organisation");
    }
    assert!(cuts >= 4, "only {cuts} of them were interrupted");
}

#[test]
fn an_interrupted_publication_is_completed_by_the_same_command() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    let file = lab.folder().join("script.rhai");
    let repository = lab.home().join("org/repository");
    let mut cuts = 0;
    for version in 1..=8 {
        fs::write(&file, bench::NOTHING.replace("version: 1", &format!("version: {version}")))
            .expect("written");
        lab.salve(&["scripts", "sign", file.to_str().expect("UTF-8")]).expect(0);
        let before = files(&repository).len();
        // From the first new file to the last: later with every version.
        let moment = || files(&repository).len() >= before + 1 + version / 3;
        cuts += usize::from(cut(lab.start(&["scripts", "publish"]), moment));
        // Whatever there is can be used at once, and the next one is complete.
        lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
        let done = lab.salve(&["scripts", "publish"]);
        if done.code != 0 {
            refused(done, 2, "no script waits to be published");
        }
        let done = lab.salve(&["--json", "check", "lab.nothing", "--on", "pc"]).expect(0);
        assert_eq!(done.json()["verified"], true, "{}", done.out);
        let shown = lab.salve(&["--json", "scripts", "show", "lab.nothing"]).expect(0);
        assert!(shown.out.contains(&format!("\"version\":{version}")), "{}", shown.out);
    }
    assert!(cuts >= 2, "only {cuts} of them were interrupted");
    assert_eq!(pc.entries().accepted, pc.entries().records);
}

#[test]
fn an_interrupted_enrolment_is_completed_by_the_same_line() {
    let lab = Lab::solo();
    let (mut cuts, mut again) = (0, 0);
    for count in [1, 2, 4, 6, 8, 12, 16, 20] {
        let name = format!("pc-{count}");
        let mut pc = Endpoint::bare(&lab, &name);
        let (console, token) = lab.enrolling(&name);
        let state = pc.state();
        let going = Going::start(&mut pc.command(&["enroll", &token]));
        let under_way = cut(going, || files(&state).len() >= count);
        cuts += usize::from(under_way && !state.join("card.json").exists());
        let done = pc.salved(&["enroll", &token]);
        match done.code {
            0 => drop(console.end().expect(0)),
            // It had ended before the plug was pulled.
            1 => assert!(done.err.contains(&format!("already enrolled as {name}")), "{}", done.err),
            // The desk's answer was on its way: the line was used, its machine never had it.
            4 => {
                again += 1;
                assert!(done.err.contains("ask for a new line to paste"), "{}", done.err);
                drop(console.end());
                let done = lab.salve(&["endpoints", "withdraw", &name]);
                assert!([0, 2].contains(&done.code), "{}", done.err);
                let (console, token) = lab.enrolling(&name);
                pc.salved(&["enroll", &token]).expect(0);
                console.end().expect(0);
            }
            5 => panic!("the desk was gone: {}", done.err),
            code => panic!("{code}: {}", done.err),
        }
        pc.start();
        let done = lab.salve(&["--json", "check", "health.check", "--on", &name]);
        assert_eq!(done.json()["verified"], true, "{}{}", done.out, done.err);
    }
    assert!(cuts >= 3, "only {cuts} of them were interrupted, {again} needed a new line");
}

#[test]
fn a_console_that_dies_while_it_waits_leaves_nothing_behind() {
    let lab = Lab::solo();
    let pc = Endpoint::bare(&lab, "pc");
    let (console, token) = lab.enrolling("pc");
    console.kill();
    let done = pc.salved(&["enroll", &token]).expect(5);
    assert!(done.err.contains("could not reach the desk"), "{}", done.err);
    let (console, token) = lab.enrolling("pc");
    pc.salved(&["enroll", &token]).expect(0);
    console.end().expect(0);
}

#[test]
fn a_line_works_once_in_its_time_and_for_one_machine() {
    let lab = Lab::solo();
    // Used: the second machine that pastes it is told so, whether the console waits or not.
    let (pc, late) = (Endpoint::bare(&lab, "pc"), Endpoint::bare(&lab, "late"));
    let (console, token) = lab.enrolling("pc");
    pc.salved(&["enroll", &token]).expect(0);
    console.end().expect(0);
    let done = late.salved(&["enroll", &token]);
    assert!([4, 5].contains(&done.code), "{}{}", done.out, done.err);
    assert!(!late.state().join("card.json").exists());
    // A second enrolment of the same machine.
    let (console, other) = lab.enrolling("other");
    let done = pc.salved(&["enroll", &other]).expect(1);
    assert!(done.err.contains("already enrolled as pc; `salved leave` first"), "{}", done.err);
    console.kill();
    refused(lab.salve(&["endpoints", "enroll", "pc", "--listen", "127.0.0.1:0"]), 2, "already");

    // Expired: a console that waits on, its clock 16 minutes later than when it made the line.
    let clock = lab.folder().join("clock");
    fs::write(&clock, "+0").expect("written");
    let listen = format!("127.0.0.1:{}", support::free_port());
    let mut command = lab.command(&["endpoints", "enroll", "slow", "--listen", &listen]);
    crate::clock::fake(&mut command, &clock);
    let (console, token) = lab.enrolling_by(command);
    fs::write(&clock, "+16m").expect("written");
    let slow = Endpoint::bare(&lab, "slow");
    let done = slow.salved(&["enroll", &token]).expect(4);
    assert!(done.err.contains("ask for a new line to paste"), "{}", done.err);
    console.kill();
    assert!(!slow.state().join("card.json").exists());
}

#[test]
fn of_two_machines_with_one_line_one_joins() {
    let lab = Lab::solo();
    for round in 0..3 {
        let name = format!("twin-{round}");
        let (console, token) = lab.enrolling(&name);
        let twins = [(); 2].map(|()| Lab::empty());
        let twins = twins.each_ref().map(|lab| Endpoint::bare(lab, &name));
        let going =
            twins.each_ref().map(|twin| Going::start(&mut twin.command(&["enroll", &token])));
        let done: Vec<Done> = going.into_iter().map(Going::end).collect();
        let joined = done.iter().filter(|done| done.code == 0).count();
        assert_eq!(joined, 1, "{done:?}");
        for (twin, done) in twins.iter().zip(&done) {
            assert_eq!(twin.state().join("card.json").exists(), done.code == 0, "{done:?}");
            assert!([0, 4, 5].contains(&done.code), "{done:?}");
        }
        console.end().expect(0);
    }
    let list = lab.salve(&["--json", "endpoints", "list"]).expect(0);
    assert_eq!(list.out.matches("\"twin-").count(), 3, "{}", list.out);
}
