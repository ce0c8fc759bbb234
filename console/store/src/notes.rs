//! Notes and files of the built-in tickets: each key once. Never changed, never removed.

use protocol::{AgentName, Digest, Time};
use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::error::{StoreError, duplicate};
use crate::open::Store;
use crate::row;
use crate::tickets::one;

/// A note about to be added.
#[derive(Debug, Clone)]
pub struct NewNote<'a> {
    /// The ticket.
    pub ticket: u64,
    /// Unique for ever.
    pub key: &'a str,
    /// Whether the requester reads it.
    pub public: bool,
    /// Who wrote it, if a person did.
    pub author: Option<&'a AgentName>,
    /// The text.
    pub body: &'a str,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct NoteRow {
    /// Its number.
    #[n(0)]
    pub id: u64,
    /// Unique for ever.
    #[n(1)]
    pub key: String,
    /// Whether the requester reads it.
    #[n(2)]
    pub public: bool,
    /// Who wrote it, if a person did.
    #[n(3)]
    pub author: Option<AgentName>,
    /// The text. Escape it.
    #[n(4)]
    pub body: String,
    /// When.
    #[n(5)]
    pub posted: Time,
}

/// A file about to be attached.
#[derive(Debug, Clone)]
pub struct NewFile<'a> {
    /// The ticket.
    pub ticket: u64,
    /// Unique for ever.
    pub key: &'a str,
    /// Whether the requester reads it.
    pub public: bool,
    /// Its name, for people; never a path of ours.
    pub name: &'a str,
    /// Its media type.
    pub media: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// A file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct FileRow {
    /// Its number.
    #[n(0)]
    pub id: u64,
    /// Unique for ever.
    #[n(1)]
    pub key: String,
    /// Whether the requester reads it.
    #[n(2)]
    pub public: bool,
    /// Its name. Escape it.
    #[n(3)]
    pub name: String,
    /// Its media type.
    #[n(4)]
    pub media: String,
    /// SHA-256 of its bytes.
    #[n(5)]
    pub digest: Digest,
    /// How many bytes.
    #[n(6)]
    pub size: u64,
    /// When it was added.
    #[n(7)]
    pub added: Time,
}

fn read_note(row: &Row<'_>) -> rusqlite::Result<NoteRow> {
    Ok(NoteRow {
        id: row::number(row, "id")?,
        key: row.get("key")?,
        public: row.get::<_, String>("audience")? == "public",
        author: row::text_opt(row, "author")?,
        body: row.get("body")?,
        posted: row::time(row, "posted")?,
    })
}

fn read_file(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        id: row::number(row, "id")?,
        key: row.get("key")?,
        public: row.get::<_, String>("audience")? == "public",
        name: row.get("name")?,
        media: row.get("media")?,
        digest: row::text(row, "digest")?,
        size: row::number(row, "size")?,
        added: row::time(row, "added")?,
    })
}

const fn audience(public: bool) -> &'static str {
    if public { "public" } else { "internal" }
}

const FILES: &str = "SELECT id, key, audience, name, media, digest, length(bytes) AS size, added
     FROM files";

impl Store {
    /// Adds a note.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the ticket, [`StoreError::Duplicate`] for a key that exists.
    pub fn add_note(&self, new: &NewNote<'_>, now: Time) -> Result<u64, StoreError> {
        self.write("add a note", |db| {
            one(db, new.ticket)?;
            db.execute(
                "INSERT INTO notes (ticket, key, audience, author, body, posted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    row::int(new.ticket),
                    new.key,
                    audience(new.public),
                    new.author.map(AgentName::as_str),
                    new.body,
                    row::stamp(now),
                ),
            )
            .map_err(|e| duplicate(e, || format!("a note with key `{}`", new.key)))?;
            let id = db.last_insert_rowid();
            db.execute(
                "UPDATE tickets SET first_response = coalesce(first_response, ?2) WHERE id = ?1",
                (row::int(new.ticket), row::stamp(now)),
            )?;
            Ok(u64::try_from(id).unwrap_or_default())
        })
    }

    /// A note of this ticket by its key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the ticket.
    pub fn find_note(&self, ticket: u64, key: &str) -> Result<Option<NoteRow>, StoreError> {
        self.read("look up a note", |db| {
            one(db, ticket)?;
            let sql = "SELECT * FROM notes WHERE ticket = ?1 AND key = ?2";
            Ok(db.query_row(sql, (row::int(ticket), key), read_note).optional()?)
        })
    }

    /// A ticket's notes, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the ticket.
    pub fn notes(&self, ticket: u64) -> Result<Vec<NoteRow>, StoreError> {
        self.notes_page(ticket, 0, 0)
    }

    /// As [`Store::notes`], at most `limit` (zero means all) with numbers above `after`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the ticket.
    pub fn notes_page(
        &self,
        ticket: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<NoteRow>, StoreError> {
        self.read("list the notes", |db| {
            one(db, ticket)?;
            let sql = "SELECT * FROM notes WHERE ticket = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let key = (row::int(ticket), row::int(after), row::limit(limit));
            Ok(statement.query_map(key, read_note)?.collect::<Result<_, _>>()?)
        })
    }

    /// Attaches a file; the same key again answers with the file that is there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the ticket.
    pub fn add_file(&self, new: &NewFile<'_>, now: Time) -> Result<FileRow, StoreError> {
        self.write("attach a file", |db| {
            one(db, new.ticket)?;
            db.execute(
                "INSERT INTO files (ticket, key, audience, name, media, digest, bytes, added)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key) DO NOTHING",
                (
                    row::int(new.ticket),
                    new.key,
                    audience(new.public),
                    new.name,
                    new.media,
                    Digest::of(new.bytes).to_string(),
                    new.bytes,
                    row::stamp(now),
                ),
            )?;
            Ok(db.query_row(&format!("{FILES} WHERE key = ?1"), [new.key], read_file)?)
        })
    }

    /// A ticket's files, oldest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn files(&self, ticket: u64) -> Result<Vec<FileRow>, StoreError> {
        self.files_page(ticket, 0, 0)
    }

    /// As [`Store::files`], at most `limit` (zero means all) with numbers above `after`.
    ///
    /// # Errors
    /// The store's own.
    pub fn files_page(
        &self,
        ticket: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FileRow>, StoreError> {
        self.read("list the files", |db| {
            let sql = format!("{FILES} WHERE ticket = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
            let mut statement = db.prepare_cached(&sql)?;
            let key = (row::int(ticket), row::int(after), row::limit(limit));
            Ok(statement.query_map(key, read_file)?.collect::<Result<_, _>>()?)
        })
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// The store's own.
    pub fn file_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a file", |db| {
            let sql = "SELECT bytes FROM files WHERE key = ?1";
            Ok(db.query_row(sql, [key], |row| row.get(0)).optional()?)
        })
    }
}
