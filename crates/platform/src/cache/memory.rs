//! The cache in memory: maps in order of key, of use and of expiry, so that what goes is the same in every run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use types::Timestamp;

use super::{CacheError, Limits};

#[derive(Debug)]
pub(super) struct Memory {
    limits: Limits,
    entries: BTreeMap<Arc<str>, Entry>,
    by_use: BTreeMap<u64, Arc<str>>,
    by_expiry: BTreeSet<(Timestamp, Arc<str>)>,
    bytes: usize,
    /// Counts uses; the entry with the lowest one was used longest ago.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    /// Nothing where older versions are ruled out and the newer one is not known yet.
    value: Option<Bytes>,
    version: Option<u64>,
    expires: Timestamp,
    used: u64,
}

impl Memory {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, entries: BTreeMap::new(), by_use: BTreeMap::new(), by_expiry: BTreeSet::new(), bytes: 0, uses: 0 }
    }

    pub(super) fn get(&mut self, now: Timestamp, key: &str) -> Option<Bytes> {
        self.forget_expired(now);
        let (key, entry) = self.entries.get_key_value(key)?;
        let (key, value) = (key.clone(), entry.value.clone()?);
        self.by_use.remove(&entry.used);
        let used = self.next_use(key.clone());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used = used;
        }
        Some(value)
    }

    pub(super) fn put(&mut self, now: Timestamp, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.keep(now, key, Some(value), None, ttl)
    }

    pub(super) fn put_if_newer(
        &mut self,
        now: Timestamp,
        key: &str,
        version: u64,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.forget_expired(now);
        let stale = self.entries.get(key).is_some_and(|entry| match &entry.value {
            Some(_) => entry.version.is_some_and(|known| known >= version),
            None => entry.version.is_some_and(|known| known > version),
        });
        if stale {
            return Ok(false);
        }
        self.keep(now, key, Some(value), Some(version), ttl).map(|()| true)
    }

    pub(super) fn invalidate(&mut self, now: Timestamp, key: &str, version: u64, ttl: Duration) -> Result<(), CacheError> {
        self.forget_expired(now);
        if self.entries.get(key).is_some_and(|entry| entry.version.is_some_and(|known| known >= version)) {
            return Ok(());
        }
        self.keep(now, key, None, Some(version), ttl)
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes -= size(&key, entry.value.as_ref());
            self.by_use.remove(&entry.used);
            self.by_expiry.remove(&(entry.expires, key));
        }
    }

    fn keep(&mut self, now: Timestamp, key: &str, value: Option<Bytes>, version: Option<u64>, ttl: Duration) -> Result<(), CacheError> {
        // First of all: whatever becomes of the new value, the old one is wrong from here on.
        self.remove(key);
        self.forget_expired(now);
        let size = size(key, value.as_ref());
        if size > self.limits.bytes_max || self.limits.entries_max == 0 {
            return Err(CacheError::TooLarge { key: key.to_owned(), size });
        }
        let expires = now.plus(ttl);
        if expires <= now {
            return Ok(());
        }
        while self.entries.len() >= self.limits.entries_max || self.bytes + size > self.limits.bytes_max {
            let Some(oldest) = self.by_use.first_key_value().map(|(_, key)| key.clone()) else { break };
            self.remove(&oldest);
        }
        let key: Arc<str> = key.into();
        let used = self.next_use(key.clone());
        self.by_expiry.insert((expires, key.clone()));
        self.entries.insert(key, Entry { value, version, expires, used });
        self.bytes += size;
        Ok(())
    }

    fn next_use(&mut self, key: Arc<str>) -> u64 {
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.uses
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((expires, key)) = self.by_expiry.first().cloned() {
            if expires > now {
                return;
            }
            self.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.entries.len(), self.by_use.len());
        assert_eq!(self.entries.len(), self.by_expiry.len());
        assert_eq!(self.bytes, self.entries.iter().map(|(key, entry)| size(key, entry.value.as_ref())).sum::<usize>());
        assert!(self.entries.len() <= self.limits.entries_max && self.bytes <= self.limits.bytes_max);
    }
}

fn size(key: &str, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len)
}
