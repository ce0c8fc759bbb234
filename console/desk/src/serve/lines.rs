//! Who is here: the lines that are up, and how the others went.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::frames::Stop;
use protocol::{EndpointId, Time};
use tokio::sync::watch;

use super::line::HeldLine;

/// How a line ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) at: Time,
    /// The endpoint took leave; it did not just fall silent.
    pub(super) in_order: bool,
}

#[derive(Debug, Default)]
struct Inside {
    up: BTreeMap<EndpointId, Arc<HeldLine>>,
    left: BTreeMap<EndpointId, Left>,
}

/// All lines of the desk.
#[derive(Debug, Default)]
pub(super) struct Lines {
    inside: Mutex<Inside>,
    /// Counts arrivals: who waits for a line looks again.
    came: watch::Sender<u64>,
}

impl Lines {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line is up. An older one of the same endpoint ends: its machine dialled anew.
    pub(super) fn put(&self, id: EndpointId, line: Arc<HeldLine>) {
        let before = self.inside().up.insert(id, line);
        if let Some(before) = before {
            before.connection.close(Stop::Drain);
        }
        self.came.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A line ended; one that took its place stays.
    pub(super) fn remove(&self, id: EndpointId, line: &Arc<HeldLine>, left: Left) {
        let mut inside = self.inside();
        if inside.up.get(&id).is_some_and(|up| Arc::ptr_eq(up, line)) {
            inside.up.remove(&id);
            inside.left.insert(id, left);
        }
    }

    pub(super) fn get(&self, id: &EndpointId) -> Option<Arc<HeldLine>> {
        self.inside().up.get(id).filter(|line| line.connection.end().is_none()).cloned()
    }

    pub(super) fn left(&self, id: &EndpointId) -> Option<Left> {
        self.inside().left.get(id).copied()
    }

    pub(super) fn ids(&self) -> Vec<EndpointId> {
        self.inside().up.keys().copied().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<HeldLine>> {
        self.inside().up.values().cloned().collect()
    }

    /// Ends the lines of cards that were withdrawn.
    pub(super) fn withdraw(&self, denied: impl Fn(u64) -> bool) {
        for line in self.all() {
            if denied(line.card.serial) {
                line.connection.close(Stop::Withdrawn);
            }
        }
    }

    pub(super) fn close_all(&self, why: Stop) {
        for line in self.all() {
            line.connection.close(why);
        }
    }

    /// The endpoint's line, as soon as there is one.
    pub(super) async fn wait_for(&self, id: &EndpointId) -> Arc<HeldLine> {
        let mut came = self.came.subscribe();
        loop {
            if let Some(line) = self.get(id) {
                return line;
            }
            // The sender lives as long as this does.
            let _ = came.changed().await;
        }
    }
}
