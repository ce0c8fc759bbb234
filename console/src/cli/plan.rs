//! `salve plan`: what would a fix do there? Made on the endpoint, changes nothing.

use protocol::Mode;

use crate::cli::check::look;
use crate::cli::look::Named;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// Plans.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, named: Named) -> Result<Exit, Failure> {
    look(ctx, &named, Mode::Plan).await
}
