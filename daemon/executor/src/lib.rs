//! One per run: the real host functions, only this manifest's rights, no rhai.
//!
//! Joins the run's cgroup, reads what the keeper grants, opens what that needs, locks itself, and
//! answers an interpreter that it does not trust. Never takes a path, a number or an identity from
//! a script without checking it against the registry, the grants, the phase and the plan.
#![deny(unsafe_code)]

mod book;
mod boots;
mod certificates;
mod clock;
mod effects;
mod fail;
mod files;
mod glob;
mod guard;
mod host;
mod link;
mod overlay;
mod people;
mod pipes;
mod pkg;
mod proc;
mod process;
mod profile;
mod report;
mod root;
mod run;
mod secrets;
mod serve;
mod service;
mod sessions;
mod start;
mod sys;
#[cfg(test)]
mod testing;
mod user;

pub use start::main;
