//! Endpoints as the desk knows them. The card is the truth about keys; this is the address book.

use std::collections::BTreeMap;

use protocol::documents::{CatalogueVersions, Doubt, Head, Sighting};
use protocol::{EndpointId, EndpointName, Label, Time};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use crate::error::{Fault, StoreError, duplicate};
use crate::open::Store;
use crate::row::{self, words};

words! {
    /// Whether an endpoint is still ours.
    EndpointState {
        /// In use.
        Active = "active",
        /// Withdrawn: its card's serial is on the deny list.
        Withdrawn = "withdrawn",
        /// Another id carries its name now.
        Replaced = "replaced",
    }
}

/// A freshly enrolled endpoint.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct NewEndpoint {
    /// Its id for ever.
    #[n(0)]
    pub id: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// The card's envelope, byte for byte.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub card: Vec<u8>,
    /// `HOST:PORT` where it can be dialled.
    #[n(3)]
    pub address: Option<String>,
    /// Whose machine it is, as in `jo.meyer`.
    #[n(4)]
    pub person: Option<String>,
    /// As on the card.
    #[n(5)]
    pub labels: BTreeMap<Label, Label>,
    /// What the machine calls itself.
    #[n(6)]
    pub host: Option<String>,
    /// `linux`.
    #[n(7)]
    pub platform: Option<String>,
}

/// An endpoint in the address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct EndpointRow {
    /// Its id for ever.
    #[n(0)]
    pub id: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// The card's envelope, byte for byte.
    #[serde(skip)]
    #[cbor(n(2), with = "minicbor::bytes")]
    pub card: Vec<u8>,
    /// `HOST:PORT` where it can be dialled.
    #[n(3)]
    pub address: Option<String>,
    /// Whose machine it is.
    #[n(4)]
    pub person: Option<String>,
    /// As on the card.
    #[n(5)]
    pub labels: BTreeMap<Label, Label>,
    /// What the machine calls itself. Its word, not ours: escape it.
    #[n(6)]
    pub host: Option<String>,
    /// `linux`.
    #[n(7)]
    pub platform: Option<String>,
    /// When it joined.
    #[n(8)]
    pub enrolled: Time,
    /// When the desk last heard of it.
    #[n(9)]
    pub last_seen: Option<Time>,
    /// The catalogue it trusted then.
    #[n(10)]
    pub versions: Option<CatalogueVersions>,
    /// The head of its records then.
    #[n(11)]
    pub head: Option<Head>,
    /// Version of its daemon then.
    #[n(12)]
    pub daemon: Option<String>,
    /// Whether it is still ours.
    #[n(13)]
    pub state: EndpointState,
}

/// Where an endpoint stands in the list of all: pages go on behind it, also when it has moved.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct EndpointPlace {
    /// The active ones come first.
    #[n(0)]
    pub state: EndpointState,
    /// Then by name.
    #[n(1)]
    pub name: EndpointName,
    /// Then by id.
    #[n(2)]
    pub id: EndpointId,
}

impl EndpointRow {
    /// Where it stands in the list of all.
    #[must_use]
    pub fn place(&self) -> EndpointPlace {
        EndpointPlace { state: self.state, name: self.name.clone(), id: self.id }
    }
}

/// What a hello said.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The catalogue it trusts.
    pub versions: CatalogueVersions,
    /// The head of its records.
    pub head: Head,
    /// Version of its daemon.
    pub daemon: &'a str,
    /// Its clock.
    pub clock: Time,
    /// When it came.
    pub at: Time,
}

const COLUMNS: &str = "id, name, card, address, person, labels, host, platform, enrolled, \
     (SELECT seen FROM presence WHERE endpoint = endpoints.id) AS last_seen, \
     versions, head_epoch, head_counter, head_hash, daemon, state";

