//! The built-in ticket system: rules here, rows behind [`Backend`] (tickets knows no SQL).

use protocol::documents::TicketState;
use protocol::{Digest, TicketId, Time};

use crate::{
    Audience, Body, Caps, File, FileRef, Key, NewTicket, Note, NoteRef, Ticket, TicketError,
    TicketSystem,
};

/// Longest note of the built-in system, characters: a page, not a log.
pub const NOTE_CHARS_MAX: usize = 16_000;
/// Largest file of the built-in system, bytes.
const FILE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Where the rows are. Numbers are the built-in system's own; keys are unique for ever.
pub trait Backend: Send + Sync {
    /// A ticket.
    ///
    /// # Errors
    /// [`TicketError::NotFound`], [`TicketError::Failed`].
    fn ticket(&self, id: &TicketId) -> Result<Ticket, TicketError>;
    /// The note of this ticket with this key.
    ///
    /// # Errors
    /// [`TicketError::NotFound`], [`TicketError::Failed`].
    fn note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError>;
    /// Adds a note; `None` where the key exists already.
    ///
    /// # Errors
    /// [`TicketError::NotFound`], [`TicketError::Failed`].
    fn insert_note(
        &self,
        id: &TicketId,
        note: &Note,
        now: Time,
    ) -> Result<Option<NoteRef>, TicketError>;
    /// Moves a ticket.
    ///
    /// # Errors
    /// [`TicketError::NotFound`], [`TicketError::Failed`].
    fn update_state(&self, id: &TicketId, to: TicketState, now: Time) -> Result<(), TicketError>;
    /// Adds a file; the one that is there where the key exists already.
    ///
    /// # Errors
    /// [`TicketError::NotFound`], [`TicketError::Failed`].
    fn insert_file(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        now: Time,
    ) -> Result<FileRef, TicketError>;
    /// Adds a ticket; the one that is there where the key exists already.
    ///
    /// # Errors
    /// [`TicketError::Failed`].
    fn insert_ticket(&self, new: &NewTicket, key: &Key, now: Time)
    -> Result<TicketId, TicketError>;
}

/// The built-in ticket system.
#[derive(Debug, Clone)]
pub struct Builtin<B> {
    backend: B,
}

impl<B: Backend> Builtin<B> {
    /// Over these rows.
    pub const fn new(backend: B) -> Self {
        Self { backend }
    }
}

/// Where a ticket may go. Closed ones come back only by being reopened.
pub(crate) fn moves(from: TicketState) -> Vec<TicketState> {
    use TicketState::{Closed, Open, Pending, Resolved};
    match from {
        Open => vec![Pending, Resolved, Closed],
        Pending => vec![Open, Resolved, Closed],
        Resolved => vec![Open, Closed],
        Closed => vec![Open],
    }
}

impl<B: Backend> TicketSystem for Builtin<B> {
    fn caps(&self) -> Caps {
        Caps {
            internal_notes: true,
            private_files: true,
            one_call: false,
            fields: true,
            states: true,
            create: true,
            max_note_chars: NOTE_CHARS_MAX,
            body: Body::Plain,
        }
    }

    fn get(&self, id: &TicketId) -> Result<Ticket, TicketError> {
        let ticket = self.backend.ticket(id)?;
        Ok(Ticket { moves: moves(ticket.class), ..ticket })
    }

    fn find_note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError> {
        self.backend.note(id, key)
    }

    fn add_note(&self, id: &TicketId, note: &Note, now: Time) -> Result<NoteRef, TicketError> {
        if note.body.chars().count() > NOTE_CHARS_MAX {
            return Err(TicketError::TooLarge { max: NOTE_CHARS_MAX });
        }
        if note.body.trim().is_empty() {
            return Err(TicketError::Invalid { field: "body" });
        }
        if let Some(added) = self.backend.insert_note(id, note, now)? {
            return Ok(added);
        }
        // The key exists: in this ticket it is our own note, in another one a mistake.
        self.backend.note(id, &note.key)?.ok_or(TicketError::Conflict)
    }

    fn set_state(
        &self,
        id: &TicketId,
        to: TicketState,
        _why: &str,
        now: Time,
    ) -> Result<Ticket, TicketError> {
        let before = self.get(id)?;
        if before.class != to {
            if !before.moves.contains(&to) {
                return Err(TicketError::StateRefused { to, allowed: before.moves });
            }
            self.backend.update_state(id, to, now)?;
        }
        let after = self.get(id)?;
        if after.class == to { Ok(after) } else { Err(TicketError::Conflict) }
    }

    fn attach(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        now: Time,
    ) -> Result<FileRef, TicketError> {
        if file.bytes.len() > FILE_BYTES_MAX {
            return Err(TicketError::TooLarge { max: FILE_BYTES_MAX });
        }
        let added = self.backend.insert_file(id, file, audience, now)?;
        let same = added.digest == Digest::of(&file.bytes);
        if same { Ok(added) } else { Err(TicketError::Conflict) }
    }

    fn create(&self, new: &NewTicket, key: &Key, now: Time) -> Result<TicketId, TicketError> {
        if new.subject.trim().is_empty() {
            return Err(TicketError::Invalid { field: "subject" });
        }
        self.backend.insert_ticket(new, key, now)
    }
}
