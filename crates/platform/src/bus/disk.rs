//! The store on disk: one fjall keyspace. Its memory is bounded here (cache, write buffer, files), because it shares a small process
//! with every service; its one worker thread sleeps while nothing is written.

use std::{
    io::{ErrorKind, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Durability,
    error::BusError,
    journal::{check_order, cut_torn_tail},
    store::{Change, Store, StoreError, after_prefix},
    versions,
};

const CACHE_BYTES: u64 = 4 * 1_024 * 1_024;
const WRITE_BUFFER_BYTES: u64 = 8 * 1_024 * 1_024;
const JOURNAL_BYTES: u64 = 128 * 1_024 * 1_024;
const OPEN_FILES: usize = 64;

pub(super) struct Disk {
    path: PathBuf,
    /// Nothing while the engine is closed after a failure and could not be opened again yet.
    engine: RwLock<Option<Engine>>,
    failed: Mutex<Failed>,
    durable: PersistMode,
    /// What was written since the write buffer was last turned over. The engine is told to never do that by itself: it would ask its
    /// worker with every commit until it is done, and once a thousand such requests fill its queue the worker, which puts one in it
    /// too, waits for itself for good; nothing is flushed any more and memory grows without end (seen with fjall 3.1.13).
    buffered: AtomicU64,
}

/// The commit that failed, until it is taken back: it may have been written all the same.
enum Failed {
    None,
    /// What it wanted. What stood there before is not known yet, only the engine that refused it can still tell.
    Wanted(Vec<Change>),
    /// What takes it back, once the engine is open again.
    Undo(Vec<Change>),
}

struct Engine {
    database: Database,
    keyspace: Keyspace,
}

/// Why the engine could not be opened.
enum Unopened {
    Locked,
    Io(std::io::Error),
    /// A commit of the journal is not what was written; it may be the last, and only torn.
    Torn(StoreError),
    Damaged(StoreError),
}

impl Engine {
    fn open(path: &Path) -> Result<Self, fjall::Error> {
        versions::check(path)?;
        check_order(path)?;
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .max_cached_files(Some(OPEN_FILES))
            .worker_threads(1)
            .open()?;
        let keyspace = database.keyspace("bus", || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX))?;
        Ok(Self { database, keyspace })
    }

    /// A file whose bytes are not what they were may make the engine panic; to whoever opens it, that is a damaged folder too.
    fn open_or_catch(path: &Path) -> Result<Self, Unopened> {
        match catch_unwind(AssertUnwindSafe(|| Self::open(path))) {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(fjall::Error::Locked)) => Err(Unopened::Locked),
            Ok(Err(fjall::Error::Io(cause))) if cause.kind() == ErrorKind::InvalidData => Err(Unopened::Damaged(StoreError::new(cause))),
            Ok(Err(fjall::Error::Io(cause))) => Err(Unopened::Io(cause)),
            Ok(Err(cause @ fjall::Error::JournalRecovery(_))) => Err(Unopened::Torn(StoreError::new(cause))),
            Ok(Err(cause)) => Err(Unopened::Damaged(StoreError::new(cause))),
            Err(panic) => Err(Unopened::Torn(StoreError::new(std::io::Error::other(crate::tasks::message(panic.as_ref()).to_owned())))),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.keyspace.get(key).map_err(StoreError::new)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn commit(&self, changes: &[Change], mode: PersistMode) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(mode));
        for change in changes {
            match change {
                Change::Put(key, value) => batch.insert(&self.keyspace, key.as_slice(), value.as_ref()),
                Change::Remove(key) => batch.remove(&self.keyspace, key.as_slice()),
            }
        }
        batch.commit().map_err(StoreError::new)
    }
}

