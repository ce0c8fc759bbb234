//! Trait TicketSystem, one file per system, one contract test for all.
//!
//! Never falls back from an internal note to a public one, never looks a note up in a search index,
//! never decides what a note says.
#![forbid(unsafe_code)]

mod builtin;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod key;
mod system;

pub use builtin::{Backend, Builtin, NOTE_CHARS_MAX};
pub use error::TicketError;
pub use key::{BadKey, Key, KeyKind};
pub use system::{
    Audience, Body, Caps, File, FileRef, NewTicket, Note, NoteRef, Ticket, TicketKind, TicketSystem,
};
