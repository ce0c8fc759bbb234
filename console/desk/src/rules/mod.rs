//! The policy as people change it: a draft held against what is in force, and cases that say what it
//! should decide. Decides nothing itself: that is `policy::decide`, the same code as on an endpoint.

mod cases;
mod changes;
mod draft;

pub use cases::{BadCases, Case, CaseResult, read_cases, try_cases};
pub use changes::{Change, changes};
pub use draft::{Draft, DraftError, draft, editable, publish};

#[cfg(test)]
mod tests;
