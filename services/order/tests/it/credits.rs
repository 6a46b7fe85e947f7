//! Credits, and what an order tells of its payment when news of it come in any order.

use order_api::{Credit, Order, OrderPayment};
use platform::testing::{Got, Stage};
use serde_json::json;
use types::OrderId;

use crate::{
    neighbours::{CUSTOMER, Script, announce_authorization, announce_refund, cart_of, stage},
    order,
};

async fn grant(stage: &Stage, order: OrderId, amount: i64, key: &str) -> Got {
    let body = json!({"amount": {"amount": amount, "currency": "USD"}, "reason": "a late parcel for Marker"});
    stage.post_with_key(&format!("/orders/{order}/credits"), &body, key).await
}

/// The status, and the pointer or the kind of what was refused.
fn refusal(got: &Got) -> (u16, String) {
    let pointer = got.json()["errors"][0]["pointer"].as_str().map(str::to_owned);
    (got.status.as_u16(), pointer.unwrap_or_else(|| got.slug()))
}

#[tokio::test(start_paused = true)]
async fn a_credit_is_granted_once_shown_and_told_without_its_reason() {
    let (stage, _) = stage(Script::default()).await;
    let id = order(&stage, cart_of(1), "tok_ok").await.id;
    let granted = grant(&stage, id, 500, "a").await;
    assert_eq!(granted.status.as_u16(), 201, "{}", granted.json());
    let credit: Credit = granted.view();
    let path = format!("/orders/{id}/credits/{}", credit.id);
    assert_eq!(granted.header("location"), Some(path.as_str()));
    assert_eq!(stage.get(&path).await.view::<Credit>(), credit);
    assert_eq!(grant(&stage, id, 500, "a").await.body, granted.body, "the same key, the same credit");
    grant(&stage, id, 499, "b").await;
    let all = stage.get(&format!("/orders/{id}/credits")).await.json();
    let amounts: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| one["amount"]["amount"].as_i64()).collect();
    assert_eq!(amounts, [Some(500), Some(499)]);
    stage.pass(std::time::Duration::from_secs(1)).await;
    let told = stage.events("order.credit.granted.v1").await;
    assert_eq!((told.len(), told[0]["amount"]["amount"].as_i64()), (2, Some(500)));
    assert!(!told.iter().any(|event| event.to_string().contains("Marker")));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_credited_is_refused_and_changes_nothing() {
    let (stage, _) = stage(Script { customer: true, ..Script::default() }).await;
    let id = order(&stage, cart_of(1), "tok_ok").await.id;
    assert_eq!(refusal(&grant(&stage, id, 0, "a").await), (422, "#/amount/amount".into()));
    assert_eq!(refusal(&grant(&stage, id, -1, "b").await), (422, "#/amount/amount".into()));
    assert_eq!(grant(&stage, id, 1_500, "c").await.status.as_u16(), 201);
    let much = grant(&stage, id, 500, "d").await;
    assert_eq!((refusal(&much), much.json()["left"].as_i64()), ((422, "#/amount/amount".into()), Some(499)));
    let euros = stage.post(&format!("/orders/{id}/credits"), &json!({"amount": {"amount": 1, "currency": "EUR"}})).await;
    assert_eq!(refusal(&euros), (422, "#/amount/currency".into()));
    let unknown = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    assert_eq!(grant(&stage, unknown.parse().unwrap(), 1, "e").await.status.as_u16(), 404);
    assert_eq!(stage.get(&format!("/orders/{id}/credits/{unknown}")).await.status.as_u16(), 404);
    assert_eq!(stage.facts("credits").await.len(), 1);

    stage.post(&format!("/orders/{id}/cancel"), &json!({})).await;
    assert_eq!(refusal(&grant(&stage, id, 1, "f").await), (409, "order-not-creditable".into()));
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_credit_goes_with_the_customer() {
    let (stage, _) = stage(Script { customer: true, ..Script::default() }).await;
    let id = order(&stage, cart_of(1), "tok_ok").await.id;
    grant(&stage, id, 100, "a").await;
    stage.post(&format!("/orders/customers/{CUSTOMER}/erasure"), &json!({})).await;
    grant(&stage, id, 100, "b").await;
    let kept = stage.get(&format!("/orders/{id}/credits")).await.json();
    assert_eq!(kept["items"].as_array().map(Vec::len), Some(2));
    assert!(!kept.to_string().contains("Marker"), "{kept}");
}

/// What an order tells of its payment when the second of two refunds is heard of first.
async fn told_out_of_turn(rung: &str) -> OrderPayment {
    let (stage, _) = stage(Script::default()).await;
    stage.world.set_rung("duplicates-and-reorder", rung).unwrap();
    let id = order(&stage, cart_of(1), "tok_ok").await.id;
    for nth in [2, 1] {
        announce_refund(&stage, id, nth).await;
        stage.pass(std::time::Duration::from_secs(1)).await;
    }
    stage.get(&format!("/orders/{id}")).await.view::<Order>().payment.unwrap()
}

#[tokio::test(start_paused = true)]
async fn on_the_lower_rungs_of_duplicates_the_last_news_of_a_payment_is_believed() {
    for rung in ["R0", "R1"] {
        assert_eq!(told_out_of_turn(rung).await.refunded.amount, 100, "{rung}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_news_of_a_payment_only_what_is_newer_counts() {
    let told = told_out_of_turn("R2").await;
    assert_eq!((told.refunded.amount, told.status.as_str()), (200, "PARTIALLY_REFUNDED"));
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_is_heard_of_late_does_not_undo_the_capture() {
    let (stage, _) = stage(Script::default()).await;
    let order = order(&stage, cart_of(1), "tok_ok").await;
    assert_eq!(order.payment.as_ref().map(|payment| payment.status.as_str()), Some("CAPTURED"));
    announce_authorization(&stage, order.id).await;
    stage.pass(std::time::Duration::from_secs(1)).await;
    let now: Order = stage.get(&format!("/orders/{}", order.id)).await.view();
    assert_eq!(now.payment.map(|payment| payment.status).as_deref(), Some("CAPTURED"));
}
