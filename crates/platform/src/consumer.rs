//! Feeds a service with the events it reads. At least once: an offset is committed after the effect, so a crash between the two brings
//! the event again, and handlers go by its id. In order: one partition's events come one after the other, partitions side by side.
//!
//! What fails in passing is tried again, with pauses that grow; what cannot be handled at all goes to the dead letters, and its key is
//! parked, so that nothing of that key overtakes it while all other keys go on ([`crate::bus::dead_letter_topic`]). While the service's
//! own store does not answer nothing goes anywhere: no other event would fare better, and an outage must not fill the dead letters.
//!
//! A consumer without dead letters ([`DeadLetters::Never`]) stands still at such an event, and everything behind it in its partition waits;
//! other partitions go on.
//!
//! Left out: knowing whether an event has had its effect already. That is the inbox's, in the effect's own transaction.

mod delivery;
mod lane;
mod left;
mod policy;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use rand::RngExt;

pub use self::policy::{Asking, DeadLetters, Policy};
use self::{lane::Lane, left::Left};
use crate::{
    bus::{Bus, BusError, Delivery, Subscription},
    chance::Chance,
    clock::Clock,
    fault::Faults,
    tasks::{Tasks, message},
};

/// Why an event was not handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// What every event needs does not answer: it is tried again for as long as that lasts, and is never set aside for it.
    #[error("nothing can be done now: {0}")]
    Unavailable(String),
    /// It may work later: something else is down or busy.
    #[error("not now: {0}")]
    Retry(String),
    /// It never will: the event itself is wrong.
    #[error("never: {0}")]
    Poison(String),
}

/// What a service does with events.
pub trait Handler: Send + Sync + 'static {
    /// Takes events of one partition, in their order. Answers with a result for each; a shorter answer says that the rest was not
    /// tried. An event whose result is not `Ok` comes again or goes to the dead letters. When one of a key has failed, later ones of
    /// that key must not be tried in the same batch: their result is an error too (which one does not matter), or the answer ends
    /// there. [`each`] keeps to that.
    fn handle<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Result<(), HandlerError>>>;
}

/// Handles the events of a batch one after the other and stops at the first that fails: what most handlers do.
pub async fn each<'a, F, H>(batch: &'a [Delivery], handle: H) -> Vec<Result<(), HandlerError>>
where
    F: Future<Output = Result<(), HandlerError>> + Send,
    H: Fn(&'a Delivery) -> F + Send,
{
    let mut results = Vec::with_capacity(batch.len());
    for event in batch {
        results.push(handle(event).await);
        if results.last().is_some_and(Result::is_err) {
            break;
        }
    }
    results
}

/// What a consumer is made of.
#[derive(Clone)]
pub struct Setup {
    pub bus: Bus,
    pub tasks: Tasks,
    pub clock: Clock,
    pub faults: Faults,
    pub chance: Chance,
    /// The name of the task, by which readiness shows what ails.
    pub task: &'static str,
    pub group: String,
    pub topics: Vec<String>,
    /// Who reads, among the members of the group.
    pub member: String,
    pub policy: Policy,
    /// Asked before each batch.
    pub dead_letters: Asking,
}

/// What a consumer has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    pub handled: u64,
    pub retried: u64,
    pub dead_lettered: u64,
}

#[derive(Debug, Default)]
struct Counters {
    handled: AtomicU64,
    retried: AtomicU64,
    dead_lettered: AtomicU64,
}

/// What became of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub handled: u64,
    /// How many events still wait; the key is free when there are none.
    pub left: u64,
    /// What was wrong with the first of those.
    pub error: Option<HandlerError>,
}

/// A consumer at work.
#[derive(Clone)]
pub struct Consumer {
    setup: Arc<Setup>,
    handler: Arc<dyn Handler>,
    counters: Arc<Counters>,
    /// Two replays of one key at once would hand out its events out of turn.
    replaying: Arc<tokio::sync::Mutex<()>>,
}

/// Starts a consumer as a supervised task of `setup.tasks`: it ends when they are asked to stop, with the batch in hand.
pub fn run(setup: Setup, handler: Arc<dyn Handler>) -> Consumer {
    let consumer = Consumer { setup: Arc::new(setup), handler, counters: Arc::default(), replaying: Arc::default() };
    let own = consumer.clone();
    consumer.setup.tasks.supervise(consumer.setup.task, move || {
        let own = own.clone();
        async move { own.read().await }
    });
    consumer
}

