//! The calls that wait for an outcome, by authorization: who decides one wakes them. What is waited for stands in the store; this only
//! spares them looking again and again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use types::id::Uuid;

#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<BTreeMap<Uuid, Arc<Notify>>>>);

/// A place among those that wait; given up when it is dropped.
#[derive(Debug)]
pub struct Seat {
    id: Uuid,
    pub bell: Arc<Notify>,
    all: Waiting,
}

impl Waiting {
    #[must_use]
    pub fn sit(&self, id: Uuid) -> Seat {
        let bell = self.lock().entry(id).or_default().clone();
        Seat { id, bell, all: self.clone() }
    }

    pub fn wake(&self, id: Uuid) {
        if let Some(bell) = self.lock().get(&id) {
            bell.notify_waiters();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // The map's and this seat's own.
        if Arc::strong_count(&self.bell) == 2 {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sits_is_woken_and_who_leaves_leaves_nothing() {
        let (waiting, id) = (Waiting::default(), Uuid::from_u128(1));
        let (first, second) = (waiting.sit(id), waiting.sit(id));
        let (one, two) = (first.bell.notified(), second.bell.notified());
        waiting.wake(id);
        one.await;
        two.await;
        drop(first);
        assert_eq!(waiting.lock().len(), 1);
        drop(second);
        assert!(waiting.lock().is_empty());
        waiting.wake(id);
    }
}
