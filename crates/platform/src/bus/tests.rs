//! What the bus promises, over both stores. The clock is the simulated one also on disk: there it stands still unless a test lets it go.

mod writing;

mod suite {
    //! What every bus keeps to, over the embedded floors: by the machine's clock, as over an engine.

    use crate::{bus::Bus, chance::Chance, clock::Clock, db::Durability, fault::Faults, testing::bus::Bench};

    fn faults() -> Faults {
        Faults::new(Clock::real(), Chance::seeded(1))
    }

    async fn in_memory() -> Bench {
        let faults = faults();
        Bench { bus: Bus::in_memory(Clock::real(), faults.clone()), faults, keep: Box::new(()) }
    }

    async fn on_disk() -> Bench {
        let (folder, faults) = (tempfile::tempdir().unwrap(), faults());
        let bus = Bus::open(folder.path(), Durability::Process, Clock::real(), faults.clone()).unwrap();
        Bench { bus, faults, keep: Box::new(folder) }
    }

    mod memory {
        crate::bus_suite!(
            #[tokio::test]
            super::in_memory
        );
    }

    mod disk {
        crate::bus_suite!(
            #[tokio::test]
            super::on_disk
        );
    }
}

use super::*;
use crate::{
    chance::Chance,
    fault::{Fault, Rule, Scope},
};

/// A bus to be tested, and all that it stands on.
pub(crate) struct World {
    pub bus: Bus,
    pub clock: Clock,
    pub faults: Faults,
    pub folder: Option<tempfile::TempDir>,
}

impl World {
    pub fn memory() -> Self {
        let clock = Clock::simulated();
        let faults = Faults::new(clock, Chance::seeded(1));
        Self { bus: Bus::in_memory(clock, faults.clone()), clock, faults, folder: None }
    }

    pub fn disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated();
        let faults = Faults::new(clock, Chance::seeded(1));
        let bus = Bus::open(folder.path(), Durability::Process, clock, faults.clone()).unwrap();
        Self { bus, clock, faults, folder: Some(folder) }
    }

    /// The same world after its end and its start; one in memory just goes on.
    pub fn reopened(self) -> Self {
        let Self { bus, clock, faults, folder } = self;
        let Some(folder) = folder else { return Self { bus, clock, faults, folder } };
        drop(bus);
        let bus = Bus::open(folder.path(), Durability::Process, clock, faults.clone()).unwrap();
        Self { bus, clock, faults, folder: Some(folder) }
    }

    pub async fn topic(&self, name: &str, partitions: u32) {
        self.bus.create_topic(name, TopicSettings { partitions, retention: None }).await.unwrap();
    }

    pub async fn publish(&self, topic: &str, events: &[(&str, &str)]) -> Vec<(u32, u64)> {
        self.bus.publish(events.iter().map(|(key, value)| outgoing(topic, key, value)).collect()).await.unwrap()
    }

    pub fn fault(&self, point: &str, rule: Rule, key: Option<&str>) {
        let scope = Scope { key: key.map(str::to_owned), ..Scope::default() };
        self.faults.set(point, Fault { rule, share: 1.0, millis: 20, scope, for_seconds: None }).unwrap();
    }
}

pub(crate) fn outgoing(topic: &str, key: &str, value: &str) -> Outgoing {
    Outgoing { topic: topic.into(), key: key.into(), value: value.to_owned().into(), headers: vec![("ce_id".into(), value.into())] }
}

pub(crate) fn values(events: &[Delivery]) -> Vec<&str> {
    events.iter().map(|event| std::str::from_utf8(&event.value).unwrap()).collect()
}

/// Runs each of the named promises over both stores.
macro_rules! on_both_stores {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)] async fn $promise() { super::$promise(crate::bus::tests::World::memory()).await; })*
        }
        mod disk {
            $(#[tokio::test(start_paused = true)] async fn $promise() { super::$promise(crate::bus::tests::World::disk()).await; })*
        }
    };
}
pub(crate) use on_both_stores;

