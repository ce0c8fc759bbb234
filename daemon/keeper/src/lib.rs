//! Root, no network, no rhai: authorizes, writes the ledger, spawns, signs. Binary salved.
#![forbid(unsafe_code)]