impl Consumer {
    /// The group it reads for.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.setup.group
    }

    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        ConsumerStats {
            handled: self.counters.handled.load(Ordering::Relaxed),
            retried: self.counters.retried.load(Ordering::Relaxed),
            dead_lettered: self.counters.dead_lettered.load(Ordering::Relaxed),
        }
    }

    /// Hands the waiting events of a parked key to the handler again, in their order, as they were. Stops at the first that fails;
    /// when all were handled, also those that came meanwhile, the key is free.
    pub async fn replay(&self, topic: &str, key: &str) -> Result<Replayed, BusError> {
        let _one = self.replaying.lock().await;
        let (bus, group) = (&self.setup.bus, &self.setup.group);
        bus.parked_key(group, topic, key)?;
        let mut handled = 0;
        while let Ok(parked) = bus.parked_key(group, topic, key) {
            let waiting = bus.waiting(&parked, self.setup.policy.max_batch.max(1)).await?;
            let Some(last) = waiting.last() else {
                // Retention took them.
                bus.unearth(&parked, parked.last, parked.waiting).await?;
                continue;
            };
            let (mut through, mut count) = (last.offset, 0);
            let events: Vec<Delivery> = waiting.iter().map(|letter| letter.event.clone()).collect();
            let mut error = None;
            let results = self.hand(&events).await;
            for (letter, result) in waiting.iter().zip(results) {
                if let Err(failed) = result {
                    error = Some(failed);
                    break;
                }
                (through, count) = (letter.offset, count + 1);
            }
            if count > 0 {
                self.counters.handled.fetch_add(count, Ordering::Relaxed);
                handled += count;
                bus.unearth(&parked, through, count).await?;
            }
            if let Some(error) = error {
                let left = bus.parked_key(group, topic, key).map_or(0, |parked| parked.waiting);
                return Ok(Replayed { handled, left, error: Some(error) });
            }
        }
        Ok(Replayed { handled, left: 0, error: None })
    }

    /// Gives up the waiting events of a parked key; what comes next is handled again. Answers how many waited.
    pub async fn skip(&self, topic: &str, key: &str) -> Result<u64, BusError> {
        self.setup.bus.skip(&self.setup.group, topic, key).await
    }

    /// Reads until asked to stop.
    async fn read(&self) {
        let Setup { bus, tasks, group, topics, member, task, .. } = &*self.setup;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let mut failures = 0;
        let mut subscription = match bus.subscribe(group, &topics, member).await {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::error!(group, member, error = &error as &dyn std::error::Error, "a consumer cannot start");
                return tasks.ill(task, error.to_string());
            }
        };
        let mut left = BTreeMap::new();
        while let Some(polled) = tasks.unless_stopping(self.poll(&mut subscription, &left)).await {
            match polled {
                Ok(events) => {
                    failures = 0;
                    tasks.well(task);
                    self.feed(&mut subscription, events, &mut left).await;
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(group, member, error = &error as &dyn std::error::Error, "events cannot be read; trying again");
                    tasks.ill(task, error.to_string());
                    if !tasks.sleep(self.pause("poll", failures)).await {
                        return;
                    }
                }
            }
        }
    }

    /// The next events; none when the assignment has changed or what was left behind must not wait longer.
    async fn poll(&self, subscription: &mut Subscription, left: &LeftByLane) -> Result<Vec<Delivery>, BusError> {
        let max = self.setup.policy.max_batch.max(1).saturating_mul(subscription.assignment().len().max(1));
        let Some(until) = left.values().filter_map(Left::until).min() else { return subscription.poll(max).await };
        let patience = until.since(self.setup.clock.now());
        self.setup.clock.timeout(patience, subscription.poll(max)).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn feed(&self, subscription: &mut Subscription, events: Vec<Delivery>, left: &mut LeftByLane) {
        let mut by_lane: BTreeMap<LaneName, Vec<Delivery>> = BTreeMap::new();
        for event in events {
            by_lane.entry((event.topic.clone(), event.partition)).or_default().push(event);
        }
        let mine: BTreeMap<LaneName, u64> =
            subscription.assignment().into_iter().map(|position| ((position.topic, position.partition), position.offset)).collect();
        // What another member reads now comes to that one, as it was not committed.
        left.retain(|name, _| mine.contains_key(name));
        let resting = subscription.resting();
        for (name, left) in &mut *left {
            // A partition that was put elsewhere, or came back, is read anew.
            left.stuck.take_if(|_| !resting.contains(name));
            by_lane.entry(name.clone()).or_default();
        }
        let reading = &*subscription;
        let lanes = by_lane.into_iter().map(|(name, events)| {
            let left = left.remove(&name).unwrap_or_default();
            let end = mine.get(&name).copied().unwrap_or(0);
            async move {
                let left = Lane::new(self, reading, name.clone(), end).run(events, left).await;
                (name, left)
            }
        });
        let done = join_all(lanes).await;
        left.extend(done.into_iter().filter(|(_, left)| !left.is_empty()));
        // Who stands still takes nothing more in hand than he has.
        subscription.rest(&left.iter().filter(|(_, left)| left.stuck.is_some()).map(|(name, _)| name.clone()).collect());
    }

    /// Calls the handler. A panic is the event's fault, not the service's: its events then come one by one, to find out which.
    async fn hand(&self, batch: &[Delivery]) -> Vec<Result<(), HandlerError>> {
        match self.call(batch).await {
            Ok(results) => results,
            Err(panic) if batch.len() == 1 => vec![Err(HandlerError::Retry(panic))],
            Err(_) => {
                let mut results = Vec::new();
                for event in batch {
                    let result = self.call(std::slice::from_ref(event)).await;
                    let result = result.map_or_else(|panic| Err(HandlerError::Retry(panic)), lane::only);
                    let failed = result.is_err();
                    results.push(result);
                    if failed {
                        break;
                    }
                }
                results
            }
        }
    }

    async fn call(&self, batch: &[Delivery]) -> Result<Vec<Result<(), HandlerError>>, String> {
        let call = AssertUnwindSafe(async { self.handler.handle(batch).await });
        let mut results = call.catch_unwind().await.map_err(|panic| format!("the handler panicked: {}", message(panic.as_ref())))?;
        if results.is_empty() && !batch.is_empty() {
            results.push(Err(HandlerError::Retry("the handler tried nothing".to_owned())));
        }
        results.truncate(batch.len());
        Ok(results)
    }

    /// How long to wait after this many failures.
    fn pause(&self, what: &str, failures: u32) -> Duration {
        let Setup { policy, chance, group, .. } = &*self.setup;
        let doubled = policy.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let whole = doubled.min(policy.longest_pause);
        let share: f64 = chance.stream(group, what, &format!("pause-{failures}")).random_range(0.5..=1.0);
        whole.mul_f64(share)
    }
}

/// Topic and partition.
type LaneName = (Arc<str>, u32);
type LeftByLane = BTreeMap<LaneName, Left>;
