//! Changes of one cart, one after the other within this instance. The version alone keeps a cart right, but of many changes at once all
//! but one would have been priced in vain, and the last would have lost as often as there are others. Between instances the version
//! decides; that is rare, because a cart has one buyer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use types::CartId;

type Queue = Arc<tokio::sync::Mutex<()>>;

#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<BTreeMap<CartId, Queue>>>);

/// The right to change a cart, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    id: CartId,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until everybody who came before is done with this cart.
    pub async fn take(&self, id: CartId) -> Turn {
        let queue = self.queues().entry(id).or_default().clone();
        // Made before the wait, so that who gives up waiting leaves no queue behind either.
        let mut turn = Turn { turns: self.clone(), id, held: None };
        turn.held = Some(queue.lock_owned().await);
        turn
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, BTreeMap<CartId, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        self.held = None;
        // Whoever waits holds the queue too, and can only have come to it under this lock.
        if queues.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};
    use types::id::Uuid;

    use super::*;

    fn cart(number: u128) -> CartId {
        CartId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn one_cart_has_one_turn_at_a_time_and_another_cart_its_own() {
        let turns = Turns::default();
        let first = turns.take(cart(1)).await;
        assert!(turns.take(cart(1)).now_or_never().is_none(), "somebody else's turn");
        assert!(turns.take(cart(2)).now_or_never().is_some());
        drop(first);
        assert!(turns.take(cart(1)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_queue_that_everybody_has_left() {
        let turns = Turns::default();
        let first = turns.take(cart(1)).await;
        assert!(turns.take(cart(1)).now_or_never().is_none(), "gave up waiting");
        assert_eq!(turns.queues().len(), 1);
        let others = join_all((0..5).map(|_| async { drop(turns.take(cart(1)).await) }));
        drop(first);
        others.await;
        assert!(turns.queues().is_empty());
    }
}
