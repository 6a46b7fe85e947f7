//! The bus inside the process: its semantics, above an ordered store. [`super::Bus`] says what each of these promises.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::sync::Notify;

use super::{
    BusError, Delivery, Lag, Outgoing, PartitionInfo, To, TopicInfo, TopicSettings, disk, layout,
    log::{Answer, Job, Log},
    memory, state,
    store::{Store, StoreError},
    writer::Writer,
};
use crate::{clock::Clock, db::Durability};

/// How many old events one commit removes at most.
const TRIM_STEP: u64 = 1_000;

/// Clones share one log.
#[derive(Clone)]
pub(super) struct Embedded {
    pub shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Before the log: its thread must end first. Nothing in memory.
    writer: Option<Writer>,
    pub log: Arc<Log>,
}

impl Embedded {
    pub fn is_on_disk(&self) -> bool {
        self.shared.writer.is_some()
    }

    pub fn check(&self) -> Result<(), BusError> {
        match &self.shared.writer {
            Some(writer) if !writer.is_alive() => Err(BusError::Closed),
            _ => Ok(()),
        }
    }

    pub fn in_memory(clock: Clock) -> Self {
        let log = Arc::new(Log::empty(Box::new(memory::Memory::default()), clock));
        Self { shared: Arc::new(Shared { writer: None, log }) }
    }

    pub fn open(path: &Path, durability: Durability, clock: Clock) -> Result<Self, BusError> {
        let store = disk::Disk::open(path, durability)?;
        Self::with_writer(Box::new(store), clock).map_err(|error| match error {
            BusError::Unreadable(_) | BusError::Store(_) => BusError::Damaged { path: path.to_owned(), cause: StoreError::new(error) },
            other => other,
        })
    }

    pub fn with_writer(store: Box<dyn Store>, clock: Clock) -> Result<Self, BusError> {
        let log = Arc::new(Log::new(store, clock)?);
        let writer = Writer::start(log.clone()).map_err(StoreError::new)?;
        Ok(Self { shared: Arc::new(Shared { writer: Some(writer), log }) })
    }

    pub async fn create_topic(&self, name: &str, settings: TopicSettings) -> Result<(), BusError> {
        self.write(Job::CreateTopic { name: name.to_owned(), settings }).await.map(drop)
    }

    pub async fn publish(&self, batch: Vec<Outgoing>) -> Answer {
        self.write(Job::Publish(batch)).await
    }

    pub fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        let (name, place, part) = {
            let state = self.log().state();
            let place = state.place(topic, partition)?;
            (state.names.get(place.0 as usize).cloned().unwrap_or_default(), place, state.partition(place))
        };
        self.log().read(&name, place, from_offset.max(part.start), part.end, max)
    }

    pub fn topics(&self) -> Vec<TopicInfo> {
        let state = self.log().state();
        let info = |(name, topic): (&Arc<str>, &state::Topic)| TopicInfo {
            name: name.clone(),
            settings: TopicSettings { partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX), retention: topic.retention },
            partitions: topic.partitions.iter().map(|partition| PartitionInfo { start: partition.start, end: partition.end }).collect(),
        };
        state.topics.iter().map(info).collect()
    }

    pub fn end_offsets(&self, topic: &str) -> Result<Vec<u64>, BusError> {
        Ok(self.log().state().topic(topic)?.partitions.iter().map(|partition| partition.end).collect())
    }

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

    pub async fn seek(&self, group: &str, topic: &str, partition: u32, to: To) -> Result<u64, BusError> {
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

    pub fn listen(&self) -> (u64, Arc<Notify>) {
        let woken = Arc::new(Notify::new());
        let mut state = self.log().state();
        let id = state.next_serial();
        state.listeners.insert(id, woken.clone());
        (id, woken)
    }

    pub fn forget(&self, id: u64) {
        self.log().state().listeners.remove(&id);
    }

    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    pub async fn write(&self, job: Job) -> Answer {
        // The clock is asked here, not by the writer: its thread does not see a simulated one.
        let now = self.log().clock.now();
        match &self.shared.writer {
            Some(writer) => writer.write(now, job).await,
            None => self.log().write(vec![(now, job)]).pop().unwrap_or(Err(BusError::Closed)),
        }
    }

    /// Has committed offsets stored soon.
    pub fn save_offsets(&self) -> Result<(), BusError> {
        let now = self.log().clock.now();
        match &self.shared.writer {
            Some(writer) => {
                writer.nudge(now);
                Ok(())
            }
            None => self.log().write(vec![(now, Job::Offsets)]).pop().unwrap_or(Ok(Vec::new())).map(drop),
        }
    }
}
