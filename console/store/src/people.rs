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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentRow {
    /// The name.
    pub name: AgentName,
    /// The join request's envelope, if there was one.
    #[serde(skip)]
    pub document: Option<Vec<u8>>,
    /// The newest TLS certificate, DER.
    #[serde(skip)]
    pub certificate: Option<Vec<u8>>,
    /// Since when in this state.
    pub since: Time,
    /// How far.
    pub state: AgentState,
}

/// A token; its secret is known by digest only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    /// SHA-256 of the secret.
    pub secret: Digest,
    /// What it lets in.
    pub kind: TokenKind,
    /// Under which name.
    pub name: String,
    /// When it was made.
    pub made: Time,
    /// Until when it counts.
    pub expires: Time,
    /// When it was taken.
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
        self.read("list the agents", |db| {
            let mut statement = db.prepare_cached("SELECT * FROM agents ORDER BY name")?;
            Ok(statement.query_map([], read_agent)?.collect::<Result<_, _>>()?)
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
        self.read("list the tokens", |db| {
            let mut statement =
                db.prepare_cached("SELECT * FROM tokens ORDER BY made DESC, name")?;
            Ok(statement.query_map([], read_token)?.collect::<Result<_, _>>()?)
        })
    }
}
