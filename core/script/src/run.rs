//! Runs a script's phases as the mode says. Never decides an outcome for the record: it reports
//! what was found and why it did not go on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::Mode;
use protocol::frames::Phase;
use rhai::{CallFnOptions, Dynamic, EvalAltResult, Map, Position, Scope};
use surface::{Host, Value};

use crate::convert::to_dynamic;
use crate::engine::{Script, Session, place};
use crate::fault::{Finding, ScriptFault, phase_word};
use crate::words::line;

/// Longest message of a fault, characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Answers calls and hears how a run goes.
pub trait ScriptHost: Host {
    /// A phase begins.
    fn phase(&mut self, phase: Phase);
    /// A phase's finding.
    fn found(&mut self, finding: &Finding);
    /// The script printed.
    fn print(&mut self, text: &str);
    /// Milliseconds since the run began. Asked every few hundred operations: a host that holds
    /// something back may let it go here.
    fn elapsed_ms(&mut self) -> u64;
}

/// A host that the engine's functions share with the caller for the length of a run.
pub type SharedHost = Rc<RefCell<dyn ScriptHost>>;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunReport {
    /// Findings of the phases that ran, in order.
    pub findings: Vec<Finding>,
    /// Why it did not go on.
    pub fault: Option<ScriptFault>,
}

/// How a run looks from the script's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing to do.
    Healthy,
    /// Check and plan: there is something to do.
    Needed,
    /// Fix: verify agrees.
    Fixed,
    /// Fix: verify does not agree.
    NotRepaired,
    /// A fault.
    Failed,
}

impl RunReport {
    /// How it ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        if self.fault.is_some() {
            return Ending::Failed;
        }
        match (self.findings.first(), self.findings.get(1)) {
            (_, Some(verify)) if verify.needed => Ending::NotRepaired,
            (_, Some(_)) => Ending::Fixed,
            (Some(detect), None) if detect.needed => Ending::Needed,
            (_, None) => Ending::Healthy,
        }
    }
    /// The last finding's sentence, or the fault's.
    #[must_use]
    pub fn summary(&self) -> &str {
        let found = self.findings.last().map_or("", |finding| finding.summary.as_str());
        self.fault.as_ref().map_or(found, |fault| fault.message.as_str())
    }
}

/// Calls `detect`, and as the mode says and the finding needs, `remediate` and `verify`.
pub fn run(
    script: &Script,
    mode: Mode,
    params: &BTreeMap<String, Value>,
    limit_ms: u64,
    host: &SharedHost,
) -> RunReport {
    *script.slot.borrow_mut() = Some(Session { host: Rc::clone(host), limit_ms });
    let mut report = RunReport::default();
    let mut run = Run { script, host, params, report: &mut report };
    let ended = run.phases(mode);
    report.fault = ended.err();
    *script.slot.borrow_mut() = None;
    report
}

struct Run<'a> {
    script: &'a Script,
    host: &'a SharedHost,
    params: &'a BTreeMap<String, Value>,
    report: &'a mut RunReport,
}

