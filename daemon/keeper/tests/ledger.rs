//! The ledger against cuts, flips, swaps and failing disks. Never touches a daemon.

#[cfg(test)]
#[path = "support/mem_disk.rs"]
mod mem_disk;

#[cfg(test)]
mod tests {
    use keeper::ledger::{Accepted, Entry, FolderDisk, Index, Ledger, LedgerError, Recorded};
    use protocol::{Digest, OrderId, RunId, Time};

    use super::mem_disk::MemDisk;

    const EPOCH: Digest = Digest([7; 32]);
    const NOW: Time = Time(1_795_000_000);

    fn accepted(n: u8) -> Entry {
        Entry::Accepted(Box::new(Accepted {
            run: RunId([n; 16]),
            order: Digest([n; 32]),
            id: OrderId([n; 16]),
            envelope: vec![n; 300].into(),
            reasons: vec!["rule x".into()],
            weaknesses: vec![],
            classes: vec!["look".into()],
            catalogue: protocol::documents::CatalogueVersions::default(),
            at: NOW,
            own_key: true,
            asked: None,
            identity_checked: None,
        }))
    }
    fn record(n: u8, counter: u64) -> Entry {
        Entry::Record(Box::new(Recorded {
            run: RunId([n; 16]),
            order: Digest([n; 32]),
            record: Digest([n ^ 255; 32]),
            counter,
            refused: false,
            envelope: vec![n; 700].into(),
            agent: "a.kaya".parse().unwrap(),
        }))
    }
    fn open(disk: &MemDisk) -> Result<keeper::ledger::Opened<MemDisk>, LedgerError> {
        Ledger::open(disk.clone(), EPOCH, NOW, "0.1.0")
    }
    /// A ledger with five entries; gives the disk and the offsets at which entries end.
    fn five() -> (MemDisk, Vec<usize>) {
        five_of(EPOCH)
    }
    fn five_of(epoch: Digest) -> (MemDisk, Vec<usize>) {
        let disk = MemDisk::default();
        let mut opened = Ledger::open(disk.clone(), epoch, NOW, "0.1.0").unwrap();
        let used = |disk: &MemDisk| {
            let platter = disk.0.borrow();
            platter.durable[&1].iter().rposition(|b| *b != 0).unwrap() + 1
        };
        let mut ends = vec![used(&disk)];
        for entry in [accepted(1), record(1, 1), accepted(2), record(2, 2)] {
            opened.ledger.append(&entry).unwrap();
            ends.push(used(&disk));
        }
        (disk, ends)
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let (disk, _) = five();
        let opened = open(&disk).unwrap();
        assert!(!opened.began && opened.torn == 0);
        assert_eq!(opened.index.head().counter, 2);
        assert_eq!(opened.index.head().epoch, EPOCH);
        assert_eq!(opened.index.accepted(&Digest([2; 32])), Some(RunId([2; 16])));
        assert_eq!(opened.index.order_with(&OrderId([1; 16])), Some(Digest([1; 32])));
        let found = opened.ledger.record(&RunId([2; 16])).unwrap().unwrap();
        assert_eq!(found.0, vec![2; 700]);
        assert_eq!(opened.ledger.record(&RunId([9; 16])).unwrap(), None);
        assert_eq!(opened.index.unfiled(64), [RunId([1; 16]), RunId([2; 16])]);
    }

    #[test]
    fn a_cut_at_every_byte_loses_at_most_the_entry_that_was_being_written() {
        let (disk, ends) = five();
        let whole = disk.0.borrow().durable[&1].clone();
        let (from, to) = (ends[0], ends[4]);
        for cut in from..=to {
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            disk.0.borrow_mut().durable.insert(1, bytes);
            let opened = open(&disk).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
            let kept = ends.iter().filter(|end| **end <= cut).count();
            let have = opened.index.head().counter as usize
                + opened.index.unfinished().len()
                + opened.index.head().counter as usize;
            assert_eq!(have, kept - 1, "cut at {cut}");
            assert_eq!(
                opened.torn > 0,
                !ends.contains(&cut) && whole[ends[kept - 1]..cut].iter().any(|b| *b != 0)
            );
            // And it can be written again.
            let mut opened = open(&disk).unwrap();
            opened.ledger.append(&accepted(9)).unwrap();
            assert!(open(&disk).unwrap().index.accepted(&Digest([9; 32])).is_some());
        }
    }

