//! The event bus: a log with Kafka's semantics inside the process. Topics have partitions, a key always goes to the same one, and
//! there events keep their order; groups read at their own pace and commit how far they are; what is old goes by retention.
//!
//! The semantics stand once, above a small ordered store: on disk (`bus/disk.rs`) or in memory (`bus/memory.rs`). In memory everything
//! is done before the call returns, so nothing stands behind a simulated world. On disk one thread writes, and everyone whose event
//! came while it was busy shares the next fsync.
//!
//! Left out, on purpose: transactions, compaction, and more than one process at a time.
//!
//! Reading order: this file, `bus/log.rs` (every write), `bus/plan.rs` (what a commit holds), `bus/group.rs` (whose partition is whose),
//! `bus/subscription.rs` (reading), `bus/dead.rs` (what could not be handled).

mod dead;
mod disk;
mod error;
mod group;
mod headers;
mod journal;
mod layout;
mod log;
mod memory;
mod partition;
mod plan;
mod state;
mod store;
mod subscription;
mod versions;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Notify;
use types::Timestamp;

pub use self::{
    dead::{DeadLetter, ParkedKey, dead_letter_topic},
    error::BusError,
    headers::Headers,
    partition::partition_of,
    subscription::{Position, Subscription},
};
use self::{
    log::{Answer, Job, Log},
    store::{Store, StoreError},
    writer::Writer,
};
use crate::{
    clock::Clock,
    db::Durability,
    fault::{Effect, Faults, Passing},
};

/// What a topic has when nothing else is said.
pub const DEFAULT_PARTITIONS: u32 = 6;
pub const MAX_PARTITIONS: u32 = 1_024;
/// The largest event, key and headers included: Kafka's default.
pub const MAX_EVENT_BYTES: usize = 1_048_576;
/// The longest key: it names a parked key in the store, whose own keys are bounded.
pub const MAX_KEY_BYTES: usize = 4_096;

/// How many old events one commit removes at most.
const TRIM_STEP: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    pub partitions: u32,
    /// How long an event is kept; for good when left out.
    pub retention: Option<Duration>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self { partitions: DEFAULT_PARTITIONS, retention: None }
    }
}

/// An event to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: String,
    /// Decides the partition; events of one key keep their order.
    pub key: String,
    pub value: Bytes,
    pub headers: Vec<(String, String)>,
}

/// An event as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub topic: Arc<str>,
    pub partition: u32,
    pub offset: u64,
    /// When the bus took it; never goes back within a partition.
    pub timestamp: Timestamp,
    pub key: String,
    pub value: Bytes,
    pub headers: Headers,
}

impl Delivery {
    /// The value of the last header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: Arc<str>,
    pub settings: TopicSettings,
    pub partitions: Vec<PartitionInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The first offset that is still kept.
    pub start: u64,
    /// The offset that the next event will have.
    pub end: u64,
}

/// How far a group is behind in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    pub group: String,
    pub topic: Arc<str>,
    pub partition: u32,
    pub committed: u64,
    pub end: u64,
    pub events: u64,
    /// Who reads it, if anybody does.
    pub member: Option<String>,
}

/// Where to put a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Start,
    End,
    Offset(u64),
    /// The first event of that moment or later.
    Time(Timestamp),
}

/// A handle; clones share one bus, which closes when the last of them and of its subscriptions is gone.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
    /// Who publishes, as faults know it.
    service: Arc<str>,
}

struct Shared {
    /// Before the log: its thread must end first. Nothing in memory.
    writer: Option<Writer>,
    log: Arc<Log>,
    faults: Faults,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("on_disk", &self.shared.writer.is_some()).field("service", &self.service).finish_non_exhaustive()
    }
}

impl Bus {
    /// Whether it can take events now.
    pub fn check(&self) -> Result<(), BusError> {
        match &self.shared.writer {
            Some(writer) if !writer.is_alive() => Err(BusError::Closed),
            _ => Ok(()),
        }
    }

    /// An empty bus that is forgotten when it is dropped. It has no thread.
    #[must_use]
    pub fn in_memory(clock: Clock, faults: Faults) -> Self {
        let log = Arc::new(Log::empty(Box::new(memory::Memory::default()), clock));
        Self { shared: Arc::new(Shared { writer: None, log, faults }), service: Arc::default() }
    }

