//! What a script is: the only rhai engine, the ABOUT reader, lint, the run, the fake host.
//!
//! Never touches a machine: calls go to a [`ScriptHost`], which is the executor's line in the
//! interpreter and the fake host in tests. Reading `ABOUT` and linting run no line of a script.
#![forbid(unsafe_code)]

pub mod about;
pub mod api;
pub mod cases;
mod convert;
mod engine;
pub mod fake;
mod fault;
mod lex;
pub mod lint;
mod modules;
mod run;
mod words;

pub use engine::{Reader, Script};
pub use fault::{Fault, Finding, ScriptFault, faults_text};
pub use run::{Ending, RunReport, ScriptHost, SharedHost, run};