impl Run<'_> {
    fn phases(&mut self, mode: Mode) -> Result<(), ScriptFault> {
        if mode == Mode::Undo {
            let message = "a script is not run to undo; its journal is".to_owned();
            let code = "mode_unsupported".to_owned();
            return Err(ScriptFault { phase: Phase::Detect, code, message, line: 0 });
        }
        let found = self.looked(Phase::Detect, None)?;
        if mode == Mode::Check || !self.report.findings.last().is_some_and(|f| f.needed) {
            return Ok(());
        }
        // What remediate gives back means nothing: verify looks for itself.
        match self.call(Phase::Remediate, Some(&found)) {
            // From here it depends on what only the action could tell; the plan says so itself.
            Err(stop)
                if mode == Mode::Plan && stop.final_word && stop.fault.code == "unknowable" =>
            {
                return Ok(());
            }
            ended => drop(ended.map_err(|stop| stop.fault)?),
        }
        if mode == Mode::Fix {
            self.looked(Phase::Verify, Some(&found))?;
        }
        Ok(())
    }

    /// A phase that ends in a finding.
    fn looked(&mut self, phase: Phase, found: Option<&Map>) -> Result<Map, ScriptFault> {
        let value = self.call(phase, found).map_err(|stop| stop.fault)?;
        let wrong = || ScriptFault {
            phase,
            code: "no_finding".to_owned(),
            message: format!("{} must end in needed(...) or healthy(...)", phase_word(phase)),
            line: 0,
        };
        let map: Map = value.try_cast().ok_or_else(wrong)?;
        let needed = map.get("needed").and_then(|v| v.as_bool().ok()).ok_or_else(wrong)?;
        let summary = map.get("summary").and_then(|v| v.clone().into_string().ok());
        let summary = summary.ok_or_else(wrong)?;
        let finding = Finding { phase, needed, summary };
        self.host.borrow_mut().found(&finding);
        self.report.findings.push(finding);
        Ok(map)
    }

    fn call(&mut self, phase: Phase, found: Option<&Map>) -> Result<Dynamic, Stop> {
        self.host.borrow_mut().phase(phase);
        let params = self.params.iter().map(|(k, v)| (k.as_str().into(), to_dynamic(v.clone())));
        let mut args = vec![Dynamic::from_map(params.collect())];
        args.extend(found.cloned().map(Dynamic::from_map));
        // The top level holds literal constants only (lint), so evaluating it calls nothing.
        let options = CallFnOptions::new().eval_ast(true).rewind_scope(true);
        let mut scope = Scope::new();
        let (engine, ast) = (&self.script.engine, &self.script.ast);
        engine
            .call_fn_with_options(options, &mut scope, ast, phase_word(phase), args)
            .map_err(|error| stop(phase, *error))
    }
}

/// Why a phase stopped.
struct Stop {
    fault: ScriptFault,
    /// The host ended it; a script cannot.
    final_word: bool,
}

fn stop(phase: Phase, error: EvalAltResult) -> Stop {
    let (error, position) = innermost(error, Position::NONE);
    let (code, message) = reason(&error);
    let message = line(&message, MESSAGE_CHARS_MAX);
    let fault = ScriptFault { phase, code, message, line: place(position).line };
    Stop { fault, final_word: matches!(error, EvalAltResult::ErrorTerminated(..)) }
}

/// The error that began it, and the deepest position that is known.
fn innermost(error: EvalAltResult, outer: Position) -> (EvalAltResult, Position) {
    let at = error.position();
    let at = if at.is_none() { outer } else { at };
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
        | EvalAltResult::ErrorInModule(_, inner, _) => innermost(*inner, at),
        other => (other, at),
    }
}

fn reason(error: &EvalAltResult) -> (String, String) {
    use EvalAltResult as E;
    let fixed = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    match error {
        E::ErrorRuntime(value, _) | E::ErrorTerminated(value, _) => thrown(value),
        E::ErrorTooManyOperations(_) => fixed("limit_operations", "too many operations"),
        E::ErrorStackOverflow(_) => fixed("limit_calls", "too many calls within calls"),
        E::ErrorDataTooLarge(what, _) => fixed("limit_size", &format!("too big: {what}")),
        E::ErrorTooManyVariables(_) => fixed("limit_variables", "too many variables"),
        E::ErrorTooManyModules(_) => fixed("limit_modules", "scripts have no modules"),
        E::ErrorArithmetic(why, _) => fixed("arithmetic", why),
        other => {
            let mut plain = other.to_string();
            if let Some(cut) = plain.find(" (line ") {
                plain.truncate(cut);
            }
            fixed("script", &plain)
        }
    }
}

/// What a script or a host threw: a map with code and message, or anything else as text.
fn thrown(value: &Dynamic) -> (String, String) {
    let text = |map: &Map, key: &str| map.get(key).and_then(|v| v.clone().into_string().ok());
    if let Some(map) = value.read_lock::<Map>() {
        let code = text(&map, "code").filter(|code| is_code(code));
        let message = text(&map, "message").unwrap_or_default();
        return (code.unwrap_or_else(|| "script".to_owned()), message);
    }
    ("script".to_owned(), value.to_string())
}

/// Codes are stable words: small letters, digits, `_`.
fn is_code(text: &str) -> bool {
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    !text.is_empty() && text.len() <= 40 && text.bytes().all(ok)
}
