//! Credits of an order: the money goes back by itself, once for each, however often the log tells of it.

use order_api::events::OrderCreditGranted;
use platform::{bus::Outgoing, event::Event, schema::Codec, testing::Stage};
use types::{CreditId, Currency, Money, Timestamp, id::Uuid};

use crate::support::*;

/// Tells of a credit, as this event.
async fn tell(stage: &Stage, credit: u128, amount: i64, event: u128) {
    let granted = OrderCreditGranted {
        credit_id: CreditId(Uuid::from_u128(credit)),
        order_id: order(1).parse().unwrap(),
        amount: Money::new(amount, Currency::Usd),
        at: Timestamp::from_seconds(1),
    };
    let codec = Codec::<OrderCreditGranted>::register(stage.world.registry(), "order.credit.granted.v1-value").unwrap();
    let headers = vec![("ce_id".to_owned(), Uuid::from_u128(event).to_string())];
    let (topic, key, value) = (OrderCreditGranted::TOPIC.into(), granted.key(), codec.encode(&granted).unwrap());
    stage.world.bus().publish(vec![Outgoing { topic, key, value, headers }]).await.unwrap();
    stage.pass(seconds(1)).await;
}

async fn captured(stage: &Stage) -> String {
    let id = create(stage, 1, "tok_ok").await;
    step(stage, &id, "confirm").await;
    assert_eq!(status(&step(stage, &id, "capture").await), "CAPTURED");
    id
}

async fn refunded(stage: &Stage, id: &str) -> Option<i64> {
    payment(stage, id).await["refunded"]["amount"].as_i64()
}

/// What has gone back when a credit of 5.00 is told three times: twice as one event, and once more as another.
async fn told_three_times(rung: &str) -> Option<i64> {
    let stage = stage().await;
    stage.world.set_rung("duplicates-and-reorder", rung).unwrap();
    let id = captured(&stage).await;
    for event in [7, 7, 8] {
        tell(&stage, 1, 500, event).await;
    }
    check_books(&stage).await;
    refunded(&stage, &id).await
}

#[tokio::test(start_paused = true)]
async fn a_credit_is_refunded_once_however_often_it_is_told() {
    for rung in ["R1", "R2"] {
        assert_eq!(told_three_times(rung).await, Some(500), "{rung}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_duplicates_each_delivery_is_a_refund() {
    assert_eq!(told_three_times("R0").await, Some(1_500));
}

#[tokio::test(start_paused = true)]
async fn no_more_goes_back_than_is_left() {
    let stage = stage().await;
    let id = captured(&stage).await;
    refund(&stage, &id, Some(1_700), "a").await;
    tell(&stage, 1, 500, 1).await;
    assert_eq!(refunded(&stage, &id).await, Some(1_999));
    tell(&stage, 2, 500, 2).await;
    assert_eq!((refunded(&stage, &id).await, now(&stage, &id).await), (Some(1_999), "REFUNDED".into()));
    assert!(stage.world.bus().parked("payment-order.credit.granted.v1").is_empty(), "nothing is set aside: there was nothing left to give");
}

#[tokio::test(start_paused = true)]
async fn a_credit_waits_for_a_provider_that_does_not_answer_and_is_paid_once() {
    let stage = stage().await;
    let id = captured(&stage).await;
    let lost = platform::fault::Fault {
        rule: platform::fault::Rule::Drop,
        share: 1.0,
        millis: 0,
        scope: platform::fault::Scope::default(),
        for_seconds: Some(20.0),
    };
    stage.world.faults().set("call.psp", lost).unwrap();
    tell(&stage, 1, 500, 1).await;
    stage.pass(seconds(600)).await;
    assert_eq!(refunded(&stage, &id).await, Some(500));
    assert_eq!(stage.facts("refunds").await.len(), 1);
    check_books(&stage).await;
}
