//! Confirmation: every behaviour of the provider, and what becomes of it here.

use http::StatusCode;
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_order_that_goes_well_is_authorized_captured_and_refunded() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    let confirmed = step(&stage, &id, "confirm").await;
    assert_eq!((confirmed.status, status(&confirmed)), (StatusCode::OK, "AUTHORIZED".into()), "{}", confirmed.json());
    assert_eq!(confirmed.json()["captured"], json!({"amount": 0, "currency": "USD"}));
    let captured = step(&stage, &id, "capture").await;
    assert_eq!((captured.status, status(&captured)), (StatusCode::OK, "CAPTURED".into()), "{}", captured.json());
    let refunded = refund(&stage, &id, None, "r-1").await;
    assert_eq!((refunded.status, status(&refunded)), (StatusCode::OK, "REFUNDED".into()), "{}", refunded.json());
    assert_eq!(refunded.json()["refunds"][0]["status"], "SUCCEEDED");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "capture.succeeded", "refund.succeeded"]);
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "AUTHORIZED", "CAPTURED", "REFUNDED"]);
    check_books(&stage).await;
    // Versions of the events grow by one.
    stage.pass(seconds(1)).await;
    let mut versions = Vec::new();
    for topic in ["payment.authorized.v1", "payment.captured.v1", "payment.refunded.v1"] {
        let events = stage.events(topic).await;
        assert_eq!(events.len(), 1, "{topic}");
        assert_eq!(events[0]["payment_id"], id.as_str());
        versions.push(events[0]["version"].as_i64().unwrap());
    }
    assert_eq!(versions, [3, 4, 5]);
    assert!(net_at_psp(&stage).await.values().all(|net| *net == 0));
}

