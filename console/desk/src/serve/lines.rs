//! Who is here: the lines that are up, and how the others went.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::frames::{DeskPath, Stop};
use protocol::{AgentName, EndpointId, Time};
use store::Way;
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
    consoles: BTreeMap<AgentName, usize>,
}

/// As the address book calls it.
const fn way(path: DeskPath) -> Way {
    match path {
        DeskPath::Kept => Way::Kept,
        DeskPath::Dialled => Way::Dialled,
    }
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

    /// Who is here, and who dialled.
    pub(super) fn here(&self) -> Vec<(EndpointId, Way)> {
        self.inside().up.iter().map(|(id, line)| (*id, way(line.path))).collect()
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

    /// The same for one of them.
    pub(super) fn here_is(&self, id: EndpointId) -> Vec<(EndpointId, Way)> {
        self.inside().up.get(&id).map(|line| (id, way(line.path))).into_iter().collect()
    }

    /// A console of this agent is here; true where it is the first.
    pub(super) fn console_came(&self, name: &AgentName) -> bool {
        let mut inside = self.inside();
        let count = inside.consoles.entry(name.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// A console of this agent left; true where it was the last.
    pub(super) fn console_left(&self, name: &AgentName) -> bool {
        let mut inside = self.inside();
        let Some(count) = inside.consoles.get_mut(name) else { return false };
        *count = count.saturating_sub(1);
        let last = *count == 0;
        if last {
            inside.consoles.remove(name);
        }
        last
    }

    /// Agents of whom a console is here.
    pub(super) fn agents(&self) -> Vec<AgentName> {
        self.inside().consoles.keys().cloned().collect()
    }

    /// How many consoles are here, all agents' together.
    pub(super) fn consoles(&self) -> usize {
        self.inside().consoles.values().sum()
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
