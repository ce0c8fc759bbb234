//! Hears one run out: events as they come, then what proves them.

use link::Stream;
use protocol::frames::{Answer, Event, FilingSummary};
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
    /// What the shared desk says that filing came to; none where this console files.
    pub filing: Option<FilingSummary>,
}

/// What was heard of one run so far.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    record: Option<Vec<u8>>,
    effects: Option<Vec<u8>>,
    plan: Option<Vec<u8>>,
    escrow: Option<(Vec<u8>, Time)>,
    hash: sha2::Sha256,
    count: u64,
}

impl Hearing {
    /// Whether what proves the run is here; the rest can be fetched again.
    pub(crate) const fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// Takes one answer of the endpoint.
    ///
    /// # Errors
    /// [`SessionError::Stopped`], or more than a run may send.
    pub(crate) fn take(
        &mut self,
        answer: Answer,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<(), SessionError> {
        match answer {
            Answer::Escrow { sealed, not_after } => self.escrow = Some((sealed.0, not_after)),
            _ if self.record.is_some() => return Err(SessionError::Unexpected),
            Answer::Event { event } => {
                let bytes = minicbor::to_vec(&event).map_err(|_| SessionError::Unexpected)?;
                self.hash.update(&bytes);
                self.count = self.count.saturating_add(1);
                on_event(&event);
            }
            Answer::Plan { plan } if plan.0.len() <= limits::PLAN_BYTES_MAX => {
                self.plan = Some(plan.0);
            }
            Answer::Effects { part } => {
                let effects = self.effects.get_or_insert_default();
                if effects.len().saturating_add(part.0.len()) > limits::EFFECTS_BYTES_MAX {
                    return Err(SessionError::Unexpected);
                }
                effects.extend_from_slice(&part.0);
            }
            Answer::Record { record } => self.record = Some(record.0),
            Answer::Stop { code } => return Err(SessionError::Stopped(code)),
            _ => return Err(SessionError::Unexpected),
        }
        Ok(())
    }

    /// All of it. A record must have come.
    ///
    /// # Errors
    /// [`SessionError::Line`] without one.
    pub(crate) fn end(self) -> Result<Returned, SessionError> {
        let record = self.record.ok_or(SessionError::Line(link::LinkError::Ended))?;
        let digest = Digest(self.hash.finalize().into());
        Ok(Returned {
            record,
            effects: self.effects,
            plan: self.plan,
            escrow: self.escrow,
            events: EventsSeen { digest, count: self.count },
            filing: None,
        })
    }
}

/// Reads until the endpoint finishes the stream. A record must have come then.
pub(super) async fn hear(
    stream: &mut Stream,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Returned, SessionError> {
    let mut heard = Hearing::default();
    loop {
        match stream.recv::<Answer>().await {
            Ok(Some(answer)) => heard.take(answer, on_event)?,
            Ok(None) => break,
            // Without the record nothing is known.
            Err(_) if heard.has_record() => break,
            Err(error) => return Err(error.into()),
        }
    }
    heard.end()
}
