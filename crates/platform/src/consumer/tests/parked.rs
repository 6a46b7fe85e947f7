//! What cannot be handled: it goes to the dead letters and its key waits there, or everything behind it waits.

use super::*;

on_both_stores!(
    what_never_succeeds_is_poison_after_its_retries,
    what_waits_for_its_store_is_never_set_aside,
    poison_parks_its_key_only,
    without_dead_letters_all_behind_poison_wait_until_its_key_may_be_parked,
    without_dead_letters_it_goes_on_once_the_event_can_be_handled_or_is_passed_over,
    parked_keys_survive_a_restart,
    a_replay_hands_out_all_that_waited_in_order,
    a_replay_stops_at_what_still_fails,
    a_skip_frees_the_key,
    dead_letters_wait_for_a_bus_that_refuses,
);

async fn what_never_succeeds_is_poison_after_its_retries(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", busy());
    world.publish("t", &[("k", "1"), ("other", "2")]).await;
    let instance = start(&world, "a", &notebook);
    caught_up(&world).await;
    counted(&world, &instance, ConsumerStats { handled: 1, retried: 3, dead_lettered: 1 }).await;
    assert_eq!(world.bus.parked("g")[0].error, "busy");
    instance.stop().await;
}

async fn what_waits_for_its_store_is_never_set_aside(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", Some(HandlerError::Unavailable("the store is away".into())));
    world.publish("t", &[("k", "1"), ("other", "2"), ("k", "3")]).await;
    let instance = start(&world, "a", &notebook);
    // Three retries is what any other reason would have.
    while instance.consumer.stats().retried < 20 {
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    assert!(world.bus.parked("g").is_empty());
    notebook.set_wrong("1", None);
    assert_eq!(notebook.until(3).await, ["2", "1", "3"]);
    caught_up(&world).await;
    assert_eq!(instance.consumer.stats().dead_lettered, 0);
    instance.stop().await;
}

async fn poison_parks_its_key_only(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("a2", poison());
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("a", "a1"), ("a", "a2"), ("b", "b1")]).await;
    caught_up(&world).await;
    world.publish("t", &[("a", "a3"), ("b", "b2"), ("a", "a4")]).await;
    caught_up(&world).await;
    assert_eq!(notebook.seen(), ["a1", "b1", "b2"]);
    let parked = world.bus.parked("g");
    assert_eq!(parked.len(), 1);
    assert_eq!((&*parked[0].topic, parked[0].key.as_str(), parked[0].waiting, parked[0].error.as_str()), ("t", "a", 3, "no such order"));
    assert!(world.bus.parked("another").is_empty());
    let letters = world.bus.dead_letters("t", 0, 0, 10).await.unwrap();
    let events: Vec<Delivery> = letters.iter().map(|letter| letter.event.clone()).collect();
    assert_eq!(values(&events), ["a2", "a3", "a4"]);
    assert_eq!(events[0], world.bus.read("t", 0, 1, 1).await.unwrap()[0], "as it was");
    assert_eq!((letters[0].group.as_str(), letters[0].error.as_str()), ("g", "no such order"));
    assert_eq!(letters[1].error, "an earlier event of this key waits");
    counted(&world, &instance, ConsumerStats { handled: 3, retried: 0, dead_lettered: 3 }).await;
    instance.stop().await;
}

async fn without_dead_letters_all_behind_poison_wait_until_its_key_may_be_parked(world: World) {
    world.topic("t", 2).await;
    let mut near = (0..).map(|key| key.to_string()).filter(|key| partition_of(key, 2) == 0);
    let (bad, behind) = (near.next().unwrap(), near.next().unwrap());
    let elsewhere = (0..).map(|key| key.to_string()).find(|key| partition_of(key, 2) == 1).unwrap();
    let parks = Arc::new(Mutex::new(DeadLetters::Never));
    let asked = parks.clone();
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", poison());
    world.publish("t", &[(&bad, "1"), (&behind, "2"), (&elsewhere, "3"), (&bad, "4")]).await;
    let instance = start_with(&world, "a", &notebook, Asking::new(move || *asked.lock().unwrap()));
    world.clock.sleep(Duration::from_secs(60)).await;
    world.publish("t", &[(&elsewhere, "5"), (&behind, "6")]).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(notebook.seen(), ["3", "5"]);
    assert!(world.bus.parked("g").is_empty());
    assert_eq!(world.bus.lag().iter().map(|lag| lag.events).collect::<Vec<_>>(), [4, 0]);
    let stats = instance.consumer.stats();
    assert!(stats.retried >= 60 && stats.dead_lettered == 0, "tried for ever, a second apart at the longest: {stats:?}");
    *parks.lock().unwrap() = DeadLetters::Park;
    caught_up(&world).await;
    assert_eq!(notebook.until(4).await, ["3", "5", "2", "6"]);
    let parked = world.bus.parked("g");
    assert_eq!((parked.len(), parked[0].key.as_str(), parked[0].waiting), (1, bad.as_str(), 2));
    instance.stop().await;
}

