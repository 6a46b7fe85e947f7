//! Work that only one instance of a service may do at a time: a relay, a sweep. With embedded stores all instances share one process,
//! so a lease is a name in a set; it ends with its guard, and so with the task that held it, however that ended.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<BTreeSet<String>>>);

/// Held for as long as this lives.
#[derive(Debug)]
pub struct Lease {
    name: String,
    all: Leases,
}

impl Leases {
    /// The lease of this name, unless somebody else holds it.
    #[must_use]
    pub fn take(&self, name: &str) -> Option<Lease> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        free.then(|| Lease { name: name.to_owned(), all: self.clone() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let leases = Leases::default();
        let first = leases.take("order/outbox");
        assert!(first.is_some());
        assert!(leases.take("order/outbox").is_none());
        assert!(leases.take("cart/outbox").is_some());
        drop(first);
        assert!(leases.take("order/outbox").is_some());
    }
}
