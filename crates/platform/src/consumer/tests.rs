//! What consumers promise, over both stores.

mod late;
mod parked;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use super::*;
use crate::{
    bus::{
        To, TopicSettings, partition_of,
        tests::{World, on_both_stores, values},
    },
    fault::Rule,
};

on_both_stores!(
    events_of_a_key_are_handled_in_order,
    a_kill_between_effect_and_commit_brings_the_event_again,
    two_members_lose_nothing_and_repeat_nothing,
    what_fails_in_passing_is_tried_again_with_growing_pauses,
    a_short_answer_says_that_the_rest_was_not_tried,
    a_panic_is_blamed_on_its_event,
    it_stops_with_the_batch_in_hand,
    it_goes_where_the_group_is_put,
);

/// A handler that writes down what it handled and does as it is told.
#[derive(Default)]
struct Notebook {
    seen: Mutex<Vec<String>>,
    /// Values that cannot be handled, and how.
    wrong: Mutex<BTreeMap<String, HandlerError>>,
    /// Values at which it panics.
    panics: BTreeSet<String>,
    /// Values behind which it stands still, after the effect.
    stuck: Mutex<BTreeSet<String>>,
    free: Notify,
    wrote: Notify,
    one_at_a_time: bool,
}

impl Notebook {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_wrong(&self, value: &str, error: Option<HandlerError>) {
        let mut wrong = self.wrong.lock().unwrap();
        match error {
            Some(error) => drop(wrong.insert(value.to_owned(), error)),
            None => drop(wrong.remove(value)),
        }
    }

    async fn until(&self, count: usize) -> Vec<String> {
        while self.seen().len() < count {
            self.wrote.notified().await;
        }
        self.seen()
    }
}

impl Handler for Notebook {
    fn handle<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Result<(), HandlerError>>> {
        Box::pin(async move {
            let mut results = Vec::new();
            let mut failed = BTreeMap::new();
            for (event, value) in batch.iter().zip(values(batch)) {
                assert!(!self.panics.contains(value), "the notebook is full");
                let wrong = self.wrong.lock().unwrap().get(value).cloned();
                if let Some(error) = wrong.or_else(|| failed.get(&event.key).cloned()) {
                    failed.insert(event.key.clone(), error.clone());
                    results.push(Err(error));
                    continue;
                }
                self.seen.lock().unwrap().push(value.to_owned());
                self.wrote.notify_one();
                if self.stuck.lock().unwrap().contains(value) {
                    self.free.notified().await;
                }
                results.push(Ok(()));
                if self.one_at_a_time {
                    break;
                }
            }
            results
        })
    }
}

fn poison() -> Option<HandlerError> {
    Some(HandlerError::Poison("no such order".into()))
}

fn busy() -> Option<HandlerError> {
    Some(HandlerError::Retry("busy".into()))
}

/// One instance of a service that reads.
struct Instance {
    tasks: Tasks,
    consumer: Consumer,
}

fn start(world: &World, member: &str, notebook: &Arc<Notebook>) -> Instance {
    start_with(world, member, notebook, Asking::default())
}

fn start_with(world: &World, member: &str, notebook: &Arc<Notebook>, dead_letters: Asking) -> Instance {
    let tasks = Tasks::new("test", world.clock);
    let policy = Policy { max_batch: 8, retries: 3, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(1) };
    let setup = Setup {
        bus: world.bus.clone(),
        tasks: tasks.clone(),
        clock: world.clock,
        faults: world.faults.clone(),
        chance: Chance::seeded(7),
        task: "consumer",
        group: "g".into(),
        topics: vec!["t".into()],
        member: member.into(),
        policy,
        dead_letters,
    };
    let consumer = run(setup, notebook.clone());
    Instance { tasks, consumer }
}

impl Instance {
    /// Stops it, with all that it still has in hand, and lets the world go on without it.
    async fn stop(self) {
        assert!(self.tasks.drain(Duration::from_secs(3_600)).await);
    }
}

/// Waits until the group has read all that there is.
async fn caught_up(world: &World) {
    while world.bus.lag().iter().any(|lag| &*lag.topic == "t" && lag.events > 0) || world.bus.lag().is_empty() {
        tokio::task::yield_now().await;
        world.clock.sleep(Duration::from_millis(1)).await;
    }
}

/// A group has caught up a moment before its consumer has counted that: the answer comes from another thread.
async fn counted(world: &World, instance: &Instance, wanted: ConsumerStats) {
    for _ in 0..100_000 {
        if instance.consumer.stats() == wanted {
            return;
        }
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(instance.consumer.stats(), wanted);
}

async fn events_of_a_key_are_handled_in_order(world: World) {
    world.topic("t", 4).await;
    let notebook = Arc::new(Notebook::default());
    let instance = start(&world, "a", &notebook);
    for n in 0..60 {
        world.publish("t", &[(&format!("key-{}", n % 5), &format!("{}/{n:02}", n % 5))]).await;
    }
    let seen = notebook.until(60).await;
    for key in 0..5 {
        let of_key: Vec<_> = seen.iter().filter(|value| value.starts_with(&format!("{key}/"))).collect();
        assert!(of_key.len() == 12 && of_key.is_sorted(), "{of_key:?}");
    }
    caught_up(&world).await;
    counted(&world, &instance, ConsumerStats { handled: 60, retried: 0, dead_lettered: 0 }).await;
    instance.stop().await;
}

async fn a_kill_between_effect_and_commit_brings_the_event_again(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook { one_at_a_time: true, stuck: Mutex::new(["2".to_owned()].into()), ..Notebook::default() });
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    notebook.until(2).await;
    instance.tasks.kill();
    assert!(instance.tasks.drain(Duration::from_secs(1)).await);
    drop(instance);
    notebook.stuck.lock().unwrap().clear();
    let world = world.reopened();
    let again = start(&world, "a", &notebook);
    assert_eq!(notebook.until(4).await, ["1", "2", "2", "3"]);
    again.stop().await;
}

