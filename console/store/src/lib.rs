//! The only SQL: embedded SQLite.
#![forbid(unsafe_code)]
