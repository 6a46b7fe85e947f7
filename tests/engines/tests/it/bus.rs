use std::{collections::BTreeMap, time::Duration};

use engine_tests::{kafka_settings, no_faults};
use platform::{
    Clock,
    bus::{Bus, BusError, Delivery, MAX_KEY_BYTES, Outgoing, Position, To, TopicSettings},
    settings::KafkaSettings,
    testing::bus::Bench,
};
use rand::RngExt;

/// Longer than Kafka takes to deal partitions, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn on(settings: &KafkaSettings) -> Bus {
    Bus::on_kafka(settings, no_faults()).unwrap()
}

async fn fresh() -> Bench {
    let faults = no_faults();
    let bus = Bus::on_kafka(&kafka_settings(), faults.clone()).unwrap();
    Bench { bus, faults, keep: Box::new(()) }
}

platform::bus_suite!(
    #[tokio::test(flavor = "multi_thread")]
    fresh
);

fn event(topic: &str, key: &str, value: &str) -> Outgoing {
    Outgoing { topic: topic.into(), key: key.into(), value: value.to_owned().into(), headers: vec![("ce_id".into(), value.into())] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_parks_another_knows() {
    let settings = kafka_settings();
    platform::testing::bus::what_one_process_parks_another_knows(on(&settings), on(&settings)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handled_goes_to_another_process_only_once_it_is_done() {
    let settings = kafka_settings();
    let (one, other) = (on(&settings), on(&settings));
    one.create_topic("t", TopicSettings { partitions: 2, retention: None }).await.unwrap();
    one.publish((0..20).map(|n: u32| event("t", &n.to_string(), "x")).collect()).await.unwrap();
    let mut a = one.subscribe("g", &["t"], "a").await.unwrap();
    let mut in_hand = Vec::new();
    while in_hand.len() < 20 {
        in_hand.extend(a.poll(100).await.unwrap());
    }
    let mut b = other.subscribe("g", &["t"], "b").await.unwrap();
    // Time enough for a rebalance: without the wait for what is in hand, its partition would go over, and its events would come again.
    let early = Clock::real().timeout(Duration::from_secs(4), b.poll(100)).await;
    assert!(early.as_ref().is_err() || b.assignment().is_empty(), "{early:?}");
    let ends = one.end_offsets("t").unwrap();
    let done: Vec<_> = ends.iter().zip(0..).map(|(end, partition)| Position { topic: "t".into(), partition, offset: *end }).collect();
    a.commit(&done).unwrap();
    let clock = Clock::real();
    let began = clock.now();
    while b.assignment().len() != 1 {
        assert!(clock.now().since(began) < PATIENCE, "{b:?}");
        if let Ok(polled) = clock.timeout(Duration::from_millis(200), b.poll(100)).await {
            assert_eq!(polled.unwrap(), [], "nothing comes again");
        }
    }
    assert!(matches!(a.commit(&done), Err(BusError::NotOwned { .. })), "one of them is the other's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_is_gone_is_one_error_within_the_time_that_the_settings_give() {
    let settings = KafkaSettings { bootstrap_servers: "127.0.0.1:1".into(), timeout_ms: 500, ..kafka_settings() };
    let (bus, clock) = (on(&settings), Clock::real());
    let began = clock.now();
    let unavailable = |answer: Result<(), BusError>| assert!(matches!(answer, Err(BusError::Unavailable(_))), "{answer:?}");
    unavailable(bus.check());
    unavailable(bus.create_topic("t", TopicSettings::default()).await);
    unavailable(bus.publish(vec![event("t", "k", "1")]).await.map(drop));
    unavailable(bus.read("t", 0, 0, 1).await.map(drop));
    unavailable(bus.subscribe("g", &["t"], "m").await.map(drop));
    assert!(bus.topics().is_empty() && bus.lag().is_empty());
    assert!(clock.now().since(began) < Duration::from_secs(20));
    on(&kafka_settings()).check().unwrap();
}

#[tokio::test]
async fn without_an_address_it_is_told_which_setting_is_empty() {
    let settings = KafkaSettings { bootstrap_servers: String::new(), ..kafka_settings() };
    let refused = Bus::on_kafka(&settings, no_faults()).unwrap_err().to_string();
    assert!(refused.contains("`engines.kafka.bootstrap_servers` is empty"), "{refused}");
}

/// What both must say of an event: all but when it came.
fn seen(event: &Delivery) -> (u32, u64, String, Vec<u8>, Vec<(String, String)>) {
    (event.partition, event.offset, event.key.clone(), event.value.to_vec(), event.headers.to_vec())
}

fn all(events: Result<Vec<Delivery>, BusError>) -> Result<Vec<(u32, u64, String, Vec<u8>, Vec<(String, String)>)>, String> {
    events.map(|events| events.iter().map(seen).collect()).map_err(|error| error.to_string())
}

/// Where groups stand.
fn positions(bus: &Bus) -> Vec<(String, String, u32, u64, u64)> {
    let mut all: Vec<_> =
        bus.lag().into_iter().map(|lag| (lag.group, lag.topic.to_string(), lag.partition, lag.committed, lag.end)).collect();
    all.sort();
    all
}

/// A member that reads all that its group has not committed, commits so much of each partition, and leaves.
async fn session(bus: &Bus, group: &str, topic: &str, outstanding: usize, share: u64) -> BTreeMap<u32, Vec<(u64, Vec<u8>)>> {
    let mut read: BTreeMap<u32, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    let mut reader = bus.subscribe(group, &[topic], "m").await.unwrap();
    let mut count = 0;
    while count < outstanding {
        let polled = Clock::real().timeout(PATIENCE, reader.poll(1_000)).await;
        for event in polled.unwrap_or_else(|_| panic!("{count} of {outstanding} came")).unwrap() {
            count += 1;
            read.entry(event.partition).or_default().push((event.offset, event.value.to_vec()));
        }
    }
    let commit: Vec<_> = read
        .iter()
        .map(|(partition, events)| {
            let (first, last) = (events[0].0, events[events.len() - 1].0 + 1);
            Position { topic: topic.into(), partition: *partition, offset: first + (last - first) * share / 4 }
        })
        .collect();
    reader.commit(&commit).unwrap();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_operations_have_the_same_answers_in_memory_and_in_kafka() {
    let (seed, mut chance) = crate::seeded();
    let memory = Bus::in_memory(Clock::real(), no_faults());
    let kafka = on(&kafka_settings());
    let topics = [("a", 1), ("b", 3), ("c", 6)];
    for bus in [&memory, &kafka] {
        for (name, partitions) in topics {
            bus.create_topic(name, TopicSettings { partitions, retention: None }).await.unwrap();
        }
    }
    let (mut published, mut refused, mut read, mut sessions) = (0, 0, 0, 0);
    for nth in 0..crate::OPERATIONS {
        let (topic, partitions) = topics[chance.random_range(0..3)];
        let beyond = u32::from(chance.random_range(0..20) == 0);
        let partition = chance.random_range(0..partitions + beyond);
        let at = format!("seed {seed}, operation {nth}");
        match chance.random_range(0..1_000) {
            0..850 => {
                let mut batch = Vec::new();
                for place in 0..chance.random_range(1..4) {
                    let mut outgoing = event(topic, &format!("key-{}", chance.random_range(0..50)), &format!("{nth}-{place}"));
                    match chance.random_range(0..200) {
                        0 => outgoing.topic = "nowhere".into(),
                        1 => outgoing.key = "k".repeat(MAX_KEY_BYTES + 1),
                        2 => outgoing.key = String::new(),
                        3 => outgoing.headers.clear(),
                        _ => {}
                    }
                    batch.push(outgoing);
                }
                let placed = memory.publish(batch.clone()).await.map_err(|error| error.to_string());
                assert_eq!(kafka.publish(batch).await.map_err(|error| error.to_string()), placed, "{at}");
                *(if placed.is_ok() { &mut published } else { &mut refused }) += 1;
            }
            850..900 => {
                let (from, max) = (chance.random_range(0..1_000), chance.random_range(0..20));
                let wanted = all(memory.read(topic, partition, from, max).await);
                read += wanted.as_ref().map_or(0, Vec::len);
                assert_eq!(all(kafka.read(topic, partition, from, max).await), wanted, "{at}");
            }
            900..950 => {
                assert_eq!(kafka.end_offsets(topic).unwrap(), memory.end_offsets(topic).unwrap(), "{at}");
            }
            950..990 => {
                let to = [To::Start, To::End, To::Offset(chance.random_range(0..1_500))][chance.random_range(0..3)];
                let wanted = memory.seek("sought", topic, partition, to).await.map_err(|error| error.to_string());
                assert_eq!(kafka.seek("sought", topic, partition, to).await.map_err(|error| error.to_string()), wanted, "{at}");
            }
            990..997 => assert_eq!(positions(&kafka), positions(&memory), "{at}"),
            _ => {
                let share = chance.random_range(0..5);
                let ends: u64 = memory.end_offsets(topic).unwrap().iter().sum();
                let group = format!("group-{topic}");
                let done: u64 = memory.lag().iter().filter(|lag| lag.group == group).map(|lag| lag.committed).sum();
                let outstanding = usize::try_from(ends - done).unwrap();
                if outstanding > 0 {
                    let wanted = session(&memory, &group, topic, outstanding, share).await;
                    assert_eq!(session(&kafka, &group, topic, outstanding, share).await, wanted, "{at}");
                    sessions += 1;
                    // What a member commits as it leaves is stored soon.
                    let (wanted, began) = (committed(&memory, &group), Clock::real().now());
                    while committed(&kafka, &group) != wanted {
                        assert!(Clock::real().now().since(began) < PATIENCE, "{at}: {:?}, not {wanted:?}", committed(&kafka, &group));
                        Clock::real().sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }
    assert!(published > 8_000 && refused > 50 && read > 1_000 && sessions > 10, "{published} {refused} {read} {sessions}");
}

/// What a group has committed, without what is not committed but merely held.
fn committed(bus: &Bus, group: &str) -> Vec<(String, u32, u64)> {
    let mut all: Vec<_> = bus
        .lag()
        .into_iter()
        .filter(|lag| lag.group == group && lag.member.is_none())
        .map(|lag| (lag.topic.to_string(), lag.partition, lag.committed))
        .collect();
    all.sort();
    all
}