on_both_stores!(
    an_event_comes_back_as_it_was_published,
    a_batch_is_published_whole_or_not_at_all,
    topics_are_made_once,
    events_of_a_key_keep_their_order,
    a_poll_is_fair_to_partitions,
    a_poll_waits_for_an_event,
    groups_read_on_their_own,
    two_members_share_and_a_leaver_leaves_nothing_behind,
    what_is_handled_is_not_handed_over,
    a_commit_of_what_one_no_longer_holds_is_refused,
    retention_removes_the_old_and_offsets_stay,
    a_moment_can_be_sought,
    lag_counts_what_is_left,
    a_tail_hears_of_publications,
    a_refused_batch_is_not_there,
    a_held_batch_waits,
    a_corrupted_record_keeps_its_place_and_its_key_and_the_others_are_whole,
    a_partition_that_rests_is_not_polled,
    everything_is_there_after_a_restart,
    too_large_and_misnamed_is_refused,
);

async fn an_event_comes_back_as_it_was_published(world: World) {
    world.topic("t", 6).await;
    let now = world.clock.now();
    let placed = world.publish("t", &[("abc", "1")]).await;
    let partition = partition_of("abc", 6);
    assert_eq!(placed, [(partition, 0)]);
    let read = world.bus.read("t", partition, 0, 10).await.unwrap();
    let event = Delivery {
        topic: "t".into(),
        partition,
        offset: 0,
        timestamp: now,
        key: "abc".into(),
        value: "1".into(),
        headers: vec![("ce_id".into(), "1".into())].into(),
    };
    assert_eq!(read, std::slice::from_ref(&event));
    let mut reader = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(reader.poll(10).await.unwrap(), std::slice::from_ref(&event));
    assert_eq!((event.header("ce_id"), event.header("none")), (Some("1"), None));
}

async fn a_batch_is_published_whole_or_not_at_all(world: World) {
    world.topic("t", 1).await;
    let refused = world.bus.publish(vec![outgoing("t", "k", "1"), outgoing("nowhere", "k", "2")]).await;
    assert!(matches!(refused, Err(BusError::UnknownTopic(topic)) if topic == "nowhere"));
    assert_eq!(world.bus.end_offsets("t").unwrap(), [0]);
    assert_eq!(world.publish("t", &[("k", "1"), ("k", "2")]).await, [(0, 0), (0, 1)]);
    assert_eq!(world.bus.publish(Vec::new()).await.unwrap(), []);
}

async fn topics_are_made_once(world: World) {
    world.topic("b", 2).await;
    world.topic("a", 6).await;
    world.topic("b", 2).await;
    let other = world.bus.create_topic("b", TopicSettings { partitions: 3, retention: None }).await;
    assert!(matches!(other, Err(BusError::Partitions { has: 2, wanted: 3, .. })));
    world.publish("b", &[("k", "1")]).await;
    let shorter = TopicSettings { partitions: 2, retention: Some(Duration::from_secs(60)) };
    world.bus.create_topic("b", shorter).await.unwrap();
    let topics = world.bus.topics();
    assert_eq!(topics.iter().map(|topic| (&*topic.name, topic.settings.partitions)).collect::<Vec<_>>(), [("a", 6), ("b", 2)]);
    assert_eq!(topics[1].settings, shorter);
    assert_eq!(world.bus.end_offsets("b").unwrap().iter().sum::<u64>(), 1);
}

async fn events_of_a_key_keep_their_order(world: World) {
    world.topic("t", 6).await;
    let sent: Vec<(String, String)> = (0..60).map(|n| (format!("key-{}", n % 7), n.to_string())).collect();
    for (key, value) in &sent {
        world.publish("t", &[(key, value)]).await;
    }
    let mut reader = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    while count < sent.len() {
        for event in reader.poll(5).await.unwrap() {
            seen.entry(event.key.clone()).or_default().push(values(&[event])[0].to_owned());
            count += 1;
        }
    }
    for (key, values) in seen {
        let wanted: Vec<_> = sent.iter().filter(|(of, _)| *of == key).map(|(_, value)| value.clone()).collect();
        assert_eq!(values, wanted, "{key}");
    }
}

