//! Session frames (CBOR, RFC 8949; field numbers are never reused) and their framing.
//!
//! A frame on a stream is a length of 4 bytes, big endian, then that many bytes of CBOR. Sealed
//! documents travel as the bytes of their envelopes; nothing outside a seal steers a run.

use minicbor::{Decode, Encode};

use crate::documents::CatalogueVersions;
use crate::{Bytes, Digest, Mode, Outcome, RunId, limits};

/// From the desk's side to the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// First frame of a session, on its first stream.
    #[n(0)]
    Hello {
        /// Oldest session version taken.
        #[n(0)]
        min: u32,
        /// Newest session version taken.
        #[n(1)]
        max: u32,
    },
    /// Asks for another challenge ahead of time; same stream as the hello.
    #[n(1)]
    Challenge,
    /// One part of one file of a catalogue update; all parts of one file follow each other.
    #[n(2)]
    CatalogueFile {
        /// Name in the repository, as in `7.snapshot.json`.
        #[n(0)]
        name: String,
        /// At most 128 KiB.
        #[n(1)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(2)]
        last: bool,
    },
    /// The update is complete: verify it whole and make it current.
    #[n(3)]
    CatalogueEnd,
    /// An order with its dispatch and what supports it, each an envelope's bytes.
    #[n(4)]
    Submit {
        /// The order.
        #[n(0)]
        order: Bytes,
        /// The dispatch.
        #[n(1)]
        dispatch: Bytes,
        /// The ticket attestation.
        #[n(2)]
        attestation: Option<Bytes>,
        /// Approvals.
        #[n(3)]
        approvals: Vec<Bytes>,
    },
    /// A recall's envelope.
    #[n(5)]
    Recall {
        /// The recall.
        #[n(0)]
        recall: Bytes,
    },
    /// Live events of a run from now on, then its record.
    #[n(6)]
    Follow {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// A run's record again, with effects file and escrow.
    #[n(7)]
    Fetch {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// Advice: this record is filed at the desk.
    #[n(8)]
    Filed {
        /// Digest of the record's payload.
        #[n(0)]
        record: Digest,
    },
}

/// From the endpoint to the desk's side.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Answers [`Ask::Hello`].
    #[n(0)]
    Hello {
        /// The hello's envelope.
        #[n(0)]
        hello: Bytes,
        /// The card's envelope.
        #[n(1)]
        card: Bytes,
        /// Runs that ended without being filed, newest last, at most 64.
        #[n(2)]
        unfiled: Vec<RunId>,
    },
    /// Answers [`Ask::Challenge`]: a hello's envelope with a new challenge.
    #[n(1)]
    Challenge {
        /// The hello.
        #[n(0)]
        hello: Bytes,
    },
    /// Answers [`Ask::CatalogueEnd`].
    #[n(2)]
    CatalogueTaken {
        /// What is trusted now.
        #[n(0)]
        versions: CatalogueVersions,
    },
    /// The update was refused; what was trusted before is trusted still.
    #[n(3)]
    CatalogueRefused {
        /// Stable code, as in `rollback`.
        #[n(0)]
        code: String,
        /// One sentence.
        #[n(1)]
        sentence: String,
    },
    /// Something happened in a run; live, until the record confirms its digest.
    #[n(4)]
    Event {
        /// The event.
        #[n(0)]
        event: Event,
    },
    /// The plan that a plan run made (its bytes; the record has their digest).
    #[n(5)]
    Plan {
        /// JSON of [`crate::Plan`].
        #[n(0)]
        plan: Bytes,
    },
    /// A part of the effects file (JSON lines).
    #[n(6)]
    Effects {
        /// At most 128 KiB.
        #[n(0)]
        part: Bytes,
    },
    /// The record's envelope; only [`Answer::Escrow`] follows it.
    #[n(7)]
    Record {
        /// The record.
        #[n(0)]
        record: Bytes,
    },
    /// A one-time secret sealed to the order's signer.
    #[n(8)]
    Escrow {
        /// JSON of [`crate::documents::Sealed`].
        #[n(0)]
        sealed: Bytes,
        /// When it should no longer be opened.
        #[n(1)]
        not_after: crate::Time,
    },
    /// Not a run's answer: the frame was wrong, its seals did not open, or there is no such run.
    #[n(9)]
    Stop {
        /// Why.
        #[n(0)]
        code: Stop,
    },
    /// A recall was taken.
    #[n(10)]
    Recalled {
        /// Whether a run was running or waiting.
        #[n(0)]
        was_running: bool,
    },
}

