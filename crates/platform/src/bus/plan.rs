//! One commit in the making: what its jobs will have changed, seen by the jobs that follow, and then stored and applied as a whole.

use std::{collections::BTreeMap, sync::Arc};

use types::Timestamp;

use super::{
    BusError, MAX_EVENT_BYTES, MAX_KEY_BYTES, MAX_PARTITIONS, Outgoing, TopicSettings, is_name,
    layout::{Parked, Place, TopicRecord, event_key, event_size, number, offset_key, parked_key, start_key, topic_key, write_event},
    log::{Answer, Burial, Ends, Job},
    partition::partition_of,
    state::{Partition, State, Topic},
    store::{Change, Store, StoreError},
};

/// How much larger a dead letter may be than an event.
pub(super) const BURIAL_BYTES: usize = 16 * 1_024;

#[derive(Default)]
pub(super) struct Plan {
    /// Whether somebody waits for it to be safe.
    durable: bool,
    changes: Vec<Change>,
    created: BTreeMap<Arc<str>, Topic>,
    ends: Ends,
    starts: BTreeMap<Place, u64>,
    committed: BTreeMap<(String, Place), u64>,
    sought: BTreeMap<(String, Place), u64>,
    parked: BTreeMap<(String, u32, String), Option<Parked>>,
    /// Offsets that were committed before, in memory, and are stored along.
    saved: BTreeMap<(String, Place), u64>,
}

impl Plan {
    /// Takes along the committed offsets that the store does not have yet.
    pub fn save_offsets(&mut self, state: &mut State) {
        for (group, place) in std::mem::take(&mut state.unsaved) {
            if let Some(offset) = state.groups.get(&group).and_then(|group| group.committed.get(&place)) {
                self.saved.insert((group, place), *offset);
            }
        }
    }

    /// Checks a job, asked for at that moment, and takes it in; a refused one leaves nothing behind.
    pub fn add(&mut self, state: &State, asked_at: Timestamp, job: Job) -> Answer {
        if !matches!(job, Job::Offsets) {
            self.durable = true;
        }
        match job {
            Job::CreateTopic { name, settings } => self.create_topic(state, name, settings),
            Job::Publish(events) => self.publish(state, asked_at, &events),
            Job::Trim { place, start } => {
                self.trim(state, place, start);
                Ok(Vec::new())
            }
            Job::Seek { group, place, offset } => {
                self.sought.insert((group, place), offset);
                Ok(Vec::new())
            }
            Job::Bury(burial) => self.bury(state, asked_at, burial),
            Job::Unearth { group, topic, key, through, count } => self.unearth(state, group, topic, key, through, count),
            Job::Offsets => Ok(Vec::new()),
        }
    }

    fn topic<'a>(&'a self, state: &'a State, name: &str) -> Result<&'a Topic, BusError> {
        self.created.get(name).or_else(|| state.topics.get(name)).ok_or_else(|| BusError::UnknownTopic(name.to_owned()))
    }

    fn create_topic(&mut self, state: &State, name: String, settings: TopicSettings) -> Answer {
        if !is_name(&name) {
            return Err(BusError::Name(name));
        }
        if !(1..=MAX_PARTITIONS).contains(&settings.partitions) {
            return Err(BusError::PartitionCount { topic: name, wanted: settings.partitions, limit: MAX_PARTITIONS });
        }
        if let Ok(topic) = self.topic(state, &name) {
            let has = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            if has != settings.partitions {
                return Err(BusError::Partitions { topic: name, has, wanted: settings.partitions });
            }
            if topic.retention == settings.retention {
                return Ok(Vec::new());
            }
        }
        let known = self.topic(state, &name).ok().cloned();
        let next = u32::try_from(state.names.len() + self.created.keys().filter(|name| !state.topics.contains_key(*name)).count());
        let id = known.as_ref().map_or(next.unwrap_or(u32::MAX), |topic| topic.id);
        let partitions = known.map_or_else(|| vec![Partition::default(); settings.partitions as usize], |topic| topic.partitions);
        self.created.insert(name.into(), Topic { id, retention: settings.retention, partitions });
        Ok(Vec::new())
    }

