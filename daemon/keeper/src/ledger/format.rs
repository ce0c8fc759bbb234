//! How entries lie in a segment, and how a torn tail is told from damage. Never does I/O.
//!
//! ```text
//! segment  = magic "salve/l1" | number u64 | chain head before it 32 | SHA-256 of these 48 bytes
//! frame    = len u32 | !len u32 | body (CBOR, len bytes) | hash 32 | 0xa5
//! hash     = SHA-256(previous hash | len u32 | body)          all numbers big endian
//! ```
//! The hash is checksum and chain in one; a CRC beside it would find nothing more. A segment is
//! made of zeros and synced before its first entry, so an interrupted write leaves zeros where it
//! did not get: the closing byte is missing, or all that a disk sector has of the entry is zero. The
//! length stands there twice so that a flipped bit in it cannot make a whole entry look unfinished.
//! Where the sector with the length itself was not reached, nothing behind it may verify: an entry
//! that was acknowledged is the only one that another could follow.
//! Everything else that does not verify is damage, and damage is never repaired. A body is one entry
//! or several that became durable together: all of them or none.

use protocol::{Digest, limits};
use sha2::Digest as _;

use super::entry::Entry;

/// First bytes of a segment.
pub(crate) const MAGIC: &[u8; 8] = b"salve/l1";
/// Bytes before the first entry.
pub(crate) const HEADER_BYTES: usize = 80;
/// Bytes of an entry beside its body.
pub(crate) const FRAME_BYTES: usize = 4 + 4 + 32 + 1;
const CLOSING: u8 = 0xa5;
/// Smallest unit a disk writes whole.
const SECTOR: usize = 512;
/// Largest body: a record's or order's envelope and the words around it.
pub(crate) const BODY_BYTES_MAX: usize = limits::ENVELOPE_BYTES_MAX + 64 * 1024;

const _: () = assert!(HEADER_BYTES + FRAME_BYTES + BODY_BYTES_MAX < SEGMENT_BYTES);

/// A segment's size.
#[expect(clippy::cast_possible_truncation, reason = "8 MiB fits every usize that we build for")]
pub(crate) const SEGMENT_BYTES: usize = limits::LEDGER_SEGMENT_BYTES as usize;

/// Header of segment `number`, which follows what `head` stands for.
pub(crate) fn header(number: u64, head: &Digest) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&head.0);
    let check = Digest::of(&out);
    out.extend_from_slice(&check.0);
    out
}

fn hash(previous: &Digest, len: u32, body: &[u8]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    hasher.update(previous.0);
    hasher.update(len.to_be_bytes());
    hasher.update(body);
    Digest(hasher.finalize().into())
}

/// One frame of these entries behind `previous`, and the new head. None where it is too large.
pub(crate) fn encode(entries: &[&Entry], previous: &Digest) -> Option<(Vec<u8>, Digest)> {
    let mut body = Vec::new();
    for entry in entries {
        minicbor::encode(entry, &mut body).ok()?;
    }
    let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX)?;
    let head = hash(previous, len, &body);
    let mut out = Vec::with_capacity(body.len() + FRAME_BYTES);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&(!len).to_be_bytes());
    out.extend_from_slice(&body);
    out.extend_from_slice(&head.0);
    out.push(CLOSING);
    Some((out, head))
}

/// The entries of a body: at least one, and nothing behind the last.
pub(crate) fn decode(body: &[u8]) -> Option<Vec<Entry>> {
    let mut decoder = minicbor::Decoder::new(body);
    let mut entries = vec![decoder.decode().ok()?];
    while decoder.position() < body.len() {
        entries.push(decoder.decode().ok()?);
    }
    Some(entries)
}

/// What lies at one place of a segment.
#[derive(Debug)]
pub(crate) enum Found {
    /// Entries of a frame that verifies, its end, and the head behind it.
    Entries(Vec<Entry>, usize, Digest),
    /// Nothing but zeros from here on.
    End,
    /// A write that was interrupted: these bytes were never acknowledged.
    Torn {
        /// Where its last byte lies, plus one.
        end: usize,
    },
    /// Anything else.
    Damage,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

/// Where the parts of a frame would lie whose length is known; nothing of them is believed.
struct Frame<'s> {
    body: &'s [u8],
    hash: &'s [u8],
    closed: bool,
    end: usize,
}

