//! The promises, each in a file of its own, against the real programs in a throw-away overlay.

mod approvals;
mod backup;
mod bad_input;
mod behind_nat;
mod bench;
mod clock;
mod crash;
mod desk_package;
mod enrol_desk;
mod facts;
mod full_disk;
mod held_line;
mod interrupted;
mod p1;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p7;
mod p8;
mod package;
mod shared_desk;
mod taken_desk;
mod two_machines;
mod waiting;
