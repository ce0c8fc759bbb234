//! Frames on a stream: a length of 4 bytes, big endian, then that many bytes of CBOR.

use minicbor::{Decode, Encode};

use crate::limits;

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
        if rest.len() == len {
            // Nothing is held between frames: lines are many, and idle.
            let mut frame = std::mem::take(&mut self.buffer);
            frame.drain(..4);
            return Ok(Some(frame));
        }
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
    use super::super::Ask;
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
