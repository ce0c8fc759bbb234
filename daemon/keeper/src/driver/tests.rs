//! The loop, with a scripted core and a gate that is `cat`: real pipes, real processes, real polls.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use protocol::{Bytes, Digest, RunId, Time};
use trust::SealingSecret;

use super::*;
use crate::ledger::{Entry, FolderDisk, Ledger};
use crate::spawn::Programs;
use crate::state::Layout;

/// Answers each event as the script says, and keeps what it saw.
#[derive(Debug, Default)]
struct Scripted {
    seen: Vec<String>,
    answers: VecDeque<Vec<Effect>>,
    wake: Option<u64>,
}

impl Mind for &mut Scripted {
    fn step(&mut self, event: Event, _: Stamp) -> Vec<Effect> {
        let name = format!("{event:?}");
        let name = name.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        if name == "Tick" {
            self.wake = None;
        }
        self.seen.push(name);
        self.answers.pop_front().unwrap_or_else(|| vec![Effect::Stop])
    }
    fn wake_at(&self) -> Option<u64> {
        self.wake
    }
    fn gate_trust(&self, _: Stamp) -> Option<GateTrust> {
        Some(GateTrust {
            people_ca: Vec::new(),
            denied: Vec::new(),
            organisation: "lab".into(),
            floor: Time(0),
        })
    }
}

fn world(folder: &Path) -> World {
    for name in ["gate", "interpreter", "executor", "prompter"] {
        std::fs::copy("/usr/bin/cat", folder.join(name)).unwrap();
    }
    let layout = Layout::new(&folder.join("state"));
    crate::state::make(&layout).unwrap();
    let disk = FolderDisk::open(&layout.ledger()).unwrap();
    let opened = Ledger::open(disk, Digest([1; 32]), Time(1), "test").unwrap();
    let door = Door {
        desks: Vec::new(),
        listen: "127.0.0.1:0".into(),
        key: zeroize::Zeroizing::new(vec![1]),
        certificates: Vec::new(),
        ids: None,
    };
    let programs = Programs::open(folder).unwrap();
    let sealing = SealingSecret::from_seed([1; 32]);
    let prepare = hatch::Prepare { exceptions: hatch::Exceptions::default(), nobody: (1, 1) };
    World::new(programs, prepare, opened.ledger, &layout, sealing, door).unwrap()
}

#[test]
fn effects_are_done_in_order_and_answered_and_stop_ends_the_loop() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId([7; 16]);
    let at = Time(5);
    let mut mind = Scripted {
        answers: VecDeque::from([
            vec![
                Effect::AppendLedger(Entry::Started { run, at }),
                Effect::AppendOutput { run, bytes: Bytes(b"words".to_vec()) },
                Effect::ReadEffects { run, durable: true },
                Effect::Tidy { run },
            ],
            Vec::new(),
        ]),
        ..Scripted::default()
    };
    let mut done = Vec::new();
    let mut after = |name| done.push(name);
    Driver::new(&mut mind, world(folder.path()), &mut after).unwrap().run().unwrap();
    assert_eq!(mind.seen, ["Begin", "EffectsRead", "Reserve"]);
    assert_eq!(done, ["AppendLedger", "AppendOutput", "ReadEffects", "Tidy", "Stop"]);
    let output = folder.path().join(format!("state/effects/{run}.output"));
    assert_eq!(std::fs::read(output).unwrap(), b"words");
}

#[test]
fn a_gate_that_ends_is_told_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    // `cat serve` ends at once, each time: the pause before the next start doubles.
    let mut mind = Scripted {
        answers: VecDeque::from([Vec::new(), Vec::new(), Vec::new()]),
        ..Scripted::default()
    };
    let before = now().mono_ms;
    Driver::new(&mut mind, world(folder.path()), &mut |_| {}).unwrap().run().unwrap();
    assert_eq!(mind.seen, ["Begin", "GateGone", "GateGone", "GateGone"]);
    assert!(now().mono_ms - before >= 250 + 500, "no pause between starts");
}

#[test]
fn the_core_is_woken_when_it_asked_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let due = now().mono_ms + 120;
    let mut mind = Scripted {
        wake: Some(due),
        answers: VecDeque::from([Vec::new(), Vec::new()]),
        ..Scripted::default()
    };
    let world = world(folder.path());
    Driver::new(&mut mind, world, &mut |_| {}).unwrap().run().unwrap();
    assert!(mind.seen.contains(&"Tick".to_owned()), "{:?}", mind.seen);
    assert!(now().mono_ms >= due);
}

#[test]
fn a_timer_that_is_not_set_never_rings() {
    let mut timer = clock::Timer::new().unwrap();
    let ready = |timer: &clock::Timer| {
        let mut fds = [PollFd::new(timer, PollFlags::IN)];
        let wait = rustix::event::Timespec::try_from(Duration::from_millis(30)).unwrap();
        poll(&mut fds, Some(&wait)).unwrap()
    };
    timer.set(None).unwrap();
    assert_eq!(ready(&timer), 0);
    timer.set(Some(0)).unwrap();
    assert_eq!(ready(&timer), 1);
    timer.clear().unwrap();
    timer.set(None).unwrap();
    assert_eq!(ready(&timer), 0);
}
