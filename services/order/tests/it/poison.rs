//! What order-service does with an event that it cannot read, on both rungs of `poison`.

use std::time::Duration;

use payment_api::events::PaymentCaptured;
use platform::{
    bus::{Outgoing, partition_of},
    event::Event,
    fault::{Fault, Rule, Scope},
    schema::Codec,
    testing::Stage,
};
use types::{Currency, Money, OrderId, PaymentId, Timestamp, id::Uuid};

use crate::neighbours::{Script, stage};

/// What payment-service would publish when this payment has been captured.
async fn announce(stage: &Stage, payment: PaymentId) {
    let event = PaymentCaptured {
        payment_id: payment,
        order_id: OrderId(payment.uuid()),
        amount: Money::new(1999, Currency::Usd),
        version: 4,
        reason: None,
        refunded: None,
        kept: None,
        at: Timestamp::from_seconds(1),
    };
    let codec = Codec::<PaymentCaptured>::register(stage.world.registry(), "payment.captured.v1-value").unwrap();
    let headers = vec![("ce_id".to_owned(), payment.to_string())];
    let outgoing = Outgoing { topic: PaymentCaptured::TOPIC.into(), key: event.key(), value: codec.encode(&event).unwrap(), headers };
    stage.world.bus().publish(vec![outgoing]).await.unwrap();
}

/// The keys of the captures that order-service has taken.
async fn taken(stage: &Stage) -> Vec<String> {
    let notes = stage.facts("inbox").await;
    let mut keys: Vec<String> = notes
        .iter()
        .filter(|note| note["consumer"] == PaymentCaptured::TOPIC)
        .filter_map(|note| note["key"].as_str().map(str::to_owned))
        .collect();
    keys.sort_unstable();
    keys
}

/// A service on this rung that was sent three captures: two of one partition, of which nobody can read the first, and one of another.
async fn with_poison(rung: &str) -> (Stage, [PaymentId; 3]) {
    let (stage, _) = stage(Script::default()).await;
    stage.world.set_rung("poison", rung).unwrap();
    let payments = || (2..).map(|number| PaymentId(Uuid::from_u128(number)));
    let partition = |payment: &PaymentId| partition_of(&payment.to_string(), 6);
    let bad = PaymentId(Uuid::from_u128(1));
    let behind = payments().find(|payment| partition(payment) == partition(&bad)).unwrap();
    let elsewhere = payments().find(|payment| partition(payment) != partition(&bad)).unwrap();
    let scope = Scope { key: Some(bad.to_string()), ..Scope::default() };
    stage.world.faults().set("bus.publish", Fault { rule: Rule::Corrupt, share: 1.0, millis: 0, scope, for_seconds: None }).unwrap();
    for payment in [bad, behind, elsewhere] {
        announce(&stage, payment).await;
    }
    stage.pass(Duration::from_secs(60)).await;
    (stage, [bad, behind, elsewhere])
}

fn parked(stage: &Stage) -> Vec<String> {
    stage.world.bus().parked("order-payment.captured.v1").into_iter().map(|parked| parked.key).collect()
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_poison_all_behind_what_cannot_be_read_wait_and_on_r1_they_are_taken() {
    let (stage, [bad, behind, elsewhere]) = with_poison("R0").await;
    assert_eq!(taken(&stage).await, [elsewhere.to_string()]);
    assert!(parked(&stage).is_empty());
    stage.world.set_rung("poison", "R1").unwrap();
    stage.pass(Duration::from_secs(15)).await;
    let mut both = [behind.to_string(), elsewhere.to_string()];
    both.sort_unstable();
    assert_eq!(taken(&stage).await, both, "it goes on by itself");
    assert_eq!(parked(&stage), [bad.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn on_r1_of_poison_its_key_alone_is_parked() {
    let (stage, [bad, behind, elsewhere]) = with_poison("R1").await;
    let mut both = [behind.to_string(), elsewhere.to_string()];
    both.sort_unstable();
    assert_eq!(taken(&stage).await, both);
    assert_eq!(parked(&stage), [bad.to_string()]);
}