impl Disk {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, BusError> {
        let unusable = |cause| BusError::Open { path: path.to_owned(), cause: StoreError::new(cause) };
        clear_unfinished(path).map_err(unusable)?;
        let damaged = |cause| BusError::Damaged { path: path.to_owned(), cause };
        let mut opened = Engine::open_or_catch(path);
        if matches!(opened, Err(Unopened::Torn(_))) && cut_torn_tail(path, durability).map_err(|error| damaged(StoreError::new(error)))? {
            opened = Engine::open_or_catch(path);
        }
        let engine = match opened {
            Ok(engine) => engine,
            Err(Unopened::Locked) => return Err(BusError::Locked(path.to_owned())),
            Err(Unopened::Io(cause)) => return Err(unusable(cause)),
            Err(Unopened::Torn(cause) | Unopened::Damaged(cause)) => return Err(damaged(cause)),
        };
        keep_names(path).map_err(unusable)?;
        let durable = match durability {
            // The bytes and where they are; nobody asks when the file was written to last.
            Durability::Power => PersistMode::SyncData,
            Durability::Process => PersistMode::Buffer,
        };
        let (engine, failed) = (RwLock::new(Some(engine)), Mutex::new(Failed::None));
        Ok(Self { path: path.to_owned(), engine, failed, durable, buffered: AtomicU64::new(0) })
    }

    /// Works with the engine while nobody closes it.
    fn with<T>(&self, work: impl FnOnce(&Engine) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.engine.read().unwrap_or_else(PoisonError::into_inner) {
            Some(engine) => work(engine),
            None => Err(StoreError::new(std::io::Error::other("the event log is closed after a failure"))),
        }
    }

    /// After a commit that failed (a full disk) the engine takes no other for good: it no longer knows what the disk has. So it is closed
    /// and opened again, which reads the disk anew, and the failed commit, of which any part may be there, is taken back. Whatever of this
    /// fails (a disk that cannot be read either) is tried again with the next commit.
    fn mend(&self) -> Result<(), StoreError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Failed::Wanted(changes) = &*failed {
            *failed = Failed::Undo(self.with(|engine| before(engine, changes))?);
        }
        let Failed::Undo(undo) = &*failed else { return Ok(()) };
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: it holds the lock of its folder. Nobody reads meanwhile.
        drop(engine.take());
        let opened = catch_unwind(AssertUnwindSafe(|| Engine::open(&self.path)))
            .map_err(|panic| StoreError::new(std::io::Error::other(crate::tasks::message(panic.as_ref()).to_owned())))?
            .map_err(StoreError::new)?;
        let taken_back = opened.commit(undo, self.durable);
        // Open again for readers in any case; with a failure the next commit begins here.
        *engine = Some(opened);
        taken_back?;
        *failed = Failed::None;
        self.buffered.store(0, Ordering::Relaxed);
        tracing::info!("the event log takes commits again");
        Ok(())
    }
}

/// Clears away what a first start has left that ended half-way: the engine would not begin over it. Its mark of the layout is the last that
/// it writes, before anything can be committed; so without a whole one, and with nothing in the journal, nothing is lost.
fn clear_unfinished(path: &Path) -> std::io::Result<()> {
    const MARK_BYTES: usize = 4;
    let (mark, journal, keyspaces) = (path.join("version"), path.join("0.jnl"), path.join("keyspaces"));
    // It is written in two pieces, and none of its bytes is zero: where one is, that piece was not there yet when the power went.
    let is_marked = std::fs::read(&mark).is_ok_and(|mark| mark.get(..MARK_BYTES).is_some_and(|mark| !mark.contains(&0)));
    let is_begun = journal.try_exists()? || mark.try_exists()?;
    let is_used = || std::fs::read_dir(&keyspaces).is_ok_and(|mut entries| entries.next().is_some());
    if is_marked || !is_begun || is_used() || !is_blank(&journal)? {
        return Ok(());
    }
    for file in [&journal, &mark] {
        if file.try_exists()? {
            std::fs::remove_file(file)?;
        }
    }
    tracing::info!(path = %path.display(), "a first start that ended half-way is begun anew");
    Ok(())
}

/// Whether there is nothing but zeros in a file, or no file.
fn is_blank(path: &Path) -> std::io::Result<bool> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; 64 * 1_024];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(true),
            read if bytes[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Makes the folders' own names safe. The engine syncs what lies in each folder that it makes, and leaves the folder's name to the file
/// system: ext4 and XFS keep it with the first file that is synced in there, which POSIX does not promise.
fn keep_names(path: &Path) -> std::io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    [Some(path.join("keyspaces").as_path()), Some(path), above]
        .into_iter()
        .flatten()
        .try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
}

