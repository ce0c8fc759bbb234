//! What a script is: the only rhai engine, the ABOUT reader, lint, the fake host.
#![forbid(unsafe_code)]
