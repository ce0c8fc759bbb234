//! Columns to our types and back. Never guesses: text that a type refuses is a fault of the file.

use std::str::FromStr;

use protocol::{Outcome, Time};
use rusqlite::Row;
use rusqlite::types::Type;

/// A stored text that its type refuses.
#[derive(Debug, thiserror::Error)]
#[error("column `{0}` holds what salve never wrote")]
struct Foreign(&'static str);

fn foreign(column: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(Foreign(column)))
}

pub(crate) fn text<T: FromStr>(row: &Row<'_>, column: &'static str) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|_| foreign(column))
}

pub(crate) fn text_opt<T: FromStr>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|t| t.parse().map_err(|_| foreign(column))).transpose()
}

pub(crate) fn number(row: &Row<'_>, column: &'static str) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| foreign(column))
}

pub(crate) fn number_opt(row: &Row<'_>, column: &'static str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number.map(|n| u64::try_from(n).map_err(|_| foreign(column))).transpose()
}

pub(crate) fn time(row: &Row<'_>, column: &'static str) -> rusqlite::Result<Time> {
    number(row, column).map(Time)
}

pub(crate) fn time_opt(row: &Row<'_>, column: &'static str) -> rusqlite::Result<Option<Time>> {
    Ok(number_opt(row, column)?.map(Time))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| foreign(column))
}

pub(crate) fn json_opt<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|t| serde_json::from_str(&t).map_err(|_| foreign(column))).transpose()
}

/// One of a closed list of words.
pub(crate) fn word<T: Copy>(
    row: &Row<'_>,
    column: &'static str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    all.iter().copied().find(|one| word(*one) == text).ok_or_else(|| foreign(column))
}

pub(crate) fn outcome_opt(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<Option<Outcome>> {
    let text: Option<String> = row.get(column)?;
    let find = |t: String| Outcome::ALL.into_iter().find(|o| o.word() == t);
    text.map(|t| find(t).ok_or_else(|| foreign(column))).transpose()
}

pub(crate) fn stamp(time: Time) -> i64 {
    int(time.0)
}

/// A page's length for SQL: zero means all.
pub(crate) fn limit(rows: usize) -> i64 {
    match rows {
        0 => -1,
        some => i64::try_from(some).unwrap_or(-1),
    }
}

/// SQLite's integers are signed; ours stay below 2^53 by law of the documents.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Declares an enum that is stored as one word, with the list of all of them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word, as stored and shown.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.word())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let word = d.str()?;
                let found = Self::ALL.iter().copied().find(|one| one.word() == word);
                found.ok_or_else(|| minicbor::decode::Error::message("a word of another version"))
            }
        }
    };
}
pub(crate) use words;