/// Why a stream or session ends without a record. Also the application's error code in QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum Stop {
    /// No common session version.
    #[error("no common protocol version")]
    #[n(1)]
    Version,
    /// A frame longer than the limit, empty, or not CBOR of a known message.
    #[error("bad frame")]
    #[n(2)]
    Frame,
    /// A known message at the wrong time.
    #[error("message in the wrong state")]
    #[n(3)]
    State,
    /// No hello in time.
    #[error("no hello in time")]
    #[n(4)]
    Late,
    /// The peer's certificate has a role that is not served here.
    #[error("role not served here")]
    #[n(5)]
    Role,
    /// The peer's certificate was withdrawn.
    #[error("certificate withdrawn")]
    #[n(6)]
    Withdrawn,
    /// The seals did not open: no agent that policy knows signed this.
    #[error("no agent signed this")]
    #[n(7)]
    Seal,
    /// Too much of it.
    #[error("too many requests")]
    #[n(8)]
    Rate,
    /// The daemon is stopping.
    #[error("shutting down")]
    #[n(9)]
    Drain,
    /// No such run here.
    #[error("no such run here")]
    #[n(10)]
    NoRun,
    /// The daemon could not go on; its journal says why.
    #[error("the endpoint's daemon has a fault; see its journal")]
    #[n(11)]
    Fault,
    /// The recall is not by somebody who may.
    #[error("not yours to recall")]
    #[n(12)]
    NotYours,
    /// The catalogue is expired or missing and nothing but an update is served.
    #[error("the catalogue here has expired; send an update first")]
    #[n(13)]
    Stale,
    /// The enrolment token is unknown, used or expired.
    #[error("the token is unknown, used or expired")]
    #[n(14)]
    Token,
}

impl Stop {
    /// The QUIC application error code.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Version => 1,
            Self::Frame => 2,
            Self::State => 3,
            Self::Late => 4,
            Self::Role => 5,
            Self::Withdrawn => 6,
            Self::Seal => 7,
            Self::Rate => 8,
            Self::Drain => 9,
            Self::NoRun => 10,
            Self::Fault => 11,
            Self::NotYours => 12,
            Self::Stale => 13,
            Self::Token => 14,
        }
    }
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Version,
        Self::Frame,
        Self::State,
        Self::Late,
        Self::Role,
        Self::Withdrawn,
        Self::Seal,
        Self::Rate,
        Self::Drain,
        Self::NoRun,
        Self::Fault,
        Self::NotYours,
        Self::Stale,
        Self::Token,
    ];
    /// The meaning of a QUIC application error code.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|stop| u64::from(stop.code()) == code)
    }
}

/// Phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Looks.
    #[n(0)]
    Detect,
    /// Acts, or plans to.
    #[n(1)]
    Remediate,
    /// Looks again.
    #[n(2)]
    Verify,
}

