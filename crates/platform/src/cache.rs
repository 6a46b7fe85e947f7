//! A cache that may be lost at any moment without anybody being wrong for it: gone is slower, never false. So every answer is a value
//! that a caller may ignore, `Err` like `None`, and ask the source instead.
//!
//! What makes caches wrong is a slow reader who puts back what it read before a writer's change. [`Cache::put_if_newer`] and
//! [`Cache::invalidate`] close that door with the row's own version: an older one never takes the place of a newer. They remember for
//! as long as the entry is kept; room or time may end that, and then what is stale lives for one `ttl` at most.
//!
//! It is in this process's memory, or in Redis for several processes (`redis`).

mod memory;
#[cfg(feature = "engines")]
mod redis;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::clock::Clock;

/// How much the cache keeps. In memory what was used longest ago goes first; in Redis that is the server's business (`maxmemory`), and
/// `bytes_max` bounds one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub entries_max: usize,
    /// Of keys and values together.
    pub bytes_max: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the cache does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing is kept under the key now, not even what was there before.
    #[error("`{key}` with its value of {size} bytes does not fit into the cache")]
    TooLarge { key: String, size: usize },
    #[error("what is cached under `{key}` has another shape, or cannot be written")]
    Json { key: String, source: serde_json::Error },
}

/// One cache; clones share it, so all instances of a service in a process do, and over Redis those of all processes.
#[derive(Clone, Debug)]
pub struct Cache {
    clock: Clock,
    floor: Floor,
}

#[derive(Clone, Debug)]
enum Floor {
    Memory(Arc<Mutex<memory::Memory>>),
    #[cfg(feature = "engines")]
    Redis(redis::Shelf),
}

impl Cache {
    #[must_use]
    pub fn in_memory(clock: Clock, limits: Limits) -> Self {
        Self { clock, floor: Floor::Memory(Arc::new(Mutex::new(memory::Memory::new(limits)))) }
    }

    /// A cache that several processes share. A call that Redis does not answer is [`CacheError::Unavailable`], soon.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn in_redis(clock: Clock, limits: Limits, redis: crate::engine::Redis) -> Self {
        Self { clock, floor: Floor::Redis(redis::Shelf::new(redis, limits.bytes_max)) }
    }

    /// The value, unless it was never there, was removed, is older than its `ttl` or had to make room.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let now = self.clock.now();
        match &self.floor {
            Floor::Memory(memory) => Ok(lock(memory).get(now, key)),
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.get(now, key).await,
        }
    }

    /// Keeps the value for `ttl`, whatever is there already. A key that is written by version is not to be written this way too.
    pub async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let now = self.clock.now();
        match &self.floor {
            Floor::Memory(memory) => lock(memory).put(now, key, value, ttl),
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.put(now, key, value, ttl).await,
        }
    }

    /// Keeps the value for `ttl` unless one of this version or a newer one is there, or [`Cache::invalidate`] has ruled it out; says
    /// whether it does.
    pub async fn put_if_newer(&self, key: &str, version: u64, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        let now = self.clock.now();
        match &self.floor {
            Floor::Memory(memory) => lock(memory).put_if_newer(now, key, version, value, ttl),
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.put_if_newer(now, key, version, value, ttl).await,
        }
    }

    /// Removes what is older than `version`, and for `ttl` lets nothing older in: for a writer that has the new version's number, but
    /// not the value as readers want it.
    pub async fn invalidate(&self, key: &str, version: u64, ttl: Duration) -> Result<(), CacheError> {
        let now = self.clock.now();
        match &self.floor {
            Floor::Memory(memory) => lock(memory).invalidate(now, key, version, ttl),
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.invalidate(now, key, version, ttl).await,
        }
    }

    /// Removes the value, and what was known of its version.
    pub async fn remove(&self, key: &str) -> Result<(), CacheError> {
        match &self.floor {
            Floor::Memory(memory) => {
                lock(memory).remove(key);
                Ok(())
            }
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.remove(self.clock.now(), key).await,
        }
    }

    /// [`Cache::get`] of a value that was put as JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CacheError> {
        let value = self.get(key).await?;
        value.map(|value| serde_json::from_slice(&value)).transpose().map_err(|source| CacheError::Json { key: key.to_owned(), source })
    }

    /// [`Cache::put`] of a value as JSON.
    pub async fn put_json<T: Serialize + Sync>(&self, key: &str, value: &T, ttl: Duration) -> Result<(), CacheError> {
        self.put(key, json(key, value)?, ttl).await
    }

    /// [`Cache::put_if_newer`] of a value as JSON.
    pub async fn put_json_if_newer<T: Serialize + Sync>(
        &self,
        key: &str,
        version: u64,
        value: &T,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.put_if_newer(key, version, json(key, value)?, ttl).await
    }
}

fn lock(memory: &Mutex<memory::Memory>) -> std::sync::MutexGuard<'_, memory::Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn json<T: Serialize>(key: &str, value: &T) -> Result<Bytes, CacheError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| CacheError::Json { key: key.to_owned(), source })
}

#[cfg(test)]
mod tests;
