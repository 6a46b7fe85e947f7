//! POST /inventory/reserve.

use std::time::Duration;

use inventory_api::{Reservation, ReservationStatus};
use serde_json::json;

use crate::{EU, Inventory, US, order, pointers};

#[tokio::test(start_paused = true)]
async fn a_hold_takes_its_units_and_says_what_it_is() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let body = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 3}], "ttlSeconds": 30});
    let got = inventory.post("/inventory/reserve", &body).await;
    assert_eq!(got.status, 201);
    let held: Reservation = got.view();
    assert_eq!(got.header("location"), Some(format!("/inventory/reservations/{}", held.reservation_id).as_str()));
    assert_eq!((held.order_id, held.status, held.items[0].warehouse.as_str()), (order(1), ReservationStatus::Held, US));
    let left = held.expires_at.since(inventory.world.clock().now());
    assert!(left > Duration::from_secs(29) && left <= Duration::from_secs(30), "{left:?}");
    assert_eq!(inventory.counters("LAMP").await, (10, 3, 0, 7));
    assert_eq!(inventory.reservation(&held).await, held);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_time_to_live_it_is_the_settings() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    let left = held.expires_at.since(inventory.world.clock().now());
    assert!(left > Duration::from_secs(599) && left <= Duration::from_secs(600), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_for_is_refused_with_a_pointer_and_changes_nothing() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let before = inventory.everything().await;
    let line = |sku: &str, quantity: i64| json!({"sku": sku, "quantity": quantity});
    let many: Vec<_> = (0..101).map(|number| line(&format!("S{number}"), 1)).collect();
    for (body, wrong) in [
        (json!({"orderId": order(1), "items": []}), vec!["#/items"]),
        (json!({"orderId": order(1), "items": many}), vec!["#/items"]),
        (json!({"orderId": order(1), "items": [line("LAMP", 1), line("LAMP", 2)]}), vec!["#/items/1/sku"]),
        (json!({"orderId": order(1), "items": [line("LAMP", 0)]}), vec!["#/items/0/quantity"]),
        (
            json!({"orderId": order(1), "items": [line("LAMP", 1), line("DESK", 1), line("SOFA", 1)]}),
            vec!["#/items/1/sku", "#/items/2/sku"],
        ),
        (json!({"orderId": order(1), "items": [line("LAMP", 1)], "ttlSeconds": 0}), vec!["#/ttlSeconds"]),
        (json!({"orderId": order(1), "items": [line("LAMP", 1)], "ttlSeconds": 86_401}), vec!["#/ttlSeconds"]),
        (json!({"orderId": order(1), "items": [line("LAMP", 1)], "colour": "red"}), vec!["#/colour"]),
        (json!({"orderId": "1", "items": [line("LAMP", 1)]}), vec!["#/orderId"]),
    ] {
        let got = inventory.post("/inventory/reserve", &body).await;
        assert_eq!(
            (got.status.as_u16(), got.slug().as_str(), pointers(&got)),
            (422, "invalid", wrong.iter().map(|at| (*at).to_owned()).collect()),
            "{body}"
        );
    }
    assert_eq!(inventory.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn too_little_of_one_line_holds_nothing_of_any_and_says_what_there_is() {
    let inventory = Inventory::with(&[("LAMP", US, 10), ("DESK", US, 2), ("DESK", EU, 1)]).await;
    let before = inventory.everything().await;
    let body = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 3}, {"sku": "DESK", "quantity": 4}]});
    let got = inventory.post("/inventory/reserve", &body).await;
    assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "insufficient-stock"));
    assert_eq!(got.json()["available"], json!({"LAMP": 10, "DESK": 3}));
    assert_eq!(pointers(&got), ["#/items/1/quantity"]);
    assert_eq!(inventory.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn the_warehouse_that_was_asked_for_comes_first_then_the_nearest_then_parcels_are_split() {
    let inventory =
        Inventory::with(&[("LAMP", US, 5), ("LAMP", EU, 5), ("LAMP", "apac-south", 5), ("LAMP", "attic", 5), ("DESK", EU, 1)]).await;
    let picked = async |body: serde_json::Value| {
        let held: Reservation = inventory.post("/inventory/reserve", &body).await.view();
        let lines = held.items.iter().map(|item| format!("{}×{}@{}", item.quantity, item.sku, item.warehouse)).collect::<Vec<_>>();
        inventory.release(&held).await;
        lines.join(" ")
    };
    let lamps = |quantity: i64| json!([{"sku": "LAMP", "quantity": quantity}]);
    assert_eq!(picked(json!({"orderId": order(1), "items": lamps(2)})).await, "2×LAMP@us-east");
    assert_eq!(picked(json!({"orderId": order(2), "items": lamps(2), "region": "EU"})).await, "2×LAMP@eu-central");
    assert_eq!(picked(json!({"orderId": order(3), "items": lamps(2), "region": "APAC"})).await, "2×LAMP@apac-south");
    assert_eq!(picked(json!({"orderId": order(4), "items": lamps(2), "region": "EU", "warehouse": "attic"})).await, "2×LAMP@attic");
    assert_eq!(picked(json!({"orderId": order(5), "items": lamps(2), "warehouse": "nowhere"})).await, "2×LAMP@us-east");
    let both = json!([{"sku": "LAMP", "quantity": 2}, {"sku": "DESK", "quantity": 1}]);
    assert_eq!(picked(json!({"orderId": order(6), "items": both})).await, "2×LAMP@eu-central 1×DESK@eu-central");
    assert_eq!(picked(json!({"orderId": order(7), "items": lamps(12)})).await, "5×LAMP@us-east 5×LAMP@eu-central 2×LAMP@apac-south");
    let split = json!([{"sku": "LAMP", "quantity": 7}, {"sku": "DESK", "quantity": 1}]);
    assert_eq!(picked(json!({"orderId": order(8), "items": split})).await, "5×LAMP@us-east 2×LAMP@eu-central 1×DESK@eu-central");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_has_a_reservation_gets_it_again_and_never_a_second() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let before = inventory.everything().await;
    assert_eq!(inventory.hold(order(1), "LAMP", 3).await, held);
    let other = inventory.ask(order(1), "LAMP", 4).await;
    assert_eq!((other.status.as_u16(), other.slug().as_str()), (409, "order-reserved"));
    assert_eq!(other.json()["reservationId"], json!(held.reservation_id));
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.claim(&held).await.status, 200);
    assert_eq!(inventory.hold(order(1), "LAMP", 3).await.status, ReservationStatus::Claimed);
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7));
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_hold_has_ended_may_hold_again_under_a_higher_token() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let first = inventory.hold(order(1), "LAMP", 1).await;
    inventory.pass(Duration::from_secs(600)).await;
    let second = inventory.hold(order(1), "LAMP", 1).await;
    assert_ne!(second.reservation_id, first.reservation_id);
    assert!(second.fencing_token > first.fencing_token);
    inventory.release(&second).await;
    let third = inventory.hold(order(1), "LAMP", 1).await;
    assert!(third.fencing_token > second.fencing_token);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_answered_the_same_and_another_body_under_it_is_refused() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let body = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 3}]});
    let first = inventory.post_with_key("/inventory/reserve", &body, "k").await;
    let held: Reservation = first.view();
    inventory.release(&held).await;
    let before = inventory.everything().await;
    let again = inventory.post_with_key("/inventory/reserve", &body, "k").await;
    assert_eq!((again.status, &again.body, again.header("location")), (first.status, &first.body, first.header("location")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 4}]});
    let got = inventory.post_with_key("/inventory/reserve", &other, "k").await;
    assert_eq!((got.status.as_u16(), got.slug().as_str()), (422, "idempotency-key-reused"));
    assert_eq!(inventory.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_use_the_key_up() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let body = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 2}]});
    assert_eq!(inventory.post_with_key("/inventory/reserve", &body, "k").await.status, 409);
    inventory.adjust("LAMP", US, 1).await;
    assert_eq!(inventory.post_with_key("/inventory/reserve", &body, "k").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_and_its_stock_outlive_the_service() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.world.kill("inventory", 0);
    inventory.pass(Duration::from_secs(1)).await;
    inventory.world.start(&inventory::MANIFEST, 0).await.unwrap();
    assert_eq!(inventory.reservation(&held).await, held);
    assert_eq!(inventory.claim(&held).await.status, 200);
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7));
    let next = inventory.hold(order(2), "LAMP", 1).await;
    assert!(next.fencing_token > held.fencing_token, "a token is never given twice");
}