/// What a commit of these changes would overwrite.
fn before(engine: &Engine, changes: &[Change]) -> Result<Vec<Change>, StoreError> {
    let old = |change: &Change| {
        let (Change::Put(key, _) | Change::Remove(key)) = change;
        Ok(engine.get(key)?.map_or_else(|| Change::Remove(key.clone()), |value| Change::Put(key.clone(), value)))
    };
    changes.iter().map(old).collect()
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.with(|engine| engine.get(key))
    }

    fn commit(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        self.mend()?;
        let mode = if durable { self.durable } else { PersistMode::Buffer };
        self.with(|engine| {
            if let Err(error) = engine.commit(&changes, mode) {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Failed::Wanted(changes);
                return Err(error);
            }
            let bytes: u64 = changes.iter().map(Change::size).sum();
            if self.buffered.fetch_add(bytes, Ordering::Relaxed) + bytes >= WRITE_BUFFER_BYTES {
                self.buffered.store(0, Ordering::Relaxed);
                // What is committed is committed; should this fail, the engine takes no more commits and says so with the next one.
                if let Err(error) = engine.keyspace.rotate_memtable() {
                    tracing::error!(error = &error as &dyn std::error::Error, "the event log cannot turn its write buffer over");
                }
            }
            Ok(())
        })
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.with(|engine| {
            let mut found = Vec::new();
            for pair in engine.keyspace.range(from..to).take(limit) {
                let (key, value) = pair.into_inner().map_err(StoreError::new)?;
                found.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
            }
            Ok(found)
        })
    }

    fn last_key(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.with(|engine| {
            let last = engine.keyspace.range(prefix..after_prefix(prefix).as_slice()).next_back();
            last.map(|pair| pair.key().map(|key| Bytes::copy_from_slice(&key)).map_err(StoreError::new)).transpose()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_bounded_however_much_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), Durability::Process).unwrap();
        let value = Bytes::from(vec![b'x'; 64 * 1_024]);
        let count = 12 * WRITE_BUFFER_BYTES / value.len() as u64;
        for n in 0..count {
            disk.commit(vec![Change::Put(n.to_be_bytes().to_vec(), value.clone())], true).unwrap();
        }
        let size = || disk.with(|engine| Ok(engine.database.write_buffer_size())).unwrap();
        // The engine makes writers wait from four full buffers on.
        assert!(size() <= 6 * WRITE_BUFFER_BYTES, "{}", size());
        assert_eq!(disk.scan(&[], &[0xff], usize::MAX).unwrap().len() as u64, count);
    }
    #[test]
    fn a_failed_commit_is_mended_even_if_nothing_could_be_read_when_it_failed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), Durability::Process).unwrap();
        let put = |value: &'static str| vec![Change::Put(b"key".to_vec(), Bytes::from_static(value.as_bytes()))];
        disk.commit(put("before"), true).unwrap();
        disk.with(|engine| engine.keyspace.rotate_memtable_and_wait().map_err(StoreError::new)).unwrap();
        // Without its tables the engine can neither read what it has flushed nor flush again, which ends its commits.
        let tables = folder.path().join("keyspaces/1/tables");
        let emptied: Vec<_> = std::fs::read_dir(&tables).unwrap().map(|entry| entry.unwrap().path()).collect();
        let contents: Vec<_> = emptied.iter().map(|table| std::fs::read(table).unwrap()).collect();
        emptied.iter().for_each(|table| drop(std::fs::File::create(table).unwrap()));
        let away = folder.path().join("away");
        std::fs::rename(&tables, &away).unwrap();
        // Turned over once: with four full buffers the engine waits for whoever flushes them, and here nobody can.
        disk.commit(vec![Change::Put(b"other".to_vec(), Bytes::new())], true).unwrap();
        disk.with(|engine| engine.keyspace.rotate_memtable().map_err(StoreError::new)).unwrap();
        while disk.commit(vec![Change::Put(b"other".to_vec(), Bytes::new())], true).is_ok() {
            std::thread::yield_now();
        }
        assert!(disk.get(b"key").is_err(), "it cannot be read");
        assert!(disk.commit(put("lost"), true).is_err());
        std::fs::rename(&away, &tables).unwrap();
        emptied.iter().zip(&contents).for_each(|(table, bytes)| std::fs::write(table, bytes).unwrap());
        disk.commit(put("after"), true).unwrap();
        assert_eq!(disk.get(b"key").unwrap().unwrap(), "after");
    }
}
