//! Journal files written as the format's document describes them, whole and broken.

use super::*;
use crate::testing::{self, put};

/// Writes journal files as the format's document describes them.
struct Writer {
    bytes: Vec<u8>,
    compact: bool,
    data: BTreeMap<String, (u64, Vec<u64>)>,
}

const KEY: [u8; 16] = *b"0123456789abcdef";
const BUCKETS: u64 = 3;
const TABLE: u64 = 208 + 16;

impl Writer {
    fn new(compact: bool) -> Self {
        let mut bytes = vec![0u8; usize::try_from(TABLE + BUCKETS * 16).unwrap()];
        bytes[..8].copy_from_slice(MAGIC);
        let flags = KEYED | if compact { COMPACT } else { 0 };
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[24..40].copy_from_slice(&KEY);
        bytes[104..112].copy_from_slice(&TABLE.to_le_bytes());
        bytes[112..120].copy_from_slice(&(BUCKETS * 16).to_le_bytes());
        Self { bytes, compact, data: BTreeMap::new() }
    }
    fn object(&mut self, kind: u8, flags: u8, body: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&(16 + body.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(body);
        at
    }
    fn put(&mut self, at: u64, value: u64) {
        let at = usize::try_from(at).unwrap();
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    #[expect(deprecated, reason = "as the code under test")]
    fn field(&mut self, text: &str) -> u64 {
        if let Some((at, _)) = self.data.get(text) {
            return *at;
        }
        let key = |at: usize| u64::from_le_bytes(KEY[at..at + 8].try_into().unwrap());
        let mut hasher = std::hash::SipHasher::new_with_keys(key(0), key(8));
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        let bucket = TABLE + hash % BUCKETS * 16;
        let mut slot = bucket;
        loop {
            match number(&self.bytes, usize::try_from(slot).unwrap(), 8).unwrap() {
                0 => break,
                next => slot = next + 24,
            }
        }
        let mut body = [hash.to_le_bytes(), [0; 8]].concat();
        body.resize(if self.compact { 56 } else { 48 }, 0);
        body.extend_from_slice(text.as_bytes());
        let at = self.object(DATA, 0, &body);
        self.put(slot, at);
        self.data.insert(text.to_owned(), (at, Vec::new()));
        at
    }
    fn entry(&mut self, number: u64, at: u64, fields: &[&str]) {
        let items: Vec<u64> = fields.iter().map(|text| self.field(text)).collect();
        let mut body = [number, at * 1_000_000, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
        for item in items {
            if self.compact {
                body.extend_from_slice(&u32::try_from(item).unwrap().to_le_bytes());
            } else {
                body.extend_from_slice(&[item, 0].map(u64::to_le_bytes).concat());
            }
        }
        let entry = self.object(ENTRY, 0, &body);
        for text in fields {
            self.data.get_mut(*text).unwrap().1.push(entry);
        }
    }
    fn finish(mut self) -> Vec<u8> {
        let data = std::mem::take(&mut self.data);
        for (at, entries) in data.values() {
            let (first, rest) = entries.split_first().unwrap();
            self.put(at + 40, *first);
            // Two arrays, so that the chain is followed.
            let mut slot = at + 48;
            for part in rest.chunks(2) {
                let mut body = u64::to_le_bytes(0).to_vec();
                for entry in part {
                    match self.compact {
                        true => {
                            body.extend_from_slice(&u32::try_from(*entry).unwrap().to_le_bytes())
                        }
                        false => body.extend_from_slice(&entry.to_le_bytes()),
                    }
                }
                let array = self.object(ARRAY, 0, &body);
                self.put(slot, array);
                slot = array + 16;
            }
        }
        self.bytes.extend_from_slice(&[0; 64]);
        self.bytes
    }
}

fn sample(compact: bool) -> Vec<u8> {
    let mut writer = Writer::new(compact);
    let unit = "_SYSTEMD_UNIT=cups.service";
    let own = ["_PID=77", "SYSLOG_IDENTIFIER=cupsd", unit];
    for n in 1..=5 {
        let message = format!("MESSAGE=line {n}\twith\u{1b}[31m");
        writer.entry(n, n, &[&message, own[0], own[1], own[2]]);
        writer.entry(100 + n, n, &["MESSAGE=other", "_SYSTEMD_UNIT=ssh.service"]);
    }
    let manager = ["_PID=1", "SYSLOG_IDENTIFIER=systemd", "UNIT=cups.service"];
    writer.entry(6, 6, &["MESSAGE=cups.service: Failed", manager[0], manager[1], manager[2]]);
    writer.entry(7, 7, &["MESSAGE=forged", "_PID=666", "UNIT=cups.service"]);
    writer.finish()
}

#[test]
fn the_last_lines_of_a_unit_and_no_others() {
    let clock = Clock::start(testing::NOW, testing::PATIENCE);
    for compact in [false, true] {
        let tree = testing::machine();
        put(&tree.root, "/var/log/journal/abc/system.journal", sample(compact));
        let log = |lines| last(&tree.root, "cups.service", lines, &clock).unwrap();
        let all = log(200);
        assert_eq!(all.lines().count(), 6, "{all}");
        assert!(!all.contains("forged") && !all.contains("other") && !all.contains('\u{1b}'));
        let two = log(2);
        let two: Vec<_> = two.lines().collect();
        assert_eq!(two[0], "1970-01-01T00:00:05Z cupsd[77]: line 5 with [31m");
        assert_eq!(two[1], "1970-01-01T00:00:06Z systemd[1]: cups.service: Failed");
        assert_eq!(last(&tree.root, "no.service", 9, &clock).unwrap(), "");
    }
}

#[test]
fn a_machine_without_a_journal_says_so() {
    let tree = testing::machine();
    let clock = Clock::start(testing::NOW, testing::PATIENCE);
    assert_eq!(last(&tree.root, "a.service", 9, &clock).unwrap_err().code, "failed");
}

#[test]
fn a_broken_file_is_no_harm() {
    let clock = Clock::start(testing::NOW, testing::PATIENCE);
    let good = sample(true);
    let tree = testing::machine();
    for step in (0..good.len()).step_by(5) {
        let mut bytes = good.clone();
        bytes[step] ^= 0xff;
        bytes.truncate(good.len() - step / 2);
        put(&tree.root, "/run/log/journal/abc/system.journal", bytes);
        let _ = last(&tree.root, "cups.service", 50, &clock);
    }
}