#[tokio::test(start_paused = true)]
async fn a_decline_fails_the_payment_and_says_why() {
    let stage = stage().await;
    for (n, token, code) in
        [(1, "tok_decline_insufficient", "insufficient_funds"), (2, "tok_decline_lost", "lost_card"), (3, "visa", "invalid_token")]
    {
        let id = create(&stage, n, token).await;
        let got = step(&stage, &id, "confirm").await;
        assert_eq!((got.status, status(&got)), (StatusCode::OK, "FAILED".into()));
        assert_eq!(got.json()["failureCode"], code);
        assert_eq!(step(&stage, &id, "confirm").await.json(), got.json(), "said again it is the same");
        assert_eq!(step(&stage, &id, "capture").await.slug(), "payment-not-capturable");
        assert_eq!(status(&step(&stage, &id, "void").await), "FAILED");
    }
    stage.pass(seconds(1)).await;
    let mut reasons: Vec<_> =
        stage.events("payment.failed.v1").await.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons, ["insufficient_funds", "invalid_token", "lost_card"]);
    assert!(stage.facts("ledger").await.is_empty(), "no money has moved");
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_taken_the_moment_it_comes() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_slow_7.25").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::OK, "AUTHORIZED".into()));
    // Two hops of 20 to 200 µs lie around the PSP's own time.
    let took = became(&stage, &id, "AUTHORIZED").await;
    assert!((7_250_040..=7_250_400).contains(&took), "{took}");
    // The callback that follows (it was slower than five seconds) changes nothing.
    let before = stage.get(&format!("/payments/{id}")).await;
    stage.pass(seconds(2)).await;
    let after = stage.get(&format!("/payments/{id}")).await;
    assert_eq!((&before.body, before.header("etag")), (&after.body, after.header("etag")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_time_limit_comes_by_callback_at_once() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_slow_12.5").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "UNKNOWN".into()));
    assert_eq!(became(&stage, &id, "UNKNOWN").await, 10_000_000);
    stage.pass(seconds(4)).await;
    let took = became(&stage, &id, "AUTHORIZED").await;
    assert!((12_500_040..=12_500_400).contains(&took), "{took}");
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "UNKNOWN", "AUTHORIZED"]);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_takes_its_time_for_is_processing_until_it_calls_back() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_late_150").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "PROCESSING".into()));
    stage.pass(seconds(151)).await;
    let took = became(&stage, &id, "AUTHORIZED").await;
    assert!((150_000_040..=150_000_400).contains(&took), "{took}");
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "AUTHORIZED"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_after_half_a_minute() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_timeout").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "UNKNOWN".into()));
    stage.pass(seconds(60)).await;
    let took = became(&stage, &id, "AUTHORIZED").await;
    assert!((30_000_000..30_002_000).contains(&took), "{took}");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded"]);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_is_never_processed_stays_open_and_is_asked_for_ever_more_rarely() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_never").await;
    assert_eq!(step(&stage, &id, "confirm").await.status, StatusCode::ACCEPTED);
    let asked = async || {
        let db = stage.world.db("payment").unwrap();
        db.read(async |tx: &mut platform::db::Tx<'_>| tx.fetch_one::<i64>("SELECT inquiries FROM payments", vec![]).await).await.unwrap()
    };
    stage.pass(seconds(21)).await;
    assert_eq!(asked().await, 1);
    stage.pass(seconds(60)).await;
    assert_eq!(asked().await, 2);
    stage.pass(seconds(3_600)).await;
    assert!((7..=9).contains(&asked().await), "{}: at most every ten minutes", asked().await);
    assert_eq!(now(&stage, &id).await, "UNKNOWN");
    let voided = step(&stage, &id, "void").await;
    assert_eq!((voided.status, status(&voided)), (StatusCode::OK, "VOIDED".into()));
    assert_eq!(truth(&stage, &id).await, ["authorization.voided"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_while_it_is_open_does_not_ask_again() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_late_20").await;
    let path = format!("/payments/{id}/confirm");
    let first = stage.post_with_key(&path, &json!({}), "c").await;
    for key in ["c", "d", "e"] {
        let again = stage.post_with_key(&path, &json!({}), key).await;
        assert_eq!((again.status, &again.body, again.header("etag")), (StatusCode::ACCEPTED, &first.body, first.header("etag")));
    }
    stage.pass(seconds(21)).await;
    let replayed = stage.post_with_key(&path, &json!({}), "c").await;
    assert_eq!((replayed.status, &replayed.body), (first.status, &first.body), "a key keeps its answer");
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    let fresh = stage.post_with_key(&path, &json!({}), "f").await;
    assert_eq!((fresh.status, status(&fresh)), (StatusCode::OK, "AUTHORIZED".into()));
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn many_confirmations_and_captures_at_once_take_the_money_once() {
    let stage = stage().await;
    stage.world.start(&payment::MANIFEST, 1).await.unwrap();
    let id = create(&stage, 1, "tok_slow_0.5").await;
    let confirmed = all((0..20).map(|_| step(&stage, &id, "confirm"))).await;
    assert_eq!(confirmed.iter().filter(|got| got.status == StatusCode::OK).count(), 1, "one has asked");
    assert!(confirmed.iter().all(|got| matches!(status(got).as_str(), "AUTHORIZED" | "PROCESSING")));
    let captured = all((0..20).map(|_| step(&stage, &id, "capture"))).await;
    assert!(captured.iter().all(|got| got.status == StatusCode::OK && status(got) == "CAPTURED"), "{captured:?}");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "capture.succeeded"]);
    assert_eq!(history(&stage, &id).await.last().map(String::as_str), Some("CAPTURED"));
    stage.pass(seconds(120)).await;
    assert_eq!(stage.events("payment.captured.v1").await.len(), 1);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn with_capture_at_once_the_provider_takes_the_money_with_the_authorization() {
    let stage = stage().await;
    let mut body = request(1, "tok_ok");
    body["captureAtOnce"] = json!(true);
    let id = create_as(&stage, 1, body).await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::OK, "CAPTURED".into()));
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "AUTHORIZED", "CAPTURED"]);
    stage.pass(seconds(1)).await;
    let versions = |events: Vec<serde_json::Value>| events[0]["version"].as_i64();
    assert_eq!(versions(stage.events("payment.authorized.v1").await), Some(3));
    assert_eq!(versions(stage.events("payment.captured.v1").await), Some(4));
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_outcome_is_made_good() {
    let stage = stage().await;
    let ids = [create(&stage, 1, "tok_slow_3").await, create(&stage, 2, "tok_late_8").await, create(&stage, 3, "tok_decline_lost").await];
    let slow = step(&stage, &ids[0], "confirm");
    let others = async {
        assert_eq!(step(&stage, &ids[1], "confirm").await.status, StatusCode::ACCEPTED);
        stage.pass(seconds(1)).await;
        // This one is told PROCESSING in the store and nothing else when the service dies.
        let dying = step(&stage, &ids[2], "confirm");
        let killing = async {
            stage.pass(std::time::Duration::from_micros(10)).await;
            stage.world.kill("payment", 0);
        };
        futures::join!(dying, killing)
    };
    drop(futures::join!(slow, others));
    stage.pass(seconds(5)).await;
    stage.world.start(&payment::MANIFEST, 0).await.unwrap();
    for id in &ids {
        assert_eq!(now(&stage, id).await, "PROCESSING");
    }
    stage.pass(seconds(60)).await;
    assert_eq!(now(&stage, &ids[0]).await, "AUTHORIZED", "the answer that nobody heard");
    assert_eq!(now(&stage, &ids[1]).await, "AUTHORIZED", "the callback");
    assert_eq!(now(&stage, &ids[2]).await, "FAILED", "the call that was never made");
    for id in &ids {
        assert_eq!(truth(&stage, id).await.len(), 1);
    }
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_how_long_the_provider_takes_and_how_often_it_says_no() {
    let stage = stage().await;
    for (n, token) in [(1, "tok_ok"), (2, "tok_slow_3"), (3, "tok_decline_lost"), (4, "tok_ok")] {
        let id = create(&stage, n, token).await;
        step(&stage, &id, "confirm").await;
    }
    let text = stage.world.metrics().encode(Some("payment"));
    assert!(text.contains("payment_failure_rate{service=\"payment\",instance=\"0\"} 0.25"), "{text}");
    assert!(text.contains("payment_attempt_latency_seconds_count{service=\"payment\",operation=\"authorize\"} 4"), "{text}");
    assert!(text.contains("payment_attempt_latency_seconds_bucket{le=\"2.5\",service=\"payment\",operation=\"authorize\"} 3"), "{text}");
    // What was before a restart counts.
    stage.world.kill("payment", 0);
    stage.world.start(&payment::MANIFEST, 0).await.unwrap();
    let text = stage.world.metrics().encode(Some("payment"));
    assert!(text.contains("payment_failure_rate{service=\"payment\",instance=\"0\"} 0.25"), "{text}");
}
