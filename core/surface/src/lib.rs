//! What a script may ask of a machine: one registry row per host function. Data, no rhai.
//!
//! From a row come the executor's check, the lint, the permission diff and the documentation.
//! Never touches the machine: the executor and the fake host implement [`Host`].
#![forbid(unsafe_code)]

mod registry;
mod row;
mod value;
pub mod words;

pub use registry::{REGISTRY, find};
pub use row::{Class, Kind, Noun, PlanKey, Row, Spec, Ty, Undo, classes_of, least_risk};
pub use value::{Call, Host, HostError, Value};
