//! The only messages that cross between the daemon's processes, and the room where a process locks
//! itself. Never decides anything.

pub mod cgroup;
mod fence;
pub mod lock;
pub mod messages;
pub mod pipe;
mod rights;
mod seccomp;
pub mod signals;
pub mod spawn;
#[expect(unsafe_code, reason = "the only room of this crate with raw OS calls")]
mod sys;
mod tables;

pub use messages::*;
pub use sys::{InheritError, inherited};
