//! Hostile and careless scripts against the limits of the language. What must end a process is
//! tested with the interpreter's own program.
#![cfg(test)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::{Manifest, Mode};
use script::fake::{FakeHost, Heard, Machine};
use script::{Ending, RunReport, Script, ScriptFault, SharedHost, about, run};
use surface::Value;

const ABOUT: &str = r#"const ABOUT = #{
    id: "test.hostile", version: 1, title: "Test", does: "tests", author: "m.allory",
    risk: "high", consent: "none", platforms: ["linux"], params: #{ user: #{kind: "user", preset: "jo", ask: "Who?"} },
    permissions: #{ "service.restart": ["x.service"], "secret.one_time": [],
        "user.set_password": ["humans"], "fs.find": ["/x/**"] },
};
"#;
const MACHINE: &str = r#"
    clock = { synced = true }
    services = { "x.service" = { state = "failed" } }
    users = { jo = { uid = 1000, human = true, password = "set" } }
"#;

fn play(functions: &str, mode: Mode, limit_ms: u64) -> (RunReport, Heard) {
    let source = format!("{ABOUT}{functions}");
    let manifest: Manifest = about::read(&source, None)
        .unwrap_or_else(|faults| panic!("{}", script::faults_text(&faults)));
    let script = Script::compile(&source).unwrap();
    let params = BTreeMap::from([("user".to_owned(), Value::text("jo"))]);
    let machine: Machine = toml::from_str(MACHINE).unwrap();
    let host = Rc::new(RefCell::new(FakeHost::new(machine, &manifest, &params, mode)));
    let shared: SharedHost = Rc::clone(&host) as SharedHost;
    let report = run(&script, mode, &params, limit_ms, &shared);
    let heard = host.borrow().heard.clone();
    (report, heard)
}

/// A check whose `detect` is this.
fn detect(body: &str) -> (RunReport, Heard) {
    let rest = "fn remediate(p, found) {} fn verify(p, found) { healthy(\"x\") }";
    play(&format!("fn detect(p) {{ {body}; healthy(\"done\") }} {rest}"), Mode::Check, 600_000)
}

/// A fix whose `remediate` is this.
fn remediate(body: &str) -> (RunReport, Heard) {
    let rest = "fn detect(p) { needed(\"x\") } fn verify(p, found) { healthy(\"done\") }";
    play(&format!("fn remediate(p, found) {{ {body} }} {rest}"), Mode::Fix, 600_000)
}

#[expect(clippy::disallowed_methods, reason = "how long a hostile script holds us is measured")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn fault(report: &RunReport) -> ScriptFault {
    report.fault.clone().unwrap_or_else(|| panic!("no fault: {report:?}"))
}

#[test]
fn endless_loops_and_floods_stop_and_cannot_be_caught() {
    for body in [
        "loop {}",
        "while true { print(\"flood\"); }",
        "loop { try { loop {} } catch { } }",
        "for i in range(0, 9_000_000_000) {}",
        "let a = [1]; loop { a.push(1); a.pop(); }",
    ] {
        let code = fault(&detect(body).0).code;
        assert_eq!(code, "limit_operations", "{body}");
    }
}

#[test]
fn a_deadline_stops_a_loop_and_waiting_calls() {
    let tail = "fn remediate(p, found) {} fn verify(p, found) {}";
    let looping = format!("fn detect(p) {{ loop {{ }} }} {tail}");
    assert_eq!(fault(&play(&looping, Mode::Check, 20).0).code, "limit_time");
    let waiting = format!(
        "fn detect(p) {{ loop {{ try {{ service::stays(\"y.service\", \"missing\", 60); }} \
         catch (e) {{ print(e.code); }} }} }} {tail}"
    );
    let (report, heard) = play(&waiting, Mode::Check, 3_600_000);
    assert_eq!(fault(&report).code, "limit_time");
    assert_eq!(heard.calls.len(), 60);
}

