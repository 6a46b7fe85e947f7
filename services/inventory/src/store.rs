//! The store's port. Everything that changes stock is one [`Operation`]: load the state of some partitions (a SKU in its warehouses) and
//! of a reservation, decide (a pure function), save what it changes if nothing of it was changed meanwhile, together with the events that
//! tell of it and the note that it was done. The application knows nothing else of the store.
//!
//! An engine with transactions does that in one ([`embedded`]). One without them (Cassandra) does it by conditional writes: each partition's
//! row has a version, one row for each operation is written when it is decided and carries all that is to be done, its events among it, and its
//! name; a relay publishes the events and notes that. Nothing of this port promises more than that, and it shows what such an engine cannot hide: the answer to a conditional write can be lost
//! ([`StoreError::Unknown`]), so every operation has a name by which it is found again ([`Store::read_back`]); and a hold can be a time to
//! live that ends without a word ([`Hold::Ttl`]).

#[cfg(feature = "engines")]
pub mod cassandra;
pub mod embedded;
pub mod lost;

use std::{collections::BTreeMap, sync::Arc};

#[cfg(feature = "engines")]
pub use self::cassandra::Cassandra;
#[cfg(feature = "engines")]
use futures::FutureExt;
use platform::{
    db::DbError,
    http::Answer,
    idempotency::Key,
    problem::Problem,
    service::{BuildError, Env, Progress},
};
use tokio::sync::Notify;
use types::{EventId, OrderId, ReservationId, Sku, id::Uuid};

use crate::{
    config::{Config, Hold},
    domain::{Changes, Place, Refusal, Reservation, Shelf, State},
};

/// Which reservation a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    Id(ReservationId),
    /// The newest of the order.
    Order(OrderId),
}

/// How often an operation may happen.
#[derive(Clone, Debug)]
pub enum Once {
    /// As often as it is asked for; the decision itself sees a repeat.
    Always,
    /// Once for this key: a repeat gets the first answer.
    Key(Key),
    /// Once for this event: a repeat does nothing. The note that it was taken is kept also when nothing came of it.
    Event { topic: &'static str, id: EventId, key: String },
}

type Decide = dyn Fn(&State) -> Result<Changes, Refusal> + Send + Sync;
type View = dyn Fn(&State) -> Result<Answer, Problem> + Send + Sync;

/// One load, decision and save.
#[derive(Clone)]
pub struct Operation {
    /// The name by which it is found again when its answer was lost.
    pub name: Uuid,
    pub once: Once,
    /// How holds end that are over when it is done.
    pub hold: Hold,
    /// SKUs whose stock it needs; those of the reservation's lines come by themselves.
    pub skus: Vec<Sku>,
    pub reservation: Option<Find>,
    pub decide: Arc<Decide>,
    /// The answer, from the state after the changes.
    pub answer: Arc<View>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operation({}, {:?})", self.name, self.once)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The decision; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key was used for another request, or is in use.
    #[error(transparent)]
    Told(#[from] Problem),
    /// The answer to the write was lost: it may have been applied. [`Store::read_back`] tells.
    #[error("the store did not say whether it has written {0}; read it back")]
    Unknown(Uuid),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a write that may have been applied has left.
#[derive(Debug)]
pub enum ReadBack {
    /// It was: this is its answer.
    Applied(Answer),
    /// It was not, and will not be.
    NotApplied,
}

/// The stock of inventory-service. A clone is the same stock.
#[derive(Clone, Debug)]
pub enum Store {
    Embedded(embedded::Embedded),
    #[cfg(feature = "engines")]
    Cassandra(Cassandra),
}

impl Store {
    /// The store that the settings name (`stores.stock`).
    ///
    /// # Errors
    /// [`BuildError`] for what only a person can mend. A store that does not answer is no error: who needs it is told so until it does.
    pub async fn open(env: &Env, config: &Config, expiry: Arc<Notify>) -> Result<Self, BuildError> {
        #[cfg(feature = "engines")]
        if let Some(keyspace) = env.cassandra() {
            let store = Cassandra::new(env, keyspace, config.lost_answers_share, expiry)?;
            store.prepare().await.map_err(|error| BuildError::Other(error.to_string()))?;
            return Ok(Self::Cassandra(store));
        }
        #[cfg(not(feature = "engines"))]
        if env.settings.stores()?.stock == platform::settings::Goods::Cassandra {
            return Err(BuildError::Other(
                "`stores.stock` is \"cassandra\", which inventory was not built for: use its feature `engines`".into(),
            ));
        }
        Ok(Self::Embedded(embedded::Embedded::new(env, config.lost_answers_share, expiry)?))
    }

    /// Does an operation. Holds of its partitions that are over are ended before the decision looks at them.
    pub async fn transact(&self, operation: &Operation) -> Result<Answer, StoreError> {
        match self {
            Self::Embedded(store) => store.transact(operation).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.transact(operation).boxed().await,
        }
    }

    /// Keeps that operations were asked for that change nothing, each once: together, where the store has transactions.
    pub async fn note(&self, operations: &[Operation]) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.note(operations).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => {
                // Each is decided by a row of its own, and those of one key are to be taken in their order.
                for operation in operations {
                    store.transact(operation).boxed().await?;
                }
                Ok(())
            }
        }
    }

    /// Whether an operation was applied whose answer was lost. It sees every write that was begun before it.
    pub async fn read_back(&self, operation: &Operation) -> Result<ReadBack, StoreError> {
        match self {
            Self::Embedded(store) => store.read_back(operation).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.read_back(operation).boxed().await,
        }
    }

    /// Ends some of the holds that are over; says when the next one will be.
    pub async fn sweep(&self, hold: Hold) -> Result<Progress, StoreError> {
        match self {
            Self::Embedded(store) => store.sweep(hold).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.sweep(hold).boxed().await,
        }
    }

    /// The counters of up to `limit` SKUs behind `after`, as they are now: what a hold that is over has held is free.
    pub async fn stock_after(&self, after: &str, limit: u32) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        match self {
            Self::Embedded(store) => store.stock_after(after, limit).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.stock_after(after, limit).boxed().await,
        }
    }

    /// The counters of one SKU, as they are now.
    pub async fn stock_of(&self, sku: &Sku) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        match self {
            Self::Embedded(store) => store.stock_of(sku).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.stock_of(sku).boxed().await,
        }
    }

    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, StoreError> {
        match self {
            Self::Embedded(store) => store.reservation(id).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.reservation(id).boxed().await,
        }
    }

    /// The reservations of an order with a token below `before`, the newest first.
    pub async fn reservations_of(&self, order: OrderId, before: i64, limit: u32) -> Result<Vec<Reservation>, StoreError> {
        match self {
            Self::Embedded(store) => store.reservations_of(order, before, limit).await,
            #[cfg(feature = "engines")]
            Self::Cassandra(store) => store.reservations_of(order, before, limit).boxed().await,
        }
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        match self {
            Self::Embedded(store) => store.purge().await,
            // They go by themselves.
            #[cfg(feature = "engines")]
            Self::Cassandra(_) => Ok(0),
        }
    }
}
