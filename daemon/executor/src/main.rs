//! The program `executor`: started by the keeper only, with its pipes in place. No arguments.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    executor::main()
}
