//! What the bus knows without asking its store: topics and where their partitions begin and end, groups, who waits. Read once when
//! the bus is opened; afterwards every commit brings it along. Events themselves are never kept here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;
use types::Timestamp;

use super::{
    BusError,
    group::Group,
    layout::{
        Parked, Place, TopicRecord, partition_prefix, read_event, read_number, read_offset_key, read_parked_key, read_place, unreadable,
    },
    store::{Store, after_prefix},
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub topics: BTreeMap<Arc<str>, Topic>,
    /// Topics' names by their numbers.
    pub names: Vec<Arc<str>>,
    pub groups: BTreeMap<String, Group>,
    /// Committed offsets that the store does not have yet.
    pub unsaved: BTreeSet<(String, Place)>,
    /// Who wants to hear of every publication. Not a `watch` channel: that wakes its receivers in random order.
    pub listeners: BTreeMap<u64, Arc<Notify>>,
    /// The last number given to a member or a listener.
    pub serial: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub id: u32,
    pub retention: Option<Duration>,
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Partition {
    /// The first offset that is still kept.
    pub start: u64,
    /// The offset of the next event.
    pub end: u64,
    /// When the last event came: a partition's timestamps never go back, so that a moment can be sought.
    pub last: Timestamp,
}

impl Default for Partition {
    fn default() -> Self {
        Self { start: 0, end: 0, last: Timestamp::from_micros(i64::MIN) }
    }
}

impl State {
    pub fn load(store: &dyn Store) -> Result<Self, BusError> {
        let all = |prefix: &[u8]| store.scan(prefix, &after_prefix(prefix), usize::MAX);
        let mut state = Self::default();
        for (key, value) in all(b"t")? {
            let name: Arc<str> = std::str::from_utf8(&key[1..]).map_err(|_| unreadable("a topic's name"))?.into();
            let record: TopicRecord = serde_json::from_slice(&value).map_err(|_| unreadable("a topic's settings"))?;
            let partitions = vec![Partition::default(); record.partitions as usize];
            let retention = record.retention_micros.map(Duration::from_micros);
            state.topics.insert(name, Topic { id: record.id, retention, partitions });
        }
        let mut names: Vec<_> = state.topics.iter().map(|(name, topic)| (topic.id, name.clone())).collect();
        names.sort();
        state.names = names.into_iter().map(|(_, name)| name).collect();
        for (key, value) in all(b"s")? {
            let place = read_place(&key).ok_or_else(|| unreadable("the place of a partition's start"))?;
            let start = read_number(&value).ok_or_else(|| unreadable("a partition's start"))?;
            if let Some(partition) = state.partition_mut(place) {
                (partition.start, partition.end) = (start, start);
            }
        }
        for topic in state.topics.values_mut() {
            for (number, partition) in (0..).zip(&mut topic.partitions) {
                let prefix = partition_prefix((topic.id, number));
                let Some(key) = store.last_key(&prefix)? else { continue };
                let offset = read_number(&key[prefix.len()..]).ok_or_else(|| unreadable("an event's key"))?;
                let event = store.get(&key)?.and_then(read_event).ok_or_else(|| unreadable("the last event of a partition"))?;
                partition.end = partition.end.max(offset + 1);
                partition.last = event.timestamp;
            }
        }
        for (key, value) in all(b"o")? {
            let (group, place) = read_offset_key(&key).ok_or_else(|| unreadable("the place of a committed offset"))?;
            let offset = read_number(&value).ok_or_else(|| unreadable("a committed offset"))?;
            state.groups.entry(group).or_default().committed.insert(place, offset);
        }
        for (key, value) in all(b"p")? {
            let (group, topic, key) = read_parked_key(&key).ok_or_else(|| unreadable("the name of a parked key"))?;
            let parked: Parked = serde_json::from_slice(&value).map_err(|_| unreadable("a parked key"))?;
            state.groups.entry(group).or_default().parked.entry(topic).or_default().insert(key, parked);
        }
        Ok(state)
    }

    pub fn topic(&self, name: &str) -> Result<&Topic, BusError> {
        self.topics.get(name).ok_or_else(|| BusError::UnknownTopic(name.to_owned()))
    }

    pub fn place(&self, topic: &str, partition: u32) -> Result<Place, BusError> {
        let known = self.topic(topic)?;
        let partitions = u32::try_from(known.partitions.len()).unwrap_or(u32::MAX);
        if partition < partitions {
            Ok((known.id, partition))
        } else {
            Err(BusError::UnknownPartition { topic: topic.to_owned(), partitions, partition })
        }
    }

    pub fn partition(&self, place: Place) -> Partition {
        let topic = self.names.get(place.0 as usize).and_then(|name| self.topics.get(name));
        topic.and_then(|topic| topic.partitions.get(place.1 as usize)).copied().unwrap_or_default()
    }

    pub fn partition_mut(&mut self, place: Place) -> Option<&mut Partition> {
        let name = self.names.get(place.0 as usize)?;
        self.topics.get_mut(name)?.partitions.get_mut(place.1 as usize)
    }

    pub fn parked(&self, group: &str, topic: u32, key: &str) -> Option<&Parked> {
        self.groups.get(group)?.parked.get(&topic)?.get(key)
    }

    /// Where a group goes on: what it committed, within what is there.
    pub fn position(&self, group: &Group, place: Place) -> u64 {
        let partition = self.partition(place);
        group.committed.get(&place).copied().unwrap_or(partition.start).clamp(partition.start, partition.end)
    }

    /// Every partition there is, in the order in which they are dealt.
    pub fn partitions(&self) -> Vec<(Arc<str>, Place)> {
        let of = |(name, topic): (&Arc<str>, &Topic)| {
            let (name, id) = (name.clone(), topic.id);
            (0..).zip(&topic.partitions).map(|(number, _)| (name.clone(), (id, number))).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(of).collect()
    }

    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
