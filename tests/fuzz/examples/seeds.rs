//! Writes the seeds of all targets as files, for a fuzzer that reads a folder.

use std::path::PathBuf;

fn main() {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.expect("seeds FOLDER");
    std::fs::create_dir_all(&folder).expect("the folder");
    for seed in fuzz::samples::seeds() {
        let name = protocol::Digest::of(&seed).to_string();
        std::fs::write(folder.join(name), &seed).expect("a seed is written");
    }
}
