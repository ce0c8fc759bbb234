//! With `cat` in every place: what a child is told comes back from it.

use std::fs::File;
use std::path::Path;

use hatch::cgroup::Home;
use hatch::pipe::Polled;
use hatch::{Exceptions, FromExecutor, FromInterpreter, ScriptFault};
use protocol::frames::Phase;
use rustix::event::{PollFd, PollFlags, poll};

use super::*;

pub(crate) fn cats(folder: &Path) -> Programs {
    for name in ["gate", "interpreter", "executor", "prompter"] {
        std::fs::copy("/usr/bin/cat", folder.join(name)).unwrap();
    }
    Programs::open(folder).unwrap()
}

fn next<M: for<'b> minicbor::Decode<'b, ()>>(inbox: &mut Inbox) -> Polled<M> {
    loop {
        match inbox.poll_recv::<M>().unwrap() {
            Polled::Empty => {
                poll(&mut [PollFd::new(&*inbox, PollFlags::IN)], None).unwrap();
            }
            other => return other,
        }
    }
}

#[test]
fn each_child_has_its_own_pipes_and_ends_with_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let programs = cats(folder.path());
    let home = Home::find().unwrap();
    let cgroup = home.make(&format!("salve-spawn-test-{}", std::process::id())).unwrap();
    let effects = File::create(folder.path().join("effects")).unwrap();
    let prepare = Prepare { exceptions: Exceptions::default(), nobody: (1, 1) };
    let mut run = run(&programs, Some(&cgroup), &effects, &prepare).unwrap();
    let first = Polled::Message(ToExecutor::Prepare(prepare));
    assert_eq!(next(&mut run.executor.inbox), first);
    let first = Polled::Message(ToInterpreter::Prepare(prepare));
    assert_eq!(next(&mut run.interpreter.inbox), first);
    let say = FromExecutor::Say { text: "room again".into() };
    run.executor.outbox.queue(&say).unwrap();
    assert!(run.executor.outbox.flush().unwrap());
    assert_eq!(next(&mut run.executor.inbox), Polled::Message(say));
    let fault =
        ScriptFault { phase: Phase::Detect, code: "script".into(), message: "no".into(), line: 1 };
    let ended = FromInterpreter::Ended { findings: Vec::new(), fault: Some(fault) };
    run.interpreter.outbox.queue(&ended).unwrap();
    run.interpreter.outbox.flush().unwrap();
    assert_eq!(next(&mut run.interpreter.inbox), Polled::Message(ended));
    // A child that hears no more says no more, and its end is seen.
    drop(run.executor.outbox);
    assert_eq!(next::<FromExecutor>(&mut run.executor.inbox), Polled::Closed);
    assert_eq!(run.executor.child.wait().unwrap(), End::Exited(0));
    run.interpreter.child.kill().unwrap();
    assert_eq!(run.interpreter.child.wait().unwrap(), End::Signalled(9));
    cgroup.remove().unwrap();
}

#[test]
fn without_a_cgroup_nothing_starts_unless_an_exception_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let programs = cats(folder.path());
    let effects = File::create(folder.path().join("effects")).unwrap();
    let none = Prepare { exceptions: Exceptions::default(), nobody: (1, 1) };
    assert!(matches!(run(&programs, None, &effects, &none), Err(StartError::Cgroup(_))));
    let exceptions = Exceptions { cgroup: true, ..Exceptions::default() };
    let excepted = Prepare { exceptions, ..none };
    let run = run(&programs, None, &effects, &excepted).unwrap();
    for line in [run.executor, run.interpreter] {
        line.child.kill().unwrap();
        line.child.wait().unwrap();
    }
}

#[test]
fn a_program_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Programs::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("gate"), "{error}");
    crate::state::write(&folder.path().join("gate"), b"no program").unwrap();
    let error = Programs::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not an executable file"), "{error}");
}

#[test]
fn an_upgrade_of_the_files_does_not_change_what_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let programs = cats(folder.path());
    let gate = folder.path().join("gate");
    std::fs::remove_file(&gate).unwrap();
    std::fs::copy("/usr/bin/false", &gate).unwrap();
    let mut line = super::gate(&programs).unwrap();
    // `cat serve` finds no file of that name and says so in its own way: it is the old program.
    drop(line.outbox);
    assert_eq!(next::<hatch::FromGate>(&mut line.inbox), Polled::Closed);
    assert_eq!(line.child.wait().unwrap(), End::Exited(1));
    let link = std::fs::metadata("/usr/bin/cat").unwrap();
    let held = rustix::fs::fstat(&programs.gate).unwrap();
    assert_eq!(u64::try_from(held.st_size).unwrap(), link.len());
}
