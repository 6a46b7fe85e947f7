//! The bus in Kafka, for several processes together: what [`super::Bus`] promises, kept by a broker. Topics, offsets, groups, retention and
//! the order of a key are Kafka's own; the partition of a key is computed here, so that a key lies in the same one wherever the bus is.
//!
//! `bus/kafka/publish.rs` makes topics and publishes, `bus/kafka/look.rs` reads what is there, `bus/kafka/member.rs` is a group's member,
//! `bus/kafka/parked.rs` keeps what a broker has no notion of: which keys are parked.
//!
//! librdkafka works in threads of its own (one for each client and one for each broker that it talks to). Beside them stand one thread here
//! for each member, which asks for events and answers rebalances, one that hears of deliveries, and one that follows the parked keys.
//! A question to a broker that has no callback (offsets, metadata) takes the thread of whoever asks, within `timeout_ms`.

mod look;
mod member;
mod parked;
mod publish;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    producer::ThreadedProducer,
    types::RDKafkaErrorCode,
};
use tokio::{runtime::RuntimeFlavor, sync::Notify};
use types::Timestamp;

pub(super) use self::member::Member;
use self::{member::Group, parked::Ledger, publish::Deliveries};
use super::{BusError, Delivery};
use crate::{
    clock::Clock,
    engine::{EngineError, authority},
    settings::KafkaSettings,
};

/// How long a tail waits before it looks for what other processes have published.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What an event may take on the wire beyond what is counted of it.
const WIRE_BYTES: usize = 64 * 1_024;

/// Clones share one set of clients.
#[derive(Clone)]
pub(super) struct Kafka(Arc<Inner>);

struct Inner {
    config: ClientConfig,
    prefix: String,
    timeout: Duration,
    producer: ThreadedProducer<Deliveries>,
    why: Why,
    admin: AdminClient<Quiet>,
    /// Asks for what is known of topics; reads for no group.
    asker: BaseConsumer<Quiet>,
    /// Clients that read single partitions, at rest.
    readers: Mutex<Vec<BaseConsumer<Quiet>>>,
    /// By topic, how many partitions it has: that never changes.
    partitions: Mutex<BTreeMap<String, u32>>,
    groups: Mutex<BTreeMap<String, Group>>,
    ledger: tokio::sync::OnceCell<Ledger>,
    listeners: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
    /// The members' threads, which end by themselves once their subscriptions are gone.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The machine's, whatever the clock of those who ask: what is waited for is a machine.
    clock: Clock,
}

/// Why the last connection failed, until one does not: whoever waits for an answer is told only that there was none. The producer hears it, whose
/// thread listens all the time.
#[derive(Clone, Debug, Default)]
struct Why(Arc<Mutex<Option<String>>>);

impl Why {
    fn hear(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::SSL) => *lock(&self.0) = Some(reason.to_owned()),
            // That it was cut off follows from what was said before.
            Some(RDKafkaErrorCode::BrokerTransportFailure) => {
                lock(&self.0).get_or_insert_with(|| reason.to_owned());
            }
            _ => {}
        }
    }
}

/// What librdkafka says by itself.
#[derive(Clone, Debug)]
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        told(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // What it calls an error is a connection that is tried again; who waits for it is told otherwise.
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => tracing::error!(facility, message, "Kafka's client"),
        _ => tracing::debug!(facility, message, "Kafka's client"),
    }
}

fn told(error: &KafkaError, reason: &str) {
    // That there is nothing more to read is no failure.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        return;
    }
    tracing::warn!(%error, reason, "Kafka");
}

