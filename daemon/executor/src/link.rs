//! The two lines of this process, as the rest of the crate sees them: keeper and interpreter.
//!
//! Knows no pipe; `pipes` puts these traits on the real ones, tests on made ones.

use hatch::messages::{FromExecutor, FromHost, ToExecutor, ToHost};

use crate::clock::Deadline;

/// The line is gone or carries nonsense: this run cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line to the keeper or the interpreter is gone")]
pub(crate) struct Lost;

/// The keeper.
pub(crate) trait Keeper: std::fmt::Debug {
    /// Tells it something, not later than the next [`Keeper::flush`].
    fn tell(&mut self, message: &FromExecutor) -> Result<(), Lost>;
    /// All that was told is on its way: before a wait, and within a call that takes its time.
    fn flush(&mut self) -> Result<(), Lost>;
    /// Waits for what it says, which is an answer to what it was told.
    fn hear(&mut self, until: Deadline) -> Result<ToExecutor, Lost>;
}

/// The interpreter.
pub(crate) trait Peer {
    /// Whether another message has come already: hearing it is no wait.
    fn has_more(&self) -> bool;
    /// Its next message; none once it said that it is done or is gone.
    fn hear(&mut self) -> Result<Option<ToHost>, Lost>;
    /// Answers its call; whether the answer was small enough to be sent.
    fn answer(&mut self, answer: &FromHost) -> Result<bool, Lost>;
}
