//! One partition's events on their way through the handler, until each is done: handled or among the dead letters. Only then, and
//! only as far as all before it are done too, is its offset committed. Without dead letters the lane stands still at an event that fails: it
//! leaves that and all behind it, to be tried again after a pause, so that other partitions do not wait for this one.

use std::collections::{BTreeSet, VecDeque};

use types::Timestamp;

use super::{
    Consumer, DeadLetters, HandlerError, LaneName, delivery,
    left::{Left, Stuck, Work},
};
use crate::bus::{BusError, Delivery, Position, Subscription};

pub(super) struct Lane<'a> {
    consumer: &'a Consumer,
    subscription: &'a Subscription,
    name: LaneName,
    /// The offset behind all that was polled.
    end: u64,
    committed: Option<u64>,
    work: VecDeque<Work>,
    /// The offset of the first event that waits to be overtaken.
    held_back: Option<u64>,
    /// Until when it stands still.
    stands_until: Option<Timestamp>,
}

/// The lane ends before its work is done: what is left comes again.
struct Ended;

impl<'a> Lane<'a> {
    pub fn new(consumer: &'a Consumer, subscription: &'a Subscription, name: LaneName, end: u64) -> Self {
        Self { consumer, subscription, name, end, committed: None, work: VecDeque::new(), held_back: None, stands_until: None }
    }

    /// Goes on with what was left behind and with these events; answers with what is left then.
    pub async fn run(mut self, events: Vec<Delivery>, mut left: Left) -> Left {
        let setup = &*self.consumer.setup;
        let pass = delivery::pass(&setup.faults, setup.clock, &setup.group, events, &mut left.late);
        let Some(through) = setup.tasks.unless_stopping(pass).await else { return Left::default() };
        if let Some(Stuck { work, until }) = left.stuck.take() {
            self.work = work;
            self.stands_until = Some(until).filter(|until| *until > setup.clock.now());
        }
        self.work.extend(through.into_iter().map(Work::new));
        self.held_back = left.late.iter().map(|late| late.event.offset).min();
        // Without work there may still be something to commit: what was lost on the way.
        let mut ended = self.stands_until.is_none() && self.commit().is_err();
        while !ended && !self.work.is_empty() && self.stands_until.is_none() && !setup.tasks.is_stopping() {
            ended = self.step().await.is_err();
        }
        if let Some(until) = self.stands_until.filter(|_| !ended) {
            left.stuck = Some(Stuck { work: self.work, until });
        }
        left
    }

    async fn step(&mut self) -> Result<(), Ended> {
        let untried = self.work.iter().take_while(|work| self.is_parked(work)).count();
        if untried > 0 {
            return self.bury(vec![None; untried]).await;
        }
        let stands_still = self.consumer.setup.dead_letters.now() == DeadLetters::Never;
        let max = if stands_still { 1 } else { self.consumer.setup.policy.max_batch.max(1) };
        let batch: Vec<Delivery> =
            self.work.iter().take_while(|work| !self.is_parked(work)).take(max).map(|work| work.event.clone()).collect();
        let results = self.consumer.hand(&batch).await;
        let mut poison = Vec::new();
        let mut pause = None;
        let mut done = BTreeSet::new();
        // Once an event of a key has failed, a later one of that key that failed too has to come again behind it.
        let mut failed_keys = BTreeSet::new();
        let policy = self.consumer.setup.policy;
        for (place, result) in results.into_iter().enumerate() {
            let Some(work) = self.work.get_mut(place) else { break };
            let reason = match result {
                Ok(()) => {
                    done.insert(place);
                    continue;
                }
                Err(_) if !failed_keys.insert(work.event.key.clone()) => continue,
                Err(HandlerError::Poison(reason) | HandlerError::Retry(reason)) if stands_still => {
                    work.failures += 1;
                    // Not each time: it may be tried for days.
                    if work.failures.is_power_of_two() {
                        let (group, topic, partition) = (self.consumer.setup.group.as_str(), &*self.name.0, self.name.1);
                        let Delivery { offset, key, .. } = &work.event;
                        tracing::warn!(group, topic, partition, offset, key, reason, "an event cannot be handled; all behind it wait");
                    }
                    let pause = self.consumer.pause(&named(&self.name, &work.event), work.failures);
                    self.stands_until = Some(self.consumer.setup.clock.now().plus(pause));
                    count(&self.consumer.counters.retried, 1);
                    continue;
                }
                Err(HandlerError::Poison(reason)) => reason,
                Err(HandlerError::Retry(reason)) if work.failures >= policy.retries => reason,
                Err(HandlerError::Retry(_)) => {
                    work.failures += 1;
                    pause = pause.max(Some(self.consumer.pause(&named(&self.name, &work.event), work.failures)));
                    count(&self.consumer.counters.retried, 1);
                    continue;
                }
                Err(HandlerError::Unavailable(reason)) => {
                    work.waits += 1;
                    if work.waits == policy.retries {
                        let (group, topic, partition) = (self.consumer.setup.group.as_str(), &*self.name.0, self.name.1);
                        tracing::warn!(group, topic, partition, reason, "events wait until this is over");
                    }
                    pause = pause.max(Some(self.consumer.pause(&named(&self.name, &work.event), work.waits)));
                    count(&self.consumer.counters.retried, 1);
                    continue;
                }
            };
            poison.push((place, reason));
        }
        count(&self.consumer.counters.handled, done.len());
        // From behind, so that the places before stay what they are.
        let mut removed: Vec<(Work, Option<String>)> = Vec::new();
        for place in (0..batch.len()).rev() {
            if done.contains(&place) {
                drop(self.work.remove(place));
            } else if let Some(found) = poison.iter().position(|(at, _)| *at == place) {
                let (_, reason) = poison.swap_remove(found);
                removed.extend(self.work.remove(place).map(|work| (work, Some(reason))));
            }
        }
        // To the front, where they are buried from. Until they are, they are not done, whatever is committed.
        let reasons: Vec<Option<String>> = removed.iter().rev().map(|(_, reason)| reason.clone()).collect();
        removed.into_iter().for_each(|(work, _)| self.work.push_front(work));
        self.commit()?;
        if !reasons.is_empty() {
            self.bury(reasons).await?;
        }
        match pause {
            Some(pause) if !self.consumer.setup.tasks.sleep(pause).await => Err(Ended),
            _ => Ok(()),
        }
    }

