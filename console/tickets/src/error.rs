//! What a ticket system may answer. Never carries a token, a header or a note's text.

use protocol::TicketId;
use protocol::documents::TicketState;

/// Why a ticket system did not do something, or may have.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// It does not know us.
    #[error("the ticket system does not accept our token")]
    Auth,
    /// It knows us and says no.
    #[error("the ticket system does not allow this")]
    Forbidden,
    /// There is no such ticket.
    #[error("there is no ticket {ticket}")]
    NotFound {
        /// Which.
        ticket: TicketId,
    },
    /// The ticket cannot go to this state from where it is.
    #[error("the ticket cannot become {to:?} now")]
    StateRefused {
        /// Wanted.
        to: TicketState,
        /// Possible.
        allowed: Vec<TicketState>,
    },
    /// A field is wrong.
    #[error("the ticket system refuses the field {field}")]
    Invalid {
        /// Which.
        field: &'static str,
    },
    /// Somebody else was faster.
    #[error("the ticket was changed at the same time")]
    Conflict,
    /// Too many requests.
    #[error("the ticket system asks to wait {after} s")]
    RateLimited {
        /// Seconds.
        after: u64,
    },
    /// Longer than the system takes.
    #[error("longer than {max} characters")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// No answer: it may have been done. Look it up before trying again.
    #[error("no answer from the ticket system; it may have done it")]
    Ambiguous {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Some of it was done.
    #[error("done: {done}; not done: {failed}")]
    Partial {
        /// What was done.
        done: String,
        /// What was not.
        failed: String,
    },
    /// This system cannot do this, and nothing was done instead.
    #[error("this ticket system cannot {what}")]
    NotSupported {
        /// What, as in "keep a note from the requester".
        what: &'static str,
    },
    /// It certainly did not do it.
    #[error("the ticket system could not do it")]
    Failed {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TicketError {
    /// Whether trying again can help without a person changing something.
    #[must_use]
    pub const fn is_worth_a_retry(&self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::RateLimited { .. }
                | Self::Ambiguous { .. }
                | Self::Partial { .. }
                | Self::Failed { .. }
        )
    }
}