#[test]
fn recursion_in_every_form_is_too_many_calls() {
    let tail = "fn remediate(p, found) {} fn verify(p, found) {} fn detect(p) { a(1); }";
    for functions in [
        "fn a(n) { a(n + 1) }",
        "fn a(n) { b(n) } fn b(n) { a(n) }",
        "fn a(n) { [1].map(|x| a(x)) }",
        "fn a(n) { try { a(n) } catch (e) { a(n) } }",
    ] {
        let (report, _) = play(&format!("{functions} {tail}"), Mode::Check, 600_000);
        let code = fault(&report).code;
        assert!(
            ["limit_calls", "limit_operations"].contains(&code.as_str()),
            "{functions}: {code}"
        );
    }
}

#[test]
fn growth_of_one_value_is_a_limit() {
    for body in [
        "let s = \"x\"; loop { s += s; }",
        "let s = \"x\"; loop { s = `${s}${s}`; }",
        "let a = [1]; loop { a += a; }",
        "let a = [1]; loop { a = [a, a]; }",
        "let m = #{}; let i = 0; loop { m[`k${i}`] = [1, 2, 3, 4]; i += 1; }",
        "let a = []; a.pad(999_999_999, 1)",
        "let s = \"x\"; for i in 0..22 { s += s; } [s, s, s].join(s)",
        "let s = \"a,\"; for i in 0..20 { s += s; } s.split(\",\")",
    ] {
        let (ended, took) = timed(|| detect(body).0);
        let code = fault(&ended).code;
        assert!(["limit_size", "limit_operations"].contains(&code.as_str()), "{body}: {code}");
        assert!(took.as_secs() < 20, "{body} took {took:?}");
    }
}

#[test]
fn what_the_engine_leaves_out_does_not_parse_or_does_not_exist() {
    for source in [
        "fn f() { eval(\"1\") }",
        "fn f() { Fn(\"f\") }",
        "import \"x\" as y;",
        "export const X = 1;",
        "fn f() { import \"/etc/passwd\" as y; }",
        "fn f() { nix::x() }",
    ] {
        assert_eq!(Script::compile(source).unwrap_err().rule, "parse", "{source}");
    }
    for body in [
        "sleep(1)",
        "exit(5)",
        "exit()",
        "let s = \"aaa\"; s.replace(\"a\", \"b\")",
        "timestamp()",
        "let s = \"x\"; s.pad(9, \"y\")",
        "parse_json(\"{}\")",
    ] {
        let fault = fault(&detect(body).0);
        assert_eq!(fault.code, "script", "{body}");
        assert!(fault.message.contains("not found"), "{body}: {}", fault.message);
        assert_eq!(fault.line, 7, "{body}");
    }
}

#[test]
fn a_host_function_cannot_be_shadowed() {
    let tail = "fn remediate(p, found) {} fn verify(p, found) {}";
    for form in ["fn clock() { #{ synced: \"mine\" } } fn host() { #{} }", "fn fs() { 1 }"] {
        let functions = format!(
            "{form} fn detect(p) {{ let host = #{{ clock: || 1 }}; \
             healthy(`${{host::clock().synced}}`) }} {tail}"
        );
        let (report, heard) = play(&functions, Mode::Check, 600_000);
        assert_eq!(report.summary(), "true", "{form}");
        assert_eq!(heard.calls, ["host.clock"]);
    }
}

#[test]
fn actions_outside_remediate_and_undeclared_nouns_are_refused() {
    let refused = |report: &RunReport, code: &str| assert_eq!(fault(report).code, code);
    refused(&detect("secret::one_time()").0, "not_now");
    refused(&detect("fs::find(\"/etc/**\")").0, "not_permitted");
    refused(&detect("service::log(\"ssh.service\", 5)").0, "not_permitted");
    refused(&remediate("fs::remove([\"/x/a\"]);").0, "not_permitted");
    let (report, _) =
        detect("try { fs::find(\"/etc/**\"); } catch (e) { print(e.code); throw e; }");
    refused(&report, "not_permitted");
}

