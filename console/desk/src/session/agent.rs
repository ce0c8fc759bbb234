//! An agent at work: the keys and the catalogue that every session and order needs, read once.

use link::Trust;
use policy::Policy;
use protocol::{AgentName, Time};
use trust::catalogue::{Catalogue, Files, RepositoryError};

use crate::catalogue::{self, CatalogueTrouble};
use crate::home::{Heads, HomeError, Machines};
use crate::org::{Desk, InitError, agent_certificate_by_desk, renew_certificates};
use crate::session::Signing;

/// What an agent's console needs to work.
#[derive(Debug)]
pub struct Agent {
    /// Who.
    pub name: AgentName,
    /// Certificate and TLS key.
    pub identity: link::Identity,
    /// Signs orders, dispatches and recalls.
    pub signing: Signing,
    /// The organisation as certificates name it.
    pub organisation: String,
    /// The catalogue, verified.
    pub catalogue: Catalogue,
    /// Its files, for endpoints that lack some.
    pub files: Files,
    /// The policy in it.
    pub policy: Policy,
    /// The machines that this console has met.
    pub machines: Machines,
    /// How many records each of them had.
    pub heads: Heads,
}

/// Why an agent cannot work from this home.
#[derive(Debug, thiserror::Error)]
pub enum NoAgent {
    /// The agent's keys.
    #[error("could not take up the keys of {agent}")]
    Keys {
        /// Whose.
        agent: AgentName,
        /// Why.
        #[source]
        source: HomeError,
    },
    /// The agent's certificate was due and could not be renewed.
    #[error("could not renew the certificate of {agent}")]
    Renew {
        /// Whose.
        agent: AgentName,
        /// Why.
        #[source]
        source: Box<InitError>,
    },
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
}

/// A timestamp younger than this is not looked at for renewal: half of half a day, below what any
/// profile renews at.
const FRESH_SECONDS: u64 = 6 * 3600;

fn read(files: &Files, now: Time) -> Result<Catalogue, CatalogueTrouble> {
    let root = files.get("1.root.json").unwrap_or_default();
    Ok(Catalogue::open(files, root, now).map_err(RepositoryError::Refused)?)
}

impl Agent {
    /// Reads what the home's owner needs; renews timestamp, snapshot and the own certificate where
    /// they are old and the home holds the keys for it.
    ///
    /// # Errors
    /// [`NoAgent`].
    pub fn load(desk: &Desk, now: Time) -> Result<Self, NoAgent> {
        let mut files = catalogue::files(&desk.home)?;
        let mut catalogue = read(&files, now)?;
        // Reading and verifying once is most of what a short command does: more only when due.
        let issued = catalogue.issued();
        let due = now.since(issued) >= FRESH_SECONDS
            // By a clock that was ahead: endpoints would take their time from it.
            || issued.since(now) > protocol::limits::CLOCK_SKEW_SECONDS;
        let behind = catalogue::catch_up(desk, now)?;
        if behind || due && catalogue::renew_if_old(&desk.home, now)? {
            files = catalogue::files(&desk.home)?;
            catalogue = read(&files, now)?;
        }
        let policy = catalogue::policy_of(&catalogue)?;
        let name = desk.organisation.me.clone();
        renew_certificates(&desk.home, &name, now)
            .and_then(|()| agent_certificate_by_desk(desk, &policy, now))
            .map_err(|source| NoAgent::Renew { agent: name.clone(), source: Box::new(source) })?;
        let keys = |source| NoAgent::Keys { agent: name.clone(), source };
        Ok(Self {
            identity: desk.home.agent_identity(&name).map_err(keys)?,
            signing: Signing::of(&desk.home, &name, now).map_err(keys)?,
            organisation: desk.organisation.id.to_string(),
            files,
            catalogue,
            policy,
            machines: desk.home.machines(&name),
            heads: desk.home.heads(&name),
            name,
        })
    }
    /// Whom this agent's console takes for an endpoint.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let cas = &self.policy.file().cas.endpoints;
        Trust {
            cas: cas.iter().map(|der| der.0.clone()).collect(),
            organisation: self.organisation.clone(),
            denied: self.policy.denied_serials(),
            floor: self.catalogue.floor(),
        }
    }
}