    /// The bus in a folder, which is made when there is none.
    pub fn open(path: impl AsRef<Path>, durability: Durability, clock: Clock, faults: Faults) -> Result<Self, BusError> {
        let path = path.as_ref();
        let store = disk::Disk::open(path, durability)?;
        Self::with_writer(Box::new(store), clock, faults).map_err(|error| match error {
            BusError::Unreadable(_) | BusError::Store(_) => BusError::Damaged { path: path.to_owned(), cause: StoreError::new(error) },
            other => other,
        })
    }

    fn with_writer(store: Box<dyn Store>, clock: Clock, faults: Faults) -> Result<Self, BusError> {
        let log = Arc::new(Log::new(store, clock)?);
        let writer = Writer::start(log.clone()).map_err(StoreError::new)?;
        Ok(Self { shared: Arc::new(Shared { writer: Some(writer), log, faults }), service: Arc::default() })
    }

    /// The same bus, for a service that publishes under this name (faults can be narrowed to it).
    #[must_use]
    pub fn of(&self, service: &str) -> Self {
        Self { shared: self.shared.clone(), service: service.into() }
    }

    /// Makes a topic. Does nothing when it is there; changes its retention when that is another; refuses other partitions.
    pub async fn create_topic(&self, name: &str, settings: TopicSettings) -> Result<(), BusError> {
        self.write(Job::CreateTopic { name: name.to_owned(), settings }).await.map(drop)
    }

