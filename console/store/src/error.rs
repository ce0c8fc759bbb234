//! What can go wrong with the store, each with what to do. Never repeats stored text.

use std::path::PathBuf;

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file where the store should be.
    #[error("there is no store at `{path}`; put back your last copy, or give the right --home")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is one already.
    #[error("there is a store at `{path}` already; nothing was changed")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The file could not be made, opened or protected.
    #[error("could not open the store `{path}`")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes and did not end in time.
    #[error(
        "store locked: another salve writes to `{path}`; wait until it has ended and run the \
         command again (`fuser {path}` names it)"
    )]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not a whole store. Nothing was written to it.
    #[error(
        "the store `{path}` is damaged ({what}); nothing was changed. Move it and its `-wal` file \
         aside together and put back your last copy; records made since then stay on their \
         endpoints for 90 days"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer salve wrote this file.
    #[error("the store `{path}` has version {have}, this salve knows {know}; use the newer salve")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Version in the file.
        have: i64,
        /// Newest version known here.
        know: i64,
    },
    /// The disk has no room left.
    #[error("no room left on the disk of `{path}`; nothing was stored")]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// Something of that name is there already.
    #[error("{what} exists already")]
    Duplicate {
        /// As in "endpoint `lt-4411`".
        what: String,
    },
    /// It is not there.
    #[error("there is no {what}")]
    NotFound {
        /// As in "ticket `7`".
        what: String,
    },
    /// As many are there as are taken.
    #[error("there are too many {what} already")]
    TooMany {
        /// As in "orders that wait for this endpoint".
        what: &'static str,
    },
    /// A token that may not be used (any more).
    #[error("the token is unknown, used or expired")]
    Token,
    /// A secret that was opened before, or is too old.
    #[error("the secret was opened at {at} and can be opened once only")]
    Opened {
        /// When.
        at: protocol::Time,
    },
    /// Any other fault of the database.
    #[error("could not {doing} in `{path}`")]
    Sql {
        /// What we tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

/// Inside a transaction: either SQLite's word or ours.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(rusqlite::Error),
    Said(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

impl Fault {
    pub(crate) fn named(self, doing: &'static str, path: &std::path::Path) -> StoreError {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        let source = match self {
            Self::Said(error) => return error,
            Self::Sql(source) => source,
        };
        match source.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => StoreError::Locked { path },
            Some(Code::DiskFull) => StoreError::Full { path },
            Some(Code::NotADatabase) => {
                StoreError::Damaged { path, what: "it is not a database".to_owned() }
            }
            Some(Code::DatabaseCorrupt) => {
                StoreError::Damaged { path, what: "its pages contradict each other".to_owned() }
            }
            _ => match source {
                // Text in a column that our own types refuse: somebody else wrote it.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => {
                    let what = format!("could not {doing}: a row holds what salve never wrote");
                    StoreError::Damaged { path, what }
                }
                source => StoreError::Sql { doing, path, source },
            },
        }
    }
}

/// Turns "unique constraint" into the word for it.
pub(crate) fn duplicate(error: rusqlite::Error, what: impl FnOnce() -> String) -> Fault {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
        && error.sqlite_error().is_some_and(|e| {
            e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                || e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        })
    {
        Fault::Said(StoreError::Duplicate { what: what() })
    } else {
        Fault::Sql(error)
    }
}
