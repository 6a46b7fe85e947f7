//! Which keys are parked. A broker has no notion of that, and the dead letters alone do not tell it: one that was replayed or skipped stays
//! where it is. So it stands in a topic of its own, compacted, with one partition: for each group, topic and key what is known of it last.
//! Every process reads it from the beginning and follows it; a change is seen once it has come back from there. Whoever is given a
//! partition first reads the topic to its end, so that it knows of each key that its predecessor parked.
//!
//! Of two processes that change the same key at once, the later one decides: a key that is skipped while its owner buries one more of its
//! events may be parked afterwards, and is to be skipped again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use types::Timestamp;

use super::{
    super::{BusError, Outgoing, ParkedKey, layout::Parked, log::Letter},
    Kafka, Quiet, failed, lend, lock, look,
};

/// Where it stands.
pub(super) const TOPIC: &str = "parked-keys";

/// Group, topic and key.
type Name = (String, String, String);

/// What this process knows, and the thread that follows the topic.
pub(super) struct Ledger {
    pub known: Arc<Known>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Held by whoever changes something, so that those of one process do not undo each other.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(super) struct Known {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    parked: BTreeMap<Name, Parked>,
    /// The offset behind the last record that was read.
    next: u64,
}

impl Known {
    /// Waits until this was read.
    pub fn wait_for(&self, next: u64, patience: Duration) -> Result<(), BusError> {
        let behind = |state: &mut State| state.next < next;
        let waited = self.moved.wait_timeout_while(lock(&self.state), patience, behind);
        let waited = waited.unwrap_or_else(std::sync::PoisonError::into_inner).1;
        if waited.timed_out() { Err(BusError::Unavailable(format!("the parked keys were not read within {patience:?}"))) } else { Ok(()) }
    }

    pub fn is_parked(&self, group: &str, topic: &str, key: &str) -> bool {
        self.get(group, topic, key).is_some()
    }

    fn get(&self, group: &str, topic: &str, key: &str) -> Option<Parked> {
        lock(&self.state).parked.get(&(group.to_owned(), topic.to_owned(), key.to_owned())).cloned()
    }

    fn learn(&self, offset: u64, name: Option<Name>, parked: Option<Parked>) {
        let mut state = lock(&self.state);
        if let Some(name) = name {
            match parked {
                Some(parked) => drop(state.parked.insert(name, parked)),
                None => drop(state.parked.remove(&name)),
            }
        }
        state.next = offset + 1;
        self.moved.notify_all();
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows the parked keys panicked");
        }
    }
}

impl Kafka {
    /// What is known of parked keys; read to its end when it is first asked for.
    pub(super) async fn ledger(&self) -> Result<&Ledger, BusError> {
        self.0.ledger.get_or_try_init(|| self.open_ledger()).await
    }

    async fn open_ledger(&self) -> Result<Ledger, BusError> {
        if let Err(BusError::UnknownTopic(_)) = self.partitions(TOPIC) {
            self.make(TOPIC, 1, &[("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")]).await?;
        }
        let places = self.places(TOPIC)?;
        let end = lend(|| self.offsets(&places, Offset::End))?.into_values().next().unwrap_or_default();
        let start = lend(|| self.offsets(&places, Offset::Beginning))?.into_values().next().unwrap_or_default();
        let reader = super::reader(&self.0.config, &self.0.prefix).map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name(TOPIC), 0, Offset::Beginning).map_err(failed)?;
        reader.assign(&list).map_err(failed)?;
        let (known, stop) = (Arc::<Known>::default(), Arc::<AtomicBool>::default());
        let (of_thread, told) = (known.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("bus-parked".to_owned())
            .spawn(move || follow(&reader, &of_thread, &told))
            .map_err(|error| BusError::Engine(error.to_string()))?;
        let ledger = Ledger { known, stop, thread: Some(thread), turn: tokio::sync::Mutex::default() };
        if end > start {
            lend(|| ledger.known.wait_for(end, self.0.timeout))?;
        }
        Ok(ledger)
    }

