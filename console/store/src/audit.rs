//! Runs by the day, and the places that endpoints' records have in their chains. Reads no paper.

use protocol::documents::Head;
use protocol::{Digest, EndpointId, EndpointName, RunId, Time};
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use crate::endpoints;
use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::row;
use crate::runs::{self, RunRow};

/// Gaps of one chain that are told; who has more needs no list.
const GAPS_MAX: i64 = 100;

/// Records that are missing between two that are here, or before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Gap {
    /// The first that is missing.
    #[n(0)]
    pub first: u64,
    /// The last.
    #[n(1)]
    pub last: u64,
    /// When the record before the gap ended, if there is one.
    #[n(2)]
    pub before: Option<Time>,
    /// When the one behind it did.
    #[n(3)]
    pub behind: Time,
}

/// One epoch of an endpoint's records, as far as they verified when they were filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Epoch {
    /// Which.
    #[n(0)]
    pub epoch: Digest,
    /// The last record's place.
    #[n(1)]
    pub last: u64,
    /// When it ended.
    #[n(3)]
    pub ended: Time,
    /// What is missing before it.
    #[n(4)]
    pub gaps: Vec<Gap>,
}

/// An endpoint's chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Chains {
    /// Whose.
    #[n(0)]
    pub endpoint: EndpointId,
    /// Its name.
    #[n(1)]
    pub name: EndpointName,
    /// What its latest hello showed.
    #[n(2)]
    pub head: Option<Head>,
    /// Its epochs, in no order that means anything.
    #[n(3)]
    pub epochs: Vec<Epoch>,
    /// The record that is here at that head's place, if it is here.
    #[n(4)]
    pub at_head: Option<Digest>,
}

fn epochs(db: &Connection, endpoint: &str) -> Result<Vec<Epoch>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT epoch FROM runs WHERE endpoint = ?1 AND verified = 1 AND epoch IS NOT NULL",
    )?;
    let named = statement.query_map([endpoint], |found| row::text(found, "epoch"))?;
    let named: Vec<Digest> = named.collect::<Result<_, _>>()?;
    named.into_iter().map(|epoch| one(db, endpoint, epoch)).collect()
}

fn one(db: &Connection, endpoint: &str, epoch: Digest) -> Result<Epoch, Fault> {
    let place = (endpoint, epoch.to_string());
    let (last, ended) = db
        .prepare_cached(
            "SELECT counter, coalesce(ended, created) AS at FROM runs
             WHERE endpoint = ?1 AND epoch = ?2 AND verified = 1 ORDER BY counter DESC LIMIT 1",
        )?
        .query_row((place.0, &place.1), |found| {
            Ok((row::number(found, "counter")?, row::time(found, "at")?))
        })?;
    let mut statement = db.prepare_cached(
        "SELECT before, counter FROM (
             SELECT counter, lag(counter, 1, 0) OVER (ORDER BY counter) AS before FROM (
                 SELECT DISTINCT counter FROM runs
                 WHERE endpoint = ?1 AND epoch = ?2 AND verified = 1))
         WHERE counter - before > 1 ORDER BY counter LIMIT ?3",
    )?;
    let found = statement.query_map((place.0, &place.1, GAPS_MAX), |found| {
        Ok((row::number(found, "before")?, row::number(found, "counter")?))
    })?;
    let holes: Vec<(u64, u64)> = found.collect::<Result<_, _>>()?;
    let mut when = db.prepare_cached(
        "SELECT coalesce(ended, created) AS at FROM runs
         WHERE endpoint = ?1 AND epoch = ?2 AND counter = ?3 AND verified = 1",
    )?;
    let mut at = |counter: u64| {
        let given = (place.0, &place.1, row::int(counter));
        when.query_row(given, |found| row::time(found, "at")).optional()
    };
    let mut gaps = Vec::with_capacity(holes.len());
    for (before, behind) in holes {
        gaps.push(Gap {
            first: before.saturating_add(1),
            last: behind.saturating_sub(1),
            before: at(before)?,
            behind: at(behind)?.unwrap_or(ended),
        });
    }
    Ok(Epoch { epoch, last, ended, gaps })
}

fn at_head(db: &Connection, endpoint: &str, head: &Head) -> Result<Option<Digest>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT record_hash FROM runs
         WHERE endpoint = ?1 AND epoch = ?2 AND counter = ?3 AND verified = 1",
    )?;
    let given = (endpoint, head.epoch.to_string(), row::int(head.counter));
    let found = statement.query_row(given, |found| row::text_opt(found, "record_hash"));
    Ok(found.optional()?.flatten())
}

impl Store {
    /// The place in one chain behind which the first record is missing that was verified; none where
    /// all are here up to `last`.
    ///
    /// # Errors
    /// The store's own.
    pub fn first_gap(
        &self,
        endpoint: &EndpointId,
        epoch: &Digest,
        last: u64,
    ) -> Result<Option<u64>, StoreError> {
        self.read("look for the first record that is missing", |db| {
            let sql = "WITH here AS MATERIALIZED (
                           SELECT DISTINCT counter FROM runs
                           WHERE endpoint = ?1 AND epoch = ?2 AND verified = 1
                           UNION SELECT 0)
                       SELECT min(counter) FROM here
                       WHERE counter < ?3 AND counter + 1 NOT IN (SELECT counter FROM here)";
            let key = (endpoint.to_string(), epoch.to_string(), row::int(last));
            let found: Option<i64> = db.prepare_cached(sql)?.query_row(key, |row| row.get(0))?;
            Ok(found.and_then(|place| u64::try_from(place).ok()))
        })
    }

    /// A page of the runs that were stored between two times, both included, oldest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn runs_between(
        &self,
        (from, to): (Time, Time),
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.read("list the runs of some days", |db| {
            let behind = after.map_or(
                "",
                |_| "AND (r.created, r.seq) > (SELECT created, seq FROM runs WHERE id = ?4)",
            );
            let sql = format!(
                "{} WHERE r.created BETWEEN ?1 AND ?2 {behind}
                 ORDER BY r.created, r.seq LIMIT ?3",
                runs::SELECT
            );
            let mut statement = db.prepare_cached(&sql)?;
            let (from, to, limit) = (row::stamp(from), row::stamp(to), row::limit(limit));
            let rows = match after {
                None => statement.query_map((from, to, limit), runs::read)?,
                Some(run) => statement.query_map((from, to, limit, run.to_string()), runs::read)?,
            };
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// A page of every endpoint's chains, whatever became of it, by id.
    ///
    /// # Errors
    /// The store's own.
    pub fn chains_page(
        &self,
        after: Option<&EndpointId>,
        limit: usize,
    ) -> Result<Vec<Chains>, StoreError> {
        self.read("look at the chains of records", |db| {
            let mut statement = db.prepare_cached(
                "SELECT id, name, head_epoch, head_counter, head_hash FROM endpoints
                 WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let given = (after.map(EndpointId::to_string), row::limit(limit));
            let found = statement.query_map(given, |found| {
                let head = endpoints::head(found)?;
                let (endpoint, name) = (row::text(found, "id")?, row::text(found, "name")?);
                Ok(Chains { endpoint, name, head, epochs: Vec::new(), at_head: None })
            })?;
            let mut all: Vec<Chains> = found.collect::<Result<_, _>>()?;
            for chains in &mut all {
                let endpoint = chains.endpoint.to_string();
                chains.epochs = epochs(db, &endpoint)?;
                chains.at_head = match chains.head {
                    Some(head) => at_head(db, &endpoint, &head)?,
                    None => None,
                };
            }
            Ok(all)
        })
    }
}
