//! Runs that are under way: all that was said of each, for whoever comes, whenever he comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::frames::DeskAnswer;
use protocol::{AgentName, RunId};
use tokio::sync::watch;

/// One run's history. It ends with [`DeskAnswer::Done`] or [`DeskAnswer::Sorry`].
#[derive(Debug, Default)]
pub(super) struct Live {
    said: Mutex<Vec<Arc<DeskAnswer>>>,
    count: watch::Sender<usize>,
    watching: watch::Sender<BTreeMap<AgentName, usize>>,
}

const fn is_last(answer: &DeskAnswer) -> bool {
    matches!(answer, DeskAnswer::Done { .. } | DeskAnswer::Sorry { .. })
}

impl Live {
    fn said(&self) -> MutexGuard<'_, Vec<Arc<DeskAnswer>>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn push(&self, answer: DeskAnswer) {
        let mut said = self.said();
        said.push(Arc::new(answer));
        self.count.send_replace(said.len());
    }
    pub(super) fn follow(self: &Arc<Self>) -> Follower {
        Follower { live: Arc::clone(self), next: 0, count: self.count.subscribe(), over: false }
    }
}

/// A console that shows a run, until this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    live: Arc<Live>,
    who: AgentName,
    others: watch::Receiver<BTreeMap<AgentName, usize>>,
    told: Vec<AgentName>,
}

impl Watcher {
    /// Who else watches, as soon as that is something else than what was told before.
    pub(super) async fn news(&mut self) -> Vec<AgentName> {
        loop {
            let now: Vec<AgentName> = self
                .others
                .borrow_and_update()
                .keys()
                .filter(|n| **n != self.who)
                .cloned()
                .collect();
            if now != self.told {
                self.told.clone_from(&now);
                return now;
            }
            if self.others.changed().await.is_err() {
                // The run holds the sender and outlives its watchers.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.live.watching.send_modify(|all| {
            let left = all.get_mut(&self.who).map_or(0, |count| {
                *count = count.saturating_sub(1);
                *count
            });
            if left == 0 {
                all.remove(&self.who);
            }
        });
    }
}

/// Somebody who listens from the beginning.
#[derive(Debug)]
pub(super) struct Follower {
    live: Arc<Live>,
    next: usize,
    count: watch::Receiver<usize>,
    over: bool,
}

impl Follower {
    /// Counts somebody among those who watch the run.
    pub(super) fn watched_by(&self, who: &AgentName) -> Watcher {
        let (live, who) = (Arc::clone(&self.live), who.clone());
        let others = live.watching.subscribe();
        live.watching.send_modify(|all| *all.entry(who.clone()).or_default() += 1);
        Watcher { live, who, others, told: Vec::new() }
    }

    /// The next thing that was said; none behind the last.
    pub(super) async fn next(&mut self) -> Option<Arc<DeskAnswer>> {
        while !self.over {
            let answer = self.live.said().get(self.next).cloned();
            if let Some(answer) = answer {
                self.next += 1;
                self.over = is_last(&answer);
                return Some(answer);
            }
            // Fails only where the run was dropped without its end.
            self.count.changed().await.ok()?;
        }
        None
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<BTreeMap<RunId, Arc<Live>>>);

impl Runs {
    fn inside(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn get(&self, run: &RunId) -> Option<Arc<Live>> {
        self.inside().get(run).cloned()
    }
    /// A run that nobody drives yet; none where somebody does.
    pub(super) fn begin(&self, run: RunId) -> Option<Arc<Live>> {
        let mut inside = self.inside();
        if inside.contains_key(&run) {
            return None;
        }
        let live = Arc::new(Live::default());
        inside.insert(run, Arc::clone(&live));
        Some(live)
    }
    /// It has ended; followers keep what they hold.
    pub(super) fn end(&self, run: &RunId) {
        self.inside().remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(text: &str) -> DeskAnswer {
        DeskAnswer::Lost { sentence: text.to_owned() }
    }

    #[tokio::test]
    async fn who_comes_late_hears_all_and_who_is_there_hears_it_at_once() {
        let runs = Runs::default();
        let run = RunId([1; 16]);
        let live = runs.begin(run).unwrap();
        assert!(runs.begin(run).is_none(), "one drives");
        let mut early = live.follow();
        live.push(lost("one"));
        assert_eq!(*early.next().await.unwrap(), lost("one"));
        let mut late = runs.get(&run).unwrap().follow();
        let end = DeskAnswer::Sorry { code: "x".into(), sentence: "y".into(), next: None };
        let waits = tokio::join!(early.next(), async { live.push(end.clone()) });
        assert_eq!(*waits.0.unwrap(), end);
        assert!(early.next().await.is_none());
        runs.end(&run);
        drop(live);
        assert_eq!(*late.next().await.unwrap(), lost("one"));
        assert_eq!(*late.next().await.unwrap(), end);
        assert!(late.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_watches_hears_who_else_does() {
        let live = Arc::new(Live::default());
        let name = |name: &str| name.parse::<AgentName>().unwrap();
        let mut first = live.follow().watched_by(&name("a.kaya"));
        let second = live.follow().watched_by(&name("m.ruiz"));
        assert_eq!(first.news().await, [name("m.ruiz")]);
        // A second console of the same person is nobody new.
        let again = live.follow().watched_by(&name("m.ruiz"));
        drop(second);
        let quiet = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(quiet, first.news()).await.is_err());
        drop(again);
        assert_eq!(first.news().await, []);
    }
}