/// What the latest hello showed, where there was one.
pub(crate) fn head(row: &Row<'_>) -> rusqlite::Result<Option<Head>> {
    let (epoch, hash) = (row::text_opt(row, "head_epoch")?, row::text_opt(row, "head_hash")?);
    Ok(match (epoch, row::number_opt(row, "head_counter")?, hash) {
        (Some(epoch), Some(counter), Some(hash)) => Some(Head { epoch, counter, hash }),
        _ => None,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<EndpointRow> {
    let head = head(row)?;
    Ok(EndpointRow {
        id: row::text(row, "id")?,
        name: row::text(row, "name")?,
        card: row.get("card")?,
        address: row.get("address")?,
        person: row.get("person")?,
        labels: row::json(row, "labels")?,
        host: row.get("host")?,
        platform: row.get("platform")?,
        enrolled: row::time(row, "enrolled")?,
        last_seen: row::time_opt(row, "last_seen")?,
        versions: row::json_opt(row, "versions")?,
        head,
        daemon: row.get("daemon")?,
        state: row::word(row, "state", EndpointState::ALL, EndpointState::word)?,
    })
}

fn by_id(db: &Connection, id: &EndpointId) -> Result<Option<EndpointRow>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM endpoints WHERE id = ?1");
    Ok(db.query_row(&sql, [id.to_string()], read).optional()?)
}

/// Adds an endpoint as a part of more.
pub(crate) fn insert(db: &Transaction<'_>, new: &NewEndpoint, now: Time) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO endpoints (id, name, card, address, person, labels, host, platform,
                                enrolled, state)
         VALUES (:id, :name, :card, :address, :person, :labels, :host, :platform,
                 :enrolled, 'active')",
        named_params! {
            ":id": new.id.to_string(),
            ":name": new.name.as_str(),
            ":card": new.card,
            ":address": new.address,
            ":person": new.person,
            ":labels": to_json(&new.labels),
            ":host": new.host,
            ":platform": new.platform,
            ":enrolled": row::stamp(now),
        },
    )
    .map_err(|e| duplicate(e, || format!("endpoint `{}`", new.name)))?;
    Ok(())
}

impl Store {
    /// Adds an endpoint.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where an active endpoint has its name, or its id was ever used.
    pub fn add_endpoint(&self, new: &NewEndpoint, now: Time) -> Result<(), StoreError> {
        self.write("add an endpoint", |db| insert(db, new, now))
    }

    /// Adds those whose id and name are not in the book yet, in one transaction; gives how many.
    ///
    /// # Errors
    /// The store's own.
    pub fn add_unknown_endpoints(
        &self,
        all: &[NewEndpoint],
        now: Time,
    ) -> Result<usize, StoreError> {
        self.write("add endpoints", |db| {
            let sql = "SELECT 1 FROM endpoints WHERE id = ?1 OR (name = ?2 AND state = 'active')";
            let mut added = 0usize;
            for new in all {
                let mut known = db.prepare_cached(sql)?;
                if !known.exists((new.id.to_string(), new.name.as_str()))? {
                    insert(db, new, now)?;
                    added = added.saturating_add(1);
                }
            }
            Ok(added)
        })
    }

