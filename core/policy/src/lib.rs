//! May it: rules, facts, decide. The only place where a Permit can be made.
#![forbid(unsafe_code)]
