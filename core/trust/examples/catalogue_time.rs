//! How long a catalogue takes to verify from memory: `catalogue_time FOLDER [RUNS]`. The promise is
//! below 1 ms in release for the vectors' catalogue (tests/vectors/catalogue). Never writes.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use protocol::Time;
use trust::catalogue::{Catalogue, Files};

#[expect(clippy::disallowed_methods, reason = "a stop-watch reads the clock")]
fn stamp() -> std::time::Instant {
    std::time::Instant::now()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("usage: catalogue_time FOLDER [RUNS]")?;
    let runs: usize = arguments.get(1).map_or(Ok(200), |text| text.parse())?;
    let files = Files::from_folder(Path::new(folder))?;
    let root = files.get("1.root.json").ok_or("no `1.root.json`")?.to_vec();
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = stamp();
        let catalogue = Catalogue::open(&files, &root, Time(0))?;
        times.push(begun.elapsed());
        std::hint::black_box(catalogue);
    }
    times.sort_unstable();
    let at = |share: usize| times.get(runs * share / 100).copied().unwrap_or_default();
    println!("median {} us, p90 {} us, {runs} runs", at(50).as_micros(), at(90).as_micros());
    Ok(())
}
