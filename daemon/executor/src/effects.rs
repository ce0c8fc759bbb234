//! The effects file: what is about to be done is on the disk before it is done.
//!
//! JSON lines of [`protocol::EffectLine`]: `{"n":1,"state":"about","function":"service.restart",
//! "key":"cups.service","noun":"cups.service","bytes":0}`, then the same with `done`, `failed` or
//! `unknown`. A single action's `about` is synced before it acts and its end before it answers.
//!
//! A batch (files under one plan key) is one synced `begin`, then per file an `about` and an end
//! that are written but not synced, then a synced `end`. Two disk flushes for each of 20,000 files
//! would take minutes on a real disk. What an interrupted run can still say: after a killed
//! process or daemon every written line is there (they are in the kernel), so the last `about`
//! names the very file; after a power cut the synced `begin` names at least the key in flight.
//!
//! Beyond [`limits::EFFECTS_BYTES_MAX`] lines are hashed and counted, not kept. Never a secret.

use std::fs::File;
use std::io::{self, Write as _};

use protocol::{Digest, EffectLine, EffectState, limits};
use sha2::Digest as _;

/// Writes the effects file.
#[derive(Debug)]
pub(crate) struct Effects {
    file: File,
    hash: sha2::Sha256,
    last: u64,
    kept: usize,
    dropped: u64,
    /// Whether the disk may lack something.
    unsynced: bool,
}

impl Effects {
    /// Over a file that is empty and opened for appending.
    pub(crate) fn new(file: File) -> Self {
        Self { file, hash: sha2::Sha256::new(), last: 0, kept: 0, dropped: 0, unsynced: false }
    }
    /// The number of the next action or batch.
    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
    /// Writes one line.
    pub(crate) fn write(&mut self, line: &EffectLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
        bytes.push(b'\n');
        self.hash.update(&bytes);
        // Once one line did not fit, none after it is kept: the file stays a prefix of what was.
        if self.dropped > 0 || self.kept + bytes.len() > limits::EFFECTS_BYTES_MAX {
            self.dropped += bytes.len() as u64;
            return Ok(());
        }
        self.kept += bytes.len();
        self.unsynced = true;
        self.file.write_all(&bytes)
    }
    /// Writes one line and waits until the disk has it.
    pub(crate) fn write_synced(&mut self, line: &EffectLine) -> io::Result<()> {
        self.write(line)?;
        self.sync()
    }
    /// Waits until the disk has everything.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }
    /// SHA-256 of everything that was written or dropped.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }
    /// Bytes beyond the limit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// A line of this action.
pub(crate) fn line(
    n: u64,
    state: EffectState,
    function: &str,
    key: &str,
    noun: &str,
    bytes: u64,
) -> EffectLine {
    let (function, key) = (function.to_owned(), key.to_owned());
    EffectLine { n, state, function, key, noun: noun.to_owned(), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_lines_are_hashed_and_counted_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("effects");
        let mut effects = Effects::new(File::create_new(&path).unwrap());
        let long = "x".repeat(1 << 20);
        let mut all = Vec::new();
        for n in 1..=20 {
            let line = line(n, EffectState::About, "fs.remove", "/tmp/**", &long, 1);
            effects.write(&line).unwrap();
            all.extend_from_slice(&serde_json::to_vec(&line).unwrap());
            all.push(b'\n');
        }
        effects.sync().unwrap();
        let kept = std::fs::read(&path).unwrap();
        assert!(kept.len() <= limits::EFFECTS_BYTES_MAX && all.starts_with(&kept));
        assert_eq!(effects.dropped(), (all.len() - kept.len()) as u64);
        assert_eq!(effects.digest(), Digest::of(&all));
    }
}
