//! All words and columns: views are structs, and these are the pieces they are printed with.

mod table;
mod text;

pub use table::Table;
pub use text::{ago, bytes, count, safe};
