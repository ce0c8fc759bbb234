//! Time of the full check of one order on an endpoint: seals, catalogue, policy, replay, budgets; what
//! happens between the frame's arrival and the entry for the ledger. No disk, no processes: on a quiet
//! machine that is its processor time.
//!
//! usage: cargo run --release -p keeper --example check_speed
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "the tests' own support, and a clock that a benchmark reads"
)]

#[path = "../../daemon/keeper/tests/support/desk.rs"]
mod desk;
#[path = "../../daemon/keeper/tests/support/mem_disk.rs"]
mod mem_disk;
#[path = "../../daemon/keeper/tests/support/screen.rs"]
mod screen;
#[path = "../../daemon/keeper/tests/support/world.rs"]
mod world;

use std::time::Instant;

use hatch::FromGate;
use keeper::core::Event;
use protocol::{Bytes, Mode};

fn main() {
    for mode in [Mode::Check, Mode::Fix] {
        let mut times = Vec::new();
        for _ in 0..300 {
            let mut world = world::World::new();
            let (session, challenge) = world.session();
            let now = world.time();
            let order = desk::sealed(&world.desk.order("cache.clear", mode, now), "a.kaya");
            let dispatch = desk::dispatch(&order, challenge, 1, now);
            let submit = desk::submit(&order, &desk::sealed(&dispatch, "a.kaya"));
            let bytes = Bytes(minicbor::to_vec(&submit).unwrap());
            let message = FromGate::Frame { session, stream: 1, bytes };
            let event = Event::Gate { message, chance: [7; 32] };
            let before = Instant::now();
            let effects = world.core.step(event, world.now);
            times.push(before.elapsed().as_nanos());
            assert!(effects.iter().any(|effect| effect.name() == "AppendLedger"), "accepted");
        }
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100] / 1000;
        println!(
            "{:5} {} orders: median {} us, p99 {} us",
            mode.word(),
            times.len(),
            at(50),
            at(99)
        );
    }
}
