//! Agents as the desk met them, and tokens. Who may do what stands in the signed policy, never here.

use protocol::{AgentName, Digest, Time};
use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::error::{StoreError, duplicate};
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

words! {
    /// What a token lets in.
    TokenKind {
        /// A machine.
        Endpoint = "endpoint",
        /// A colleague.
        Agent = "agent",
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

/// A token; its secret is known by digest only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct TokenRow {
    /// SHA-256 of the secret.
    #[n(0)]
    pub secret: Digest,
    /// What it lets in.
    #[n(1)]
    pub kind: TokenKind,
    /// Under which name.
    #[n(2)]
    pub name: String,
    /// When it was made.
    #[n(3)]
    pub made: Time,
    /// Until when it counts.
    #[n(4)]
    pub expires: Time,
    /// When it was taken.
    #[n(5)]
    pub used: Option<Time>,
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

fn read_token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        secret: row::text(row, "secret")?,
        kind: row::word(row, "kind", TokenKind::ALL, TokenKind::word)?,
        name: row.get("name")?,
        made: row::time(row, "made")?,
        expires: row::time(row, "expires")?,
        used: row::time_opt(row, "used")?,
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
        self.write("keep a token", |db| {
            db.execute(
                "INSERT INTO tokens (secret, kind, name, made, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
                (secret.to_string(), kind.word(), name, row::stamp(now), row::stamp(expires)),
            )
            .map_err(|e| duplicate(e, || "this token".to_owned()))?;
            Ok(())
        })
    }

    /// Takes a token: of all who try with it, one gets it.
    ///
    /// # Errors
    /// [`StoreError::Token`] where it is unknown, of another kind, used or expired.
    pub fn take_token(
        &self,
        secret: &Digest,
        kind: TokenKind,
        now: Time,
    ) -> Result<TokenRow, StoreError> {
        self.write("take a token", |db| {
            db.query_row(
                "UPDATE tokens SET used = ?3
                 WHERE secret = ?1 AND kind = ?2 AND used IS NULL AND expires > ?3 RETURNING *",
                (secret.to_string(), kind.word(), row::stamp(now)),
                read_token,
            )
            .optional()?
            .ok_or_else(|| StoreError::Token.into())
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
