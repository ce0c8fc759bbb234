//! A script's cases: `NAME.cases.toml` beside `NAME.rhai`, run against the fake host. Never on a
//! machine; what the executor really does is tested in its own room.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::{Manifest, Mode, ParamValue, Params};
use serde::Deserialize;
use surface::Value;

use crate::engine::Script;
use crate::fake::{FakeHost, Heard, Machine};
use crate::run::{Ending, RunReport, SharedHost, run};

/// One case, read.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// How it runs.
    pub mode: Mode,
    /// Parameters beyond the presets.
    pub params: Params,
    /// The machine.
    pub machine: Machine,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a case. Lists of words: each must be contained in one entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `healthy`, `needed`, `fixed`, `not_repaired`, `failed`.
    pub ending: Word,
    /// The fault's code.
    #[serde(default)]
    pub code: Option<String>,
    /// Contained in the summary.
    #[serde(default)]
    pub summary: Vec<String>,
    /// All actions, in order, exactly.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Contained in the sentence to the person.
    #[serde(default)]
    pub say: Option<String>,
    /// Contained in what was skipped.
    #[serde(default)]
    pub skipped: Vec<String>,
    /// Contained in notes.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Contained in what was printed.
    #[serde(default)]
    pub printed: Vec<String>,
    /// All printed lines, in order, exactly.
    #[serde(default)]
    pub lines: Option<Vec<String>>,
    /// Names of what was attached.
    #[serde(default)]
    pub attached: Vec<String>,
    /// Contained in the facts' JSON.
    #[serde(default)]
    pub facts: Vec<String>,
}

/// An ending as a case writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of `Ending`")]
pub enum Word {
    Healthy,
    Needed,
    Fixed,
    NotRepaired,
    Failed,
}

