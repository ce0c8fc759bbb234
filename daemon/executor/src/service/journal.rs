//! `service.log`: the last lines of a unit, read from the journal's own files.
//!
//! No program is started for it: a look has no right to. The file format is systemd's documented
//! one (JOURNAL_FILE_FORMAT), read without trust: every offset is bounded, every chain counted.
//! Long lines that the journal compressed are named, not shown.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::hash::Hasher as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use protocol::Time;

use crate::clock::Clock;
use crate::fail::Fail;
use crate::root::Root;

/// Most journal files looked into, newest first.
const FILES_MAX: usize = 16;
/// Longest payload that is read.
const PAYLOAD_MAX: u64 = 16 * 1024;
/// Characters kept of a line.
const LINE_MAX: usize = 1000;

const MAGIC: &[u8] = b"LPKSHHRH";
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ARRAY: u8 = 6;
/// `incompatible_flags`: hashes are keyed by the file's id.
const KEYED: u32 = 4;
/// `incompatible_flags`: offsets have 32 bits.
const COMPACT: u32 = 16;
/// `incompatible_flags` that are understood: three compressions, keyed, compact.
const KNOWN: u32 = 31;

/// The last lines of a unit, oldest first.
pub(super) fn last(root: &Root, unit: &str, lines: usize, clock: &Clock) -> Result<String, Fail> {
    let mut files = files(root);
    files.sort_by(|a, b| b.cmp(a));
    let mut found: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut readable = 0;
    for (_, path) in files.into_iter().take(FILES_MAX) {
        clock.check()?;
        let Some(journal) = Journal::open(&path) else { continue };
        readable += 1;
        for (field, by_manager) in [("_SYSTEMD_UNIT", false), ("UNIT", true)] {
            let payload = format!("{field}={unit}");
            let Some(data) = journal.find(payload.as_bytes()) else { continue };
            for entry in journal.entries(data, lines) {
                let Some(entry) = journal.entry(entry) else { continue };
                // Any program may write `UNIT=`; only the manager's own word counts.
                if !by_manager || entry.pid == "1" {
                    found.insert((entry.at, entry.number), entry.line());
                }
            }
        }
        if found.len() >= lines {
            break;
        }
    }
    if readable == 0 {
        return Err(Fail::failed("this machine keeps no journal that can be read"));
    }
    let skip = found.len().saturating_sub(lines);
    let all: Vec<String> = found.into_values().skip(skip).collect();
    Ok(all.join("\n"))
}

/// The system's journal files with their times.
fn files(root: &Root) -> Vec<(std::time::SystemTime, PathBuf)> {
    let mut all = Vec::new();
    for top in ["/var/log/journal", "/run/log/journal"] {
        let folders = std::fs::read_dir(root.at(top)).into_iter().flatten().flatten();
        for folder in folders.map(|entry| entry.path()) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let changed = entry.metadata().and_then(|meta| meta.modified());
                if let (true, true, Ok(changed)) =
                    (name.starts_with("system"), name.ends_with(".journal"), changed)
                {
                    all.push((changed, entry.path()));
                }
            }
        }
    }
    all
}

/// One entry's fields.
#[derive(Debug, Default)]
struct Entry {
    number: u64,
    at: u64,
    pid: String,
    from: String,
    message: String,
}

impl Entry {
    fn line(&self) -> String {
        let time = Time(self.at / 1_000_000);
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let message: String = self.message.chars().map(clean).take(LINE_MAX).collect();
        match self.pid.as_str() {
            "" => format!("{time} {}: {message}", self.from),
            pid => format!("{time} {}[{pid}]: {message}", self.from),
        }
    }
}

/// One file.
struct Journal {
    file: File,
    key: (u64, u64),
    table: u64,
    buckets: u64,
    compact: bool,
    size: u64,
}

impl Journal {
    fn open(path: &std::path::Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut head = [0u8; 208];
        file.read_exact_at(&mut head, 0).ok()?;
        let flags = number(&head, 12, 4)?;
        let known = flags & !u64::from(KNOWN) == 0 && flags & u64::from(KEYED) != 0;
        if head.get(..8) != Some(MAGIC) || !known {
            return None;
        }
        let buckets = number(&head, 112, 8)? / 16;
        let size = file.metadata().ok()?.len();
        Some(Self {
            file,
            key: (number(&head, 24, 8)?, number(&head, 32, 8)?),
            table: number(&head, 104, 8)?,
            buckets,
            compact: flags & u64::from(COMPACT) != 0,
            size,
        })
        .filter(|journal| journal.buckets > 0)
    }

