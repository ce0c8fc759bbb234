//! Endpoints as lists show them: one short row each, read from an index and from short tables, so
//! that ten thousand are listed as quickly as ten.

use std::collections::BTreeMap;

use protocol::documents::CatalogueVersions;
use protocol::{EndpointId, EndpointName, Label, Time};
use rusqlite::{Connection, Row, named_params};
use serde::Serialize;

use crate::endpoints::{EndpointPlace, EndpointState};
use crate::error::{Fault, StoreError};
use crate::facts::SignedIn;
use crate::open::Store;
use crate::presence::Way;
use crate::row::{self, words};

words! {
    /// How a machine is, the worst first.
    Level {
        /// Something is broken or about to be.
        Bad = "bad",
        /// Something needs care.
        Watch = "watch",
        /// It could not be told.
        Unknown = "unknown",
        /// Nothing is wrong that was looked at.
        Good = "good",
    }
}

/// How a machine was when somebody last looked, by a record that verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Health {
    /// When.
    #[n(0)]
    pub looked: Time,
    /// How bad.
    #[n(1)]
    pub level: Level,
    /// The worst of it. The machine's words: escape them.
    #[n(2)]
    pub words: String,
}

/// One endpoint in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Listed {
    /// Its id for ever.
    #[n(0)]
    pub id: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// Whose machine it is.
    #[n(2)]
    pub person: Option<String>,
    /// What the machine calls itself. Its word, not ours: escape it.
    #[n(3)]
    pub host: Option<String>,
    /// `HOST:PORT` where it can be dialled.
    #[n(4)]
    pub address: Option<String>,
    /// As on the card.
    #[n(5)]
    pub labels: BTreeMap<Label, Label>,
    /// When it joined.
    #[n(6)]
    pub enrolled: Time,
    /// When the desk last heard of it.
    #[n(7)]
    pub last_seen: Option<Time>,
    /// Whether a line to it is up at this moment.
    #[n(8)]
    pub here: bool,
    /// Who dialled its line, or its last one.
    #[n(9)]
    pub way: Option<Way>,
    /// How it was when somebody last looked.
    #[n(10)]
    pub health: Option<Health>,
    /// Whether it is still ours.
    #[n(11)]
    pub state: EndpointState,
    /// Who was signed in when its facts were last taken; none where policy does not ask, or nobody was.
    #[n(12)]
    pub signed_in: Option<SignedIn>,
}

impl Listed {
    /// Where it stands in the list of all.
    #[must_use]
    pub fn place(&self) -> EndpointPlace {
        EndpointPlace { state: self.state, name: self.name.clone(), id: self.id }
    }
}

/// Which endpoints to list; only active ones ever are.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct ListFilter {
    /// Not seen since then, or never and joined before.
    #[n(0)]
    pub unseen_since: Option<Time>,
    /// Only those whose name begins so.
    #[n(1)]
    pub prefix: Option<String>,
    /// Only those behind this place.
    #[n(2)]
    pub after: Option<EndpointPlace>,
    /// At most so many; zero means all.
    #[n(3)]
    pub limit: usize,
}

/// How an endpoint stands to the desk: what `salve status` adds up.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Standing {
    /// Its id for ever.
    #[n(0)]
    pub id: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// When it joined.
    #[n(2)]
    pub enrolled: Time,
    /// When the desk last heard of it.
    #[n(3)]
    pub last_seen: Option<Time>,
    /// The catalogue that it trusted then.
    #[n(4)]
    pub versions: Option<CatalogueVersions>,
}

const SELECT: &str =
    "SELECT e.id, e.name, e.person, e.host, e.address, e.labels, e.enrolled, e.state,
     p.seen AS last_seen, coalesce(p.here > :now, 0) AS here, p.way,
     h.looked, h.level, h.words,
     (SELECT group_concat(s.person, char(31)) FROM signed_in s WHERE s.endpoint = e.id) AS people,
     (SELECT max(s.looked) FROM signed_in s WHERE s.endpoint = e.id) AS people_at
     FROM endpoints e INDEXED BY endpoints_listed
     LEFT JOIN presence p ON p.endpoint = e.id
     LEFT JOIN health h ON h.endpoint = e.id";

fn read(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let health = match row::time_opt(row, "looked")? {
        Some(looked) => Some(Health {
            looked,
            level: row::word(row, "level", Level::ALL, Level::word)?,
            words: row.get("words")?,
        }),
        None => None,
    };
    let way: Option<String> = row.get("way")?;
    Ok(Listed {
        id: row::text(row, "id")?,
        name: row::text(row, "name")?,
        person: row.get("person")?,
        host: row.get("host")?,
        address: row.get("address")?,
        labels: row::json(row, "labels")?,
        enrolled: row::time(row, "enrolled")?,
        last_seen: row::time_opt(row, "last_seen")?,
        here: row.get("here")?,
        way: way.and_then(|way| Way::ALL.iter().copied().find(|one| one.word() == way)),
        health,
        state: row::word(row, "state", EndpointState::ALL, EndpointState::word)?,
        signed_in: signed_in(row)?,
    })
}

