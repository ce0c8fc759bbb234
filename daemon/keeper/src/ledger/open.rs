//! Opens, recovers and appends. A torn tail is repaired; anything else stops the daemon.

use std::collections::BTreeMap;
use std::io;

use protocol::{Bytes, Digest, RunId, Time};

use super::disk::Disk;
use super::entry::Entry;
use super::format::{self, Found, HEADER_BYTES};
use super::index::Index;

/// Why the ledger cannot be used. The daemon stops: without it an order might run twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The file system failed.
    #[error("could not {what} ledger segment {segment}; check the disk, then start salved again")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// Which segment.
        segment: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes that were once acknowledged do not verify.
    #[error(
        "ledger segment {segment} is damaged at byte {offset}; keep a copy of the folder, then \
         restore it from a backup or move it away: salved begins a new epoch, which the desk sees"
    )]
    Damaged {
        /// Which segment.
        segment: u64,
        /// Where.
        offset: u64,
    },
    /// A segment in the middle is missing.
    #[error("ledger segment {0} is missing; restore the folder from a backup or move it away")]
    Missing(u64),
    /// An entry that no segment holds.
    #[error("an entry is larger than the ledger takes")]
    TooLarge,
    /// An earlier append failed; what is on the disk is not known any more.
    #[error("an earlier append failed; start salved again")]
    Broken,
}

/// Where an entry lies: segment, offset, bytes.
type Place = (u64, u64, usize);

/// A ledger that is ready for appending.
#[derive(Debug)]
pub struct Ledger<D> {
    disk: D,
    segment: u64,
    at: usize,
    head: Digest,
    /// Where each run's record lies.
    records: BTreeMap<RunId, Place>,
    /// The same of each accepted order.
    orders: BTreeMap<RunId, Place>,
    broken: bool,
    size: usize,
}

/// A ledger just opened, what its entries add up to, and what was done to open it.
#[derive(Debug)]
pub struct Opened<D> {
    /// For appending.
    pub ledger: Ledger<D>,
    /// The sum of its entries.
    pub index: Index,
    /// Whether a new epoch began because there was no ledger.
    pub began: bool,
    /// Bytes of an interrupted write that were removed.
    pub torn: usize,
}

impl<D: Disk> Ledger<D> {
    /// Opens the ledger on this disk, or begins one; `epoch` is random and used only then.
    ///
    /// # Errors
    /// [`LedgerError`] for whatever is not a whole ledger with at most one torn write at its end.
    pub fn open(
        disk: D,
        epoch: Digest,
        now: Time,
        version: &str,
    ) -> Result<Opened<D>, LedgerError> {
        let numbers = disk.segments().map_err(|source| failed("list", 0, source))?;
        let head = Digest([0; 32]);
        let size = disk.segment_bytes();
        let (records, orders) = (BTreeMap::new(), BTreeMap::new());
        let ledger =
            Self { disk, segment: 0, at: size, head, records, orders, broken: false, size };
        let mut opened = Opened { ledger, index: Index::default(), began: false, torn: 0 };
        for (place, number) in numbers.iter().enumerate() {
            let wanted = place as u64 + 1;
            if *number != wanted {
                return Err(LedgerError::Missing(wanted));
            }
            opened.read_segment(*number)?;
        }
        if opened.index.head().epoch == Digest([0; 32]) {
            opened.began = true;
            let version = version.to_owned();
            let entry = Entry::Opened { epoch, at: now, version };
            opened.ledger.append(&entry)?;
            opened.index.apply(&entry);
        }
        opened.ledger.reserve()?;
        Ok(opened)
    }

    /// Appends an entry and syncs it. When this returns, the entry is there after a power cut.
    ///
    /// # Errors
    /// [`LedgerError`]; after one, every later append fails too.
    pub fn append(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        self.append_all(&[entry])
    }