    pub fn parked(&self, group: &str) -> Vec<ParkedKey> {
        let Some(ledger) = self.0.ledger.get() else { return Vec::new() };
        let state = lock(&ledger.known.state);
        let of_group = state.parked.iter().filter(|((owner, ..), _)| owner == group);
        of_group
            .map(|((group, topic, key), parked)| ParkedKey {
                group: group.clone(),
                topic: topic.as_str().into(),
                key: key.clone(),
                since: Timestamp::from_micros(parked.since_micros),
                error: parked.error.clone(),
                waiting: parked.waiting,
                first: parked.first,
                last: parked.last,
            })
            .collect()
    }

    pub fn is_parked(&self, group: &str, topic: &str, key: &str) -> bool {
        self.0.ledger.get().is_some_and(|ledger| ledger.known.is_parked(group, topic, key))
    }

    pub async fn unearth(&self, parked: &ParkedKey, through: u64, count: u64) -> Result<(), BusError> {
        let ledger = self.ledger().await?;
        let _turn = ledger.turn.lock().await;
        let Some(now) = ledger.known.get(&parked.group, &parked.topic, &parked.key) else { return Ok(()) };
        let left =
            (now.last > through).then(|| Parked { first: now.first.max(through + 1), waiting: now.waiting.saturating_sub(count), ..now });
        self.write_down(&parked.group, &parked.topic, vec![(parked.key.clone(), left)]).await
    }

    /// Parks the keys of letters that lie at these places of the dead-letter topic.
    pub(super) async fn park(&self, group: &str, topic: &str, letters: Vec<Letter>, places: Vec<(u32, u64)>) -> Result<(), BusError> {
        let ledger = self.ledger().await?;
        let _turn = ledger.turn.lock().await;
        let mut changes: BTreeMap<String, Parked> = BTreeMap::new();
        for (letter, (_, buried)) in letters.into_iter().zip(places) {
            let key = letter.event.key;
            let before = changes.remove(&key).or_else(|| ledger.known.get(group, topic, &key));
            let parked = match before {
                Some(parked) => Parked { last: buried.max(parked.last), waiting: parked.waiting + 1, ..parked },
                None => Parked {
                    since_micros: self.0.clock.now().micros(),
                    error: letter.error.unwrap_or_default(),
                    first: buried,
                    last: buried,
                    waiting: 1,
                },
            };
            changes.insert(key, parked);
        }
        self.write_down(group, topic, changes.into_iter().map(|(key, parked)| (key, Some(parked))).collect()).await
    }

    /// Writes what is known of keys from now on, and waits until it has come back.
    async fn write_down(&self, group: &str, topic: &str, keys: Vec<(String, Option<Parked>)>) -> Result<(), BusError> {
        let unwritten = |error: serde_json::Error| BusError::Engine(error.to_string());
        let mut answers = Vec::new();
        for (key, parked) in keys {
            let name = serde_json::to_string(&(group, topic, &key)).map_err(unwritten)?;
            // A key that is free is written as `null` and not taken out: what is last in the topic has to stay there, to be waited for.
            let value = serde_json::to_vec(&parked).map_err(unwritten)?;
            let record = Outgoing { topic: TOPIC.to_owned(), key: name, value: value.into(), headers: Vec::new() };
            answers.push(self.put(&record, 0)?);
        }
        let mut next = 0;
        for answer in answers {
            let (_, offset) = answer.await.map_err(|_| BusError::Closed)?.map_err(failed)?;
            next = next.max(offset + 1);
        }
        let ledger = self.ledger().await?;
        lend(|| ledger.known.wait_for(next, self.0.timeout))
    }
}

fn follow(reader: &BaseConsumer<Quiet>, known: &Known, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let name = message.key().and_then(|key| serde_json::from_slice::<Name>(key).ok());
                let parked = message.payload().map(serde_json::from_slice::<Option<Parked>>);
                if name.is_none() || matches!(parked, Some(Err(_))) {
                    tracing::error!(offset = message.offset(), "a record of the parked keys cannot be read; it is passed over");
                }
                let name = name.filter(|_| !matches!(parked, Some(Err(_))));
                known.learn(u64::try_from(message.offset()).unwrap_or_default(), name, parked.and_then(Result::ok).flatten());
            }
            Some(Err(error)) if !look::is_passing(&error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the parked keys cannot be followed; trying again");
            }
            Some(Err(_)) | None => {}
        }
    }
}
