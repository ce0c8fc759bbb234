//! The real program with real pipes: locked before it reads a script, dead without a trace when
//! the script misbehaves, fine again in the next process.
#![cfg(test)]

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hatch::pipe::{Inbox, Outbox, pair};
use hatch::spawn::{Child, End, Program, spawn};
use hatch::{Exceptions, FromHost, FromInterpreter, Prepare, ToHost, ToInterpreter, fds};
use protocol::Mode;
use protocol::frames::Phase;
use protocol::limits::PEER_BYTES_MAX;
use surface::{HostError, Value};

struct Run {
    child: Child,
    keeper: Inbox,
    calls: Inbox,
    answers: Option<Outbox>,
}

const NOBODY: (u32, u32) = (65534, 65534);

fn start(source: &str, mode: Mode, limit_ms: u64) -> Run {
    let (run, mut to) = born();
    let uid = !rustix::process::geteuid().is_root();
    let prepare = Prepare { exceptions: Exceptions { uid, cgroup: true }, nobody: NOBODY };
    to.send(&ToInterpreter::Prepare(prepare)).unwrap();
    to.send(&ToInterpreter::Start {
        source: source.to_owned(),
        mode,
        parameters: BTreeMap::from([("unit".to_owned(), Value::text("cups.service"))]),
        limit_ms,
    })
    .unwrap();
    run
}

/// The program, and the line on which it waits for its order.
fn born() -> (Run, Outbox) {
    let program = Program::open(Path::new(env!("CARGO_BIN_EXE_interpreter"))).unwrap();
    let (child_in, to) = pair().unwrap();
    let (from, child_out) = pair().unwrap();
    let (peer_in, answers) = pair().unwrap();
    let (calls, peer_out) = pair().unwrap();
    let log = null();
    let table: [(BorrowedFd<'_>, i32); 5] = [
        (child_in.as_fd(), fds::FROM_KEEPER),
        (child_out.as_fd(), fds::TO_KEEPER),
        (log.as_fd(), fds::LOG),
        (peer_in.as_fd(), fds::PEER_IN),
        (peer_out.as_fd(), fds::PEER_OUT),
    ];
    let child = spawn(&program, &[], &table).unwrap();
    let run = Run {
        child,
        keeper: Inbox::from_fd(from),
        calls: Inbox::from_fd(calls).at_most(PEER_BYTES_MAX),
        answers: Some(Outbox::from_fd(answers).at_most(PEER_BYTES_MAX)),
    };
    (run, Outbox::from_fd(to))
}

fn null() -> OwnedFd {
    let (mode, flags) = (rustix::fs::Mode::empty(), rustix::fs::OFlags::RDWR);
    rustix::fs::open("/dev/null", flags, mode).unwrap()
}

impl Run {
    fn ready(&mut self) -> BTreeMap<String, String> {
        match self.keeper.recv().unwrap() {
            Some(FromInterpreter::Ready { defences }) => defences,
            other => panic!("expected Ready, got {other:?}"),
        }
    }
    /// Answers every call and gives all that was said, up to `Done` or the end of the line.
    fn serve(&mut self, mut answer: impl FnMut(&str, &[Value]) -> FromHost) -> Vec<ToHost> {
        let mut said = Vec::new();
        while let Ok(Some(message)) = self.calls.recv::<ToHost>() {
            if let ToHost::Call(call) = &message {
                let answer = answer(&call.function, &call.args);
                if self.answers.as_mut().unwrap().send(&answer).is_err() {
                    break;
                }
            }
            let done = message == ToHost::Done;
            said.push(message);
            if done {
                break;
            }
        }
        said
    }
    fn ended(&mut self) -> (Vec<hatch::Finding>, Option<hatch::ScriptFault>) {
        match self.keeper.recv().unwrap() {
            Some(FromInterpreter::Ended { findings, fault }) => (findings, fault),
            other => panic!("expected Ended, got {other:?}"),
        }
    }
    fn end(self) -> End {
        self.child.wait().unwrap()
    }
}

fn unit(_: &str, _: &[Value]) -> FromHost {
    FromHost::Value(Value::Unit)
}

fn script(detect: &str) -> String {
    format!("fn detect(p) {{ {detect} }} fn remediate(p, found) {{}} fn verify(p, found) {{}}")
}

#[test]
fn a_script_runs_locked_and_its_calls_cross() {
    let source = script(
        r#"let s = service::status(p.unit); print(s.state);
           if s.state == "failed" { needed("it failed") } else { healthy("fine") }"#,
    );
    let mut run = start(&source, Mode::Check, 5_000);
    let defences = run.ready();
    for name in ["landlock", "seccomp", "uid", "no_new_privs", "limits"] {
        assert!(defences.contains_key(name), "{name} is not in {defences:?}");
    }
    let said = run.serve(|function, args| {
        assert_eq!(function, "service.status");
        assert_eq!(args, [Value::text("cups.service")]);
        FromHost::Value(Value::map([("state", Value::text("failed"))]))
    });
    let (findings, fault) = run.ended();
    assert_eq!(fault, None);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].needed && findings[0].phase == Phase::Detect);
    assert_eq!(said.first(), Some(&ToHost::Phase(Phase::Detect)));
    assert!(said.contains(&ToHost::Print("failed".into())));
    assert!(said.contains(&ToHost::Found(findings[0].clone())));
    assert_eq!(said.last(), Some(&ToHost::Done));
    assert_eq!(run.end(), End::Exited(0));
}