async fn a_poll_is_fair_to_partitions(world: World) {
    world.topic("a", 1).await;
    world.topic("b", 1).await;
    for n in 0..100 {
        world.publish("a", &[("k", &n.to_string())]).await;
    }
    world.publish("b", &[("k", "b")]).await;
    let mut reader = world.bus.subscribe("g", &["a", "b"], "m").await.unwrap();
    assert_eq!(values(&reader.poll(2).await.unwrap()), ["0", "b"]);
    world.publish("b", &[("k", "c")]).await;
    assert_eq!(values(&reader.poll(1).await.unwrap()), ["1"]);
    assert_eq!(values(&reader.poll(1).await.unwrap()), ["c"], "it is b's turn");
}

async fn a_poll_waits_for_an_event(world: World) {
    let mut reader = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    let publish = async {
        world.topic("t", 1).await;
        world.publish("t", &[("k", "1")]).await;
    };
    let poll = async {
        assert!(reader.poll(10).await.unwrap().is_empty(), "a topic has come, so the assignment has changed");
        reader.poll(10).await.unwrap()
    };
    let (polled, ()) = futures::future::join(poll, publish).await;
    assert_eq!(values(&polled), ["1"]);
}

async fn groups_read_on_their_own(world: World) {
    world.topic("t", 1).await;
    world.publish("t", &[("k", "1"), ("k", "2")]).await;
    let mut first = world.bus.subscribe("first", &["t"], "a").await.unwrap();
    assert_eq!(values(&first.poll(1).await.unwrap()), ["1"]);
    let mut second = world.bus.subscribe("second", &["t"], "a").await.unwrap();
    assert_eq!(values(&second.poll(10).await.unwrap()), ["1", "2"]);
    drop(first);
    let mut again = world.bus.subscribe("first", &["t"], "a").await.unwrap();
    assert_eq!(values(&again.poll(10).await.unwrap()), ["1", "2"], "nothing was committed");
}

/// All that is there for this member.
async fn drained(reader: &mut Subscription, seen: &mut Vec<String>, wanted: usize) {
    while seen.len() < wanted {
        let events = reader.poll(3).await.unwrap();
        seen.extend(values(&events).into_iter().map(str::to_owned));
        let done: Vec<_> = events
            .iter()
            .map(|event| Position { topic: event.topic.clone(), partition: event.partition, offset: event.offset + 1 })
            .collect();
        reader.commit(&done).unwrap();
    }
}

async fn two_members_share_and_a_leaver_leaves_nothing_behind(world: World) {
    world.topic("t", 4).await;
    let mut a = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(a.assignment().len(), 4);
    let mut b = world.bus.subscribe("g", &["t"], "b").await.unwrap();
    assert!(a.poll(1).await.unwrap().is_empty(), "the assignment changed");
    let held = |reader: &Subscription| reader.assignment().iter().map(|position| position.partition).collect::<Vec<_>>();
    assert_eq!((held(&a), held(&b)), (vec![0, 2], vec![1, 3]));
    let sent: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    for value in &sent {
        world.publish("t", &[(value, value)]).await;
    }
    let (mut by_a, mut by_b) = (Vec::new(), Vec::new());
    let of_a = sent.iter().filter(|value| partition_of(value, 4).is_multiple_of(2)).count();
    drained(&mut a, &mut by_a, of_a / 2).await;
    // One more batch is taken and not committed: it comes again, to the other one.
    let lost = a.poll(2).await.unwrap().len();
    assert!(lost > 0);
    drop(a);
    drained(&mut b, &mut by_b, sent.len() - by_a.len()).await;
    let mut all = [by_a, by_b].concat();
    all.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(all, sent, "each of them once");
}

