//! Targets for what comes over lines and pipes, and from the ledger's disk.

use std::cell::RefCell;
use std::io;

use hatch::messages::{
    FromExecutor, FromGate, FromHost, FromInterpreter, FromPrompter, ToExecutor, ToGate, ToHost,
    ToInterpreter, ToPrompter,
};
use keeper::ledger::{Disk, Entry, Ledger, Opened};
use minicbor::{Decode, Encode};
use protocol::frames::{Answer, Ask, Deframer, DeskAnswer, DeskAsk, EnrolFrame, decode, encode};
use protocol::{Digest, Time, limits};

/// Whatever is read is written and read again as the same.
fn again<M: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
) -> bool {
    let Ok(message) = decode::<M>(bytes) else { return false };
    let Ok(written) = encode(&message, limits::PEER_BYTES_MAX) else { return true };
    let read = decode::<M>(written.get(4..).unwrap_or_default());
    assert_eq!(read.as_ref(), Ok(&message), "a message is read differently when written again");
    true
}

/// Session, enrolment and desk frames.
pub(crate) fn frames(bytes: &[u8]) -> bool {
    again::<Ask>(bytes)
        | again::<Answer>(bytes)
        | again::<EnrolFrame>(bytes)
        | again::<DeskAsk>(bytes)
        | again::<DeskAnswer>(bytes)
}

/// Operations on the desk's store, as a console asks for them.
pub(crate) fn books(bytes: &[u8]) -> bool {
    again::<desk::books::BookAsk>(bytes)
}

/// The cutter of byte streams: never holds more than one frame beyond what it was given.
pub(crate) fn deframer(bytes: &[u8]) -> bool {
    let mut deframer = Deframer::default();
    let mut whole = false;
    for part in bytes.chunks(7) {
        deframer.push(part);
        loop {
            match deframer.next_frame(limits::FRAME_BYTES_MAX) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= limits::FRAME_BYTES_MAX);
                    whole = true;
                }
                Ok(None) => break,
                Err(_) => return whole,
            }
        }
    }
    whole
}

/// A renewed certificate, as a desk brings it to the keeper.
pub(crate) fn certificate(bytes: &[u8]) -> bool {
    let read = keeper::leaf::ends(bytes).is_some();
    assert!(!read || bytes.len() <= limits::CERTIFICATE_BYTES_MAX);
    read
}

/// What a taken gate, executor, interpreter or prompter can say, and what they are told.
pub(crate) fn hatch(bytes: &[u8]) -> bool {
    again::<FromGate>(bytes)
        | again::<ToGate>(bytes)
        | again::<FromExecutor>(bytes)
        | again::<ToExecutor>(bytes)
        | again::<FromInterpreter>(bytes)
        | again::<ToInterpreter>(bytes)
        | again::<ToHost>(bytes)
        | again::<FromHost>(bytes)
        | again::<ToPrompter>(bytes)
        | again::<FromPrompter>(bytes)
}

/// One segment in memory.
#[derive(Debug)]
struct Memory<'m>(&'m RefCell<Vec<u8>>);

impl Disk for Memory<'_> {
    fn segment_bytes(&self) -> usize {
        self.0.borrow().len()
    }
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(vec![1])
    }
    fn read(&self, _: u64) -> io::Result<Vec<u8>> {
        Ok(self.0.borrow().clone())
    }
    fn read_at(&self, _: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let all = self.0.borrow();
        let part = all.get(from..from.saturating_add(len));
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
    fn create(&mut self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn write(&mut self, _: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut all = self.0.borrow_mut();
        let slot = all.get_mut(from..from.saturating_add(bytes.len()));
        slot.ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn open(segment: &RefCell<Vec<u8>>) -> Option<Opened<Memory<'_>>> {
    Ledger::open(Memory(segment), Digest::of(b"epoch"), Time(1), "0").ok()
}

/// The ledger's reader: an order, a repair, or a stop; never a panic. What it opens opens again, and
/// has every record that it names. An entry alone, too: no mutation comes behind the chain of hashes.
pub(crate) fn ledger(bytes: &[u8]) -> bool {
    let entry = again::<Entry>(bytes);
    let mut segment = bytes.to_vec();
    segment.resize(segment.len() + 4096, 0);
    let segment = RefCell::new(segment);
    let Some(Opened { ledger, index, .. }) = open(&segment) else { return entry };
    for run in index.last_records(8) {
        assert!(matches!(ledger.record(&run), Ok(Some(_))), "a record that is not there");
    }
    drop(ledger);
    let second = open(&segment).expect("what was opened and repaired opens again");
    assert!(second.torn == 0 && !second.began, "a second repair");
    assert_eq!(second.index.head(), index.head());
    true
}

/// A segment with these entries behind its first.
///
/// # Panics
/// Where they do not fit 16 KiB, which samples do.
pub(crate) fn segment(entries: &[Entry]) -> Vec<u8> {
    let segment = RefCell::new(vec![0; 16 * 1024]);
    let Opened { mut ledger, .. } = open(&segment).expect("a new ledger");
    for entry in entries {
        ledger.append(entry).expect("there is room");
    }
    drop(ledger);
    segment.into_inner()
}
