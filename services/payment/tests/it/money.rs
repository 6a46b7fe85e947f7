//! Capture and void: the steps that the table has, and none besides.

use http::StatusCode;
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_capture_needs_an_authorization() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    let early = step(&stage, &id, "capture").await;
    assert_eq!((early.status, early.slug().as_str()), (StatusCode::CONFLICT, "payment-not-capturable"));
    assert_eq!(early.json()["currentStatus"], "REQUIRES_CONFIRMATION");
    step(&stage, &id, "confirm").await;
    let path = format!("/payments/{id}/capture");
    let first = stage.post_with_key(&path, &json!({}), "c").await;
    assert_eq!((first.status, first.json()["captured"]["amount"].as_i64()), (StatusCode::OK, Some(1_999)));
    let again = stage.post_with_key(&path, &json!({}), "c").await;
    assert_eq!((again.status, &again.body, again.header("etag")), (first.status, &first.body, first.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = stage.post_with_key(&path, &json!({}), "d").await;
    assert_eq!((other.status, &other.body), (first.status, &first.body), "captured is captured");
    refund(&stage, &id, Some(1), "r").await;
    assert_eq!(step(&stage, &id, "capture").await.slug(), "payment-not-capturable");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "capture.succeeded", "refund.succeeded"]);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_void_before_the_confirmation_needs_no_provider() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    stage.world.kill("psp", 0);
    let got = step(&stage, &id, "void").await;
    assert_eq!((got.status, status(&got)), (StatusCode::OK, "VOIDED".into()));
    assert_eq!(step(&stage, &id, "void").await.json(), got.json());
    let confirm = step(&stage, &id, "confirm").await;
    assert_eq!((confirm.status, confirm.slug().as_str()), (StatusCode::CONFLICT, "payment-not-confirmable"));
    stage.pass(seconds(1)).await;
    assert_eq!(stage.events("payment.voided.v1").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_void_takes_an_authorization_back() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    let voided = all((0..10).map(|_| step(&stage, &id, "void"))).await;
    assert!(voided.iter().all(|got| got.status == StatusCode::OK && status(got) == "VOIDED"));
    assert_eq!(step(&stage, &id, "capture").await.slug(), "payment-not-capturable");
    assert_eq!(refund(&stage, &id, None, "r").await.slug(), "payment-not-refundable");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "authorization.voided"]);
    assert!(stage.facts("ledger").await.is_empty());
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_captured_is_not_voided() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    step(&stage, &id, "capture").await;
    for expected in ["CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"] {
        let got = step(&stage, &id, "void").await;
        assert_eq!(
            (got.status, got.slug().as_str(), got.json()["currentStatus"].as_str()),
            (StatusCode::CONFLICT, "payment-not-voidable", Some(expected))
        );
        refund(&stage, &id, (expected == "CAPTURED").then_some(1), expected).await;
    }
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_success_after_a_void_leaves_nothing_behind() {
    let stage = stage().await;
    for (n, token) in [(1, "tok_slow_40"), (2, "tok_late_40"), (3, "tok_never"), (4, "tok_timeout"), (5, "tok_slow_12")] {
        let mut body = request(n, token);
        body["captureAtOnce"] = json!(n % 2 == 1);
        let id = create_as(&stage, n, body).await;
        let confirming = step(&stage, &id, "confirm");
        let voiding = async {
            stage.pass(seconds(1)).await;
            step(&stage, &id, "void").await
        };
        let (confirmed, voided) = futures::join!(confirming, voiding);
        assert_eq!((voided.status, status(&voided)), (StatusCode::OK, "VOIDED".into()), "{token}: {}", voided.json());
        assert!(matches!(status(&confirmed).as_str(), "VOIDED" | "PROCESSING"), "{token}: {}", confirmed.json());
    }
    stage.pass(seconds(3_600)).await;
    for fact in stage.facts("payments").await {
        let id = fact["id"].as_str().unwrap();
        assert_eq!((fact["status"].as_str(), fact["captured"].as_i64()), (Some("VOIDED"), Some(0)));
        assert_eq!(truth(&stage, id).await.last().map(String::as_str), Some("authorization.voided"));
        assert!(!truth(&stage, id).await.contains(&"capture.succeeded".to_owned()));
    }
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_void_that_meets_a_capture_loses_or_wins_but_both_know_it() {
    for seed in 0..20 {
        let stage = seeded(seed).await;
        let id = create(&stage, 1, "tok_ok").await;
        step(&stage, &id, "confirm").await;
        let (captured, voided) = futures::join!(step(&stage, &id, "capture"), step(&stage, &id, "void"));
        match now(&stage, &id).await.as_str() {
            "CAPTURED" => assert_eq!((captured.status, voided.slug().as_str()), (StatusCode::OK, "payment-not-voidable")),
            "VOIDED" => assert_eq!((voided.status, captured.slug().as_str()), (StatusCode::OK, "payment-not-capturable")),
            other => panic!("{other}"),
        }
        check_books(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_provider_nothing_is_half_done_and_a_repeat_goes_on() {
    let stage = stage().await;
    let (capture, void) = (create(&stage, 1, "tok_ok").await, create(&stage, 2, "tok_ok").await);
    step(&stage, &capture, "confirm").await;
    step(&stage, &void, "confirm").await;
    stage.world.kill("psp", 0);
    for (id, what) in [(&capture, "capture"), (&void, "void")] {
        let got = stage.post_with_key(&format!("/payments/{id}/{what}"), &json!({}), "k").await;
        assert_eq!((got.status, got.slug().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(got.header("retry-after").is_some());
        assert_eq!(now(&stage, id).await, "AUTHORIZED");
    }
    stage.world.start(&psp::MANIFEST, 0).await.unwrap();
    stage.pass(seconds(5)).await;
    for (id, what, end) in [(&capture, "capture", "CAPTURED"), (&void, "void", "VOIDED")] {
        let got = stage.post_with_key(&format!("/payments/{id}/{what}"), &json!({}), "k").await;
        assert_eq!((got.status, status(&got).as_str()), (StatusCode::OK, end));
    }
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_provider_captured_is_made_good_though_nobody_asks_again() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    let dying = step(&stage, &id, "capture");
    let killing = async {
        while truth(&stage, &id).await.len() < 2 {
            stage.pass(std::time::Duration::from_micros(5)).await;
        }
        stage.world.kill("payment", 0);
    };
    drop(futures::join!(dying, killing));
    stage.world.start(&payment::MANIFEST, 0).await.unwrap();
    assert_eq!(now(&stage, &id).await, "AUTHORIZED", "it did not hear");
    stage.pass(seconds(31)).await;
    assert_eq!(now(&stage, &id).await, "CAPTURED");
    check_books(&stage).await;
}
