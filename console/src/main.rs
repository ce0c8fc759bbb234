//! The `salve` command.
#![forbid(unsafe_code)]
fn main() {}
