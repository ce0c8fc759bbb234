//! Why nobody could join. What a guest is told is only ever a code of `Stop`.

use protocol::{AgentName, EndpointName, Label};

use crate::catalogue::CatalogueTrouble;
use crate::chance::NoChance;
use crate::home::{FileError, HomeError};

/// Why the door cannot be opened, or what went wrong on this side while it was.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Such a machine is there already.
    #[error("there is already an endpoint `{name}`")]
    NameTaken {
        /// Its name.
        name: EndpointName,
    },
    /// The policy does not list this person, and no administrator is there to do it.
    #[error("`{name}` is not in the policy")]
    PersonUnknown {
        /// The name.
        name: protocol::AgentName,
    },
    /// The policy denies this person.
    #[error("`{name}` was withdrawn")]
    PersonWithdrawn {
        /// The name.
        name: protocol::AgentName,
    },
    /// The signed policy does not let this desk give a label.
    #[error("policy does not let this desk give the label `{label}={value}`")]
    LabelNotAllowed {
        /// The label.
        label: Label,
        /// Its value.
        value: Label,
    },
    /// Nobody came.
    #[error("nobody came with the token in {minutes} minutes")]
    Expired {
        /// How long it was open.
        minutes: u64,
    },
    /// The address cannot be listened on.
    #[error("could not wait for `{name}`")]
    Listen {
        /// Who is waited for.
        name: String,
        /// Why.
        #[source]
        source: link::ListenError,
    },
    /// A listening address that is no address of its own, and no way to find one.
    #[error("this machine has no address that others could reach")]
    NoAddress,
    /// A token for the shared desk, and nobody said where machines find it.
    #[error("where machines find the shared desk is not known")]
    NoDesk,
    /// The answer was sent and nobody took it.
    #[error("the answer did not arrive")]
    NotDelivered,
    /// The line to the other side.
    #[error("the line broke while the answer was on its way")]
    Line(#[source] link::LinkError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::books::BookError),
    /// The home's keys.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The home's files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// A certificate that is not for the key on the card.
    #[error("the certificate of `{name}` is not for the key on its card")]
    OtherKey {
        /// Whose card.
        name: EndpointName,
    },
    /// A certificate for a key that the policy denies.
    #[error("the key of {name}'s certificate is denied by the policy")]
    DeniedKey {
        /// Whose certificate.
        name: AgentName,
    },
    /// A certificate could not be made.
    #[error("could not make the certificate")]
    Certificate(#[from] certs::CertError),
    /// The card could not be signed.
    #[error("could not sign the card")]
    Seal(#[from] trust::seal::SealError),
    /// A document could not be written.
    #[error("could not write the answer")]
    Write(#[from] protocol::json::BadJson),
}
