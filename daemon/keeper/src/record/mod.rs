//! Records: the endpoint's signed account of a run. Never written twice for one run.

mod build;
mod effects;
mod outcome;

pub use build::{Account, Basis, record, seal_record};
pub use effects::EffectsSummary;
pub use outcome::{End, Ending, judge};

use protocol::{Digest, Params, json};

/// SHA-256 of an order's parameters, as plans name them.
#[must_use]
pub fn parameters_digest(parameters: &Params) -> Option<Digest> {
    json::write(parameters).ok().map(|bytes| Digest::of(&bytes))
}