    /// Publishes all of the events or none, and answers where each one is (partition, offset) once they are safe. Within a partition
    /// events are in the order of the calls. After an error other than [`BusError::Refused`] of a bus on disk they may be there all the
    /// same: publish again, and let readers go by the event's id.
    pub async fn publish(&self, mut batch: Vec<Outgoing>) -> Result<Vec<(u32, u64)>, BusError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.let_pass(&self.service, batch.iter()).await?;
        self.corrupt(&self.service, batch.iter_mut());
        self.write(Job::Publish(batch)).await
    }

    /// Joins a group. Topics that do not exist yet are read from once they do. Without a committed offset reading starts with the
    /// first event. Dropping the subscription leaves the group.
    pub async fn subscribe(&self, group: &str, topics: &[&str], member: &str) -> Result<Subscription, BusError> {
        if let Some(name) = [group, member].iter().chain(topics).find(|name| !is_name(name)) {
            return Err(BusError::Name((*name).to_owned()));
        }
        let topics: BTreeSet<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        Ok(Subscription::join(self.clone(), group, topics, member))
    }

    /// Up to `max` events from an offset on; fewer at the end, none behind it. Touches no group.
    pub async fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        let (name, place, part) = {
            let state = self.log().state();
            let place = state.place(topic, partition)?;
            (state.names.get(place.0 as usize).cloned().unwrap_or_default(), place, state.partition(place))
        };
        self.log().read(&name, place, from_offset.max(part.start), part.end, max)
    }

    /// Every topic, by name.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        let state = self.log().state();
        let info = |(name, topic): (&Arc<str>, &state::Topic)| TopicInfo {
            name: name.clone(),
            settings: TopicSettings { partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX), retention: topic.retention },
            partitions: topic.partitions.iter().map(|partition| PartitionInfo { start: partition.start, end: partition.end }).collect(),
        };
        state.topics.iter().map(info).collect()
    }

    /// By partition, the offset that the next event will have.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<u64>, BusError> {
        Ok(self.log().state().topic(topic)?.partitions.iter().map(|partition| partition.end).collect())
    }

    /// By group, topic and partition, of all that a group reads or has read.
    #[must_use]
    pub fn lag(&self) -> Vec<Lag> {
        let state = self.log().state();
        let mut lags = Vec::new();
        for (name, group) in &state.groups {
            let places: BTreeSet<_> = group.committed.keys().chain(group.owners.keys()).collect();
            for place in places {
                let (committed, end) = (state.position(group, *place), state.partition(*place).end);
                lags.push(Lag {
                    group: name.clone(),
                    topic: state.names.get(place.0 as usize).cloned().unwrap_or_default(),
                    partition: place.1,
                    committed,
                    end,
                    events: end - committed,
                    member: group.owners.get(place).map(|owner| owner.holder.0.clone()),
                });
            }
        }
        lags
    }

    /// Puts a group elsewhere in a partition and answers where. Whoever reads the partition goes on from there; what it was handling
    /// meanwhile can no longer be committed.
    pub async fn seek(&self, group: &str, topic: &str, partition: u32, to: To) -> Result<u64, BusError> {
        if !is_name(group) {
            return Err(BusError::Name(group.to_owned()));
        }
        let (place, known) = {
            let state = self.log().state();
            let place = state.place(topic, partition)?;
            (place, state.partition(place))
        };
        let offset = match to {
            To::Start => known.start,
            To::End => known.end,
            To::Offset(offset) => offset.clamp(known.start, known.end),
            To::Time(moment) => self.log().offset_at(place, moment)?,
        };
        self.write(Job::Seek { group: group.to_owned(), place, offset }).await?;
        Ok(offset)
    }

    /// One step of retention: removes what is older than its topic keeps, and answers how many events that were.
    pub async fn trim(&self) -> Result<u64, BusError> {
        let now = self.log().clock.now();
        let due: Vec<_> = {
            let state = self.log().state();
            let kept = |place: &layout::Place| {
                let name = state.names.get(place.0 as usize)?;
                state.topics.get(name)?.retention
            };
            state.partitions().into_iter().filter_map(|(_, place)| Some((place, state.partition(place).start, kept(&place)?))).collect()
        };
        let mut removed = 0;
        for (place, mut start, retention) in due {
            let first_kept = self.log().offset_at(place, now.minus(retention))?;
            removed += first_kept.saturating_sub(start);
            while start < first_kept {
                start = first_kept.min(start + TRIM_STEP);
                self.write(Job::Trim { place, start }).await?;
            }
        }
        Ok(removed)
    }

    /// Hears of every publication from now on: to wait with, when tailing a topic.
    #[must_use]
    pub fn published(&self) -> Published {
        let woken = Arc::new(Notify::new());
        let mut state = self.log().state();
        let id = state.next_serial();
        state.listeners.insert(id, woken.clone());
        drop(state);
        Published { bus: self.clone(), id, woken }
    }

    fn log(&self) -> &Log {
        &self.shared.log
    }

    async fn write(&self, job: Job) -> Answer {
        // The clock is asked here, not by the writer: its thread does not see a simulated one.
        let now = self.log().clock.now();
        match &self.shared.writer {
            Some(writer) => writer.write(now, job).await,
            None => self.log().write(vec![(now, job)]).pop().unwrap_or(Err(BusError::Closed)),
        }
    }

    /// Has committed offsets stored soon.
    fn save_offsets(&self) -> Result<(), BusError> {
        let now = self.log().clock.now();
        match &self.shared.writer {
            Some(writer) => {
                writer.nudge(now);
                Ok(())
            }
            None => self.log().write(vec![(now, Job::Offsets)]).pop().unwrap_or(Ok(Vec::new())).map(drop),
        }
    }

    /// Waits until the events may go to their topics, or tells that they may not.
    async fn let_pass<'a>(&self, service: &str, events: impl Iterator<Item = &'a Outgoing>) -> Result<(), BusError> {
        let distinct: BTreeMap<(&str, &str), ()> = events.map(|event| ((event.topic.as_str(), event.key.as_str()), ())).collect();
        let pass = |(topic, key)| async move {
            let passing = Passing { service, topic: Some(topic), key, region: None };
            (topic, self.shared.faults.pass("bus.publish", passing).await)
        };
        let effects = futures::future::join_all(distinct.into_keys().map(pass)).await;
        match effects.into_iter().find(|(_, effect)| *effect == Effect::Fail) {
            Some((topic, _)) => Err(BusError::Refused { topic: topic.to_owned() }),
            None => Ok(()),
        }
    }

    /// What some records look like after a bad disk, a bad line or a publisher that writes another format: the first byte of what is written is
    /// not the one that it was, so that no reader knows what follows.
    fn corrupt<'a>(&self, service: &str, events: impl Iterator<Item = &'a mut Outgoing>) {
        for event in events {
            let passing = Passing { service, topic: Some(&event.topic), key: &event.key, region: None };
            if self.shared.faults.corrupts("bus.publish", passing) {
                let (first, rest) = event.value.split_first().unwrap_or((&0, &[]));
                event.value = [&[!first][..], rest].concat().into();
            }
        }
    }
}

/// Hears of publications; see [`Bus::published`].
#[derive(Debug)]
pub struct Published {
    bus: Bus,
    id: u64,
    woken: Arc<Notify>,
}

impl Published {
    /// Waits until something was published since the last call (or since this was made).
    pub async fn next(&mut self) {
        self.woken.notified().await;
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.bus.log().state().listeners.remove(&self.id);
    }
}

/// What may name a topic, a group or a member: Kafka's rule for topics, so that a name can move there.
fn is_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
