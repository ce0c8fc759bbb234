//! `salve status`: what needs a person, what ends when, which key lies where.

use clap::Args;
use desk::inventory::{StatusError, status};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::status::page;

/// What needs a person, what ends when, which key lies where
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// Looks.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, _: StatusArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    super::tickets::catch_up(ctx, &desk);
    let now = ctx.now();
    let state = status(&desk, now)?;
    ctx.show(&state, |state| page(state, now))?;
    Ok(if state.needs_person.is_empty() { Exit::Fine } else { Exit::NeedsPerson })
}

impl From<StatusError> for Failure {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Catalogue(trouble) => trouble.into(),
            StatusError::Store(error) => error.into(),
            StatusError::Heads(error) => error.into(),
        }
    }
}