fn signed_in(row: &Row<'_>) -> rusqlite::Result<Option<SignedIn>> {
    let Some(looked) = row::time_opt(row, "people_at")? else { return Ok(None) };
    let people: Option<String> = row.get("people")?;
    // Facts hold no control characters.
    let people = people.unwrap_or_default().split('\u{1f}').map(str::to_owned).collect();
    Ok(Some(SignedIn { looked, people }))
}

fn list(db: &Connection, filter: &ListFilter, now: Time) -> Result<Vec<Listed>, Fault> {
    let after = filter.after.as_ref();
    // Only the conditions that are asked for: the index is walked from its place.
    let behind = after.map_or("", |_| "AND (e.name, e.id) > (:name, :id)");
    let unseen = filter.unseen_since.map_or(
        "",
        |_| "AND coalesce(p.here > :now, 0) = 0 AND coalesce(p.seen, e.enrolled) < :since",
    );
    // Behind every character of a name.
    let begins =
        filter.prefix.as_ref().map_or("", |_| "AND e.name >= :prefix AND e.name < :prefix || '{'");
    let sql = format!(
        "{SELECT} WHERE e.state = 'active' {behind} {unseen} {begins}
         ORDER BY e.name, e.id LIMIT :limit"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let given = named_params! {
        ":now": row::stamp(now),
        ":name": after.map(|place| place.name.to_string()),
        ":id": after.map(|place| place.id.to_string()),
        ":since": filter.unseen_since.map(row::stamp),
        ":prefix": filter.prefix,
        ":limit": row::limit(filter.limit),
    };
    for (name, value) in given {
        // A condition that is not asked for has no place for its value.
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    let mut rows = statement.raw_query();
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        listed.push(read(row)?);
    }
    Ok(listed)
}

impl Store {
    /// Active endpoints by name.
    ///
    /// # Errors
    /// The store's own.
    pub fn listed(&self, filter: &ListFilter, now: Time) -> Result<Vec<Listed>, StoreError> {
        self.read("list the endpoints", |db| list(db, filter, now))
    }

    /// A page of how the active endpoints stand, by id; no card is read.
    ///
    /// # Errors
    /// The store's own.
    pub fn standings_page(
        &self,
        after: Option<&EndpointId>,
        limit: usize,
    ) -> Result<Vec<Standing>, StoreError> {
        self.read("add up the endpoints", |db| {
            // Every id is behind the empty text: with "or null" no index would be walked.
            let sql = "SELECT e.id, e.name, e.enrolled, p.seen AS last_seen, e.versions
                       FROM endpoints e INDEXED BY endpoints_standing
                       LEFT JOIN presence p ON p.endpoint = e.id
                       WHERE e.state = 'active' AND e.id > ?1 ORDER BY e.id LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            let read = |found: &Row<'_>| {
                Ok(Standing {
                    id: row::text(found, "id")?,
                    name: row::text(found, "name")?,
                    enrolled: row::time(found, "enrolled")?,
                    last_seen: row::time_opt(found, "last_seen")?,
                    versions: row::json_opt(found, "versions")?,
                })
            };
            let after = after.map(EndpointId::to_string).unwrap_or_default();
            let rows = statement.query_map((after, row::limit(limit)), read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Names of the active endpoints, in order.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoint_names(&self) -> Result<Vec<String>, StoreError> {
        self.read("list the endpoints", |db| {
            let sql = "SELECT name FROM endpoints WHERE state = 'active' ORDER BY name";
            let mut statement = db.prepare_cached(sql)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
    }

    /// How an endpoint was when somebody looked; an older look does not replace a newer one. The record
    /// says it too, so this does not wait for the disk.
    ///
    /// # Errors
    /// The store's own.
    pub fn set_health(&self, id: &EndpointId, health: &Health) -> Result<(), StoreError> {
        self.write_soon("note how a machine is", |db| {
            db.execute(
                "INSERT INTO health (endpoint, looked, level, words)
                 SELECT id, ?2, ?3, ?4 FROM endpoints WHERE id = ?1
                 ON CONFLICT (endpoint) DO UPDATE
                 SET looked = ?2, level = ?3, words = ?4 WHERE looked <= ?2",
                (id.to_string(), row::stamp(health.looked), health.level.word(), &health.words),
            )?;
            Ok(())
        })
    }
}
