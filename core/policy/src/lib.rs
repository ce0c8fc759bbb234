//! May it: rules, facts, `decide`. The only place where a permit can be made; deny by default.
//!
//! Never opens a seal and reads no clock: whoever asks has established the facts.
#![forbid(unsafe_code)]

mod decide;
mod file;
mod hours;
mod initial;
mod parameters;
mod permit;
mod policy;
mod read;
mod semantics;
mod session;

pub use decide::{
    BREAK_GLASS, Decision, Facts, Forecast, Glass, Misfit, decide, deciding, explain, forecast,
};
pub use file::{
    Bound, Cas, ConsentRule, Denied, Enroller, GlassKey, Person, PolicyFile, PolicyLimits, Profile,
    Rule,
};
pub use hours::{BadHours, Hours};
pub use initial::Initial;
pub use parameters::{check_parameters, fill_permissions};
pub use permit::Permit;
pub use policy::{Policy, script_fits};
pub use read::Fault;
pub use session::check_session_life;
