//! Trait TicketSystem, one file per system, one contract test for all.
#![forbid(unsafe_code)]