    /// One endpoint, whatever its state.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointRow>, StoreError> {
        self.read("look up an endpoint", |db| by_id(db, id))
    }

    /// The active endpoint of this name.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoint_named(&self, name: &EndpointName) -> Result<Option<EndpointRow>, StoreError> {
        self.read("look up an endpoint", |db| {
            let sql =
                format!("SELECT {COLUMNS} FROM endpoints WHERE name = ?1 AND state = 'active'");
            Ok(db.query_row(&sql, [name.as_str()], read).optional()?)
        })
    }

    /// All that ever had this name, whatever their state, the newest first; at most 100.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoints_named(&self, name: &EndpointName) -> Result<Vec<EndpointRow>, StoreError> {
        self.read("look up endpoints", |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM endpoints WHERE name = ?1
                 ORDER BY enrolled DESC, id LIMIT 100"
            );
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map([name.as_str()], read)?.collect::<Result<_, _>>()?)
        })
    }

    /// All endpoints by name, the active ones first.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        self.endpoints_page(None, 0)
    }

    /// As [`Store::endpoints`], at most `limit` (zero means all) of those that stand behind a place
    /// in the list.
    ///
    /// # Errors
    /// The store's own.
    pub fn endpoints_page(
        &self,
        after: Option<&EndpointPlace>,
        limit: usize,
    ) -> Result<Vec<EndpointRow>, StoreError> {
        self.read("list the endpoints", |db| {
            let behind = after.map_or("", |_| "WHERE (state, name, id) > (:state, :name, :id)");
            let sql = format!(
                "SELECT {COLUMNS} FROM endpoints {behind} ORDER BY state, name, id LIMIT :limit"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let limit = row::limit(limit);
            let rows = match after {
                None => statement.query_map(named_params! { ":limit": limit }, read)?,
                Some(place) => statement.query_map(
                    named_params! {
                        ":state": place.state.word(),
                        ":name": place.name.as_str(),
                        ":id": place.id.to_string(),
                        ":limit": limit,
                    },
                    read,
                )?,
            };
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Where it can be dialled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_address(&self, id: &EndpointId, address: &str) -> Result<(), StoreError> {
        self.change_endpoint(id, "UPDATE endpoints SET address = ?2 WHERE id = ?1", address)
    }

    /// Whose machine it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_person(&self, id: &EndpointId, person: &str) -> Result<(), StoreError> {
        self.change_endpoint(id, "UPDATE endpoints SET person = ?2 WHERE id = ?1", person)
    }

    /// Withdraws or replaces it; its row and its runs stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_endpoint_state(
        &self,
        id: &EndpointId,
        state: EndpointState,
    ) -> Result<(), StoreError> {
        self.change_endpoint(id, "UPDATE endpoints SET state = ?2 WHERE id = ?1", state.word())
    }

    /// A renewed card.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_card(&self, id: &EndpointId, card: &[u8]) -> Result<(), StoreError> {
        self.change_endpoint(id, "UPDATE endpoints SET card = ?2 WHERE id = ?1", card)
    }

    fn change_endpoint(
        &self,
        id: &EndpointId,
        sql: &'static str,
        value: impl rusqlite::ToSql,
    ) -> Result<(), StoreError> {
        self.write("change an endpoint", |db| match db.execute(sql, (id.to_string(), value))? {
            0 => Err(StoreError::NotFound { what: format!("endpoint `{id}`") }.into()),
            _ => Ok(()),
        })
    }

    /// Files a verified hello and says what its head does not fit (P2).
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn endpoint_seen(
        &self,
        id: &EndpointId,
        seen: &Seen<'_>,
        now: Time,
    ) -> Result<Vec<Doubt>, StoreError> {
        self.write("file a hello", |db| self::seen(db, id, seen, now))
    }
}

pub(crate) fn seen(
    db: &Transaction<'_>,
    id: &EndpointId,
    seen: &Seen<'_>,
    now: Time,
) -> Result<Vec<Doubt>, Fault> {
    let changed = db.execute(
        "UPDATE endpoints SET versions = :versions, daemon = :daemon,
             head_epoch = :epoch, head_counter = :counter, head_hash = :hash
         WHERE id = :id",
        named_params! {
            ":id": id.to_string(),
            ":versions": to_json(&seen.versions),
            ":daemon": seen.daemon,
            ":epoch": seen.head.epoch.to_string(),
            ":counter": row::int(seen.head.counter),
            ":hash": seen.head.hash.to_string(),
        },
    )?;
    if changed == 0 {
        return Err(StoreError::NotFound { what: format!("endpoint `{id}`") }.into());
    }
    crate::presence::seen(db, id, now)?;
    let (head, clock) = (seen.head, seen.clock);
    crate::heads::add(db, id, &Sighting { head, clock, seen: seen.at, by: None }, None, &|_| true)
}

/// Our own map types always have a JSON form; an empty object stands for the impossible.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}