#[test]
fn a_shipped_script_goes_through_all_three_phases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/service/restart.rhai");
    let source = std::fs::read_to_string(path).unwrap();
    let source = source.replace("p.watch", "15");
    let mut run = start(&source, Mode::Fix, 5_000);
    run.ready();
    let said = run.serve(|function, _| {
        FromHost::Value(match function {
            "service.status" => Value::map([
                ("state", Value::text("failed")),
                ("result", Value::text("exit-code")),
                ("restarts", Value::Int(0)),
            ]),
            "service.log" => Value::text("pc cupsd[1]: no port"),
            "service.stays" => {
                Value::map([("held", Value::Bool(true)), ("restarts", Value::Int(0))])
            }
            _ => Value::Unit,
        })
    });
    let (findings, fault) = run.ended();
    assert_eq!(fault, None);
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[0].summary, "cups.service failed (exit-code): no port");
    assert!(!findings[1].needed);
    let phases: Vec<_> = said.iter().filter(|m| matches!(m, ToHost::Phase(_))).collect();
    assert_eq!(phases.len(), 3);
    assert_eq!(run.end(), End::Exited(0));
}

#[test]
fn memory_bombs_end_as_a_clean_death_and_the_next_run_is_fine() {
    for bomb in [
        // Many big things: no single one breaks a limit of the language.
        r#"let m = #{}; let i = 0;
           let s = ""; while s.len() < 900000 { s += "0123456789012345678901234567890123456789"; }
           while i < 5000 { m["k" + i.to_string()] = s + i.to_string(); i += 1; } healthy("x")"#,
        r#"let a = [0]; let all = []; a.pad(30000, 7); let i = 0;
           while i < 100000 { let b = a; b.push(i); all = [all, b]; i += 1; } healthy("x")"#,
    ] {
        let mut run = start(&script(bomb), Mode::Check, 60_000);
        run.ready();
        run.serve(unit);
        let last = run.keeper.recv::<FromInterpreter>();
        match run.end() {
            // The memory limit: the process ends itself and says nothing more.
            End::Signalled(signal) => {
                assert_eq!(signal, 6, "ended by signal {signal}");
                assert_eq!(last.unwrap(), None);
            }
            // A limit of the language came first: an answer like any other.
            End::Exited(code) => {
                assert_eq!(code, 0);
                let Ok(Some(FromInterpreter::Ended { fault: Some(fault), .. })) = last else {
                    panic!("neither a death nor a fault: {last:?}")
                };
                assert!(fault.code.starts_with("limit_"), "{fault:?}");
            }
        }
    }
    let mut run = start(&script("healthy(\"fine\")"), Mode::Check, 5_000);
    run.ready();
    run.serve(unit);
    assert_eq!(run.ended().1, None);
    assert_eq!(run.end(), End::Exited(0));
}

#[test]
fn a_script_without_end_stops_at_its_deadline() {
    let mut run = start(&script("loop { let x = 1; }"), Mode::Check, 50);
    run.ready();
    run.serve(unit);
    let (_, fault) = run.ended();
    assert_eq!(fault.unwrap().code, "limit_time");
    assert_eq!(run.end(), End::Exited(0));
}

#[test]
fn the_deepest_legal_script_fits_its_stack() {
    // Every call nests as deep as an expression may, in as many calls as there may be.
    let source = |depth: usize| {
        let (open, close) = ("(1 + ".repeat(depth), ")".repeat(depth));
        format!(
            "fn down(n) {{ if n == 0 {{ return 1; }} {open}down(n - 1){close} }} {}",
            script("if down(28) > 0 { healthy(\"deep\") }")
        )
    };
    let deepest = (1..100).take_while(|n| script::Script::compile(&source(*n)).is_ok()).last();
    let deepest = deepest.unwrap();
    assert!(deepest >= 8, "{deepest}");
    let source = source(deepest);
    let mut run = start(&source, Mode::Check, 20_000);
    run.ready();
    run.serve(unit);
    let (findings, fault) = run.ended();
    assert_eq!((findings.len(), fault), (1, None));
    let endless = format!("fn down(n) {{ 1 + down(n + 1) }} {}", script("down(0)"));
    let mut run = start(&endless, Mode::Check, 20_000);
    run.ready();
    run.serve(unit);
    assert_eq!(run.ended().1.unwrap().code, "limit_calls");
    assert_eq!(run.end(), End::Exited(0));
}