    fn publish(&mut self, state: &State, at: Timestamp, events: &[Outgoing]) -> Answer {
        let places: Vec<Place> = events.iter().map(|event| self.check(state, event, MAX_EVENT_BYTES)).collect::<Result<_, _>>()?;
        Ok(places.into_iter().zip(events).map(|(place, event)| self.append(state, at, place, event)).collect())
    }

    fn check(&self, state: &State, event: &Outgoing, limit: usize) -> Result<Place, BusError> {
        let topic = self.topic(state, &event.topic)?;
        if event.key.len() > MAX_KEY_BYTES {
            return Err(BusError::LongKey { topic: event.topic.clone(), bytes: event.key.len(), limit: MAX_KEY_BYTES });
        }
        let bytes = event_size(event);
        if bytes > limit {
            return Err(BusError::TooLarge { topic: event.topic.clone(), bytes, limit });
        }
        Ok((topic.id, partition_of(&event.key, u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX))))
    }

    fn append(&mut self, state: &State, at: Timestamp, place: Place, event: &Outgoing) -> (u32, u64) {
        let end = self.ends.entry(place).or_insert_with(|| {
            let partition = state.partition(place);
            (partition.end, partition.last)
        });
        let offset = end.0;
        *end = (offset + 1, end.1.max(at));
        self.changes.push(Change::Put(event_key(place, offset), write_event(event, end.1)));
        (place.1, offset)
    }

    fn trim(&mut self, state: &State, place: Place, start: u64) {
        let partition = state.partition(place);
        let before = self.starts.get(&place).copied().unwrap_or(partition.start);
        let start = start.min(partition.end);
        if start > before {
            self.changes.extend((before..start).map(|offset| Change::Remove(event_key(place, offset))));
            self.starts.insert(place, start);
        }
    }

    fn parked(&self, state: &State, group: &str, topic: u32, key: &str) -> Option<Parked> {
        match self.parked.get(&(group.to_owned(), topic, key.to_owned())) {
            Some(planned) => planned.clone(),
            None => state.parked(group, topic, key).cloned(),
        }
    }

    fn bury(&mut self, state: &State, at: Timestamp, burial: Burial) -> Answer {
        let Burial { group, member, epoch, place, offset, letters } = burial;
        let topic = || state.names.get(place.0 as usize).map_or_else(String::new, |name| (**name).to_owned());
        let sought = self.sought.contains_key(&(group.clone(), place));
        if sought || !state.groups.get(&group).is_some_and(|group| group.owns(&member, place, epoch)) {
            return Err(BusError::NotOwned { topic: topic(), partition: place.1, group });
        }
        // A dead letter carries headers of its own; an event of the greatest size must still find its grave.
        let limit = MAX_EVENT_BYTES + BURIAL_BYTES;
        let places: Vec<Place> = letters.iter().map(|letter| self.check(state, &letter.event, limit)).collect::<Result<_, _>>()?;
        // A key that was let go meanwhile must be tried again, not buried: then the caller looks anew.
        let untried = |letter: &&super::log::Letter| letter.error.is_none();
        let free = |letter: &super::log::Letter| self.parked(state, &group, place.0, &letter.event.key).is_none();
        if let Some(letter) = letters.iter().filter(untried).find(|letter| free(letter)) {
            return Err(BusError::NotParked { topic: topic(), key: letter.event.key.clone(), group });
        }
        let mut answer = Vec::new();
        for (letter, buried_at) in letters.into_iter().zip(places) {
            let (partition, buried) = self.append(state, at, buried_at, &letter.event);
            answer.push((partition, buried));
            let parked = match self.parked(state, &group, place.0, &letter.event.key) {
                Some(parked) => Parked { last: buried, waiting: parked.waiting + 1, ..parked },
                None => {
                    Parked { since_micros: at.micros(), error: letter.error.unwrap_or_default(), first: buried, last: buried, waiting: 1 }
                }
            };
            self.parked.insert((group.clone(), place.0, letter.event.key), Some(parked));
        }
        self.committed.insert((group, place), offset);
        Ok(answer)
    }

    fn unearth(&mut self, state: &State, group: String, topic: u32, key: String, through: u64, count: u64) -> Answer {
        if let Some(parked) = self.parked(state, &group, topic, &key) {
            let left = (parked.last > through).then(|| Parked {
                first: parked.first.max(through + 1),
                waiting: parked.waiting.saturating_sub(count),
                ..parked
            });
            self.parked.insert((group, topic, key), left);
        }
        Ok(Vec::new())
    }

    pub fn store(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut changes = std::mem::take(&mut self.changes);
        for (name, topic) in &self.created {
            let retention_micros = topic.retention.map(|retention| u64::try_from(retention.as_micros()).unwrap_or(u64::MAX));
            let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            let record = serde_json::to_vec(&TopicRecord { id: topic.id, partitions, retention_micros }).map_err(StoreError::new)?;
            changes.push(Change::Put(topic_key(name), record.into()));
        }
        changes.extend(self.starts.iter().map(|(place, start)| Change::Put(start_key(*place), number(*start))));
        // Of one group and place only the strongest is stored: a seek, before what was committed with dead letters, before the rest.
        let mut offsets = self.saved.clone();
        offsets.extend(self.committed.clone());
        offsets.extend(self.sought.clone());
        changes.extend(offsets.into_iter().map(|((group, place), offset)| Change::Put(offset_key(&group, place), number(offset))));
        for ((group, topic, key), parked) in &self.parked {
            let name = parked_key(group, *topic, key);
            changes.push(match parked {
                Some(parked) => Change::Put(name, serde_json::to_vec(parked).map_err(StoreError::new)?.into()),
                None => Change::Remove(name),
            });
        }
        if changes.is_empty() { Ok(()) } else { store.commit(changes, self.durable) }
    }

    /// What is stored is seen from now on.
    pub fn apply(self, state: &mut State) {
        let created = !self.created.is_empty();
        for (name, topic) in self.created {
            if !state.topics.contains_key(&name) {
                state.names.push(name.clone());
            }
            state.topics.insert(name, topic);
        }
        if created {
            // Names were pushed in their own order; their numbers are what counts.
            let topics = &state.topics;
            state.names.sort_by_key(|name| topics.get(name).map(|topic| topic.id));
        }
        for (place, (end, last)) in &self.ends {
            if let Some(partition) = state.partition_mut(*place) {
                (partition.end, partition.last) = (*end, *last);
            }
        }
        for (place, start) in self.starts {
            if let Some(partition) = state.partition_mut(place) {
                partition.start = start;
            }
        }
        for ((group, topic, key), parked) in self.parked {
            let keys = state.groups.entry(group).or_default().parked.entry(topic).or_default();
            match parked {
                Some(parked) => drop(keys.insert(key, parked)),
                None => drop(keys.remove(&key)),
            }
        }
        for ((group, place), offset) in self.committed {
            state.groups.entry(group).or_default().commit(place, offset);
        }
        for ((group, place), offset) in self.sought {
            state.groups.entry(group).or_default().seek(place, offset);
        }
        if created {
            let partitions = state.partitions();
            state.groups.values_mut().for_each(|group| group.rebalance(&partitions));
        }
        for group in state.groups.values() {
            self.ends.keys().for_each(|place| group.wake(*place));
        }
        if !self.ends.is_empty() {
            state.listeners.values().for_each(|listener| listener.notify_one());
        }
    }

    /// It was not stored: the offsets that were taken along wait for the next commit.
    pub fn give_back(self, state: &mut State) {
        state.unsaved.extend(self.saved.into_keys());
    }
}
