//! Heads of endpoints' records as they were seen, and which of them do not fit each other. Reads no
//! seal: whoever shows one verifies it.

use protocol::documents::{Doubt, Head, Sighting};
use protocol::{Bytes, Digest, EndpointId, EndpointName};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params};
use serde::Serialize;

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;

/// Heads of one endpoint that are kept whatever their age.
const NEWEST: i64 = 8;
/// Of older ones the first of each such time stays, seconds: a week, for whoever asks months later.
const WEEK: i64 = 7 * 86_400;
/// Most heads of one endpoint that are compared and told, the newest: half a year of weeks.
const TOLD_MAX: i64 = 32;

/// A head that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct HeadRow {
    /// What, when and by whom.
    #[n(0)]
    pub sighting: Sighting,
    /// The envelope that the person signed; none where only the desk saw it.
    #[n(1)]
    pub envelope: Option<Bytes>,
    /// The hello's envelope, with that.
    #[n(2)]
    pub hello: Option<Bytes>,
}

/// An endpoint in use, of which two heads do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct DoubtRow {
    /// Which.
    #[n(0)]
    pub endpoint: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// The two.
    #[n(2)]
    pub doubt: Doubt,
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<Sighting> {
    Ok(Sighting {
        head: Head {
            epoch: row::text(row, "epoch")?,
            counter: row::number(row, "counter")?,
            hash: row::text(row, "hash")?,
        },
        clock: row::time(row, "clock")?,
        seen: row::time(row, "seen")?,
        by: row::text_opt(row, "person")?,
    })
}

