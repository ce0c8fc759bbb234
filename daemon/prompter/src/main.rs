//! The program `prompter`. Never started by hand: the keeper gives it its descriptors.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    prompter::main()
}
