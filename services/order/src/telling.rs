//! How an order's events are told. The outbox makes one write of two: the event is a row of the transaction that it tells about, and the relay
//! carries it to the log, however long that takes. The older behaviour writes twice: first the transaction, then, by the service itself and
//! once, the log. When the log cannot be reached then, or the service dies in between, the event is lost, and its row says that it was told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use platform::{
    Clock,
    bus::{Bus, BusError, Outgoing},
    db::{DbError, Tx},
    event::{Event, Outbox, Sealed},
    service::{Background, Env, Live, Progress},
};
use tokio::sync::Notify;
use types::{EventId, Timestamp};

use crate::config::{Config, ToldBy};

/// What has not committed after this never will.
const ABANDONED: Duration = Duration::from_secs(60);
/// Nothing lies here but what a commit has just rung for.
const LOOK: Duration = Duration::from_secs(3_600);

/// The events of one transaction, on their way past the relay.
#[derive(Debug)]
struct Waiting {
    /// Told by the commit.
    committed: Arc<Notify>,
    since: Timestamp,
    events: Vec<Outgoing>,
}

#[derive(Clone, Debug)]
pub struct Teller {
    outbox: Outbox,
    bus: Bus,
    clock: Clock,
    config: Live<Config>,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    bell: Arc<Notify>,
}

/// The events of one transaction, gathered one by one and then told together.
#[derive(Debug, Default)]
pub struct Told(Vec<Sealed>);

impl Teller {
    #[must_use]
    pub fn new(env: &Env, outbox: Outbox, config: Live<Config>) -> Self {
        Self { outbox, bus: env.bus.of(env.service), clock: env.clock, config, waiting: Arc::default(), bell: Arc::default() }
    }

    /// Adds an event to those of the transaction.
    pub fn add<E: Event>(&self, told: &mut Told, event: &E) -> Result<(), DbError> {
        told.0.push(self.outbox.seal_new(event)?);
        Ok(())
    }

    /// Writes the events of a transaction. What the relay is not to carry is told once it has committed.
    pub async fn done(&self, tx: &mut Tx<'_>, Told(told): Told) -> Result<(), DbError> {
        let ids: Vec<EventId> = told.iter().map(|event| event.event_id).collect();
        self.outbox.add_all(tx, told).await?;
        if ids.is_empty() || self.config.get().told_by != ToldBy::Service {
            return Ok(());
        }
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            events.push(self.outbox.withdraw(tx, id).await?);
        }
        let committed = Arc::new(Notify::new());
        tx.wake_after_commit(&committed);
        tx.wake_after_commit(&self.bell);
        self.waiting().push_back(Waiting { committed, since: self.clock.now(), events });
        Ok(())
    }

    /// Tells what has committed, once; whatever cannot be told then is lost.
    async fn step(&self) -> Result<Progress, BusError> {
        let now = self.clock.now();
        let mut ready = Vec::new();
        self.waiting().retain_mut(|waiting| {
            if waiting.committed.notified().now_or_never().is_some() {
                ready.push(std::mem::take(&mut waiting.events));
                return false;
            }
            now.since(waiting.since) < ABANDONED
        });
        for events in ready {
            let count = events.len();
            if let Err(error) = self.bus.publish(events).await {
                tracing::warn!(%error, count, "events of an order could not be told");
            }
        }
        Ok(Progress::Idle)
    }

    #[must_use]
    pub fn background(&self) -> Background {
        let this = self.clone();
        Background::new("telling", LOOK, Some(self.bell.clone()), move || {
            let this = this.clone();
            Box::pin(async move { this.step().await })
        })
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
