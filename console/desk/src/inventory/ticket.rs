//! Opening and moving tickets of the built-in system, by its own rules.

use protocol::documents::TicketState;
use protocol::{AgentName, Digest, EndpointId, TicketId, Time};
use tickets::{Key, KeyKind, NewTicket, Ticket, TicketError, TicketKind, TicketSystem as _};

use crate::chance::{NoChance, fresh};
use crate::org::Desk;
use crate::outbox::builtin;

/// Longest subject, characters: one line on a screen.
const SUBJECT_MAX: usize = 200;
/// Longest description, characters.
const BODY_MAX: usize = 16_000;

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
    /// No key for it.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// Opens a ticket.
///
/// # Errors
/// [`TicketTrouble`].
pub fn open_ticket(desk: &Desk, draft: Draft, now: Time) -> Result<TicketId, TicketTrouble> {
    for (field, text, max) in
        [("subject", &draft.subject, SUBJECT_MAX), ("description", &draft.body, BODY_MAX)]
    {
        if text.chars().count() > max {
            return Err(TicketTrouble::TooLong { field, max });
        }
    }
    // A ticket typed twice is two tickets: the key is chance, not the text.
    let key = Key::from_digest(&Digest(fresh()?), KeyKind::Ticket);
    let new = NewTicket {
        subject: draft.subject,
        body: draft.body,
        kind: draft.kind,
        category: draft.category,
        channel: draft.channel,
        requester: draft.requester,
        assignee: Some(draft.assignee.unwrap_or_else(|| desk.organisation.me.clone())),
        endpoint: draft.endpoint,
        blocked: draft.blocked,
    };
    Ok(builtin(&desk.store).create(&new, &key, now)?)
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
) -> Result<Ticket, TicketTrouble> {
    Ok(builtin(&desk.store).set_state(ticket, to, "by hand", now)?)
}