/// Live news of a run. Untrusted text: shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// Accepted and durable; it runs or waits.
    #[n(0)]
    Accepted {
        /// The run.
        #[n(0)]
        run: RunId,
        /// The mode.
        #[n(1)]
        mode: Mode,
        /// Orders before it in the queue.
        #[n(2)]
        ahead: u32,
    },
    /// A phase began.
    #[n(1)]
    Phase {
        /// Which.
        #[n(0)]
        phase: Phase,
    },
    /// How far it is.
    #[n(2)]
    Progress {
        /// Words.
        #[n(0)]
        text: String,
    },
    /// A line of output.
    #[n(3)]
    Line {
        /// The line.
        #[n(0)]
        text: String,
    },
    /// An action ended.
    #[n(4)]
    Effect {
        /// Host function.
        #[n(0)]
        function: String,
        /// The plan key or noun it falls under.
        #[n(1)]
        key: String,
        /// Things touched.
        #[n(2)]
        count: u64,
        /// Bytes touched.
        #[n(3)]
        bytes: u64,
        /// Whether it was done.
        #[n(4)]
        ok: bool,
    },
    /// A phase's finding.
    #[n(5)]
    Found {
        /// The phase.
        #[n(0)]
        phase: Phase,
        /// Whether work is needed.
        #[n(1)]
        needed: bool,
        /// The sentence.
        #[n(2)]
        summary: String,
    },
    /// Left alone, and why.
    #[n(6)]
    Skipped {
        /// Words.
        #[n(0)]
        text: String,
    },
    /// The run ended; the record follows.
    #[n(7)]
    Ended {
        /// How.
        #[n(0)]
        outcome: Outcome,
    },
}

/// The desk's answer to an enrolment or a join, in frames on the one stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EnrolFrame {
    /// A part of a catalogue file; root chain first.
    #[n(0)]
    CatalogueFile {
        /// Name in the repository.
        #[n(0)]
        name: String,
        /// At most 128 KiB.
        #[n(1)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(2)]
        last: bool,
    },
    /// The answer itself (JSON of `EnrolAnswer` or `JoinAnswer`), last.
    #[n(1)]
    Answer {
        /// JSON.
        #[n(0)]
        json: Bytes,
    },
    /// No.
    #[n(2)]
    Refused {
        /// Why.
        #[n(0)]
        stop: Stop,
    },
    /// Wait: the administrator is signing.
    #[n(3)]
    Wait,
}

/// A message that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than the limit.
    #[error("frame of {0} bytes is larger than {max}", max = limits::FRAME_BYTES_MAX)]
    TooLarge(usize),
    /// No bytes at all.
    #[error("empty frame")]
    Empty,
    /// Not CBOR of a known message, or trailing bytes.
    #[error("frame is not a known message")]
    Unknown,
}

/// A frame's bytes with its length in front.
///
/// # Errors
/// [`FrameError::TooLarge`]: the message does not fit `max` bytes.
pub fn encode<M: Encode<()>>(message: &M, max: usize) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0u8; 4];
    minicbor::encode(message, &mut out).map_err(|_| FrameError::Unknown)?;
    let len = out.len().saturating_sub(4);
    if len > max {
        return Err(FrameError::TooLarge(len));
    }
    let prefix = u32::try_from(len).map_err(|_| FrameError::TooLarge(len))?.to_be_bytes();
    out.iter_mut().zip(prefix).for_each(|(slot, byte)| *slot = byte);
    Ok(out)
}

/// Deepest nesting of a message: a script's value of 16 levels is three to four a level.
const DEPTH_MAX: usize = 96;

