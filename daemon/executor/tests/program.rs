//! The program itself, locked by the kernel, between a made keeper and a made interpreter.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::path::{Path, PathBuf};

    use hatch::Defences;
    use hatch::messages::{
        Exceptions, ExecutorReport, ExecutorStart, FromExecutor, FromHost, Grant, ToExecutor,
        ToHost, fds,
    };
    use hatch::pipe::{Inbox, Outbox, pair};
    use hatch::spawn::{Child, End, Program, spawn};
    use protocol::frames::Phase;
    use protocol::{Bytes, EffectState, EffectTally, Mode, Risk, RunId, Time, limits};
    use surface::{Call, HostError, Value};

    struct Keeper {
        child: Child,
        to: Outbox,
        from: Inbox,
        call: Outbox,
        answer: Inbox,
        effects: PathBuf,
        _folder: tempfile::TempDir,
    }

    fn start(mode: Mode, grants: &[(&str, &[&str])], classes: &[&str]) -> ExecutorStart {
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
            nobody: (65_534, 65_534),
            now: Time::from_unix(now),
        }
    }

    impl Keeper {
        fn begin(start: ExecutorStart) -> (Self, Defences) {
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
            keeper.to.send(&ToExecutor::Start(Box::new(start))).unwrap();
            let log = keeper._folder.path().join("log");
            let ready = keeper.from.recv().unwrap();
            let Some(FromExecutor::Ready { defences }) = ready else {
                panic!("{ready:?}: {}", std::fs::read_to_string(log).unwrap())
            };
            (keeper, defences)
        }
        fn call(&mut self, function: &str, args: &[Value]) -> Result<Value, HostError> {
            let call = Call { function: function.to_owned(), args: args.to_vec() };
            self.call.send(&ToHost::Call(call)).unwrap();
            match self.answer.recv().unwrap() {
                Some(FromHost::Value(value)) => Ok(value),
                Some(FromHost::Error(error)) => Err(error),
                None => panic!("no answer to {function}"),
            }
        }
        fn phase(&mut self, phase: Phase) {
            self.call.send(&ToHost::Phase(phase)).unwrap();
        }
        fn remediate(&mut self) {
            self.phase(Phase::Detect);
            self.phase(Phase::Remediate);
        }
        fn finished(&mut self) -> ExecutorReport {
            loop {
                match self.from.recv().unwrap() {
                    Some(FromExecutor::Finished(report)) => return *report,
                    Some(_) => {}
                    None => panic!("no report"),
                }
            }
        }
        fn done(mut self) -> ExecutorReport {
            self.call.send(&ToHost::Done).unwrap();
            let report = self.finished();
            assert_eq!(self.child.wait().unwrap(), End::Exited(0));
            let file = std::fs::read(&self.effects).unwrap();
            assert_eq!(report.effects, Some(protocol::Digest::of(&file)));
            report
        }
    }

    /// A folder with this many files of five bytes, beneath a path without symlinks.
    fn files(count: usize) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for n in 0..count {
            let sub = top.join(format!("d{}", n % 7));
            std::fs::create_dir_all(&sub).unwrap();
            std::io::Write::write_all(
                &mut File::create_new(sub.join(format!("f{n:05}"))).unwrap(),
                b"12345",
            )
            .unwrap();
        }
        (folder, format!("{}/**", top.display()))
    }

    fn left(folder: &Path) -> usize {
        let subs = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        subs.map(|sub| std::fs::read_dir(sub).unwrap().count()).sum()
    }

    #[test]
    fn a_locked_look_answers_every_free_question() {
        let (mut keeper, defences) = Keeper::begin(start(Mode::Check, &[], &[]));
        for name in ["landlock", "seccomp", "capabilities", "bus", "cgroup"] {
            assert!(defences.contains_key(name), "{name}: {defences:?}");
        }
        keeper.phase(Phase::Detect);
        for row in surface::REGISTRY.iter().filter(|row| !row.needs_permission()) {
            let args = match row.name {
                "fs.space" => vec![Value::text("/")],
                "service.status" => vec![Value::text("no.service")],
                "service.stays" => {
                    vec![Value::text("no.service"), Value::text("active"), Value::Int(1)]
                }
                "user.get" => vec![Value::text("root")],
                "report.attach" => vec![Value::text("a"), Value::text("b")],
                name if name.starts_with("report.") => vec![Value::text("a")],
                _ => Vec::new(),
            };
            let answer = keeper.call(row.name, &args);
            let bus = row.name.starts_with("service.");
            match answer {
                Ok(_) => {}
                Err(error) if bus => assert_eq!(error.code, "no_bus", "{error:?}"),
                Err(error) => panic!("{error:?}"),
            }
        }
        let root = keeper.call("user.get", &[Value::text("root")]).unwrap();
        assert_eq!(root.get("human"), Some(&Value::Bool(false)));
        assert_eq!(keeper.call("pkg.clean_cache", &[]).unwrap_err().code, "not_permitted");
        let report = keeper.done();
        assert_eq!((report.plan, report.drift), (None, None));
    }

    #[test]
    fn a_locked_plan_and_its_fix_agree() {
        let (folder, pattern) = files(50);
        let nouns: &[&str] = &[&pattern];
        let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
        let (mut plan, _) = Keeper::begin(start(Mode::Plan, grants, &["files"]));
        plan.remediate();
        let found = plan.call("fs.find", &[Value::text(&pattern)]).unwrap();
        let planned = plan.call("fs.remove", &[found]).unwrap();
        assert_eq!(planned.get("bytes"), Some(&Value::Int(250)));
        let report = plan.done();
        assert_eq!(left(folder.path()), 50);

        let mut order = start(Mode::Fix, grants, &["files"]);
        order.plan = report.plan;
        let (mut fix, _) = Keeper::begin(order);
        fix.remediate();
        let found = fix.call("fs.find", &[Value::text(&pattern)]).unwrap();
        assert_eq!(fix.call("fs.remove", &[found]), Ok(planned));
        fix.phase(Phase::Verify);
        let none = fix.call("fs.find", &[Value::text(&pattern)]).unwrap();
        assert_eq!(none, Value::List(Vec::new()));
        assert_eq!(fix.done().drift, None);
        assert_eq!(left(folder.path()), 0);
    }

    #[test]
    fn a_list_of_many_files_crosses_in_both_directions() {
        let (_folder, pattern) = files(9000);
        let nouns: &[&str] = &[&pattern];
        let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
        let (mut plan, _) = Keeper::begin(start(Mode::Plan, grants, &[]));
        plan.remediate();
        let found = plan.call("fs.find", &[Value::text(&pattern)]).unwrap();
        let went = plan.call("fs.remove", &[found]).unwrap();
        assert_eq!(went.get("count"), Some(&Value::Int(9000)));
    }

    #[test]
    fn killed_in_the_middle_the_effects_file_tells_what_was_in_flight() {
        let count = 6000;
        let (folder, pattern) = files(count);
        let nouns: &[&str] = &[&pattern];
        let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
        let (mut fix, _) = Keeper::begin(start(Mode::Fix, grants, &["files"]));
        fix.remediate();
        let found = fix.call("fs.find", &[Value::text(&pattern)]).unwrap();
        let call = Call { function: "fs.remove".to_owned(), args: vec![found] };
        fix.call.send(&ToHost::Call(call)).unwrap();
        while std::fs::metadata(&fix.effects).unwrap().len() < 100_000 {
            assert_eq!(fix.child.try_wait().unwrap(), None);
        }
        fix.child.kill().unwrap();
        assert_eq!(fix.child.wait().unwrap(), End::Signalled(9));
        let text = std::fs::read(&fix.effects).unwrap();
        let tally = EffectTally::of(&text);
        assert_eq!(tally.unreadable, 0);
        let flying = tally.in_flight().unwrap();
        assert_eq!(flying.function, "fs.remove");
        let sums = &tally.by_function["fs.remove"];
        assert!(sums.done > 100 && sums.failed == 0 && sums.done < count as u64);
        // Every file that the file calls done is gone; the one in flight is either; no other is.
        let gone = (count - left(folder.path())) as u64;
        assert!(gone == sums.done || gone == sums.done + 1, "{gone} {}", sums.done);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(line) = protocol::json::read::<protocol::EffectLine>(line) else { break };
            if line.state == EffectState::Done {
                assert!(!Path::new(&line.noun).exists(), "{line:?}");
            }
        }
    }

    #[test]
    fn a_secret_is_asked_for_and_only_its_number_is_told() {
        let grants: &[(&str, &[&str])] = &[("secret.one_time", &[])];
        let (mut fix, _) = Keeper::begin(start(Mode::Fix, grants, &[]));
        fix.remediate();
        let call = Call { function: "secret.one_time".to_owned(), args: Vec::new() };
        fix.call.send(&ToHost::Call(call)).unwrap();
        let handle = loop {
            if let Some(FromExecutor::OneTime { handle, length: 16, minutes: 60 }) =
                fix.from.recv().unwrap()
            {
                break handle;
            }
        };
        let clear = Some(Bytes(b"Battery-Staple".to_vec()));
        fix.to.send(&ToExecutor::Secret { handle, clear }).unwrap();
        let answer = fix.answer.recv().unwrap();
        assert_eq!(answer, Some(FromHost::Value(Value::Secret(handle))));
        let effects = std::fs::read_to_string(&fix.effects).unwrap();
        assert!(effects.contains("\"done\"") && !effects.contains("Staple"));
        fix.done();
    }

    #[test]
    fn an_interpreter_that_dies_or_babbles_ends_the_run_with_a_report() {
        let (mut keeper, _) = Keeper::begin(start(Mode::Check, &[], &[]));
        let (_, closed) = pair().unwrap();
        keeper.call = Outbox::from_fd(closed);
        keeper.finished();
        assert_eq!(keeper.child.wait().unwrap(), End::Exited(0));

        let (mut keeper, _) = Keeper::begin(start(Mode::Check, &[], &[]));
        rustix::io::write(&keeper.call, &[0, 0, 0, 3, 9, 9, 9]).unwrap();
        keeper.finished();
        assert_eq!(keeper.child.wait().unwrap(), End::Exited(1));
    }
}
