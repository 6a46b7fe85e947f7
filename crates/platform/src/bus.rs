//! The event bus: a log with Kafka's semantics, inside the process or in Kafka itself. Topics have partitions, a key always goes to the same one, and
//! there events keep their order; groups read at their own pace and commit how far they are; what is old goes by retention.
//!
//! Inside the process the semantics stand once (`bus/embedded.rs`), above a small ordered store: on disk (`bus/disk.rs`) or in memory (`bus/memory.rs`). In memory everything
//! is done before the call returns, so nothing stands behind a simulated world. On disk one thread writes, and everyone whose event
//! came while it was busy shares the next fsync.
//!
//! Left out there, on purpose: transactions, compaction, and more than one process at a time. For several processes there is Kafka
//! (`bus/kafka.rs`), where what a broker does not know, dead letters and parked keys, stands above it (docs/adr/0015-kafka-behind-the-bus.md).
//!
//! Reading order: this file, `bus/embedded.rs`, `bus/log.rs` (every write), `bus/plan.rs` (what a commit holds), `bus/group.rs` (whose partition is whose),
//! `bus/reader.rs` (reading), `bus/dead.rs` (what could not be handled).

mod dead;
mod disk;
mod embedded;
mod error;
mod group;
mod headers;
mod journal;
#[cfg(feature = "engines")]
mod kafka;
mod layout;
mod log;
mod memory;
mod partition;
mod plan;
mod reader;
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

use self::embedded::Embedded;
#[cfg(feature = "engines")]
use self::kafka::Kafka;
pub use self::{
    dead::{DeadLetter, ParkedKey, dead_letter_topic},
    error::BusError,
    headers::Headers,
    partition::partition_of,
    subscription::{Position, Subscription},
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
    floor: Floor,
    faults: Faults,
    /// Who publishes, as faults know it.
    service: Arc<str>,
}

/// What the bus stands on.
#[derive(Clone)]
enum Floor {
    Embedded(Embedded),
    #[cfg(feature = "engines")]
    Kafka(Kafka),
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let floor = match &self.floor {
            Floor::Embedded(embedded) if embedded.is_on_disk() => "disk",
            Floor::Embedded(_) => "memory",
            #[cfg(feature = "engines")]
            Floor::Kafka(_) => "Kafka",
        };
        f.debug_struct("Bus").field("floor", &floor).field("service", &self.service).finish_non_exhaustive()
    }
}

/// Asks whatever the bus stands on.
macro_rules! on_floor {
    ($bus:expr, $floor:ident => $answer:expr) => {
        match &$bus.floor {
            Floor::Embedded($floor) => $answer,
            #[cfg(feature = "engines")]
            Floor::Kafka($floor) => $answer,
        }
    };
}
use on_floor;

impl Bus {
    /// Whether it can take events now.
    pub fn check(&self) -> Result<(), BusError> {
        on_floor!(self, floor => floor.check())
    }

    /// An empty bus that is forgotten when it is dropped. It has no thread.
    #[must_use]
    pub fn in_memory(clock: Clock, faults: Faults) -> Self {
        Self::over(Floor::Embedded(Embedded::in_memory(clock)), faults)
    }

    /// The bus in a folder, which is made when there is none.
    pub fn open(path: impl AsRef<Path>, durability: Durability, clock: Clock, faults: Faults) -> Result<Self, BusError> {
        Ok(Self::over(Floor::Embedded(Embedded::open(path.as_ref(), durability, clock)?), faults))
    }

    /// The bus of the Kafka that the settings name. Connects to nothing yet.
    ///
    /// # Errors
    /// [`crate::engine::EngineError`] when the settings name none, or one that cannot be used.
    #[cfg(feature = "engines")]
    pub fn on_kafka(settings: &crate::settings::KafkaSettings, faults: Faults) -> Result<Self, crate::engine::EngineError> {
        Ok(Self::over(Floor::Kafka(Kafka::new(settings)?), faults))
    }

    fn over(floor: Floor, faults: Faults) -> Self {
        Self { floor, faults, service: Arc::default() }
    }

    /// The same bus, for a service that publishes under this name (faults can be narrowed to it).
    #[must_use]
    pub fn of(&self, service: &str) -> Self {
        Self { service: service.into(), ..self.clone() }
    }

    /// Makes a topic. Does nothing when it is there; changes its retention when that is another; refuses other partitions.
    pub async fn create_topic(&self, name: &str, settings: TopicSettings) -> Result<(), BusError> {
        on_floor!(self, floor => floor.create_topic(name, settings).await)
    }

