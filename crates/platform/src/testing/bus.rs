//! What every bus keeps to, wherever it is: run over each floor by `bus_suite!`. `fresh` makes an empty one, with its faults. A broker deals partitions when it
//! comes to it, so a promise here waits for what is to come, and never for nothing to happen. What only a clock that stands still shows
//! (retention, a held batch) is in the bus's own tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite: what is not as it should be ends the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    Clock,
    bus::{
        Bus, BusError, Delivery, Lag, MAX_EVENT_BYTES, MAX_KEY_BYTES, Outgoing, Position, Subscription, To, TopicSettings,
        dead_letter_topic, partition_of,
    },
    fault::{Fault, Faults, Rule, Scope},
};

/// A test for each of the suite's promises: `bus_suite!(#[tokio::test] fresh)`.
#[macro_export]
macro_rules! bus_suite {
    (#[$test:meta] $fresh:path) => {
        $crate::port_suite!(
            #[$test] bus $fresh:
            an_event_comes_back_as_it_was_published,
            a_refused_batch_is_not_there,
            topics_are_made_once,
            what_is_misnamed_is_refused,
            events_of_a_key_keep_their_order,
            groups_read_on_their_own,
            what_was_committed_does_not_come_again,
            two_members_share_and_what_a_leaver_had_in_hand_comes_again,
            a_topic_that_comes_later_is_read,
            a_commit_of_what_one_no_longer_holds_is_refused,
            a_group_can_be_put_elsewhere,
            a_partition_that_rests_is_not_polled,
            lag_counts_what_is_left,
            a_tail_hears_of_publications,
            a_key_is_parked_for_its_group_until_it_is_let_go
        );
    };
}

/// A bus to be tested, and what must not go before it.
pub struct Bench {
    pub bus: Bus,
    pub faults: Faults,
    pub keep: Box<dyn std::any::Any>,
}

/// Longer than any broker takes to deal partitions, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn outgoing(topic: &str, key: &str, value: &str) -> Outgoing {
    Outgoing { topic: topic.into(), key: key.into(), value: value.to_owned().into(), headers: vec![("ce_id".into(), value.into())] }
}

async fn publish(bus: &Bus, topic: &str, events: &[(&str, &str)]) -> Vec<(u32, u64)> {
    bus.publish(events.iter().map(|(key, value)| outgoing(topic, key, value)).collect()).await.unwrap()
}

async fn topic(bus: &Bus, name: &str, partitions: u32) {
    bus.create_topic(name, TopicSettings { partitions, retention: None }).await.unwrap();
}

fn value(event: &Delivery) -> String {
    String::from_utf8(event.value.to_vec()).unwrap()
}

fn values(events: &[Delivery]) -> Vec<String> {
    events.iter().map(value).collect()
}

/// The first events that come, at least so many.
async fn some(reader: &mut Subscription, wanted: usize) -> Vec<Delivery> {
    let clock = Clock::real();
    let (mut events, began) = (Vec::new(), clock.now());
    while events.len() < wanted {
        let left = PATIENCE.saturating_sub(clock.now().since(began));
        let polled = clock.timeout(left, reader.poll(100)).await;
        events.extend(polled.unwrap_or_else(|_| panic!("{} of {wanted} events came: {events:?}", events.len())).unwrap());
    }
    events
}

/// Commits all of these.
fn commit(reader: &Subscription, events: &[Delivery]) {
    let last: BTreeMap<_, _> = events.iter().map(|event| ((event.topic.clone(), event.partition), event.offset + 1)).collect();
    let done: Vec<_> = last.into_iter().map(|((topic, partition), offset)| Position { topic, partition, offset }).collect();
    reader.commit(&done).unwrap();
}

