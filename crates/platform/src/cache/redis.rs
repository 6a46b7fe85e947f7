//! The cache in Redis, for several processes. An entry is a hash (`expires`, `version`, `value`), and each write is one script over one
//! key: look, compare and put as three steps would let a slow reader in between.
//!
//! **Time.** An entry ends by the clock of whoever reads it, as in memory, and at the latest by Redis' own, which removes it. Where clocks
//! differ it ends by the earlier of the two: a miss too many, never a value too long.
//!
//! **A change that Redis did not hear of** is the way in which a cache that was gone for a while becomes wrong: the row is new, the entry
//! is old, and when Redis is back the old one is read. So what could not be written is owed (`debts`): until it has been made good, its
//! key is asked for in vain, and whoever next asks for it makes it good first. That holds in the process that made the change. Others do
//! not know of it; for them what is stale lives on until the event of the change reaches them, or for one `ttl`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{Script, cmd};
use bytes::Bytes;
use types::Timestamp;

use super::CacheError;
use crate::engine::{Down, Redis};

/// Longer than this Redis keeps nothing: it counts in milliseconds, and not without end.
const LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How many keys may be owed. With more, nothing is read until time has made good what was owed.
const DEBTS_MAX: usize = 10_000;
/// How long at least a change is owed: it is not known for how long the old entry was put.
const DEBT_LIFE: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    redis: Redis,
    script: Arc<Script>,
    bytes_max: usize,
    debts: Arc<Mutex<Debts>>,
}

/// Changes that Redis has not heard of.
#[derive(Debug, Default)]
struct Debts {
    keys: BTreeMap<String, Debt>,
    /// Until then nothing is trusted: more was owed than is remembered.
    doubtful_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Debt {
    /// Whatever is there goes.
    remove: bool,
    /// What is older than this goes, and stays out for so long.
    rule_out: Option<(u64, Duration)>,
    until: Timestamp,
}

/// More is owed than is remembered.
#[derive(Debug, thiserror::Error)]
#[error("Redis was gone for too many changes; what it has is not read until {0}")]
struct Doubtful(Timestamp);

/// What a script is asked to put.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Put,
    Newer(u64),
    Rule(u64),
}

impl Shelf {
    pub(super) fn new(redis: Redis, bytes_max: usize) -> Self {
        let script = Arc::new(Script::new(include_str!("keep.lua")));
        Self { redis, script, bytes_max, debts: Arc::default() }
    }

    pub(super) async fn get(&self, now: Timestamp, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.settle(now, key).await?;
        let command = cmd("HMGET").arg(self.name(key)).arg("expires").arg("value").take();
        let (expires, value): (Option<String>, Option<Vec<u8>>) = self.redis.run(&command).await.map_err(unavailable)?;
        Ok(value.filter(|_| expires.is_some_and(|expires| expires > digits(now))).map(Bytes::from))
    }

    pub(super) async fn put(&self, now: Timestamp, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.keep(now, key, Mode::Put, value, ttl).await.map(drop)
    }

    pub(super) async fn put_if_newer(
        &self,
        now: Timestamp,
        key: &str,
        version: u64,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        self.keep(now, key, Mode::Newer(version), value, ttl).await
    }

    pub(super) async fn invalidate(&self, now: Timestamp, key: &str, version: u64, ttl: Duration) -> Result<(), CacheError> {
        self.keep(now, key, Mode::Rule(version), Bytes::new(), ttl).await.map(drop)
    }

    pub(super) async fn remove(&self, now: Timestamp, key: &str) -> Result<(), CacheError> {
        let owed = Debt { remove: true, rule_out: None, until: now.plus(DEBT_LIFE) };
        self.settle(now, key).await.inspect_err(|_| self.owe(now, key, owed))?;
        self.delete(key).await.inspect_err(|_| self.owe(now, key, owed)).map_err(unavailable)
    }

