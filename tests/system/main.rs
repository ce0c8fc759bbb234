//! The promises, each in a file of its own, against the real programs in a throw-away overlay.

mod p1;
mod p4;

mod bench;
mod crash;
