//! Where people are reached: who set it, and when.

use protocol::documents::ContactKind;
use protocol::{AgentName, Time};
use rusqlite::{OptionalExtension as _, Row};

use crate::error::StoreError;
use crate::open::Store;
use crate::row;

/// A contact on file. Its address is for the sender alone: agents see it masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    /// As tickets name the person.
    pub person: String,
    /// How it reaches them.
    pub kind: ContactKind,
    /// The address.
    pub address: String,
    /// Who set it.
    pub set_by: AgentName,
    /// When.
    pub set_at: Time,
}

fn read(row: &Row<'_>) -> rusqlite::Result<ContactRow> {
    Ok(ContactRow {
        person: row.get("person")?,
        kind: row::word(row, "kind", ContactKind::ALL, ContactKind::word)?,
        address: row.get("address")?,
        set_by: row::text(row, "set_by")?,
        set_at: row::time(row, "set_at")?,
    })
}

const COLUMNS: &str = "SELECT person, kind, address, set_by, set_at FROM contacts";

impl Store {
    /// A person's contact.
    ///
    /// # Errors
    /// The store's own.
    pub fn contact(&self, person: &str) -> Result<Option<ContactRow>, StoreError> {
        self.read("look up a contact", |db| {
            let sql = format!("{COLUMNS} WHERE person = ?1");
            Ok(db.query_row(&sql, [person], read).optional()?)
        })
    }

    /// A page of the contacts by person.
    ///
    /// # Errors
    /// The store's own.
    pub fn contacts_page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ContactRow>, StoreError> {
        self.read("list contacts", |db| {
            let sql = format!("{COLUMNS} WHERE ?1 IS NULL OR person > ?1 ORDER BY person LIMIT ?2");
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map((after, row::limit(limit)), read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Sets a person's contact, in place of the one before. The very same one again keeps its age.
    ///
    /// # Errors
    /// The store's own.
    pub fn set_contact(
        &self,
        person: &str,
        (kind, address): (ContactKind, &str),
        by: &AgentName,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write("set a contact", |db| {
            db.execute(
                "INSERT INTO contacts (person, kind, address, set_by, set_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET kind = ?2, address = ?3, set_by = ?4, set_at = ?5
                 WHERE kind <> ?2 OR address <> ?3",
                (person, kind.word(), address, by.to_string(), row::stamp(now)),
            )?;
            Ok(())
        })
    }

    /// Removes a person's contact; says whether there was one.
    ///
    /// # Errors
    /// The store's own.
    pub fn remove_contact(&self, person: &str) -> Result<bool, StoreError> {
        self.write("remove a contact", |db| {
            Ok(db.execute("DELETE FROM contacts WHERE person = ?1", [person])? > 0)
        })
    }
}
