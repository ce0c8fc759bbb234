//! Judging what others hand over: who ordered, which machine answered, what it says it did.
//!
//! Never asks the network, a store or a clock, never believes a paper because of where it lies, never
//! stops at the first fault: the report says what is good as well.
#![forbid(unsafe_code)]

mod anchors;
mod bundle;
mod checks;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod heads;
mod judge;
mod met;
mod papers;
mod report;
#[cfg(test)]
mod tests;
mod text;
#[cfg(any(test, feature = "fixture"))]
pub mod world;

pub use anchors::{Anchors, Judged, KnownAgent, KnownEnroller};
pub use bundle::{BadBundle, Bundle, Opened, RunPapers};
pub use checks::{verify_record, verify_run};
pub use heads::{BadHead, HeadPapers};
pub use judge::{Judgement, RunJudgement, Said, judge};
pub use met::{Met, Stranger, recognise};
pub use papers::{Papers, names_secret, peek_record};
pub use report::{About, Line, Report, Standing};
pub use text::safe;

/// The version of a root's file, if it is one; says nothing about who signed it.
#[must_use]
pub fn root_version(root: &[u8]) -> Option<u64> {
    trust::catalogue::Catalogue::root_version(root)
}
