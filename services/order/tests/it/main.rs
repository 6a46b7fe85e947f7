//! order-service at its doors, in a simulated world. Its neighbours are scripted: what is under test is what order-service makes of their
//! answers. With the real neighbours it is tested in `tests/system`.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

mod credits;
mod neighbours;
mod ownership;
mod poison;

use std::time::Duration;

use http::StatusCode;
use neighbours::{Script, cart_of, stage};
use order_api::{Order, OrderStatus};
use platform::{
    fault::{Fault, Rule},
    testing::Stage,
};
use serde_json::{Value as Json, json};
use types::CartId;

fn body(cart: CartId, token: &str) -> Json {
    json!({
        "cartId": cart, "paymentMethod": {"type": "card", "token": token},
        "shippingAddress": {"line1": "1 Marker Street", "city": "Huế", "postalCode": "53000", "country": "VN"},
    })
}

async fn order(stage: &Stage, cart: CartId, token: &str) -> Order {
    let got = stage.post_with_key("/orders?wait=30s", &body(cart, token), &format!("key-{cart}")).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.json());
    got.view()
}

fn states(order: &Order) -> Vec<OrderStatus> {
    order.timeline.iter().map(|entry| entry.status).collect()
}

#[tokio::test(start_paused = true)]
async fn an_order_is_taken_from_cart_to_confirmed() {
    let (stage, script) = stage(Script::default()).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    use OrderStatus::{Confirmed, FulfilledReady, Paid, Pending, Reserved};
    assert_eq!(states(&order), [Pending, Reserved, Paid, Confirmed, FulfilledReady]);
    assert_eq!(order.payment.as_ref().map(|payment| payment.status.as_str()), Some("CAPTURED"));
    assert_eq!(script.said(), ["freeze", "reserve", "extend", "pay", "confirm", "claim", "capture"]);
    let told: Vec<i64> = stage.events("order.status.changed.v1").await.iter().filter_map(|event| event["version"].as_i64()).collect();
    assert_eq!(told, [1, 2, 3, 4, 5], "versions without gap");
    assert_eq!(stage.events("order.created.v1").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_stock_is_cancelled_and_nothing_is_paid() {
    let (stage, script) = stage(Script { no_stock: true, ..Script::default() }).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    assert_eq!(order.status, OrderStatus::Cancelled);
    assert_eq!(order.timeline.last().and_then(|entry| entry.reason.as_deref()), Some("no-stock"));
    assert_eq!(script.said(), ["freeze", "reserve"]);
}

#[tokio::test(start_paused = true)]
async fn a_declined_payment_gives_the_stock_back() {
    let (stage, script) = stage(Script { declined: true, ..Script::default() }).await;
    let order = order(&stage, cart_of(1), "tok_decline_lost").await;
    assert_eq!(order.timeline.last().and_then(|entry| entry.reason.as_deref()), Some("declined"));
    assert_eq!(script.said(), ["freeze", "reserve", "extend", "pay", "confirm", "release"]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ended_before_the_payment_came_is_voided_and_told() {
    let (stage, script) = stage(Script { hold_expired: true, ..Script::default() }).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    assert_eq!(order.timeline.last().and_then(|entry| entry.reason.as_deref()), Some("hold-expired"));
    assert_eq!(script.said(), ["freeze", "reserve", "extend", "pay", "confirm", "claim", "void", "release"]);
}

#[tokio::test(start_paused = true)]
async fn a_payment_without_end_is_voided_at_the_deadline_and_only_then_the_hold_released() {
    let (stage, script) = stage(Script { never_answers: true, ..Script::default() }).await;
    let got = stage.post_with_key("/orders", &body(cart_of(1), "tok_never"), "k").await;
    let id = got.view::<Order>().id;
    stage.pass(Duration::from_secs(479)).await;
    assert_eq!(stage.get(&format!("/orders/{id}")).await.view::<Order>().status, OrderStatus::Reserved);
    stage.pass(Duration::from_secs(30)).await;
    let order: Order = stage.get(&format!("/orders/{id}")).await.view();
    assert_eq!(order.timeline.last().and_then(|entry| entry.reason.as_deref()), Some("timeout"));
    let said = script.said();
    let at = |what: &str| said.iter().position(|call| call == what);
    assert!(at("void") < at("release"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_did_not_arrive_is_said_again_and_not_waited_for() {
    let (stage, script) = stage(Script { confirmations_lost: 10, ..Script::default() }).await;
    let id = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await.view::<Order>().id;
    stage.pass(Duration::from_secs(30)).await;
    let order: Order = stage.get(&format!("/orders/{id}")).await.view();
    assert_eq!(order.status, OrderStatus::FulfilledReady, "{:?}", script.said());
    let (said, of) = (script.said(), |what: &str| script.said().iter().filter(|said| *said == what).count());
    assert_eq!((of("pay"), of("confirm"), of("capture")), (1, 11, 1), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_which_nothing_was_heard_is_voided_with_its_order() {
    let (stage, script) = stage(Script { pays_unheard: true, ..Script::default() }).await;
    let id = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await.view::<Order>().id;
    stage.pass(Duration::from_secs(5)).await;
    stage.post_with_key(&format!("/orders/{id}/cancel"), &json!({}), "c").await;
    stage.pass(Duration::from_secs(15)).await;
    let order: Order = stage.get(&format!("/orders/{id}")).await.view();
    assert_eq!(order.status, OrderStatus::Cancelled);
    assert_eq!(order.payment.as_ref().map(|payment| payment.status.as_str()), Some("VOIDED"));
    assert!(script.said().ends_with(&["void".to_owned(), "release".to_owned()]), "{:?}", script.said());
}

#[tokio::test(start_paused = true)]
async fn the_same_request_has_one_effect_and_one_answer() {
    let (stage, script) = stage(Script::default()).await;
    let first = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await;
    stage.pass(Duration::from_secs(5)).await;
    let again = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!((again.header("location"), again.header("etag")), (first.header("location"), first.header("etag")));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(script.said().iter().filter(|call| *call == "pay").count(), 1);
    let other = stage.post_with_key("/orders", &body(cart_of(2), "tok_ok"), "k").await;
    assert_eq!((other.status.as_u16(), other.slug()), (422, "idempotency-key-reused".to_owned()));
    assert_eq!(script.said().iter().filter(|call| *call == "freeze").count(), 1, "refused before the other cart was touched");
    let second_key = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k2").await;
    assert_eq!((second_key.status.as_u16(), second_key.slug()), (409, "cart-already-ordered".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_is_answered_the_same_again() {
    let (stage, _) = stage(Script::default()).await;
    let first = stage.post_with_key("/orders?wait=10s", &body(cart_of(1), "tok_ok"), "k").await;
    let again = stage.post_with_key("/orders?wait=10s", &body(cart_of(1), "tok_ok"), "k").await;
    assert_eq!(first.view::<Order>().status, OrderStatus::FulfilledReady);
    assert_eq!((again.status, again.body), (first.status, first.body));
}

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_for_an_order_is_told_by_the_commit_that_settles_it() {
    let (stage, _) = stage(Script::default()).await;
    let id = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await.view::<Order>().id;
    let (began, path) = (stage.world.clock().now(), format!("/orders/{id}?wait=30s"));
    let (one, other) = futures::join!(stage.get(&path), stage.get(&path));
    assert_eq!((one.view::<Order>().status, &one.body), (OrderStatus::FulfilledReady, &other.body));
    let waited = stage.world.clock().now().since(began);
    assert!(waited < Duration::from_millis(500), "they looked by themselves, after {waited:?}");
    assert_eq!(stage.get(&path).await.body, one.body, "what has settled is not waited for");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_does_not_settle_is_shown_as_it_stands_when_the_time_is_up() {
    let (stage, _) = stage(Script { never_answers: true, ..Script::default() }).await;
    let id = stage.post_with_key("/orders", &body(cart_of(1), "tok_never"), "k").await.view::<Order>().id;
    let began = stage.world.clock().now();
    let got = stage.get(&format!("/orders/{id}?wait=7s")).await;
    assert_eq!((got.status.as_u16(), got.view::<Order>().status), (200, OrderStatus::Reserved));
    let waited = stage.world.clock().now().since(began);
    assert!((7.0..7.5).contains(&waited.as_secs_f64()), "{waited:?}");
    for wrong in ["forever", "31s", "-1s", "1.5s"] {
        let refused = stage.get(&format!("/orders/{id}?wait={wrong}")).await;
        assert_eq!((refused.status.as_u16(), refused.json()["errors"][0]["pointer"].as_str()), (422, Some("#/wait")), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused_with_a_pointer_and_change_nothing() {
    let (stage, script) = stage(Script::default()).await;
    let no_key = stage.post("/orders", &body(cart_of(1), "tok_ok")).await;
    assert_eq!((no_key.status.as_u16(), no_key.slug()), (400, "idempotency-key-required".to_owned()));
    for (change, pointer) in [
        (json!({"cartId": "x"}), "#/cartId"),
        (json!({"paymentMethod": {"type": "cash", "token": "t"}}), "#/paymentMethod/type"),
        (json!({"shippingAddress": {"line1": ""}}), "#/shippingAddress/line1"),
        (json!({"more": 1}), "#/more"),
    ] {
        let mut wrong = body(cart_of(1), "tok_ok");
        for (name, value) in change.as_object().unwrap() {
            wrong[name] = value.clone();
        }
        let got = stage.post_with_key("/orders", &wrong, "k").await;
        assert_eq!((got.status.as_u16(), got.json()["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{}", got.json());
    }
    let wait = stage.post_with_key("/orders?wait=forever", &body(cart_of(1), "tok_ok"), "k").await;
    assert_eq!(wait.status.as_u16(), 422);
    let unknown = stage.get("/orders/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22").await;
    assert_eq!((unknown.status.as_u16(), unknown.slug()), (404, "not-found".to_owned()));
    assert_eq!(stage.get("/orders/x").await.status.as_u16(), 404);
    assert!(script.said().is_empty());
    assert!(stage.facts("orders").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_customer_may_cancel_until_it_has_left_and_money_and_stock_go_back() {
    let (stage, script) = stage(Script::default()).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    let path = format!("/orders/{}/cancel", order.id);
    let got = stage.post_with_key(&path, &json!({"reason": "too late"}), "c").await;
    assert_eq!(got.status.as_u16(), 200, "{}", got.json());
    let cancelled: Order = got.view();
    assert_eq!(cancelled.status, OrderStatus::Cancelled);
    assert_eq!(cancelled.timeline.last().and_then(|entry| entry.reason.as_deref()), Some("customer"));
    assert!(script.said().ends_with(&["refund".to_owned(), "void".to_owned(), "release".to_owned()]), "{:?}", script.said());
    let again = stage.post_with_key(&path, &json!({"reason": "too late"}), "c").await;
    assert_eq!(again.body, got.body, "the same key, the same answer");
    let other = stage.post(&path, &json!({})).await;
    assert_eq!((other.status.as_u16(), other.slug()), (409, "order-not-cancellable".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_only_delays() {
    for micros in (0..3_000).step_by(100) {
        let (stage, script) = stage(Script::default()).await;
        let got = stage.post_with_key("/orders", &body(cart_of(1), "tok_ok"), "k").await;
        let id = got.view::<Order>().id;
        stage.pass(Duration::from_micros(micros)).await;
        stage.world.kill("order", 0);
        stage.world.start(&order::MANIFEST, 0).await.unwrap();
        stage.pass(Duration::from_secs(60)).await;
        let order: Order = stage.get(&format!("/orders/{id}")).await.view();
        assert_eq!(order.status, OrderStatus::FulfilledReady, "killed after {micros} µs: {:?}", script.said());
        assert_eq!(script.effects(), 4, "one hold, one payment, one claim, one capture");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_from_the_cart_is_repaired_by_its_event() {
    let (stage, _) = stage(Script { checked_out_by_cart: true, ..Script::default() }).await;
    neighbours::announce_checkout(&stage, cart_of(7)).await;
    stage.pass(Duration::from_secs(5)).await;
    let orders = stage.facts("orders").await;
    assert_eq!((orders.len(), orders[0]["status"].as_str()), (1, Some("FULFILLED_READY")));
}

#[tokio::test(start_paused = true)]
async fn addresses_stay_here_and_can_be_erased() {
    let (stage, _) = stage(Script { customer: true, ..Script::default() }).await;
    order(&stage, cart_of(1), "tok_ok").await;
    let customer = neighbours::CUSTOMER;
    for event in stage.events("order.created.v1").await.into_iter().chain(stage.events("order.status.changed.v1").await) {
        assert!(!event.to_string().contains("Marker"));
    }
    let summary = stage.get(&format!("/orders/customers/{customer}/summary")).await.json();
    assert_eq!((summary["orders"].as_u64(), summary["spent"][0]["amount"].as_i64()), (Some(1), Some(1999)));
    let erased = stage.post(&format!("/orders/customers/{customer}/erasure"), &json!({})).await.json();
    assert_eq!(erased["records"].as_u64(), Some(1));
    let again = stage.post(&format!("/orders/customers/{customer}/erasure"), &json!({})).await.json();
    assert_eq!(again["records"].as_u64(), Some(0));
    let page = stage.get(&format!("/orders?customerId={customer}")).await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "the order itself stays");
}

/// What is personal of each order, as it is stored: the address and the note.
async fn personal(stage: &Stage) -> Vec<String> {
    let query = "SELECT coalesce(shipping_address, '') || coalesce(cancel_note, '') FROM orders ORDER BY seq";
    let db = stage.world.db("order").unwrap();
    db.read(async |tx: &mut platform::db::Tx<'_>| tx.fetch_all::<String>(query, vec![]).await).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_order_that_comes_after_the_erasure_keeps_nothing_personal() {
    let (stage, _) = stage(Script { customer: true, ..Script::default() }).await;
    let early = order(&stage, cart_of(1), "tok_ok").await;
    assert!(personal(&stage).await[0].contains("Marker"));
    let erasure = format!("/orders/customers/{}/erasure", neighbours::CUSTOMER);
    assert_eq!(stage.post(&erasure, &json!({})).await.json()["records"], 1);
    let late = order(&stage, cart_of(2), "tok_ok").await;
    assert_eq!(late.status, OrderStatus::FulfilledReady, "it is an order like any other");
    for id in [early.id, late.id] {
        let got = stage.post(&format!("/orders/{id}/cancel"), &json!({"reason": "Marker is moving"})).await;
        assert_eq!(got.view::<Order>().status, OrderStatus::Cancelled);
    }
    assert_eq!(personal(&stage).await, ["", ""]);
    assert_eq!(stage.post(&erasure, &json!({})).await.json()["records"], 0);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_a_cart_whose_customer_was_erased_meanwhile_keeps_no_address() {
    let (stage, _) = stage(Script { erased: true, ..Script::default() }).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    assert_eq!((order.status, order.customer_id), (OrderStatus::FulfilledReady, None));
    assert_eq!(personal(&stage).await, [""]);
}

/// The versions of an order's steps that were told while the log refuses every publication of order-service for ten seconds from the
/// beginning on, those that have been told in the end, and how many events stand as told.
async fn told_after_an_outage(rung: &str) -> (Vec<i64>, Vec<i64>, usize) {
    let (stage, _) = stage(Script::default()).await;
    stage.world.set_rung("dual-write", rung).unwrap();
    let outage = Fault { for_seconds: Some(10.0), ..Fault::always(Rule::Fail).of_service("order") };
    stage.world.faults().set("bus.publish", outage).unwrap();
    order(&stage, cart_of(1), "tok_ok").await;
    let meanwhile = told(&stage).await;
    stage.pass(Duration::from_secs(60)).await;
    order(&stage, cart_of(2), "tok_ok").await;
    stage.pass(Duration::from_secs(60)).await;
    let outbox = stage.facts("outbox").await;
    (meanwhile, told(&stage).await, outbox.iter().filter(|row| row["status"] == "SENT").count())
}

async fn told(stage: &Stage) -> Vec<i64> {
    stage.events("order.status.changed.v1").await.iter().filter_map(|event| event["version"].as_i64()).collect()
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_dual_write_what_cannot_be_told_at_once_is_never_told_and_stands_as_told() {
    let (meanwhile, told, sent) = told_after_an_outage("R0").await;
    assert_eq!((meanwhile, told), (vec![], vec![1, 2, 3, 4, 5]), "of the second order alone");
    assert_eq!(sent, 12);
}

#[tokio::test(start_paused = true)]
async fn with_the_outbox_what_cannot_be_told_at_once_is_told_later() {
    let (meanwhile, told, sent) = told_after_an_outage("R1").await;
    assert_eq!((meanwhile, told), (vec![], vec![1, 2, 3, 4, 5, 1, 2, 3, 4, 5]));
    assert_eq!(sent, 12);
}