#[test]
fn arguments_are_checked_against_their_row() {
    for (body, says) in [
        (
            "service::status(3)",
            "service::status: parameter `unit` must be text, got a whole number",
        ),
        ("fs::find(\"/x/**\", #{ oldr: 3 })", "fs::find has no option `oldr`; it has only, older"),
        (
            "fs::find(\"/x/**\", #{ older: \"3\" })",
            "option `older` must be a whole number, got text",
        ),
        ("fs::find(\"/x/**\", 3)", "options must be a map, got a whole number"),
        ("report::note(|| 1)", "report::note cannot take a function"),
    ] {
        let fault = fault(&detect(body).0);
        assert_eq!(fault.code, "bad_argument", "{body}");
        assert!(fault.message.contains(says), "{body}: {}", fault.message);
        assert_eq!(fault.line, 7);
    }
    for body in ["service::status()", "service::status(\"a\", \"b\")", "fs::nothing()"] {
        assert!(detect(body).0.fault.is_some(), "{body}");
    }
}

#[test]
fn a_secret_has_no_text_no_equal_and_no_way_out() {
    let make = "let s = secret::one_time();";
    for body in [
        "s.to_string();",
        "s == s;",
        "s == \"guess\";",
        "\"guess\" == s;",
        "s < s;",
        "let t = s + s;",
        "let t = s + \"x\";",
        "let t = \"x\" + s;",
        "print(s);",
        "report::note(s);",
        "report::attach(\"x\", s);",
        "fs::find(s);",
        "user::set_password(s, s);",
        "fs::remove([#{ path: s }]);",
        "report::say(`${s.handle}`);",
    ] {
        let (report, heard) = remediate(&format!("{make} {body}"));
        assert!(report.fault.is_some(), "{body} went through: {report:?}");
        assert!(heard.printed.is_empty() && heard.notes.is_empty(), "{body}: {heard:?}");
    }
    // Interpolation and lists show its type; there is nothing else in the process to show.
    let (report, heard) =
        remediate(&format!("{make} print(`${{s}}`); print([s]); print(#{{ a: s }});"));
    assert_eq!(report.fault, None);
    for line in &heard.printed {
        assert!(line.contains("Secret") && !line.contains('1'), "{line}");
    }
    let (report, heard) = remediate(&format!("{make} user::set_password(p.user, s);"));
    assert_eq!(report.fault, None);
    assert_eq!(heard.actions, ["secret.one_time", "user.set_password jo"]);
}

#[test]
fn a_phase_must_end_in_a_finding() {
    for body in ["fn detect(p) { 3 }", "fn detect(p) { #{ needed: 3 } }", "fn detect(p) {}"] {
        let functions = format!("{body} fn remediate(p, found) {{}} fn verify(p, found) {{}}");
        assert_eq!(fault(&play(&functions, Mode::Check, 9_000).0).code, "no_finding", "{body}");
    }
    let facts = "fn detect(p) { needed(\"x\", #{ summary: 1 }) } fn remediate(p, found) {} \
                 fn verify(p, found) {}";
    assert!(play(facts, Mode::Check, 9_000).0.fault.is_some());
    assert_eq!(fault(&play(facts, Mode::Undo, 9_000).0).code, "mode_unsupported");
}

#[test]
fn what_a_script_throws_keeps_its_code_and_line() {
    let line = |body: &str| {
        let fault = fault(&detect(body).0);
        (fault.code, fault.message, fault.line)
    };
    let mine = "\n throw #{ code: \"no_such_user\", message: \"There is\\nnobody\" }";
    assert_eq!(line(mine), ("no_such_user".into(), "There is nobody".into(), 8));
    assert_eq!(line("throw \"so\"").0, "script");
    assert_eq!(line("throw #{ code: \"Not A Code\", message: \"x\" }").0, "script");
    assert_eq!(line("let x = 1 / 0").0, "arithmetic");
    assert_eq!(line("let x = 9_000_000_000_000_000_000.GiB").0, "arithmetic");
    assert_eq!(line("p.nobody").0, "script");
    let long = line(&format!("throw \"{}\"", "é".repeat(5000)));
    assert_eq!(long.1.chars().count(), 300);
}

