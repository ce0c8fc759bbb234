//! The program itself, locked by the kernel, between a made keeper and a made interpreter.

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use hatch::messages::{FromExecutor, FromHost, ToExecutor, ToHost};
    use hatch::pipe::{Outbox, pair};
    use hatch::spawn::End;
    use protocol::frames::Phase;
    use protocol::{Bytes, EffectState, EffectTally, Mode, limits};
    use surface::{Call, Value};

    use crate::support::{Keeper, start};

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
        for name in ["landlock", "seccomp", "capabilities", "bus"] {
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
                "report.facts" => vec![Value::map([
                    ("host", Value::text("pc")),
                    ("system", Value::text("Debian 12")),
                    ("kernel", Value::text("6.1")),
                    ("uptime", Value::Int(5)),
                    ("disks", Value::List(Vec::new())),
                ])],
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
        let root = [Value::text("root")];
        assert_eq!(keeper.call("user.get", &root).unwrap_err().code, "not_permitted");
        assert_eq!(keeper.call("pkg.clean_cache", &[]).unwrap_err().code, "not_permitted");
        let report = keeper.done();
        assert_eq!((report.plan, report.drift), (None, None));
    }

    #[test]
    fn a_locked_look_with_its_permissions_tells_what_is_installed_and_of_starts_and_sessions() {
        let grants: &[(&str, &[&str])] =
            &[("pkg.installed", &[]), ("host.boots", &[]), ("user.sessions", &[])];
        let (mut keeper, _) = Keeper::begin(start(Mode::Check, grants, &[]));
        keeper.phase(Phase::Detect);
        let Value::List(all) = keeper.call("pkg.installed", &[]).unwrap() else { panic!("dpkg") };
        let libc = all.iter().find(|one| one.get("name") == Some(&Value::text("bash")));
        assert!(libc.is_some(), "bash is installed: {}", all.len());
        for name in ["host.boots", "user.sessions"] {
            keeper.call(name, &[]).unwrap();
        }
        keeper.done();
    }

    #[test]
    fn a_locked_look_with_its_permission_tells_of_an_account() {
        let (mut keeper, _) = Keeper::begin(start(Mode::Check, &[("user.get", &[])], &[]));
        keeper.phase(Phase::Detect);
        let root = keeper.call("user.get", &[Value::text("root")]).unwrap();
        assert_eq!(root.get("human"), Some(&Value::Bool(false)));
        keeper.done();
    }

    #[test]
    fn a_walk_of_a_big_tree_stays_far_below_its_memory() {
        let (folder, pattern) = files(0);
        let long = "n".repeat(140);
        for n in 0..limits::FILES_MAX {
            let sub = folder.path().join(format!("d{}", n % 50));
            std::fs::create_dir_all(&sub).unwrap();
            File::create_new(sub.join(format!("{long}{n:05}"))).unwrap();
        }
        let nouns: &[&str] = &[&pattern];
        let grants: &[(&str, &[&str])] = &[("fs.find", nouns), ("fs.remove", nouns)];
        let (mut plan, defences) = Keeper::begin(start(Mode::Plan, grants, &[]));
        let said = defences.get("limits").map(String::as_str);
        assert_eq!(said, Some("memory 256 MiB, no core"));
        plan.remediate();
        let found = plan.call("fs.find", &[Value::text(&pattern)]).unwrap();
        plan.call("fs.remove", &[found]).unwrap();
        let status = format!("/proc/{}/status", plan.child.pid());
        let status = std::fs::read_to_string(status).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak * 1024 * 3 < limits::EXECUTOR_MEMORY_BYTES, "{peak} KiB");
        plan.done();
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

        // No message, and one that is nested deep enough to break a decoder's stack.
        let deep = [vec![0x00, 0x3d, 0x09, 0x00], vec![0x81; 4_000_000]].concat();
        for babble in [vec![0, 0, 0, 3, 9, 9, 9], deep] {
            let (mut keeper, _) = Keeper::begin(start(Mode::Check, &[], &[]));
            let mut rest = babble.as_slice();
            while !rest.is_empty() {
                let len = rustix::io::write(&keeper.call, rest).unwrap();
                rest = &rest[len..];
            }
            keeper.finished();
            assert_eq!(keeper.child.wait().unwrap(), End::Exited(1));
        }
    }
}
