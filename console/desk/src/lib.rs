//! What agents can do, on one handle: order, dispatch, follow, records, catalogue, enrol.
//!
//! Never prints and never asks: passphrases, the clock and randomness are arguments.
#![forbid(unsafe_code)]
