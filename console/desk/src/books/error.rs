//! Why the books did not do something: the store's reason, the desk's, or the line's.

use protocol::frames::sorry;
use protocol::limits;
use store::StoreError;
use tickets::TicketError;

use crate::identity::CodeError;

/// The desk's no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Sorry {
    /// Stable code of [`protocol::frames::sorry`].
    pub code: String,
    /// One sentence; over a line it is the desk's text: escape it.
    pub sentence: String,
    /// What to do next, where the desk knows.
    pub next: Option<String>,
    /// For the desk's own journal, with paths and causes; never sent.
    pub fault: Option<String>,
}

impl Sorry {
    /// A no with a sentence.
    #[must_use]
    pub fn new(code: &str, sentence: impl Into<String>) -> Self {
        let sentence: String = sentence.into();
        Self {
            code: code.to_owned(),
            sentence: sentence.chars().take(limits::SAY_CHARS_MAX).collect(),
            next: None,
            fault: None,
        }
    }
    /// With a next step.
    #[must_use]
    pub fn next(self, step: impl Into<String>) -> Self {
        Self { next: Some(step.into()), ..self }
    }
}

/// Why the line to the shared desk did not carry a question and its answer.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// It is not reached: nothing was asked.
    #[error("the desk at {desk} is not reachable; nothing was changed")]
    Away {
        /// As configured.
        desk: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The line broke after the question left.
    #[error("the line to the desk at {desk} broke; whether it took the last change is not known")]
    Broken {
        /// As configured.
        desk: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something else than an answer came.
    #[error("the desk at {desk} answered with something else")]
    Unexpected {
        /// As configured.
        desk: String,
    },
    /// The desk speaks other versions only.
    #[error("the desk at {desk} speaks versions {min} to {max}, this salve {ours}")]
    Version {
        /// As configured.
        desk: String,
        /// Its oldest.
        min: u32,
        /// Its newest.
        max: u32,
        /// Ours.
        ours: u32,
    },
    /// No thread, socket or key for a line here.
    #[error("could not set up a line to the desk at {desk}; nothing was changed")]
    Local {
        /// As configured.
        desk: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the books did not do something.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The store in this process.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ticket system's rules, in this process.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The shared desk says no.
    #[error(transparent)]
    Desk(#[from] Sorry),
    /// The line to the shared desk.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// Only where the store itself is.
    #[error("only the desk at {desk} itself can do this")]
    Elsewhere {
        /// The desk that this home works with.
        desk: String,
    },
    /// A value beyond what is taken.
    #[error("`{field}` is beyond what is taken; see `salve endpoints enroll --help`")]
    Beyond {
        /// Which.
        field: &'static str,
    },
    /// Papers of an order that asks, or of an answer, which are none.
    #[error("{why}; nothing was kept")]
    Papers {
        /// What is wrong.
        why: &'static str,
    },
    /// A contact that was not set, or a caller who could not be asked for a code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A result that could not be written; not seen in practice.
    #[error("could not write the answer")]
    NoAnswer,
}

impl BookError {
    fn is(&self, code: &str) -> bool {
        matches!(self, Self::Desk(sorry) if sorry.code == code)
    }
    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        let here = matches!(
            self,
            Self::Store(StoreError::NotFound { .. }) | Self::Ticket(TicketError::NotFound { .. })
        );
        here || self.is(sorry::NOT_FOUND)
    }
    /// Whether something of that name is there already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Store(StoreError::Duplicate { .. })) || self.is(sorry::DUPLICATE)
    }
    /// Whether a token is unknown, used or expired.
    #[must_use]
    pub fn is_token(&self) -> bool {
        matches!(self, Self::Store(StoreError::Token)) || self.is(sorry::TOKEN)
    }
    /// Whether a secret was opened before.
    #[must_use]
    pub fn is_opened(&self) -> bool {
        matches!(self, Self::Store(StoreError::Opened { .. })) || self.is(sorry::OPENED)
    }
    /// Whether the same question may be answered a little later.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Store(StoreError::Locked { .. })) || self.is(sorry::BUSY)
    }

    /// What a console at the other end of a line is told.
    pub(crate) fn said(self) -> Sorry {
        let whole = protocol::error_chain::ErrorChain(&self).to_string();
        let code = match &self {
            Self::Desk(sorry) => return sorry.clone(),
            Self::Store(StoreError::NotFound { .. })
            | Self::Ticket(TicketError::NotFound { .. }) => sorry::NOT_FOUND,
            Self::Store(StoreError::Duplicate { .. }) => sorry::DUPLICATE,
            Self::Store(StoreError::Token) => sorry::TOKEN,
            Self::Store(StoreError::Opened { .. }) => sorry::OPENED,
            Self::Beyond { .. }
            | Self::Papers { .. }
            | Self::Store(StoreError::TooMany { .. })
            | Self::Ticket(TicketError::TooLarge { .. } | TicketError::Invalid { .. }) => {
                sorry::LIMIT
            }
            Self::Ticket(TicketError::StateRefused { .. }) => sorry::TICKET_STATE,
            Self::Store(StoreError::Locked { .. }) => {
                let fault = Some(whole);
                let busy = Sorry::new(sorry::BUSY, "the desk's store is busy; nothing was changed");
                return Sorry { fault, ..busy.next("run the command again") };
            }
            Self::Code(error) => {
                let sorry = Sorry::new(error.code(), self.to_string()).next(error.next());
                // What lies beneath is for whoever runs the desk.
                let beneath = std::error::Error::source(error).is_some();
                return Sorry { fault: beneath.then_some(whole), ..sorry };
            }
            Self::Store(_)
            | Self::Ticket(_)
            | Self::Line(_)
            | Self::Elsewhere { .. }
            | Self::NoAnswer => {
                let words = "the desk's store could not do it; nothing was changed";
                let next = "whoever runs the desk finds the reason in its journal";
                return Sorry { fault: Some(whole), ..Sorry::new(sorry::STORE, words).next(next) };
            }
        };
        Sorry::new(code, self.to_string())
    }
}
