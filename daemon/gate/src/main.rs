//! The program `gate`: started by the keeper with two pipes, never by hand.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use gate::{Reader, Writer};
use hatch::fds;
use protocol::error_chain::ErrorChain;

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let (from, to) = (hatch::inherited(fds::FROM_KEEPER)?, hatch::inherited(fds::TO_KEEPER)?);
    // One thread: the lock covers a whole process only while it has no other.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let (keeper, answers) = (Reader::from_fd(from)?, Writer::from_fd(to)?);
        gate::run(keeper, answers).await.map_err(Into::into)
    })
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .without_time()
        .init();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("gate: {}", ErrorChain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
