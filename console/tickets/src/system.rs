//! The trait and its words. Times are arguments; the network, if any, is behind the trait.

use protocol::documents::TicketState;
use protocol::{AgentName, Digest, EndpointId, TicketId, Time};
use serde::{Deserialize, Serialize};

use crate::{Key, TicketError};

/// Who reads a note or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The help desk only.
    Internal,
    /// The requester too.
    Public,
}

/// What kind of text a system shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Plain text.
    Plain,
    /// Markdown.
    Markdown,
    /// HTML.
    Html,
    /// Atlassian's document format.
    Adf,
}

/// What a system can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Notes that the requester does not see.
    pub internal_notes: bool,
    /// Files that the requester does not see.
    pub private_files: bool,
    /// Note, fields and state in one call.
    pub one_call: bool,
    /// A field for the key.
    pub fields: bool,
    /// States can be set.
    pub states: bool,
    /// Tickets can be made.
    pub create: bool,
    /// Longest note, characters.
    pub max_note_chars: usize,
    /// What kind of text.
    pub body: Body,
}

/// A ticket as its system shows it. Texts are people's: escape them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its number.
    pub id: TicketId,
    /// One line.
    pub subject: String,
    /// The state in the system's word.
    pub raw_state: String,
    /// Its class.
    pub class: TicketState,
    /// Where it may go from here.
    pub moves: Vec<TicketState>,
    /// Where people see it.
    pub url: Option<String>,
    /// The person with the problem.
    pub requester: Option<String>,
    /// Whose it is.
    pub assignee: Option<AgentName>,
    /// The machines it names.
    pub endpoints: Vec<EndpointId>,
}

/// A note about to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its key; also the last line of `body`.
    pub key: Key,
    /// Who reads it.
    pub audience: Audience,
    /// Who wrote it, if a person did.
    pub author: Option<AgentName>,
    /// The text.
    pub body: String,
}

/// A note that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRef {
    /// The system's number for it, where it has one.
    pub id: Option<String>,
    /// Who reads it.
    pub audience: Audience,
}

/// A file about to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its key.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// The system's number for it, where it has one.
    pub id: Option<String>,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// Why there is a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    /// Something is broken.
    #[default]
    Incident,
    /// Somebody wants something.
    Request,
    /// Planned work.
    Change,
}

impl TicketKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Incident, Self::Request, Self::Change];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Request => "request",
            Self::Change => "change",
        }
    }
}

/// A ticket about to be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTicket {
    /// One line.
    pub subject: String,
    /// What was said.
    pub body: String,
    /// Why.
    pub kind: TicketKind,
    /// Free word, as in `disk`.
    pub category: Option<String>,
    /// How it came, as in `phone`.
    pub channel: String,
    /// The person with the problem.
    pub requester: Option<String>,
    /// Whose it is.
    pub assignee: Option<AgentName>,
    /// Which machine.
    pub endpoint: Option<EndpointId>,
    /// How many people cannot work.
    pub blocked: u64,
}

/// A place where people read about their problem.
///
/// Calls block; who has other things to do calls from a thread of its own. No method is tried twice
/// inside: the outbox does that, because it looks up first.
pub trait TicketSystem: Send + Sync {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// A ticket as it is now.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] and the system's own.
    fn get(&self, id: &TicketId) -> Result<Ticket, TicketError>;

    /// The note with exactly this key in the ticket's own history.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for the ticket and the system's own.
    fn find_note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError>;

    /// Adds a note.
    ///
    /// # Errors
    /// [`TicketError::NotSupported`] where an internal note would be public; the system's own.
    fn add_note(&self, id: &TicketId, note: &Note, now: Time) -> Result<NoteRef, TicketError>;

    /// Moves a ticket and answers with what was read back.
    ///
    /// # Errors
    /// [`TicketError::StateRefused`] and the system's own.
    fn set_state(
        &self,
        id: &TicketId,
        to: TicketState,
        why: &str,
        now: Time,
    ) -> Result<Ticket, TicketError>;

    /// Attaches a file.
    ///
    /// # Errors
    /// [`TicketError::NotSupported`] where an internal file would be public; the system's own.
    fn attach(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        now: Time,
    ) -> Result<FileRef, TicketError>;

    /// Opens a ticket; the same key again is the same ticket where the system can know.
    ///
    /// # Errors
    /// The system's own.
    fn create(&self, new: &NewTicket, key: &Key, now: Time) -> Result<TicketId, TicketError>;
}