impl<'s> Frame<'s> {
    /// None where it would not fit the segment.
    fn at(segment: &'s [u8], at: usize, len: u32) -> Option<Self> {
        let end = at.checked_add(usize::try_from(len).ok()?)?.checked_add(FRAME_BYTES)?;
        let body = segment.get(at + 8..end - 33)?;
        let hash = segment.get(end - 33..end - 1)?;
        Some(Self { body, hash, closed: segment.get(end - 1) == Some(&CLOSING), end })
    }
    /// The head behind it, where its hash and its last byte say that it is whole.
    fn verified(&self, previous: &Digest, len: u32) -> Option<Digest> {
        let head = hash(previous, len, self.body);
        (self.closed && self.hash == head.0).then_some(head)
    }
}

/// How far a segment was written: behind its last byte that is not zero.
pub(crate) fn used(segment: &[u8]) -> usize {
    segment.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
}

/// Looks at the entry that begins at `at` in a segment of which `used` bytes were written;
/// `previous` is the head before it.
pub(crate) fn look(segment: &[u8], used: usize, at: usize, previous: &Digest) -> Found {
    if used <= at {
        return Found::End;
    }
    let rest = segment.get(at..).unwrap_or_default();
    let written = used - at;
    let torn = Found::Torn { end: at + written };
    let (Some(len), Some(check)) = (u32_at(rest, 0), u32_at(rest, 4)) else { return Found::Damage };
    if check != !len {
        // Only a write that did not reach all of these eight bytes looks like this.
        let unreached = written < 8 || lacks_beginning(segment, used, at, (len, check), previous);
        return if unreached { torn } else { Found::Damage };
    }
    let Some(frame) = Frame::at(segment, at, len) else { return Found::Damage };
    if let Some(head) = frame.verified(previous, len) {
        return match decode(frame.body) {
            Some(entries) => Found::Entries(entries, frame.end, head),
            None => Found::Damage,
        };
    }
    let hole = has_hole(segment, at, frame.end);
    if used < frame.end || used == frame.end && hole { torn } else { Found::Damage }
}

/// Whether what should begin at `at` was written without the sector that holds the beginning: all
/// that this sector has of it is zero, and no whole frame lies behind it.
fn lacks_beginning(
    segment: &[u8],
    used: usize,
    at: usize,
    (len, check): (u32, u32),
    previous: &Digest,
) -> bool {
    let zero = |from: usize, to: usize| {
        segment.get(from..to).is_some_and(|part| !part.is_empty() && part.iter().all(|b| *b == 0))
    };
    let edge = (at + 1).next_multiple_of(SECTOR);
    let first = if edge > at + 4 {
        // The fifth byte of every frame is 0xff: a length has its first byte zero.
        zero(at, edge.min(used))
    } else {
        let meant = (!check).to_be_bytes();
        let lost = meant.get(..edge - at).is_some_and(|part| part.iter().any(|b| *b != 0));
        lost && zero(at, edge) && !verifies(segment, used, at, len, previous)
    };
    let unreached = first || edge < at + 8 && zero(edge, (edge + SECTOR).min(used));
    let small = used - at <= BODY_BYTES_MAX + FRAME_BYTES;
    unreached && small && !(at + 1..used).any(|place| begins_frame(segment, used, place))
}

/// Whether a frame whose body has this length verifies at this place.
fn verifies(segment: &[u8], used: usize, at: usize, len: u32, previous: &Digest) -> bool {
    let frame = Frame::at(segment, at, len).filter(|frame| frame.end <= used);
    frame.is_some_and(|frame| frame.verified(previous, len).is_some())
}

/// Whether a frame verifies here against the hash that would stand right before it.
fn begins_frame(segment: &[u8], used: usize, at: usize) -> bool {
    let Some(before) = at.checked_sub(33).and_then(|from| segment.get(from..at)) else {
        return false;
    };
    let (Some(len), Some(check)) = (u32_at(segment, at), u32_at(segment, at + 4)) else {
        return false;
    };
    let Some((CLOSING, previous)) = before.split_last().map(|(last, rest)| (*last, rest)) else {
        return false;
    };
    let previous = <[u8; 32]>::try_from(previous).map(Digest);
    check == !len && previous.is_ok_and(|previous| verifies(segment, used, at, len, &previous))
}

/// Whether a whole sector that lies within `from..to` is zero: a write that did not reach it.
fn has_hole(segment: &[u8], from: usize, to: usize) -> bool {
    let first = from.next_multiple_of(SECTOR);
    (first..to)
        .step_by(SECTOR)
        .filter(|start| start + SECTOR <= to)
        .filter_map(|start| segment.get(start..start + SECTOR))
        .any(|sector| sector.iter().all(|b| *b == 0))
}
