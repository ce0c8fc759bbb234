//! Targets for what comes over lines and pipes, and from the ledger's disk.

use std::io;

use hatch::messages::{
    FromExecutor, FromGate, FromHost, FromInterpreter, ToExecutor, ToGate, ToHost, ToInterpreter,
};
use keeper::ledger::{Disk, Ledger};
use minicbor::{Decode, Encode};
use protocol::frames::{Answer, Ask, Deframer, DeskAnswer, DeskAsk, EnrolFrame, decode, encode};
use protocol::limits;

/// Whatever is read is written and read again as the same.
fn again<M: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(message) = decode::<M>(bytes) else { return };
    let Ok(written) = encode(&message, limits::PEER_BYTES_MAX) else { return };
    let read = decode::<M>(written.get(4..).unwrap_or_default());
    assert_eq!(read.as_ref(), Ok(&message), "a message is read differently when written again");
}

/// Session, enrolment and desk frames.
pub(crate) fn frames(bytes: &[u8]) {
    again::<Ask>(bytes);
    again::<Answer>(bytes);
    again::<EnrolFrame>(bytes);
    again::<DeskAsk>(bytes);
    again::<DeskAnswer>(bytes);
}

/// Operations on the desk's store, as a console asks for them.
pub(crate) fn books(bytes: &[u8]) {
    again::<desk::books::BookAsk>(bytes);
}

/// The cutter of byte streams: never holds more than one frame beyond what it was given.
pub(crate) fn deframer(bytes: &[u8]) {
    let mut deframer = Deframer::default();
    for part in bytes.chunks(7) {
        deframer.push(part);
        loop {
            match deframer.next_frame(limits::FRAME_BYTES_MAX) {
                Ok(Some(frame)) => assert!(frame.len() <= limits::FRAME_BYTES_MAX),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A renewed certificate, as a desk brings it to the keeper.
pub(crate) fn certificate(bytes: &[u8]) {
    if keeper::leaf::ends(bytes).is_some() {
        assert!(bytes.len() <= limits::CERTIFICATE_BYTES_MAX);
    }
}

/// What a taken gate, executor or interpreter can say, and what they are told.
pub(crate) fn hatch(bytes: &[u8]) {
    again::<FromGate>(bytes);
    again::<ToGate>(bytes);
    again::<FromExecutor>(bytes);
    again::<ToExecutor>(bytes);
    again::<FromInterpreter>(bytes);
    again::<ToInterpreter>(bytes);
    again::<ToHost>(bytes);
    again::<FromHost>(bytes);
}

/// One segment in memory.
#[derive(Debug)]
struct Memory(Vec<u8>);

impl Disk for Memory {
    fn segment_bytes(&self) -> usize {
        self.0.len()
    }
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(vec![1])
    }
    fn read(&self, _: u64) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
    fn read_at(&self, _: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = self.0.get(from..from.saturating_add(len));
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
    fn create(&mut self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn write(&mut self, _: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let slot = self.0.get_mut(from..from.saturating_add(bytes.len()));
        slot.ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// The ledger's reader: an order, a repair, or a stop; never a panic.
pub(crate) fn ledger(bytes: &[u8]) {
    let mut segment = bytes.to_vec();
    segment.resize(segment.len() + 4096, 0);
    let _ = Ledger::open(Memory(segment), protocol::Digest::of(b"epoch"), protocol::Time(1), "0");
}
