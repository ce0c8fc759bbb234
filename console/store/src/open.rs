//! Making and opening the file. Never makes one where one should be, never opens half a one.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Fault, StoreError};

/// `salv` in ASCII: tells our files from other people's.
const APPLICATION_ID: i64 = 0x7361_6c76;
/// Pages that the write-ahead log holds before it is emptied into the file: some ten commands.
const LOG_PAGES: i64 = 400;
/// What brings a file of version n to version n + 1.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
];
/// A writer holds the file for milliseconds; five seconds is a stuck one.
const BUSY: Duration = Duration::from_secs(5);

/// The store: one connection behind one lock, so that a handle can be shared between tasks.
#[derive(Debug)]
pub struct Store {
    // One writer at a time is SQLite's own rule; the lock makes it wait here and not in a retry.
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Makes a new store with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where there is a file already; it stays as it is.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Open { path: path.to_owned(), source };
        if fs::symlink_metadata(path).is_ok() {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        // Built beside its place and linked into it when complete: a power cut leaves no half store.
        let draft = sibling(path, ".new");
        for leftover in [draft.clone(), sibling(&draft, "-wal"), sibling(&draft, "-shm")] {
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
                _ => {}
            }
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(io)?;
        let connection = connect(&draft)?;
        migrate(connection, &draft, 0)?
            .close()
            .map_err(|(_, error)| Fault::from(error).named("finish the new store", &draft))?;
        OpenOptions::new().read(true).open(&draft).and_then(|f| f.sync_all()).map_err(io)?;
        fs::hard_link(&draft, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.to_owned() },
            _ => io(source),
        })?;
        fs::remove_file(&draft).map_err(io)?;
        sync_folder(path).map_err(io)?;
        Self::open(path)
    }

    /// Opens the store that is there, and brings it to this version's form.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Newer`],
    /// [`StoreError::Locked`]: each says what to do.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let found = fs::metadata(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { path: path.to_owned() },
            _ => StoreError::Open { path: path.to_owned(), source },
        })?;
        if found.len() == 0 {
            let what = "it is empty".to_owned();
            return Err(StoreError::Damaged { path: path.to_owned(), what });
        }
        // A copy put back by hand often has the mode of the copier: sealed secrets lie in here.
        if found.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o600))
                .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        }
        let connection = connect(path)?;
        let read = |name| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .map_err(|e| Fault::from(e).named("read the store's version", path))
        };
        let (application, version) = (read("application_id")?, read("user_version")?);
        let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if application != APPLICATION_ID || version < 1 {
            let what = "it is a database, but not salve's".to_owned();
            return Err(StoreError::Damaged { path: path.to_owned(), what });
        }
        if version > newest {
            return Err(StoreError::Newer { path: path.to_owned(), have: version, know: newest });
        }
        let connection = migrate(connection, path, version)?;
        keep_log(&connection).map_err(|e| Fault::from(e).named("open the store", path))?;
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned() })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside the store.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        sibling(&self.path, suffix)
    }

    /// Reads every page: takes as long as the file is large.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first fault.
    pub fn check(&self) -> Result<(), StoreError> {
        self.read("check the store", |db| {
            let first: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if first == "ok" {
                return Ok(());
            }
            Err(StoreError::Damaged { path: self.path.clone(), what: first }.into())
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the lock cannot leave half a transaction: dropping rolls it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        work(&self.lock()).map_err(|fault| fault.named(doing, &self.path))
    }

    /// One transaction: everything that `work` writes is durable when this returns, or nothing is.
    pub(crate) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let done = transact(&mut self.lock(), work);
        done.map_err(|fault| fault.named(doing, &self.path))
    }

    /// As [`Store::write`], without a wait for the disk: a power cut may lose it, whole, until the
    /// next write that waits. For what somebody else keeps and tells again.
    pub(crate) fn write_soon<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let run = || {
            // With a write-ahead log NORMAL means: a commit is written and not synced.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            let done = transact(&mut connection, work);
            connection.pragma_update(None, "synchronous", "FULL")?;
            done
        };
        run().map_err(|fault| fault.named(doing, &self.path))
    }

    /// Empties the write-ahead log into the file, so that what was erased is in neither. Where
    /// another process reads at this moment, the log is emptied with a later write.
    pub(crate) fn empty_log(&self) -> Result<(), StoreError> {
        self.read("empty the store's log", |db| {
            Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        })
    }

    /// The next number of a counter that starts at 1 and never gives one out twice.
    ///
    /// # Errors
    /// The store's own.
    pub fn next_number(&self, counter: &str) -> Result<u64, StoreError> {
        self.write("count", |db| {
            let value: i64 = db.query_row(
                "INSERT INTO counters (name, value) VALUES (?1, 1)
                 ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                [counter],
                |row| row.get(0),
            )?;
            Ok(u64::try_from(value).unwrap_or_default())
        })
    }
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Opens an existing file and sets what SQLite forgets from one connection to the next.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepare = || -> Result<(Connection, String, i64), rusqlite::Error> {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY)?;
        let journal = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        // NORMAL could lose the last commits at a power cut, and P6 rests on them.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        // A one-order key that was used or recalled leaves no bytes in the file.
        db.pragma_update(None, "secure_delete", true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        let synchronous = db.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        Ok((db, journal, synchronous))
    };
    let (db, journal, synchronous) =
        prepare().map_err(|e| Fault::from(e).named("open the store", path))?;
    if journal != "wal" || synchronous != 2 {
        let source = io::Error::other("this file system cannot keep SQLite's write-ahead log");
        return Err(StoreError::Open { path: path.to_owned(), source });
    }
    Ok(db)
}

/// A command that ends leaves SQLite's write-ahead log as it is: emptying it and removing it costs
/// four more waits for the disk, each time. What is in the log is as durable as in the file, and the
/// log is emptied into the file whenever it has grown to this. So the two belong together: whoever
/// copies the store copies the folder, or has SQLite copy it.
fn keep_log(db: &Connection) -> Result<(), rusqlite::Error> {
    db.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

fn migrate(mut db: Connection, path: &Path, from: i64) -> Result<Connection, StoreError> {
    let mut run = || -> Result<(), Fault> {
        let done = usize::try_from(from).unwrap_or_default();
        if done >= MIGRATIONS.len() {
            return Ok(());
        }
        let transaction = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        // Another process may have migrated between our look and our lock.
        let now: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (step, sql) in MIGRATIONS.iter().enumerate() {
            if step >= usize::try_from(now).unwrap_or_default() {
                transaction.execute_batch(sql)?;
            }
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
        Ok(())
    };
    run().map_err(|fault| fault.named("bring the store to this version", path))?;
    Ok(db)
}
