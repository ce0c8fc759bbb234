//! Lab: the real programs in temporary folders, on free ports, with nothing shared between tests.
//!
//! Links none of the product but its words (`protocol`). Every wait is for a state, with a bound.

mod endpoint;
mod going;
mod lab;
mod ledger;
mod proc;
mod process;

pub use endpoint::Endpoint;
pub use going::Going;
pub use lab::{Lab, PASSPHRASE};
pub use ledger::Entries;
pub use proc::{Process, cgroup_root, named, processes};
pub use process::{Done, run, wait_for};

use std::path::PathBuf;

/// Where the product's programs were built.
///
/// # Panics
/// Outside `./test`, which names the folder.
pub fn programs() -> PathBuf {
    let named = std::env::var_os("SALVE_BIN").map(PathBuf::from);
    named.expect("the system tests run inside the overlay: use `./test system`")
}

/// Panics with the way to run these tests where they are run outside the overlay: they change
/// accounts, units and caches of the machine they run on.
///
/// # Panics
/// Outside the overlay.
pub fn need_overlay() {
    assert!(
        std::env::var_os("SALVE_OVERLAY").is_some(),
        "this test changes accounts, units and caches: run it with `./test system` (root)"
    );
}

/// A UDP port that was free a moment ago on loopback.
///
/// # Panics
/// Where loopback cannot be bound.
pub fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.local_addr().expect("an address").port()
}

/// Runs a program of this machine to its end, with nothing on its standard input. Inside the
/// overlay only: what it changes has to go with it.
pub fn sh(script: &str) -> Done {
    need_overlay();
    let mut command = std::process::Command::new("/bin/sh");
    process::run(command.args(["-ec", script]), b"")
}

/// SHA-256 over names, kinds, modes, owners, times of change and contents of everything beneath
/// these folders; access times are left out.
///
/// # Panics
/// Where a folder cannot be read.
pub fn fingerprint(folders: &[&str]) -> String {
    let folders = folders.join(" ");
    let done = sh(&format!(
        "{{ find {folders} -printf '%p %y %m %U %G %T@ %s %l\\n' | sort; \
           find {folders} -type f -print0 | sort -z | xargs -0r sha256sum; }} | sha256sum"
    ));
    done.expect(0).out
}
