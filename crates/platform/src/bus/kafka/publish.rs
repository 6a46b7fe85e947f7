//! Topics and publishing. The producer is idempotent: a batch that is sent again because its answer was lost is in the log once, and in order.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientContext, Message,
    admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    config::RDKafkaLogLevel,
    consumer::Consumer as _,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode,
};
use tokio::sync::oneshot;

use super::{
    super::{
        BusError, MAX_EVENT_BYTES, MAX_KEY_BYTES, MAX_PARTITIONS, Outgoing, TopicSettings, is_name, layout::event_size, log::Answer,
        partition_of,
    },
    Kafka, WIRE_BYTES, failed, lend, lock, number, parked,
};

/// How often it is looked whether a topic that was made can be seen.
const LOOK: Duration = Duration::from_millis(20);

/// Tells who waits what became of each event.
pub(super) struct Deliveries(pub(super) super::Why);

type Reply = oneshot::Sender<Result<(u32, u64), KafkaError>>;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::told(&error, reason);
        self.0.hear(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Reply>;

    fn delivery(&self, result: &DeliveryResult<'_>, reply: Box<Reply>) {
        let placed = match result {
            Ok(message) => {
                Ok((u32::try_from(message.partition()).unwrap_or_default(), u64::try_from(message.offset()).unwrap_or_default()))
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may be gone; the event is where it is.
        drop(reply.send(placed));
    }
}

impl Kafka {
    pub async fn create_topic(&self, name: &str, settings: TopicSettings) -> Result<(), BusError> {
        // Kafka's own names, and the one that we keep house with, are nobody's.
        if !is_name(name) || !is_name(&self.name(name)) || name.starts_with("__") || name == parked::TOPIC {
            return Err(BusError::Name(name.to_owned()));
        }
        if !(1..=MAX_PARTITIONS).contains(&settings.partitions) {
            return Err(BusError::PartitionCount { topic: name.to_owned(), wanted: settings.partitions, limit: MAX_PARTITIONS });
        }
        self.ledger().await?;
        let retention = settings.retention.map_or_else(|| "-1".to_owned(), |retention| retention.as_millis().to_string());
        match self.partitions(name) {
            Ok(has) if has != settings.partitions => Err(BusError::Partitions { topic: name.to_owned(), has, wanted: settings.partitions }),
            Ok(_) => self.keep_for(name, &retention).await,
            Err(BusError::UnknownTopic(_)) => {
                let most = (MAX_EVENT_BYTES + WIRE_BYTES).to_string();
                let config = [
                    ("retention.ms", retention.as_str()),
                    // When the broker took it: then time does not go back within a partition, as with the embedded bus.
                    ("message.timestamp.type", "LogAppendTime"),
                    ("max.message.bytes", &most),
                ];
                self.make(name, settings.partitions, &config).await?;
                // Another process may have made it at the same moment, otherwise.
                match self.partitions(name)? {
                    has if has == settings.partitions => Ok(()),
                    has => Err(BusError::Partitions { topic: name.to_owned(), has, wanted: settings.partitions }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a topic, with as many copies as the brokers give by themselves, and waits until it can be seen.
    pub(super) async fn make(&self, name: &str, partitions: u32, config: &[(&str, &str)]) -> Result<(), BusError> {
        let full = self.name(name);
        let mut topic = NewTopic::new(&full, number(partitions), TopicReplication::Fixed(-1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let made = self.0.admin.create_topics([&topic], &self.patience()).await.map_err(failed)?;
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
            }
        }
        let began = self.0.clock.now();
        loop {
            match self.partitions(name) {
                Err(BusError::UnknownTopic(_)) if self.0.clock.now().since(began) < self.0.timeout => self.0.clock.sleep(LOOK).await,
                answer => return answer.map(drop),
            }
        }
    }

    /// Changes how long a topic keeps its events, if that is another.
    async fn keep_for(&self, name: &str, retention: &str) -> Result<(), BusError> {
        const KEY: &str = "retention.ms";
        let full = self.name(name);
        let asked = [ResourceSpecifier::Topic(&full)];
        let described = self.0.admin.describe_configs(&asked, &self.patience()).await.map_err(failed)?;
        // To change one entry is to set all those that were set: a change of one alone is not in the library.
        let mut set = BTreeMap::new();
        for resource in described {
            let resource = resource.map_err(|code| failed(KafkaError::AdminOp(code)))?;
            for entry in resource.entries.into_iter().filter(|entry| entry.source == rdkafka::admin::ConfigSource::DynamicTopic) {
                set.extend(entry.value.map(|value| (entry.name, value)));
            }
        }
        if set.get(KEY).map(String::as_str) == Some(retention) {
            return Ok(());
        }
        set.insert(KEY.to_owned(), retention.to_owned());
        let change = set.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(&full)), |change, (key, value)| change.set(key, value));
        for result in self.0.admin.alter_configs([&change], &self.patience()).await.map_err(failed)? {
            result.map_err(|(_, code)| failed(KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    pub(super) fn patience(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.0.timeout)).operation_timeout(Some(self.0.timeout))
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, name: &str) -> Result<u32, BusError> {
        if let Some(known) = lock(&self.0.partitions).get(name) {
            return Ok(*known);
        }
        let full = self.name(name);
        let metadata = lend(|| self.0.asker.client().fetch_metadata(Some(&full), self.0.timeout)).map_err(failed)?;
        let unknown = || BusError::UnknownTopic(name.to_owned());
        let topic = metadata.topics().iter().find(|topic| topic.name() == full).ok_or_else(unknown)?;
        match topic.error() {
            None => {}
            Some(error) => match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => return Err(unknown()),
                // A topic that is just being made has no leaders yet.
                RDKafkaErrorCode::LeaderNotAvailable => return Err(unknown()),
                code => return Err(failed(KafkaError::MetadataFetch(code))),
            },
        }
        let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
        if partitions == 0 || topic.partitions().iter().any(|partition| partition.leader() < 0) {
            return Err(unknown());
        }
        lock(&self.0.partitions).insert(name.to_owned(), partitions);
        Ok(partitions)
    }

    pub async fn publish(&self, batch: Vec<Outgoing>) -> Answer {
        self.send(batch, MAX_EVENT_BYTES).await
    }

    /// Publishes events of at most so many bytes.
    pub(super) async fn send(&self, batch: Vec<Outgoing>, limit: usize) -> Answer {
        // All are looked at before the first is sent.
        let places = batch.iter().map(|event| self.check_event(event, limit)).collect::<Result<Vec<_>, _>>()?;
        let mut answers = Vec::new();
        for (event, partition) in batch.iter().zip(places) {
            answers.push(self.put(event, partition)?);
        }
        let mut placed = Vec::new();
        for answer in answers {
            placed.push(answer.await.map_err(|_| BusError::Closed)?.map_err(failed)?);
        }
        for listener in lock(&self.0.listeners).1.values() {
            listener.notify_one();
        }
        Ok(placed)
    }

    /// Hands a record to the producer; the answer comes once all copies have it.
    pub(super) fn put(&self, event: &Outgoing, partition: u32) -> Result<oneshot::Receiver<Result<(u32, u64), KafkaError>>, BusError> {
        let (reply, answer) = oneshot::channel();
        let topic = self.name(&event.topic);
        let headers = event.headers.iter().fold(OwnedHeaders::new_with_capacity(event.headers.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&topic, Box::new(reply));
        record = record.partition(number(partition)).key(event.key.as_bytes()).payload(&event.value[..]).headers(headers);
        self.0.producer.send(record).map_err(|(error, _)| failed(error))?;
        Ok(answer)
    }

    fn check_event(&self, event: &Outgoing, limit: usize) -> Result<u32, BusError> {
        let partitions = self.partitions(&event.topic)?;
        if event.key.len() > MAX_KEY_BYTES {
            return Err(BusError::LongKey { topic: event.topic.clone(), bytes: event.key.len(), limit: MAX_KEY_BYTES });
        }
        let bytes = event_size(event);
        if bytes > limit {
            return Err(BusError::TooLarge { topic: event.topic.clone(), bytes, limit });
        }
        Ok(partition_of(&event.key, partitions))
    }
}
