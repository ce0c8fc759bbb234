//! One per run: the real host functions, only this manifest's rights, no rhai.
#![forbid(unsafe_code)]
