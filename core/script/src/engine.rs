//! The only rhai engine. Never `Engine::new`: its defaults are unlimited and its packages hold
//! `sleep`, `exit`, `eval` and an unbounded `replace`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use protocol::limits;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LogicPackage, Package,
};
use rhai::{
    AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, ParseError, ParseErrorType, Position,
};

use crate::convert::Secret;
use crate::fault::{At, Fault};
use crate::run::SharedHost;
use crate::{modules, words};

/// Operations of one phase: seconds of work in the slowest build, far from what a repair needs.
pub(crate) const OPERATIONS_MAX: u64 = 5_000_000;
/// Calls within calls: with the expression depth below, the deepest legal script fits 16 MiB.
pub(crate) const CALLS_MAX: usize = 32;
/// Depth of an expression at top level and in a function.
pub(crate) const DEPTH_MAX: (usize, usize) = (48, 32);
/// Longest text, and all texts in one list or map together, bytes: the files of one find.
pub(crate) const TEXT_MAX: usize = limits::PEER_BYTES_MAX;
/// Most entries of a list, all that is nested counted: the files of one find, twice.
pub(crate) const LIST_MAX: usize = 2 * limits::FILES_MAX;
/// Most entries of a map, all that is nested counted: the files of one find with four facts each.
pub(crate) const MAP_MAX: usize = 8 * limits::FILES_MAX;
/// Variables at once.
pub(crate) const VARIABLES_MAX: usize = 500;
/// Functions of a script.
pub(crate) const FUNCTIONS_MAX: usize = 200;
/// Operations between two looks at the clock.
const CLOCK_EVERY: u64 = 256;

/// What one run needs while a phase is on; empty while a script is only read.
#[derive(Clone)]
pub(crate) struct Session {
    /// Who answers.
    pub(crate) host: SharedHost,
    /// The deadline, milliseconds on the host's clock.
    pub(crate) limit_ms: u64,
}

impl Session {
    /// Whether the deadline has passed.
    pub(crate) fn over(&self) -> bool {
        self.host.try_borrow_mut().is_ok_and(|mut host| host.elapsed_ms() > self.limit_ms)
    }
}

/// Where the engine's functions find the run they work for.
pub(crate) type Slot = Rc<RefCell<Option<Session>>>;

/// A compiled script with its own engine.
pub struct Script {
    pub(crate) engine: Engine,
    pub(crate) ast: AST,
    pub(crate) slot: Slot,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

/// An engine that no script has used yet. Making one takes as long as reading a short script, and
/// can be done before the script is there.
pub struct Reader {
    engine: Engine,
    slot: Slot,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Default for Reader {
    fn default() -> Self {
        let slot = Slot::default();
        Self { engine: engine(&slot), slot }
    }
}

impl Reader {
    /// Parses a script; runs nothing of it.
    ///
    /// # Errors
    /// A fault of rule `source-size` or `parse`.
    pub fn compile(self, source: &str) -> Result<Script, Fault> {
        if source.len() > limits::SCRIPT_BYTES_MAX {
            let why = format!(
                "{} bytes; a script has at most {}",
                source.len(),
                limits::SCRIPT_BYTES_MAX
            );
            return Err(Fault::file("source-size", why));
        }
        let Self { engine, slot } = self;
        let ast = engine.compile(source).map_err(|error| parse_fault(source, &error))?;
        Ok(Script { engine, ast, slot })
    }
}

impl Script {
    /// Parses a script with an engine of its own; runs nothing of it.
    ///
    /// # Errors
    /// As [`Reader::compile`].
    pub fn compile(source: &str) -> Result<Self, Fault> {
        Reader::default().compile(source)
    }
}

fn parse_fault(source: &str, error: &ParseError) -> Fault {
    let at = place(error.position());
    let fault = Fault::at(source, "parse", at, error.err_type().to_string());
    let ParseErrorType::ModuleUndefined(name) = error.err_type() else { return fault };
    let areas = surface::REGISTRY.iter().filter_map(|row| row.name.split('.').next());
    match crate::lint::nearest(name, areas) {
        Some(near) => fault.hint(near),
        None => fault,
    }
}

/// rhai's position as ours.
pub(crate) fn place(position: Position) -> At {
    let number = |n: Option<usize>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    At { line: number(position.line()), column: number(position.position()) }
}

/// Code and sentence of an end that no script can catch.
pub(crate) fn token(code: &str, message: &str) -> Dynamic {
    let pair = [("code", code), ("message", message)];
    Dynamic::from_map(pair.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
}

/// The end of a run whose time is over.
pub(crate) fn time_is_over(position: Position) -> Box<EvalAltResult> {
    let token = token("limit_time", "the run's time is over");
    Box::new(EvalAltResult::ErrorTerminated(token, position))
}

fn engine(slot: &Slot) -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_operations(OPERATIONS_MAX);
    engine.set_max_call_levels(CALLS_MAX);
    engine.set_max_expr_depths(DEPTH_MAX.0, DEPTH_MAX.1);
    engine.set_max_string_size(TEXT_MAX);
    engine.set_max_array_size(LIST_MAX);
    engine.set_max_map_size(MAP_MAX);
    engine.set_max_variables(VARIABLES_MAX);
    engine.set_max_functions(FUNCTIONS_MAX);
    engine.set_max_modules(0);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_allow_shadowing(true);
    for word in ["eval", "Fn", "call_fn", "import", "export", "curry", "is_def_fn", "is_def_var"] {
        engine.disable_symbol(word);
    }
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicFnPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    engine.register_type_with_name::<Secret>("Secret");
    words::register(&mut engine);
    modules::register(&mut engine, slot);
    speak(&mut engine, slot);
    engine
}

/// What the script prints goes to the host; the clock is looked at now and then.
fn speak(engine: &mut Engine, slot: &Slot) {
    let printed = |slot: &Slot| {
        let slot = Rc::clone(slot);
        move |text: &str| {
            let session = slot.borrow().clone();
            if let Some(session) = session
                && let Ok(mut host) = session.host.try_borrow_mut()
            {
                host.print(text);
            }
        }
    };
    engine.on_print(printed(slot));
    let debug = printed(slot);
    engine.on_debug(move |text, _, _| debug(text));
    let slot = Rc::clone(slot);
    engine.on_progress(move |operations| {
        if operations % CLOCK_EVERY != 0 || !slot.borrow().as_ref().is_some_and(Session::over) {
            return None;
        }
        Some(token("limit_time", "the run's time is over"))
    });
}
