//! Tokens, and who was admitted with them. A token's secret is known by digest only.

use std::collections::BTreeMap;

use protocol::{Digest, EndpointId, EndpointName, Label, Time, limits};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;

use crate::endpoints::{self, NewEndpoint};
use crate::error::{Fault, StoreError, duplicate};
use crate::open::Store;
use crate::row::{self, words};
use crate::runs;

words! {
    /// What a token lets in.
    TokenKind {
        /// A machine.
        Endpoint = "endpoint",
        /// A colleague.
        Agent = "agent",
    }
}

/// What a token says of the machines that the shared desk admits with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Enrolment {
    /// Labels on their cards.
    #[n(0)]
    pub labels: BTreeMap<Label, Label>,
    /// Whose they are.
    #[n(1)]
    pub person: Option<String>,
    /// For how many it is.
    #[n(2)]
    pub places: u64,
    /// How many have joined.
    #[n(3)]
    pub taken: u64,
}

/// A token; its secret is known by digest only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct TokenRow {
    /// SHA-256 of the secret.
    #[n(0)]
    pub secret: Digest,
    /// What it lets in.
    #[n(1)]
    pub kind: TokenKind,
    /// Under which name, or names of which patterns.
    #[n(2)]
    pub name: String,
    /// When it was made.
    #[n(3)]
    pub made: Time,
    /// Until when it counts.
    #[n(4)]
    pub expires: Time,
    /// When it was taken, the last place of it, or withdrawn.
    #[n(5)]
    pub used: Option<Time>,
    /// What the shared desk admits with it; none where whoever made it waits at a door of his own.
    #[n(6)]
    pub enrolment: Option<Enrolment>,
}

/// A machine that came with a good token under a name that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct HeldRow {
    /// The name.
    #[n(0)]
    pub name: EndpointName,
    /// What the machine calls itself. Its word, not ours: escape it.
    #[n(1)]
    pub host: String,
    /// From where it came.
    #[n(2)]
    pub address: String,
    /// When, the last time.
    #[n(3)]
    pub at: Time,
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    let labels: Option<BTreeMap<Label, Label>> = row::json_opt(row, "labels")?;
    let enrolment = match labels {
        None => None,
        Some(labels) => Some(Enrolment {
            labels,
            person: row.get("person")?,
            places: row::number(row, "places")?,
            taken: row::number(row, "taken")?,
        }),
    };
    Ok(TokenRow {
        secret: row::text(row, "secret")?,
        kind: row::word(row, "kind", TokenKind::ALL, TokenKind::word)?,
        name: row.get("name")?,
        made: row::time(row, "made")?,
        expires: row::time(row, "expires")?,
        used: row::time_opt(row, "used")?,
        enrolment,
    })
}

/// Takes a place of a token.
fn take(
    db: &Transaction<'_>,
    secret: &Digest,
    kind: TokenKind,
    now: Time,
) -> Result<TokenRow, Fault> {
    db.query_row(
        "UPDATE tokens SET taken = taken + 1,
             used = CASE WHEN taken + 1 < places THEN NULL ELSE ?3 END
         WHERE secret = ?1 AND kind = ?2 AND used IS NULL AND expires > ?3 RETURNING *",
        (secret.to_string(), kind.word(), row::stamp(now)),
        read_token,
    )
    .optional()?
    .ok_or_else(|| StoreError::Token.into())
}

impl Store {
    /// Keeps a token's digest.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a secret that exists.
    pub fn add_token(
        &self,
        secret: &Digest,
        kind: TokenKind,
        name: &str,
        now: Time,
        expires: Time,
    ) -> Result<(), StoreError> {
        self.keep_token(secret, (kind, name), None, now, expires)
    }

    /// Keeps the digest of a token that the shared desk admits machines with.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a secret that exists.
    pub fn add_enrolment(
        &self,
        secret: &Digest,
        names: &str,
        enrolment: &Enrolment,
        now: Time,
        expires: Time,
    ) -> Result<(), StoreError> {
        self.keep_token(secret, (TokenKind::Endpoint, names), Some(enrolment), now, expires)
    }

