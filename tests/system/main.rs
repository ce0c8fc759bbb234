//! The promises, each in a file of its own, against the real programs in a throw-away overlay.

mod bench;
mod crash;
mod p1;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p7;
mod p8;
