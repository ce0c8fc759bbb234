//! `desk.toml`: the shared desk that this home works with, where there is one.

use link::Protocol;
use protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{FileError, Home, Organisation, read_text, remove, write_public};
use crate::books::{Dialled, Door, Line};

/// The shared desk that a home works with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedDesk {
    /// `HOST:PORT` where it is dialled.
    pub address: String,
    /// SHA-256 of its public key, where more is wanted than a certificate of the organisation's
    /// people CA for the role desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
}

impl Home {
    /// Which shared desk is set.
    #[must_use]
    pub fn desk_file(&self) -> std::path::PathBuf {
        self.path().join("desk.toml")
    }
}

impl SharedDesk {
    /// The one that is set; `None` without one.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be read: a home with a desk never falls back to none.
    pub fn read(home: &Home) -> Result<Option<Self>, FileError> {
        let path = home.desk_file();
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = |e: toml::de::Error| FileError::Damaged { path, why: e.message().to_owned() };
        toml::from_str(&text).map(Some).map_err(damaged)
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, home: &Home) -> Result<(), FileError> {
        let path = home.desk_file();
        let text = toml::to_string(self)
            .map_err(|error| FileError::Damaged { path: path.clone(), why: error.to_string() })?;
        let _lock = home.lock()?;
        write_public(&path, text.as_bytes())
    }

    /// Works without one again; says whether there was one.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn unset(home: &Home) -> Result<bool, FileError> {
        let _lock = home.lock()?;
        let there = super::is_there(&home.desk_file());
        if there {
            remove(&home.desk_file())?;
        }
        Ok(there)
    }

    /// A line to it, dialled when it is first asked, with the keys and the catalogue that the home
    /// has then.
    #[must_use]
    pub fn line(&self, home: &Home, organisation: &Organisation) -> Line {
        self.line_over(home, organisation, Protocol::Console)
    }

    pub(crate) fn line_over(
        &self,
        home: &Home,
        organisation: &Organisation,
        protocol: Protocol,
    ) -> Line {
        let (home, organisation, key) = (home.clone(), organisation.clone(), self.key);
        Line::new(Dialled::new(self.address.clone(), move || {
            // Which time it is decides nothing here: TLS judges by the later of floor and clock.
            let catalogue = crate::catalogue::open(&home, protocol::Time(0))?;
            let policy = crate::catalogue::policy_of(&catalogue)?;
            let trust = link::Trust {
                cas: policy.file().cas.people.iter().map(|der| der.0.clone()).collect(),
                organisation: organisation.id.to_string(),
                denied: policy.denied_serials(),
                floor: catalogue.floor(),
            };
            let identity = home.agent_identity(&organisation.me)?;
            Ok(Door { identity, trust, key, protocol })
        }))
    }
}
