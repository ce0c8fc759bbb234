//! The effects file: what an executor did, one JSON object a line, written before and after.
//!
//! `begin` opens a batch (the removal of many files under one plan key) and is synced before the
//! first of them; `about` names one thing and `done`, `failed` or `unknown` says how it went;
//! `end` closes the batch. A single action has no batch: its `about` itself is synced. `begin` and
//! `end` count for nobody: only things do, so that sums are right. Never holds a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::documents::{ByFunction, InFlight};

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// A batch begins: `noun` is its key, `bytes` the sum that is wanted.
    Begin,
    /// One thing is about to be done.
    About,
    /// It was done, read again where that is possible.
    Done,
    /// It was not done.
    Failed,
    /// It could not be read again: nobody knows.
    Unknown,
    /// The batch is over and synced.
    End,
}

/// One line of an effects file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectLine {
    /// Number of the action or batch, from 1; its lines share it.
    pub n: u64,
    /// What the line says.
    pub state: EffectState,
    /// Host function.
    pub function: String,
    /// Plan key.
    pub key: String,
    /// The thing itself, as in `/tmp/x`.
    pub noun: String,
    /// Bytes, zero where they mean nothing.
    pub bytes: u64,
}

/// The sums of an effects file and what was in flight where it ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EffectTally {
    /// Whole lines that were read.
    pub lines: u64,
    /// Lines that are not ours; a torn last line is none.
    pub unreadable: u64,
    /// Per host function.
    pub by_function: BTreeMap<String, ByFunction>,
    thing: Option<(u64, InFlight)>,
    batch: Option<(u64, InFlight)>,
}

impl EffectTally {
    /// Reads a file as far as it goes.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let mut tally = Self::default();
        let whole = file.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let lines = file.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            tally.lines += 1;
            match crate::json::read::<EffectLine>(line) {
                Ok(line) => tally.take(&line),
                Err(_) => tally.unreadable += 1,
            }
        }
        tally
    }
    /// What had begun and not ended: the thing, or the batch where no thing of it had begun.
    #[must_use]
    pub fn in_flight(&self) -> Option<&InFlight> {
        self.thing.as_ref().or(self.batch.as_ref()).map(|(_, what)| what)
    }
    fn take(&mut self, line: &EffectLine) {
        let what = || InFlight { function: line.function.clone(), noun: line.noun.clone() };
        let sums = self.by_function.entry(line.function.clone()).or_default();
        match line.state {
            EffectState::Begin => self.batch = Some((line.n, what())),
            EffectState::About => self.thing = Some((line.n, what())),
            EffectState::Done => {
                sums.done += 1;
                // Files may be sparse: sums of their sizes have no other bound.
                let sum = sums.bytes.saturating_add(line.bytes);
                sums.bytes = sum.min(crate::json::INTEGER_MAX);
                self.thing = None;
            }
            EffectState::Failed | EffectState::Unknown => {
                sums.failed += 1;
                self.thing = None;
            }
            EffectState::End => {
                self.thing = None;
                self.batch = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u64, state: EffectState, noun: &str, bytes: u64) -> Vec<u8> {
        let line = EffectLine {
            n,
            state,
            function: "fs.remove".into(),
            key: "/tmp/**".into(),
            noun: noun.into(),
            bytes,
        };
        let mut bytes = crate::json::write(&line).unwrap();
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn sums_of_sparse_files_stay_numbers_that_a_record_may_carry() {
        let most = crate::json::INTEGER_MAX;
        let file = [line(1, EffectState::Done, "/tmp/a", most), line(1, EffectState::Done, "/", 9)];
        let tally = EffectTally::of(&file.concat());
        assert_eq!((tally.unreadable, tally.by_function["fs.remove"].bytes), (0, most));
    }

    #[test]
    fn a_batch_counts_once_and_names_what_was_in_flight_at_any_cut() {
        use EffectState::{About, Begin, Done, End, Failed};
        let parts = [
            line(1, Begin, "/tmp/**", 12),
            line(1, About, "/tmp/a", 5),
            line(1, Done, "/tmp/a", 5),
            line(1, About, "/tmp/b", 7),
            line(1, Failed, "/tmp/b", 7),
            line(1, End, "/tmp/**", 5),
        ];
        let at = |count: usize| EffectTally::of(&parts[..count].concat());
        let noun = |count: usize| at(count).in_flight().map(|what| what.noun.clone());
        assert_eq!(noun(1).as_deref(), Some("/tmp/**"));
        assert_eq!(noun(2).as_deref(), Some("/tmp/a"));
        assert_eq!(noun(3).as_deref(), Some("/tmp/**"));
        assert_eq!(noun(4).as_deref(), Some("/tmp/b"));
        assert_eq!(noun(6), None);
        let sums = at(6).by_function["fs.remove"].clone();
        assert_eq!(sums, ByFunction { done: 1, failed: 1, bytes: 5 });
        let mut torn = parts.concat();
        torn.extend_from_slice(b"{\"n\":2");
        assert_eq!((EffectTally::of(&torn).lines, EffectTally::of(&torn).unreadable), (6, 0));
    }
}