/// Asks until the answer is this.
async fn until<T: PartialEq + std::fmt::Debug>(wanted: &T, ask: impl Fn() -> T) {
    let clock = Clock::real();
    let began = clock.now();
    loop {
        let found = ask();
        if found == *wanted {
            return;
        }
        assert!(clock.now().since(began) < PATIENCE, "it is {found:?}, not {wanted:?}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}

/// A key of each partition.
fn keys(partitions: u32) -> Vec<String> {
    let of = |partition| (0..).map(|key: u32| key.to_string()).find(|key| partition_of(key, partitions) == partition).unwrap();
    (0..partitions).map(of).collect()
}

pub async fn an_event_comes_back_as_it_was_published(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 6).await;
    let headers: Vec<(String, String)> =
        [("ce_id", "1"), ("ce_type", "t"), ("twice", "ä"), ("twice", "")].map(|(name, value)| (name.into(), value.into())).into();
    let value = bytes::Bytes::from_static(&[0, 0, 0, 1, 0xff]);
    let event = Outgoing { topic: "t".into(), key: "abc".into(), value: value.clone(), headers: headers.clone() };
    let placed = bus.publish(vec![event, outgoing("t", "abc", "")]).await.unwrap();
    let partition = partition_of("abc", 6);
    assert_eq!(placed, [(partition, 0), (partition, 1)]);
    let read = bus.read("t", partition, 0, 10).await.unwrap();
    let first = &read[0];
    assert_eq!((&*first.topic, first.partition, first.offset, first.key.as_str()), ("t", partition, 0, "abc"));
    assert_eq!((first.headers.to_vec(), &first.value), (headers, &value));
    assert!(read[1].value.is_empty() && read[1].timestamp >= first.timestamp);
    assert_eq!(bus.read("t", partition, 1, 10).await.unwrap(), read[1..]);
    assert_eq!(bus.read("t", partition, 0, 1).await.unwrap(), read[..1]);
    assert_eq!(bus.read("t", partition, 2, 10).await.unwrap(), []);
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(some(&mut reader, 2).await, read);
    assert_eq!(bus.end_offsets("t").unwrap()[partition as usize], 2);
}

pub async fn a_refused_batch_is_not_there(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, faults, keep: _keep } = fresh().await;
    topic(&bus, "t", 1).await;
    let refused = |event| bus.publish(vec![outgoing("t", "other", "0"), event]);
    let error = refused(outgoing("nowhere", "k", "1")).await;
    assert!(matches!(&error, Err(BusError::UnknownTopic(topic)) if topic == "nowhere"), "{error:?}");
    let large = Outgoing { value: vec![0; MAX_EVENT_BYTES].into(), ..outgoing("t", "k", "") };
    assert!(matches!(refused(large).await, Err(BusError::TooLarge { .. })));
    assert!(matches!(refused(outgoing("t", &"k".repeat(MAX_KEY_BYTES + 1), "")).await, Err(BusError::LongKey { .. })));
    let scope = Scope { key: Some("k".into()), ..Scope::default() };
    faults.set("bus.publish", Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope, for_seconds: None }).unwrap();
    assert!(matches!(refused(outgoing("t", "k", "2")).await, Err(BusError::Refused { .. })));
    faults.clear(None);
    assert_eq!(bus.end_offsets("t").unwrap(), [0]);
    let whole = MAX_EVENT_BYTES - 100;
    let largest = Outgoing { value: vec![7; whole].into(), ..outgoing("t", "k", "") };
    assert_eq!(bus.publish(vec![largest]).await.unwrap(), [(0, 0)], "what is promised to fit does");
    assert_eq!(bus.read("t", 0, 0, 1).await.unwrap()[0].value.len(), whole);
    assert_eq!(bus.publish(Vec::new()).await.unwrap(), []);
}

pub async fn topics_are_made_once(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "b", 2).await;
    topic(&bus, "a", 6).await;
    topic(&bus, "b", 2).await;
    let other = bus.create_topic("b", TopicSettings { partitions: 3, retention: None }).await;
    assert!(matches!(other, Err(BusError::Partitions { has: 2, wanted: 3, .. })), "{other:?}");
    publish(&bus, "b", &[("k", "1")]).await;
    let told = || bus.topics().into_iter().map(|topic| (topic.name.to_string(), topic.settings)).collect::<Vec<_>>();
    let settings = |partitions, seconds: Option<u64>| TopicSettings { partitions, retention: seconds.map(Duration::from_secs) };
    until(&vec![("a".to_owned(), settings(6, None)), ("b".to_owned(), settings(2, None))], told).await;
    bus.create_topic("b", settings(2, Some(3_600))).await.unwrap();
    until(&vec![("a".to_owned(), settings(6, None)), ("b".to_owned(), settings(2, Some(3_600)))], told).await;
    bus.create_topic("c", settings(1, Some(60))).await.unwrap();
    until(&Some(settings(1, Some(60))), || bus.topics().into_iter().find(|topic| &*topic.name == "c").map(|topic| topic.settings)).await;
    assert_eq!(bus.end_offsets("b").unwrap().iter().sum::<u64>(), 1);
    let ends: u64 = bus.topics().iter().flat_map(|topic| &topic.partitions).map(|partition| partition.end - partition.start).sum();
    assert_eq!(ends, 1);
    assert!(matches!(bus.end_offsets("d"), Err(BusError::UnknownTopic(_))));
    assert!(matches!(bus.read("b", 2, 0, 1).await, Err(BusError::UnknownPartition { partitions: 2, partition: 2, .. })));
}

