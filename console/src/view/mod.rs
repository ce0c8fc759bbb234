//! All words and columns: views are structs, and these are the pieces they are printed with.

mod outcome;
pub mod runs;
pub mod status;
pub mod ticket;
pub mod verdict;
mod table;
mod text;

pub use outcome::{Heading, RunView, found, plan_words, seconds};
pub use table::Table;
pub use text::{ago, bytes, count, safe};
