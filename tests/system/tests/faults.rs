//! Faults at run time, on the whole system: each shows its effect, and afterwards everything is whole.

use std::time::Duration;

use http::Method;
use serde_json::{Value as Json, json};
use system_tests::{cart_with, checkout, expect, order, shop};

async fn set(stage: &platform::testing::Stage, point: &str, fault: Json) {
    expect(stage.admin(Method::PUT, &format!("/lab/faults/{point}"), Some(&fault)).await, 200);
}

async fn clear(stage: &platform::testing::Stage) {
    expect(stage.admin(Method::DELETE, "/lab/faults", None::<&Json>).await, 200);
}

fn captures(truth: &[Json]) -> usize {
    truth.iter().filter(|fact| fact["kind"] == "capture.succeeded").count()
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_and_one_order_comes_of_it() {
    for target in ["inventory", "payment", "psp", "pricing", "cart"] {
        let stage = shop(1).await;
        let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
        set(&stage, &format!("call.{target}"), json!({"rule": "drop", "share": 0.5, "for": 20})).await;
        let headers = [("idempotency-key", "k"), ("x-correlation-id", "buyer-1")];
        let mut answer =
            stage.send(Method::POST, &format!("/carts/{cart}/checkout"), Some(&system_tests::checkout_body("tok_ok")), &headers).await;
        for _ in 0..20 {
            if answer.status.as_u16() == 202 {
                break;
            }
            stage.pass(Duration::from_secs(5)).await;
            answer =
                stage.send(Method::POST, &format!("/carts/{cart}/checkout"), Some(&system_tests::checkout_body("tok_ok")), &headers).await;
        }
        let id = expect(answer, 202).json()["orderId"].as_str().unwrap().to_owned();
        stage.pass(Duration::from_secs(200)).await;
        assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY", "answers of {target} were lost");
        assert_eq!(captures(&stage.facts("psp-truth").await), 1, "answers of {target} were lost");
        assert_eq!(stage.facts("orders").await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubled_call_has_one_effect() {
    for target in ["inventory", "payment", "psp", "order"] {
        let stage = shop(1).await;
        let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
        set(&stage, &format!("call.{target}"), json!({"rule": "duplicate"})).await;
        let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
        stage.pass(Duration::from_secs(30)).await;
        assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY", "every call of {target} came twice");
        assert_eq!(captures(&stage.facts("psp-truth").await), 1);
        assert_eq!(stage.get("/inventory/LAMP-RED-L").await.json()["warehouses"][0]["claimed"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_there_delays_and_loses_nothing() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    set(&stage, "call.inventory", json!({"rule": "fail", "for": 60})).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-1").await;
    stage.pass(Duration::from_secs(50)).await;
    assert_eq!(order(&stage, &id).await["status"], "PENDING", "the effect of the fault");
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_delayed_takes_longer() {
    let stage = shop(1).await;
    set(&stage, "call.pricing", json!({"rule": "delay", "millis": 700})).await;
    let before = stage.world.clock().now();
    cart_with(&stage, "LAMP-RED-L", 1).await;
    assert!(stage.world.clock().now().since(before) >= Duration::from_millis(700));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_held_come_when_they_are_let_go() {
    let stage = shop(1).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    set(&stage, "bus.publish", json!({"rule": "hold"})).await;
    let id = checkout(&stage, &cart, "tok_slow_30", "buyer-1").await;
    stage.pass(Duration::from_secs(31)).await;
    assert!(stage.events("order.created.v1").await.is_empty(), "the effect of the fault");
    clear(&stage).await;
    stage.pass(Duration::from_secs(30)).await;
    assert_eq!(stage.events("order.created.v1").await.len(), 1);
    assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY");
}

#[tokio::test(start_paused = true)]
async fn events_that_come_twice_late_or_in_disorder_change_nothing() {
    for rule in [json!({"rule": "duplicate"}), json!({"rule": "delay", "millis": 900}), json!({"rule": "reorder", "share": 0.5})] {
        let stage = shop(1).await;
        set(&stage, "bus.deliver", rule.clone()).await;
        for number in 0..4 {
            let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
            checkout(&stage, &cart, if number == 3 { "tok_decline_lost" } else { "tok_ok" }, &format!("buyer-{number}")).await;
        }
        stage.pass(Duration::from_secs(120)).await;
        let stock = stage.get("/inventory/LAMP-RED-L").await.json();
        assert_eq!(
            stock["warehouses"][0],
            json!({"warehouse": "us-east", "onHand": 100, "held": 0, "claimed": 3, "available": 97}),
            "{rule}"
        );
        assert_eq!(captures(&stage.facts("psp-truth").await), 3, "{rule}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_as_503_and_keeps_nothing_half_done() {
    let stage = shop(1).await;
    set(&stage, "store.commit", json!({"rule": "fail", "scope": {"service": "cart"}})).await;
    let refused = stage.post("/carts", &json!({"region": "US"})).await;
    assert_eq!((refused.status.as_u16(), refused.slug()), (503, "unavailable".to_owned()));
    assert!(refused.header("retry-after").is_some());
    clear(&stage).await;
    assert!(stage.facts("carts").await.is_empty());
    cart_with(&stage, "LAMP-RED-L", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_behind_is_one_services_and_lifts_itself() {
    let (stage, hour) = (shop(1).await, Duration::from_secs(3_600));
    set(&stage, "clock.offset", json!({"rule": "delay", "millis": 3_600_000, "scope": {"service": "order"}, "for": 60})).await;
    let began = stage.world.clock().now();
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    let id = checkout(&stage, &cart, "tok_slow_20", "buyer-1").await;
    stage.pass(Duration::from_secs(1)).await;
    let created = |order: &Json| order["createdAt"].as_str().unwrap().to_owned();
    // RFC 3339 in UTC sorts as the moments do.
    assert!(created(&order(&stage, &id).await) < began.minus(hour / 2).to_string(), "the effect of the fault");
    assert!(stage.facts("reservations").await[0]["createdAt"].as_str().unwrap() >= began.to_string().as_str(), "and nobody else's");
    stage.pass(Duration::from_secs(29)).await;
    assert_eq!(order(&stage, &id).await["status"], "FULFILLED_READY", "twenty seconds are as long as ever");
    stage.pass(Duration::from_secs(31)).await;
    let cart = cart_with(&stage, "LAMP-RED-L", 1).await;
    let id = checkout(&stage, &cart, "tok_ok", "buyer-2").await;
    assert!(created(&order(&stage, &id).await) > began.to_string());
    let vague = stage.admin(Method::PUT, "/lab/faults/clock.offset", Some(&json!({"rule": "delay", "millis": 1}))).await;
    assert_eq!((vague.status.as_u16(), vague.json()["errors"][0]["pointer"].as_str()), (422, Some("#/scope")));
}
