//! How often is too often: a token bucket for each key. Read the level, decide and write it back, as three steps, is the classic
//! mistake (two callers read the same level and both pass), so there is one operation, [`Limiter::take`], and it is atomic.
//!
//! A level is counted in millionths of a token. With time in microseconds a rate in tokens a second is then a whole number for each
//! microsecond, so nothing is rounded and the promise holds exactly: in any stretch of time no more passes than the capacity and what
//! flowed in during it. Left out: queues. Whoever is refused is told when to come back.
//!
//! The buckets are in this process's memory, or in Redis for several processes (`redis`).

#[cfg(feature = "engines")]
mod redis;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::clock::Clock;

/// Parts of a token.
const SCALE: u64 = 1_000_000;

/// The shape of every bucket of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Tokens in a bucket that nobody took from: the largest burst.
    pub capacity: NonZeroU32,
    /// Tokens that flow in each second, evenly.
    pub refill_per_second: NonZeroU32,
}

impl Bucket {
    /// # Errors
    /// [`LimiterError::Zero`] where nothing could ever pass.
    pub fn new(capacity: u32, refill_per_second: u32) -> Result<Self, LimiterError> {
        let (Some(capacity), Some(refill_per_second)) = (NonZeroU32::new(capacity), NonZeroU32::new(refill_per_second)) else {
            return Err(LimiterError::Zero);
        };
        Ok(Self { capacity, refill_per_second })
    }

    fn full(self) -> u64 {
        u64::from(self.capacity.get()) * SCALE
    }

    /// How long `parts` of tokens need to flow in, rounded up: a microsecond earlier they are not all there.
    fn time_for(self, parts: u64) -> Duration {
        Duration::from_micros(parts.div_ceil(u64::from(self.refill_per_second.get())))
    }

    /// The parts of these tokens.
    fn cost(self, tokens: u32) -> Result<u64, LimiterError> {
        let capacity = self.capacity.get();
        if tokens > capacity { Err(LimiterError::NeverFits { tokens, capacity }) } else { Ok(u64::from(tokens) * SCALE) }
    }

    /// What is said to whoever asked for `cost` when there were `parts`.
    fn answer(self, parts: u64, cost: u64) -> Taken {
        let left = parts.checked_sub(cost);
        Taken {
            allowed: left.is_some(),
            remaining: u32::try_from(left.unwrap_or(parts) / SCALE).unwrap_or(self.capacity.get()),
            retry_after: self.time_for(cost.saturating_sub(parts)),
        }
    }
}

/// The answer to [`Limiter::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub allowed: bool,
    /// Whole tokens that are left.
    pub remaining: u32,
    /// When the same call would pass, if nobody takes anything until then; zero when it did.
    pub retry_after: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    #[error("a bucket needs a capacity and a rate of 1 or more")]
    Zero,
    #[error("{tokens} tokens at once never fit into a bucket of {capacity}; ask for fewer")]
    NeverFits { tokens: u32, capacity: u32 },
    #[error("the limiter does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One set of buckets; clones share it.
#[derive(Clone, Debug)]
pub struct Limiter {
    clock: Clock,
    floor: Floor,
}

#[derive(Clone, Debug)]
enum Floor {
    Memory(Arc<Mutex<Shelf>>),
    #[cfg(feature = "engines")]
    Redis(redis::Shelf),
}

impl Limiter {
    /// Buckets in this process's memory, at most `keys_max` of them at a time. A full bucket takes no room, since it is like one that
    /// nobody has used. When there is no room left a new key is refused until some bucket is full again: to forget one instead would
    /// let its key pass twice.
    #[must_use]
    pub fn in_memory(clock: Clock, bucket: Bucket, keys_max: usize) -> Self {
        let shelf = Shelf { bucket, keys_max, levels: BTreeMap::new(), by_full: BTreeSet::new() };
        Self { clock, floor: Floor::Memory(Arc::new(Mutex::new(shelf))) }
    }

    /// Buckets that several processes share: those of one `name` and key are one. How many there are is Redis' business.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn in_redis(clock: Clock, name: &str, bucket: Bucket, redis: crate::engine::Redis) -> Self {
        Self { clock, floor: Floor::Redis(redis::Shelf::new(redis, name, bucket)) }
    }

    /// Takes `tokens` from the key's bucket, all or none. None at all can always be taken: that reads the level.
    ///
    /// # Errors
    /// [`LimiterError::NeverFits`] for more than the capacity; [`LimiterError::Unavailable`] when whoever keeps the buckets is not
    /// there: the caller decides whether to let things pass then.
    pub async fn take(&self, key: &str, tokens: u32) -> Result<Taken, LimiterError> {
        match &self.floor {
            Floor::Memory(shelf) => {
                let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
                // The time is read under the lock, so that it goes forward from one call to the next.
                shelf.take(self.clock.now(), key, tokens)
            }
            #[cfg(feature = "engines")]
            Floor::Redis(shelf) => shelf.take((!self.clock.is_the_machines()).then(|| self.clock.now()), key, tokens).await,
        }
    }
}

#[derive(Debug)]
struct Shelf {
    bucket: Bucket,
    keys_max: usize,
    /// Buckets that are not full.
    levels: BTreeMap<Arc<str>, Level>,
    /// The same, by when they will be.
    by_full: BTreeSet<(Timestamp, Arc<str>)>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    parts: u64,
    at: Timestamp,
    full_at: Timestamp,
}

impl Shelf {
    fn take(&mut self, now: Timestamp, key: &str, tokens: u32) -> Result<Taken, LimiterError> {
        let cost = self.bucket.cost(tokens)?;
        self.forget_full(now);
        let parts = self.parts(now, key);
        if let Some(until) = self.until_room(now, key).filter(|_| tokens > 0) {
            return Ok(Taken { allowed: false, remaining: 0, retry_after: until });
        }
        self.set(now, key, parts.checked_sub(cost).unwrap_or(parts));
        Ok(self.bucket.answer(parts, cost))
    }

    fn forget_full(&mut self, now: Timestamp) {
        while self.by_full.first().is_some_and(|(full_at, _)| *full_at <= now) {
            if let Some((_, key)) = self.by_full.pop_first() {
                self.levels.remove(&key);
            }
        }
    }

    /// What is in the bucket now. A clock that was set back gives nothing, but does not stop the flow either.
    fn parts(&self, now: Timestamp, key: &str) -> u64 {
        let full = self.bucket.full();
        self.levels.get(key).map_or(full, |level| {
            let micros = u64::try_from(now.since(level.at).as_micros()).unwrap_or(u64::MAX);
            micros.saturating_mul(u64::from(self.bucket.refill_per_second.get())).saturating_add(level.parts).min(full)
        })
    }

    /// How long a new key has to wait for room; nothing when there is some.
    fn until_room(&self, now: Timestamp, key: &str) -> Option<Duration> {
        if self.levels.len() < self.keys_max || self.levels.contains_key(key) {
            return None;
        }
        Some(self.by_full.first().map_or(Duration::MAX, |(full_at, _)| full_at.since(now)))
    }

    fn set(&mut self, now: Timestamp, key: &str, parts: u64) {
        let missing = self.bucket.full() - parts;
        let key = match self.levels.remove_entry(key) {
            Some((key, level)) => {
                self.by_full.remove(&(level.full_at, key.clone()));
                key
            }
            None => key.into(),
        };
        if missing > 0 {
            let full_at = now.plus(self.bucket.time_for(missing));
            self.by_full.insert((full_at, key.clone()));
            self.levels.insert(key, Level { parts, at: now, full_at });
        }
    }
}

#[cfg(test)]
mod tests;
