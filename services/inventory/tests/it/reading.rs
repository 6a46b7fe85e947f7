//! What can be looked at: stock, reservations, facts.

use std::time::Duration;

use inventory_api::Reservation;
use platform::http::Page;
use serde_json::json;

use crate::{EU, Inventory, US, order, pointers};

#[tokio::test(start_paused = true)]
async fn stock_is_shown_by_warehouse() {
    let inventory = Inventory::with(&[("LAMP", US, 10), ("LAMP", EU, 4)]).await;
    inventory.hold(order(1), "LAMP", 3).await;
    assert_eq!(
        inventory.get("/inventory/LAMP").await.json(),
        json!({"sku": "LAMP", "warehouses": [
            {"warehouse": EU, "onHand": 4, "held": 0, "claimed": 0, "available": 4},
            {"warehouse": US, "onHand": 10, "held": 3, "claimed": 0, "available": 7},
        ]})
    );
    for unknown in ["/inventory/DESK", "/inventory/a%20b"] {
        let got = inventory.get(unknown).await;
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (404, "not-found"), "{unknown}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_comes_in_pages_and_can_be_asked_for_one_sku() {
    let stock: Vec<_> = (0..7).map(|number| format!("SKU-{number}")).collect();
    let inventory = Inventory::with(&[]).await;
    for sku in &stock {
        inventory.adjust(sku, US, 1).await;
        inventory.adjust(sku, EU, 2).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/inventory?limit=3".to_owned());
    loop {
        let page = inventory.get(&path).await.json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["warehouses"].as_array().unwrap().len(), 2);
            seen.push(item["sku"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/inventory?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, stock);
    assert_eq!(inventory.get("/inventory?sku=SKU-3").await.json()["items"][0]["sku"], json!("SKU-3"));
    assert_eq!(inventory.get("/inventory?sku=NONE").await.json(), json!({"items": [], "nextCursor": null}));
    for (query, wrong) in
        [("limit=0", "#/limit"), ("limit=201", "#/limit"), ("cursor=x", "#/cursor"), ("colour=red", "#/colour"), ("sku=a/b", "#/sku")]
    {
        let got = inventory.get(&format!("/inventory?{query}")).await;
        assert_eq!((got.status.as_u16(), pointers(&got)), (422, vec![wrong.to_owned()]), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orders_reservations_are_listed_the_newest_first() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let held = inventory.hold(order(1), "LAMP", 1).await;
        inventory.release(&held).await;
        made.insert(0, held.reservation_id);
    }
    inventory.hold(order(2), "LAMP", 1).await;
    let of = async |query: &str| {
        inventory.get(&format!("/inventory/reservations?orderId={}{query}", order(1))).await.view::<Page<Reservation>>()
    };
    let first = of("&limit=2").await;
    let rest = of(&format!("&limit=2&cursor={}", first.next_cursor.as_deref().unwrap())).await;
    let ids: Vec<_> = first.items.iter().chain(&rest.items).map(|reservation| reservation.reservation_id).collect();
    assert_eq!((ids, rest.next_cursor), (made, None));
    assert_eq!(inventory.get("/inventory/reservations").await.status, 422);
    assert_eq!(inventory.get(&format!("/inventory/reservations/{}", order(9))).await.status, 404);
    assert_eq!(inventory.get("/inventory/reservations/nothing").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn facts_have_the_fields_that_the_checks_rely_on() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.claim(&held).await;
    let released = inventory.hold(order(2), "LAMP", 1).await;
    inventory.release(&released).await;
    let at = |fact: &serde_json::Value| fact["at"].as_str().unwrap().parse::<types::Timestamp>().is_ok();
    let stock = inventory.facts("stock").await;
    assert_eq!(stock.len(), 1);
    assert!(at(&stock[0]));
    for (field, value) in [
        ("kind", json!("stock")),
        ("id", json!("LAMP@us-east")),
        ("sku", json!("LAMP")),
        ("warehouse", json!(US)),
        ("onHand", json!(10)),
        ("held", json!(0)),
        ("claimed", json!(3)),
        ("shipped", json!(0)),
    ] {
        assert_eq!(stock[0][field], value, "{field}");
    }
    let movements = inventory.facts("movements").await;
    assert_eq!(
        movements.iter().map(|fact| fact["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["receipt", "hold", "claim", "hold", "release"]
    );
    for (field, value) in [
        ("sku", json!("LAMP")),
        ("warehouse", json!(US)),
        ("quantity", json!(3)),
        ("reservationId", json!(held.reservation_id)),
        ("orderId", json!(order(1))),
        ("fencingToken", json!(held.fencing_token)),
        ("expiresAt", json!(held.expires_at)),
    ] {
        assert_eq!(movements[1][field], value, "{field}");
    }
    assert!(movements.iter().all(|fact| at(fact) && fact["id"].is_string()));
    assert!(movements.windows(2).all(|two| two[0]["seq"].as_i64() < two[1]["seq"].as_i64()));
    assert_eq!(movements[2].get("expiresAt"), None);
    let reservations = inventory.facts("reservations").await;
    let now = json!(inventory.world.clock().now());
    for (field, value) in [
        ("kind", json!("reservation")),
        ("id", json!(held.reservation_id)),
        ("orderId", json!(order(1))),
        ("status", json!("CLAIMED")),
        ("fencingToken", json!(held.fencing_token)),
        ("createdAt", now.clone()),
        ("expiresAt", json!(held.expires_at)),
        ("claimedAt", now.clone()),
        ("lines", json!([{"sku": "LAMP", "warehouse": US, "quantity": 3}])),
    ] {
        assert_eq!(reservations[0][field], value, "{field}");
    }
    assert_eq!(reservations[0].get("endedAt"), None);
    assert_eq!((&reservations[1]["status"], &reservations[1]["endedAt"]), (&json!("RELEASED"), &now));
    inventory.pass(Duration::from_secs(1)).await;
    let told: Vec<_> =
        inventory.facts("outbox").await.iter().map(|fact| (fact["topic"].as_str().unwrap().to_owned(), fact["status"].clone())).collect();
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|(_, status)| *status == json!("SENT")));
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_is_in_the_description_and_a_wrong_method_is_told() {
    let inventory = Inventory::with(&[]).await;
    let paths: Vec<String> = inventory.world.openapi("inventory").unwrap().paths.paths.keys().cloned().collect();
    for path in [
        "/inventory",
        "/inventory/{sku}",
        "/inventory/reserve",
        "/inventory/claim",
        "/inventory/extend",
        "/inventory/release",
        "/inventory/adjust",
        "/inventory/reservations",
        "/inventory/reservations/{id}",
    ] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
    assert_eq!(inventory.get("/inventory/reserve").await.status, 405);
    assert_eq!(inventory.delete("/inventory/LAMP").await.status, 405);
}
