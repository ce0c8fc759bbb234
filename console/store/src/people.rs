//! Agents as the desk met them. Who may do what stands in the signed policy, never here.

use protocol::{AgentName, Time};
use rusqlite::Row;
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row::{self, words};

words! {
    /// How far an agent has come.
    AgentState {
        /// Has a token.
        Invited = "invited",
        /// Sent keys and got a certificate.
        Joined = "joined",
        /// Left.
        Withdrawn = "withdrawn",
    }
}

/// An agent as the desk met them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct AgentRow {
    /// The name.
    #[n(0)]
    pub name: AgentName,
    /// The join request's envelope, if there was one.
    #[serde(skip)]
    #[cbor(n(1), with = "minicbor::bytes")]
    pub document: Option<Vec<u8>>,
    /// The newest TLS certificate, DER.
    #[serde(skip)]
    #[cbor(n(2), with = "minicbor::bytes")]
    pub certificate: Option<Vec<u8>>,
    /// Since when in this state.
    #[n(3)]
    pub since: Time,
    /// How far.
    #[n(4)]
    pub state: AgentState,
}

fn read_agent(row: &Row<'_>) -> rusqlite::Result<AgentRow> {
    Ok(AgentRow {
        name: row::text(row, "name")?,
        document: row.get("document")?,
        certificate: row.get("certificate")?,
        since: row::time(row, "since")?,
        state: row::word(row, "state", AgentState::ALL, AgentState::word)?,
    })
}

impl Store {
    /// Writes an agent; a field that is `None` keeps what is there.
    ///
    /// # Errors
    /// The store's own.
    pub fn put_agent(
        &self,
        name: &AgentName,
        state: AgentState,
        document: Option<&[u8]>,
        certificate: Option<&[u8]>,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write("write an agent", |db| {
            db.execute(
                "INSERT INTO agents (name, document, certificate, since, state)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET since = ?4, state = ?5,
                     document = coalesce(?2, document), certificate = coalesce(?3, certificate)",
                (name.as_str(), document, certificate, row::stamp(now), state.word()),
            )?;
            Ok(())
        })
    }

    /// All agents by name.
    ///
    /// # Errors
    /// The store's own.
    pub fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        self.agents_page(None, 0)
    }

    /// As [`Store::agents`], at most `limit` (zero means all) behind a name.
    ///
    /// # Errors
    /// The store's own.
    pub fn agents_page(
        &self,
        after: Option<&AgentName>,
        limit: usize,
    ) -> Result<Vec<AgentRow>, StoreError> {
        self.read("list the agents", |db| {
            let sql = "SELECT * FROM agents WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            let key = (after.map(AgentName::as_str), row::limit(limit));
            Ok(statement.query_map(key, read_agent)?.collect::<Result<_, _>>()?)
        })
    }
}