pub async fn what_is_misnamed_is_refused(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    for name in ["", "a b", "ü", "a\0b"] {
        assert!(matches!(bus.create_topic(name, TopicSettings::default()).await, Err(BusError::Name(_))), "{name:?}");
        assert!(matches!(bus.subscribe(name, &["t"], "m").await, Err(BusError::Name(_))), "{name:?}");
    }
    let none = TopicSettings { partitions: 0, retention: None };
    assert!(matches!(bus.create_topic("u", none).await, Err(BusError::PartitionCount { .. })));
}

pub async fn events_of_a_key_keep_their_order(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 6).await;
    let sent: Vec<(String, String)> = (0..240).map(|n| (format!("key-{}", n % 7), n.to_string())).collect();
    // Many calls under way at once: each call's events keep their order, and calls of one task keep theirs.
    for batch in sent.chunks(24) {
        publish(&bus, "t", &batch.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>()).await;
    }
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in some(&mut reader, sent.len()).await {
        assert_eq!(event.partition, partition_of(&event.key, 6));
        seen.entry(event.key.clone()).or_default().push(value(&event));
    }
    assert_eq!(seen.len(), 7);
    for (key, values) in seen {
        let wanted: Vec<_> = sent.iter().filter(|(of, _)| *of == key).map(|(_, value)| value.clone()).collect();
        assert_eq!(values, wanted, "{key}");
    }
}

pub async fn groups_read_on_their_own(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("k", "1"), ("k", "2")]).await;
    let mut first = bus.subscribe("first", &["t"], "a").await.unwrap();
    assert_eq!(values(&some(&mut first, 2).await), ["1", "2"]);
    let mut second = bus.subscribe("second", &["t"], "a").await.unwrap();
    assert_eq!(values(&some(&mut second, 2).await), ["1", "2"]);
    drop(first);
    let mut again = bus.subscribe("first", &["t"], "a").await.unwrap();
    assert_eq!(values(&some(&mut again, 2).await), ["1", "2"], "nothing was committed");
}

pub async fn what_was_committed_does_not_come_again(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    let events = some(&mut reader, 3).await;
    commit(&reader, &events[..2]);
    drop(reader);
    let mut again = bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(values(&some(&mut again, 1).await), ["3"]);
    commit(&again, &events);
    publish(&bus, "t", &[("k", "4")]).await;
    assert_eq!(values(&some(&mut again, 1).await), ["4"], "it goes on, and nothing is handed out twice");
}

pub async fn two_members_share_and_what_a_leaver_had_in_hand_comes_again(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 4).await;
    let mut a = bus.subscribe("g", &["t"], "a").await.unwrap();
    let mut b = bus.subscribe("g", &["t"], "b").await.unwrap();
    let clock = Clock::real();
    let began = clock.now();
    // Both ask until the partitions are dealt to both.
    while a.assignment().len() != 2 || b.assignment().len() != 2 {
        assert!(clock.now().since(began) < PATIENCE, "{a:?} {b:?}");
        for reader in [&mut a, &mut b] {
            assert!(clock.timeout(Duration::from_millis(50), reader.poll(1)).await.unwrap_or(Ok(Vec::new())).unwrap().is_empty());
        }
    }
    let held: BTreeSet<u32> = a.assignment().iter().chain(&b.assignment()).map(|position| position.partition).collect();
    assert_eq!(held.len(), 4, "no partition is both's");
    let of_a: BTreeSet<u32> = a.assignment().iter().map(|position| position.partition).collect();
    let sent: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    for value in &sent {
        publish(&bus, "t", &[(value, value)]).await;
    }
    let meant_for_a = sent.iter().filter(|value| of_a.contains(&partition_of(value, 4))).count();
    let by_a = some(&mut a, meant_for_a).await;
    assert!(by_a.iter().all(|event| of_a.contains(&event.partition)));
    // Of one of its partitions everything is done, of the other one nothing: that comes again, to the other member.
    let done: Vec<Delivery> = by_a.iter().filter(|event| Some(&event.partition) == of_a.first()).cloned().collect();
    assert!(!done.is_empty() && done.len() < by_a.len());
    commit(&a, &done);
    drop(a);
    let by_b = some(&mut b, sent.len() - done.len()).await;
    let mut all: Vec<String> = done.iter().chain(&by_b).map(value).collect();
    all.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(all, sent, "each of them once");
}

