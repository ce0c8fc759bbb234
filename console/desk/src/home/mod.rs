//! The console's home folder: where each thing lies, and the only writer of its files.
//!
//! Never reads the environment; never writes a file that a crash could leave half written.

mod files;
mod heads;
mod keys;
mod machines;
mod organisation;
mod own_key;
mod shared;
mod ssh_agent;

use std::fs::File;
use std::path::{Path, PathBuf};

use protocol::AgentName;

pub use evidence::{Met, Stranger, recognise};
pub(crate) use files::remove_folder;
pub use files::{FileError, create_folder, read, read_text, remove, write_public, write_secret};
pub use heads::{Heads, Known, Remembered};
pub use keys::HomeError;
pub(crate) use keys::is_there;
pub use machines::{Machines, Unmet};
pub use organisation::Organisation;
pub use own_key::{KeepError, OwnKey, Session};
pub use shared::SharedDesk;
pub use ssh_agent::{Listed, SshAgentError, SshKey, read_listing, ssh_keys};

/// A key that the console uses without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Online {
    /// Signs snapshot and timestamp.
    SnapshotTimestamp,
    /// CA of agents and desks.
    PeopleCa,
    /// CA of endpoints.
    EndpointsCa,
    /// Signs endpoint cards.
    Enroller,
    /// Signs ticket attestations.
    Ticket,
    /// TLS key of the desk.
    DeskTls,
}

impl Online {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SnapshotTimestamp,
        Self::PeopleCa,
        Self::EndpointsCa,
        Self::Enroller,
        Self::Ticket,
        Self::DeskTls,
    ];
    /// The file's stem.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SnapshotTimestamp => "snapshot-timestamp",
            Self::PeopleCa => "people-ca",
            Self::EndpointsCa => "endpoints-ca",
            Self::Enroller => "enroller",
            Self::Ticket => "ticket",
            Self::DeskTls => "desk-tls",
        }
    }
}

/// A key that a person holds under a passphrase; its file may lie elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// Names all other catalogue keys.
    Root,
    /// Signs policy and delegations.
    Admin,
    /// Signs scripts.
    Vetter,
}

impl Held {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Root, Self::Admin, Self::Vetter];
    /// The folder's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Admin => "admin",
            Self::Vetter => "vetter",
        }
    }
}

/// The console's home folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    /// Beneath the root: where catalogue and drafts lie.
    public: &'static str,
    /// The socket of the ssh-agent that may hold the agent's own key.
    ssh_agent: Option<PathBuf>,
}

/// Held while files of the home change; ends when dropped.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// The home at `root`, there or not.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), public: "org", ssh_agent: None }
    }
    /// With an ssh-agent that may hold the agent's own key.
    #[must_use]
    pub fn with_ssh_agent(self, socket: Option<PathBuf>) -> Self {
        Self { ssh_agent: socket, ..self }
    }
    /// The socket of that ssh-agent.
    #[must_use]
    pub fn ssh_agent(&self) -> Option<&Path> {
        self.ssh_agent.as_deref()
    }
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }
    /// Name, profile and owner; there only when `init` or `join` ended well.
    #[must_use]
    pub fn organisation_file(&self) -> PathBuf {
        self.root.join("org/organisation.toml")
    }
    /// The same home with a copy of catalogue and drafts: to change it before it counts.
    pub(crate) fn staged(&self) -> Self {
        Self { public: "org/staged", ..self.clone() }
    }
    /// The folder of catalogue and drafts.
    pub(crate) fn public(&self) -> PathBuf {
        self.root.join(self.public)
    }
    /// The catalogue, as plain files.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.public().join("repository")
    }
    /// Scripts signed and not yet published.
    #[must_use]
    pub fn pending(&self) -> PathBuf {
        self.public().join("pending")
    }
    /// A key a person holds under a passphrase.
    #[must_use]
    pub fn held(&self, key: Held, person: &AgentName) -> PathBuf {
        self.root.join("keys").join(key.word()).join(format!("{person}.pem"))
    }
    /// A key used without a person.
    #[must_use]
    pub fn online(&self, key: Online) -> PathBuf {
        self.root.join(format!("keys/online/{}.pem", key.word()))
    }
    /// The certificate beside an online key (both CAs and the desk's TLS).
    #[must_use]
    pub fn online_certificate(&self, key: Online) -> PathBuf {
        self.root.join(format!("keys/online/{}.crt", key.word()))
    }
    /// An agent's folder.
    #[must_use]
    pub fn agent(&self, name: &AgentName) -> PathBuf {
        self.root.join("agents").join(name.as_str())
    }
    /// Signs orders.
    #[must_use]
    pub fn agent_signing(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("signing.pem")
    }
    /// The public half of what signs orders, where its file is not in clear.
    #[must_use]
    pub fn agent_public(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("signing.pub")
    }
    /// The session key.
    #[must_use]
    pub fn agent_session(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("session.pem")
    }
    /// Its paper.
    #[must_use]
    pub fn agent_session_paper(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("session.json")
    }
    /// Opens secrets sealed to the agent.
    #[must_use]
    pub fn agent_sealing(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("sealing.pem")
    }
    /// Opens the QUIC door.
    #[must_use]
    pub fn agent_tls(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("tls.pem")
    }
    /// Its certificate.
    #[must_use]
    pub fn agent_certificate(&self, name: &AgentName) -> PathBuf {
        self.agent(name).join("tls.crt")
    }
    /// The store.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("desk.db")
    }
    /// What an interrupted `init` was asked for.
    #[must_use]
    pub fn init_marker(&self) -> PathBuf {
        self.root.join("init.toml")
    }
    /// Says that this home was put back from a copy, and since when.
    #[must_use]
    pub fn restored_file(&self) -> PathBuf {
        self.root.join("restored.json")
    }
    /// Whether an organisation is complete here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.organisation_file().is_file()
    }

    /// Waits until no other command changes files here. Held for milliseconds by everybody.
    ///
    /// # Errors
    /// [`FileError`] where the home cannot be written.
    pub fn lock(&self) -> Result<HomeLock, FileError> {
        self.lock_named("lock")
    }

    /// Waits until no other command changes the organisation's catalogue through a shared desk:
    /// held for as long as the desk takes.
    pub(crate) fn lock_staged(&self) -> Result<HomeLock, FileError> {
        self.lock_named("staged.lock")
    }

    fn lock_named(&self, name: &str) -> Result<HomeLock, FileError> {
        create_folder(&self.root)?;
        let path = self.root.join(name);
        let fail = |source| FileError::Write { path: path.clone(), source };
        let file = files::open_private(&path).map_err(fail)?;
        file.lock().map_err(fail)?;
        Ok(HomeLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_waits_for_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let first = home.lock().unwrap();
        let (tell, told) = std::sync::mpsc::sync_channel(2);
        std::thread::scope(|scope| {
            let (home, tell) = (home.clone(), tell.clone());
            scope.spawn(move || {
                let _second = home.lock().unwrap();
                tell.send("second").unwrap();
            });
            tell_first(&told, first);
        });
    }

    fn tell_first(told: &std::sync::mpsc::Receiver<&str>, first: HomeLock) {
        // Nothing can come while the first is held.
        let wait = std::time::Duration::from_millis(50);
        assert!(told.recv_timeout(wait).is_err());
        drop(first);
        assert_eq!(told.recv().unwrap(), "second");
    }
}