#[test]
fn sources_that_hurt_a_parser_are_refused_quickly() {
    let forms = [
        format!("fn f() {{ {} }}", "(".repeat(20_000)),
        format!("fn f() {{ {}1{} }}", "[".repeat(20_000), "]".repeat(20_000)),
        format!("fn f() {{ {} }}", "#{a:".repeat(10_000)),
        format!("fn f() {{ {} }}", "if true {".repeat(6_000)),
        format!("fn f() {{ {} }}", "{".repeat(30_000)),
        format!("fn f() {{ {}1 }}", "-".repeat(30_000)),
        format!("fn f() {{ {}true }}", "!".repeat(30_000)),
        format!("fn f() {{ {}1 }}", "1+".repeat(30_000)),
        format!("fn f() {{ x{} }}", ".a".repeat(30_000)),
        format!("fn f() {{ x{} }}", "[0]".repeat(20_000)),
        format!("fn f() {{ {} }}", "`${".repeat(20_000)),
        format!("fn f() {{ {} }}", "|x|".repeat(20_000)),
        format!("fn f() {{ {} }}", "switch 1 { 1 => ".repeat(4_000)),
        format!("fn f() {{ {} }}", "try { ".repeat(10_000)),
        format!("fn f({}) {{}}", (0..12_000).map(|n| format!("a{n},")).collect::<String>()),
        "/*".repeat(32_000),
        "\u{feff}fn f() {}".to_owned(),
        "fn f() {}\n".repeat(6_000),
    ];
    for form in forms {
        let (result, took) = timed(|| Script::compile(&form));
        let start: String = form.chars().take(40).collect();
        assert!(took.as_secs() < 10, "{start} took {took:?}");
        let empty = form.starts_with("/*");
        assert!(result.is_err() || empty, "{start} was taken");
        assert!(about::read(&form, None).is_err());
        assert!(!script::lint::lint(&form).is_empty());
    }
    let long = format!("fn f() {{}}{}", "\n".repeat(protocol::limits::SCRIPT_BYTES_MAX));
    assert_eq!(Script::compile(&long).unwrap_err().rule, "source-size");
}

#[test]
fn one_run_leaves_nothing_for_the_next() {
    let source = format!(
        "{ABOUT} fn detect(p) {{ host::clock(); healthy(\"x\") }} \
         fn remediate(p, found) {{}} fn verify(p, found) {{}}"
    );
    let manifest = about::read(&source, None).unwrap();
    let script = Script::compile(&source).unwrap();
    let params = BTreeMap::new();
    for _ in 0..3 {
        let host = FakeHost::new(Machine::default(), &manifest, &params, Mode::Check);
        let host = Rc::new(RefCell::new(host));
        let shared: SharedHost = Rc::clone(&host) as SharedHost;
        assert_eq!(run(&script, Mode::Check, &params, 1_000, &shared).fault, None);
        assert_eq!(host.borrow().heard.calls, ["host.clock"]);
        drop(shared);
        assert_eq!(Rc::strong_count(&host), 1, "the script keeps its host");
    }
}

#[test]
fn a_plan_ends_where_only_the_action_could_tell() {
    let functions = "fn detect(p) { needed(\"x\") } fn verify(p, found) { healthy(\"done\") }
        fn remediate(p, found) {
            service::restart(\"x.service\");
            try { service::stays(\"x.service\", \"active\", 5); } catch (e) { print(e.code); }
            user::set_password(p.user, secret::one_time());
        }";
    let (plan, heard) = play(functions, Mode::Plan, 600_000);
    assert_eq!((plan.ending(), plan.fault), (Ending::Needed, None));
    assert_eq!(heard.actions, ["service.restart x.service"]);
    assert!(heard.printed.is_empty(), "it was caught");
    let (fix, heard) = play(functions, Mode::Fix, 600_000);
    assert_eq!(fix.ending(), Ending::Fixed);
    assert_eq!(heard.actions.len(), 3);
    // A script's own word for it is a fault like any other.
    let own =
        functions.replace("service::restart", "throw #{ code: \"unknowable\" }; service::restart");
    assert_eq!(fault(&play(&own, Mode::Plan, 600_000).0).code, "unknowable");
}
