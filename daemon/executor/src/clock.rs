//! The run's clock: the keeper's time at the start plus what has passed since, and the deadline.
//!
//! The only room of this process that reads a clock.

use std::time::{Duration, Instant};

pub(crate) use bus::Deadline;
use protocol::Time;

use crate::fail::Fail;

/// Time and deadline of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    at: Time,
    limit: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the run's one reading of the monotonic clock; everything else asks this struct"
    )]
    pub(crate) fn start(at: Time, limit: Duration) -> Self {
        Self { began: Instant::now(), at, limit }
    }
    /// A deadline so far from now, for what is done before there is a run.
    pub(crate) fn until(step: Duration) -> Deadline {
        Self::start(Time(0), step).end()
    }
    /// What has passed.
    pub(crate) fn passed(&self) -> Duration {
        self.began.elapsed()
    }
    /// Seconds since 1970.
    pub(crate) fn now(&self) -> Time {
        self.at.plus(self.passed().as_secs())
    }
    /// What is left until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.passed())
    }
    /// The deadline of a step that may take so long at most.
    pub(crate) fn within(&self, step: Duration) -> Deadline {
        Deadline::behind(self.began, self.passed() + step.min(self.left()))
    }
    /// The run's own deadline.
    pub(crate) fn end(&self) -> Deadline {
        Deadline::behind(self.began, self.limit)
    }
    /// An error once the deadline is over; it ends the run whatever the script does.
    pub(crate) fn check(&self) -> Result<(), Fail> {
        if self.left().is_zero() {
            return Err(Fail::fatal("limit_time", "the run's time is over"));
        }
        Ok(())
    }
}
