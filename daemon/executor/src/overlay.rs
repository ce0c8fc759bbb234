//! What a plan run has pretended so far, so that later queries see it. Small on purpose.
//!
//! Never guesses what only the action could tell: such queries raise `unknowable` instead.

use std::collections::{BTreeMap, BTreeSet};

/// Planned effects.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    removed: BTreeSet<String>,
    freed: BTreeMap<u64, Freed>,
    /// Units that would have been restarted.
    pub(crate) units: BTreeSet<String>,
    /// Accounts that would have been changed.
    pub(crate) accounts: BTreeMap<String, PlannedAccount>,
}

/// Space that would be free.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Freed {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Inodes.
    pub(crate) inodes: u64,
}

/// What would be true of an account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PlannedAccount {
    /// A password was set.
    pub(crate) password: bool,
    /// It must be changed.
    pub(crate) must_change: bool,
    /// Failed sign-ins were forgotten.
    pub(crate) cleared: bool,
}

impl Overlay {
    /// A file would be gone, and this much of its device free.
    pub(crate) fn remove(&mut self, path: &str, device: u64, bytes: u64, last_link: bool) {
        if self.removed.insert(path.to_owned()) && last_link {
            let freed = self.freed.entry(device).or_default();
            freed.bytes = freed.bytes.saturating_add(bytes);
            freed.inodes += 1;
        }
    }
    /// Whether a file would be gone.
    pub(crate) fn is_removed(&self, path: &str) -> bool {
        self.removed.contains(path)
    }
    /// What would be free on a device beyond what is.
    pub(crate) fn freed(&self, device: u64) -> Freed {
        self.freed.get(&device).copied().unwrap_or_default()
    }
}
