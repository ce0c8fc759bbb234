//! Drives every target on stable: all seeds, then a bounded, seeded number of mutations of them.

use std::time::{Duration, Instant};

use fuzz::{Mutator, TARGETS, samples};

/// Mutations of each target; outside CI set `SALVE_FUZZ_ROUNDS` higher.
const ROUNDS: usize = 6000;
/// A target that does not answer a small input in this time hangs.
const LONGEST: Duration = Duration::from_secs(5);

#[test]
fn no_target_panics_hangs_or_accepts_what_it_would_not_write() {
    let rounds =
        std::env::var("SALVE_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let seeds = samples::seeds();
    assert!(seeds.len() > 80, "only {} seeds were found", seeds.len());
    for (place, (name, target)) in TARGETS.iter().enumerate() {
        let mut mutator = Mutator::new(0x5a17e + place as u64);
        let began = Instant::now();
        let mut tried = 0usize;
        let mut try_one = |bytes: &[u8]| {
            let one = Instant::now();
            let taken = target(bytes);
            assert!(
                one.elapsed() < LONGEST,
                "{name} took {:?} over {} bytes",
                one.elapsed(),
                bytes.len()
            );
            tried += 1;
            taken
        };
        let taken = seeds.iter().filter(|seed| try_one(seed)).count();
        assert!(taken > 0, "{name} takes none of the seeds: its mutations would be noise");
        // A catalogue's verification costs a hundred times a parser's reading.
        let share = if matches!(*name, "catalogue" | "about" | "ledger" | "evidence") {
            rounds / 10
        } else {
            rounds
        };
        for _ in 0..share {
            let seed = &seeds[mutator.below(seeds.len())];
            let other = &seeds[mutator.below(seeds.len())];
            try_one(&mutator.mutate(seed, other));
        }
        println!("{name}: {tried} inputs in {:?}", began.elapsed());
    }
}

/// The wire's frames never change their bytes.
#[test]
fn every_frame_is_its_vector() {
    let file = fuzz::vectors().join("frames.json");
    let text = std::fs::read_to_string(&file).expect("tests/vectors/frames.json");
    let frozen: Vec<(String, String)> = serde_json::from_str(&text).expect("pairs of name and hex");
    assert_eq!(frozen, samples::frame_vectors(), "a frame is written differently than its vector");
}
