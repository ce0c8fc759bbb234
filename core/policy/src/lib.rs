//! May it: rules, facts, `decide`. The only place where a permit can be made; deny by default.
#![forbid(unsafe_code)]

mod permit;

pub use permit::Permit;
