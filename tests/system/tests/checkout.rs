//! An order through the whole system, in a simulated world: what ends well, what is refused, what is undone, and that afterwards stock,
//! money and orders tell the same.

use std::time::Duration;

use serde_json::{Value as Json, json};
use system_tests::{cart_with, checkout, expect, order, shop};

fn states(order: &Json) -> Vec<&str> {
    order["timeline"].as_array().map(|entries| entries.iter().filter_map(|entry| entry["status"].as_str()).collect()).unwrap_or_default()
}

fn reason(order: &Json) -> &str {
    order["timeline"].as_array().and_then(|entries| entries.last()).and_then(|entry| entry["reason"].as_str()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_cart_becomes_a_confirmed_order() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 3).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
    stage.pass(Duration::from_secs(5)).await;
    let order = order(&stage, &id).await;
    assert_eq!(states(&order), ["PENDING", "RESERVED", "PAID", "CONFIRMED", "FULFILLED_READY"]);
    let stock = stage.get("/inventory/LAMP-RED-L").await.json();
    assert_eq!(stock["warehouses"][0], json!({"warehouse": "us-east", "onHand": 100, "held": 0, "claimed": 3, "available": 97}));
    let payment = expect(stage.get(&format!("/payments/{}", order["payment"]["id"].as_str().unwrap_or_default())).await, 200).json();
    assert_eq!((payment["status"].as_str(), &payment["captured"]), (Some("CAPTURED"), &order["total"]));
    let truth: i64 = stage
        .facts("psp-truth")
        .await
        .iter()
        .filter(|fact| fact["kind"] == "capture.succeeded")
        .filter_map(|fact| fact["amount"].as_i64())
        .sum();
    assert_eq!(Some(truth), order["total"]["amount"].as_i64());
}

#[tokio::test(start_paused = true)]
async fn a_shortage_is_told_and_costs_nothing() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "DESK-OAK", 11).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
    stage.pass(Duration::from_secs(5)).await;
    let order = order(&stage, &id).await;
    assert_eq!((states(&order), reason(&order)), (vec!["PENDING", "CANCELLED"], "no-stock"));
    assert!(stage.facts("psp-truth").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_declined_card_gives_everything_back() {
    let stage = shop(1).await;
    for (token, count) in [("tok_decline_insufficient", 1), ("tok_decline_lost", 2)] {
        let cart = cart_with(&stage, "DESK-OAK", 2).await;
        let id = checkout(&stage, &cart, token, &format!("buyer-{count}")).await;
        stage.pass(Duration::from_secs(5)).await;
        let order = order(&stage, &id).await;
        assert_eq!((order["status"].as_str(), reason(&order)), (Some("CANCELLED"), "declined"));
    }
    assert_eq!(stage.get("/inventory/DESK-OAK").await.json()["warehouses"][0]["available"], 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_payment_is_waited_for() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "DESK-OAK", 1).await;
    let id = checkout(&stage, &cart, "tok_slow_150", "buyer-1").await;
    stage.pass(Duration::from_secs(149)).await;
    assert_eq!(states(&order(&stage, &id).await), ["PENDING", "RESERVED"]);
    stage.pass(Duration::from_secs(2)).await;
    assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY");
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_never_answers_is_voided_before_the_hold_ends() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "DESK-OAK", 1).await;
    let id = checkout(&stage, &cart, "tok_never", "buyer-1").await;
    stage.pass(Duration::from_secs(520)).await;
    let order = order(&stage, &id).await;
    assert_eq!((order["status"].as_str(), reason(&order)), (Some("CANCELLED"), "timeout"));
    assert_eq!(stage.get("/inventory/DESK-OAK").await.json()["warehouses"][0]["available"], 10);
    let reservations = stage.facts("reservations").await;
    assert_eq!(reservations[0]["status"], "RELEASED", "released, not left to run out");
}

#[tokio::test(start_paused = true)]
async fn every_payment_token_ends_right() {
    let stage = shop(1).await;
    for (number, token) in ["tok_ok", "tok_timeout", "tok_late_20", "tok_duplicate", "tok_disorder", "tok_slow_2.5"].iter().enumerate() {
        let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
        let id = checkout(&stage, &cart, token, &format!("buyer-{number}")).await;
        stage.pass(Duration::from_secs(200)).await;
        assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY", "{token}");
    }
    let captures = stage.facts("psp-truth").await.iter().filter(|fact| fact["kind"] == "capture.succeeded").count();
    assert_eq!(captures, 6, "one each, however often it was told");
}

#[tokio::test(start_paused = true)]
async fn a_customer_changes_his_mind() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "DESK-OAK", 2).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
    stage.pass(Duration::from_secs(5)).await;
    let cancelled = expect(stage.post(&format!("/orders/{id}/cancel"), &json!({"reason": "found it cheaper"})).await, 200).json();
    assert_eq!((cancelled["status"].as_str(), reason(&cancelled)), (Some("CANCELLED"), "customer"));
    assert_eq!(stage.get("/inventory/DESK-OAK").await.json()["warehouses"][0]["available"], 10);
    let payment = stage.get(&format!("/payments/{}", cancelled["payment"]["id"].as_str().unwrap_or_default())).await.json();
    assert_eq!((payment["status"].as_str(), &payment["refunded"]), (Some("REFUNDED"), &payment["captured"]));
}

#[tokio::test(start_paused = true)]
async fn one_order_per_cart_whoever_asks() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
    let again = stage.post_with_key(&format!("/carts/{cart}/checkout"), &system_tests::checkout_body("tok_ok"), "another").await;
    assert_eq!(again.status.as_u16(), 409, "{}", again.json());
    let mut body = system_tests::checkout_body("tok_ok");
    body["cartId"] = json!(cart);
    let direct = stage.post_with_key("/orders", &body, "a third").await;
    assert_eq!((direct.status.as_u16(), direct.slug()), (409, "cart-already-ordered".to_owned()));
    assert_eq!(direct.json()["orderId"], json!(id));
    assert_eq!(stage.facts("orders").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_can_be_made_of_an_open_cart_directly() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    let mut body = system_tests::checkout_body("tok_ok");
    body["cartId"] = json!(cart);
    let got = expect(stage.post_with_key("/orders?wait=10s", &body, "k").await, 201).json();
    assert_eq!(got["status"], "FULFILLED_READY");
    assert_eq!(stage.get(&format!("/carts/{cart}")).await.json()["status"], "CHECKED_OUT");
}
