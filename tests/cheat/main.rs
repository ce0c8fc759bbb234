//! A test double: somebody who holds the console's home (its keys and its store) and lies to endpoints.
//!
//! Prints one line of JSON: what was tried and the endpoint's own answer. Never part of a release.
//!
//! usage: cheat HOME ENDPOINT forged-order | script-byte | replay RUN | stale-dispatch RUN | wrong-endpoint
//!                          | twice | other-session | papers RUN | altered-catalogue | rollback FOLDER
//!                          | rogue-script FILE PASSPHRASE-FILE | garbage | held-line PORT
//!                          | siege PORT BOOKS FOLDER | restarted PORT FOLDER | between PORT BOOKS LIE FOLDER

mod between;
mod forge;
mod held;
mod lies;
mod line;
mod siege;
mod tricks;

use std::path::PathBuf;

use protocol::Time;

/// The wall clock, read once.
fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_unix(since.unwrap_or_default())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [home, endpoint, trick, rest @ ..] = args.as_slice() else {
        eprintln!("usage: cheat HOME ENDPOINT TRICK [ARGUMENT...]");
        std::process::exit(2);
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cheat = line::Cheat::open(&PathBuf::from(home), endpoint, now());
    let answer = runtime.block_on(tricks::play(cheat, trick, rest));
    println!("{answer}");
}
