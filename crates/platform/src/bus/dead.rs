//! Dead letters: events that a group could not handle. They lie in `<topic>.dlq`, each under its own key and with what is needed to
//! hand it out again. The key is parked for the group from the first of them on: what follows under it goes there too, untried, so
//! that nothing of a key is handled out of turn; it ends by replaying them all or by skipping them.

use std::sync::Arc;

use types::Timestamp;

use super::{
    Bus, BusError, Delivery, Floor, Outgoing, Subscription, TopicSettings,
    embedded::Embedded,
    log::{Burial, Job, Letter},
    on_floor,
    reader::Reader,
    subscription::By,
};

const GROUP: &str = "dlq-group";
const ERROR: &str = "dlq-error";
const TOPIC: &str = "dlq-topic";
const PARTITION: &str = "dlq-partition";
const OFFSET: &str = "dlq-offset";
const TIMESTAMP: &str = "dlq-timestamp";

/// What is kept of the reason.
const MAX_REASON_CHARS: usize = 1_000;

/// How many dead letters are looked through at a time.
const PAGE: usize = 256;

/// A key whose events a group does not try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    pub group: String,
    pub topic: Arc<str>,
    pub key: String,
    pub since: Timestamp,
    /// What was wrong with the first of them.
    pub error: String,
    /// How many events wait in the dead-letter topic.
    pub waiting: u64,
    /// The offsets, in the dead-letter topic, of the first and the last of them.
    pub first: u64,
    pub last: u64,
}

/// An event in a dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub group: String,
    pub error: String,
    /// Where it lies in the dead-letter topic.
    pub partition: u32,
    pub offset: u64,
    pub buried_at: Timestamp,
    /// The event as it was, with the topic, partition, offset and time that it had.
    pub event: Delivery,
}

/// The name of a topic's dead-letter topic.
#[must_use]
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

impl Bus {
    /// The keys that are parked for a group, by topic and key.
    #[must_use]
    pub fn parked(&self, group: &str) -> Vec<ParkedKey> {
        on_floor!(self, floor => floor.parked(group))
    }

    #[must_use]
    pub fn is_parked(&self, group: &str, topic: &str, key: &str) -> bool {
        on_floor!(self, floor => floor.is_parked(group, topic, key))
    }

    /// Gives a key up: its waiting events stay in the dead-letter topic, what comes next is handled again. Answers how many waited.
    pub async fn skip(&self, group: &str, topic: &str, key: &str) -> Result<u64, BusError> {
        let parked = self.parked_key(group, topic, key)?;
        // Whatever waits by the time this is written, not only what waited when it was asked.
        self.unearth(&parked, u64::MAX, parked.waiting).await?;
        Ok(parked.waiting)
    }

    /// Dead letters of `topic` (its own name, not that of its dead-letter topic) in one partition, from an offset of the dead-letter
    /// topic on.
    pub async fn dead_letters(&self, topic: &str, partition: u32, from: u64, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        let events = self.read(&dead_letter_topic(topic), partition, from, max).await?;
        events.into_iter().map(|event| dead_letter(event).ok_or_else(|| super::layout::unreadable("a dead letter"))).collect()
    }

    pub(crate) fn parked_key(&self, group: &str, topic: &str, key: &str) -> Result<ParkedKey, BusError> {
        let found = self.parked(group).into_iter().find(|parked| &*parked.topic == topic && parked.key == key);
        found.ok_or_else(|| self.not_parked(group, topic, key))
    }

