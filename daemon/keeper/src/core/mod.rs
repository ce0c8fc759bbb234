//! The keeper's mind: `step(event, now) -> effects`. Never does I/O, reads no clock, makes no chance.

mod effect;
mod event;

pub use effect::{CatalogueFiles, Effect, RunPlan, SealedSecrets};
pub use event::{Child, ChildEnd, Event, Fetched, FreshSecret, Line, Stamp};
