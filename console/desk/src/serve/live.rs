//! Runs that are under way: all that was said of each, for whoever comes, whenever he comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::RunId;
use protocol::frames::DeskAnswer;
use tokio::sync::watch;

/// One run's history. It ends with [`DeskAnswer::Done`] or [`DeskAnswer::Sorry`].
#[derive(Debug, Default)]
pub(super) struct Live {
    said: Mutex<Vec<Arc<DeskAnswer>>>,
    count: watch::Sender<usize>,
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

/// Somebody who listens from the beginning.
#[derive(Debug)]
pub(super) struct Follower {
    live: Arc<Live>,
    next: usize,
    count: watch::Receiver<usize>,
    over: bool,
}

impl Follower {
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
}
