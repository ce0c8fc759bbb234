//! Keys of the home taken up from their files. Never written here, never kept longer than asked.

use std::path::{Path, PathBuf};

use certs::{Ca, CertError, Kind};
use protocol::AgentName;
use trust::secret::SealingSecret;
use trust::{KeyError, SigningKey};
use zeroize::Zeroizing;

use super::{FileError, Held, Home, Online, read, read_text};

/// A key or certificate of the home that could not be taken up.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its bytes or its passphrase.
    #[error("could not open the key `{path}`")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Its certificate.
    #[error("could not use the certificate `{path}`")]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: CertError,
    },
}

impl HomeError {
    /// Whether a passphrase was wrong or missing.
    #[must_use]
    pub fn is_passphrase(&self) -> bool {
        let wrong =
            |e: &KeyError| matches!(e, KeyError::PassphraseWrong | KeyError::PassphraseNeeded);
        matches!(self, Self::Key { source, .. } if wrong(source))
    }
    /// Whether a file is simply not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File(error) if error.is_missing())
    }
}

fn signing(path: PathBuf, passphrase: Option<&str>) -> Result<SigningKey, HomeError> {
    let pem = Zeroizing::new(read_text(&path)?);
    SigningKey::from_pem(&pem, passphrase.map(str::as_bytes))
        .map_err(|source| HomeError::Key { path, source })
}

fn certificates(path: PathBuf) -> Result<Vec<Vec<u8>>, HomeError> {
    certs::from_pem(&read_text(&path)?).map_err(|source| HomeError::Certificate { path, source })
}

fn identity(key: PathBuf, certificate: PathBuf) -> Result<link::Identity, HomeError> {
    let key = signing(key, None)?;
    Ok(link::Identity { certificates: certificates(certificate)?, key: key.pkcs8_der() })
}

impl Home {
    /// A key used without a person.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn online_key(&self, key: Online) -> Result<SigningKey, HomeError> {
        signing(self.online(key), None)
    }
    /// A key that a person holds under a passphrase.
    ///
    /// # Errors
    /// [`HomeError`]; `is_passphrase` where it does not open.
    pub fn held_key(
        &self,
        key: Held,
        person: &AgentName,
        passphrase: &str,
    ) -> Result<SigningKey, HomeError> {
        signing(self.held(key, person), Some(passphrase))
    }
    /// A key that a person holds under a passphrase, wherever its file lies now.
    ///
    /// # Errors
    /// As [`Self::held_key`].
    pub fn open_held_key(path: &Path, passphrase: &str) -> Result<SigningKey, HomeError> {
        signing(path.to_owned(), Some(passphrase))
    }
    /// The key that signs this agent's orders, where its file is here.
    ///
    /// # Errors
    /// [`HomeError`]; `is_passphrase` where it does not open.
    pub fn agent_signing_key(
        &self,
        agent: &AgentName,
        passphrase: Option<&str>,
    ) -> Result<SigningKey, HomeError> {
        signing(self.agent_signing(agent), passphrase)
    }
    /// What opens secrets sealed to this agent.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn agent_sealing_secret(&self, agent: &AgentName) -> Result<SealingSecret, HomeError> {
        let path = self.agent_sealing(agent);
        let pem = Zeroizing::new(read_text(&path)?);
        SealingSecret::from_pem(&pem, None).map_err(|source| HomeError::Key { path, source })
    }
    /// The key of this agent's certificate.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn agent_tls_key(&self, agent: &AgentName) -> Result<SigningKey, HomeError> {
        signing(self.agent_tls(agent), None)
    }
    /// What this agent's console shows when it dials.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn agent_identity(&self, agent: &AgentName) -> Result<link::Identity, HomeError> {
        identity(self.agent_tls(agent), self.agent_certificate(agent))
    }
    /// What the desk shows when somebody enrols.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn desk_identity(&self) -> Result<link::Identity, HomeError> {
        identity(self.online(Online::DeskTls), self.online_certificate(Online::DeskTls))
    }
    /// One of the two CAs, with its key.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn ca(&self, kind: Kind) -> Result<Ca, HomeError> {
        let which = match kind {
            Kind::People => Online::PeopleCa,
            Kind::Endpoints => Online::EndpointsCa,
        };
        let key = self.online_key(which)?;
        let path = self.online_certificate(which);
        let certificate = certificates(path.clone())?.into_iter().next().unwrap_or_default();
        Ca::load(kind, &certificate, &key.pkcs8_der())
            .map_err(|source| HomeError::Certificate { path, source })
    }
    /// The first root of the organisation's catalogue: what endpoints and colleagues pin.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn first_root(&self) -> Result<Vec<u8>, FileError> {
        read(&self.repository().join("1.root.json"))
    }
}

/// Whether a file is there.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
