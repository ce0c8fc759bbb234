//! Who holds which key of the catalogue, and how many of them must sign: shown, and changed with the
//! signatures that the catalogue asks for. A key that is taken away counts for nothing from then on.
//!
//! Every change is one that endpoints check for themselves: roots follow each other, lists are signed
//! by their own people, people are counted by the policy.

mod change;
mod holders;
#[cfg(test)]
mod tests;

pub use change::{Duty, DutyChange, DutyError, apply, asked};
pub(crate) use holders::remember_roots;
pub use holders::{Holder, Role, holder_of, made, make, roles};
