//! From a guest's first frame to the answer: sizes, seals, token; one place for both kinds.

use protocol::frames::{EnrolFrame, Stop};
use protocol::{AgentName, Bytes, Digest, EndpointId, EndpointName, Time, limits};
use store::{EndpointState, TokenKind};
use trust::catalogue::Files;

use super::error::EnrolError;
use crate::org::Desk;

/// Who has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// A machine.
    Endpoint {
        /// Its id.
        id: EndpointId,
        /// Its name.
        name: EndpointName,
        /// Where it can be dialled.
        address: Option<String>,
        /// What it calls itself; its word, not ours.
        host: String,
    },
    /// A colleague.
    Agent {
        /// The name.
        name: AgentName,
    },
}

/// Somebody who came and was not admitted.
#[derive(Debug)]
pub struct Turned {
    /// From where.
    pub address: std::net::SocketAddr,
    /// What they were told.
    pub stop: Stop,
    /// What went wrong on this side, where it was our fault.
    pub ours: Option<EnrolError>,
    /// Whether the token is spent: nobody can join with it any more.
    pub spent: bool,
}

/// Why a request is not granted: the guest's fault, or ours.
#[derive(Debug)]
pub(super) enum Refusing {
    /// The guest's: told so.
    Guest(Stop),
    /// Ours: the guest hears `fault` only.
    Ours(EnrolError),
}

impl From<Stop> for Refusing {
    fn from(stop: Stop) -> Self {
        Self::Guest(stop)
    }
}
impl From<EnrolError> for Refusing {
    fn from(error: EnrolError) -> Self {
        Self::Ours(error)
    }
}

/// What is taken back when the answer does not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undo {
    /// The machine never had its card.
    Endpoint(EndpointId),
    /// A person stays in the signed policy: the keys there are the person's own and no harm.
    Nothing,
}

/// A granted request: all that is sent, and what it meant.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) files: Files,
    pub(super) answer: Vec<u8>,
    pub(super) joined: Joined,
    pub(super) undo: Undo,
}

impl Granted {
    /// The frames of the answer: the root chain, the other files, the answer last.
    pub(super) fn frames(&self) -> Vec<EnrolFrame> {
        let root = |name: &str| -> Option<u64> {
            name.strip_suffix(".root.json").and_then(|number| number.parse().ok())
        };
        let mut files: Vec<(&str, &[u8])> = self.files.iter().collect();
        files.sort_by_key(|(name, _)| (root(name).unwrap_or(u64::MAX), *name));
        let mut frames = Vec::new();
        for (name, bytes) in files {
            let parts: Vec<&[u8]> = if bytes.is_empty() {
                vec![bytes]
            } else {
                bytes.chunks(limits::CHUNK_BYTES_MAX).collect()
            };
            let count = parts.len();
            frames.extend(parts.into_iter().enumerate().map(|(place, part)| {
                EnrolFrame::CatalogueFile {
                    name: name.to_owned(),
                    part: Bytes(part.to_vec()),
                    last: place + 1 == count,
                }
            }));
        }
        frames.push(EnrolFrame::Answer { json: Bytes(self.answer.clone()) });
        frames
    }
    pub(super) fn take_back(&self, desk: &Desk) -> Result<(), EnrolError> {
        match self.undo {
            Undo::Endpoint(id) => {
                Ok(desk.store.set_endpoint_state(id, EndpointState::Withdrawn)?)
            }
            Undo::Nothing => Ok(()),
        }
    }
}

/// Whether a token of this kind and name is good at `now`; it is not taken yet.
pub(super) fn holds_token(
    desk: &Desk,
    secret: &Digest,
    kind: TokenKind,
    name: &str,
    now: Time,
) -> Result<(), Refusing> {
    let row = desk.store.token(*secret).map_err(EnrolError::from)?;
    let good = row.is_some_and(|token| {
        token.kind == kind && token.name == name && token.used.is_none() && token.expires > now
    });
    if good { Ok(()) } else { Err(Stop::Token.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_chain_comes_first_in_its_order_and_the_answer_last() {
        let mut files = Files::new();
        for name in ["timestamp.json", "10.root.json", "2.root.json", "1.root.json"] {
            files.insert(name, vec![0; 3]);
        }
        files.insert("a.big", vec![7; limits::CHUNK_BYTES_MAX + 1]);
        let name = "x".parse().unwrap();
        let (joined, undo) = (Joined::Agent { name }, Undo::Nothing);
        let granted = Granted { files, answer: b"{}".to_vec(), joined, undo };
        let names: Vec<String> = granted
            .frames()
            .into_iter()
            .map(|frame| match frame {
                EnrolFrame::CatalogueFile { name, last, .. } => format!("{name} {last}"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(
            names,
            [
                "1.root.json true",
                "2.root.json true",
                "10.root.json true",
                "a.big false",
                "a.big true",
                "timestamp.json true",
                "Answer { json: Bytes(2 B) }",
            ]
        );
    }
}
