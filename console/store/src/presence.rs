//! Who is here at this moment, and when the others were. A desk that was killed could not say that
//! its lines ended: what it said counts for a while only, and is told again before that.

use protocol::{AgentName, EndpointId, Time};
use rusqlite::Connection;
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row::{self, words};

/// How long a line counts as up without being told again, seconds.
pub const HERE_SECONDS: u64 = 150;

words! {
    /// Who dialled the line to an endpoint.
    Way {
        /// The endpoint, and it keeps the line.
        Kept = "kept",
        /// The desk.
        Dialled = "dialled",
    }
}

/// When the desk last had an agent's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct AgentSeen {
    /// The name.
    #[n(0)]
    pub name: AgentName,
    /// When.
    #[n(1)]
    pub seen: Time,
    /// Whether a line of theirs is up.
    #[n(2)]
    pub here: bool,
}

/// Notes an endpoint as seen; a line that is up stays up.
pub(crate) fn seen(db: &Connection, id: &EndpointId, now: Time) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO presence (endpoint, seen) VALUES (?1, ?2)
         ON CONFLICT (endpoint) DO UPDATE SET seen = max(seen, excluded.seen)",
    )?
    .execute((id.to_string(), row::stamp(now)))?;
    Ok(())
}

impl Store {
    /// These lines are up at this moment. Told again within [`HERE_SECONDS`], so without a wait for
    /// the disk.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoints_here(&self, lines: &[(EndpointId, Way)], now: Time) -> Result<(), StoreError> {
        self.write_soon("note who is here", |db| {
            let mut note = db.prepare_cached(
                "INSERT INTO presence (endpoint, seen, here, way)
                 SELECT id, ?2, ?3, ?4 FROM endpoints WHERE id = ?1
                 ON CONFLICT (endpoint) DO UPDATE SET seen = ?2, here = ?3, way = ?4",
            )?;
            let until = row::stamp(now.plus(HERE_SECONDS));
            for (id, way) in lines {
                note.execute((id.to_string(), row::stamp(now), until, way.word()))?;
            }
            Ok(())
        })
    }

    /// Its line ended.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoint_left(&self, id: &EndpointId, now: Time) -> Result<(), StoreError> {
        self.write_soon("note who left", |db| {
            db.execute(
                "UPDATE presence SET seen = max(seen, ?2), here = 0 WHERE endpoint = ?1",
                (id.to_string(), row::stamp(now)),
            )?;
            Ok(())
        })
    }

    /// These agents have a line up at this moment; as [`Store::endpoints_here`].
    ///
    /// # Errors
    /// The store's own.
    pub fn agents_here(&self, names: &[AgentName], now: Time) -> Result<(), StoreError> {
        self.write_soon("note which agents are here", |db| {
            let mut note = db.prepare_cached(
                "INSERT INTO consoles (agent, seen, here) VALUES (?1, ?2, ?3)
                 ON CONFLICT (agent) DO UPDATE SET seen = ?2, here = ?3",
            )?;
            let until = row::stamp(now.plus(HERE_SECONDS));
            for name in names {
                note.execute((name.as_str(), row::stamp(now), until))?;
            }
            Ok(())
        })
    }

    /// An agent's last line ended.
    ///
    /// # Errors
    /// The store's own.
    pub fn agent_left(&self, name: &AgentName, now: Time) -> Result<(), StoreError> {
        self.write_soon("note which agent left", |db| {
            db.execute(
                "UPDATE consoles SET seen = max(seen, ?2), here = 0 WHERE agent = ?1",
                (name.as_str(), row::stamp(now)),
            )?;
            Ok(())
        })
    }

    /// No line is up: the desk begins, or ends.
    ///
    /// # Errors
    /// The store's own.
    pub fn nobody_here(&self) -> Result<(), StoreError> {
        self.write_soon("note that nobody is here", |db| {
            db.execute("UPDATE presence SET here = 0 WHERE here <> 0", [])?;
            db.execute("UPDATE consoles SET here = 0 WHERE here <> 0", [])?;
            Ok(())
        })
    }

    /// Agents whose consoles the desk had, by name, at most `limit` (zero means all) behind a name.
    ///
    /// # Errors
    /// The store's own.
    pub fn agents_seen(
        &self,
        after: Option<&AgentName>,
        limit: usize,
        now: Time,
    ) -> Result<Vec<AgentSeen>, StoreError> {
        self.read("list who was here", |db| {
            let mut statement = db.prepare_cached(
                "SELECT agent, seen, here > ?1 AS here FROM consoles
                 WHERE ?2 IS NULL OR agent > ?2 ORDER BY agent LIMIT ?3",
            )?;
            let key = (row::stamp(now), after.map(AgentName::as_str), row::limit(limit));
            let read = |row: &rusqlite::Row<'_>| {
                Ok(AgentSeen {
                    name: row::text(row, "agent")?,
                    seen: row::time(row, "seen")?,
                    here: row.get("here")?,
                })
            };
            Ok(statement.query_map(key, read)?.collect::<Result<_, _>>()?)
        })
    }
}
