//! A member of a group. One thread asks Kafka for events and answers its rebalances; what has come lies on a desk, from which the
//! subscription takes it. So a consumer that takes long over its events is not taken for dead, and loses no partition for that.
//!
//! A partition is given up as on the embedded bus: once what was handed out of it is committed, or the member asks for more, or it
//! leaves; what was not handed out is the next member's. If that takes longer than `PATIENCE`, the partition goes all the same, and what
//! the member commits of it afterwards is refused. A rebalance moves only what changes hands (cooperative, sticky).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Condvar, Mutex, Weak},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};
use tokio::sync::{Notify, oneshot};
use types::Timestamp;

use super::{
    super::{BusError, Delivery, MAX_EVENT_BYTES, Position, log::Letter, plan::BURIAL_BYTES},
    Kafka, Place, Places, Quiet, delivery, failed, lock, number,
    parked::{self, Known},
};
use crate::clock::Clock;

/// How long what was handed out of a partition may be worked on while another member waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the thread waits for an event before it looks for what else there is to do.
const POLL: Duration = Duration::from_millis(50);
/// Offsets are committed at most so often: each time is work for the broker, of every group. What a crash has kept from it comes again.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// A partition of which so much lies on the desk is not fetched from until half of it is gone.
const QUEUE_EVENTS: usize = 512;
const QUEUE_BYTES: usize = 4 * 1_024 * 1_024;

/// What this process has to do with a group.
#[derive(Default)]
pub(super) struct Group {
    pub topics: BTreeSet<Arc<str>>,
    /// Asks in the group's name, without being a member.
    pub client: Option<Arc<BaseConsumer<Quiet>>>,
    desks: Vec<Weak<Desk>>,
}

/// The subscription's side.
pub(in super::super) struct Member {
    kafka: Kafka,
    desk: Arc<Desk>,
    last: Option<Place>,
}

/// What the subscription and the thread share.
pub(super) struct Desk {
    group: String,
    member: String,
    prefix: String,
    timeout: Duration,
    parked: Arc<Known>,
    state: Mutex<State>,
    /// The thread waits here for what is being handled.
    moved: Condvar,
    /// The subscription waits here for events.
    woken: Notify,
}

#[derive(Default)]
struct State {
    held: BTreeMap<Place, Held>,
    /// The subscription has to be told that it holds other partitions than before.
    changed: bool,
    /// Events were handed out, and no more were asked for since.
    in_hand: bool,
    leaving: bool,
    uncommitted: BTreeMap<Place, u64>,
    seeks: Vec<(Place, u64, oneshot::Sender<Result<(), BusError>>)>,
    /// Why there will be no events any more.
    broken: Option<BusError>,
}

#[derive(Default)]
struct Held {
    /// Whether the subscription knows that it holds it, since it was given or put elsewhere.
    seen: bool,
    queue: VecDeque<Delivery>,
    bytes: usize,
    /// The offset behind what was handed out.
    next: u64,
    /// The same, if it was handed out since the partition came here.
    given: Option<u64>,
    committed: Option<u64>,
    rests: bool,
    paused: bool,
}

impl Held {
    fn is_idle(&self) -> bool {
        self.given.is_none_or(|given| self.committed.is_some_and(|committed| committed >= given))
    }
}

