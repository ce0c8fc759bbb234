//! Fuzz targets: each takes any bytes and must not panic, hang, or accept what it would not write.
//!
//! A target is a plain function. `tests/drive.rs` runs all of them on stable with their corpus and a
//! seeded mutator for a bounded number of rounds; `cargo-fuzz/` holds the few lines for libFuzzer.
#![forbid(unsafe_code)]

mod documents;
mod inside;
mod mutate;
mod places;
pub mod samples;
mod wire;

pub use mutate::Mutator;
pub use places::vectors;

/// A target's name and function, which says whether anything took the bytes.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("frames", wire::frames),
    ("books", wire::books),
    ("deframer", wire::deframer),
    ("hatch", wire::hatch),
    ("ledger", wire::ledger),
    ("certificate", wire::certificate),
    ("envelope", documents::envelope),
    ("documents", documents::documents),
    ("record", documents::record),
    ("plan", documents::plan),
    ("facts", documents::facts),
    ("token", documents::token),
    ("manifest", documents::manifest),
    ("policy", documents::policy),
    ("about", documents::about),
    ("catalogue", documents::catalogue),
    ("backup", documents::backup),
    ("evidence", documents::evidence),
    ("heads", documents::heads),
    ("order file", documents::order_file),
    ("ssh-agent", documents::ssh_agent),
];
