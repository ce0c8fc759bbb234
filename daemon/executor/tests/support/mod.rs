//! A made keeper and a made interpreter round the program `executor`.
#![expect(unreachable_pub, reason = "a module of test binaries, which have no outside")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use hatch::Defences;
use hatch::messages::{
    Exceptions, ExecutorReport, ExecutorStart, FromExecutor, FromHost, Grant, Prepare, ToExecutor,
    ToHost, fds,
};
use hatch::pipe::{Inbox, Outbox, pair};
use hatch::spawn::{Child, End, Program, spawn};
use protocol::frames::Phase;
use protocol::{Mode, Risk, RunId, Time, limits};
use surface::{Call, HostError, Value};

#[derive(Debug)]
pub struct Keeper {
    pub child: Child,
    pub to: Outbox,
    pub from: Inbox,
    pub call: Outbox,
    pub answer: Inbox,
    pub effects: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn start(mode: Mode, grants: &[(&str, &[&str])], classes: &[&str]) -> ExecutorStart {
    let own = |nouns: &[&str]| nouns.iter().map(|noun| (*noun).to_owned()).collect();
    let grant = |(function, nouns): &(&str, &[&str])| Grant {
        function: (*function).to_owned(),
        nouns: own(nouns),
    };
    let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    ExecutorStart {
        run: RunId([1; 16]),
        mode,
        risk: Risk::Low,
        grants: grants.iter().map(grant).collect(),
        classes: own(classes),
        plan: None,
        secrets: BTreeMap::new(),
        limit_ms: 60_000,
        exceptions: Exceptions { uid: !rustix::process::geteuid().is_root(), cgroup: true },
        now: Time::from_unix(now),
    }
}

impl Keeper {
    pub fn begin(start: ExecutorStart) -> (Self, Defences) {
        let folder = tempfile::tempdir().unwrap();
        let effects = folder.path().join("effects");
        let file = File::create_new(&effects).unwrap();
        let log = File::create_new(folder.path().join("log")).unwrap();
        let [to, from, call, answer] = std::array::from_fn(|_| pair().unwrap());
        let program = Program::open(Path::new(env!("CARGO_BIN_EXE_executor"))).unwrap();
        let table = [
            (to.0.as_fd(), fds::FROM_KEEPER),
            (from.1.as_fd(), fds::TO_KEEPER),
            (log.as_fd(), fds::LOG),
            (call.0.as_fd(), fds::PEER_IN),
            (answer.1.as_fd(), fds::PEER_OUT),
            (file.as_fd(), fds::EFFECTS),
        ];
        let child = spawn(&program, &[], &table).unwrap();
        let peer = limits::PEER_BYTES_MAX;
        let mut keeper = Self {
            child,
            to: Outbox::from_fd(to.1),
            from: Inbox::from_fd(from.0),
            call: Outbox::from_fd(call.1).at_most(peer),
            answer: Inbox::from_fd(answer.0).at_most(peer),
            effects,
            _folder: folder,
        };
        drop((to.0, from.1, call.0, answer.1));
        let prepare = Prepare { exceptions: start.exceptions, nobody: (65_534, 65_534) };
        keeper.to.send(&ToExecutor::Prepare(prepare)).unwrap();
        keeper.to.send(&ToExecutor::Start(Box::new(start))).unwrap();
        let log = keeper._folder.path().join("log");
        let ready = keeper.from.recv().unwrap();
        let Some(FromExecutor::Ready { defences }) = ready else {
            panic!("{ready:?}: {}", std::fs::read_to_string(log).unwrap())
        };
        (keeper, defences)
    }
    pub fn call(&mut self, function: &str, args: &[Value]) -> Result<Value, HostError> {
        let call = Call { function: function.to_owned(), args: args.to_vec() };
        self.call.send(&ToHost::Call(call)).unwrap();
        match self.answer.recv().unwrap() {
            Some(FromHost::Value(value)) => Ok(value),
            Some(FromHost::Error(error)) => Err(error),
            None => panic!("no answer to {function}"),
        }
    }
    pub fn phase(&mut self, phase: Phase) {
        self.call.send(&ToHost::Phase(phase)).unwrap();
    }
    pub fn remediate(&mut self) {
        self.phase(Phase::Detect);
        self.phase(Phase::Remediate);
    }
    pub fn finished(&mut self) -> ExecutorReport {
        loop {
            match self.from.recv().unwrap() {
                Some(FromExecutor::Finished(report)) => return *report,
                Some(_) => {}
                None => panic!("no report"),
            }
        }
    }
    pub fn done(mut self) -> ExecutorReport {
        self.call.send(&ToHost::Done).unwrap();
        let report = self.finished();
        assert_eq!(self.child.wait().unwrap(), End::Exited(0));
        let file = std::fs::read(&self.effects).unwrap();
        assert_eq!(report.effects, Some(protocol::Digest::of(&file)));
        report
    }
}
