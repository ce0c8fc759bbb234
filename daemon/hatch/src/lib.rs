//! The only messages that cross between the daemon's processes, and the room where a process locks itself.
#![forbid(unsafe_code)]
