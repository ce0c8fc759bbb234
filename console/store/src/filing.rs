//! Filing a record: with all that came with it, in one transaction. A record that does not verify is
//! kept and marked; a second one is kept beside the first; nothing is overwritten unseen.

use protocol::{Digest, EndpointId, Outcome, RunId, TicketId, Time};
use rusqlite::{OptionalExtension as _, Transaction, named_params};

use crate::error::{Fault, StoreError, duplicate};
use crate::open::Store;
use crate::orders::settle;
use crate::row;

/// What came back from an endpoint.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// The run that was asked for.
    pub run: RunId,
    /// Its order.
    pub order: Digest,
    /// Where it ran.
    pub endpoint: EndpointId,
    /// How it ended; `None` where the record could not be read.
    pub outcome: Option<Outcome>,
    /// When it ended, says the record.
    pub ended: Option<Time>,
    /// The record's envelope, byte for byte.
    pub envelope: &'a [u8],
    /// SHA-256 of its payload.
    pub hash: Digest,
    /// Its place: epoch and counter; `None` where the record could not be read.
    pub place: Option<(Digest, u64)>,
    /// The effects file.
    pub effects: Option<&'a [u8]>,
    /// The plan's bytes.
    pub plan: Option<&'a [u8]>,
    /// The dispatch's envelope, where it was signed elsewhere and comes with the record.
    pub dispatch: Option<&'a [u8]>,
    /// The card's envelope that verified it.
    pub card: Option<&'a [u8]>,
    /// `None` where it verified, else why not.
    pub unverified: Option<&'a str>,
    /// A one-time secret: JSON of the sealed bytes, and until when.
    pub escrow: Option<(&'a [u8], Time)>,
    /// A public reply: outbox key, ticket and payload. Posted after the note.
    pub reply: Option<(&'a str, TicketId, &'a str)>,
}

/// What filing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filed {
    /// The first record of this run.
    New,
    /// The same record was here.
    Again,
    /// It verified and took the place of one that did not.
    Replaced,
    /// Another record was here; this one was kept beside it.
    Differs,
}

impl Store {
    /// Files a record with all that came with it and makes its order's note due, in one
    /// transaction.
    ///
    /// # Errors
    /// The store's own.
    pub fn file_record(&self, new: &NewRecord<'_>, now: Time) -> Result<Filed, StoreError> {
        self.write("file a record", |db| {
            let before: Option<(Option<String>, Option<bool>)> = db
                .query_row(
                    "SELECT record_hash, verified FROM runs WHERE id = ?1",
                    [new.run.to_string()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let good = new.unverified.is_none();
            let filed = match before {
                Some((Some(hash), was_good)) if hash == new.hash.to_string() => {
                    if was_good == Some(true) || !good {
                        // A line that broke behind the record left the secret out: it comes with the
                        // same record, when that is fetched again.
                        keep_secret(db, new)?;
                        return Ok(Filed::Again);
                    }
                    Filed::Replaced
                }
                Some((Some(_), was_good)) if was_good == Some(true) || !good => {
                    stray(db, new, now)?;
                    return Ok(Filed::Differs);
                }
                Some((Some(_), _)) => {
                    keep_old(db, new, now)?;
                    Filed::Replaced
                }
                Some((None, _)) | None => Filed::New,
            };
            upsert(db, new, now)?;
            keep_secret(db, new)?;
            settle(db, &new.order.to_string(), now)?;
            if let Some((key, ticket, payload)) = &new.reply {
                db.execute(
                    // In a store that was put back a reply may have been posted before.
                    "INSERT INTO outbox (key, ticket, kind, payload, state, next_try,
                                         order_digest, created, tries)
                     VALUES (?1, ?2, 'reply', ?3, 'due', ?5, ?4, ?5,
                             (SELECT count(*) FROM counters WHERE name = 'restored'))
                     ON CONFLICT (key) DO NOTHING",
                    (key, ticket.as_str(), payload, new.order.to_string(), row::stamp(now)),
                )?;
            }
            Ok(filed)
        })
    }
}

/// The first one stays, until a record that verifies brings its own.
fn keep_secret(db: &Transaction<'_>, new: &NewRecord<'_>) -> Result<(), Fault> {
    let Some((sealed, not_after)) = new.escrow else { return Ok(()) };
    db.execute(
        "INSERT INTO escrow (run, order_digest, sealed, not_after)
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (run) DO UPDATE
         SET sealed = excluded.sealed, not_after = excluded.not_after
         WHERE ?5 AND opened_at IS NULL",
        (
            new.run.to_string(),
            new.order.to_string(),
            sealed,
            row::stamp(not_after),
            new.unverified.is_none(),
        ),
    )?;
    Ok(())
}

fn upsert(db: &Transaction<'_>, new: &NewRecord<'_>, now: Time) -> Result<(), Fault> {
    let (epoch, counter) = new.place.map_or((None, None), |(epoch, counter)| {
        (Some(epoch.to_string()), Some(row::int(counter)))
    });
    db.execute(
        "INSERT INTO runs (id, order_digest, endpoint, state, outcome, record, record_hash, epoch,
                           counter, effects, plan, card, verified, reason, created, ended, filed)
         VALUES (:id, :order, :endpoint, 'ended', :outcome, :record, :hash, :epoch, :counter,
                 :effects, :plan, :card, :verified, :reason, :now, :ended, :now)
         ON CONFLICT (id) DO UPDATE SET state = 'ended', outcome = :outcome, record = :record,
             record_hash = :hash, epoch = :epoch, counter = :counter,
             effects = coalesce(:effects, effects), plan = coalesce(:plan, plan),
             card = coalesce(:card, card), dispatch = coalesce(dispatch, :dispatch),
             verified = :verified, reason = :reason, ended = :ended, filed = :now",
        named_params! {
            ":id": new.run.to_string(),
            ":order": new.order.to_string(),
            ":endpoint": new.endpoint.to_string(),
            ":outcome": new.outcome.map(Outcome::word),
            ":record": new.envelope,
            ":hash": new.hash.to_string(),
            ":epoch": epoch,
            ":counter": counter,
            ":effects": new.effects,
            ":plan": new.plan,
            ":card": new.card,
            ":dispatch": new.dispatch,
            ":verified": new.unverified.is_none(),
            ":reason": new.unverified,
            ":ended": new.ended.map(row::stamp),
            ":now": row::stamp(now),
        },
    )
    .map_err(|e| duplicate(e, || format!("run `{}`", new.run)))?;
    Ok(())
}

fn stray(db: &Transaction<'_>, new: &NewRecord<'_>, now: Time) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO strays (run, record_hash, record, reason, received)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        (
            new.run.to_string(),
            new.hash.to_string(),
            new.envelope,
            new.unverified.unwrap_or("another record was filed for this run before"),
            row::stamp(now),
        ),
    )?;
    Ok(())
}

fn keep_old(db: &Transaction<'_>, new: &NewRecord<'_>, now: Time) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO strays (run, record_hash, record, reason, received)
         SELECT id, record_hash, record, coalesce(reason, 'not verified'), ?2 FROM runs
         WHERE id = ?1 ON CONFLICT DO NOTHING",
        (new.run.to_string(), row::stamp(now)),
    )?;
    Ok(())
}