    /// Appends entries that become durable together, with one sync: after a power cut all of them
    /// are there or none is.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all(&mut self, entries: &[&Entry]) -> Result<(), LedgerError> {
        if self.broken {
            return Err(LedgerError::Broken);
        }
        let (bytes, head) = format::encode(entries, &self.head).ok_or(LedgerError::TooLarge)?;
        if HEADER_BYTES + bytes.len() > self.size {
            return Err(LedgerError::TooLarge);
        }
        self.broken = true;
        if self.at + bytes.len() > self.size {
            self.begin_segment()?;
        }
        let (segment, offset) = (self.segment, self.at as u64);
        let disk = &mut self.disk;
        disk.write(segment, offset, &bytes).map_err(|source| failed("write", segment, source))?;
        disk.sync(segment).map_err(|source| failed("sync", segment, source))?;
        self.broken = false;
        for entry in entries {
            self.note(entry, segment, offset, bytes.len());
        }
        self.at += bytes.len();
        self.head = head;
        Ok(())
    }

    /// Whether the next segment is ready, so that a full disk stops nothing; makes it if it can.
    ///
    /// # Errors
    /// [`LedgerError::Disk`] where the list of segments cannot be read.
    pub fn reserve(&mut self) -> Result<bool, LedgerError> {
        let spare = self.segment + 1;
        let numbers = self.disk.segments().map_err(|source| failed("list", spare, source))?;
        if numbers.contains(&spare) {
            return Ok(true);
        }
        Ok(self.disk.create(spare, self.size as u64).is_ok())
    }

    /// A run's record, as its envelope's bytes.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read back.
    pub fn record(&self, run: &RunId) -> Result<Option<Bytes>, LedgerError> {
        self.read_back(self.records.get(run), |entry| match entry {
            Entry::Record(record) if record.run == *run => Some(record.envelope),
            _ => None,
        })
    }

    /// The order of an accepted run, as its envelope's bytes.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read back.
    pub fn order(&self, run: &RunId) -> Result<Option<Bytes>, LedgerError> {
        self.read_back(self.orders.get(run), |entry| match entry {
            Entry::Accepted(accepted) if accepted.run == *run => Some(accepted.envelope),
            _ => None,
        })
    }

    fn read_back<T>(
        &self,
        place: Option<&Place>,
        wanted: impl FnMut(Entry) -> Option<T>,
    ) -> Result<Option<T>, LedgerError> {
        let Some((segment, offset, len)) = place.copied() else { return Ok(None) };
        let read = self.disk.read_at(segment, offset, len);
        let bytes = read.map_err(|source| failed("read", segment, source))?;
        let body = bytes.get(8..len.saturating_sub(33)).unwrap_or_default();
        let entries = format::decode(body).unwrap_or_default();
        let found = entries.into_iter().find_map(wanted);
        found.map(Some).ok_or(LedgerError::Damaged { segment, offset })
    }

    fn note(&mut self, entry: &Entry, segment: u64, offset: u64, len: usize) {
        let place = (segment, offset, len);
        match entry {
            Entry::Record(record) => drop(self.records.insert(record.run, place)),
            Entry::Accepted(accepted) => drop(self.orders.insert(accepted.run, place)),
            _ => {}
        }
    }

    fn begin_segment(&mut self) -> Result<(), LedgerError> {
        let next = self.segment + 1;
        let numbers = self.disk.segments().map_err(|source| failed("list", next, source))?;
        if !numbers.contains(&next) {
            let made = self.disk.create(next, self.size as u64);
            made.map_err(|source| failed("make", next, source))?;
        }
        let header = format::header(next, &self.head);
        let disk = &mut self.disk;
        disk.write(next, 0, &header).map_err(|source| failed("write", next, source))?;
        disk.sync(next).map_err(|source| failed("sync", next, source))?;
        (self.segment, self.at) = (next, HEADER_BYTES);
        Ok(())
    }
}

impl<D: Disk> Opened<D> {
    fn read_segment(&mut self, number: u64) -> Result<(), LedgerError> {
        let ledger = &mut self.ledger;
        let bytes = ledger.disk.read(number).map_err(|source| failed("read", number, source))?;
        let damaged =
            |offset: usize| LedgerError::Damaged { segment: number, offset: offset as u64 };
        if bytes.len() != ledger.size {
            return Err(damaged(bytes.len()));
        }
        let used = format::used(&bytes);
        if used == 0 {
            // The spare one: nothing may come behind it.
            return if ledger.segment + 1 == number { Ok(()) } else { Err(damaged(0)) };
        }
        let header = format::header(number, &ledger.head);
        if bytes.get(..HEADER_BYTES) != Some(&header) {
            let rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
            let begun = bytes.iter().zip(&header).take_while(|(a, b)| a == b).count();
            let nothing = |bytes: &[u8]| bytes.iter().all(|b| *b == 0);
            // A header that was being written: its beginning, and then nothing at all.
            if nothing(rest) && nothing(bytes.get(begun..HEADER_BYTES).unwrap_or_default()) {
                self.torn += begun;
                return erase(&mut ledger.disk, number, 0, begun);
            }
            return Err(damaged(0));
        }
        if ledger.segment + 1 != number {
            return Err(LedgerError::Missing(ledger.segment + 1));
        }
        (ledger.segment, ledger.at) = (number, HEADER_BYTES);
        loop {
            let ledger = &mut self.ledger;
            match format::look(&bytes, used, ledger.at, &ledger.head) {
                Found::Entries(entries, end, head) => {
                    let (offset, len) = (ledger.at as u64, end - ledger.at);
                    for entry in &entries {
                        ledger.note(entry, number, offset, len);
                        self.index.apply(entry);
                    }
                    (ledger.at, ledger.head) = (end, head);
                }
                Found::End => return Ok(()),
                Found::Torn { end } => {
                    self.torn += end - ledger.at;
                    return erase(&mut ledger.disk, number, ledger.at, end);
                }
                Found::Damage => return Err(damaged(ledger.at)),
            }
        }
    }
}

fn erase<D: Disk>(disk: &mut D, segment: u64, from: usize, to: usize) -> Result<(), LedgerError> {
    let zeros = vec![0; to - from];
    let done = disk.write(segment, from as u64, &zeros).and_then(|()| disk.sync(segment));
    done.map_err(|source| failed("repair", segment, source))
}

const fn failed(what: &'static str, segment: u64, source: io::Error) -> LedgerError {
    LedgerError::Disk { what, segment, source }
}
