//! Faces the network: admits peers by certificate, cuts frames, passes sealed bytes on.
//!
//! Never decides, never signs, never decodes what a frame says, opens nothing after start. The
//! first message on its pipe says what it is: a door (`serve`), or one errand (`enrol`, `probe`).
#![forbid(unsafe_code)]

mod desk;
mod errand;
mod pipes;
mod queue;
mod serve;
mod session;

use hatch::{Exceptions, ToGate, lock::LockError};
use protocol::Bytes;

pub use pipes::{PipeFault, Reader, Writer};

/// Why the gate could not go on.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The pipes to the keeper.
    #[error("could not speak with the keeper")]
    Pipe(#[from] PipeFault),
    /// The first message is none that begins something.
    #[error("the keeper did not say what to do")]
    NoTask,
    /// The UDP port, or what it should show there.
    #[error("could not open the door")]
    Listen(#[from] link::ListenError),
    /// The socket does not say where it listens.
    #[error("could not read the own address")]
    Address(#[source] std::io::Error),
    /// A defence could not be raised; without it nothing is served.
    #[error("could not lock this process")]
    Lock(#[from] LockError),
}

/// Does what the keeper's first message says, until the keeper closes the pipe.
///
/// # Errors
/// [`GateError`]; the keeper starts another gate.
pub async fn run(mut keeper: Reader, mut answers: Writer) -> Result<(), GateError> {
    match keeper.next::<ToGate>().await? {
        Some(ToGate::Serve {
            listen,
            key,
            certificates,
            people_ca,
            organisation,
            denied,
            floor,
            ids,
            desks,
            chance,
            redial,
            look_up,
        }) => {
            let me = link::Identity { certificates: chain(certificates), key: key.0.into() };
            let trust = serve::trust(people_ca, organisation, denied, floor);
            let outward = serve::Outwards { desks, chance, redial, look_up };
            serve::serve(serve::Door { listen, me, trust, ids, outward }, keeper, answers).await
        }
        Some(ToGate::Enrol { desk, desk_key, request, ids }) => {
            errand::enrol(&desk, desk_key, &request.0, ids, &mut answers).await
        }
        Some(ToGate::Probe { peer, peer_key, ids }) => {
            errand::probe(&peer, peer_key, ids, &mut answers).await
        }
        Some(_) => Err(GateError::NoTask),
        None => Ok(()),
    }
}

fn chain(certificates: Vec<Bytes>) -> Vec<Vec<u8>> {
    certificates.into_iter().map(|bytes| bytes.0).collect()
}

/// Without ids of its own the gate keeps the user's uid, which only a named exception allows.
const fn exceptions(ids: Option<(u32, u32)>) -> Exceptions {
    Exceptions { uid: ids.is_none(), cgroup: false }
}
