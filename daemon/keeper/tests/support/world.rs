//! A fake endpoint round the core: a ledger on a disk in memory, children that are lists of messages,
//! a gate that remembers. Loses everything volatile at any effect that a test names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hatch::messages::{
    ExecutorReport, Finding, FromExecutor, FromGate, FromInterpreter, PeerRole, ToExecutor, ToGate,
};
use keeper::core::{Child, ChildEnd, Core, Effect, Event, Fetched, FreshSecret, Line, Stamp};
use keeper::ledger::{Entry, Ledger};
use keeper::plans::Plans;
use keeper::record::EffectsSummary;
use protocol::documents::{Hello, Record, Sealed, SealedSecret};
use protocol::frames::{Answer, Ask, Phase, Stop, decode};
use protocol::{Bytes, Digest, EffectLine, EffectState, Envelope, Mode, PlanLine, RunId, Time};
use trust::catalogue::Files;
use trust::{Signer, Verified, chain, seal};

use super::desk::{Desk, START, dispatch, key, sealed, submit};
use super::mem_disk::{MemDisk, Platter};
use super::screen::Screen;

/// How a run's children behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Does its work and reports.
    Good,
    /// Never says anything.
    Hangs,
    /// The executor dies in the middle of an action.
    Dies,
    /// Cannot be started.
    Unborn,
}

#[derive(Debug)]
struct Children {
    mode: Mode,
    one_time: bool,
    told: VecDeque<Event>,
}

