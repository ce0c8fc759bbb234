//! The keeper: root, no network, no rhai. Authorizes, writes the ledger, spawns, signs.
//!
//! All ifs are in `authorize` and `core`; all I/O is in the driver.
#![forbid(unsafe_code)]

pub mod answer;
pub mod authorize;
pub mod config;
pub mod core;
pub mod doctor;
pub mod driver;
pub mod enrol;
pub mod leaf;
pub mod ledger;
pub mod plans;
pub mod record;
pub mod spawn;
pub mod state;
pub mod status;