async fn what_is_handled_is_not_handed_over(world: World) {
    world.topic("t", 2).await;
    world.publish("t", &[("0", "x"), ("1", "x"), ("2", "x"), ("3", "x"), ("4", "x")]).await;
    let mut a = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    let polled = a.poll(100).await.unwrap();
    assert_eq!(polled.len(), 5);
    let mut b = world.bus.subscribe("g", &["t"], "b").await.unwrap();
    assert_eq!(b.assignment(), [], "a is still at it");
    let end = world.bus.end_offsets("t").unwrap()[1];
    assert!(end > 0);
    a.commit(&[Position { topic: "t".into(), partition: 1, offset: end }]).unwrap();
    world.publish("t", &[("0", "y"), ("1", "y"), ("2", "y"), ("3", "y"), ("4", "y")]).await;
    assert!(b.poll(1).await.unwrap().is_empty(), "the assignment changed");
    let after = b.poll(100).await.unwrap();
    assert!(!after.is_empty() && after.iter().all(|event| event.partition == 1 && event.value == "y"));
}

async fn a_commit_of_what_one_no_longer_holds_is_refused(world: World) {
    world.topic("t", 1).await;
    world.publish("t", &[("k", "1"), ("k", "2")]).await;
    let mut a = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(a.poll(2).await.unwrap().len(), 2);
    let done = [Position { topic: "t".into(), partition: 0, offset: 2 }];
    let stranger = world.bus.subscribe("g", &["t"], "b").await.unwrap();
    assert!(matches!(stranger.commit(&done), Err(BusError::NotOwned { .. })));
    world.bus.seek("g", "t", 0, To::Offset(1)).await.unwrap();
    assert!(matches!(a.commit(&done), Err(BusError::NotOwned { .. })), "the group was put elsewhere meanwhile");
    assert_eq!(world.bus.lag()[0].committed, 1);
    assert!(a.poll(2).await.unwrap().is_empty());
    assert_eq!(values(&a.poll(2).await.unwrap()), ["2"]);
    a.commit(&done).unwrap();
    assert_eq!(world.bus.lag()[0].events, 0);
}

async fn retention_removes_the_old_and_offsets_stay(world: World) {
    let settings = TopicSettings { partitions: 1, retention: Some(Duration::from_secs(3_600)) };
    world.bus.create_topic("t", settings).await.unwrap();
    world.topic("for-good", 1).await;
    world.publish("for-good", &[("k", "0")]).await;
    for n in 0..2_500 {
        world.publish("t", &[("k", &n.to_string())]).await;
    }
    world.clock.sleep(Duration::from_secs(3_000)).await;
    world.publish("t", &[("k", "young")]).await;
    assert_eq!(world.bus.trim().await.unwrap(), 0);
    world.clock.sleep(Duration::from_secs(1_000)).await;
    assert_eq!(world.bus.trim().await.unwrap(), 2_500);
    assert_eq!(values(&world.bus.read("t", 0, 0, 10).await.unwrap()), ["young"]);
    let mut late = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(late.poll(10).await.unwrap()[0].offset, 2_500);
    world.clock.sleep(Duration::from_secs(3_601)).await;
    assert_eq!(world.bus.trim().await.unwrap(), 1);
    let world = world_without(late, world).reopened();
    assert_eq!(world.publish("t", &[("k", "next")]).await, [(0, 2_501)], "offsets are never given twice");
    assert_eq!(world.bus.end_offsets("for-good").unwrap(), [1]);
}

fn world_without(reader: Subscription, world: World) -> World {
    drop(reader);
    world
}

async fn a_moment_can_be_sought(world: World) {
    world.topic("t", 1).await;
    let start = world.clock.now();
    for n in 0..10 {
        world.publish("t", &[("k", &n.to_string())]).await;
        world.clock.sleep(Duration::from_secs(60)).await;
    }
    let seek = |to| world.bus.seek("g", "t", 0, to);
    assert_eq!(seek(To::Time(start.plus(Duration::from_secs(180)))).await.unwrap(), 3);
    assert_eq!(seek(To::Time(start.plus(Duration::from_secs(181)))).await.unwrap(), 4);
    assert_eq!(seek(To::Time(start.minus(Duration::from_secs(1)))).await.unwrap(), 0);
    assert_eq!(seek(To::Time(start.plus(Duration::from_secs(9_999)))).await.unwrap(), 10);
    assert_eq!(seek(To::End).await.unwrap(), 10);
    assert_eq!(seek(To::Start).await.unwrap(), 0);
    assert_eq!(seek(To::Offset(99)).await.unwrap(), 10, "there is nothing behind the end");
    assert!(matches!(world.bus.seek("g", "t", 1, To::End).await, Err(BusError::UnknownPartition { partitions: 1, .. })));
    seek(To::Offset(8)).await.unwrap();
    let mut reader = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(values(&reader.poll(10).await.unwrap()), ["8", "9"]);
}