    async fn keep(&self, now: Timestamp, key: &str, mode: Mode, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        let (remove, rule_out) = match mode {
            Mode::Put => (true, None),
            Mode::Newer(version) | Mode::Rule(version) => (false, Some((version, ttl))),
        };
        let owed = Debt { remove, rule_out, until: now.plus(ttl.clamp(DEBT_LIFE, LIFE_MAX)) };
        let done = async {
            self.settle(now, key).await?;
            self.write(now, key, mode, value, ttl).await
        };
        // What does not fit was refused by a Redis that is there; it has removed the old entry.
        done.await.inspect_err(|error| {
            if matches!(error, CacheError::Unavailable(_)) {
                self.owe(now, key, owed);
            }
        })
    }

    /// The script, without a look at what is owed.
    async fn write(&self, now: Timestamp, key: &str, mode: Mode, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        let (name, version) = match mode {
            Mode::Put => ("put", 0),
            Mode::Newer(version) => ("newer", version),
            Mode::Rule(version) => ("rule", version),
        };
        let size = key.len() + value.len();
        let fits = size <= self.bytes_max;
        let mut call = self.script.prepare_invoke();
        call.key(self.name(key)).arg(digits(now)).arg(name).arg(format!("{version:020}")).arg(digits(now.plus(ttl)));
        // Rounded up: what ends within the millisecond is the reader's to see.
        call.arg(ttl.min(LIFE_MAX).as_micros().div_ceil(1_000).to_string()).arg(i32::from(fits)).arg(if fits { &value[..] } else { &[] });
        match self.redis.script::<i64>(&call).await.map_err(unavailable)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CacheError::TooLarge { key: key.to_owned(), size }),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), Down> {
        self.redis.run::<i64>(cmd("DEL").arg(self.name(key))).await.map(drop)
    }

    /// Makes good what is owed for this key.
    async fn settle(&self, now: Timestamp, key: &str) -> Result<(), CacheError> {
        let Some(debt) = self.debt(now, key)? else { return Ok(()) };
        if debt.remove {
            self.delete(key).await.map_err(unavailable)?;
        }
        if let Some((version, ttl)) = debt.rule_out {
            self.write(now, key, Mode::Rule(version), Bytes::new(), ttl).await?;
        }
        let mut debts = self.debts();
        // More may be owed by now.
        if debts.keys.get(key) == Some(&debt) {
            debts.keys.remove(key);
        }
        Ok(())
    }

    fn debt(&self, now: Timestamp, key: &str) -> Result<Option<Debt>, CacheError> {
        let mut debts = self.debts();
        match debts.doubtful_until {
            Some(until) if until > now => return Err(CacheError::Unavailable(Box::new(Doubtful(until)))),
            _ => debts.doubtful_until = None,
        }
        Ok(debts.keys.get(key).copied().filter(|debt| debt.until > now))
    }

    fn owe(&self, now: Timestamp, key: &str, debt: Debt) {
        let mut debts = self.debts();
        if let Some(known) = debts.keys.get_mut(key) {
            known.remove |= debt.remove;
            known.until = known.until.max(debt.until);
            // The newer rules out whatever the older does.
            known.rule_out = known.rule_out.max(debt.rule_out);
            return;
        }
        if debts.keys.len() >= DEBTS_MAX {
            debts.keys.retain(|_, debt| debt.until > now);
        }
        if debts.keys.len() >= DEBTS_MAX {
            let until = debts.doubtful_until.map_or(debt.until, |known| known.max(debt.until));
            debts.doubtful_until = Some(until);
            return;
        }
        debts.keys.insert(key.to_owned(), debt);
    }

    fn debts(&self) -> std::sync::MutexGuard<'_, Debts> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, key: &str) -> String {
        self.redis.key("cache", key)
    }
}

/// Twenty digits, so that texts compare as their numbers do.
fn digits(moment: Timestamp) -> String {
    format!("{:020}", moment.micros().max(0))
}

fn unavailable(down: Down) -> CacheError {
    CacheError::Unavailable(Box::new(down))
}
