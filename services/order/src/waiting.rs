//! Whoever waits for an order to settle is told by the commit that settles it, and does not have to look again and again.

use std::sync::Arc;

use platform::db::Tx;
use tokio::sync::Notify;
use types::OrderId;

/// How many bells there are. Two orders that share one wake each other's waiters for nothing, now and then.
const BELLS: usize = 256;

/// The bells of all orders.
#[derive(Clone, Debug)]
pub struct Bells(Arc<[Arc<Notify>]>);

impl Default for Bells {
    fn default() -> Self {
        Self((0..BELLS).map(|_| Arc::default()).collect())
    }
}

impl Bells {
    /// Rings for an order once the transaction is durable.
    pub fn ring_after(&self, tx: &mut Tx<'_>, order: OrderId) {
        tx.wake_all_after_commit(self.of(order));
    }

    /// Where to wait for an order: first listen, then look, then wait, so that nothing comes in between.
    #[must_use]
    pub fn of(&self, order: OrderId) -> &Arc<Notify> {
        // The last byte of an id is chance.
        &self.0[usize::from(order.uuid().as_bytes()[15]) % BELLS]
    }
}
