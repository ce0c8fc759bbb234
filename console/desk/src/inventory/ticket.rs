//! Opening and moving tickets of the built-in system, by its own rules.

use protocol::documents::TicketState;
use protocol::{AgentName, Digest, EndpointId, TicketId, Time};
use store::{NewTicketRow, TicketRow};
use tickets::{Key, KeyKind, TicketError, TicketKind};

use crate::books::{BODY_CHARS_MAX, BookError, SUBJECT_CHARS_MAX};
use crate::chance::{NoChance, fresh};
use crate::org::Desk;
use crate::outbox::number;

/// A ticket as somebody asks for it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// One line.
    pub subject: String,
    /// What was said.
    pub body: String,
    /// Why.
    pub kind: TicketKind,
    /// Free word.
    pub category: Option<String>,
    /// How it came.
    pub channel: String,
    /// The person with the problem.
    pub requester: Option<String>,
    /// Whose it is; mine where nobody is named.
    pub assignee: Option<AgentName>,
    /// Which machine.
    pub endpoint: Option<EndpointId>,
    /// How many people cannot work.
    pub blocked: u64,
}

/// Why a ticket was not opened or moved.
#[derive(Debug, thiserror::Error)]
pub enum TicketTrouble {
    /// Longer than it may be.
    #[error("the {field} is longer than {max} characters")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// The limit.
        max: usize,
    },
    /// The ticket system.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The books.
    #[error(transparent)]
    Book(BookError),
    /// No key for it.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

impl From<BookError> for TicketTrouble {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Ticket(error) => Self::Ticket(error),
            other => Self::Book(other),
        }
    }
}

/// Opens a ticket.
///
/// # Errors
/// [`TicketTrouble`].
pub fn open_ticket(desk: &Desk, draft: Draft, now: Time) -> Result<TicketId, TicketTrouble> {
    for (field, text, max) in [
        ("subject", &draft.subject, SUBJECT_CHARS_MAX),
        ("description", &draft.body, BODY_CHARS_MAX),
    ] {
        if text.chars().count() > max {
            return Err(TicketTrouble::TooLong { field, max });
        }
    }
    // A ticket typed twice is two tickets: the key is chance, not the text.
    let key = Key::from_digest(&Digest(fresh()?), KeyKind::Ticket);
    let new = NewTicketRow {
        key: key.as_str().to_owned(),
        subject: draft.subject,
        body: draft.body,
        kind: draft.kind.word().to_owned(),
        category: draft.category,
        channel: draft.channel,
        requester: draft.requester,
        assignee: Some(draft.assignee.unwrap_or_else(|| desk.organisation.me.clone())),
        endpoint: draft.endpoint,
        blocked: draft.blocked,
    };
    let number = desk.store.add_ticket(new, now)?;
    number.to_string().parse().map_err(|_| TicketError::Invalid { field: "number" }.into())
}

/// Gives a ticket to somebody else and answers with what was read back.
///
/// # Errors
/// [`TicketTrouble`].
pub fn assign_ticket(
    desk: &Desk,
    ticket: &TicketId,
    to: AgentName,
    now: Time,
) -> Result<TicketRow, TicketTrouble> {
    let me = desk.organisation.me.clone();
    Ok(desk.store.assign_ticket(number(ticket)?, to, me, now)?)
}

/// Moves a ticket and answers with what was read back.
///
/// # Errors
/// [`TicketTrouble`].
pub fn move_ticket(
    desk: &Desk,
    ticket: &TicketId,
    to: TicketState,
    now: Time,
) -> Result<TicketRow, TicketTrouble> {
    Ok(desk.store.set_ticket_state(number(ticket)?, to, now)?)
}