impl Kafka {
    pub(in super::super) async fn join(&self, group: &str, topics: BTreeSet<Arc<str>>, member: &str) -> Result<Member, BusError> {
        let parked = self.ledger().await?.known.clone();
        let desk = Arc::new(Desk {
            group: group.to_owned(),
            member: member.to_owned(),
            prefix: self.0.prefix.clone(),
            timeout: self.0.timeout,
            parked,
            state: Mutex::default(),
            moved: Condvar::new(),
            woken: Notify::new(),
        });
        let consumer: BaseConsumer<Watch> = self
            .0
            .config
            .clone()
            .set("group.id", self.name(group))
            .set("client.id", member)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A process that was killed is missed after so long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            // A topic that is made later is found after so long.
            .set("topic.metadata.refresh.interval.ms", "3000")
            .set("fetch.error.backoff.ms", "100")
            // There are many members in a process, and each has its own.
            .set("queued.min.messages", "500")
            .set("queued.max.messages.kbytes", "4096")
            .create_with_context(Watch(desk.clone()))
            .map_err(failed)?;
        let names: Vec<String> = topics.iter().map(|topic| self.name(topic)).collect();
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>()).map_err(failed)?;
        let of_thread = desk.clone();
        let thread = std::thread::Builder::new()
            .name("bus-member".to_owned())
            .spawn(move || of_thread.work(consumer))
            .map_err(|error| BusError::Engine(error.to_string()))?;
        let mut threads = lock(&self.0.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        drop(threads);
        let mut groups = lock(&self.0.groups);
        let known = groups.entry(group.to_owned()).or_default();
        known.topics.extend(topics);
        known.desks.retain(|desk| desk.strong_count() > 0);
        known.desks.push(Arc::downgrade(&desk));
        drop(groups);
        Ok(Member { kafka: self.clone(), desk, last: None })
    }

    fn desks(&self, group: &str) -> Vec<Arc<Desk>> {
        lock(&self.0.groups).get(group).map(|group| group.desks.iter().filter_map(Weak::upgrade).collect()).unwrap_or_default()
    }

    /// Which member of this process holds which partition.
    pub(super) fn holders(&self, group: &str) -> BTreeMap<Place, String> {
        let mut holders = BTreeMap::new();
        for desk in self.desks(group) {
            let state = lock(&desk.state);
            if !state.leaving {
                holders.extend(state.held.keys().map(|place| (place.clone(), desk.member.clone())));
            }
        }
        holders
    }

    pub(super) fn desk_of(&self, group: &str, place: &Place) -> Option<Arc<Desk>> {
        self.desks(group).into_iter().find(|desk| {
            let state = lock(&desk.state);
            !state.leaving && state.held.contains_key(place)
        })
    }
}

impl Member {
    pub async fn poll(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            if let Some(answer) = self.desk.take(max.max(1), &mut self.last) {
                return answer;
            }
            self.desk.woken.notified().await;
        }
    }

    pub fn commit(&self, positions: &[Position]) -> Result<(), BusError> {
        self.desk.commit(positions)
    }

    pub fn assignment(&self) -> Vec<Position> {
        let position =
            |((topic, partition), held): (&Place, &Held)| Position { topic: topic.clone(), partition: *partition, offset: held.next };
        lock(&self.desk.state).held.iter().filter(|(_, held)| held.seen).map(position).collect()
    }

    pub fn rest(&mut self, resting: &BTreeSet<Place>) {
        for (place, held) in &mut lock(&self.desk.state).held {
            held.rests = held.seen && resting.contains(place);
        }
    }

    pub fn resting(&self) -> BTreeSet<Place> {
        lock(&self.desk.state).held.iter().filter(|(_, held)| held.rests).map(|(place, _)| place.clone()).collect()
    }

    /// Letters first, then the parked keys, then the offset: what ends in between comes again, and goes there again.
    pub(in super::super) async fn bury(&self, topic: &str, partition: u32, offset: u64, letters: Vec<Letter>) -> Result<(), BusError> {
        let group = &self.desk.group;
        let position = Position { topic: topic.into(), partition, offset };
        self.desk.own(std::slice::from_ref(&position), &lock(&self.desk.state))?;
        // A key that was let go meanwhile must be tried again, not buried.
        let untried = letters.iter().filter(|letter| letter.error.is_none());
        for letter in untried {
            if !self.desk.parked.is_parked(group, topic, &letter.event.key) {
                return Err(BusError::NotParked { group: group.clone(), topic: topic.to_owned(), key: letter.event.key.clone() });
            }
        }
        let events = letters.iter().map(|letter| letter.event.clone()).collect();
        let places = self.kafka.send(events, MAX_EVENT_BYTES + BURIAL_BYTES).await?;
        self.kafka.park(group, topic, letters, places).await?;
        self.desk.commit(&[position])
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.desk.state).leaving = true;
        self.desk.moved.notify_all();
    }
}

