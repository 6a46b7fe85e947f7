//! POST /inventory/adjust.

use std::time::Duration;

use inventory_api::Stock;
use serde_json::json;

use crate::{EU, Inventory, US, order, pointers};

#[tokio::test(start_paused = true)]
async fn the_first_adjustment_is_a_receipt_and_the_later_ones_are_signed() {
    let inventory = Inventory::with(&[]).await;
    let got = inventory.adjust("LAMP", US, 10).await;
    assert_eq!(got.status, 200);
    let stock: Stock = got.view();
    assert_eq!((stock.sku.as_str(), stock.warehouses[0].on_hand, stock.warehouses[0].available), ("LAMP", 10, 10));
    inventory.adjust("LAMP", US, 5).await;
    inventory.adjust("LAMP", US, -3).await;
    inventory.adjust("LAMP", EU, 1).await;
    assert_eq!(inventory.counters("LAMP").await, (13, 0, 0, 13));
    let journal: Vec<_> = inventory
        .facts("movements")
        .await
        .iter()
        .map(|fact| {
            (fact["kind"].as_str().unwrap().to_owned(), fact["warehouse"].as_str().unwrap().to_owned(), fact["quantity"].as_i64().unwrap())
        })
        .collect();
    let line = |kind: &str, warehouse: &str, units: i64| (kind.to_owned(), warehouse.to_owned(), units);
    assert_eq!(journal, [line("receipt", US, 10), line("adjust", US, 5), line("adjust", US, -3), line("receipt", EU, 1)]);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn below_zero_is_refused_also_where_nothing_ever_was() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let before = inventory.everything().await;
    for (sku, warehouse, delta) in [("LAMP", US, -11), ("LAMP", EU, -1), ("DESK", US, -1)] {
        let body = json!({"sku": sku, "warehouse": warehouse, "delta": delta, "reason": "count", "allowShortfall": true});
        let got = inventory.post("/inventory/adjust", &body).await;
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "stock-below-zero"), "{sku} {warehouse}");
    }
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.get("/inventory/DESK").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_or_claimed_is_taken_away_only_knowingly_and_then_it_is_told() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let claimed = inventory.hold(order(1), "LAMP", 4).await;
    inventory.claim(&claimed).await;
    inventory.hold(order(2), "LAMP", 3).await;
    let before = inventory.everything().await;
    let got = inventory.adjust("LAMP", US, -4).await;
    assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "stock-committed"));
    assert_eq!((&got.json()["onHand"], &got.json()["committed"]), (&json!(10), &json!(7)));
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.adjust("LAMP", US, -3).await.status, 200, "down to what is held and claimed");
    let body = json!({"sku": "LAMP", "warehouse": US, "delta": -2, "reason": "broken", "allowShortfall": true});
    let short: Stock = inventory.post("/inventory/adjust", &body).await.view();
    assert_eq!(short.warehouses[0].available, -2);
    assert_eq!(inventory.ask(order(3), "LAMP", 1).await.json()["available"], json!({"LAMP": 0}));
    assert_eq!(inventory.adjust("LAMP", US, 1).await.status, 200, "more is always welcome");
    inventory.pass(Duration::from_secs(1)).await;
    let told = inventory.events("inventory.shortfall.v1").await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["sku"], &told[0]["warehouse"], &told[0]["missing"]), (&json!("LAMP"), &json!(US), &json!(2)));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_adjustment_that_makes_no_sense_is_refused() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let before = inventory.everything().await;
    for (change, wrong) in [
        (json!({"delta": 0}), "#/delta"),
        (json!({"delta": 1_000_001}), "#/delta"),
        (json!({"delta": i64::MIN}), "#/delta"),
        (json!({"delta": 1.5}), "#/delta"),
        (json!({"reason": " "}), "#/reason"),
        (json!({"sku": "a b"}), "#/sku"),
        (json!({"warehouse": ""}), "#/warehouse"),
        (json!({"extra": 1}), "#/extra"),
    ] {
        let mut body = json!({"sku": "LAMP", "warehouse": US, "delta": 1, "reason": "count"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let got = inventory.post("/inventory/adjust", &body).await;
        assert_eq!((got.status.as_u16(), pointers(&got)), (422, vec![wrong.to_owned()]), "{body}");
    }
    assert_eq!(inventory.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_sku_is_in_a_hundred_warehouses_at_most() {
    let inventory = Inventory::with(&[]).await;
    for number in 0..100 {
        assert_eq!(inventory.adjust("LAMP", &format!("w{number}"), 1).await.status, 200);
    }
    let got = inventory.adjust("LAMP", "w100", 1).await;
    assert_eq!((got.status.as_u16(), pointers(&got)), (422, vec!["#/warehouse".to_owned()]));
    assert_eq!(inventory.adjust("LAMP", "w99", 1).await.status, 200, "those that are there can grow");
    let held = inventory.hold(order(1), "LAMP", 101).await;
    assert_eq!(held.items.len(), 100);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_adjustment_under_its_key_counts_once() {
    let inventory = Inventory::with(&[]).await;
    let body = json!({"sku": "LAMP", "warehouse": US, "delta": 10, "reason": "delivery"});
    let first = inventory.post_with_key("/inventory/adjust", &body, "delivery-1").await;
    let again = inventory.post_with_key("/inventory/adjust", &body, "delivery-1").await;
    assert_eq!((again.status, &again.body, again.header("idempotency-replayed")), (first.status, &first.body, Some("true")));
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
}
