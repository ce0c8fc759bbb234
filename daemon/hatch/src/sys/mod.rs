//! The raw calls that have no safe wrapper. Each block says why it is sound; nothing else in this
//! crate may be unsafe.

mod inherit;

pub use inherit::{InheritError, inherited};
