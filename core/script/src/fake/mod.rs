//! A machine that is only described: for a script's cases and for `salve scripts test`. Holds the
//! same rules as the executor: permissions, nouns, no action outside `remediate`, none in a plan.

mod answers;
mod machine;
mod paths;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use protocol::frames::Phase;
use protocol::{Manifest, Mode};
use surface::{Call, Host, HostError, Kind, Noun, Row, Value};

pub use machine::{
    Backup, Boots, Certificate, Clock, Disk, File, HostInfo, Machine, Memory, Packages, Pressure,
    Process, Reboot, Service, Trouble, Updates, User,
};

use crate::fault::Finding;
use crate::run::ScriptHost;

/// What a script did and said, as cases look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Actions in order, as in `service.restart cups.service`; planned ones in mode plan.
    pub actions: Vec<String>,
    /// `report.note`.
    pub notes: Vec<String>,
    /// `report.skipped`.
    pub skipped: Vec<String>,
    /// The last `report.say`.
    pub say: Option<String>,
    /// `report.facts`, as its JSON reads.
    pub facts: Option<String>,
    /// Names of what was attached.
    pub attached: Vec<String>,
    /// What was printed.
    pub printed: Vec<String>,
    /// All queries and actions in order.
    pub calls: Vec<String>,
}

/// A described machine that answers a script.
#[derive(Debug)]
pub struct FakeHost {
    machine: Machine,
    grants: BTreeMap<String, Vec<String>>,
    mode: Mode,
    phase: Phase,
    clock: Cell<u64>,
    secrets: u32,
    given: BTreeSet<String>,
    planned: BTreeSet<String>,
    /// What was done and said.
    pub heard: Heard,
}

impl FakeHost {
    /// A machine for one run; nouns like `{unit}` are filled from the parameters.
    #[must_use]
    pub fn new(
        machine: Machine,
        manifest: &Manifest,
        params: &BTreeMap<String, Value>,
        mode: Mode,
    ) -> Self {
        let fill = |noun: &String| {
            params.iter().fold(noun.clone(), |noun, (name, value)| {
                let text = value.as_text().unwrap_or_default();
                noun.replace(&format!("{{{name}}}"), text)
            })
        };
        let grants = manifest.permissions.iter();
        let grants = grants.map(|(name, nouns)| (name.clone(), nouns.iter().map(fill).collect()));
        Self {
            machine,
            grants: grants.collect(),
            mode,
            phase: Phase::Detect,
            clock: Cell::new(0),
            secrets: 0,
            given: BTreeSet::new(),
            planned: BTreeSet::new(),
            heard: Heard::default(),
        }
    }

    fn permitted(&self, row: &Row, call: &Call) -> Result<(), HostError> {
        if row.kind == Kind::Action && self.phase != Phase::Remediate {
            return Err(error(row, "not_now", "actions work in remediate only"));
        }
        if !row.needs_permission() {
            return Ok(());
        }
        let Some(nouns) = self.grants.get(row.name) else {
            return Err(error(row, "not_permitted", "ABOUT does not declare it"));
        };
        let Some(noun) = row.noun_arg.and_then(|index| call.args.get(index)) else {
            return Ok(());
        };
        let ok = match (row.noun, noun) {
            (Noun::Paths, Value::Text(pattern)) => nouns.contains(pattern),
            (Noun::Paths, Value::List(files)) => files.iter().all(|file| {
                let path = file.get("path").and_then(Value::as_text).or_else(|| file.as_text());
                path.is_some_and(|path| nouns.iter().any(|noun| paths::matches(noun, path)))
            }),
            (Noun::Accounts, Value::Text(name)) => {
                if !self.machine.users.get(name).is_some_and(|user| user.human) {
                    return Err(error(row, "not_human", "not a person's account"));
                }
                nouns.contains(name) || nouns.iter().any(|noun| noun == "humans")
            }
            (_, Value::Text(name)) => nouns.contains(name),
            _ => false,
        };
        if ok { Ok(()) } else { Err(error(row, "not_permitted", "ABOUT permits other nouns")) }
    }
}

fn error(row: &Row, code: &str, message: &str) -> HostError {
    let (function, code) = (row.name.to_owned(), code.to_owned());
    HostError { function, code, message: message.to_owned(), fatal: false }
}

impl Host for FakeHost {
    fn call(&mut self, call: &Call) -> Result<Value, HostError> {
        let Some(row) = surface::find(&call.function) else {
            let (function, code) = (call.function.clone(), "bad_argument".to_owned());
            let message = "there is no such host function".to_owned();
            return Err(HostError { function, code, message, fatal: true });
        };
        self.permitted(row, call)?;
        if row.kind != Kind::Report {
            self.heard.calls.push(call.function.clone());
        }
        if let Some(trouble) = self.machine.errors.get(row.name) {
            let mut error = error(row, &trouble.code, &trouble.message);
            error.fatal = trouble.fatal;
            return Err(error);
        }
        self.answer(row, &call.args)
    }
}

impl ScriptHost for FakeHost {
    fn phase(&mut self, phase: Phase) {
        self.phase = phase;
    }
    fn found(&mut self, _: &Finding) {}
    fn print(&mut self, text: &str) {
        self.heard.printed.push(text.to_owned());
    }
    /// A millisecond for each look, so that waiting costs no time and loops still end.
    fn elapsed_ms(&mut self) -> u64 {
        self.clock.set(self.clock.get().saturating_add(1));
        self.clock.get()
    }
}
