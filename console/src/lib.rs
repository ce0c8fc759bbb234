//! The salve command line: cli, view, exit codes.
#![forbid(unsafe_code)]
