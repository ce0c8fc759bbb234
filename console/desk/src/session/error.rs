//! Why a session did not come about or did not go on.

use link::{DialError, LinkError};
use protocol::frames::Stop;
use protocol::json::BadJson;
use protocol::{EndpointName, EnvelopeError, Time};
use trust::seal::{BadSeal, SealError};

use crate::books::{LineFault, Sorry};
use crate::home::{FileError, Stranger, Unmet};

/// Why whoever answered is not the endpoint that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum BadPeer {
    /// A document that is none.
    #[error("its {0} cannot be read")]
    Unreadable(&'static str, #[source] EnvelopeError),
    /// A seal that does not open.
    #[error("its {0} is not signed as it must be")]
    Seal(&'static str, #[source] BadSeal),
    /// No enroller of the policy signed the card.
    #[error("no enroller that policy lists signed its card")]
    Enroller,
    /// The card was revoked.
    #[error("its card {serial} was withdrawn")]
    Withdrawn {
        /// The card's serial.
        serial: u64,
    },
    /// The card's time is over.
    #[error("its card expired at {not_after}")]
    CardExpired {
        /// When.
        not_after: Time,
    },
    /// An older card than the one that is known here.
    #[error("it showed card {shown}, and {known} is known here")]
    OldCard {
        /// Serial of what it showed.
        shown: u64,
        /// Serial of what is known.
        known: u64,
    },
    /// The card is another machine's.
    #[error("its card is that of {name}")]
    Another {
        /// Whose.
        name: EndpointName,
    },
    /// The card is not that of the machine that this console met before.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// The card names another TLS key than the connection has.
    #[error("its card names another key than it spoke with")]
    Key,
    /// The hello belongs to another card.
    #[error("its hello belongs to another card")]
    Hello,
    /// No common session version.
    #[error("it speaks session versions {min} to {max}, this console speaks 1")]
    Version {
        /// Oldest.
        min: u32,
        /// Newest.
        max: u32,
    },
}

/// Why a session did not come about or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody told the desk where the endpoint listens.
    #[error("no address is known for {name}")]
    NoAddress {
        /// The endpoint.
        name: EndpointName,
    },
    /// Not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The shared desk has no line to it.
    #[error("{name} is not connected to the desk")]
    Away {
        /// The endpoint.
        name: EndpointName,
        /// When the desk last saw it.
        last_seen: Option<Time>,
        /// Whether it took leave, or fell silent; none where the desk does not know.
        left_in_order: Option<bool>,
    },
    /// The shared desk is not reached.
    #[error(transparent)]
    NoDesk(#[from] LineFault),
    /// The shared desk said no.
    #[error("the desk says: {0}")]
    Desk(Sorry),
    /// The line ended.
    #[error("the line ended")]
    Line(#[from] LinkError),
    /// It ended the talk with a reason.
    #[error("it stopped: {0}")]
    Stopped(Stop),
    /// What this console knows of machines cannot be read, or not be written down.
    #[error(transparent)]
    Machines(FileError),
    /// Whoever answered is not the endpoint.
    #[error("whoever answered is not the endpoint that was wanted")]
    Peer(#[from] BadPeer),
    /// It refused the catalogue update.
    #[error("it refused the catalogue update ({code}): {sentence}")]
    Catalogue {
        /// Stable code.
        code: String,
        /// Its words: escape them.
        sentence: String,
    },
    /// It refused its renewed certificate.
    #[error("it refused the renewed certificate ({code}): {sentence}")]
    Certificate {
        /// Stable code.
        code: String,
        /// Its words: escape them.
        sentence: String,
    },
    /// A message that does not belong there, or more than a run may send.
    #[error("it answered with what does not belong there")]
    Unexpected,
    /// A document of ours could not be sealed.
    #[error("could not seal what was to be sent")]
    Seal(#[from] SealError),
    /// A document of ours could not be written.
    #[error("could not write what was to be sent")]
    Write(#[from] BadJson),
}

impl From<Unmet> for SessionError {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Stranger(stranger) => Self::Peer(stranger.into()),
            Unmet::File(error) => Self::Machines(error),
        }
    }
}

impl SessionError {
    /// Whether the endpoint may have taken what was sent: nobody knows without asking again.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Line(_) | Self::Unexpected)
    }
}
