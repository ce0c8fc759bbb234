//! An order as a file: carried to a machine that no line reaches, and back with its record.
//!
//! The file holds the key that signs the order's one dispatch, until it holds the record instead.
//! Nothing in it is believed: the order stands under its agent's key, the card under an enroller's,
//! the record under the card's. It runs once, whichever copy comes first: the endpoint sees to that.

mod export;
mod format;
mod import;
#[cfg(any(test, feature = "fixture"))]
pub mod sample;
#[cfg(test)]
mod tests;

pub use export::{ExportError, carry, carry_new, not_written};
pub use format::{AnswerPapers, BadOrderFile, OrderFile, OrderKey};
pub use import::{BringError, Opened, OrderFileError, bring, foresee, open};
pub(crate) use import::{Foreign, file_answer};