async fn two_members_lose_nothing_and_repeat_nothing(world: World) {
    world.topic("t", 6).await;
    let (by_a, by_b) = (Arc::new(Notebook::default()), Arc::new(Notebook::default()));
    let a = start(&world, "a", &by_a);
    let mut sent = Vec::new();
    let mut send = async |count: usize| {
        for _ in 0..count {
            let value = sent.len().to_string();
            world.publish("t", &[(&value, &value)]).await;
            sent.push(value);
        }
    };
    send(50).await;
    by_a.until(10).await;
    let b = start(&world, "b", &by_b);
    send(50).await;
    by_b.until(1).await;
    a.stop().await;
    send(50).await;
    caught_up(&world).await;
    b.stop().await;
    let mut all = [by_a.seen(), by_b.seen()].concat();
    all.sort_by_key(|value| value.parse::<usize>().unwrap());
    assert_eq!(all, sent);
}

async fn what_fails_in_passing_is_tried_again_with_growing_pauses(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", busy());
    world.publish("t", &[("k", "1"), ("other", "2"), ("k", "3")]).await;
    let start_at = world.clock.now();
    let instance = start(&world, "a", &notebook);
    while instance.consumer.stats().retried < 2 {
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    let waited = world.clock.now().since(start_at);
    assert!(waited >= Duration::from_millis(50) && waited <= Duration::from_millis(110), "one pause of 50 to 100 ms: {waited:?}");
    notebook.set_wrong("1", None);
    let seen = notebook.until(3).await;
    assert_eq!(seen, ["2", "1", "3"], "another key went on; what was handled does not come again");
    let waited = world.clock.now().since(start_at);
    assert!(waited >= Duration::from_millis(150) && waited <= Duration::from_millis(310), "{waited:?}");
    caught_up(&world).await;
    counted(&world, &instance, ConsumerStats { handled: 3, retried: 2, dead_lettered: 0 }).await;
    instance.stop().await;
}

async fn a_short_answer_says_that_the_rest_was_not_tried(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook { one_at_a_time: true, ..Notebook::default() });
    world.publish("t", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let instance = start(&world, "a", &notebook);
    caught_up(&world).await;
    assert_eq!(notebook.seen(), ["1", "2", "3"]);
    instance.stop().await;
}

async fn a_panic_is_blamed_on_its_event(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook { panics: ["2".to_owned()].into(), ..Notebook::default() });
    world.publish("t", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let instance = start(&world, "a", &notebook);
    caught_up(&world).await;
    let parked = world.bus.parked("g");
    assert_eq!((parked.len(), parked[0].key.as_str()), (1, "b"));
    assert!(parked[0].error.contains("the notebook is full"), "{}", parked[0].error);
    assert_eq!(notebook.seen().last().map(String::as_str), Some("3"));
    instance.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_stops_at_the_first_failure() {
    let world = World::memory();
    world.topic("t", 1).await;
    world.publish("t", &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    let batch = world.bus.read("t", 0, 0, 10).await.unwrap();
    let results =
        each(&batch, |event| async move { if event.value == "2" { Err(HandlerError::Retry("busy".into())) } else { Ok(()) } }).await;
    assert_eq!(results, [Ok(()), Err(HandlerError::Retry("busy".into()))]);
}

async fn it_stops_with_the_batch_in_hand(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook { one_at_a_time: true, stuck: Mutex::new(["1".to_owned()].into()), ..Notebook::default() });
    world.publish("t", &[("k", "1"), ("k", "2")]).await;
    let instance = start(&world, "a", &notebook);
    notebook.until(1).await;
    let let_go = async {
        world.clock.sleep(Duration::from_secs(5)).await;
        notebook.free.notify_one();
    };
    futures::future::join(instance.stop(), let_go).await;
    assert_eq!(notebook.seen(), ["1"], "nothing new was begun");
    assert_eq!((world.bus.lag()[0].committed, &world.bus.lag()[0].member), (1, &None));
}

async fn it_goes_where_the_group_is_put(world: World) {
    world.bus.create_topic("t", TopicSettings { partitions: 1, retention: None }).await.unwrap();
    let notebook = Arc::new(Notebook::default());
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("k", "1"), ("k", "2")]).await;
    caught_up(&world).await;
    world.bus.seek("g", "t", 0, crate::bus::To::Offset(1)).await.unwrap();
    assert_eq!(notebook.until(3).await, ["1", "2", "2"]);
    instance.stop().await;
}
