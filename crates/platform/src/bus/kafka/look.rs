//! What is there: topics, where their partitions begin and end, events by their offset, how far groups are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use types::Timestamp;

use super::{
    super::{BusError, Delivery, Lag, PartitionInfo, To, TopicInfo, TopicSettings, is_name},
    Kafka, Place, Places, Quiet, delivery, failed, lend, lock, number, parked,
};

/// How soon it is asked again for what is there in a moment.
const LOOK: Duration = Duration::from_millis(20);
/// How many clients that read single partitions are kept.
const READERS: usize = 4;

impl Kafka {
    pub fn topics(&self) -> Vec<TopicInfo> {
        lend(|| self.all_topics()).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "topics cannot be listed");
            Vec::new()
        })
    }

    fn all_topics(&self) -> Result<Vec<TopicInfo>, BusError> {
        let metadata = self.0.asker.client().fetch_metadata(None, self.0.timeout).map_err(failed)?;
        let mut counts = BTreeMap::new();
        for topic in metadata.topics() {
            let Some(name) = topic.name().strip_prefix(&self.0.prefix) else { continue };
            // What is Kafka's own, or ours to keep house with.
            if is_name(name) && !name.starts_with("__") && name != parked::TOPIC && topic.error().is_none() {
                counts.insert(Arc::<str>::from(name), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX));
            }
        }
        let places: Places = counts.iter().flat_map(|(name, count)| (0..*count).map(|number| (name.clone(), number))).collect();
        let (starts, ends) = (self.offsets(&places, Offset::Beginning)?, self.offsets(&places, Offset::End)?);
        let retentions = self.retentions(counts.keys())?;
        let info = |(name, count): (Arc<str>, u32)| TopicInfo {
            settings: TopicSettings { partitions: count, retention: retentions.get(&name).copied() },
            partitions: (0..count)
                .map(|number| (name.clone(), number))
                .map(|place| PartitionInfo {
                    start: starts.get(&place).copied().unwrap_or_default(),
                    end: ends.get(&place).copied().unwrap_or_default(),
                })
                .collect(),
            name,
        };
        Ok(counts.into_iter().map(info).collect())
    }

    /// How long topics keep their events; those that keep them for good are left out.
    fn retentions<'a>(&self, names: impl Iterator<Item = &'a Arc<str>>) -> Result<BTreeMap<Arc<str>, Duration>, BusError> {
        use rdkafka::admin::{OwnedResourceSpecifier, ResourceSpecifier};
        let names: BTreeMap<String, Arc<str>> = names.map(|name| (self.name(name), name.clone())).collect();
        let asked: Vec<_> = names.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let described = super::wait(self.0.admin.describe_configs(&asked, &self.patience())).map_err(failed)?;
        let mut kept = BTreeMap::new();
        for resource in described {
            let resource = resource.map_err(|code| failed(KafkaError::AdminOp(code)))?;
            let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
            let millis = resource.entries.iter().find(|entry| entry.name == "retention.ms").and_then(|entry| entry.value.as_ref());
            if let (Some(name), Some(millis)) = (names.get(name), millis.and_then(|millis| millis.parse().ok())) {
                kept.insert(name.clone(), Duration::from_millis(millis));
            }
        }
        Ok(kept)
    }

    pub fn end_offsets(&self, topic: &str) -> Result<Vec<u64>, BusError> {
        let places = self.places(topic)?;
        Ok(lend(|| self.offsets(&places, Offset::End))?.into_values().collect())
    }

    pub(super) fn places(&self, topic: &str) -> Result<Places, BusError> {
        let name: Arc<str> = topic.into();
        Ok((0..self.partitions(topic)?).map(|number| (name.clone(), number)).collect())
    }

    /// Where these partitions begin ([`Offset::Beginning`]) or end, or where the first event of a moment lies (its milliseconds).
    pub(super) fn offsets(&self, places: &Places, which: Offset) -> Result<BTreeMap<Place, u64>, BusError> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = self.list(places, which)?;
        let began = self.0.clock.now();
        loop {
            match self.0.asker.offsets_for_times(list.clone(), self.0.timeout) {
                Ok(found) => return self.read_list(&found),
                // A partition that has just been made, or goes over to another broker, has its leader in a moment. Nothing comes to who only asks,
                // so to listen is to wait.
                Err(error) if is_of_leaders(&error) && self.0.clock.now().since(began) < self.0.timeout => drop(self.0.asker.poll(LOOK)),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    pub(super) fn list(&self, places: &Places, offset: Offset) -> Result<TopicPartitionList, BusError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in places {
            list.add_partition_offset(&self.name(topic), number(*partition), offset).map_err(failed)?;
        }
        Ok(list)
    }

    /// The offsets of a list; partitions without one are left out.
    fn read_list(&self, list: &TopicPartitionList) -> Result<BTreeMap<Place, u64>, BusError> {
        let mut offsets = BTreeMap::new();
        for element in list.elements() {
            element.error().map_err(failed)?;
            let name = element.topic().strip_prefix(&self.0.prefix).unwrap_or_default();
            if let (Offset::Offset(offset), Ok(partition)) = (element.offset(), u32::try_from(element.partition())) {
                offsets.insert((Arc::from(name), partition), u64::try_from(offset).unwrap_or_default());
            }
        }
        Ok(offsets)
    }

    fn bounds(&self, topic: &str, partition: u32) -> Result<(Places, u64, u64), BusError> {
        let partitions = self.partitions(topic)?;
        if partition >= partitions {
            return Err(BusError::UnknownPartition { topic: topic.to_owned(), partitions, partition });
        }
        let place: Places = [(Arc::from(topic), partition)].into();
        let of = |which| Ok::<_, BusError>(self.offsets(&place, which)?.into_values().next().unwrap_or_default());
        let (start, end) = (of(Offset::Beginning)?, of(Offset::End)?);
        Ok((place, start, end))
    }

    pub fn read(&self, topic: &str, partition: u32, from: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        lend(|| self.read_here(topic, partition, from, max))
    }

    fn read_here(&self, topic: &str, partition: u32, from: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        let (_, start, end) = self.bounds(topic, partition)?;
        let from = from.max(start);
        if from >= end || max == 0 {
            return Ok(Vec::new());
        }
        let pooled = lock(&self.0.readers).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => {
                let mut config = self.0.config.clone();
                // It goes from partition to partition, and a broker that still waits for news of the last one does not hear of the next.
                config.set("fetch.wait.max.ms", "5").set("fetch.error.backoff.ms", "10");
                super::reader(&config, &self.0.prefix).map_err(failed)?
            }
        };
        // A client that has failed is not used again.
        let events = self.fetch(&reader, topic, partition, from..end, max)?;
        let mut readers = lock(&self.0.readers);
        if readers.len() < READERS {
            readers.push(reader);
        }
        Ok(events)
    }

    fn fetch(
        &self,
        reader: &BaseConsumer<Quiet>,
        topic: &str,
        partition: u32,
        range: std::ops::Range<u64>,
        max: usize,
    ) -> Result<Vec<Delivery>, BusError> {
        let name: Arc<str> = topic.into();
        let full = self.name(topic);
        let offset = |offset: u64| Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&full, number(partition), offset(range.start)).map_err(failed)?;
        reader.assign(&list).map_err(failed)?;
        let (mut events, began) = (Vec::new(), self.0.clock.now());
        while events.len() < max {
            match reader.poll(Duration::from_millis(100)) {
                // What is left of another partition that this client has read before.
                Some(Ok(message)) if message.topic() != full || message.partition() != number(partition) => {}
                Some(Ok(message)) => {
                    let event = delivery(name.clone(), &message);
                    let last = event.offset + 1 >= range.end;
                    if range.contains(&event.offset) {
                        events.push(event);
                    }
                    if last {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(number))) if u32::try_from(number) == Ok(partition) && !events.is_empty() => break,
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(failed(error)),
                None => {}
            }
            if self.0.clock.now().since(began) > self.0.timeout {
                return Err(BusError::Unavailable(format!("partition {partition} of {topic} was not read within {:?}", self.0.timeout)));
            }
        }
        reader.unassign().map_err(failed)?;
        Ok(events)
    }

    pub fn lag(&self) -> Vec<Lag> {
        lend(|| self.all_lags()).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "it cannot be told how far groups are behind");
            Vec::new()
        })
    }

    fn all_lags(&self) -> Result<Vec<Lag>, BusError> {
        let groups: Vec<(String, BTreeSet<Arc<str>>)> =
            lock(&self.0.groups).iter().map(|(name, group)| (name.clone(), group.topics.clone())).collect();
        let mut lags = Vec::new();
        for (group, topics) in groups {
            let mut places = Places::new();
            for topic in &topics {
                match self.places(topic) {
                    Ok(found) => places.extend(found),
                    Err(BusError::UnknownTopic(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let (committed, holders) = (self.committed(&group, &places)?, self.holders(&group));
            places.retain(|place| committed.contains_key(place) || holders.contains_key(place));
            let (starts, ends) = (self.offsets(&places, Offset::Beginning)?, self.offsets(&places, Offset::End)?);
            for place in places {
                let of = |offsets: &BTreeMap<Place, u64>| offsets.get(&place).copied().unwrap_or_default();
                let (start, end) = (of(&starts), of(&ends));
                let committed = committed.get(&place).copied().unwrap_or(start).clamp(start, end.max(start));
                let member = holders.get(&place).cloned();
                lags.push(Lag {
                    group: group.clone(),
                    topic: place.0,
                    partition: place.1,
                    committed,
                    end,
                    events: end.saturating_sub(committed),
                    member,
                });
            }
        }
        Ok(lags)
    }

    /// What a group has committed.
    pub(super) fn committed(&self, group: &str, places: &Places) -> Result<BTreeMap<Place, u64>, BusError> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let client = self.group_client(group)?;
        let found = client.committed_offsets(self.list(places, Offset::Invalid)?, self.0.timeout).map_err(failed)?;
        self.read_list(&found)
    }

    /// A client in the name of a group, of which it is no member.
    fn group_client(&self, group: &str) -> Result<Arc<BaseConsumer<Quiet>>, BusError> {
        let mut groups = lock(&self.0.groups);
        let group_entry = groups.entry(group.to_owned()).or_default();
        if let Some(client) = &group_entry.client {
            return Ok(client.clone());
        }
        let client: BaseConsumer<Quiet> = self
            .0
            .config
            .clone()
            .set("group.id", self.name(group))
            .set("enable.auto.commit", "false")
            .create_with_context(Quiet)
            .map_err(failed)?;
        let client = Arc::new(client);
        group_entry.client = Some(client.clone());
        Ok(client)
    }

    pub async fn seek(&self, group: &str, topic: &str, partition: u32, to: To) -> Result<u64, BusError> {
        let offset = lend(|| {
            let (place, start, end) = self.bounds(topic, partition)?;
            Ok::<_, BusError>(match to {
                To::Start => start,
                To::End => end,
                To::Offset(offset) => offset.clamp(start, end),
                To::Time(moment) => self.offsets(&place, Offset::Offset(millis(moment)))?.into_values().next().unwrap_or(end),
            })
        })?;
        let place: Place = (Arc::from(topic), partition);
        lock(&self.0.groups).entry(group.to_owned()).or_default().topics.insert(place.0.clone());
        if let Some(desk) = self.desk_of(group, &place) {
            desk.seek(place, offset).await?;
            return Ok(offset);
        }
        lend(|| {
            let raw = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            let list = self.list(&[place].into(), raw)?;
            self.group_client(group)?.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress) => {
                    BusError::NotOwned { group: group.to_owned(), topic: topic.to_owned(), partition }
                }
                _ => failed(error),
            })
        })?;
        Ok(offset)
    }
}

/// An error that the client mends by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(error, KafkaError::PartitionEOF(_)) || matches!(failed(error.clone()), BusError::Unavailable(_))
}

/// Who leads a partition was another broker, or is not known yet, or has only begun to.
fn is_of_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, OffsetNotAvailable, UnknownLeaderEpoch};
    matches!(
        error.rdkafka_error_code(),
        Some(FencedLeaderEpoch | LeaderNotAvailable | NotLeaderForPartition | OffsetNotAvailable | UnknownLeaderEpoch)
    )
}

/// The first millisecond that is not before a moment.
fn millis(moment: Timestamp) -> i64 {
    moment.micros().max(0).saturating_add(999) / 1_000
}
