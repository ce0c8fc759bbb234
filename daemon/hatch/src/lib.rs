//! The only messages that cross between the daemon's processes, and the room where a process locks
//! itself. Never decides anything.

pub mod messages;

pub use messages::*;
