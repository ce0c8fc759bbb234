//! A home that is ready: its organisation and its store, on one handle.

use crate::books::Books;
use crate::home::{FileError, Home, Organisation};

/// What commands work on.
#[derive(Debug)]
pub struct Desk {
    /// The folder and its keys.
    pub home: Home,
    /// Which organisation, and who I am.
    pub organisation: Organisation,
    /// The store: here, or at the shared desk.
    pub store: Books,
}

/// Why a home cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `init` or `join` did not come to its end.
    #[error("the set-up of `{path}` was interrupted")]
    Interrupted {
        /// The home.
        path: std::path::PathBuf,
    },
    /// Nothing is there.
    #[error("there is no organisation in `{path}`")]
    Empty {
        /// The home.
        path: std::path::PathBuf,
    },
    /// Its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

impl Desk {
    /// Opens a home.
    ///
    /// # Errors
    /// [`OpenError`] tells an empty home from one whose set-up was interrupted.
    pub fn open(home: Home) -> Result<Self, OpenError> {
        let organisation = match Organisation::read(&home) {
            Ok(organisation) => organisation,
            Err(error) if error.is_missing() => {
                let path = home.path().to_owned();
                return Err(if crate::home::is_there(&home.init_marker()) {
                    OpenError::Interrupted { path }
                } else {
                    OpenError::Empty { path }
                });
            }
            Err(error) => return Err(error.into()),
        };
        let store = match crate::home::SharedDesk::read(&home)? {
            // Only who works without one opens a store here.
            None => store::Store::open(&home.database())?.into(),
            Some(desk) => desk.line(&home, &organisation).into(),
        };
        Ok(Self { home, organisation, store })
    }
}
