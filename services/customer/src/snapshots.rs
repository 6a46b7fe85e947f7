//! Customers in the cache, under `customer::ID`. A snapshot is never older than what the cache has heard of: it is kept by the row's own
//! version, and who changed the row rules the older ones out, so that a slow reader cannot put back what it read before. A writer that
//! dies between its commit and that leaves a stale snapshot; the event of the change repairs it (`consumers.rs`).
//!
//! A cache that does not answer is a miss: slower, never wrong.

use std::time::Duration;

use customer_api::Customer;
use platform::cache::Cache;
use types::CustomerId;

#[derive(Clone, Debug)]
pub struct Snapshots {
    cache: Cache,
    ttl: Duration,
}

impl Snapshots {
    #[must_use]
    pub const fn new(cache: Cache, ttl: Duration) -> Self {
        Self { cache, ttl }
    }

    pub async fn get(&self, id: CustomerId) -> Option<Customer> {
        self.cache.get_json(&key(id)).await.ok().flatten()
    }

    /// Keeps what was read from the store, unless something newer is known.
    pub async fn put(&self, customer: &Customer) {
        drop(self.cache.put_json_if_newer(&key(customer.id), version(customer.version), customer, self.ttl).await);
    }

    /// Removes what is older than `newest`, and lets nothing older in again.
    pub async fn rule_out(&self, id: CustomerId, newest: i64) {
        if let Err(error) = self.cache.invalidate(&key(id), version(newest), self.ttl).await {
            tracing::warn!(customer_id = %id, %error, "a snapshot could not be removed; it ends by itself");
        }
    }
}

fn key(id: CustomerId) -> String {
    format!("customer::{id}")
}

fn version(version: i64) -> u64 {
    u64::try_from(version).unwrap_or(0)
}
