//! The key that signs an agent's orders: in clear, under a passphrase, or in an ssh-agent. Beside it the
//! session key that it lent its right to, for a working day at most.
//!
//! Never asks for a passphrase; never keeps one.

use protocol::documents::SessionKey;
use protocol::{AgentName, Envelope, PublicKey, Time};
use trust::{KeyError, Signer as _, SigningKey, seal};
use zeroize::Zeroizing;

use super::ssh_agent::SshKey;
use super::{FileError, Home, HomeError, is_there, read, read_text, remove};
use super::{write_public, write_secret};
use crate::chance::{NoChance, fresh};

/// Where an agent's own signing key is had from.
#[derive(Debug)]
pub enum OwnKey {
    /// Its file, in clear.
    Clear(SigningKey),
    /// Its file, under a passphrase: only its public half is known.
    Locked(PublicKey),
    /// An ssh-agent.
    SshAgent(SshKey),
}

impl OwnKey {
    /// Its public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        match self {
            Self::Clear(key) => key.public_key(),
            Self::Locked(public) => *public,
            Self::SshAgent(key) => key.public_key(),
        }
    }
}

/// A session key that is in force, and its paper.
#[derive(Debug)]
pub struct Session {
    /// The key.
    pub key: SigningKey,
    /// Its paper, sealed by the own key.
    pub paper: Envelope,
    /// What the paper says.
    pub says: SessionKey,
}

/// A key's file that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Its place.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its bytes.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The paper.
    #[error("could not write the session key's paper")]
    Paper(#[from] protocol::json::BadJson),
}

impl Home {
    fn damaged(&self, agent: &AgentName, why: &str) -> HomeError {
        FileError::Damaged { path: self.agent_public(agent), why: why.to_owned() }.into()
    }

    fn public_half(&self, agent: &AgentName) -> Result<PublicKey, HomeError> {
        let text = read_text(&self.agent_public(agent))?;
        text.trim().parse().map_err(|_| self.damaged(agent, "not a public key"))
    }

    /// The agent's own key, as far as it is had without a person.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn own_key(&self, agent: &AgentName) -> Result<OwnKey, HomeError> {
        if !is_there(&self.agent_signing(agent)) && is_there(&self.agent_public(agent)) {
            let public = self.public_half(agent)?;
            return Ok(OwnKey::SshAgent(SshKey::new(self.ssh_agent.clone(), public)));
        }
        match self.agent_signing_key(agent, None) {
            Ok(key) => Ok(OwnKey::Clear(key)),
            Err(HomeError::Key { source: KeyError::PassphraseNeeded, .. }) => {
                Ok(OwnKey::Locked(self.public_half(agent)?))
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps the agent's own key under a passphrase, or in clear where there is none.
    ///
    /// # Errors
    /// [`KeepError`]; what was there is there still.
    pub fn keep_own_key(
        &self,
        agent: &AgentName,
        key: &SigningKey,
        passphrase: Option<&str>,
    ) -> Result<(), KeepError> {
        let path = self.agent_signing(agent);
        let pem = match passphrase {
            None => key.to_pem(),
            Some(words) => key
                .to_encrypted_pem(words.as_bytes(), fresh()?, fresh()?)
                .map_err(|source| HomeError::Key { path: path.clone(), source })?,
        };
        let _lock = self.lock()?;
        // The public half first: a key under a passphrase is never without it.
        write_public(&self.agent_public(agent), format!("{}\n", key.public_key()).as_bytes())?;
        Ok(write_secret(&path, pem.as_bytes())?)
    }

    /// From now on the agent's own key is the one in the ssh-agent; a file of it is removed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep_in_ssh_agent(&self, agent: &AgentName, key: &PublicKey) -> Result<(), FileError> {
        let _lock = self.lock()?;
        write_public(&self.agent_public(agent), format!("{key}\n").as_bytes())?;
        remove(&self.agent_signing(agent))
    }

    /// The session key that is in force; none where there is none, its time is over, or another key
    /// lent it.
    #[must_use]
    pub fn session(&self, agent: &AgentName, own: &PublicKey, now: Time) -> Option<Session> {
        let paper = Envelope::read(&read(&self.agent_session_paper(agent)).ok()?).ok()?;
        let says = seal::open_one::<SessionKey>(&paper, own).ok()?.into_inner();
        let pem = Zeroizing::new(read_text(&self.agent_session(agent)).ok()?);
        let key = SigningKey::from_pem(&pem, None).ok()?;
        let good = key.public_key() == says.key
            && says.person == *agent
            && (says.not_before..=says.not_after).contains(&now);
        good.then_some(Session { key, paper, says })
    }

    /// Keeps a session key with its paper, in place of the one before.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn keep_session(
        &self,
        agent: &AgentName,
        key: &SigningKey,
        paper: &Envelope,
    ) -> Result<(), KeepError> {
        let _lock = self.lock()?;
        remove(&self.agent_session_paper(agent))?;
        write_secret(&self.agent_session(agent), key.to_pem().as_bytes())?;
        Ok(write_secret(&self.agent_session_paper(agent), &paper.write()?)?)
    }

    /// Removes the session key; says whether there was one.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn end_session(&self, agent: &AgentName) -> Result<bool, FileError> {
        let _lock = self.lock()?;
        let was = is_there(&self.agent_session(agent));
        remove(&self.agent_session(agent))?;
        remove(&self.agent_session_paper(agent))?;
        Ok(was)
    }
}