async fn lag_counts_what_is_left(world: World) {
    world.topic("t", 1).await;
    world.publish("t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    assert!(world.bus.lag().is_empty(), "nobody reads");
    let mut reader = world.bus.subscribe("g", &["t"], "a").await.unwrap();
    reader.poll(2).await.unwrap();
    reader.commit(&[Position { topic: "t".into(), partition: 0, offset: 2 }]).unwrap();
    let lag = Lag { group: "g".into(), topic: "t".into(), partition: 0, committed: 2, end: 3, events: 1, member: Some("a".into()) };
    assert_eq!(world.bus.lag(), std::slice::from_ref(&lag));
    drop(reader);
    assert_eq!(world.bus.lag(), [Lag { member: None, ..lag }]);
}

async fn a_tail_hears_of_publications(world: World) {
    world.topic("t", 1).await;
    let mut tail = world.bus.published();
    world.publish("t", &[("k", "1")]).await;
    tail.next().await;
    let (mut from, mut seen) = (0, Vec::new());
    let follow = async {
        while seen.len() < 3 {
            let events = world.bus.read("t", 0, from, 10).await.unwrap();
            from += events.len() as u64;
            seen.extend(values(&events).into_iter().map(str::to_owned));
            if seen.len() < 3 {
                tail.next().await;
            }
        }
    };
    let publish = async {
        world.publish("t", &[("k", "2")]).await;
        world.publish("t", &[("k", "3")]).await;
    };
    futures::future::join(follow, publish).await;
    assert_eq!(seen, ["1", "2", "3"]);
    drop(tail);
    assert!(world.bus.embedded().log().state().listeners.is_empty());
}

async fn a_refused_batch_is_not_there(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.publish", Rule::Fail, Some("k"));
    let refused = world.bus.publish(vec![outgoing("t", "other", "1"), outgoing("t", "k", "2")]).await;
    assert!(matches!(&refused, Err(BusError::Refused { topic }) if topic == "t"));
    assert!(!refused.unwrap_err().to_string().contains("fault"), "nothing tells what it was");
    assert_eq!(world.publish("t", &[("other", "3")]).await, [(0, 0)]);
    world.faults.clear(None);
    let scope = Scope { service: Some("order".into()), ..Scope::default() };
    world.faults.set("bus.publish", Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope, for_seconds: None }).unwrap();
    assert!(world.bus.of("order").publish(vec![outgoing("t", "k", "4")]).await.is_err());
    assert!(world.bus.of("cart").publish(vec![outgoing("t", "k", "5")]).await.is_ok());
}

async fn a_held_batch_waits(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.publish", Rule::Delay, None);
    let start = world.clock.now();
    world.publish("t", &[("a", "1"), ("b", "2")]).await;
    assert_eq!(world.clock.now().since(start), Duration::from_millis(20), "a batch is delayed once");
    world.faults.clear(None);
    world.fault("bus.publish", Rule::Hold, Some("a"));
    let held = world.publish("t", &[("a", "3")]);
    let lift = async {
        world.publish("t", &[("b", "4")]).await;
        world.faults.clear(None);
    };
    futures::future::join(held, lift).await;
    assert_eq!(values(&world.bus.read("t", 0, 2, 10).await.unwrap()), ["4", "3"]);
}