    /// A ledger whose last entry, still unacknowledged, begins at every place of a sector: the bytes
    /// before it and with it, where it begins, and where it ends.
    fn places() -> impl Iterator<Item = (Vec<u8>, Vec<u8>, usize, usize)> {
        (0..512usize).map(|shift| {
            let disk = MemDisk::default();
            let mut opened = open(&disk).unwrap();
            let mut first = accepted(1);
            if let Entry::Accepted(accepted) = &mut first {
                accepted.envelope = vec![1; 300 + shift].into();
            }
            opened.ledger.append(&first).unwrap();
            let bytes = || disk.0.borrow().durable[&1].clone();
            let end = |bytes: &[u8]| bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
            let before = bytes();
            opened.ledger.append(&record(1, 1)).unwrap();
            let (after, from) = (bytes(), end(&before));
            let to = end(&after);
            (before, after, from, to)
        })
    }

    #[test]
    fn a_write_without_some_of_its_sectors_is_torn_wherever_it_began() {
        for (before, after, from, to) in places() {
            let sectors: Vec<usize> = (from / 512..=(to - 1) / 512).collect();
            // Every choice of sectors that the disk did not come to.
            for choice in 1u32..1 << sectors.len() {
                let mut torn = after.clone();
                for (bit, sector) in sectors.iter().enumerate() {
                    if choice & 1 << bit != 0 {
                        let part = sector * 512..(sector + 1) * 512;
                        torn[part.clone()].copy_from_slice(&before[part]);
                    }
                }
                let whole = torn == after;
                let disk = MemDisk::default();
                disk.0.borrow_mut().durable.insert(1, torn);
                let opened = open(&disk).unwrap_or_else(|e| panic!("at {from}, {choice:b}: {e}"));
                assert!(opened.index.accepted(&Digest([1; 32])).is_some());
                assert_eq!(opened.index.record(&RunId([1; 16])).is_some(), whole);
                let mut opened = open(&disk).unwrap();
                opened.ledger.append(&accepted(9)).unwrap();
                assert!(open(&disk).unwrap().index.accepted(&Digest([9; 32])).is_some());
            }
        }
    }

    #[test]
    fn a_flip_is_damage_wherever_the_entry_begins_and_a_lost_beginning_with_another_behind_it_too()
    {
        for (_, after, from, to) in places() {
            let beginning = from..(from + 8).max((from + 1).next_multiple_of(512)).min(to);
            for at in (from..from + 8).chain([to - 1, to - 20]) {
                for bit in 0..8 {
                    let mut flipped = after.clone();
                    flipped[at] ^= 1 << bit;
                    let disk = MemDisk::default();
                    disk.0.borrow_mut().durable.insert(1, flipped);
                    let damaged = matches!(open(&disk), Err(LedgerError::Damaged { .. }));
                    assert!(damaged, "entry at {from}, flip of bit {bit} at {at}");
                }
            }
            let disk = MemDisk::default();
            disk.0.borrow_mut().durable.insert(1, after);
            open(&disk).unwrap().ledger.append(&accepted(2)).unwrap();
            disk.0.borrow_mut().durable.get_mut(&1).unwrap()[beginning].fill(0);
            assert!(matches!(open(&disk), Err(LedgerError::Damaged { .. })), "entry at {from}");
        }
    }

