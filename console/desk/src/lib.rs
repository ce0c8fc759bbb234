//! What agents can do, on one handle: order, dispatch, follow, records, catalogue, enrol.
//!
//! Never prints and never asks: passphrases and the clock are arguments.
#![forbid(unsafe_code)]

pub mod approvals;
pub mod audit;
pub mod backup;
pub mod books;
pub mod catalogue;
pub mod chance;
pub mod duties;
pub mod enrol;
pub mod facts;
pub mod glass;
pub mod heads;
pub mod home;
pub mod identity;
pub mod inventory;
pub mod notes;
pub mod order_file;
pub mod org;
pub mod outbox;
pub mod release;
pub mod rules;
pub mod runs;
pub mod serve;
pub mod session;
pub mod verify;
