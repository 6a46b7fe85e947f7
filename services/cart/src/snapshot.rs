//! Carts in the cache, as others see them. A read goes here first; so what is here must never be older than what a writer was told is
//! saved.
//!
//! A writer rules the older versions out before its transaction ([`Snapshots::supersede`]) and puts the new one in after it
//! ([`Snapshots::keep`]). Between the two, and for good if it dies there, a reader finds nothing and asks the store. A slow reader that
//! comes back with what it read before is refused by the version. An open cart is kept no longer than it lives.

use std::time::Duration;

use cart_api::{Cart as View, CartStatus};
use platform::{
    Clock,
    cache::Cache,
    telemetry::metrics::{Counter, ServiceMetrics},
};
use types::CartId;

use crate::domain::Cart;

#[derive(Clone, Debug)]
pub struct Snapshots {
    cache: Cache,
    clock: Clock,
    ttl: Duration,
    hits: Counter,
    misses: Counter,
}

impl Snapshots {
    #[must_use]
    pub fn new(cache: Cache, clock: Clock, ttl: Duration, metrics: &ServiceMetrics) -> Self {
        let reads = metrics.counters("cart_cache_reads_total", "Reads of a cart, by whether the cache had it.");
        Self { cache, clock, ttl, hits: reads.with(&[("outcome", "hit")]), misses: reads.with(&[("outcome", "miss")]) }
    }

    pub async fn get(&self, id: CartId) -> Option<View> {
        // A cache that does not answer is as good as one that has nothing.
        let found = self.cache.get_json(&key(id)).await.ok().flatten();
        if found.is_some() {
            self.hits.inc()
        } else {
            self.misses.inc()
        };
        found
    }

    /// To be called before the transaction that saves `version`.
    pub async fn supersede(&self, id: CartId, version: i64) {
        let Ok(version) = u64::try_from(version) else { return };
        if let Err(error) = self.cache.invalidate(&key(id), version, self.ttl).await {
            tracing::warn!(cart_id = %id, %error, "a cached cart could not be ruled out; it may be shown until its time in the cache is over");
        }
    }

    /// Keeps a cart as it was read or saved, unless a newer one is known.
    pub async fn keep(&self, cart: &Cart) {
        let Ok(version) = u64::try_from(cart.version) else { return };
        let ttl = match cart.status {
            CartStatus::Open => self.ttl.min(cart.expires_at.since(self.clock.now())),
            CartStatus::CheckedOut | CartStatus::Expired => self.ttl,
        };
        if let Err(error) = self.cache.put_json_if_newer(&key(cart.id), version, &cart.view(), ttl).await {
            tracing::debug!(cart_id = %cart.id, %error, "a cart was not cached");
        }
    }
}

fn key(id: CartId) -> String {
    format!("cart::{id}")
}

#[cfg(test)]
mod tests {
    use platform::{cache::Limits, telemetry::metrics::Metrics};
    use types::{Currency, Region, id::Uuid};

    use super::*;
    use crate::domain::Moment;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Snapshots of a cart that lives for an hour, and that cart at any version.
    fn shelf() -> (Snapshots, impl Fn(i64) -> Cart) {
        let clock = Clock::simulated();
        let cache = Cache::in_memory(clock, Limits { entries_max: 10, bytes_max: 100_000 });
        let snapshots = Snapshots::new(cache, clock, 2 * 60 * MINUTE, &Metrics::new().for_service("cart"));
        let moment = Moment { now: clock.now(), ttl: 60 * MINUTE };
        let cart = Cart::new(CartId(Uuid::from_u128(1)), None, "session".into(), (Region::Us, Currency::Usd), moment);
        (snapshots, move |version| Cart { version, ..cart.clone() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_cannot_put_back_what_was_superseded() {
        let (snapshots, at) = shelf();
        let id = at(1).id;
        snapshots.keep(&at(1)).await;
        snapshots.supersede(id, 2).await;
        assert_eq!(snapshots.get(id).await, None, "gone before the change is saved");
        snapshots.keep(&at(1)).await;
        assert_eq!(snapshots.get(id).await, None);
        snapshots.keep(&at(2)).await;
        snapshots.keep(&at(1)).await;
        assert_eq!(snapshots.get(id).await.map(|view| view.version), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_cart_is_kept_no_longer_than_it_lives() {
        let (snapshots, at) = shelf();
        let id = at(1).id;
        snapshots.keep(&at(1)).await;
        snapshots.clock.sleep(59 * MINUTE).await;
        assert!(snapshots.get(id).await.is_some());
        snapshots.clock.sleep(MINUTE).await;
        assert_eq!(snapshots.get(id).await, None);
        snapshots.keep(&at(1)).await;
        assert_eq!(snapshots.get(id).await, None, "its time is over");
        snapshots.keep(&Cart { status: CartStatus::CheckedOut, ..at(2) }).await;
        assert!(snapshots.get(id).await.is_some());
    }
}
