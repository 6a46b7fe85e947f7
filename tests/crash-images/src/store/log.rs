//! The event log behind [`Bus`]: batches over two topics, seeks of a group, removals by age, reopenings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use platform::{
    bus::{Bus, Outgoing, To, TopicSettings, partition_of},
    chance::Stream,
    db::Durability,
};
use rand::{Rng, RngExt};

use super::{Store, clock, faults, run, told};

/// The topic whose events stay, over more partitions than one.
const LASTING: &str = "lasting";
/// The topic whose events go by age, in one partition, so that one removal is one commit.
const SHORT: &str = "short";
const GROUP: &str = "group";
const RETENTION: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub struct EventLog {
    bus: Bus,
    folder: PathBuf,
    durability: Durability,
}

/// Key, value and a header of an event.
type Event = (String, Vec<u8>, String);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    start: u64,
    events: Vec<Arc<Event>>,
    /// Where the group stands.
    committed: u64,
}

/// Partitions by topic.
pub type Topics = BTreeMap<String, Vec<Partition>>;

#[derive(Debug)]
pub enum Step {
    Create {
        topic: &'static str,
        partitions: u32,
    },
    Publish(Vec<(&'static str, Event)>),
    Seek {
        topic: &'static str,
        partition: u32,
        offset: u64,
    },
    /// Removes everything from the short topic.
    Trim,
    Reopen,
}

impl Store for EventLog {
    const NAME: &'static str = "event log";
    type State = Topics;
    type Step = Step;

    fn open(folder: &Path, durability: Durability) -> Result<Self, String> {
        let bus = Bus::open(folder.join("bus"), durability, clock(), faults()).map_err(told)?;
        Ok(Self { bus, folder: folder.to_owned(), durability })
    }

    fn draw(state: &Topics, stream: &mut Stream, is_large: bool) -> Step {
        match state.len() {
            0 => return Step::Create { topic: LASTING, partitions: 3 },
            1 => return Step::Create { topic: SHORT, partitions: 1 },
            _ => {}
        }
        match stream.random_range(0..20) {
            0 => return Step::Trim,
            1 => return Step::Reopen,
            2 | 3 => {
                let partition = stream.random_range(0..3);
                let known = &state[LASTING][partition];
                let offset = stream.random_range(known.start..=known.end());
                return Step::Seek { topic: LASTING, partition: partition as u32, offset };
            }
            _ => {}
        }
        let event = |stream: &mut Stream| {
            let longest = if is_large {
                900_000
            } else if stream.random_bool(0.1) {
                30_000
            } else {
                400
            };
            let mut value = vec![0; stream.random_range(1..longest)];
            stream.fill_bytes(&mut value);
            let topic = if stream.random_bool(0.3) { SHORT } else { LASTING };
            (topic, (format!("key-{}", stream.random_range(0..9)), value, format!("{:016x}", stream.next_u64())))
        };
        Step::Publish((0..stream.random_range(1..6)).map(|_| event(stream)).collect())
    }

    fn after(state: &Topics, step: &Step) -> Topics {
        let mut topics = state.clone();
        match step {
            Step::Create { topic, partitions } => {
                topics.insert((*topic).to_owned(), vec![Partition::default(); *partitions as usize]);
            }
            Step::Publish(events) => {
                for (topic, event) in events {
                    if let Some(partitions) = topics.get_mut(*topic) {
                        let partition = partition_of(&event.0, partitions.len() as u32);
                        partitions[partition as usize].events.push(Arc::new(event.clone()));
                    }
                }
            }
            Step::Seek { topic, partition, offset } => {
                if let Some(partitions) = topics.get_mut(*topic) {
                    partitions[*partition as usize].committed = *offset;
                }
            }
            Step::Trim => {
                for partition in topics.get_mut(SHORT).into_iter().flatten() {
                    partition.start = partition.end();
                    partition.events.clear();
                }
            }
            Step::Reopen => {}
        }
        topics
    }

    fn take(self, step: &Step) -> Result<Self, String> {
        match step {
            Step::Create { topic, partitions } => {
                let settings = TopicSettings { partitions: *partitions, retention: (*topic == SHORT).then_some(RETENTION) };
                run(self.bus.create_topic(topic, settings)).map_err(told)?;
            }
            Step::Publish(events) => {
                let batch = events.iter().map(|(topic, (key, value, header))| Outgoing {
                    topic: (*topic).to_owned(),
                    key: key.clone(),
                    value: value.clone().into(),
                    headers: vec![("header".to_owned(), header.clone())],
                });
                run(self.bus.publish(batch.collect())).map_err(told)?;
            }
            Step::Seek { topic, partition, offset } => {
                run(self.bus.seek(GROUP, topic, *partition, To::Offset(*offset))).map_err(told)?;
            }
            Step::Trim => {
                run(async {
                    clock().sleep(2 * RETENTION).await;
                    self.bus.trim().await
                })
                .map_err(told)?;
            }
            Step::Reopen => {
                let (folder, durability) = (self.folder.clone(), self.durability);
                self.close();
                return Self::open(&folder, durability);
            }
        }
        Ok(self)
    }

    fn state(&self) -> Result<Topics, String> {
        let lag = self.bus.lag();
        let mut topics = Topics::new();
        for topic in self.bus.topics() {
            let mut partitions = Vec::new();
            for (number, info) in topic.partitions.iter().enumerate() {
                let number = number as u32;
                let read = run(self.bus.read(&topic.name, number, 0, usize::MAX)).map_err(told)?;
                let offsets = read.iter().map(|event| event.offset);
                if !offsets.eq(info.start..info.end) {
                    let found: Vec<_> = read.iter().map(|event| event.offset).collect();
                    return Err(format!(
                        "partition {number} of {} goes from {} to {} and holds {found:?}",
                        topic.name, info.start, info.end
                    ));
                }
                let event = |event: platform::bus::Delivery| {
                    let header = event.header("header").unwrap_or_default().to_owned();
                    Arc::new((event.key, event.value.to_vec(), header))
                };
                let committed = lag.iter().find(|lag| lag.topic == topic.name && lag.partition == number).map_or(0, |lag| lag.committed);
                partitions.push(Partition { start: info.start, events: read.into_iter().map(event).collect(), committed });
            }
            topics.insert(topic.name.to_string(), partitions);
        }
        Ok(topics)
    }

    fn goes_on(&self) -> Result<(), String> {
        run(async {
            self.bus.create_topic("more", TopicSettings { partitions: 1, retention: None }).await?;
            let event = Outgoing { topic: "more".into(), key: "key".into(), value: "goes on".into(), headers: Vec::new() };
            self.bus.publish(vec![event]).await
        })
        .map_err(told)
        .and_then(|placed| if placed == [(0, 0)] { Ok(()) } else { Err(format!("the first event of a topic went to {placed:?}")) })
    }

    fn close(self) {
        drop(self);
    }
}

impl Partition {
    fn end(&self) -> u64 {
        self.start + self.events.len() as u64
    }
}
