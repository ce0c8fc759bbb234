//! The built-in ticket system's rows, in the desk's own store.

use protocol::documents::TicketState;
use protocol::{TicketId, Time};
use store::{NewFile, NewNote, NewTicketRow, Store, StoreError};
use tickets::{
    Audience, Backend, Builtin, File, FileRef, Key, NewTicket, Note, NoteRef, Ticket, TicketError,
};

/// The store as a backend of the built-in ticket system.
#[derive(Debug, Clone, Copy)]
pub struct StoreBackend<'a>(&'a Store);

/// The built-in ticket system over this store.
#[must_use]
pub const fn builtin(store: &Store) -> Builtin<StoreBackend<'_>> {
    Builtin::new(StoreBackend(store))
}

/// Built-in numbers are plain digits without a leading zero; anything else is another system's.
pub(crate) fn number(id: &TicketId) -> Result<u64, TicketError> {
    let missing = || TicketError::NotFound { ticket: id.clone() };
    let number: u64 = id.as_str().parse().map_err(|_| missing())?;
    if number.to_string() == id.as_str() { Ok(number) } else { Err(missing()) }
}

fn failed(id: &TicketId) -> impl FnOnce(StoreError) -> TicketError + use<'_> {
    move |error| match error {
        StoreError::NotFound { .. } => TicketError::NotFound { ticket: id.clone() },
        // A transaction that did not end well was rolled back: it certainly did not happen.
        other => TicketError::Failed { source: Box::new(other) },
    }
}

const fn audience(public: bool) -> Audience {
    if public { Audience::Public } else { Audience::Internal }
}

impl Backend for StoreBackend<'_> {
    fn ticket(&self, id: &TicketId) -> Result<Ticket, TicketError> {
        let row = self.0.ticket(number(id)?).map_err(failed(id))?;
        Ok(Ticket {
            id: id.clone(),
            subject: row.subject,
            raw_state: format!("{:?}", row.state).to_lowercase(),
            class: row.state,
            moves: Vec::new(),
            url: None,
            requester: row.requester,
            assignee: row.assignee,
            endpoints: row.endpoint.into_iter().collect(),
        })
    }

    fn note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError> {
        let found = self.0.find_note(number(id)?, key.as_str()).map_err(failed(id))?;
        Ok(found.map(|n| NoteRef { id: Some(n.id.to_string()), audience: audience(n.public) }))
    }

    fn insert_note(
        &self,
        id: &TicketId,
        note: &Note,
        now: Time,
    ) -> Result<Option<NoteRef>, TicketError> {
        let new = NewNote {
            ticket: number(id)?,
            key: note.key.as_str(),
            public: note.audience == Audience::Public,
            author: note.author.as_ref(),
            body: &note.body,
        };
        match self.0.add_note(&new, now) {
            Ok(added) => Ok(Some(NoteRef { id: Some(added.to_string()), audience: note.audience })),
            Err(StoreError::Duplicate { .. }) => Ok(None),
            Err(error) => Err(failed(id)(error)),
        }
    }

    fn update_state(&self, id: &TicketId, to: TicketState, now: Time) -> Result<(), TicketError> {
        self.0.set_ticket_state(number(id)?, to, now).map_err(failed(id))?;
        Ok(())
    }

    fn insert_file(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        now: Time,
    ) -> Result<FileRef, TicketError> {
        let new = NewFile {
            ticket: number(id)?,
            key: file.key.as_str(),
            public: audience == Audience::Public,
            name: &file.name,
            media: &file.media,
            bytes: &file.bytes,
        };
        let added = self.0.add_file(&new, now).map_err(failed(id))?;
        Ok(FileRef { id: Some(added.id.to_string()), digest: added.digest })
    }

    fn insert_ticket(
        &self,
        new: &NewTicket,
        key: &Key,
        now: Time,
    ) -> Result<TicketId, TicketError> {
        let row = NewTicketRow {
            key: key.as_str().to_owned(),
            subject: new.subject.clone(),
            body: new.body.clone(),
            kind: new.kind.word().to_owned(),
            category: new.category.clone(),
            channel: new.channel.clone(),
            requester: new.requester.clone(),
            assignee: new.assignee.clone(),
            endpoint: new.endpoint,
            blocked: new.blocked,
        };
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| TicketError::Failed { source };
        let id = self.0.add_ticket(&row, now).map_err(|e| failed(Box::new(e)))?;
        id.to_string().parse().map_err(|e| failed(Box::new(e)))
    }
}
