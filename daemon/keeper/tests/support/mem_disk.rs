//! A disk in memory that fails, tears and loses power where a test says. Never a real disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use keeper::ledger::Disk;

/// What a disk holds: what was synced, and what is only written.
#[derive(Debug, Default, Clone)]
pub(crate) struct Platter {
    pub(crate) durable: BTreeMap<u64, Vec<u8>>,
    pub(crate) written: BTreeMap<u64, Vec<(u64, Vec<u8>)>>,
    /// Calls until one fails; none: never.
    pub(crate) fail_in: Option<u64>,
    pub(crate) calls: u64,
}

impl Platter {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if let Some(left) = &mut self.fail_in {
            if *left == 0 {
                return Err(io::Error::other("the test failed this call"));
            }
            *left -= 1;
        }
        Ok(())
    }
    /// Power goes: of what was not synced, only the first `keep` bytes of each write stay.
    pub(crate) fn power_cut(&mut self, keep: usize) {
        for (segment, writes) in std::mem::take(&mut self.written) {
            let Some(bytes) = self.durable.get_mut(&segment) else { continue };
            for (offset, data) in writes {
                let offset = usize::try_from(offset).unwrap();
                let data = &data[..data.len().min(keep)];
                bytes[offset..offset + data.len()].copy_from_slice(data);
            }
        }
        self.fail_in = None;
    }
}

/// A handle; clones share one platter, as a file does between two runs of a daemon.
#[derive(Debug, Default, Clone)]
pub(crate) struct MemDisk(pub(crate) Rc<RefCell<Platter>>);

/// Small, so that a test reads thousands of them in a second.
const SEGMENT_BYTES: usize = 16 * 1024;

impl Disk for MemDisk {
    fn segment_bytes(&self) -> usize {
        SEGMENT_BYTES
    }
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.borrow().durable.keys().copied().collect())
    }
    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        let platter = self.0.borrow();
        platter.durable.get(&segment).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn read_at(&self, segment: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(segment)?;
        let offset = usize::try_from(offset).unwrap();
        let part = bytes.get(offset..offset + len);
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
    fn create(&mut self, segment: u64, size: u64) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.call()?;
        platter.durable.insert(segment, vec![0; usize::try_from(size).unwrap()]);
        Ok(())
    }
    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.call()?;
        platter.written.entry(segment).or_default().push((offset, bytes.to_vec()));
        Ok(())
    }
    fn sync(&mut self, segment: u64) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.call()?;
        let writes = platter.written.remove(&segment).unwrap_or_default();
        let file = platter.durable.get_mut(&segment).unwrap();
        for (offset, data) in writes {
            let offset = usize::try_from(offset).unwrap();
            file[offset..offset + data.len()].copy_from_slice(&data);
        }
        Ok(())
    }
}
