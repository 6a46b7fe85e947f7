//! Buckets in Redis, so that several processes together let no more pass than one bucket holds. Reading the level, the decision and the
//! writing are one script (`take.lua`), with the whole-number arithmetic of the buckets in memory.
//!
//! **Time** is Redis' own in a real system. With the callers' clocks each process that is ahead of another would see time pass that never
//! did, at every call, and its share of tokens would flow in again and again: two processes a second apart would pass twice the rate. A
//! clock that is not the machine's (a test's) is handed to the script, so that the same calls at the same times have the same answers here
//! and in memory.
//!
//! A call that ends without an answer may have taken its tokens. A Redis that removes keys for want of room forgets buckets, and a forgotten
//! bucket is full: give it room, or `maxmemory-policy noeviction`, under which the call is refused instead.

use std::sync::Arc;

use ::redis::Script;
use types::Timestamp;

use super::{Bucket, LimiterError, Taken};
use crate::engine::Redis;

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    redis: Redis,
    script: Arc<Script>,
    /// Whose buckets these are: limiters of different names have different buckets for one key.
    name: Arc<str>,
    bucket: Bucket,
}

impl Shelf {
    pub(super) fn new(redis: Redis, name: &str, bucket: Bucket) -> Self {
        Self { redis, script: Arc::new(Script::new(include_str!("take.lua"))), name: name.into(), bucket }
    }

    /// `now` is none where Redis' own clock counts.
    pub(super) async fn take(&self, now: Option<Timestamp>, key: &str, tokens: u32) -> Result<Taken, LimiterError> {
        let cost = self.bucket.cost(tokens)?;
        let mut call = self.script.prepare_invoke();
        call.key(self.redis.key("limiter", &format!("{}:{key}", self.name)));
        call.arg(now.map(|now| now.micros().to_string()).unwrap_or_default());
        call.arg(tokens).arg(self.bucket.capacity.get()).arg(self.bucket.refill_per_second.get());
        let (_, parts): (i64, u64) = self.redis.script(&call).await.map_err(|down| LimiterError::Unavailable(Box::new(down)))?;
        Ok(self.bucket.answer(parts, cost))
    }
}
