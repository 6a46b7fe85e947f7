//! The store on disk: one fjall keyspace. Its memory is bounded here (cache, write buffer, files), because it shares a small process
//! with every service; its one worker thread sleeps while nothing is written.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Durability,
    error::BusError,
    store::{Change, Store, StoreError, after_prefix},
};

const CACHE_BYTES: u64 = 4 * 1_024 * 1_024;
const WRITE_BUFFER_BYTES: u64 = 8 * 1_024 * 1_024;
const JOURNAL_BYTES: u64 = 128 * 1_024 * 1_024;
const OPEN_FILES: usize = 64;

pub(super) struct Disk {
    database: Database,
    keyspace: Keyspace,
    durable: PersistMode,
    /// What was written since the write buffer was last turned over. The engine is told to never do that by itself: it would ask its
    /// worker with every commit until it is done, and once a thousand such requests fill its queue the worker, which puts one in it
    /// too, waits for itself for good; nothing is flushed any more and memory grows without end (seen with fjall 3.1.13).
    buffered: AtomicU64,
}

impl Disk {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, BusError> {
        let open = || {
            let database = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .max_cached_files(Some(OPEN_FILES))
                .worker_threads(1)
                .open()?;
            let keyspace = database.keyspace("bus", || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX))?;
            Ok::<_, fjall::Error>((database, keyspace))
        };
        // A file whose bytes are not what they were may make the engine panic; to whoever opens it, that is a damaged folder too.
        let (database, keyspace) = match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(opened)) => opened,
            Ok(Err(fjall::Error::Locked)) => return Err(BusError::Locked(path.to_owned())),
            Ok(Err(fjall::Error::Io(cause))) => return Err(BusError::Open { path: path.to_owned(), cause: StoreError::new(cause) }),
            Ok(Err(cause)) => return Err(BusError::Damaged { path: path.to_owned(), cause: StoreError::new(cause) }),
            Err(panic) => {
                let cause = std::io::Error::other(crate::tasks::message(panic.as_ref()).to_owned());
                return Err(BusError::Damaged { path: path.to_owned(), cause: StoreError::new(cause) });
            }
        };
        let durable = match durability {
            Durability::Power => PersistMode::SyncAll,
            Durability::Process => PersistMode::Buffer,
        };
        Ok(Self { database, keyspace, durable, buffered: AtomicU64::new(0) })
    }
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.keyspace.get(key).map_err(StoreError::new)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn commit(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(if durable { self.durable } else { PersistMode::Buffer }));
        let mut bytes = 0;
        for change in changes {
            bytes += change.size();
            match change {
                Change::Put(key, value) => batch.insert(&self.keyspace, key, value.as_ref()),
                Change::Remove(key) => batch.remove(&self.keyspace, key),
            }
        }
        batch.commit().map_err(StoreError::new)?;
        if self.buffered.fetch_add(bytes, Ordering::Relaxed) + bytes >= WRITE_BUFFER_BYTES {
            self.buffered.store(0, Ordering::Relaxed);
            // What is committed is committed; should this fail, the engine takes no more commits and says so with the next one.
            if let Err(error) = self.keyspace.rotate_memtable() {
                tracing::error!(error = &error as &dyn std::error::Error, "the event log cannot turn its write buffer over");
            }
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for pair in self.keyspace.range(from..to).take(limit) {
            let (key, value) = pair.into_inner().map_err(StoreError::new)?;
            found.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
        }
        Ok(found)
    }

    fn last_key(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let last = self.keyspace.range(prefix..after_prefix(prefix).as_slice()).next_back();
        last.map(|pair| pair.key().map(|key| Bytes::copy_from_slice(&key)).map_err(StoreError::new)).transpose()
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
        // The engine makes writers wait from four full buffers on.
        assert!(disk.database.write_buffer_size() <= 6 * WRITE_BUFFER_BYTES, "{}", disk.database.write_buffer_size());
        assert_eq!(disk.scan(&[], &[0xff], usize::MAX).unwrap().len() as u64, count);
    }
}
