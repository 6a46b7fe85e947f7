//! Turns within one process: who writes a cell waits here for whoever is at it, so that conditional writes of one process do not refuse each
//! other. Those of others are met in the row itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use super::rows::Key;

#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>>>);

/// The turn at one cell, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    key: Key,
    all: Turns,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn at a cell. Whoever needs several takes them in their order: nobody waits in a circle.
    pub async fn take(&self, key: Key) -> Turn {
        let queue = self.queues().entry(key.clone()).or_default().clone();
        let guard = queue.lock_owned().await;
        Turn { key, all: self.clone(), guard: Some(guard) }
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut queues = self.all.queues();
        // Nobody else is at it or waits for it.
        if queues.get(&self.key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.key);
        }
    }
}