    fn read(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        if at.checked_add(len)? > self.size {
            return None;
        }
        let mut bytes = vec![0u8; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// An object's flags and size, if it is of this type.
    fn object(&self, at: u64, kind: u8) -> Option<(u8, u64)> {
        let head = self.read(at, 16)?;
        let (found, flags) = (*head.first()?, *head.get(1)?);
        if found == kind { Some((flags, number(&head, 8, 8)?)) } else { None }
    }

    const fn payload_at(&self) -> u64 {
        if self.compact { 72 } else { 64 }
    }

    /// A data object's payload: none where it is compressed.
    fn payload(&self, at: u64) -> Option<Option<Vec<u8>>> {
        let (flags, size) = self.object(at, DATA)?;
        if flags & 7 != 0 {
            return Some(None);
        }
        let from = self.payload_at();
        let len = size.checked_sub(from)?.min(PAYLOAD_MAX);
        Some(Some(self.read(at.checked_add(from)?, len)?))
    }

    /// The data object of `FIELD=value`.
    fn find(&self, payload: &[u8]) -> Option<u64> {
        #[expect(deprecated, reason = "SipHash-2-4 under a given key, which nothing else offers")]
        let mut hasher = std::hash::SipHasher::new_with_keys(self.key.0, self.key.1);
        hasher.write(payload);
        let hash = hasher.finish();
        let bucket = self.table.checked_add((hash % self.buckets).checked_mul(16)?)?;
        let mut at = number(&self.read(bucket, 8)?, 0, 8)?;
        while at != 0 {
            let head = self.read(at, 32)?;
            if number(&head, 16, 8)? == hash && self.payload(at)?.as_deref() == Some(payload) {
                return Some(at);
            }
            at = further(at, number(&head, 24, 8)?)?;
        }
        None
    }

    /// The last entries that have a data object.
    fn entries(&self, data: u64, last: usize) -> Vec<u64> {
        let mut all = VecDeque::new();
        let mut keep = |entry: u64| {
            all.push_back(entry);
            if all.len() > last {
                all.pop_front();
            }
        };
        let Some(head) = self.read(data, 64) else { return Vec::new() };
        if let Some(first) = number(&head, 40, 8).filter(|first| *first != 0) {
            keep(first);
        }
        let mut array = number(&head, 48, 8).unwrap_or(0);
        let width = if self.compact { 4 } else { 8 };
        while array != 0 {
            let Some((_, size)) = self.object(array, ARRAY) else { break };
            let Some(bytes) = self.read(array, size) else { break };
            let items = bytes.get(24..).unwrap_or_default().chunks_exact(width);
            let entries = items.filter_map(|item| number(item, 0, width));
            entries.filter(|entry| *entry != 0).for_each(&mut keep);
            let next = number(&bytes, 16, 8).and_then(|next| further(array, next));
            array = next.unwrap_or(0);
        }
        all.into()
    }

    fn entry(&self, at: u64) -> Option<Entry> {
        let (_, size) = self.object(at, ENTRY)?;
        let bytes = self.read(at, size.min(1 << 16))?;
        let mut entry = Entry {
            number: number(&bytes, 16, 8)?,
            at: number(&bytes, 24, 8)?,
            message: "(a long line)".to_owned(),
            ..Entry::default()
        };
        let width = if self.compact { 4 } else { 16 };
        for item in bytes.get(64..)?.chunks_exact(width) {
            let data = number(item, 0, width.min(8))?;
            let Some(Some(payload)) = self.payload(data) else { continue };
            let text = String::from_utf8_lossy(&payload);
            let Some((field, value)) = text.split_once('=') else { continue };
            match field {
                "MESSAGE" => value.clone_into(&mut entry.message),
                "_PID" => value.clone_into(&mut entry.pid),
                "SYSLOG_IDENTIFIER" => value.clone_into(&mut entry.from),
                "_COMM" if entry.from.is_empty() => value.clone_into(&mut entry.from),
                _ => {}
            }
        }
        Some(entry)
    }
}

/// The next link of a chain: the file only grows, so that a link that leads back is a fault.
fn further(at: u64, next: u64) -> Option<u64> {
    (next == 0 || next > at).then_some(next)
}

/// A little-endian number of `len` bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(len)?)?;
    Some(part.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests;
