//! Counts what stands in an endpoint's ledger: the keeper's own account, read without its code.

use std::fs;
use std::path::Path;

/// Before the first entry of a segment: see the keeper's ledger format.
const HEADER: usize = 80;
/// A frame's two lengths, and its hash with the closing byte.
const FRAME: (usize, usize) = (8, 33);

/// Entries by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Entries {
    /// Orders that were accepted.
    pub accepted: usize,
    /// Runs whose processes were started.
    pub started: usize,
    /// Records, refusals among them.
    pub records: usize,
}

impl Entries {
    /// Reads every segment.
    ///
    /// # Panics
    /// Where one is not as the format says.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut found = Self::default();
        let list = fs::read_dir(folder).expect("a ledger");
        for path in list.map(|entry| entry.expect("listed").path()) {
            if path.extension().is_some_and(|end| end == "ledger") {
                found.segment(&fs::read(&path).expect("read"));
            }
        }
        found
    }

    fn segment(&mut self, bytes: &[u8]) {
        let mut at = HEADER;
        while let Some(len) = bytes.get(at..at + 4).filter(|len| *len != [0; 4]) {
            let len = u32::from_be_bytes(len.try_into().expect("four")) as usize;
            let body = &bytes[at + FRAME.0..at + FRAME.0 + len];
            self.body(body).expect("entries");
            at += FRAME.0 + len + FRAME.1;
        }
    }

    /// One entry or several, each a list of its kind and what it says.
    fn body(&mut self, body: &[u8]) -> Result<(), minicbor::decode::Error> {
        let mut entries = minicbor::Decoder::new(body);
        while entries.position() < body.len() {
            assert_eq!(entries.array()?, Some(2), "an entry");
            match entries.u32()? {
                1 => self.accepted += 1,
                2 => self.started += 1,
                3 => self.records += 1,
                _ => {}
            }
            entries.skip()?;
        }
        Ok(())
    }
}
