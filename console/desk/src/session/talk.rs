//! Hears one run out: events as they come, then what proves them.

use link::Stream;
use protocol::frames::{Answer, Event};
use protocol::{Digest, Time, limits};
use sha2::Digest as _;

use super::error::SessionError;

/// The live events that were seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsSeen {
    /// SHA-256 over the encoded events in order.
    pub digest: Digest,
    /// How many.
    pub count: u64,
}

/// What came back for one run.
#[derive(Debug, Clone)]
pub struct Returned {
    /// The record's envelope, byte for byte.
    pub record: Vec<u8>,
    /// The effects file, where it was sent.
    pub effects: Option<Vec<u8>>,
    /// The plan's bytes, where one was made.
    pub plan: Option<Vec<u8>>,
    /// JSON of a sealed secret, and until when it should be opened.
    pub escrow: Option<(Vec<u8>, Time)>,
    /// The live events.
    pub events: EventsSeen,
}

#[derive(Debug, Default)]
struct Hearing {
    record: Option<Vec<u8>>,
    effects: Option<Vec<u8>>,
    plan: Option<Vec<u8>>,
    escrow: Option<(Vec<u8>, Time)>,
    count: u64,
}

/// Reads until the endpoint finishes the stream. A record must have come then.
pub(super) async fn hear(
    stream: &mut Stream,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Returned, SessionError> {
    let mut heard = Hearing::default();
    let mut hash = sha2::Sha256::new();
    loop {
        let answer = match stream.recv::<Answer>().await {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            // With the record in hand the rest can be fetched again; without it nothing is known.
            Err(_) if heard.record.is_some() => break,
            Err(error) => return Err(error.into()),
        };
        match answer {
            Answer::Escrow { sealed, not_after } => heard.escrow = Some((sealed.0, not_after)),
            _ if heard.record.is_some() => return Err(SessionError::Unexpected),
            Answer::Event { event } => {
                let bytes = minicbor::to_vec(&event).map_err(|_| SessionError::Unexpected)?;
                hash.update(&bytes);
                heard.count = heard.count.saturating_add(1);
                on_event(&event);
            }
            Answer::Plan { plan } if plan.0.len() <= limits::PLAN_BYTES_MAX => {
                heard.plan = Some(plan.0);
            }
            Answer::Effects { part } => {
                let effects = heard.effects.get_or_insert_default();
                if effects.len().saturating_add(part.0.len()) > limits::EFFECTS_BYTES_MAX {
                    return Err(SessionError::Unexpected);
                }
                effects.extend_from_slice(&part.0);
            }
            Answer::Record { record } => heard.record = Some(record.0),
            Answer::Stop { code } => return Err(SessionError::Stopped(code)),
            Answer::Plan { .. }
            | Answer::Hello { .. }
            | Answer::Challenge { .. }
            | Answer::CatalogueTaken { .. }
            | Answer::CatalogueRefused { .. }
            | Answer::CertificateTaken { .. }
            | Answer::CertificateRefused { .. }
            | Answer::Recalled { .. } => return Err(SessionError::Unexpected),
        }
    }
    let record = heard.record.ok_or(SessionError::Line(link::LinkError::Ended))?;
    let digest = Digest(hash.finalize().into());
    Ok(Returned {
        record,
        effects: heard.effects,
        plan: heard.plan,
        escrow: heard.escrow,
        events: EventsSeen { digest, count: heard.count },
    })
}