impl Word {
    const fn ending(self) -> Ending {
        match self {
            Self::Healthy => Ending::Healthy,
            Self::Needed => Ending::Needed,
            Self::Fixed => Ending::Fixed,
            Self::NotRepaired => Ending::NotRepaired,
            Self::Failed => Ending::Failed,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    machine: toml::Table,
    case: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    mode: Mode,
    #[serde(default)]
    params: BTreeMap<String, ParamValue>,
    #[serde(default)]
    machine: toml::Table,
    expect: Expect,
}

/// Reads a file of cases; each case's machine lies over the file's.
///
/// # Errors
/// What is wrong with it, as text for people.
pub fn read(text: &str) -> Result<Vec<Case>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let case = |text: Text| {
        let mut machine = file.machine.clone();
        over(&mut machine, text.machine);
        let machine = machine.try_into().map_err(|error| format!("{}: {error}", text.name))?;
        let Text { name, mode, params, expect, .. } = text;
        Ok(Case { name, mode, params, machine, expect })
    };
    file.case.into_iter().map(case).collect()
}

/// Lays one table over another; `"-"` takes a key away.
fn over(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => over(below, above),
            (_, toml::Value::String(gone)) if gone == "-" => drop(below.remove(&key)),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

/// An order's parameters with presets filled in, as the keeper hands them to a script.
#[must_use]
pub fn parameters(manifest: &Manifest, params: &Params) -> BTreeMap<String, Value> {
    let value = |value: &ParamValue| match value {
        ParamValue::Bool(yes) => Value::Bool(*yes),
        ParamValue::Int(n) => Value::Int(*n),
        ParamValue::Text(text) => Value::text(text),
    };
    let presets = manifest.parameters.iter().filter_map(|(name, spec)| {
        params.get(name).or(spec.preset.as_ref()).map(|preset| (name.clone(), value(preset)))
    });
    presets.collect()
}

/// Runs one case.
///
/// # Errors
/// Each thing that came otherwise than expected, one a line.
pub fn check(script: &Script, manifest: &Manifest, case: &Case) -> Result<(), String> {
    let (report, heard) = play(script, manifest, case);
    let mut wrong = Vec::new();
    let expect = &case.expect;
    if report.ending() != expect.ending.ending() {
        wrong.push(format!("ended {:?}, expected {:?}", report.ending(), expect.ending));
    }
    let code = report.fault.as_ref().map(|fault| fault.code.clone());
    if code != expect.code {
        wrong.push(format!("code {code:?}, expected {:?}", expect.code));
    }
    if heard.actions != expect.actions {
        wrong.push(format!("actions {:?}, expected {:?}", heard.actions, expect.actions));
    }
    let summary = [report.summary().to_owned()];
    let say: Vec<_> = heard.say.clone().into_iter().collect();
    let facts: Vec<_> = heard.facts.clone().into_iter().collect();
    let wanted: Vec<_> = expect.say.clone().into_iter().collect();
    for (what, have, want) in [
        ("summary", &summary[..], &expect.summary),
        ("say", &say, &wanted),
        ("skipped", &heard.skipped, &expect.skipped),
        ("notes", &heard.notes, &expect.notes),
        ("printed", &heard.printed, &expect.printed),
        ("attached", &heard.attached, &expect.attached),
        ("facts", &facts, &expect.facts),
    ] {
        for part in want {
            if !have.iter().any(|text| text.contains(part)) {
                wrong.push(format!("{what} {have:?} has no `{part}`"));
            }
        }
    }
    if expect.lines.as_ref().is_some_and(|lines| *lines != heard.printed) {
        wrong.push(format!("printed {:#?}, expected {:#?}", heard.printed, expect.lines));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.push(format!("report: {report:?}"));
    Err(wrong.join("\n"))
}

/// Runs one case and gives what happened.
#[must_use]
pub fn play(script: &Script, manifest: &Manifest, case: &Case) -> (RunReport, Heard) {
    let params = parameters(manifest, &case.params);
    let host = FakeHost::new(case.machine.clone(), manifest, &params, case.mode);
    let host = Rc::new(RefCell::new(host));
    let shared: SharedHost = Rc::clone(&host) as SharedHost;
    let limit = manifest.limit_seconds.saturating_mul(1000);
    let report = run(script, case.mode, &params, limit, &shared);
    let heard = host.borrow().heard.clone();
    (report, heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about;

    const SOURCE: &str = r#"const ABOUT = #{
        id: "test.cases", version: 1, title: "Test", does: "tests", author: "m.ruiz",
        risk: "low", consent: "none", platforms: ["linux"], permissions: #{ "pkg.clean_cache": [] },
    };
    fn detect(p) { print("one"); needed("dirty") }
    fn remediate(p, found) { pkg::clean_cache(); report::say("clean now"); report::skipped("a b"); }
    fn verify(p, found) { healthy("clean") }"#;

    fn told(expect: &str) -> Result<(), String> {
        let script = Script::compile(SOURCE).unwrap();
        let manifest = about::read(SOURCE, None).unwrap();
        let text = format!("[[case]]\nname = \"x\"\nmode = \"fix\"\n[case.expect]\n{expect}");
        let cases = read(&text).unwrap();
        check(&script, &manifest, &cases[0])
    }

    #[test]
    fn what_came_otherwise_is_told() {
        let right = "ending = \"fixed\"\nactions = [\"pkg.clean_cache\"]\n";
        assert_eq!(told(right), Ok(()));
        for (expect, says) in [
            ("ending = \"healthy\"\nactions = [\"pkg.clean_cache\"]\n".to_owned(), "ended Fixed"),
            ("ending = \"fixed\"\n".to_owned(), "actions [\"pkg.clean_cache\"], expected []"),
            (format!("{right}code = \"failed\"\n"), "code None"),
            (format!("{right}summary = [\"dirty\"]\n"), "has no `dirty`"),
            (format!("{right}say = \"dirty\"\n"), "say"),
            (format!("{right}skipped = [\"c\"]\n"), "skipped"),
            (format!("{right}notes = [\"c\"]\n"), "notes"),
            (format!("{right}printed = [\"two\"]\n"), "printed"),
            (format!("{right}lines = []\n"), "printed"),
            (format!("{right}attached = [\"log\"]\n"), "attached"),
        ] {
            let why = told(&expect).unwrap_err();
            assert!(why.contains(says), "{expect}: {why}");
        }
    }

    #[test]
    fn a_case_lies_over_its_file_and_may_take_keys_away() {
        let text = r#"
            [machine.users.jo]
            uid = 1000
            human = true
            password = "set"
            failures = 6
            [machine.packages]
            cache = 5
            [[case]]
            name = "x"
            mode = "check"
            machine = { users = { jo = { failures = "-", human = false } } }
            expect = { ending = "healthy" }
        "#;
        let machine = &read(text).unwrap()[0].machine;
        let jo = &machine.users["jo"];
        assert_eq!((jo.failures, jo.human, jo.uid, machine.packages.cache), (None, false, 1000, 5));
        assert!(read(&text.replace("cache = 5", "cash = 5")).unwrap_err().contains("cash"));
        assert!(read(&text.replace("uid = 1000", "")).unwrap_err().contains("uid"));
    }
}
