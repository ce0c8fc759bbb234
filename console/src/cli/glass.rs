//! Breaking glass: its keys made, listed and taken; one used with a fix; another person's look at it
//! afterwards.

use std::path::{Path, PathBuf};

use ::policy::GlassKey;
use desk::approvals::Approved;
use desk::glass::{self, GlassError, GlassRow, InHand};
use desk::org::Desk;
use desk::runs::Wish;
use protocol::{AgentName, Digest, Label, PublicKey, Time};
use serde::Serialize;

use crate::cli::signers::Signers;
use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::safe;

#[derive(Debug, Serialize)]
struct Made<'a> {
    name: &'a Label,
    key: PublicKey,
    file: PathBuf,
}

/// Makes a key, to be carried away.
///
/// # Errors
/// What the command says.
pub fn make(ctx: &Ctx, name: &Label, to: Option<PathBuf>) -> Result<Exit, Failure> {
    let file = to.unwrap_or_else(|| PathBuf::from(format!("{name}.pem")));
    let what = format!("New passphrase of the break-glass key {name}");
    let passphrase = ctx.new_passphrase_of(&format!("the key {name}"), &what)?;
    let key = glass::make(&file, &passphrase)?;
    ctx.show(&Made { name, key, file }, |made| {
        let file = safe(&made.file.to_string_lossy());
        format!(
            "Made the break-glass key {name} in {file}; nothing counts it yet.   {key}\n  \
             Next     carry the file away, its passphrase on another way; whoever has both can do \
             alone what takes others\n           \
             list it:  salve keys give break-glass {name} --key {key} --as NAME\n           \
             say where it may be used:  break_glass = true in rules of the policy"
        )
    })?;
    Ok(Exit::Fine)
}

/// A name that was typed where people stand too.
fn label(name: &AgentName) -> Result<Label, Failure> {
    name.as_str()
        .parse()
        .map_err(|error| Failure::usage(format!("`{name}` is no name of a key")).because(error))
}

#[derive(Debug, Serialize)]
struct Listed {
    name: Label,
    listed: bool,
}

/// Lists a key in the policy.
///
/// # Errors
/// What the command says.
pub fn give(
    ctx: &Ctx,
    desk: &Desk,
    (name, key, valid_until): (&AgentName, Option<PublicKey>, Option<Time>),
    signers: &Signers,
) -> Result<Exit, Failure> {
    let name = label(name)?;
    let key = key.ok_or_else(|| {
        Failure::usage("which key? No file of it is kept here")
            .next(format!("salve keys make break-glass {name}   printed it:  --key KEY"))
    })?;
    let admins = signers.admins(ctx, desk)?;
    glass::give(desk, &GlassKey { name: name.clone(), key, valid_until }, &admins, ctx.now())?;
    ctx.show(&Listed { name, listed: true }, |view| {
        format!(
            "The policy lists {}; endpoints take it with the next order or hello. It stands in for \
             approvals where a rule says break_glass = true:  salve policy show",
            view.name
        )
    })?;
    Ok(Exit::Fine)
}

/// Takes a key from the policy; it counts for nothing any more.
///
/// # Errors
/// What the command says.
pub fn take(ctx: &Ctx, desk: &Desk, name: &AgentName, signers: &Signers) -> Result<Exit, Failure> {
    let name = label(name)?;
    glass::take(desk, &name, &signers.admins(ctx, desk)?, ctx.now())?;
    ctx.show(&Listed { name, listed: false }, |view| {
        format!("The policy denies {}; endpoints take it with the next order or hello.", view.name)
    })?;
    Ok(Exit::Fine)
}

/// Opens the key that is to stand in for others.
///
/// # Errors
/// What the command says.
pub fn open(ctx: &Ctx, work: &Work, file: &Path) -> Result<InHand, Failure> {
    let passphrase =
        ctx.passphrase_of(&"the break-glass key", "Passphrase of the break-glass key")?;
    Ok(glass::open(&work.agent, file, &passphrase, ctx.now())?)
}

/// The order under both keys.
///
/// # Errors
/// What the command says.
pub fn broken(ctx: &Ctx, work: &Work, fix: &Wish, key: &InHand) -> Result<Approved, Failure> {
    Ok(glass::broken(&work.agent, fix, key, ctx.now())?)
}

/// What whoever broke glass is told.
#[must_use]
pub fn loud(order: &Digest) -> String {
    format!(
        "GLASS WAS BROKEN: the record, the ticket, that machine's journal and everybody's salve \
         status say so, until another person has looked at it:  salve orders reviewed {}",
        order.short()
    )
}

/// Somebody has looked.
///
/// # Errors
/// What the command says.
pub fn reviewed(ctx: &Ctx, typed: &str) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let row = glass::review(&desk, typed, ctx.now())?;
    ctx.show(&row, |row: &GlassRow| {
        let ticket = row.ticket.as_ref().map(|t| format!(" for ticket {t}")).unwrap_or_default();
        format!(
            "You have looked at order {}: {} broke glass with key {} for {}{ticket}, {}.",
            row.order.short(),
            row.agent,
            safe(&row.key),
            row.script,
            row.created
        )
    })?;
    Ok(Exit::Fine)
}

impl From<GlassError> for Failure {
    fn from(error: GlassError) -> Self {
        match error {
            GlassError::Key(error) => error.into(),
            GlassError::File(error) => error.into(),
            GlassError::Catalogue(trouble) => (*trouble).into(),
            GlassError::Book(error) => error.into(),
            GlassError::There(_) => first(Exit::Usage, error).next("name a new file:  --to FILE"),
            GlassError::NoKey(_) | GlassError::Taken(_) | GlassError::Nothing => {
                first(Exit::Usage, error).next("salve policy show   lists them")
            }
            GlassError::NotListed(_) => first(Exit::Refused, error).next(
                "salve policy show   lists them; an administrator:  salve keys give break-glass",
            ),
            GlassError::NoOrder { .. } | GlassError::Several { .. } => first(Exit::Usage, error)
                .next("salve status   lists those that nobody has reviewed"),
            GlassError::Own => first(Exit::Refused, error).next("have a colleague look at it"),
            GlassError::Reviewed => {
                first(Exit::Usage, error).next("salve audit list   says by whom")
            }
            GlassError::NoPlan
            | GlassError::Chance(_)
            | GlassError::Run(_)
            | GlassError::Seal(_) => first(Exit::Broken, error).next("run the command again"),
        }
    }
}