impl Desk {
    /// The next events, or the news that the assignment has changed; nothing when there are none.
    fn take(&self, max: usize, last: &mut Option<Place>) -> Option<Result<Vec<Delivery>, BusError>> {
        let mut state = lock(&self.state);
        state.in_hand = false;
        self.moved.notify_all();
        if let Some(error) = &state.broken {
            return Some(Err(error.clone()));
        }
        if std::mem::take(&mut state.changed) {
            state.held.values_mut().for_each(|held| held.seen = true);
            return Some(Ok(Vec::new()));
        }
        let ready = |(_, held): &(&Place, &Held)| !held.queue.is_empty() && !held.rests;
        let mut ready: Vec<Place> = state.held.iter().filter(ready).map(|(place, _)| place.clone()).collect();
        let turn = ready.iter().position(|place| last.as_ref().is_none_or(|last| place > last)).unwrap_or(0);
        ready.rotate_left(turn);
        let share = (max / ready.len().max(1)).max(1);
        ready.truncate(max);
        let mut events = Vec::new();
        for place in ready {
            let Some(held) = state.held.get_mut(&place) else { continue };
            let count = share.min(held.queue.len());
            for event in held.queue.drain(..count) {
                held.bytes = held.bytes.saturating_sub(size(&event));
                held.next = event.offset + 1;
                events.push(event);
            }
            held.given = Some(held.next);
            *last = Some(place);
        }
        state.in_hand = !events.is_empty();
        (!events.is_empty()).then_some(Ok(events))
    }

    fn own(&self, positions: &[Position], state: &State) -> Result<(), BusError> {
        let holds = |position: &Position| state.held.get(&(position.topic.clone(), position.partition)).is_some_and(|held| held.seen);
        match positions.iter().find(|position| !holds(position)) {
            Some(position) => {
                Err(BusError::NotOwned { group: self.group.clone(), topic: position.topic.to_string(), partition: position.partition })
            }
            None => Ok(()),
        }
    }

    fn commit(&self, positions: &[Position]) -> Result<(), BusError> {
        let mut state = lock(&self.state);
        self.own(positions, &state)?;
        for position in positions {
            let place = (position.topic.clone(), position.partition);
            if let Some(held) = state.held.get_mut(&place) {
                held.committed = Some(position.offset);
            }
            state.uncommitted.insert(place, position.offset);
        }
        self.moved.notify_all();
        Ok(())
    }

    pub(super) async fn seek(&self, place: Place, offset: u64) -> Result<(), BusError> {
        let (reply, answer) = oneshot::channel();
        lock(&self.state).seeks.push((place, offset, reply));
        answer.await.map_err(|_| BusError::Closed)?
    }

