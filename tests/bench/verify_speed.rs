//! Records that one core verifies in a second: seals of card, order, dispatch and record, the effects
//! file, the neighbours, the script's place in the catalogue.
//!
//! usage: cargo run --release -p evidence --features fixture --example verify_speed
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, and stops where it cannot measure"
)]

use std::time::Instant;

use evidence::fixture::{Fixture, papers, sealed};
use evidence::verify_record;
use protocol::documents::Card;
use trust::Signer as _;

/// How often in a second, of nine rounds.
fn rate(rounds: u32, mut work: impl FnMut()) -> f64 {
    let mut rates: Vec<f64> = (0..9)
        .map(|_| {
            let before = Instant::now();
            (0..rounds).for_each(|_| work());
            f64::from(rounds) / before.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[4]
}

fn main() {
    let f = Fixture::default();
    let (papers, anchors) = (papers(&f), f.anchors());
    let records = rate(3000, || assert!(verify_record(&papers, &anchors).verified));
    let seal = sealed(&f.card(), &f.enroller);
    let key = [f.enroller.public_key()];
    let seals = rate(5000, || drop(trust::seal::open::<Card>(&seal, &key, 1).unwrap()));
    println!("{records:.0} records a second on one core; one seal alone: {:.0} us", 1e6 / seals);
}
