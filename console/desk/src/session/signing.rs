//! What signs for an agent: the own key, once it is open, or the session key that it lent its right to.
//!
//! Never asks for a passphrase: whoever has one opens the key with it before it is needed.

use std::sync::OnceLock;

use protocol::documents::SessionKey;
use protocol::{AgentName, Envelope, Label, PublicKey, Risk, Time, limits};
use trust::seal::{SealError, seal};
use trust::{SignError, Signer, SigningKey};

use crate::chance::{NoChance, fresh};
use crate::home::{Home, HomeError, KeepError, OwnKey, Session};

/// The key lies under a passphrase that nobody has given yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it lies under a passphrase and was not opened")]
pub struct Locked;

/// What signs for an agent.
#[derive(Debug)]
pub struct Signing {
    own: OwnKey,
    opened: OnceLock<SigningKey>,
    session: Option<Session>,
}

/// What a session key is wanted for.
#[derive(Debug, Clone)]
pub struct Lend {
    /// Up to which risk; high becomes medium.
    pub risk: Risk,
    /// For how long, seconds; more than [`limits::SESSION_KEY_SECONDS_MAX`] becomes that.
    pub seconds: u64,
    /// The machine, as its owner names it.
    pub machine: Option<Label>,
}

/// Why no session key was made.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The own key did not sign it.
    #[error("could not sign the session key")]
    Seal(#[from] SealError),
    /// It could not be kept.
    #[error("could not keep the session key")]
    Keep(#[from] KeepError),
}

impl Signing {
    /// As the home has it.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn of(home: &Home, agent: &AgentName, now: Time) -> Result<Self, HomeError> {
        let own = home.own_key(agent)?;
        let session = home.session(agent, &own.public_key(), now);
        Ok(Self { own, opened: OnceLock::new(), session })
    }

    /// Where the own key lies.
    #[must_use]
    pub const fn own(&self) -> &OwnKey {
        &self.own
    }

    /// The session key in force.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether the own key cannot sign before somebody gives its passphrase.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self.own, OwnKey::Locked(_)) && self.opened.get().is_none()
    }

    /// Whether the own key signs without asking anybody: it is here, and open. An ssh-agent may have a
    /// person confirm each use, and does not say whether it will.
    #[must_use]
    pub fn is_at_hand(&self) -> bool {
        !matches!(self.own, OwnKey::SshAgent(_)) && !self.is_locked()
    }

    /// Opens the own key.
    ///
    /// # Errors
    /// [`HomeError`]; `is_passphrase` where the passphrase is another.
    pub fn open(&self, home: &Home, agent: &AgentName, passphrase: &str) -> Result<(), HomeError> {
        let key = home.agent_signing_key(agent, Some(passphrase))?;
        // Opened twice it is the same key.
        let _ = self.opened.set(key);
        Ok(())
    }

    /// The session key, where it is good up to this risk and lives until then.
    #[must_use]
    pub fn session_for(&self, risk: Risk, until: Time) -> Option<&Session> {
        self.session
            .as_ref()
            .filter(|session| risk <= session.says.risk && until <= session.says.not_after)
    }

    /// Whoever of the two has this key; the own key where neither has.
    #[must_use]
    pub fn holder(&self, key: &PublicKey) -> &dyn Signer {
        match &self.session {
            Some(session) if session.says.key == *key => &session.key,
            _ => self,
        }
    }

    /// Makes a session key and lends it the own key's right.
    ///
    /// # Errors
    /// [`LendError`]; the one before is in force then.
    pub fn lend(
        &self,
        home: &Home,
        agent: &AgentName,
        wanted: Lend,
        now: Time,
    ) -> Result<SessionKey, LendError> {
        let key = SigningKey::from_seed(fresh()?);
        let says = SessionKey {
            person: agent.clone(),
            key: key.public_key(),
            risk: wanted.risk.min(Risk::Medium),
            machine: wanted.machine,
            not_before: now,
            not_after: now.plus(wanted.seconds.min(limits::SESSION_KEY_SECONDS_MAX)),
        };
        let paper = seal(&says, &[self])?;
        home.keep_session(agent, &key, &paper)?;
        Ok(says)
    }

    /// The paper that goes into what this key signs.
    #[must_use]
    pub fn paper(&self, key: &PublicKey) -> Option<Envelope> {
        self.session.as_ref().filter(|session| session.says.key == *key).map(|s| s.paper.clone())
    }
}

/// The own key.
impl Signer for Signing {
    fn public_key(&self) -> PublicKey {
        self.own.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match (&self.own, self.opened.get()) {
            (OwnKey::Clear(key), _) | (OwnKey::Locked(_), Some(key)) => key.sign(message),
            (OwnKey::SshAgent(key), _) => key.sign(message),
            (OwnKey::Locked(key), None) => {
                Err(SignError { key: *key, source: Some(Box::new(Locked)) })
            }
        }
    }
}