async fn without_dead_letters_it_goes_on_once_the_event_can_be_handled_or_is_passed_over(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", busy());
    world.publish("t", &[("a", "1"), ("b", "2"), ("a", "3")]).await;
    let instance = start_with(&world, "a", &notebook, Asking::new(|| DeadLetters::Never));
    world.clock.sleep(Duration::from_secs(60)).await;
    assert!(notebook.seen().is_empty(), "{:?}", notebook.seen());
    notebook.set_wrong("1", None);
    assert_eq!(notebook.until(3).await, ["1", "2", "3"]);
    notebook.set_wrong("4", poison());
    world.publish("t", &[("a", "4"), ("b", "5")]).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(world.bus.lag()[0].committed, 3);
    world.bus.seek("g", "t", 0, To::Offset(4)).await.unwrap();
    assert_eq!(notebook.until(4).await, ["1", "2", "3", "5"]);
    caught_up(&world).await;
    assert_eq!(instance.consumer.stats().dead_lettered, 0);
    instance.stop().await;
}

async fn parked_keys_survive_a_restart(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", poison());
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("k", "1")]).await;
    caught_up(&world).await;
    let parked = world.bus.parked("g");
    instance.stop().await;
    let world = world.reopened();
    assert_eq!(world.bus.parked("g"), parked);
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("k", "2"), ("other", "3")]).await;
    caught_up(&world).await;
    assert_eq!(notebook.seen(), ["3"]);
    assert_eq!(world.bus.parked("g")[0].waiting, 2);
    instance.stop().await;
}

/// A world in which `a2` could not be handled and `a3` to `a20` came behind it, among others.
async fn with_a_parked_key(world: &World, notebook: &Arc<Notebook>) -> Instance {
    world.topic("t", 1).await;
    notebook.set_wrong("a2", poison());
    let instance = start(world, "a", notebook);
    for n in 1..=20 {
        world.publish("t", &[("a", &format!("a{n}")), ("b", &format!("b{n}"))]).await;
    }
    caught_up(world).await;
    assert_eq!(world.bus.parked("g")[0].waiting, 19);
    notebook.seen.lock().unwrap().clear();
    instance
}

async fn a_replay_hands_out_all_that_waited_in_order(world: World) {
    let notebook = Arc::new(Notebook::default());
    let instance = with_a_parked_key(&world, &notebook).await;
    notebook.set_wrong("a2", None);
    let replayed = instance.consumer.replay("t", "a").await.unwrap();
    assert_eq!(replayed, Replayed { handled: 19, left: 0, error: None });
    assert_eq!(notebook.seen(), (2..=20).map(|n| format!("a{n}")).collect::<Vec<_>>());
    assert!(world.bus.parked("g").is_empty());
    assert!(matches!(instance.consumer.replay("t", "a").await, Err(BusError::NotParked { .. })));
    world.publish("t", &[("a", "a21")]).await;
    assert_eq!(notebook.until(20).await.last().map(String::as_str), Some("a21"), "the key is handled again");
    instance.stop().await;
}

async fn a_replay_stops_at_what_still_fails(world: World) {
    let notebook = Arc::new(Notebook::default());
    let instance = with_a_parked_key(&world, &notebook).await;
    notebook.set_wrong("a2", None);
    notebook.set_wrong("a11", busy());
    let replayed = instance.consumer.replay("t", "a").await.unwrap();
    assert_eq!(replayed, Replayed { handled: 9, left: 10, error: busy() });
    assert!(notebook.seen().starts_with(&["a2".to_owned(), "a3".to_owned()]));
    notebook.set_wrong("a11", None);
    notebook.seen.lock().unwrap().clear();
    assert_eq!(instance.consumer.replay("t", "a").await.unwrap().handled, 10, "what was handled does not come again");
    assert_eq!(notebook.seen().first().map(String::as_str), Some("a11"));
    instance.stop().await;
}

async fn a_skip_frees_the_key(world: World) {
    let notebook = Arc::new(Notebook::default());
    let instance = with_a_parked_key(&world, &notebook).await;
    assert_eq!(instance.consumer.skip("t", "a").await.unwrap(), 19);
    assert!(matches!(world.bus.skip("g", "t", "a").await, Err(BusError::NotParked { .. })));
    world.publish("t", &[("a", "a21")]).await;
    assert_eq!(notebook.until(1).await, ["a21"]);
    assert_eq!(world.bus.dead_letters("t", 0, 0, 100).await.unwrap().len(), 19, "they stay readable");
    instance.stop().await;
}

async fn dead_letters_wait_for_a_bus_that_refuses(world: World) {
    world.topic("t", 1).await;
    let notebook = Arc::new(Notebook::default());
    notebook.set_wrong("1", poison());
    world.publish("t", &[("k", "1"), ("other", "2")]).await;
    world.fault("bus.publish", Rule::Fail, None);
    let instance = start(&world, "a", &notebook);
    world.clock.sleep(Duration::from_secs(30)).await;
    assert_eq!(world.bus.lag()[0].committed, 0, "it is not lost meanwhile");
    world.faults.clear(None);
    caught_up(&world).await;
    assert_eq!(world.bus.parked("g")[0].waiting, 1);
    instance.stop().await;
}
