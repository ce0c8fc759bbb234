//! Breaking glass: a key from a safe in the place of people who cannot be asked. Made once and carried
//! away, listed by a signed policy, used with an order of somebody's own, and seen by another person
//! afterwards.
//!
//! Nothing here decides: the endpoint checks both keys and its own policy's rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use policy::GlassKey;
use protocol::documents::BreakGlass;
use protocol::{Digest, Label, PublicKey, Time};
pub use store::GlassRow;
use trust::seal::SealError;
use trust::{Signer as _, SigningKey};

use crate::approvals::Approved;
use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::chance::{NoChance, fresh};
use crate::home::{self, FileError, Home, HomeError, is_there};
use crate::org::Desk;
use crate::runs::{RunError, Wish, order};
use crate::session::Agent;

/// Why glass was not broken, or its key not made or listed.
#[derive(Debug, thiserror::Error)]
pub enum GlassError {
    /// A file of that name is there; it may be the only copy of a key.
    #[error("`{}` is there already", .0.display())]
    There(PathBuf),
    /// The policy lists no such key.
    #[error("the policy lists no break-glass key `{0}`")]
    NoKey(Label),
    /// The policy does not list it, or no more.
    #[error("the policy lists no break-glass key {0} that counts now")]
    NotListed(PublicKey),
    /// The name is taken by another key.
    #[error("the policy lists another break-glass key `{0}`")]
    Taken(Label),
    /// It is as asked for already.
    #[error("it is so already")]
    Nothing,
    /// There is no plan to bind it to.
    #[error("breaking glass needs the plan that was shown")]
    NoPlan,
    /// No order of that name broke glass.
    #[error("no order `{typed}` broke glass")]
    NoOrder {
        /// As typed.
        typed: String,
    },
    /// Several did.
    #[error("`{typed}` fits {} orders that broke glass", orders.len())]
    Several {
        /// As typed.
        typed: String,
        /// Their short names.
        orders: Vec<String>,
    },
    /// One's own.
    #[error("nobody reviews their own order")]
    Own,
    /// Somebody has looked at it.
    #[error("it was reviewed before")]
    Reviewed,
    /// The key's file.
    #[error(transparent)]
    Key(#[from] HomeError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] Box<CatalogueTrouble>),
    /// The order could not be made.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    /// The paper could not be sealed.
    #[error("could not seal the paper")]
    Seal(#[from] SealError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<CatalogueTrouble> for GlassError {
    fn from(trouble: CatalogueTrouble) -> Self {
        Self::Catalogue(Box::new(trouble))
    }
}

/// A break-glass key out of its safe.
#[derive(Debug)]
pub struct InHand {
    /// Its name in the policy.
    pub name: Label,
    key: SigningKey,
}

/// Makes a key under a passphrase in a new file, to be carried away. Nothing counts it yet.
///
/// # Errors
/// [`GlassError::There`], or the file.
pub fn make(path: &Path, passphrase: &str) -> Result<PublicKey, GlassError> {
    if is_there(path) {
        return Err(GlassError::There(path.to_owned()));
    }
    let key = SigningKey::from_seed(fresh()?);
    let pem = key
        .to_encrypted_pem(passphrase.as_bytes(), fresh()?, fresh()?)
        .map_err(|source| HomeError::Key { path: path.to_owned(), source })?;
    home::write_secret(path, pem.as_bytes())?;
    Ok(key.public_key())
}

/// Lists a key in the policy; administrators sign.
///
/// # Errors
/// [`GlassError`]; nothing has changed then.
pub fn give(
    desk: &Desk,
    new: &GlassKey,
    admins: &[SigningKey],
    now: Time,
) -> Result<(), GlassError> {
    let file = catalogue::policy(&desk.home, now)?.file().clone();
    match file.break_glass.iter().find(|listed| listed.name == new.name) {
        Some(listed) if listed == new => return Err(GlassError::Nothing),
        Some(listed) if listed.key != new.key => return Err(GlassError::Taken(new.name.clone())),
        _ => {}
    }
    change(desk, admins, now, |keys, _| {
        keys.retain(|listed| listed.name != new.name);
        keys.push(new.clone());
    })
}

/// Takes a key from the policy and denies it; administrators sign.
///
/// # Errors
/// [`GlassError`]; nothing has changed then.
pub fn take(desk: &Desk, name: &Label, admins: &[SigningKey], now: Time) -> Result<(), GlassError> {
    let file = catalogue::policy(&desk.home, now)?.file().clone();
    let listed = file.break_glass.iter().find(|listed| listed.name == *name);
    let gone = listed.ok_or_else(|| GlassError::NoKey(name.clone()))?.key;
    change(desk, admins, now, |keys, denied| {
        keys.retain(|listed| listed.name != *name);
        if !denied.keys.contains(&gone) {
            denied.keys.push(gone);
            denied.since.insert(gone.to_string(), now);
        }
    })
}

fn change(
    desk: &Desk,
    admins: &[SigningKey],
    now: Time,
    change: impl FnOnce(&mut Vec<GlassKey>, &mut policy::Denied),
) -> Result<(), GlassError> {
    Ok(catalogue::change(desk, now, |home| {
        let mut file = catalogue::policy(home, now)?.file().clone();
        change(&mut file.break_glass, &mut file.denied);
        catalogue::publish_policy(home, &catalogue::policy_text(&file)?, admins, now)
    })?)
}

/// Opens a key's file and finds it in the policy.
///
/// # Errors
/// [`GlassError::NotListed`], or the file and its passphrase.
pub fn open(agent: &Agent, path: &Path, passphrase: &str, now: Time) -> Result<InHand, GlassError> {
    let key = Home::open_held_key(path, passphrase)?;
    let public = key.public_key();
    let mut listed = agent.policy.file().break_glass.iter().map(|listed| &listed.name);
    let counts = |name: &&Label| {
        agent.policy.glass_key(name, now).is_some_and(|listed| listed.key == public)
    };
    let name = listed.find(counts).ok_or(GlassError::NotListed(public))?.clone();
    Ok(InHand { name, key })
}

/// The order that breaks glass, sealed by its agent, with the paper that the key in hand signs: over
/// this order and the plan that was shown, as long as the order lives.
///
/// # Errors
/// [`GlassError`]; nothing was sent.
pub fn broken(
    agent: &Agent,
    wish: &Wish,
    glass: &InHand,
    now: Time,
) -> Result<Approved, GlassError> {
    let wish = Wish { break_glass: Some(glass.name.clone()), approved: None, ..wish.clone() };
    let plan = wish.plan.ok_or(GlassError::NoPlan)?;
    let (order, sealed, _) = order(agent, &wish, now).map_err(Box::new)?;
    let paper = BreakGlass {
        order: sealed.digest(),
        plan,
        key: glass.name.clone(),
        not_after: order.not_after,
    };
    let paper = trust::seal::seal(&paper, &[&glass.key])?;
    Ok(Approved { order, sealed, approvals: vec![paper], by: BTreeSet::new() })
}

/// Marks an order that broke glass as looked at by this console's owner, who is another person.
///
/// # Errors
/// [`GlassError`].
pub fn review(desk: &Desk, typed: &str, now: Time) -> Result<GlassRow, GlassError> {
    let by = desk.organisation.me.clone();
    let row = find(desk, typed)?;
    if row.agent == by {
        return Err(GlassError::Own);
    }
    if row.reviewed.is_some() || !desk.store.review_glass(row.order, by.clone(), now)? {
        return Err(GlassError::Reviewed);
    }
    Ok(GlassRow { reviewed_by: Some(by), reviewed: Some(now), ..row })
}

fn find(desk: &Desk, typed: &str) -> Result<GlassRow, GlassError> {
    let typed = typed.to_ascii_lowercase();
    let mut rows = desk.store.broken_glass(false)?;
    rows.retain(|row| typed.len() >= 4 && row.order.to_string().starts_with(&typed));
    let several = rows.len() > 1;
    let orders = rows.iter().map(|row| Digest::short(&row.order)).collect();
    match rows.pop() {
        Some(_) if several => Err(GlassError::Several { typed, orders }),
        Some(row) => Ok(row),
        None => Err(GlassError::NoOrder { typed }),
    }
}

#[cfg(test)]
mod tests;
