//! A copy of the store while others write to it, and what a copy that was put back must not repeat.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use protocol::Time;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, StoreError};
use crate::open::Store;
use crate::{row, waiting};

/// Numbers of tickets that a restored store leaves out: those given out after the copy was made
/// stand in signed orders and never mean another ticket.
const TICKETS_SKIPPED: i64 = 1000;

impl Store {
    /// Copies the store as it is at one moment to a new file of mode 0600; whoever writes meanwhile
    /// waits for nothing.
    ///
    /// # Errors
    /// [`StoreError::Open`] where there is something at `to`; the store's own.
    pub fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let fail = |source| StoreError::Open { path: to.to_owned(), source };
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(fail)?;
        self.read("copy the store", |db| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut copy = Connection::open_with_flags(to, flags)?;
            // All pages in one step: one transaction that reads, so one moment.
            let step = Backup::new(db, &mut copy)?.step(-1)?;
            if step != StepResult::Done {
                return Err(StoreError::Locked { path: self.path().to_owned() }.into());
            }
            copy.close().map_err(|(_, error)| Fault::from(error))
        })?;
        OpenOptions::new().read(true).open(to).and_then(|file| file.sync_all()).map_err(fail)
    }

    /// Makes the copy at `path` fit to be worked on: checked whole, brought to this version's form,
    /// nothing left in a log beside it. What may have happened after it was made happens once only:
    /// notes that are due are looked up before they are posted, tokens that were open are used up,
    /// and numbers of tickets go on further up.
    ///
    /// # Errors
    /// The store's own; [`StoreError::Damaged`] names the first fault.
    pub fn put_back(path: &Path, now: Time) -> Result<(), StoreError> {
        let store = Self::open(path)?;
        store.check()?;
        store.write("put the store back", |db| {
            db.execute(
                "UPDATE outbox SET tries = max(tries, 1) WHERE state IN ('waiting', 'due')",
                [],
            )?;
            db.execute(
                "INSERT INTO counters (name, value) VALUES ('restored', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [row::stamp(now)],
            )?;
            db.execute("UPDATE tokens SET used = ?1 WHERE used IS NULL", [row::stamp(now)])?;
            waiting::put_back(db, now)?;
            // A row of this table is there from the first ticket on.
            db.execute(
                "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'tickets'",
                [TICKETS_SKIPPED],
            )?;
            Ok(())
        })?;
        let busy = store.read("empty the store's log", |db| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?)
        })?;
        if busy != 0 {
            return Err(StoreError::Locked { path: path.to_owned() });
        }
        let beside = [store.beside("-wal"), store.beside("-shm")];
        drop(store);
        for leftover in beside {
            match fs::remove_file(&leftover) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Open { path: leftover, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
