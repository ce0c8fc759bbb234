//! What machines last said of themselves, one row each. The record of the run proves it.

use protocol::{Bytes, EndpointId, RunId, Time};
use rusqlite::OptionalExtension as _;
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row;

/// Facts of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct FactsRow {
    /// The run whose output they are.
    #[n(0)]
    pub run: RunId,
    /// When that ended.
    #[n(1)]
    pub looked: Time,
    /// The output, byte for byte; its record has the digest.
    #[n(2)]
    pub bytes: Bytes,
}

/// Who was signed in when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct SignedIn {
    /// When.
    #[n(0)]
    pub looked: Time,
    /// Accounts. The machine's words: escape them.
    #[n(1)]
    pub people: Vec<String>,
}

impl Store {
    /// Keeps facts; older ones do not replace newer ones. False where they were older, or nobody knows
    /// the endpoint. The endpoint has them still, so this does not wait for the disk.
    ///
    /// # Errors
    /// The store's own.
    pub fn set_facts(
        &self,
        id: &EndpointId,
        facts: &FactsRow,
        signed_in: &[String],
    ) -> Result<bool, StoreError> {
        self.write_soon("keep facts of a machine", |db| {
            let (endpoint, looked) = (id.to_string(), row::stamp(facts.looked));
            let kept = db.execute(
                "INSERT INTO facts (endpoint, run, looked, bytes)
                 SELECT id, ?2, ?3, ?4 FROM endpoints WHERE id = ?1
                 ON CONFLICT (endpoint) DO UPDATE
                 SET run = ?2, looked = ?3, bytes = ?4 WHERE looked <= ?3",
                (&endpoint, facts.run.to_string(), looked, &facts.bytes.0),
            )? > 0;
            if kept {
                db.execute("DELETE FROM signed_in WHERE endpoint = ?1", [&endpoint])?;
                let sql = "INSERT INTO signed_in (endpoint, person, looked) VALUES (?1, ?2, ?3)
                           ON CONFLICT DO NOTHING";
                let mut statement = db.prepare_cached(sql)?;
                for person in signed_in {
                    statement.execute((&endpoint, person, looked))?;
                }
            }
            Ok(kept)
        })
    }

    /// Facts of an endpoint.
    ///
    /// # Errors
    /// The store's own.
    pub fn facts(&self, id: &EndpointId) -> Result<Option<FactsRow>, StoreError> {
        self.read("read facts of a machine", |db| {
            let sql = "SELECT run, looked, bytes FROM facts WHERE endpoint = ?1";
            let read = |found: &rusqlite::Row<'_>| {
                Ok(FactsRow {
                    run: row::text(found, "run")?,
                    looked: row::time(found, "looked")?,
                    bytes: Bytes(found.get("bytes")?),
                })
            };
            Ok(db.query_row(sql, [id.to_string()], read).optional()?)
        })
    }
}