    #[test]
    fn a_flip_of_any_byte_that_was_acknowledged_stops_the_daemon() {
        let (disk, ends) = five();
        let whole = disk.0.borrow().durable[&1].clone();
        for at in 0..ends[4] {
            for bit in [0x01, 0x80] {
                disk.0.borrow_mut().durable.get_mut(&1).unwrap()[at] ^= bit;
                let error = open(&disk).expect_err(&format!("flip at {at}"));
                assert!(matches!(error, LedgerError::Damaged { segment: 1, .. }), "{at}: {error}");
                assert!(error.to_string().contains("restore"), "{error}");
                disk.0.borrow_mut().durable.insert(1, whole.clone());
            }
        }
    }

    #[test]
    fn entries_cannot_be_swapped_or_removed() {
        let (disk, ends) = five();
        let whole = disk.0.borrow().durable[&1].clone();
        let put = |bytes: Vec<u8>| disk.0.borrow_mut().durable.insert(1, bytes);
        let mut removed = whole.clone();
        removed.drain(ends[0]..ends[1]);
        removed.resize(whole.len(), 0);
        put(removed);
        assert!(matches!(open(&disk), Err(LedgerError::Damaged { .. })));
        let mut swapped = whole[..ends[0]].to_vec();
        swapped.extend_from_slice(&whole[ends[2]..ends[4]]);
        swapped.extend_from_slice(&whole[ends[0]..ends[2]]);
        swapped.resize(whole.len(), 0);
        put(swapped);
        assert!(matches!(open(&disk), Err(LedgerError::Damaged { .. })));
        put(whole);
        assert!(open(&disk).is_ok());
    }

    /// E32: good entries, and of another endpoint.
    #[test]
    fn entries_of_another_ledger_are_damage_wherever_they_are_put() {
        let ((disk, ends), (theirs, their_ends)) = (five(), five_of(Digest([8; 32])));
        let whole = disk.0.borrow().durable[&1].clone();
        let theirs = theirs.0.borrow().durable[&1].clone();
        let put = |parts: &[&[u8]]| {
            let mut bytes = parts.concat();
            bytes.resize(whole.len(), 0);
            disk.0.borrow_mut().durable.insert(1, bytes);
            open(&disk)
        };
        for n in 0..4 {
            let (ours, other) = (&whole[..ends[4]], &theirs[their_ends[n]..their_ends[n + 1]]);
            let behind = put(&[ours, other]);
            assert!(matches!(behind, Err(LedgerError::Damaged { segment: 1, .. })), "{n} behind");
            let (before, after) = (&whole[..ends[n]], &whole[ends[n + 1]..ends[4]]);
            let instead = put(&[before, other, after]);
            assert!(matches!(instead, Err(LedgerError::Damaged { .. })), "{n} instead of ours");
            let last = put(&[before, &theirs[their_ends[n]..their_ends[4]]]);
            assert!(matches!(last, Err(LedgerError::Damaged { .. })), "from {n} on");
        }
        assert!(put(&[&whole]).is_ok());
        // And so are whole segments.
        disk.0.borrow_mut().durable.insert(2, theirs);
        assert!(matches!(open(&disk), Err(LedgerError::Damaged { segment: 2, .. })));
        let (ours, theirs) = (long(EPOCH), long(Digest([8; 32])));
        let segments = ours.0.borrow().durable.len() as u64;
        assert!(segments >= 3);
        for n in 1..=segments {
            let other = theirs.0.borrow().durable[&n].clone();
            let own = ours.0.borrow_mut().durable.insert(n, other).unwrap();
            assert!(matches!(open(&ours), Err(LedgerError::Damaged { .. })), "segment {n}");
            ours.0.borrow_mut().durable.insert(n, own);
        }
        assert!(open(&ours).is_ok());
    }