pub async fn a_topic_that_comes_later_is_read(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("k", "1")]).await;
    assert_eq!(values(&some(&mut reader, 1).await), ["1"]);
}

pub async fn a_commit_of_what_one_no_longer_holds_is_refused(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("k", "1"), ("k", "2")]).await;
    let mut a = bus.subscribe("g", &["t"], "a").await.unwrap();
    some(&mut a, 2).await;
    let done = [Position { topic: "t".into(), partition: 0, offset: 2 }];
    let stranger = bus.subscribe("g", &["t"], "b").await.unwrap();
    assert!(matches!(stranger.commit(&done), Err(BusError::NotOwned { .. })));
    drop(stranger);
    bus.seek("g", "t", 0, To::Offset(1)).await.unwrap();
    assert!(matches!(a.commit(&done), Err(BusError::NotOwned { .. })), "the group was put elsewhere meanwhile");
    until(&Some((1, 1)), || bus.lag().first().map(|lag| (lag.committed, lag.events))).await;
    assert_eq!(values(&some(&mut a, 1).await), ["2"]);
    a.commit(&done).unwrap();
    until(&Some(0), || bus.lag().first().map(|lag| lag.events)).await;
}

pub async fn a_group_can_be_put_elsewhere(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    for n in 0..10 {
        publish(&bus, "t", &[("k", &n.to_string())]).await;
        Clock::real().sleep(Duration::from_millis(2)).await;
    }
    let events = bus.read("t", 0, 0, 100).await.unwrap();
    let seek = |to| bus.seek("g", "t", 0, to);
    let moment = events[6].timestamp;
    let wanted = events.iter().find(|event| event.timestamp >= moment).unwrap().offset;
    assert_eq!(seek(To::Time(moment)).await.unwrap(), wanted);
    assert_eq!(seek(To::Time(events[0].timestamp.minus(Duration::from_secs(1)))).await.unwrap(), 0);
    assert_eq!(seek(To::Time(events[9].timestamp.plus(Duration::from_secs(60)))).await.unwrap(), 10);
    assert_eq!(seek(To::End).await.unwrap(), 10);
    assert_eq!(seek(To::Start).await.unwrap(), 0);
    assert_eq!(seek(To::Offset(99)).await.unwrap(), 10, "there is nothing behind the end");
    assert!(matches!(bus.seek("g", "t", 1, To::End).await, Err(BusError::UnknownPartition { partitions: 1, .. })));
    seek(To::Offset(8)).await.unwrap();
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    assert_eq!(values(&some(&mut reader, 2).await), ["8", "9"]);
    bus.seek("g", "t", 0, To::Offset(7)).await.unwrap();
    assert_eq!(values(&some(&mut reader, 3).await), ["7", "8", "9"], "also while it is read");
}

pub async fn a_partition_that_rests_is_not_polled(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 2).await;
    let keys = keys(2);
    publish(&bus, "t", &[(&keys[0], "0"), (&keys[1], "0")]).await;
    let mut reader = bus.subscribe("g", &["t"], "m").await.unwrap();
    some(&mut reader, 2).await;
    let resting = BTreeSet::from([(Arc::from("t"), 0)]);
    reader.rest(&resting);
    assert_eq!(reader.resting(), resting);
    publish(&bus, "t", &[(&keys[0], "1")]).await;
    publish(&bus, "t", &[(&keys[1], "2")]).await;
    publish(&bus, "t", &[(&keys[1], "3")]).await;
    assert_eq!(values(&some(&mut reader, 2).await), ["2", "3"]);
    reader.rest(&BTreeSet::new());
    assert_eq!(values(&some(&mut reader, 1).await), ["1"]);
}

pub async fn lag_counts_what_is_left(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    assert!(bus.lag().is_empty(), "nobody reads");
    let mut reader = bus.subscribe("g", &["t"], "a").await.unwrap();
    some(&mut reader, 3).await;
    reader.commit(&[Position { topic: "t".into(), partition: 0, offset: 2 }]).unwrap();
    let lag = Lag { group: "g".into(), topic: "t".into(), partition: 0, committed: 2, end: 3, events: 1, member: Some("a".into()) };
    until(&vec![lag.clone()], || bus.lag()).await;
    publish(&bus, "t", &[("k", "4")]).await;
    until(&vec![Lag { end: 4, events: 2, ..lag.clone() }], || bus.lag()).await;
    drop(reader);
    until(&vec![Lag { end: 4, events: 2, member: None, ..lag }], || bus.lag()).await;
}