    /// The thread: until the subscription is gone.
    fn work(&self, consumer: BaseConsumer<Watch>) {
        let clock = Clock::real();
        let mut committed_at = Timestamp::from_micros(0);
        while !lock(&self.state).leaving {
            let seeks = std::mem::take(&mut lock(&self.state).seeks);
            for (place, offset, reply) in seeks {
                drop(reply.send(self.put_elsewhere(&consumer, place, offset)));
            }
            if clock.now().since(committed_at) >= COMMIT_EVERY {
                let uncommitted = std::mem::take(&mut lock(&self.state).uncommitted);
                if !uncommitted.is_empty() {
                    committed_at = clock.now();
                    self.store(&consumer, uncommitted, CommitMode::Async);
                }
            }
            self.let_flow(&consumer);
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let topic = message.topic().strip_prefix(&self.prefix).unwrap_or_default().into();
                    self.arrived(&consumer, delivery(topic, &message));
                }
                Some(Err(error)) => self.erred(&error),
                None => {}
            }
        }
        let uncommitted = std::mem::take(&mut lock(&self.state).uncommitted);
        self.store(&consumer, uncommitted, CommitMode::Sync);
        // Its end leaves the group, and answers the last rebalance on the way.
        drop(consumer);
    }

    fn arrived(&self, consumer: &BaseConsumer<Watch>, event: Delivery) {
        let place = (event.topic.clone(), event.partition);
        let mut state = lock(&self.state);
        let Some(held) = state.held.get_mut(&place) else { return };
        held.bytes += size(&event);
        held.queue.push_back(event);
        if !held.paused && (held.queue.len() >= QUEUE_EVENTS || held.bytes >= QUEUE_BYTES) {
            held.paused = self.of_one(&place).and_then(|list| consumer.pause(&list)).is_ok();
        }
        self.woken.notify_one();
    }

    /// Fetches again from partitions whose events were taken.
    fn let_flow(&self, consumer: &BaseConsumer<Watch>) {
        let mut state = lock(&self.state);
        let emptied =
            |(_, held): &(&Place, &mut Held)| held.paused && held.queue.len() <= QUEUE_EVENTS / 2 && held.bytes <= QUEUE_BYTES / 2;
        for (place, held) in state.held.iter_mut().filter(emptied) {
            held.paused = self.of_one(place).and_then(|list| consumer.resume(&list)).is_err();
        }
    }

    fn erred(&self, error: &KafkaError) {
        use RDKafkaErrorCode::{Authentication, GroupAuthorizationFailed, SaslAuthenticationFailed, TopicAuthorizationFailed};
        let for_good = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let refused = matches!(
            error.rdkafka_error_code(),
            Some(Authentication | GroupAuthorizationFailed | SaslAuthenticationFailed | TopicAuthorizationFailed)
        );
        if for_good || refused {
            lock(&self.state).broken = Some(failed(error.clone()));
            self.woken.notify_one();
        } else {
            // A server that is gone, a topic that is not there yet: it is tried again.
            tracing::debug!(%error, group = self.group, "a member of a group waits");
        }
    }

    fn put_elsewhere(&self, consumer: &BaseConsumer<Watch>, place: Place, offset: u64) -> Result<(), BusError> {
        let not_owned = || BusError::NotOwned { group: self.group.clone(), topic: place.0.to_string(), partition: place.1 };
        {
            let mut state = lock(&self.state);
            let held = state.held.get_mut(&place).ok_or_else(not_owned)?;
            // Nothing of before may be committed, or handed out, from now on.
            held.seen = false;
            (held.queue, held.bytes, held.rests) = (VecDeque::new(), 0, false);
            if held.paused {
                held.paused = self.of_one(&place).and_then(|list| consumer.resume(&list)).is_err();
            }
            (held.next, held.given, held.committed) = (offset, None, None);
            state.uncommitted.remove(&place);
            state.changed = true;
        }
        self.woken.notify_one();
        let raw = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        consumer.seek(&format!("{}{}", self.prefix, place.0), number(place.1), raw, self.timeout).map_err(failed)?;
        let list = self.list([(&place, offset)]).map_err(failed)?;
        consumer.commit(&list, CommitMode::Sync).map_err(failed)
    }

    /// Commits offsets; those that were not taken are committed with the next.
    fn store(&self, consumer: &BaseConsumer<Watch>, offsets: BTreeMap<Place, u64>, mode: CommitMode) {
        if offsets.is_empty() {
            return;
        }
        let list = self.list(offsets.iter().map(|(place, offset)| (place, *offset)));
        if let Err(error) = list.and_then(|list| consumer.commit(&list, mode)) {
            tracing::warn!(error = &error as &dyn std::error::Error, group = self.group, "offsets were not committed");
            self.give_back(offsets);
        }
    }

    fn give_back(&self, offsets: impl IntoIterator<Item = (Place, u64)>) {
        let mut state = lock(&self.state);
        for (place, offset) in offsets {
            // One that was put elsewhere, or is another's, has no use for them.
            if state.held.get(&place).is_some_and(|held| held.committed == Some(offset)) {
                state.uncommitted.entry(place).or_insert(offset);
            }
        }
    }

    fn list<'a>(&self, offsets: impl IntoIterator<Item = (&'a Place, u64)>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            let raw = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            list.add_partition_offset(&format!("{}{topic}", self.prefix), number(*partition), raw)?;
        }
        Ok(list)
    }

    fn of_one(&self, place: &Place) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&format!("{}{}", self.prefix, place.0), number(place.1));
        Ok(list)
    }

    fn read_list(&self, list: &TopicPartitionList) -> Vec<(Place, Option<u64>)> {
        let read = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let name = element.topic().strip_prefix(&self.prefix).unwrap_or_default();
            let offset = match element.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            };
            ((Arc::from(name), u32::try_from(element.partition()).unwrap_or_default()), offset)
        };
        list.elements().iter().map(read).collect()
    }

    /// These partitions are to go to others: waits until they can, and lets go of them.
    fn give_up(&self, consumer: &BaseConsumer<Watch>, places: &Places) {
        let lost = consumer.assignment_lost();
        let mut state = lock(&self.state);
        for place in places {
            if let Some(held) = state.held.get_mut(place) {
                (held.queue, held.bytes) = (VecDeque::new(), 0);
            }
        }
        if !lost {
            let busy = |state: &mut State| {
                state.in_hand && !state.leaving && places.iter().any(|place| state.held.get(place).is_some_and(|held| !held.is_idle()))
            };
            state = self.moved.wait_timeout_while(state, PATIENCE, busy).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        let mut uncommitted = BTreeMap::new();
        for place in places {
            state.held.remove(place);
            uncommitted.extend(state.uncommitted.remove(place).map(|offset| (place.clone(), offset)));
        }
        state.changed = true;
        drop(state);
        if !lost {
            self.store(consumer, uncommitted, CommitMode::Sync);
        }
        self.woken.notify_one();
    }

    /// These partitions have become this member's.
    fn take_over(&self, consumer: &BaseConsumer<Watch>, list: &TopicPartitionList) {
        // What its predecessor parked has to be known before the first event is handed out.
        let parked = format!("{}{}", self.prefix, parked::TOPIC);
        let caught_up = consumer
            .fetch_watermarks(&parked, 0, self.timeout)
            .map_err(failed)
            .and_then(|(_, end)| self.parked.wait_for(u64::try_from(end).unwrap_or_default(), self.timeout));
        if let Err(error) = caught_up {
            tracing::error!(error = &error as &dyn std::error::Error, group = self.group, "parked keys may be missed");
        }
        let mut known = TopicPartitionList::new();
        for element in list.elements() {
            known.add_partition(element.topic(), element.partition());
        }
        let committed = consumer.committed_offsets(known, self.timeout).map(|found| self.read_list(&found)).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, group = self.group, "it is not known where a group stands");
            self.read_list(list)
        });
        let mut state = lock(&self.state);
        for (place, offset) in committed {
            state.held.insert(place, Held { next: offset.unwrap_or_default(), ..Held::default() });
        }
        state.changed = true;
        drop(state);
        self.woken.notify_one();
    }
}

fn size(event: &Delivery) -> usize {
    event.key.len() + event.value.len()
}

/// Hears of what happens to a member's client.
pub(super) struct Watch(Arc<Desk>);

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::told(&error, reason);
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let places: Places = self.0.read_list(list).into_iter().map(|(place, _)| place).collect();
            self.0.give_up(consumer, &places);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) if list.count() > 0 => self.0.take_over(consumer, list),
            Rebalance::Assign(_) | Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, group = self.0.group, "a rebalance failed; it is tried again"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset)
        {
            tracing::warn!(%error, group = self.0.group, "offsets were not committed; they are tried again");
            self.0.give_back(self.0.read_list(offsets).into_iter().filter_map(|(place, offset)| Some((place, offset?))));
        }
    }
}