/// Whether no part of these bytes is nested deeper than a message may be. Goes through them once
/// and keeps one number a level, so that a decoder that calls itself cannot be led down a hole.
fn is_shallow(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut open: Vec<u64> = Vec::new();
    while let Some((head, tail)) = rest.split_first() {
        rest = tail;
        let width = match head & 31 {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            28..=31 => return false,
            _ => 0,
        };
        let Some((number, tail)) = rest.split_at_checked(width) else { return true };
        rest = tail;
        let small = u64::from(head & 31);
        let argument = match width {
            0 => small,
            _ => number.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let inside = match head >> 5 {
            2 | 3 => {
                let Ok(len) = usize::try_from(argument) else { return true };
                // What is cut short is refused by the decoder.
                let Some(tail) = rest.get(len..) else { return true };
                rest = tail;
                0
            }
            4 => argument,
            5 => argument.saturating_mul(2),
            6 => 1,
            _ => 0,
        };
        if inside > 0 {
            open.push(inside);
            if open.len() > DEPTH_MAX {
                return false;
            }
            continue;
        }
        // One item is over, and with it every list that it was the last of.
        while let Some(left) = open.last_mut() {
            *left -= 1;
            if *left > 0 {
                break;
            }
            open.pop();
        }
    }
    true
}

/// One message from exactly these bytes (without the length).
///
/// # Errors
/// [`FrameError`] where the bytes are not one message and nothing else.
pub fn decode<M: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<M, FrameError> {
    if bytes.is_empty() {
        return Err(FrameError::Empty);
    }
    if !is_shallow(bytes) {
        return Err(FrameError::Unknown);
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|_| FrameError::Unknown)?;
    if decoder.position() == bytes.len() { Ok(message) } else { Err(FrameError::Unknown) }
}

/// Cuts a byte stream into frames. Holds at most one frame and what was read behind it.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
}

impl Deframer {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    /// The next whole frame without its length, if it is there.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] or [`FrameError::Empty`] from the length alone.
    pub fn next_frame(&mut self, max: usize) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*head) as usize;
        if len > max {
            return Err(FrameError::TooLarge(len));
        }
        if len == 0 {
            return Err(FrameError::Empty);
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let frame = frame.to_vec();
        self.buffer.drain(..4 + len);
        Ok(Some(frame))
    }
    /// Whether bytes of an unfinished frame are waiting.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let asks = [Ask::Hello { min: 1, max: 1 }, Ask::Challenge, Ask::CatalogueEnd];
        let bytes: Vec<u8> =
            asks.iter().flat_map(|a| encode(a, limits::FRAME_BYTES_MAX).unwrap()).collect();
        for cut in 1..bytes.len() {
            let mut deframer = Deframer::default();
            let mut seen = Vec::new();
            for part in bytes.chunks(cut) {
                deframer.push(part);
                while let Some(frame) = deframer.next_frame(limits::FRAME_BYTES_MAX).unwrap() {
                    seen.push(decode::<Ask>(&frame).unwrap());
                }
            }
            assert_eq!(seen, asks);
            assert!(!deframer.is_mid_frame());
        }
    }

    #[test]
    fn bad_lengths_are_refused_from_the_length_alone() {
        let mut deframer = Deframer::default();
        deframer.push(&[0xff; 4]);
        assert!(matches!(deframer.next_frame(1024), Err(FrameError::TooLarge(_))));
        let mut deframer = Deframer::default();
        deframer.push(&[0; 4]);
        assert_eq!(deframer.next_frame(1024), Err(FrameError::Empty));
    }

    #[test]
    fn nesting_is_bounded_before_anything_is_decoded() {
        for head in [0x81u8, 0xa1, 0xc1, 0x9f] {
            let mut deep = vec![head; 4_000_000];
            deep.push(0);
            assert!(!is_shallow(&deep), "{head:#x}");
        }
        let nested = |depth: usize| [vec![0x82u8; depth], vec![0; depth + 1]].concat();
        assert!(is_shallow(&nested(DEPTH_MAX)) && !is_shallow(&nested(DEPTH_MAX + 1)));
        // Many that are over are not deep, and bytes that look like lists are bytes.
        let wide = [vec![0x9a, 0, 0x01, 0x86, 0xa0], [0x81, 0x80].repeat(100_000)].concat();
        assert!(is_shallow(&wide));
        assert!(is_shallow(&[vec![0x59, 0x10, 0], vec![0x81; 0x1000]].concat()));
        let cut = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(is_shallow(&cut) && decode::<Ask>(&cut).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&Ask::Challenge, 64).unwrap().split_off(4);
        assert_eq!(decode::<Ask>(&bytes), Ok(Ask::Challenge));
        bytes.push(0);
        assert_eq!(decode::<Ask>(&bytes), Err(FrameError::Unknown));
    }
}
