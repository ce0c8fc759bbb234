//! A point in time after which a step gives up. The only room of this crate that reads a clock.

use std::time::{Duration, Instant};

/// After this a step gives up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    began: Instant,
    until: Duration,
}

impl Deadline {
    /// So far behind a reading of the monotonic clock.
    #[must_use]
    pub const fn behind(began: Instant, until: Duration) -> Self {
        Self { began, until }
    }
    /// So far from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline begins now; whoever has a run's clock takes it from there"
    )]
    #[must_use]
    pub fn within(until: Duration) -> Self {
        Self { began: Instant::now(), until }
    }
    /// What is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_sub(self.began.elapsed())
    }
    /// Whether it is over.
    #[must_use]
    pub fn over(&self) -> bool {
        self.left().is_zero()
    }
    /// What is left as the kernel's `timespec`, at most `step`.
    #[must_use]
    pub fn timespec(&self, step: Duration) -> rustix::time::Timespec {
        let left = self.left().min(step);
        rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        }
    }
}
