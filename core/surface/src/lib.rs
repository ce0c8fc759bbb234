//! What a script may ask of a machine: one registry row per host function. Data, no rhai.
#![forbid(unsafe_code)]
