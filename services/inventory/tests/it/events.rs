//! What is announced: by whom it can be told apart, in which order, and never without its effect.

use std::time::Duration;

use platform::fault::{Fault, Rule, Scope};
use serde_json::json;

use crate::{Inventory, US, order};

#[tokio::test(start_paused = true)]
async fn each_step_is_told_with_what_it_did() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.claim(&held).await;
    let other = inventory.hold(order(2), "LAMP", 2).await;
    inventory.release(&other).await;
    inventory.pass(Duration::from_secs(1)).await;
    let lines = |units: i64| json!([{"sku": "LAMP", "warehouse": US, "quantity": units}]);
    let reserved = inventory.events("inventory.reserved.v1").await;
    let first = reserved.iter().find(|event| event["order_id"] == json!(order(1))).unwrap();
    assert_eq!(
        (reserved.len(), &first["reservation_id"], &first["fencing_token"], &first["lines"]),
        (2, &json!(held.reservation_id), &json!(held.fencing_token), &lines(3))
    );
    let claimed = inventory.events("inventory.claimed.v1").await;
    assert_eq!((claimed.len(), &claimed[0]["reservation_id"], &claimed[0]["lines"]), (1, &json!(held.reservation_id), &lines(3)));
    let released = inventory.events("inventory.released.v1").await;
    assert_eq!(
        (released.len(), &released[0]["reservation_id"], &released[0]["reason"], &released[0]["lines"]),
        (1, &json!(other.reservation_id), &json!("released"), &lines(2))
    );
    let adjusted = inventory.events("inventory.adjusted.v1").await;
    assert_eq!(
        (adjusted.len(), &adjusted[0]["delta"], &adjusted[0]["on_hand"], &adjusted[0]["reason"]),
        (1, &json!(10), &json!(10), &json!("count"))
    );
    let keys: Vec<_> = inventory.facts("outbox").await.iter().map(|fact| fact["key"].as_str().unwrap().to_owned()).collect();
    let (one, two) = (held.reservation_id.to_string(), other.reservation_id.to_string());
    assert_eq!(keys, ["LAMP", &one, &one, &two, &two]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_nothing() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    inventory.ask(order(1), "LAMP", 2).await;
    inventory.adjust("LAMP", US, -2).await;
    inventory.pass(Duration::from_secs(1)).await;
    assert_eq!(inventory.facts("outbox").await.len(), 1, "the stock's own");
    assert!(inventory.events("inventory.reserved.v1").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_down_stock_is_held_and_told_later() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    inventory.pass(Duration::from_secs(1)).await;
    let down = Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: None };
    inventory.world.faults().set("bus.publish", down).unwrap();
    let held = inventory.hold(order(1), "LAMP", 1).await;
    inventory.pass(Duration::from_secs(5)).await;
    assert!(inventory.events("inventory.reserved.v1").await.is_empty());
    inventory.world.faults().clear(None);
    inventory.pass(Duration::from_secs(60)).await;
    let told = inventory.events("inventory.reserved.v1").await;
    assert_eq!((told.len(), &told[0]["reservation_id"]), (1, &json!(held.reservation_id)));
}

#[tokio::test(start_paused = true)]
async fn when_the_store_does_not_answer_the_caller_is_told_to_try_again_and_nothing_has_happened() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let before = inventory.everything().await;
    let down = Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: None };
    inventory.world.faults().set("store.commit", down).unwrap();
    let got = inventory.ask(order(1), "LAMP", 1).await;
    assert_eq!((got.status.as_u16(), got.slug().as_str(), got.header("retry-after")), (503, "unavailable", Some("1")));
    inventory.world.faults().clear(None);
    assert_eq!(inventory.everything().await.1, before.1);
    assert_eq!(inventory.ask(order(1), "LAMP", 1).await.status, 201);
}
