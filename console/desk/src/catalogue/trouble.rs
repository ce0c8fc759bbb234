//! What can be wrong with the catalogue at the desk.

use policy::Fault;
use protocol::{AgentName, Risk};
use trust::catalogue::RepositoryError;

use crate::books::BookError;
use crate::home::{FileError, HomeError};

/// Why the catalogue could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueTrouble {
    /// The repository.
    #[error("could not use the catalogue")]
    Repository(#[from] RepositoryError),
    /// What the shared desk brought. What is here is what it was.
    #[error("the catalogue that the desk brings is not taken; the one here is kept")]
    Brought(#[source] Box<Self>),
    /// The policy's text.
    #[error("the policy has faults: {}", faults(.0))]
    Policy(Vec<Fault>),
    /// The policy cannot be written.
    #[error("could not write the policy")]
    Write(#[from] toml::ser::Error),
    /// The home's keys.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The home's files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The signer is nobody who vets.
    #[error("{person} has no key in the role {}", .risk.role())]
    NotAVetter {
        /// Who.
        person: AgentName,
        /// For which risk.
        risk: Risk,
    },
    /// The signer was withdrawn, or the policy's date for this person is over.
    #[error("{person} was withdrawn and signs nothing any more")]
    Withdrawn {
        /// Who.
        person: AgentName,
    },
    /// Too few people signed.
    #[error("{} needs {wanted} people, has {have}", .risk.role())]
    TooFewPeople {
        /// Which list.
        risk: Risk,
        /// How many people signed.
        have: usize,
        /// How many must.
        wanted: usize,
    },
    /// Too few of a role's keys are at hand.
    #[error("{role} needs {wanted} people, has {have}")]
    TooFewSigners {
        /// Which role, as in `policy`.
        role: String,
        /// How many of its people's keys are here.
        have: usize,
        /// How many must sign.
        wanted: usize,
    },
    /// The script has faults.
    #[error("the script has {} faults", .0.len())]
    Script(Vec<script::Fault>),
    /// A script that is not UTF-8 text or larger than a script may be.
    #[error("the script is not text of at most {} KiB", protocol::limits::SCRIPT_BYTES_MAX / 1024)]
    NotText,
    /// Somebody changed what waits between the look and the signature.
    #[error("what waits at {} is not what was shown", .risk.role())]
    NotWhatWasShown {
        /// Which list.
        risk: Risk,
    },
    /// The shared desk, or the line to it.
    #[error(transparent)]
    Desk(#[from] Box<BookError>),
    /// Nothing waits.
    #[error("no script waits to be published")]
    NothingPending,
}

fn faults(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
