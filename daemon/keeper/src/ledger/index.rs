//! What the ledger's entries add up to. Rebuilt at start, kept up to date entry by entry.
//!
//! Never reads a disk: whoever appends an entry applies it here.

use std::collections::{BTreeMap, BTreeSet};

use protocol::documents::Head;
use protocol::{AgentName, Digest, OrderId, RunId};

use super::entry::{Accepted, Entry};

/// A run's record as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef {
    /// SHA-256 of its payload.
    pub digest: Digest,
    /// Its place in the chain.
    pub counter: u64,
    /// Whether it is a refusal.
    pub refused: bool,
    /// Whether the desk said that it has it.
    pub filed: bool,
}

/// Sum of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    epoch: Option<Digest>,
    counter: u64,
    hash: Option<Digest>,
    /// Accepted orders: the replay guard.
    orders: BTreeMap<Digest, RunId>,
    /// Order ids that were used by accepted orders.
    ids: BTreeMap<OrderId, Digest>,
    /// Accepted runs without a record.
    unfinished: BTreeMap<RunId, Accepted>,
    records: BTreeMap<RunId, RecordRef>,
    /// Records that nobody confirmed, by their place in the chain: the run, and whose order it was.
    unfiled: BTreeMap<u64, (RunId, AgentName)>,
    recalled: BTreeMap<Digest, BTreeSet<AgentName>>,
}

impl Index {
    /// Takes one entry into account.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Opened { epoch, .. } => {
                self.epoch = Some(*epoch);
                self.counter = 0;
                self.hash = None;
            }
            Entry::Accepted(accepted) => {
                self.orders.insert(accepted.order, accepted.run);
                self.ids.entry(accepted.id).or_insert(accepted.order);
                self.unfinished.insert(accepted.run, (**accepted).clone());
                // A refusal of the same order that came first gives way to the run.
                if let Some(old) = self.records.remove(&accepted.run) {
                    self.unfiled.remove(&old.counter);
                }
            }
            Entry::Started { .. } => {}
            Entry::Record(record) => {
                self.unfinished.remove(&record.run);
                self.counter = record.counter;
                self.hash = Some(record.record);
                let (digest, counter) = (record.record, record.counter);
                let row = RecordRef { digest, counter, refused: record.refused, filed: false };
                self.records.insert(record.run, row);
                self.unfiled.insert(record.counter, (record.run, record.agent.clone()));
            }
            Entry::Recalled { order, by, .. } => {
                self.recalled.entry(*order).or_default().insert(by.clone());
            }
            Entry::Filed { record } => {
                let found = self.records.values_mut().find(|row| row.digest == *record);
                if let Some(row) = found {
                    row.filed = true;
                    self.unfiled.remove(&row.counter);
                }
            }
        }
    }
    /// Head of the chain of records, as the hello shows it.
    #[must_use]
    pub fn head(&self) -> Head {
        let epoch = self.epoch.unwrap_or(Digest([0; 32]));
        Head { epoch, counter: self.counter, hash: self.hash.unwrap_or(epoch) }
    }
    /// The run of an accepted order.
    #[must_use]
    pub fn accepted(&self, order: &Digest) -> Option<RunId> {
        self.orders.get(order).copied()
    }
    /// The accepted order that used an id.
    #[must_use]
    pub fn order_with(&self, id: &OrderId) -> Option<Digest> {
        self.ids.get(id).copied()
    }
    /// Who recalled an order.
    pub fn recalled(&self, order: &Digest) -> impl Iterator<Item = &AgentName> {
        self.recalled.get(order).into_iter().flatten()
    }
    /// Accepted runs without a record.
    #[must_use]
    pub const fn unfinished(&self) -> &BTreeMap<RunId, Accepted> {
        &self.unfinished
    }
    /// A run's record.
    #[must_use]
    pub fn record(&self, run: &RunId) -> Option<RecordRef> {
        self.records.get(run).copied()
    }
    /// Whose order a record of ours is about, where nobody has confirmed that it arrived.
    #[must_use]
    pub fn unfiled_of(&self, record: &Digest) -> Option<&AgentName> {
        let is_it = |run: &RunId| self.records.get(run).is_some_and(|row| row.digest == *record);
        self.unfiled.values().find(|(run, _)| is_it(run)).map(|(_, agent)| agent)
    }
    /// Runs whose records the desk has not confirmed: the newest `most`, newest last.
    #[must_use]
    pub fn unfiled(&self, most: usize) -> Vec<RunId> {
        let newest = self.unfiled.values().rev().take(most);
        let mut runs: Vec<_> = newest.map(|(run, _)| *run).collect();
        runs.reverse();
        runs
    }
    /// The oldest `most` runs whose records lie behind a place of the chain, oldest first.
    #[must_use]
    pub fn records_after(&self, after: u64, most: usize) -> Vec<(u64, RunId)> {
        let behind = self.records.iter().map(|(run, row)| (row.counter, *run));
        let mut all: Vec<_> = behind.filter(|(counter, _)| *counter > after).collect();
        all.sort_unstable();
        all.truncate(most);
        all
    }
    /// The newest `most` runs that have a record, oldest of them first.
    #[must_use]
    pub fn last_records(&self, most: usize) -> Vec<RunId> {
        let mut all: Vec<_> = self.records.iter().map(|(run, row)| (row.counter, *run)).collect();
        all.sort_unstable_by_key(|(counter, _)| std::cmp::Reverse(*counter));
        all.truncate(most);
        all.into_iter().rev().map(|(_, run)| run).collect()
    }
    /// How many orders were ever accepted.
    #[must_use]
    pub fn accepted_count(&self) -> usize {
        self.orders.len()
    }
}
