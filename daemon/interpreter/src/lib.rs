//! One per run: reads script text, holds no rights at all. Never opens, connects or starts
//! anything: what a script asks for crosses to its executor, who checks it again.
#![forbid(unsafe_code)]

mod peer;
mod serve;
mod start;

pub use serve::exit;
pub use start::main;