    /// A ledger of several segments.
    fn long(epoch: Digest) -> MemDisk {
        let disk = MemDisk::default();
        let mut opened = Ledger::open(disk.clone(), epoch, NOW, "0.1.0").unwrap();
        for n in 1..=50u64 {
            opened.ledger.append(&record(n as u8, n)).unwrap();
        }
        disk
    }

    #[test]
    fn a_disk_that_fails_at_any_call_forgets_nothing_acknowledged() {
        for keep in [0, 1, 40, 333, usize::MAX] {
            for fail in 0..40 {
                let disk = MemDisk::default();
                disk.0.borrow_mut().fail_in = Some(fail);
                let mut acknowledged = Vec::new();
                if let Ok(mut opened) = open(&disk) {
                    for n in 1..=9 {
                        if opened.ledger.append(&accepted(n)).is_err() {
                            let again = opened.ledger.append(&accepted(n));
                            assert!(matches!(again, Err(LedgerError::Broken)));
                            break;
                        }
                        acknowledged.push(n);
                    }
                }
                disk.0.borrow_mut().power_cut(keep);
                let opened = open(&disk).unwrap_or_else(|e| panic!("{keep} {fail}: {e}"));
                for n in &acknowledged {
                    assert!(opened.index.accepted(&Digest([*n; 32])).is_some(), "{keep} {fail}");
                }
                assert!(opened.index.accepted_count() <= acknowledged.len() + 1);
            }
        }
    }

    #[test]
    fn segments_follow_each_other_and_none_may_be_missing() {
        let disk = MemDisk::default();
        let mut opened = open(&disk).unwrap();
        let mut index = Index::default();
        for n in 1..=220u64 {
            let mut entry = record(1, n);
            if let Entry::Record(record) = &mut entry {
                record.envelope = vec![1; 3_000].into();
                record.run = RunId([n as u8; 16]);
            }
            opened.ledger.append(&entry).unwrap();
            index.apply(&entry);
        }
        assert!(disk.0.borrow().durable.len() >= 3);
        let again = open(&disk).unwrap();
        assert_eq!(again.index.head().counter, 220);
        assert_eq!(again.ledger.record(&RunId([3; 16])).unwrap().unwrap().0.len(), 3_000);
        let second = disk.0.borrow_mut().durable.remove(&2).unwrap();
        assert!(matches!(open(&disk), Err(LedgerError::Missing(2))));
        disk.0.borrow_mut().durable.insert(2, vec![0; second.len()]);
        assert!(open(&disk).is_err(), "an emptied segment in the middle");
    }

    #[test]
    fn a_segment_that_was_being_begun_is_no_damage() {
        for cut in 0..=80 {
            let (disk, _) = five();
            let head = disk.0.borrow().durable[&1][..80].to_vec();
            let mut torn = vec![0u8; disk.0.borrow().durable[&1].len()];
            torn[..cut].copy_from_slice(&head[..cut]);
            let fresh = MemDisk::default();
            fresh.0.borrow_mut().durable.insert(1, torn);
            let opened = open(&fresh).unwrap_or_else(|e| panic!("{cut}: {e}"));
            assert!(opened.began);
        }
    }

    #[test]
    fn the_real_folder_keeps_what_it_was_given_and_takes_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let disk = FolderDisk::open(&path).unwrap();
        assert!(FolderDisk::open(&path).is_err(), "a second daemon");
        let mut opened = Ledger::open(disk, EPOCH, NOW, "0.1.0").unwrap();
        opened.ledger.append(&accepted(1)).unwrap();
        opened.ledger.append(&record(1, 1)).unwrap();
        assert!(opened.ledger.reserve().unwrap());
        drop(opened);
        let opened =
            Ledger::open(FolderDisk::open(&path).unwrap(), Digest([8; 32]), NOW, "0.1.0").unwrap();
        assert_eq!(opened.index.head().epoch, EPOCH);
        assert_eq!(opened.ledger.record(&RunId([1; 16])).unwrap().unwrap().0, vec![1; 700]);
    }
}
