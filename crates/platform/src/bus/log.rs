//! The log itself: every change goes through [`Log::write`], one commit at a time, for both stores. A commit takes any number of jobs;
//! each is checked against what is there and what the jobs before it will have done, then all are stored as one, then all are seen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use types::Timestamp;

use super::{
    BusError, Delivery, Outgoing, TopicSettings,
    group::MemberId,
    layout::{Place, event_key, partition_prefix, read_event, read_number, unreadable},
    plan::Plan,
    state::State,
    store::{Store, StoreError},
};
use crate::clock::Clock;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Job {
    CreateTopic {
        name: String,
        settings: TopicSettings,
    },
    Publish(Vec<Outgoing>),
    /// Forget what lies before `start`.
    Trim {
        place: Place,
        start: u64,
    },
    Seek {
        group: String,
        place: Place,
        offset: u64,
    },
    Bury(Burial),
    /// The first `count` waiting events of a parked key, up to this offset of the dead-letter topic, are done with.
    Unearth {
        group: String,
        topic: u32,
        key: String,
        through: u64,
        count: u64,
    },
    /// Nothing but the committed offsets that are not stored yet.
    Offsets,
}

/// Events that go to the dead letters, and the offset that is committed with them.
#[derive(Debug)]
pub(super) struct Burial {
    pub group: String,
    pub member: MemberId,
    pub epoch: u64,
    pub place: Place,
    pub offset: u64,
    pub letters: Vec<Letter>,
}

#[derive(Debug)]
pub(super) struct Letter {
    /// The event, as it goes to the dead-letter topic.
    pub event: Outgoing,
    /// Why it could not be handled; nothing when it was not tried because its key is parked.
    pub error: Option<String>,
}

/// Where each event of a job went.
pub(super) type Answer = Result<Vec<(u32, u64)>, BusError>;

pub(super) struct Log {
    pub store: Box<dyn Store>,
    pub clock: Clock,
    state: Mutex<State>,
    /// Held from the first check to the last change, so that commits come one at a time.
    writing: Mutex<()>,
}

impl Log {
    pub fn new(store: Box<dyn Store>, clock: Clock) -> Result<Self, BusError> {
        let state = State::load(store.as_ref())?;
        Ok(Self { state: Mutex::new(state), ..Self::empty(store, clock) })
    }

    /// Over a store in which nothing lies yet.
    pub fn empty(store: Box<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, state: Mutex::default(), writing: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores all the jobs, each with the moment at which it was asked for, with one commit. A job that is refused does not touch the others; a commit that fails fails them all.
    pub fn write(&self, jobs: Vec<(Timestamp, Job)>) -> Vec<Answer> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plan = Plan::default();
        let mut answers: Vec<Answer>;
        {
            let mut state = self.state();
            plan.save_offsets(&mut state);
            answers = jobs.into_iter().map(|(asked_at, job)| plan.add(&state, asked_at, job)).collect();
        }
        let stored = plan.store(self.store.as_ref());
        let mut state = self.state();
        match stored {
            Ok(()) => plan.apply(&mut state),
            Err(error) => {
                plan.give_back(&mut state);
                for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(StoreError::clone(&error).into());
                }
            }
        }
        answers
    }

    /// The first offset whose event came at `moment` or later; the end when there is none.
    pub fn offset_at(&self, place: Place, moment: Timestamp) -> Result<u64, BusError> {
        let partition = self.state().partition(place);
        let (mut low, mut high) = (partition.start, partition.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.store.get(&event_key(place, middle))? {
                Some(bytes) => {
                    let event = read_event(bytes).ok_or_else(|| unreadable("an event"))?;
                    if event.timestamp < moment {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                // Trimmed meanwhile, so it is older than what is kept.
                None => low = middle + 1,
            }
        }
        Ok(low)
    }

    /// Events of a partition from `from` on, before `to`.
    pub fn read(&self, topic: &Arc<str>, place: Place, from: u64, to: u64, max: usize) -> Result<Vec<Delivery>, BusError> {
        let prefix = partition_prefix(place).len();
        let pairs = self.store.scan(&event_key(place, from), &event_key(place, to), max)?;
        let event = |(key, value): (Bytes, Bytes)| {
            let offset = key.get(prefix..).and_then(read_number)?;
            let stored = read_event(value)?;
            Some(Delivery {
                topic: topic.clone(),
                partition: place.1,
                offset,
                timestamp: stored.timestamp,
                key: stored.key,
                value: stored.value,
                headers: stored.headers,
            })
        };
        pairs.into_iter().map(|pair| event(pair).ok_or_else(|| unreadable("an event"))).collect()
    }
}

/// Ends of partitions, and when their last event came, as a commit will leave them.
pub(super) type Ends = BTreeMap<Place, (u64, Timestamp)>;
