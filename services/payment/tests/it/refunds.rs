//! Refunds: whole or in parts, never more than was taken, and each once.

use http::StatusCode;
use serde_json::json;

use crate::support::*;

async fn captured(stage: &platform::testing::Stage, n: u32) -> String {
    let id = create(stage, n, "tok_ok").await;
    step(stage, &id, "confirm").await;
    assert_eq!(status(&step(stage, &id, "capture").await), "CAPTURED");
    id
}

#[tokio::test(start_paused = true)]
async fn in_parts_until_nothing_is_left() {
    let stage = stage().await;
    let id = captured(&stage, 1).await;
    let first = refund(&stage, &id, Some(500), "a").await;
    assert_eq!(
        (first.status, status(&first), first.json()["refunded"]["amount"].as_i64()),
        (StatusCode::OK, "PARTIALLY_REFUNDED".into(), Some(500))
    );
    let second = refund(&stage, &id, Some(500), "b").await;
    assert_eq!((status(&second), second.json()["refunds"].as_array().map(Vec::len)), ("PARTIALLY_REFUNDED".into(), Some(2)));
    let much = refund(&stage, &id, Some(1_000), "c").await;
    assert_eq!(
        (much.status.as_u16(), much.json()["errors"][0]["pointer"].as_str(), much.json()["left"].as_i64()),
        (422, Some("#/amount/amount"), Some(999))
    );
    let rest = refund(&stage, &id, None, "d").await;
    assert_eq!((status(&rest), rest.json()["refunded"]["amount"].as_i64()), ("REFUNDED".into(), Some(1_999)));
    assert_eq!(refund(&stage, &id, Some(1), "e").await.status.as_u16(), 422);
    assert_eq!(refund(&stage, &id, None, "f").await.status.as_u16(), 422);
    assert_eq!(history(&stage, &id).await[4..], ["PARTIALLY_REFUNDED", "PARTIALLY_REFUNDED", "REFUNDED"]);
    stage.pass(seconds(1)).await;
    let told: Vec<_> = stage
        .events("payment.refunded.v1")
        .await
        .iter()
        .map(|event| (event["version"].clone(), event["amount"]["amount"].clone()))
        .collect();
    assert_eq!(told, [(json!(5), json!(500)), (json!(6), json!(500)), (json!(7), json!(999))]);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_refunded_is_refused() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    for _ in 0..2 {
        let early = refund(&stage, &id, None, "a").await;
        assert_eq!((early.status, early.slug().as_str()), (StatusCode::CONFLICT, "payment-not-refundable"));
        step(&stage, &id, "confirm").await;
    }
    step(&stage, &id, "capture").await;
    let path = format!("/payments/{id}/refund");
    for (body, pointer) in [
        (json!({"amount": {"amount": 0, "currency": "USD"}}), "#/amount/amount"),
        (json!({"amount": {"amount": -5, "currency": "USD"}}), "#/amount/amount"),
        (json!({"amount": {"amount": 5, "currency": "EUR"}}), "#/amount/currency"),
        (json!({"amount": {"amount": i64::MAX, "currency": "USD"}}), "#/amount/amount"),
        (json!({"reason": ""}), "#/reason"),
        (json!({"all": true}), "#/all"),
    ] {
        let got = stage.post_with_key(&path, &body, "b").await;
        assert_eq!((got.status.as_u16(), got.json()["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{body}");
    }
    let keyless = stage.post(&path, &json!({})).await;
    assert_eq!((keyless.status.as_u16(), keyless.slug().as_str()), (400, "idempotency-key-required"));
    assert_eq!(payment(&stage, &id).await["refunds"], json!([]));
    assert_eq!(truth(&stage, &id).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_one_refund_even_after_a_day() {
    let stage = stage().await;
    let id = captured(&stage, 1).await;
    let first = refund(&stage, &id, Some(300), "a").await;
    let again = refund(&stage, &id, Some(300), "a").await;
    assert_eq!((first.status, &first.body, first.header("etag")), (again.status, &again.body, again.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = refund(&stage, &id, Some(301), "a").await;
    assert_eq!((other.status.as_u16(), other.slug().as_str()), (422, "idempotency-key-reused"));
    stage.pass(seconds(25 * 3_600)).await;
    assert_eq!(refund(&stage, &id, Some(300), "a").await.json()["refunded"]["amount"], 300);
    assert_eq!(refund(&stage, &id, Some(301), "a").await.slug(), "idempotency-key-reused");
    assert_eq!(net_at_psp(&stage).await[&id], 1_699);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn many_at_once_never_give_back_more_than_was_taken() {
    let stage = stage().await;
    stage.world.start(&payment::MANIFEST, 1).await.unwrap();
    let id = captured(&stage, 1).await;
    let keys: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    let refunds = all(keys.iter().map(|key| refund(&stage, &id, Some(100), key))).await;
    let done = refunds.iter().filter(|got| got.status.is_success()).count();
    assert_eq!(done, 19, "nineteen times a hundred fit into 1999");
    assert!(refunds.iter().filter(|got| !got.status.is_success()).all(|got| got.status.as_u16() == 422));
    stage.pass(seconds(1)).await;
    assert_eq!(payment(&stage, &id).await["refunded"]["amount"], 1_900);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_the_provider_does_not_answer_is_pending_counts_and_is_asked_for_again() {
    let stage = stage().await;
    let id = captured(&stage, 1).await;
    stage.world.kill("psp", 0);
    let got = refund(&stage, &id, Some(1_500), "a").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "CAPTURED".into()));
    assert_eq!(got.json()["refunds"][0]["status"], "PENDING");
    assert_eq!(refund(&stage, &id, Some(500), "b").await.status.as_u16(), 422, "what is pending counts");
    stage.world.start(&psp::MANIFEST, 0).await.unwrap();
    stage.pass(seconds(60)).await;
    let after = payment(&stage, &id).await;
    assert_eq!((after["status"].as_str(), after["refunds"][0]["status"].as_str()), (Some("PARTIALLY_REFUNDED"), Some("SUCCEEDED")));
    assert_eq!(truth(&stage, &id).await.iter().filter(|kind| *kind == "refund.succeeded").count(), 1);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_a_refund_is_made_good() {
    let stage = stage().await;
    let id = captured(&stage, 1).await;
    let dying = refund(&stage, &id, None, "a");
    let killing = async {
        while truth(&stage, &id).await.len() < 3 {
            stage.pass(std::time::Duration::from_micros(5)).await;
        }
        stage.world.kill("payment", 0);
    };
    drop(futures::join!(dying, killing));
    stage.world.start(&payment::MANIFEST, 0).await.unwrap();
    assert_eq!(now(&stage, &id).await, "CAPTURED");
    let again = refund(&stage, &id, None, "a").await;
    assert_eq!((again.status, status(&again)), (StatusCode::OK, "REFUNDED".into()), "a repeat goes on");
    stage.pass(seconds(120)).await;
    assert_eq!(net_at_psp(&stage).await[&id], 0);
    assert_eq!(truth(&stage, &id).await.len(), 3);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_has_a_hundred_refunds_at_most() {
    let stage = stage().await;
    let id = captured(&stage, 1).await;
    for n in 0..100 {
        assert_eq!(refund(&stage, &id, Some(1), &format!("k{n}")).await.status, StatusCode::OK);
    }
    let more = refund(&stage, &id, Some(1), "one-more").await;
    assert_eq!((more.status, more.slug().as_str()), (StatusCode::CONFLICT, "too-many-refunds"));
    assert_eq!(payment(&stage, &id).await["refunded"]["amount"], 100);
}