pub async fn a_tail_hears_of_publications(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    let mut tail = bus.published();
    let (mut from, mut seen) = (0, Vec::new());
    let follow = async {
        while seen.len() < 3 {
            tail.next().await;
            let events = bus.read("t", 0, from, 10).await.unwrap();
            from += events.len() as u64;
            seen.extend(values(&events));
        }
    };
    let tell = async {
        for value in ["1", "2", "3"] {
            publish(&bus, "t", &[("k", value)]).await;
        }
    };
    futures::future::join(follow, tell).await;
    assert_eq!(seen, ["1", "2", "3"]);
}

pub async fn a_key_is_parked_for_its_group_until_it_is_let_go(fresh: impl AsyncFn() -> Bench) {
    let Bench { bus, keep: _keep, .. } = fresh().await;
    topic(&bus, "t", 1).await;
    publish(&bus, "t", &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]).await;
    let mut reader = bus.subscribe("g", &["t"], "m").await.unwrap();
    let events = some(&mut reader, 4).await;
    let untried = reader.bury(vec![(&events[2], None)], 3).await;
    assert!(matches!(untried, Err(BusError::NotParked { .. })), "{untried:?}");
    reader.bury(vec![(&events[0], Some("cannot be read".into()))], 1).await.unwrap();
    assert!(bus.is_parked("g", "t", "a") && !bus.is_parked("g", "t", "b") && !bus.is_parked("h", "t", "a"));
    reader.bury(vec![(&events[2], None), (&events[3], None)], 4).await.unwrap();
    let parked = bus.parked("g");
    assert_eq!(parked.len(), 1);
    let found = &parked[0];
    assert_eq!((&*found.topic, found.key.as_str(), found.error.as_str(), found.waiting), ("t", "a", "cannot be read", 3));
    assert_eq!((found.first, found.last), (0, 2));
    until(&Some(0), || bus.lag().first().map(|lag| lag.events)).await;
    let letters = bus.dead_letters("t", 0, 0, 10).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.event.clone()).collect::<Vec<_>>(),
        [&events[0], &events[2], &events[3]].map(Clone::clone)
    );
    assert_eq!((letters[0].group.as_str(), letters[0].error.as_str()), ("g", "cannot be read"));
    assert_eq!(bus.waiting(found, 10).await.unwrap(), letters);
    // Another bus of the same topics knows of it too: the reader that comes next is one.
    drop(reader);
    bus.unearth(found, 1, 2).await.unwrap();
    let left = bus.parked_key("g", "t", "a").unwrap();
    assert_eq!((left.first, left.last, left.waiting), (2, 2, 1));
    assert_eq!(bus.skip("g", "t", "a").await.unwrap(), 1);
    assert!(bus.parked("g").is_empty() && !bus.is_parked("g", "t", "a"));
    assert!(matches!(bus.skip("g", "t", "a").await, Err(BusError::NotParked { .. })));
    assert_eq!(bus.end_offsets(&dead_letter_topic("t")).unwrap(), [3], "they stay readable");
}

/// For a floor that several processes share, each with a bus of its own: what one of them parks, another knows before it is handed an event.
pub async fn what_one_process_parks_another_knows(one: Bus, other: Bus) {
    topic(&one, "t", 1).await;
    publish(&one, "t", &[("a", "1"), ("a", "2")]).await;
    let mut reader = one.subscribe("g", &["t"], "m").await.unwrap();
    let events = some(&mut reader, 2).await;
    reader.bury(vec![(&events[0], Some("cannot be read".into()))], 1).await.unwrap();
    drop(reader);
    let mut heir = other.subscribe("g", &["t"], "n").await.unwrap();
    let left = some(&mut heir, 1).await;
    assert_eq!(values(&left), ["2"]);
    assert!(other.is_parked("g", "t", "a"), "it knows before it has the event");
    heir.bury(vec![(&left[0], None)], 2).await.unwrap();
    until(&Some(2), || one.parked("g").first().map(|parked| parked.waiting)).await;
    assert_eq!(one.skip("g", "t", "a").await.unwrap(), 2);
    until(&false, || other.is_parked("g", "t", "a")).await;
}
