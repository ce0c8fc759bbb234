//! The keeper: root, no network, no rhai. Authorizes, writes the ledger, spawns, signs.
//!
//! All ifs are in `authorize` and `core`; all I/O is in the driver.
#![forbid(unsafe_code)]

pub mod core;
pub mod ledger;
pub mod record;