    fn keep_token(
        &self,
        secret: &Digest,
        (kind, name): (TokenKind, &str),
        enrolment: Option<&Enrolment>,
        now: Time,
        expires: Time,
    ) -> Result<(), StoreError> {
        let labels = enrolment.map(|enrolment| endpoints::to_json(&enrolment.labels));
        let person = enrolment.and_then(|enrolment| enrolment.person.as_deref());
        let places = enrolment.map(|enrolment| row::int(enrolment.places));
        let taken = enrolment.map(|enrolment| row::int(enrolment.taken));
        self.write("keep a token", |db| {
            db.execute(
                "INSERT INTO tokens (secret, kind, name, made, expires, labels, person, places, taken)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (
                    secret.to_string(),
                    kind.word(),
                    name,
                    row::stamp(now),
                    row::stamp(expires),
                    labels,
                    person,
                    places,
                    taken,
                ),
            )
            .map_err(|e| duplicate(e, || "this token".to_owned()))?;
            Ok(())
        })
    }

    /// Takes a token, or a place of one: of all who try for the last, one gets it.
    ///
    /// # Errors
    /// [`StoreError::Token`] where it is unknown, of another kind, used or expired.
    pub fn take_token(
        &self,
        secret: &Digest,
        kind: TokenKind,
        now: Time,
    ) -> Result<TokenRow, StoreError> {
        self.write("take a token", |db| take(db, secret, kind, now))
    }

    /// Makes a token void, whatever places it has left; says whether it was good.
    ///
    /// # Errors
    /// The store's own.
    pub fn void_token(&self, secret: &Digest, now: Time) -> Result<bool, StoreError> {
        self.write("withdraw a token", |db| {
            let sql = "UPDATE tokens SET used = ?2 WHERE secret = ?1 AND used IS NULL";
            Ok(db.execute(sql, (secret.to_string(), row::stamp(now)))? > 0)
        })
    }

    /// Takes a place of a token and adds the endpoint that came with it: both or neither.
    ///
    /// # Errors
    /// [`StoreError::Token`] as [`Store::take_token`], [`StoreError::Duplicate`] as
    /// [`Store::add_endpoint`]; no place is taken then.
    pub fn admit_endpoint(
        &self,
        secret: &Digest,
        new: &NewEndpoint,
        now: Time,
    ) -> Result<(), StoreError> {
        self.write("admit an endpoint", |db| {
            take(db, secret, TokenKind::Endpoint, now)?;
            endpoints::insert(db, new, now)?;
            db.execute("DELETE FROM held WHERE name = ?1", [new.name.as_str()])?;
            Ok(())
        })
    }

    /// An endpoint that was admitted, and whose answer was lost on the way, is answered again: active,
    /// and reached where it is now. Its place was taken before.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where another one has its name by now, [`StoreError::NotFound`] where
    /// it was seen since.
    pub fn readmit_endpoint(
        &self,
        id: &EndpointId,
        address: Option<&str>,
    ) -> Result<(), StoreError> {
        self.write("admit an endpoint once more", |db| {
            let sql = "UPDATE endpoints SET state = 'active', address = ?2 WHERE id = ?1
                       AND id NOT IN (SELECT endpoint FROM presence)";
            let changed = db
                .execute(sql, (id.to_string(), address))
                .map_err(|e| duplicate(e, || "an endpoint of that name".to_owned()))?;
            runs::found(changed, || format!("endpoint `{id}` that was never seen"))?;
            let sql = "DELETE FROM held WHERE name = (SELECT name FROM endpoints WHERE id = ?1)";
            db.execute(sql, [id.to_string()])?;
            Ok(())
        })
    }

    /// Remembers, for a person, a machine that came under a name that is taken.
    ///
    /// # Errors
    /// The store's own.
    pub fn hold(&self, held: &HeldRow) -> Result<(), StoreError> {
        self.write("note a machine under a name that is taken", |db| {
            db.execute(
                "INSERT INTO held (name, host, address, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET host = ?2, address = ?3, at = ?4",
                (held.name.as_str(), &held.host, &held.address, row::stamp(held.at)),
            )?;
            // Whoever floods it loses the oldest of his own flood.
            db.execute(
                "DELETE FROM held WHERE name NOT IN
                     (SELECT name FROM held ORDER BY at DESC, name LIMIT ?1)",
                [row::limit(limits::HELD_MAX)],
            )?;
            Ok(())
        })
    }

    /// Machines that came under a name that is taken, newest first, at most [`limits::HELD_MAX`].
    ///
    /// # Errors
    /// The store's own.
    pub fn held(&self) -> Result<Vec<HeldRow>, StoreError> {
        self.read("list the machines that are held", |db| {
            let mut statement = db.prepare_cached("SELECT * FROM held ORDER BY at DESC, name")?;
            let read = |row: &Row<'_>| {
                Ok(HeldRow {
                    name: row::text(row, "name")?,
                    host: row.get("host")?,
                    address: row.get("address")?,
                    at: row::time(row, "at")?,
                })
            };
            Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
        })
    }

    /// A person has decided; says whether something was held under the name.
    ///
    /// # Errors
    /// The store's own.
    pub fn forget_held(&self, name: &EndpointName) -> Result<bool, StoreError> {
        self.write("forget a machine that was held", |db| {
            Ok(db.execute("DELETE FROM held WHERE name = ?1", [name.as_str()])? > 0)
        })
    }

    /// A token as it is, without taking it.
    ///
    /// # Errors
    /// The store's own.
    pub fn token(&self, secret: &Digest) -> Result<Option<TokenRow>, StoreError> {
        self.read("look up a token", |db| {
            let sql = "SELECT * FROM tokens WHERE secret = ?1";
            Ok(db.query_row(sql, [secret.to_string()], read_token).optional()?)
        })
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// The store's own.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.tokens_page(None, 0)
    }

    /// As [`Store::tokens`], at most `limit` (zero means all) behind the one with a secret.
    ///
    /// # Errors
    /// The store's own.
    pub fn tokens_page(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<TokenRow>, StoreError> {
        self.read("list the tokens", |db| {
            let sql = "SELECT * FROM tokens WHERE ?1 IS NULL OR (-made, name, secret) >
                     (SELECT -made, name, secret FROM tokens WHERE secret = ?1)
                 ORDER BY -made, name, secret LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            let key = (after.map(Digest::to_string), row::limit(limit));
            Ok(statement.query_map(key, read_token)?.collect::<Result<_, _>>()?)
        })
    }
}