impl Kafka {
    pub fn new(settings: &KafkaSettings) -> Result<Self, EngineError> {
        const KEY: &str = "engines.kafka.bootstrap_servers";
        if settings.bootstrap_servers.is_empty() {
            return Err(EngineError::Unset { setting: "stores.bus", engine: "kafka", key: KEY });
        }
        let refused = |error: KafkaError| EngineError::Refused { key: KEY, reason: error.to_string() };
        let timeout = Duration::from_millis(settings.timeout_ms);
        let millis = settings.timeout_ms.to_string();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.bootstrap_servers)
            .set("client.id", "crashcart")
            .set("socket.timeout.ms", settings.timeout_ms.clamp(10, 60_000).to_string())
            // A server that is back is found soon.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("allow.auto.create.topics", "false");
        const AUTHORITY: &str = "engines.kafka.ca_file";
        if let Some(trusted) = authority(AUTHORITY, &settings.ca_file)? {
            let trusted = String::from_utf8(trusted).map_err(|error| EngineError::Refused { key: AUTHORITY, reason: error.to_string() })?;
            config.set("security.protocol", "ssl").set("ssl.ca.pem", trusted);
        }
        let why = Why::default();
        let producer = config
            .clone()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", &millis)
            .set("message.max.bytes", (super::MAX_EVENT_BYTES + WIRE_BYTES).to_string())
            // An outbox waits for the answer: what comes together goes together, without a wait for more.
            .set("linger.ms", "1")
            .create_with_context(Deliveries(why.clone()))
            .map_err(refused)?;
        let admin = config.create_with_context(Quiet).map_err(refused)?;
        let asker = reader(&config, &settings.prefix).map_err(refused)?;
        Ok(Self(Arc::new(Inner {
            config,
            prefix: settings.prefix.clone(),
            timeout,
            producer,
            why,
            admin,
            asker,
            readers: Mutex::default(),
            partitions: Mutex::default(),
            groups: Mutex::default(),
            ledger: tokio::sync::OnceCell::new(),
            listeners: Mutex::default(),
            threads: Mutex::default(),
            clock: Clock::real(),
        })))
    }

    /// Whether it answers, within a second: this is asked for readiness.
    pub fn check(&self) -> Result<(), BusError> {
        let limit = self.0.timeout.min(Duration::from_secs(1));
        let client = self.0.asker.client();
        let answer = lend(|| client.fetch_metadata(Some(&self.name(parked::TOPIC)), limit)).map(drop);
        let mut why = lock(&self.0.why.0);
        let Err(error) = answer else {
            *why = None;
            return Ok(());
        };
        Err(match (failed(error), why.as_ref()) {
            (BusError::Unavailable(answer), Some(why)) => BusError::Unavailable(format!("{answer}: {why}")),
            (error, _) => error,
        })
    }

    pub fn listen(&self) -> (u64, Arc<Notify>) {
        let woken = Arc::new(Notify::new());
        let mut listeners = lock(&self.0.listeners);
        listeners.0 += 1;
        let id = listeners.0;
        listeners.1.insert(id, woken.clone());
        (id, woken)
    }

    pub fn forget(&self, id: u64) {
        lock(&self.0.listeners).1.remove(&id);
    }

    /// A topic's or a group's name as Kafka has it.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.0.prefix)
    }
}

impl Drop for Inner {
    /// Waits until the last offsets are committed and the groups are left.
    fn drop(&mut self) {
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a member's thread panicked");
            }
        }
    }
}

/// A client that reads for no group. It has the name of one all the same: without it librdkafka reads nothing.
fn reader(config: &ClientConfig, prefix: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    config
        .clone()
        .set("group.id", format!("{prefix}no-group"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .create_with_context(Quiet)
}

/// Asks a broker on this thread, which the runtime does without meanwhile.
fn lend<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Waits on this thread for an answer that comes from another, which needs no runtime.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut answer = std::pin::pin!(answer);
    loop {
        match answer.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(answer) => return answer,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server is gone, or something else is wrong.
fn failed(error: KafkaError) -> BusError {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable, FencedLeaderEpoch, LeaderNotAvailable,
        MessageTimedOut, NetworkException, NotCoordinator, NotLeaderForPartition, OperationTimedOut, QueueFull, RequestTimedOut, Resolve,
        UnknownLeaderEpoch, WaitingForCoordinator,
    };
    match error.rdkafka_error_code() {
        Some(
            AllBrokersDown
            | BrokerTransportFailure
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | FencedLeaderEpoch
            | LeaderNotAvailable
            | MessageTimedOut
            | NetworkException
            | NotCoordinator
            | NotLeaderForPartition
            | OperationTimedOut
            | QueueFull
            | RequestTimedOut
            | Resolve
            | UnknownLeaderEpoch
            | WaitingForCoordinator,
        ) => BusError::Unavailable(error.to_string()),
        _ => BusError::Engine(error.to_string()),
    }
}

/// An event as Kafka has it, under the name that the topic has here.
fn delivery(topic: Arc<str>, message: &BorrowedMessage<'_>) -> Delivery {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect::<Vec<_>>()
    });
    Delivery {
        topic,
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: u64::try_from(message.offset()).unwrap_or_default(),
        timestamp: Timestamp::from_micros(message.timestamp().to_millis().unwrap_or_default().saturating_mul(1_000)),
        key: message.key().map(text).unwrap_or_default(),
        value: message.payload().map(bytes::Bytes::copy_from_slice).unwrap_or_default(),
        headers: headers.unwrap_or_default().into(),
    }
}

/// A partition's number as the library has it.
fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

type Place = (Arc<str>, u32);
type Places = BTreeSet<Place>;
