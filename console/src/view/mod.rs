//! All words and columns: views are structs, and these are the pieces they are printed with.

pub mod approval;
pub mod audit;
pub mod contacts;
pub mod endpoints;
pub mod facts;
mod outcome;
#[cfg(test)]
mod pages;
pub mod policy;
pub mod review;
pub mod runs;
pub mod script;
pub mod status;
mod table;
mod text;
pub mod ticket;
pub mod verdict;

pub use desk::notes::size as bytes;
pub use outcome::{Heading, RunView, found, plan_words, seconds, word};
pub use table::Table;
pub use text::{ago, count, joined, safe};