async fn a_corrupted_record_keeps_its_place_and_its_key_and_the_others_are_whole(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.publish", Rule::Corrupt, Some("k"));
    assert_eq!(
        world.publish("t", &[("k", "1"), ("other", "2"), ("k", "")]).await,
        [(0, 0), (0, 1), (0, 2)],
        "the publisher notices nothing"
    );
    world.faults.clear(None);
    world.publish("t", &[("k", "4")]).await;
    let read = world.bus.read("t", 0, 0, 10).await.unwrap();
    let written: Vec<&[u8]> = read.iter().map(|event| &*event.value).collect();
    assert_eq!(written, [&[!b'1'][..], b"2", &[0xff], b"4"]);
    assert_eq!((read[0].key.as_str(), read[0].header("ce_id")), ("k", Some("1")));
}

async fn a_partition_that_rests_is_not_polled(world: World) {
    world.topic("t", 2).await;
    let mut reader = world.bus.subscribe("g", &["t"], "m").await.unwrap();
    let keys = [0, 1].map(|partition| (0..).map(|key| key.to_string()).find(|key| partition_of(key, 2) == partition).unwrap());
    world.publish("t", &[(&keys[0], "1"), (&keys[1], "2")]).await;
    let resting = BTreeSet::from([(Arc::from("t"), 0)]);
    reader.rest(&resting);
    assert_eq!((values(&reader.poll(10).await.unwrap()), reader.resting()), (vec!["2"], resting.clone()));
    world.bus.seek("g", "t", 0, To::Start).await.unwrap();
    assert!(reader.poll(10).await.unwrap().is_empty(), "it was put elsewhere");
    assert_eq!(values(&reader.poll(10).await.unwrap()), ["1"]);
    reader.rest(&resting);
    reader.rest(&BTreeSet::new());
    world.publish("t", &[(&keys[0], "3")]).await;
    assert_eq!(values(&reader.poll(10).await.unwrap()), ["3"]);
}

async fn everything_is_there_after_a_restart(world: World) {
    world.topic("t", 2).await;
    world.topic("a", 1).await;
    world.publish("t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    let partition = partition_of("k", 2);
    let mut reader = world.bus.subscribe("g", &["t"], "m").await.unwrap();
    reader.poll(10).await.unwrap();
    reader.commit(&[Position { topic: "t".into(), partition, offset: 2 }]).unwrap();
    let (topics, clock) = (world.bus.topics(), world.clock);
    let world = world_without(reader, world).reopened();
    assert_eq!(world.bus.topics(), topics);
    let lags = world.bus.lag();
    let lag = lags.iter().find(|lag| lag.partition == partition).unwrap();
    assert_eq!((lag.committed, lag.end), (2, 3));
    let mut reader = world.bus.subscribe("g", &["t"], "m").await.unwrap();
    assert_eq!(values(&reader.poll(10).await.unwrap()), ["3"]);
    let placed = world.publish("t", &[("k", "4")]).await;
    assert_eq!(placed, [(partition, 3)]);
    assert!(clock.now() >= world.bus.read("t", partition, 3, 1).await.unwrap()[0].timestamp);
}

async fn too_large_and_misnamed_is_refused(world: World) {
    world.topic("t", 1).await;
    let large = Outgoing { value: vec![0; MAX_EVENT_BYTES].into(), ..outgoing("t", "k", "") };
    assert!(matches!(world.bus.publish(vec![large]).await, Err(BusError::TooLarge { .. })));
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    assert!(matches!(world.bus.publish(vec![outgoing("t", &long, "")]).await, Err(BusError::LongKey { .. })));
    for name in ["", "a b", "ü", "a\0b"] {
        assert!(matches!(world.bus.create_topic(name, TopicSettings::default()).await, Err(BusError::Name(_))), "{name:?}");
        assert!(matches!(world.bus.subscribe(name, &["t"], "m").await, Err(BusError::Name(_))), "{name:?}");
    }
    let none = TopicSettings { partitions: 0, retention: None };
    assert!(matches!(world.bus.create_topic("u", none).await, Err(BusError::PartitionCount { .. })));
    assert_eq!(world.bus.end_offsets("t").unwrap(), [0]);
}
