//! The words both sides share: ids, limits, outcomes, documents, frames. No I/O, no crypto, no clock.
#![forbid(unsafe_code)]
