//! Both clocks, and a timer that also counts while the machine sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::Time;
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use super::DriverError;
use crate::core::Stamp;

/// This instant by both clocks.
#[must_use]
pub fn now() -> Stamp {
    #[expect(clippy::disallowed_methods, reason = "the driver reads the clock, the core never")]
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let boot = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(boot.tv_nsec).unwrap_or(0);
    Stamp { wall: Time::from_unix(wall), mono_ms: seconds * 1000 + nanoseconds / 1_000_000 }
}

/// One alarm at a time.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
    set: Option<u64>,
}

impl Timer {
    pub(super) fn new() -> Result<Self, DriverError> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Boottime, flags)
            .map_err(|e| DriverError::Io("make a timer", e.into()))?;
        Ok(Self { fd, set: None })
    }

    /// Rings at this time, in milliseconds of `CLOCK_BOOTTIME`; never, where there is none.
    pub(super) fn set(&mut self, at: Option<u64>) -> Result<(), DriverError> {
        if self.set == at {
            return Ok(());
        }
        // All zero would switch it off: a time long past rings at once, too.
        let at_least = at.map(|ms| ms.max(1));
        let value = Timespec::try_from(Duration::from_millis(at_least.unwrap_or(0)))
            .map_err(|_| DriverError::Io("set the timer", Errno::INVAL.into()))?;
        let spec = Itimerspec { it_interval: Timespec::default(), it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)
            .map_err(|e| DriverError::Io("set the timer", e.into()))?;
        self.set = at;
        Ok(())
    }

    /// It has rung.
    pub(super) fn clear(&mut self) -> Result<(), DriverError> {
        self.set = None;
        match rustix::io::read(&self.fd, &mut [0u8; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(DriverError::Io("read the timer", error.into())),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
