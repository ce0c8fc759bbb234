//! What waits for one session's line: bounded in bytes, per session and over all of them.
//!
//! Never makes the keeper wait: a peer that does not read loses its session, nobody else's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::limits;
use tokio::sync::Notify;

/// Bytes that may wait for one session: a whole effects file, its record, and live events.
pub(crate) const SESSION_BYTES_MAX: usize = limits::EFFECTS_BYTES_MAX + 8 * 1024 * 1024;
/// Bytes that may wait over all sessions.
const TOTAL_BYTES_MAX: usize = 2 * SESSION_BYTES_MAX;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 64;

/// One thing to do on a session's line.
#[derive(Debug)]
pub(crate) enum Out {
    /// A frame for a stream.
    Frame { stream: u32, bytes: Vec<u8> },
    /// Nothing more on a stream.
    Finish { stream: u32 },
    /// Take no new streams; close when the open ones are done.
    Drain,
}

impl Out {
    fn cost(&self) -> usize {
        match self {
            Self::Frame { bytes, .. } => bytes.len().saturating_add(ENTRY_BYTES),
            Self::Finish { .. } | Self::Drain => ENTRY_BYTES,
        }
    }
}

/// Bytes waiting over all sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total(Arc<AtomicUsize>);

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Out>,
    bytes: usize,
}

/// The queue of one session: the main loop pushes, the session's task pops.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    total: Total,
}

impl Queue {
    pub(crate) fn new(total: Total) -> Self {
        Self { waiting: Mutex::new(Waiting::default()), wake: Notify::new(), total }
    }
    /// False: it does not fit, and the session must end.
    #[must_use]
    pub(crate) fn push(&self, out: Out) -> bool {
        let cost = out.cost();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let total = self.total.0.load(Ordering::Relaxed).saturating_add(cost);
            if waiting.bytes.saturating_add(cost) > SESSION_BYTES_MAX || total > TOTAL_BYTES_MAX {
                return false;
            }
            waiting.bytes = waiting.bytes.saturating_add(cost);
            self.total.0.fetch_add(cost, Ordering::Relaxed);
            waiting.entries.push_back(out);
        }
        self.wake.notify_one();
        true
    }
    /// The next entry, when there is one. Cancel-safe.
    pub(crate) async fn pop(&self) -> Out {
        loop {
            if let Some(out) = self.take() {
                return out;
            }
            self.wake.notified().await;
        }
    }
    fn take(&self) -> Option<Out> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let out = waiting.entries.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(out.cost());
        self.total.0.fetch_sub(out.cost(), Ordering::Relaxed);
        Some(out)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Out {
        Out::Frame { stream: 0, bytes: vec![0; bytes] }
    }

    #[tokio::test]
    async fn a_session_that_does_not_read_fills_only_its_own_queue() {
        let total = Total::default();
        let (slow, honest) = (Queue::new(total.clone()), Queue::new(total.clone()));
        let mut fitted = 0;
        while slow.push(frame(limits::FRAME_BYTES_MAX)) {
            fitted += 1;
        }
        assert!(fitted * limits::FRAME_BYTES_MAX >= limits::EFFECTS_BYTES_MAX);
        assert!(honest.push(frame(limits::FRAME_BYTES_MAX)));
        assert!(matches!(honest.pop().await, Out::Frame { .. }));
        assert!(matches!(slow.pop().await, Out::Frame { .. }));
        assert!(slow.push(frame(limits::FRAME_BYTES_MAX)));
        drop(slow);
        assert_eq!(total.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_sessions_together_are_bounded() {
        let total = Total::default();
        let queues: Vec<Queue> = (0..8).map(|_| Queue::new(total.clone())).collect();
        for queue in &queues {
            while queue.push(frame(limits::FRAME_BYTES_MAX)) {}
        }
        assert!(total.0.load(Ordering::Relaxed) <= TOTAL_BYTES_MAX);
    }
}