#[test]
fn a_lost_executor_ends_the_run_whatever_the_script_catches() {
    let source = script(r#"loop { try { host::info(); } catch (e) { print("go on"); } }"#);
    // Gone before it answers.
    let mut run = start(&source, Mode::Check, 20_000);
    run.ready();
    run.answers = None;
    assert_eq!(run.ended().1.unwrap().code, "executor_lost");
    assert_eq!(run.end(), End::Exited(71));
    // Speaks something else.
    let mut run = start(&source, Mode::Check, 20_000);
    run.ready();
    let line = run.answers.take().unwrap();
    rustix::io::write(&line, &[0, 0, 0, 3, 0xff, 0xff, 0xff]).unwrap();
    assert_eq!(run.ended().1.unwrap().code, "executor_lost");
    assert_eq!(run.end(), End::Exited(71));
}

#[test]
fn a_fatal_answer_ends_the_run_and_another_can_be_caught() {
    let source =
        script(r#"try { host::info(); } catch (e) { return healthy(`caught ${e.code}`); }"#);
    for (fatal, caught) in [(true, false), (false, true)] {
        let mut run = start(&source, Mode::Check, 20_000);
        run.ready();
        run.serve(|function, _| {
            let (function, code) = (function.to_owned(), "plan_drift".to_owned());
            FromHost::Error(HostError { function, code, message: "no".into(), fatal })
        });
        let (findings, fault) = run.ended();
        assert_eq!(findings.len(), usize::from(caught));
        assert_eq!(fault.map(|fault| fault.code), fatal.then(|| "plan_drift".to_owned()));
        assert_eq!(run.end(), End::Exited(0));
    }
}

#[test]
fn what_does_not_parse_is_a_fault_with_its_line() {
    let mut run = start("\nfn detect(p) {\n  let = 3;\n}", Mode::Check, 5_000);
    run.ready();
    run.serve(unit);
    let (_, fault) = run.ended();
    let fault = fault.unwrap();
    assert_eq!((fault.code.as_str(), fault.line), ("parse", 3));
    let mut run = start(&" ".repeat(70_000), Mode::Check, 5_000);
    run.ready();
    run.serve(unit);
    assert_eq!(run.ended().1.unwrap().code, "source_size");
}

#[test]
fn without_an_order_nothing_runs() {
    let (run, to) = born();
    drop(to);
    assert_eq!(run.end(), End::Exited(70));
}

#[test]
fn lists_of_many_files_cross() {
    let source = script(
        r#"let files = fs::find("/x/**"); let n = files.reduce(|sum, f| sum + f.size, 0);
           fs::remove(files); healthy(`${files.len()} ${n}`)"#,
    );
    let mut run = start(&source, Mode::Check, 60_000);
    run.ready();
    let file = |n: i64| {
        let path = format!("/home/jo/.cache/mozilla/firefox/abcdefgh.default-release/cache2/{n}");
        Value::map([
            ("path", Value::text(path)),
            ("size", Value::Int(2)),
            ("changed", Value::Int(1)),
        ])
    };
    let mut removed = 0;
    run.serve(|function, args| {
        if function == "fs.remove" {
            removed = args[0].as_list().unwrap().len();
            return FromHost::Value(Value::Unit);
        }
        FromHost::Value(Value::List((0..20_000).map(file).collect()))
    });
    let (findings, fault) = run.ended();
    assert_eq!(fault, None);
    assert_eq!((findings[0].summary.as_str(), removed), ("20000 40000", 20_000));
}

#[test]
fn a_long_text_is_printed_whole() {
    let source =
        script("let s = \"é\"; for i in 0..22 { s += s; } print(s); host::info(); healthy(\"x\")");
    let mut run = start(&source, Mode::Check, 60_000);
    run.ready();
    let said = run.serve(unit);
    assert_eq!(run.ended().1, None);
    let printed = said.iter().map(|m| if let ToHost::Print(text) = m { text.len() } else { 0 });
    assert_eq!(printed.sum::<usize>(), PEER_BYTES_MAX);
}

#[test]
fn a_killed_interpreter_closes_its_lines_and_says_nothing_more() {
    let mut run = start(&script("loop { host::info(); }"), Mode::Check, 60_000);
    run.ready();
    assert!(matches!(run.calls.recv().unwrap(), Some(ToHost::Phase(Phase::Detect))));
    run.child.kill().unwrap();
    while let Ok(Some(_)) = run.calls.recv::<ToHost>() {}
    assert_eq!(run.keeper.recv::<FromInterpreter>().unwrap(), None);
    assert_eq!(run.end(), End::Signalled(9));
}
