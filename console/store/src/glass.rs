//! Orders that broke glass, and who has looked at them since. Every one that was ever stored counts,
//! whatever its machine said to it: the key was taken from its safe.

use protocol::{AgentName, Digest, ScriptName, TicketId, Time};
use rusqlite::Row;
use serde::Serialize;

use crate::error::StoreError;
use crate::open::Store;
use crate::row;

/// An order that broke glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct GlassRow {
    /// The order.
    #[n(0)]
    pub order: Digest,
    /// Whose.
    #[n(1)]
    pub agent: AgentName,
    /// With which key, by its name in the policy.
    #[n(2)]
    pub key: String,
    /// What it ran.
    #[n(3)]
    pub script: ScriptName,
    /// For which ticket.
    #[n(4)]
    pub ticket: Option<TicketId>,
    /// When it was stored.
    #[n(5)]
    pub created: Time,
    /// Another person who has looked at it.
    #[n(6)]
    pub reviewed_by: Option<AgentName>,
    /// When.
    #[n(7)]
    pub reviewed: Option<Time>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<GlassRow> {
    let reviewed: Option<i64> = row.get("reviewed")?;
    Ok(GlassRow {
        order: row::text(row, "digest")?,
        agent: row::text(row, "agent")?,
        key: row.get("glass")?,
        script: row::text(row, "script")?,
        ticket: row::text_opt(row, "ticket")?,
        created: row::time(row, "created")?,
        reviewed_by: row::text_opt(row, "reviewed_by")?,
        reviewed: reviewed.map(|_| row::time(row, "reviewed")).transpose()?,
    })
}

impl Store {
    /// A page of the orders that broke glass, by order: all, or those that nobody has reviewed.
    ///
    /// # Errors
    /// The store's own.
    pub fn broken_glass_page(
        &self,
        open: bool,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<GlassRow>, StoreError> {
        self.read("list the orders that broke glass", |db| {
            let sql = "SELECT digest, agent, glass, script, ticket, created, reviewed_by, reviewed
                       FROM orders
                       WHERE glass IS NOT NULL AND (NOT ?1 OR reviewed IS NULL)
                             AND (?2 IS NULL OR digest > ?2)
                       ORDER BY digest LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map((open, after.map(Digest::to_string), limit), read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Somebody has looked at an order that broke glass; false where there is nothing to review, it
    /// was reviewed before, or it is their own.
    ///
    /// # Errors
    /// The store's own.
    pub fn review_glass(
        &self,
        order: &Digest,
        by: &AgentName,
        now: Time,
    ) -> Result<bool, StoreError> {
        self.write("keep who reviewed an order", |db| {
            let sql = "UPDATE orders SET reviewed_by = ?2, reviewed = ?3
                       WHERE digest = ?1 AND glass IS NOT NULL AND reviewed IS NULL AND agent <> ?2";
            Ok(db.execute(sql, (order.to_string(), by.to_string(), row::stamp(now)))? > 0)
        })
    }

    /// How many orders broke glass since the beginning, and how many of them nobody has reviewed.
    ///
    /// # Errors
    /// The store's own.
    pub fn count_glass(&self) -> Result<(u64, u64), StoreError> {
        self.read("count the orders that broke glass", |db| {
            let sql = "SELECT count(*), coalesce(sum(reviewed IS NULL), 0) FROM orders
                       WHERE glass IS NOT NULL";
            let (all, open): (i64, i64) = db.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?)))?;
            let number = |n| u64::try_from(n).unwrap_or_default();
            Ok((number(all), number(open)))
        })
    }
}