    /// Publishes the events and answers where each one is (partition, offset) once they are safe. Within a partition events are in the
    /// order of the calls. One that is refused (no such topic, too large) refuses all. After an error other than [`BusError::Refused`]
    /// of a bus on disk or in Kafka, they may be there all the same, in Kafka some of them: publish again, and let readers go by the
    /// event's id.
    pub async fn publish(&self, mut batch: Vec<Outgoing>) -> Result<Vec<(u32, u64)>, BusError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.let_pass(&self.service, batch.iter()).await?;
        self.corrupt(&self.service, batch.iter_mut());
        on_floor!(self, floor => floor.publish(batch).await)
    }

    /// Joins a group. Topics that do not exist yet are read from once they do. Without a committed offset reading starts with the
    /// first event. Dropping the subscription leaves the group.
    pub async fn subscribe(&self, group: &str, topics: &[&str], member: &str) -> Result<Subscription, BusError> {
        if let Some(name) = [group, member].iter().chain(topics).find(|name| !is_name(name)) {
            return Err(BusError::Name((*name).to_owned()));
        }
        let topics: BTreeSet<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        Subscription::join(self.clone(), group, topics, member).await
    }

    /// Up to `max` events from an offset on; fewer at the end, none behind it. Touches no group.
    pub async fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        on_floor!(self, floor => floor.read(topic, partition, from_offset, max))
    }

    /// Every topic, by name. In Kafka: none when it does not answer.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        on_floor!(self, floor => floor.topics())
    }

    /// By partition, the offset that the next event will have.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<u64>, BusError> {
        on_floor!(self, floor => floor.end_offsets(topic))
    }

    /// By group, topic and partition, of all that a group reads or has read. In Kafka: of the groups that this process reads with,
    /// and nothing when it does not answer.
    #[must_use]
    pub fn lag(&self) -> Vec<Lag> {
        on_floor!(self, floor => floor.lag())
    }

    /// Puts a group elsewhere in a partition and answers where. Whoever reads the partition goes on from there; what it was handling
    /// meanwhile can no longer be committed. In Kafka: refused while a member of another process reads the partition.
    pub async fn seek(&self, group: &str, topic: &str, partition: u32, to: To) -> Result<u64, BusError> {
        if !is_name(group) {
            return Err(BusError::Name(group.to_owned()));
        }
        on_floor!(self, floor => floor.seek(group, topic, partition, to).await)
    }

    /// One step of retention: removes what is older than its topic keeps, and answers how many events that were. Kafka does it by itself.
    pub async fn trim(&self) -> Result<u64, BusError> {
        match &self.floor {
            Floor::Embedded(embedded) => embedded.trim().await,
            #[cfg(feature = "engines")]
            Floor::Kafka(_) => Ok(0),
        }
    }

    /// Hears of every publication from now on: to wait with, when tailing a topic. Of those of other processes it does not hear: then
    /// it tells to look in any case, again and again.
    #[must_use]
    pub fn published(&self) -> Published {
        let (id, woken) = on_floor!(self, floor => floor.listen());
        Published { bus: self.clone(), id, woken }
    }

    #[cfg(test)]
    fn embedded(&self) -> &Embedded {
        match &self.floor {
            Floor::Embedded(embedded) => embedded,
            #[cfg(feature = "engines")]
            Floor::Kafka(_) => panic!("another bus"),
        }
    }

    /// Waits until the events may go to their topics, or tells that they may not.
    async fn let_pass<'a>(&self, service: &str, events: impl Iterator<Item = &'a Outgoing>) -> Result<(), BusError> {
        let distinct: BTreeMap<(&str, &str), ()> = events.map(|event| ((event.topic.as_str(), event.key.as_str()), ())).collect();
        let pass = |(topic, key)| async move {
            let passing = Passing { service, topic: Some(topic), key, region: None };
            (topic, self.faults.pass("bus.publish", passing).await)
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
            if self.faults.corrupts("bus.publish", passing) {
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
        match &self.bus.floor {
            Floor::Embedded(_) => self.woken.notified().await,
            #[cfg(feature = "engines")]
            Floor::Kafka(_) => drop(Clock::real().timeout(kafka::LOOK_AGAIN, self.woken.notified()).await),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        on_floor!(self.bus, floor => floor.forget(self.id));
    }
}

/// What may name a topic, a group or a member: Kafka's rule for topics, so that a name can move there.
fn is_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
