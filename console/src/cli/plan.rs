//! `salve plan`: what would a fix do there? Made on the endpoint, changes nothing.

use protocol::Mode;

use crate::cli::check::{LookArgs, look};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// Plans.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: LookArgs) -> Result<Exit, Failure> {
    look(ctx, &args, Mode::Plan).await
}