    /// Puts the first events among the dead letters, for these reasons; without a reason because their key is parked.
    async fn bury(&mut self, reasons: Vec<Option<String>>) -> Result<(), Ended> {
        let setup = &*self.consumer.setup;
        let offset = self.done_up_to(reasons.len());
        let mut attempts = 0;
        loop {
            let letters: Vec<_> = self.work.iter().map(|work| &work.event).zip(reasons.clone()).collect();
            let buried = match setup.tasks.unless_stopping(self.subscription.bury(letters, offset)).await {
                Some(buried) => buried,
                None => return Err(Ended),
            };
            match buried {
                Ok(()) => break,
                // It was let go meanwhile, so it is tried.
                Err(BusError::NotParked { .. }) => return Ok(()),
                Err(BusError::NotOwned { .. }) => return Err(Ended),
                Err(error) => {
                    attempts += 1;
                    self.report(&error, "dead letters cannot be written; trying again");
                    let what = format!("{}/{}/dlq-{offset}", self.name.0, self.name.1);
                    if !setup.tasks.sleep(self.consumer.pause(&what, attempts)).await {
                        return Err(Ended);
                    }
                }
            }
        }
        count(&self.consumer.counters.dead_lettered, reasons.len());
        for (work, reason) in self.work.drain(..reasons.len()).zip(reasons) {
            if let Some(reason) = reason {
                let Delivery { topic, partition, offset, key, .. } = work.event;
                let (group, topic) = (setup.group.as_str(), &*topic);
                tracing::warn!(group, topic, partition, offset, key, reason, "an event went to the dead letters; its key is parked");
            }
        }
        self.committed = Some(offset);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Ended> {
        let offset = self.done_up_to(0);
        if self.committed == Some(offset) {
            return Ok(());
        }
        let position = Position { topic: self.name.0.clone(), partition: self.name.1, offset };
        match self.subscription.commit(&[position]) {
            Ok(()) => {
                self.committed = Some(offset);
                Ok(())
            }
            Err(BusError::NotOwned { .. }) => Err(Ended),
            Err(error) => {
                // The effects are there; the events may come again.
                self.report(&error, "an offset was not committed");
                Ok(())
            }
        }
    }

    /// The first offset that is not done, once the first `without` events are.
    fn done_up_to(&self, without: usize) -> u64 {
        let first = self.work.iter().skip(without).map(|work| work.event.offset).min();
        first.into_iter().chain(self.held_back).min().unwrap_or(self.end)
    }

    fn report(&self, error: &BusError, what: &str) {
        let error = error as &dyn std::error::Error;
        tracing::error!(group = self.consumer.setup.group, topic = &*self.name.0, partition = self.name.1, error, "{what}");
    }

    fn is_parked(&self, work: &Work) -> bool {
        self.consumer.setup.bus.is_parked(&self.consumer.setup.group, &work.event.topic, &work.event.key)
    }
}

/// What the chance of its pauses goes by.
fn named(lane: &LaneName, event: &Delivery) -> String {
    format!("{}/{}/{}", lane.0, lane.1, event.offset)
}

fn count(counter: &std::sync::atomic::AtomicU64, more: usize) {
    counter.fetch_add(more as u64, std::sync::atomic::Ordering::Relaxed);
}

/// The result of a batch of one.
pub(super) fn only(results: Vec<Result<(), HandlerError>>) -> Result<(), HandlerError> {
    results.into_iter().next().unwrap_or(Ok(()))
}