fn of(db: &Connection, endpoint: &str, doubted: bool) -> Result<Vec<HeadRow>, Fault> {
    let only = if doubted { "AND doubted = 1" } else { "" };
    let sql = format!(
        "SELECT epoch, counter, hash, clock, seen, person, envelope, hello FROM heads
         WHERE endpoint = ?1 {only} ORDER BY doubted DESC, seen DESC, counter DESC LIMIT ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map((endpoint, TOLD_MAX), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is kept of this very head.
fn at(db: &Connection, endpoint: &str, head: &Head) -> Result<Option<HeadRow>, Fault> {
    let sql = "SELECT epoch, counter, hash, clock, seen, person, envelope, hello FROM heads
               WHERE endpoint = ?1 AND epoch = ?2 AND counter = ?3 AND hash = ?4";
    let key = (endpoint, head.epoch.to_string(), row::int(head.counter), head.hash.to_string());
    Ok(db.prepare_cached(sql)?.query_row(key, read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<HeadRow> {
    Ok(HeadRow {
        sighting: read_head(row)?,
        envelope: row.get::<_, Option<Vec<u8>>>("envelope")?.map(Bytes),
        hello: row.get::<_, Option<Vec<u8>>>("hello")?.map(Bytes),
    })
}

/// The records that are here and may contradict a head: the last of its epoch, and another one at
/// its own place.
fn records(db: &Connection, endpoint: &str, head: &Head) -> Result<Vec<Sighting>, Fault> {
    let mut found = Vec::new();
    for (condition, order) in [
        ("counter >= ?3 AND record_hash <> ?4", "counter DESC"),
        ("counter = ?3 AND record_hash <> ?4", "seq"),
    ] {
        let sql = format!(
            "SELECT epoch, counter, record_hash AS hash, coalesce(ended, created) AS clock,
                    coalesce(filed, created) AS seen, NULL AS person
             FROM runs WHERE endpoint = ?1 AND epoch = ?2 AND verified = 1 AND {condition}
             ORDER BY {order} LIMIT 1"
        );
        let given =
            (endpoint, head.epoch.to_string(), row::int(head.counter), head.hash.to_string());
        found.extend(db.prepare_cached(&sql)?.query_row(given, read_head).optional()?);
    }
    Ok(found)
}

fn put(
    db: &Transaction<'_>,
    endpoint: &str,
    sighting: &Sighting,
    papers: Option<(&[u8], &[u8])>,
    doubted: bool,
    instead: bool,
) -> Result<(), Fault> {
    // The first sighting stays, unless it is the later one that does not fit, or proves nothing.
    db.prepare_cached(
        "INSERT INTO heads (endpoint, epoch, counter, hash, clock, seen, person, envelope, hello,
                            doubted)
         VALUES (:endpoint, :epoch, :counter, :hash, :clock, :seen, :person, :envelope, :hello,
                 :doubted)
         ON CONFLICT (endpoint, epoch, counter, hash) DO UPDATE
         SET clock = :clock, seen = :seen, person = :person, envelope = :envelope, hello = :hello,
             doubted = max(doubted, :doubted)
         WHERE (doubted = 0 AND :doubted = 1) OR (envelope IS NULL AND :envelope IS NOT NULL)
               OR :instead",
    )?
    .execute(named_params! {
        ":endpoint": endpoint,
        ":epoch": sighting.head.epoch.to_string(),
        ":counter": row::int(sighting.head.counter),
        ":hash": sighting.head.hash.to_string(),
        ":clock": row::stamp(sighting.clock),
        ":seen": row::stamp(sighting.seen),
        ":person": sighting.by.as_ref().map(|name| name.as_str().to_owned()),
        ":envelope": papers.map(|(envelope, _)| envelope),
        ":hello": papers.map(|(_, hello)| hello),
        ":doubted": doubted,
        ":instead": instead,
    })?;
    Ok(())
}

/// Keeps a head as a part of more, and says what it does not fit.
pub(crate) fn add(
    db: &Transaction<'_>,
    id: &EndpointId,
    sighting: &Sighting,
    papers: Option<(&[u8], &[u8])>,
    proves: &dyn Fn(&HeadRow) -> bool,
) -> Result<Vec<Doubt>, Fault> {
    let endpoint = id.to_string();
    let known = of(db, &endpoint, false)?;
    let mut doubts = Vec::new();
    for before in &known {
        if let Some(doubt) = Doubt::between(&before.sighting, sighting) {
            let key = (
                &endpoint,
                before.sighting.head.epoch.to_string(),
                row::int(before.sighting.head.counter),
                before.sighting.head.hash.to_string(),
            );
            let sql = "UPDATE heads SET doubted = 1
                       WHERE endpoint = ?1 AND epoch = ?2 AND counter = ?3 AND hash = ?4";
            db.prepare_cached(sql)?.execute(key)?;
            doubts.push(doubt);
        }
    }
    for record in records(db, &endpoint, &sighting.head)? {
        if let Some(doubt) = Doubt::between(&record, sighting) {
            put(db, &endpoint, &record, None, true, false)?;
            doubts.push(doubt);
        }
    }
    let same = at(db, &endpoint, &sighting.head)?;
    let instead = papers.is_some() && same.as_ref().is_some_and(|row| !proves(row));
    if same.is_some() && !instead && doubts.is_empty() {
        return Ok(doubts);
    }
    put(db, &endpoint, sighting, papers, !doubts.is_empty(), instead)?;
    db.prepare_cached(
        "DELETE FROM heads WHERE endpoint = ?1 AND doubted = 0
         AND (epoch, counter, hash) NOT IN (
             SELECT epoch, counter, hash FROM heads WHERE endpoint = ?1
             ORDER BY seen DESC, counter DESC LIMIT ?2)
         AND EXISTS (SELECT 1 FROM heads AS other WHERE other.endpoint = heads.endpoint
             AND other.seen / ?3 = heads.seen / ?3 AND (other.seen, other.counter)
                 < (heads.seen, heads.counter))",
    )?
    .execute((&endpoint, NEWEST, WEEK))?;
    Ok(doubts)
}

impl Store {
    /// Keeps a head that was seen, with the person's envelope and the hello where there are some, and
    /// says what it does not fit. The first sighting of a head stays if its papers prove something,
    /// which is for the caller to say. Who saw it has it still, so this does not wait for the disk.
    ///
    /// # Errors
    /// The store's own.
    pub fn add_head(
        &self,
        endpoint: &EndpointId,
        sighting: &Sighting,
        papers: Option<(&[u8], &[u8])>,
        proves: &dyn Fn(&HeadRow) -> bool,
    ) -> Result<Vec<Doubt>, StoreError> {
        self.write_soon("keep a head that was seen", |db| {
            add(db, endpoint, sighting, papers, proves)
        })
    }

    /// The heads of an endpoint that are kept, those that do not fit first, then the newest; at most 32.
    ///
    /// # Errors
    /// The store's own.
    pub fn heads(&self, endpoint: &EndpointId) -> Result<Vec<HeadRow>, StoreError> {
        self.read("list the heads of an endpoint", |db| of(db, &endpoint.to_string(), false))
    }

    /// The next head of a chain, at a place or behind it, that a person countersigned.
    ///
    /// # Errors
    /// The store's own.
    pub fn head_after(
        &self,
        endpoint: &EndpointId,
        epoch: &Digest,
        counter: u64,
    ) -> Result<Option<HeadRow>, StoreError> {
        self.read("look for a head behind a record", |db| {
            let sql = "SELECT epoch, counter, hash, clock, seen, person, envelope, hello FROM heads
                       WHERE endpoint = ?1 AND epoch = ?2 AND counter >= ?3
                       AND envelope IS NOT NULL ORDER BY counter, seen LIMIT 1";
            let given = (endpoint.to_string(), epoch.to_string(), row::int(counter));
            Ok(db.prepare_cached(sql)?.query_row(given, read).optional()?)
        })
    }

    /// A page of the endpoints in use of which heads do not fit, by id, with the first two.
    ///
    /// # Errors
    /// The store's own.
    pub fn doubts_page(
        &self,
        after: Option<&EndpointId>,
        limit: usize,
    ) -> Result<Vec<DoubtRow>, StoreError> {
        self.read("list heads that do not fit", |db| {
            let mut statement = db.prepare_cached(
                "SELECT id, name FROM endpoints
                 WHERE id IN (SELECT endpoint FROM heads WHERE doubted = 1) AND state = 'active'
                 AND (?1 IS NULL OR id > ?1) ORDER BY id LIMIT ?2",
            )?;
            let given = (after.map(EndpointId::to_string), row::limit(limit));
            let named = statement.query_map(given, |found| {
                Ok((row::text(found, "id")?, row::text(found, "name")?))
            })?;
            let mut rows = Vec::new();
            for found in named {
                let (endpoint, name): (EndpointId, EndpointName) = found?;
                let mut all = of(db, &endpoint.to_string(), true)?;
                all.reverse();
                let doubt = all.iter().enumerate().find_map(|(place, one)| {
                    let rest = all.iter().skip(place.saturating_add(1));
                    rest.rev().find_map(|two| Doubt::between(&one.sighting, &two.sighting))
                });
                rows.extend(doubt.map(|doubt| DoubtRow { endpoint, name, doubt }));
            }
            Ok(rows)
        })
    }
}