    /// Up to `max` waiting events of a parked key, in their order.
    pub(crate) async fn waiting(&self, parked: &ParkedKey, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        let dead = dead_letter_topic(&parked.topic);
        let partitions = self.partitions(&dead)?;
        let partition = super::partition_of(&parked.key, partitions);
        let (mut found, mut from) = (Vec::new(), parked.first);
        while from <= parked.last && found.len() < max {
            let page = self.dead_letters(&parked.topic, partition, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.offset + 1;
            let wanted =
                |letter: &DeadLetter| letter.offset <= parked.last && letter.group == parked.group && letter.event.key == parked.key;
            found.extend(page.into_iter().filter(wanted));
        }
        found.truncate(max);
        Ok(found)
    }

    /// The waiting events of a parked key up to this offset of the dead-letter topic are done with; the key is free when none is left.
    pub(crate) async fn unearth(&self, parked: &ParkedKey, through: u64, count: u64) -> Result<(), BusError> {
        on_floor!(self, floor => floor.unearth(parked, through, count).await)
    }

    fn partitions(&self, topic: &str) -> Result<u32, BusError> {
        on_floor!(self, floor => floor.partitions(topic))
    }

    fn not_parked(&self, group: &str, topic: &str, key: &str) -> BusError {
        BusError::NotParked { group: group.to_owned(), topic: topic.to_owned(), key: key.to_owned() }
    }
}

impl Subscription {
    /// Puts events of one partition among the dead letters, parks their keys and commits `offset`: all or nothing. An event without an
    /// error was not tried because its key is parked; if it no longer is, everything is refused with [`BusError::NotParked`].
    pub(crate) async fn bury(&self, events: Vec<(&Delivery, Option<String>)>, offset: u64) -> Result<(), BusError> {
        let Some((first, _)) = events.first() else { return Ok(()) };
        let (topic, partition) = (first.topic.clone(), first.partition);
        let dead = dead_letter_topic(&topic);
        match self.bus().partitions(&dead) {
            Ok(_) => {}
            Err(BusError::UnknownTopic(_)) => {
                let partitions = self.bus().partitions(&topic)?;
                self.bus().create_topic(&dead, TopicSettings { partitions, retention: None }).await?;
            }
            Err(error) => return Err(error),
        }
        let letter = |(event, error): (&Delivery, Option<String>)| {
            let reason = error.clone().unwrap_or_else(|| "an earlier event of this key waits".to_owned());
            let mut headers = event.headers.to_vec();
            headers.extend([
                (GROUP.to_owned(), self.group().to_owned()),
                (ERROR.to_owned(), reason.chars().take(MAX_REASON_CHARS).collect()),
                (TOPIC.to_owned(), event.topic.to_string()),
                (PARTITION.to_owned(), event.partition.to_string()),
                (OFFSET.to_owned(), event.offset.to_string()),
                (TIMESTAMP.to_owned(), event.timestamp.micros().to_string()),
            ]);
            Letter { event: Outgoing { topic: dead.clone(), key: event.key.clone(), value: event.value.clone(), headers }, error }
        };
        let mut letters: Vec<Letter> = events.into_iter().map(letter).collect();
        self.bus().let_pass(self.group(), letters.iter().map(|letter| &letter.event)).await?;
        self.bus().corrupt(self.group(), letters.iter_mut().map(|letter| &mut letter.event));
        match &self.by {
            By::Embedded(reader) => reader.bury(&topic, partition, offset, letters).await,
            #[cfg(feature = "engines")]
            By::Kafka(member) => member.bury(&topic, partition, offset, letters).await,
        }
    }
}

impl Embedded {
    pub fn parked(&self, group: &str) -> Vec<ParkedKey> {
        let state = self.log().state();
        let Some(known) = state.groups.get(group) else { return Vec::new() };
        let mut keys = Vec::new();
        for (topic, parked) in &known.parked {
            let topic = state.names.get(*topic as usize).cloned().unwrap_or_default();
            keys.extend(parked.iter().map(|(key, parked)| ParkedKey {
                group: group.to_owned(),
                topic: topic.clone(),
                key: key.clone(),
                since: Timestamp::from_micros(parked.since_micros),
                error: parked.error.clone(),
                waiting: parked.waiting,
                first: parked.first,
                last: parked.last,
            }));
        }
        keys
    }

    pub fn is_parked(&self, group: &str, topic: &str, key: &str) -> bool {
        let state = self.log().state();
        state.topic(topic).is_ok_and(|known| state.parked(group, known.id, key).is_some())
    }

    pub async fn unearth(&self, parked: &ParkedKey, through: u64, count: u64) -> Result<(), BusError> {
        let topic = self.log().state().topic(&parked.topic)?.id;
        let (group, key) = (parked.group.clone(), parked.key.clone());
        self.write(Job::Unearth { group, topic, key, through, count }).await.map(drop)
    }

    pub fn partitions(&self, topic: &str) -> Result<u32, BusError> {
        Ok(u32::try_from(self.log().state().topic(topic)?.partitions.len()).unwrap_or(u32::MAX))
    }
}

impl Reader {
    async fn bury(&self, topic: &str, partition: u32, offset: u64, letters: Vec<Letter>) -> Result<(), BusError> {
        let (member, epoch, place) = self.claim(topic, partition)?;
        let burial = Burial { group: self.group.clone(), member, epoch, place, offset, letters };
        self.bus.write(Job::Bury(burial)).await.map(drop)
    }
}

fn dead_letter(mut event: Delivery) -> Option<DeadLetter> {
    let (partition, offset, buried_at) = (event.partition, event.offset, event.timestamp);
    // The last six headers are those that the burial added: an event may have been buried before under another topic.
    let mut headers = event.headers.to_vec();
    let added = headers.split_off(headers.len().checked_sub(6)?);
    event.headers = headers.into();
    let header = |name: &str| added.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    event.topic = header(TOPIC)?.into();
    event.partition = header(PARTITION)?.parse().ok()?;
    event.offset = header(OFFSET)?.parse().ok()?;
    event.timestamp = Timestamp::from_micros(header(TIMESTAMP)?.parse().ok()?);
    Some(DeadLetter { group: header(GROUP)?, error: header(ERROR)?, partition, offset, buried_at, event })
}
