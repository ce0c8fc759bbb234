//! Writes tests/vectors anew: `cargo run -p trust --example vectors`. Once an endpoint is in the
//! field, a vector that changes means a format that changed: write a new version instead.
//!
//! Never makes anything by chance: the same call gives the same files.
#![forbid(unsafe_code)]

#[path = "../tests/trust/made.rs"]
mod made;
#[path = "../tests/trust/oddities.rs"]
mod oddities;
#[path = "../tests/trust/sample.rs"]
mod sample;

use std::fs;
use std::io::Write as _;
use std::path::Path;

fn main() -> sample::Try<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let made = made::made()?;
    for gone in ["documents", "catalogue"] {
        if folder.join(gone).exists() {
            fs::remove_dir_all(folder.join(gone))?;
        }
    }
    for (name, bytes) in &made {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::File::create(&path)?.write_all(bytes)?;
    }
    println!("{} files written to tests/vectors", made.len());
    Ok(())
}