/// The endpoint.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) desk: Desk,
    pub(crate) core: Core,
    pub(crate) now: Stamp,
    disk: MemDisk,
    ledger: Ledger<MemDisk>,
    files: Files,
    pub(crate) plans: BTreeMap<Digest, Vec<u8>>,
    escrow: BTreeMap<(RunId, u32), (Bytes, Time)>,
    effects: BTreeMap<RunId, Vec<u8>>,
    output: BTreeMap<RunId, Vec<u8>>,
    /// The renewed certificate on the disk.
    pub(crate) certificate: Option<Bytes>,
    /// Certificates that the gate was told to show.
    pub(crate) shown: Vec<Bytes>,
    children: BTreeMap<RunId, Children>,
    pub(crate) manner: Manner,
    /// Every answer that went to the gate.
    pub(crate) heard: Vec<(Line, Answer)>,
    pub(crate) closed: Vec<(u32, Stop)>,
    /// Lines on which nothing more comes.
    pub(crate) finished: Vec<Line>,
    pub(crate) restarts_of_gate: u32,
    pub(crate) stopped: bool,
    /// Whether two processes wait for a look.
    pub(crate) spare: bool,
    /// The catalogue's folder cannot be written.
    pub(crate) full: bool,
    pub(crate) screen: Screen,
    events: VecDeque<Event>,
    /// Crash after this effect has happened this many times more.
    pub(crate) crash: Option<(&'static str, u32)>,
    pub(crate) crashes: u32,
    /// Power goes while the next ledger entry is being written: so many of its bytes stay.
    pub(crate) tear: Option<usize>,
    /// The same for the nth entry from now on.
    pub(crate) tear_at: Option<(u32, usize)>,
    torn: Option<Entry>,
    /// Spawns of each run, over all restarts.
    pub(crate) spawns: BTreeMap<RunId, u32>,
    accepted: BTreeSet<RunId>,
    started: BTreeSet<RunId>,
    /// Every record that was ever durable, oldest first.
    pub(crate) records: Vec<Verified<Record>>,
    chance: u64,
    next_session: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Desk::new())
    }
    /// An endpoint that trusts this desk's catalogue.
    pub(crate) fn of(desk: Desk) -> Self {
        let disk = MemDisk::default();
        let now = Stamp { wall: START, mono_ms: 1_000 };
        let opened = Ledger::open(disk.clone(), Digest([9; 32]), START, "0.1.0").unwrap();
        let files = desk.files();
        let setup = desk.setup(files.clone(), opened.index, Plans::default(), now);
        let core = Core::new(setup);
        assert!(core.distrust().is_none(), "{:?}", core.distrust());
        let mut world = Self {
            desk,
            core,
            now,
            disk,
            ledger: opened.ledger,
            files,
            plans: BTreeMap::new(),
            escrow: BTreeMap::new(),
            effects: BTreeMap::new(),
            output: BTreeMap::new(),
            certificate: None,
            shown: Vec::new(),
            children: BTreeMap::new(),
            manner: Manner::Good,
            heard: Vec::new(),
            closed: Vec::new(),
            finished: Vec::new(),
            restarts_of_gate: 0,
            stopped: false,
            spare: false,
            full: false,
            screen: Screen::default(),
            events: VecDeque::new(),
            crash: None,
            crashes: 0,
            tear: None,
            tear_at: None,
            torn: None,
            spawns: BTreeMap::new(),
            accepted: BTreeSet::new(),
            started: BTreeSet::new(),
            records: Vec::new(),
            chance: 0,
            next_session: 0,
        };
        world.feed(Event::Begin);
        world
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall = self.now.wall.plus(ms / 1000);
        if self.core.wake_at().is_some_and(|at| at <= self.now.mono_ms) {
            self.feed(Event::Tick);
        }
    }

    /// Feeds an event and all that follows from it, until nothing happens any more.
    pub(crate) fn feed(&mut self, event: Event) {
        self.events.push_back(event);
        while let Some(event) = self.next_event() {
            for effect in self.core.step(event, self.now) {
                let name = effect.name();
                self.perform(effect);
                if self.torn.is_some() {
                    self.crashes += 1;
                    self.restart();
                    break;
                }
                let due = match &mut self.crash {
                    Some((wanted, left)) if *wanted == name => {
                        *left = left.saturating_sub(1);
                        *left == 0
                    }
                    _ => false,
                };
                if due {
                    self.crash = None;
                    self.crashes += 1;
                    self.restart();
                    break;
                }
            }
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.children.values_mut().find_map(|children| children.told.pop_front())
    }

    /// What lies on the disk now.
    pub(crate) fn backup(&self) -> Platter {
        self.disk.0.borrow().clone()
    }
    /// An old backup comes back, as from an image of the machine.
    pub(crate) fn restore(&mut self, old: Platter) {
        *self.disk.0.borrow_mut() = old;
        self.restart();
        self.feed(Event::Tick);
    }

    /// Power goes and comes back: what was not durable is gone.
    pub(crate) fn restart(&mut self) {
        let keep = self.tear.take().filter(|_| self.torn.is_some()).unwrap_or(0);
        self.disk.0.borrow_mut().power_cut(keep);
        self.events.clear();
        self.children.clear();
        self.now.mono_ms += 5_000;
        self.now.wall = self.now.wall.plus(5);
        let opened = Ledger::open(self.disk.clone(), Digest([10; 32]), START, "0.1.0").unwrap();
        assert!(!opened.began, "the ledger was lost");
        self.ledger = opened.ledger;
        // What was written to its last byte counts, though nobody was told that it was.
        let whole = self.torn.take().filter(|entry| match entry {
            Entry::Accepted(accepted) => opened.index.accepted(&accepted.order).is_some(),
            Entry::Record(record) => {
                opened.index.record(&record.run).is_some_and(|row| row.digest == record.record)
            }
            _ => false,
        });
        if let Some(entry) = whole {
            self.note(&entry);
        }
        let plans = Plans::load(self.plans.values().cloned());
        let mut setup = self.desk.setup(self.files.clone(), opened.index, plans, self.now);
        if let Some(leaf) = &self.certificate {
            setup.certificate_ends = keeper::leaf::ends(&leaf.0).unwrap();
        }
        self.core = Core::new(setup);
        self.stopped = false;
        self.spare = false;
        self.events.push_back(Event::Begin);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::AppendLedger(entry) => self.append(&entry),
            Effect::Spawn(plan) => self.spawn(&plan),
            Effect::ToExecutor { run, message } => self.executor_hears(run, message),
            Effect::End { run, child } => self.end(run, &[child]),
            Effect::Kill { run } => self.end(run, &[Child::Interpreter, Child::Executor]),
            Effect::ReadEffects { run, .. } => {
                let file = self.effects.get(&run).cloned().unwrap_or_default();
                let effects = EffectsSummary::of(&file);
                let secrets = self.secrets(run);
                self.events.push_back(Event::EffectsRead { run, effects, secrets });
            }
            Effect::AppendOutput { run, bytes } => {
                self.output.entry(run).or_default().extend(bytes.0);
            }
            Effect::ReadOutput { line, run } => {
                let bytes = Some(Bytes(self.output.get(&run).cloned().unwrap_or_default()));
                self.events.push_back(Event::Output { line, bytes });
            }
            Effect::ReadOrder { line, run } => {
                let order = Some(self.ledger.order(&run).unwrap());
                self.events.push_back(Event::Order { line, order });
            }
            Effect::Ask { run, question } => self.events.extend(self.screen.ask(run, *question)),
            Effect::EndAsk => self.screen.unasked += 1,
            Effect::Tidy { .. } => {}
            Effect::MakeSpare => {
                assert!(!std::mem::replace(&mut self.spare, true), "one at a time")
            }
            Effect::DropSpare => assert!(std::mem::take(&mut self.spare), "there is none"),
            Effect::MakeSecret { run, handle, info, .. } => {
                assert!(!info.0.is_empty());
                let part = Bytes(vec![1]);
                let sealed = Sealed { algorithm: "x".into(), enc: part.clone(), ciphertext: part };
                let clear = zeroize::Zeroizing::new(b"one-time".to_vec());
                let secret = Some(FreshSecret { sealed, clear });
                self.events.push_back(Event::SecretMade { run, handle, secret });
            }
            Effect::WriteEscrow { run, handle, sealed, not_after } => {
                self.escrow.insert((run, handle), (sealed, not_after));
            }
            Effect::KeepPlan { digest, bytes, .. } => {
                self.plans.insert(digest, bytes.0);
            }
            Effect::DropPlan { digest } => {
                assert!(self.plans.remove(&digest).is_some());
            }
            Effect::Fetch { line, run } => {
                let record = self.ledger.record(&run).unwrap();
                let effects = Bytes(self.effects.get(&run).cloned().unwrap_or_default());
                let escrow = self.in_escrow(run).map(|(_, sealed)| sealed.clone()).collect();
                let found = Fetched { record, plan: None, effects, escrow };
                self.events.push_back(Event::Fetched { line, run, found: Some(Box::new(found)) });
            }
            Effect::ReplaceCatalogue(files) => {
                let ok = !self.full;
                if ok {
                    self.files = Files(files);
                }
                self.events.push_back(Event::CatalogueStored { ok });
            }
            Effect::StoreCertificate(leaf) => {
                let ok = !self.full;
                if ok {
                    self.certificate = Some(leaf);
                }
                self.events.push_back(Event::CertificateStored { ok });
            }
            Effect::ToGate(message) => self.gate_hears(message),
            Effect::RestartGate => {
                self.restarts_of_gate += 1;
                self.events.push_back(Event::GateGone);
            }
            Effect::Stop => self.stopped = true,
        }
    }

    fn in_escrow(&self, run: RunId) -> impl Iterator<Item = (u32, &(Bytes, Time))> {
        self.escrow.range((run, 0)..=(run, u32::MAX)).map(|((_, handle), sealed)| (*handle, sealed))
    }
    fn secrets(&self, run: RunId) -> Vec<SealedSecret> {
        let named = |(handle, (sealed, not_after)): (u32, &(Bytes, Time))| {
            let (sealed, not_after) = (Digest::of(&sealed.0), *not_after);
            SealedSecret { handle, sealed, not_after }
        };
        self.in_escrow(run).map(named).collect()
    }

    fn append(&mut self, entry: &Entry) {
        if let Some((left, keep)) = &mut self.tear_at {
            *left -= 1;
            if *left == 0 {
                self.tear = Some(*keep);
                self.tear_at = None;
            }
        }
        if self.tear.is_some() {
            // The write goes through, its sync does not.
            self.disk.0.borrow_mut().fail_in = Some(1);
            self.ledger.append(entry).unwrap_err();
            self.torn = Some(entry.clone());
            return;
        }
        self.ledger.append(entry).unwrap();
        self.note(entry);
    }

    /// What the ledger holds, as the test keeps count of it.
    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Accepted(accepted) => {
                assert!(self.accepted.insert(accepted.run), "accepted twice");
            }
            Entry::Started { run, .. } => {
                assert!(self.accepted.contains(run));
                self.started.insert(*run);
            }
            Entry::Record(recorded) => {
                let envelope = Envelope::read(&recorded.envelope.0).unwrap();
                let record = seal::open_one::<Record>(&envelope, &key("record").public_key());
                let record = record.unwrap();
                assert_eq!(record.digest(), recorded.record);
                self.records.push(record);
            }
            _ => {}
        }
    }

    fn spawn(&mut self, plan: &keeper::core::RunPlan) {
        let run = plan.run();
        // accept-before-spawn, on the disk and not only in memory.
        let copy = MemDisk(std::rc::Rc::new(std::cell::RefCell::new(self.disk.0.borrow().clone())));
        copy.0.borrow_mut().power_cut(0);
        let opened = Ledger::open(copy, Digest([0; 32]), START, "x").unwrap();
        assert!(opened.index.unfinished().contains_key(&run), "spawned before it was durable");
        *self.spawns.entry(run).or_default() += 1;
        assert!(!plan.permit().reasons().is_empty());
        let mode = plan.executor().mode;
        self.spare &= mode.mutates();
        let grants = &plan.executor().grants;
        let one_time = grants.iter().any(|grant| grant.function == "secret.one_time");
        let mut told = VecDeque::new();
        match self.manner {
            Manner::Unborn => {
                let (why, reason) = ("no".to_owned(), "spawn".to_owned());
                self.events.push_back(Event::SpawnFailed { run, why, reason });
                return;
            }
            Manner::Hangs => {}
            Manner::Good | Manner::Dies => {
                let ready = FromExecutor::Ready { defences: BTreeMap::new() };
                told.push_back(Event::Executor { run, message: ready });
                let text = "some output".to_owned();
                let name = String::new();
                told.push_back(Event::Executor {
                    run,
                    message: FromExecutor::Output { name, text },
                });
                if one_time && mode == Mode::Fix {
                    let ask = FromExecutor::OneTime { handle: 1, length: 16, minutes: 60 };
                    told.push_back(Event::Executor { run, message: ask });
                }
            }
        }
        if mode.mutates() {
            let mut file = line(1, EffectState::About);
            if self.manner == Manner::Good {
                file.extend(line(1, EffectState::Done));
            }
            self.effects.insert(run, file);
        }
        self.children.insert(run, Children { mode, one_time, told });
        self.events.push_back(Event::Spawned { run, cgroup: true });
        match self.manner {
            Manner::Good if !(one_time && mode == Mode::Fix) => self.finish(run),
            Manner::Dies => {
                let end = ChildEnd::Signalled(11);
                self.tell(Event::ChildEnded { run, child: Child::Executor, end });
                let end = ChildEnd::Exited(71);
                self.tell(Event::ChildEnded { run, child: Child::Interpreter, end });
            }
            _ => {}
        }
    }

    fn tell(&mut self, event: Event) {
        let run = match &event {
            Event::Executor { run, .. }
            | Event::Interpreter { run, .. }
            | Event::ChildEnded { run, .. } => *run,
            _ => unreachable!(),
        };
        if let Some(children) = self.children.get_mut(&run) {
            children.told.push_back(event);
        }
    }

    /// The children come to their end: the executor's report may overtake the interpreter's.
    fn finish(&mut self, run: RunId) {
        let mode = self.children[&run].mode;
        let plan = vec![PlanLine {
            function: "fs.remove".into(),
            key: "/tmp/**".into(),
            reach: protocol::PlanReach::Within,
            count: 1,
            bytes: 1,
            label: "tmp".into(),
        }];
        let plan = (mode == Mode::Plan).then(|| Bytes(protocol::json::write(&plan).unwrap()));
        let effects = Some(Digest::of(&self.effects.get(&run).cloned().unwrap_or_default()));
        let report = ExecutorReport { plan, effects, ..ExecutorReport::default() };
        let message = FromExecutor::Finished(Box::new(report));
        self.tell(Event::Executor { run, message });
        let found = |phase, needed| Finding { phase, needed, summary: "s".into() };
        let mut findings = vec![found(Phase::Detect, true)];
        if mode.mutates() {
            findings.push(found(Phase::Verify, false));
        }
        let message = FromInterpreter::Ended { findings, fault: None };
        self.tell(Event::Interpreter { run, message });
        for child in [Child::Executor, Child::Interpreter] {
            self.tell(Event::ChildEnded { run, child, end: ChildEnd::Exited(0) });
        }
    }

    fn executor_hears(&mut self, run: RunId, message: ToExecutor) {
        let ToExecutor::Secret { handle, clear } = message else { return };
        if clear.is_some() {
            assert!(self.escrow.contains_key(&(run, handle)), "clear bytes before the escrow");
        }
        if self.children.get(&run).is_some_and(|children| children.one_time) {
            self.finish(run);
        }
    }

    fn end(&mut self, run: RunId, which: &[Child]) {
        let Some(children) = self.children.get_mut(&run) else { return };
        children.told.retain(|event| !matches!(event, Event::ChildEnded { .. }));
        for child in which {
            let end = ChildEnd::Signalled(9);
            children.told.push_back(Event::ChildEnded { run, child: *child, end });
        }
    }

    fn gate_hears(&mut self, message: ToGate) {
        match message {
            ToGate::Frame { session, stream, bytes } => {
                let answer = decode::<Answer>(&bytes.0).unwrap();
                self.heard.push((Line { session, stream }, answer));
            }
            ToGate::Close { session, stop } => self.closed.push((session, stop)),
            ToGate::Finish { session, stream } => self.finished.push(Line { session, stream }),
            ToGate::Certificate { certificates } => self.shown.extend(certificates),
            _ => {}
        }
    }

    // ---- the gate's side ----

    pub(crate) fn gate(&mut self, message: FromGate) {
        self.chance += 1;
        let chance = Digest::of(&self.chance.to_be_bytes()).0;
        self.feed(Event::Gate { message, chance });
    }
    pub(crate) fn ask(&mut self, session: u32, stream: u32, ask: &Ask) {
        let bytes = Bytes(minicbor::to_vec(ask).unwrap());
        self.gate(FromGate::Frame { session, stream, bytes });
    }
    pub(crate) fn open(&mut self) -> u32 {
        self.open_as(PeerRole::Agent)
    }
    pub(crate) fn open_as(&mut self, role: PeerRole) -> u32 {
        self.open_of(role, "a.kaya")
    }
    fn open_of(&mut self, role: PeerRole, peer: &str) -> u32 {
        self.next_session += 1;
        let session = self.next_session;
        let (peer, address) = (peer.to_owned(), "192.0.2.1:1".to_owned());
        self.gate(FromGate::Opened { session, role, peer, address });
        session
    }
    /// A session after its hello, with its challenge.
    pub(crate) fn session(&mut self) -> (u32, Digest) {
        self.session_as(PeerRole::Agent)
    }
    /// A session on whose stream 1 a good order of a.kaya was submitted.
    pub(crate) fn ordered(&mut self, script: &str, mode: Mode) -> u32 {
        let (session, challenge) = self.session();
        let now = self.time();
        let order = sealed(&self.desk.order(script, mode, now), "a.kaya");
        let dispatch = sealed(&dispatch(&order, challenge, 1, now), "a.kaya");
        self.ask(session, 1, &submit(&order, &dispatch));
        session
    }
    pub(crate) fn session_as(&mut self, role: PeerRole) -> (u32, Digest) {
        self.session_of(role, "a.kaya")
    }
    /// A session of a peer with this name in its certificate.
    pub(crate) fn session_of(&mut self, role: PeerRole, peer: &str) -> (u32, Digest) {
        let session = self.open_of(role, peer);
        self.ask(session, 0, &Ask::Hello { min: 1, max: 1 });
        let line = Line { session, stream: 0 };
        let hello = self.heard.iter().rev().find_map(|(to, answer)| match answer {
            Answer::Hello { hello, .. } if *to == line => Some(hello.clone()),
            _ => None,
        });
        let hello = Envelope::read(&hello.expect("a hello").0).unwrap();
        let hello = seal::open_one::<Hello>(&hello, &key("record").public_key()).unwrap();
        (session, hello.challenge)
    }
    /// What was heard on a line.
    pub(crate) fn on(&self, session: u32, stream: u32) -> Vec<&Answer> {
        let line = Line { session, stream };
        self.heard.iter().filter(|(to, _)| *to == line).map(|(_, answer)| answer).collect()
    }
    /// The last record heard on a line.
    pub(crate) fn record_on(&self, session: u32, stream: u32) -> Option<Record> {
        self.on(session, stream).into_iter().rev().find_map(|answer| match answer {
            Answer::Record { record } => {
                let envelope = Envelope::read(&record.0).unwrap();
                let key = key("record").public_key();
                Some(seal::open_one::<Record>(&envelope, &key).unwrap().into_inner())
            }
            _ => None,
        })
    }

    /// Lets everything come to its end, then checks what must always hold.
    pub(crate) fn settle_and_check(&mut self) {
        self.feed(Event::Tick);
        for _ in 0..40 {
            self.wait(10_000);
        }
        assert_eq!(self.core.active(), 0, "{:?}", self.core);
        for (run, count) in &self.spawns {
            assert_eq!(*count, 1, "{run} was spawned more than once");
            assert!(self.accepted.contains(run));
        }
        for run in &self.accepted {
            let mine = self.records.iter().filter(|record| record.predicate.run == *run);
            let real = mine.filter(|record| {
                !matches!(record.predicate.decision, protocol::documents::Decision::Refuse { .. })
            });
            let known = self.core.index().record(run);
            let open = self.core.index().unfinished().contains_key(run);
            assert_eq!(real.count(), 1, "{run}: not one record; index {known:?}, open {open}");
        }
        let start = chain::start(Digest([9; 32]));
        let head = chain::follow_all(&start, &self.records).unwrap();
        assert_eq!(head, self.core.index().head());
    }
    pub(crate) fn started(&self) -> usize {
        self.started.len()
    }
    pub(crate) fn time(&self) -> Time {
        self.now.wall
    }
}

fn line(n: u64, state: EffectState) -> Vec<u8> {
    let (function, key) = ("fs.remove".to_owned(), "/tmp/**".to_owned());
    let line = EffectLine { n, state, function, key, noun: "/tmp/a".into(), bytes: 5 };
    let mut bytes = protocol::json::write(&line).unwrap();
    bytes.push(b'\n');
    bytes
}
