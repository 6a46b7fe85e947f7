//! What comes late, twice, out of turn or not at all: the faults at `bus.deliver`.

use super::*;

on_both_stores!(
    a_dropped_delivery_is_lost_to_the_group,
    a_duplicated_delivery_comes_twice,
    a_reordered_delivery_is_overtaken_by_the_next_of_its_key,
    a_held_delivery_comes_once_it_is_let_go,
);

async fn a_dropped_delivery_is_lost_to_the_group(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.deliver", Rule::Drop, Some("a"));
    let notebook = Arc::new(Notebook::default());
    let instance = start(&world, "a", &notebook);
    world.publish("t", &[("b", "1"), ("a", "2")]).await;
    caught_up(&world).await;
    world.publish("t", &[("a", "3")]).await;
    caught_up(&world).await;
    world.publish("t", &[("b", "4")]).await;
    assert_eq!(notebook.until(2).await, ["1", "4"]);
    assert_eq!(world.bus.read("t", 0, 0, 10).await.unwrap().len(), 4, "the log has them");
    instance.stop().await;
}

async fn a_duplicated_delivery_comes_twice(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.deliver", Rule::Duplicate, Some("a"));
    let notebook = Arc::new(Notebook::default());
    world.publish("t", &[("b", "1"), ("a", "2"), ("b", "3")]).await;
    let instance = start(&world, "a", &notebook);
    assert_eq!(notebook.until(4).await, ["1", "2", "2", "3"]);
    caught_up(&world).await;
    instance.stop().await;
}

async fn a_reordered_delivery_is_overtaken_by_the_next_of_its_key(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.deliver", Rule::Reorder, Some("a"));
    let notebook = Arc::new(Notebook::default());
    world.publish("t", &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5")]).await;
    let instance = start(&world, "a", &notebook);
    assert_eq!(notebook.until(4).await, ["2", "3", "1", "5"]);
    assert_eq!(world.bus.lag()[0].committed, 3, "what waits to be overtaken is not committed");
    assert_eq!(notebook.until(5).await[4], "4", "it waits for a while only");
    caught_up(&world).await;
    instance.stop().await;
}

async fn a_held_delivery_comes_once_it_is_let_go(world: World) {
    world.topic("t", 1).await;
    world.fault("bus.deliver", Rule::Hold, Some("a"));
    let notebook = Arc::new(Notebook::default());
    world.publish("t", &[("a", "1")]).await;
    let instance = start(&world, "a", &notebook);
    world.clock.sleep(Duration::from_secs(60)).await;
    assert!(notebook.seen().is_empty());
    world.faults.clear(None);
    assert_eq!(notebook.until(1).await, ["1"]);
    world.fault("bus.deliver", Rule::Delay, None);
    let published = world.clock.now();
    world.publish("t", &[("a", "2"), ("b", "3")]).await;
    notebook.until(3).await;
    assert_eq!(world.clock.now().since(published), Duration::from_millis(20), "each is late, they are not slow");
    instance.stop().await;
}
