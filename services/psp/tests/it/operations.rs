//! Captures, voids, refunds and keys: what is refused changes nothing, what is repeated happens once.

use futures::join;
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn captures_and_refunds_stay_within_what_was_authorized() {
    let (stage, _) = stage().await;
    let id = id(&authorize(&stage, "p1", "tok_ok").await);
    for (what, body, key, code, slug) in [
        ("refunds", json!({}), "a", 409, "authorization-not-refundable"),
        ("capture", amount(1_001), "b", 422, "invalid"),
        ("capture", amount(-1), "c", 422, "invalid"),
        ("capture", json!({"amount": {"amount": 1, "currency": "EUR"}}), "d", 422, "invalid"),
    ] {
        let got = step(&stage, &id, what, body, key).await;
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (code, slug), "{what} {key}");
    }
    assert_eq!(truth(&stage).await, ["authorization.succeeded"]);
    let captured = step(&stage, &id, "capture", json!({}), "e").await;
    assert_eq!((captured.status, status(&captured)), (StatusCode::OK, "CAPTURED".into()));
    for (what, key, slug) in [("capture", "f", "authorization-not-capturable"), ("void", "g", "authorization-not-voidable")] {
        let got = step(&stage, &id, what, json!({}), key).await;
        assert_eq!((got.status, got.slug().as_str()), (StatusCode::CONFLICT, slug));
    }
    assert_eq!(step(&stage, &id, "refunds", amount(400), "h").await.json()["refunded"]["amount"], 400);
    let much = step(&stage, &id, "refunds", amount(601), "i").await;
    assert_eq!((much.status.as_u16(), much.json()["errors"][0]["pointer"].as_str()), (422, Some("#/amount/amount")));
    assert_eq!(step(&stage, &id, "refunds", json!({}), "j").await.json()["refunded"]["amount"], 1_000);
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "capture.succeeded", "refund.succeeded", "refund.succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_gets_the_same_answer_and_happens_once() {
    let (stage, _) = stage().await;
    let first = authorize(&stage, "p1", "tok_ok").await;
    let id = id(&first);
    for (what, body) in [("capture", json!({})), ("refunds", amount(300))] {
        let one = step(&stage, &id, what, body.clone(), "k").await;
        let two = step(&stage, &id, what, body, "k").await;
        assert_eq!((one.status, &one.body), (two.status, &two.body));
        assert_eq!(two.header("idempotency-replayed"), Some("true"));
    }
    let again = authorize(&stage, "p1", "tok_ok").await;
    assert_eq!((again.status, &again.body), (first.status, &first.body), "as it was answered, though it was captured since");
    let other = stage.post_with_key("/psp/authorizations", &request("p1", "tok_late_1"), "p1-key").await;
    assert_eq!((other.status.as_u16(), other.slug().as_str()), (422, "idempotency-key-reused"));
    // A day later keys are forgotten, money is not.
    stage.pass(seconds(25 * 3_600)).await;
    let late = step(&stage, &id, "refunds", amount(300), "k").await;
    assert_eq!((late.status, late.json()["refunded"]["amount"].as_i64()), (StatusCode::OK, Some(300)));
    assert_eq!(late.json()["lastEvent"]["requestKey"], "k");
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "capture.succeeded", "refund.succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn two_requests_under_one_key_are_one_and_under_two_keys_two() {
    let (stage, _) = stage().await;
    let (one, two) = join!(authorize(&stage, "p1", "tok_slow_3"), authorize(&stage, "p1", "tok_slow_3"));
    assert_eq!((one.status, &one.body), (two.status, &two.body));
    assert_eq!(truth(&stage).await.len(), 1);
    let other = stage.post_with_key("/psp/authorizations", &request("p1", "tok_ok"), "another-key").await;
    assert_ne!(id(&one), id(&other), "who changes the key pays twice");
    assert_eq!(by_reference(&stage, "p1").await["id"], id(&other), "the newest under the reference");
}

#[tokio::test(start_paused = true)]
async fn a_void_takes_an_authorization_back_once() {
    let (stage, _) = stage().await;
    let id = id(&authorize(&stage, "p1", "tok_ok").await);
    for key in ["a", "b", "a"] {
        let got = step(&stage, &id, "void", json!({}), key).await;
        assert_eq!((got.status, status(&got)), (StatusCode::OK, "VOIDED".into()));
        assert_eq!(got.json()["lastEvent"]["type"], "authorization.voided");
    }
    assert_eq!(step(&stage, &id, "capture", json!({}), "c").await.status, StatusCode::CONFLICT);
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "authorization.voided"]);
    let declined = authorize(&stage, "p2", "tok_decline_lost").await;
    let refused = step(&stage, declined.json()["id"].as_str().unwrap(), "void", json!({}), "d").await;
    assert_eq!((refused.status, refused.slug().as_str()), (StatusCode::CONFLICT, "authorization-not-voidable"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused_with_its_reason() {
    let (stage, _) = stage().await;
    let keyless = stage.post("/psp/authorizations", &request("p1", "tok_ok")).await;
    assert_eq!((keyless.status.as_u16(), keyless.slug().as_str()), (400, "idempotency-key-required"));
    let mut negative = request("p1", "tok_ok");
    negative["amount"]["amount"] = json!(-1);
    let mut currency = request("p1", "tok_ok");
    currency["amount"]["currency"] = json!("XXX");
    let mut unknown = request("p1", "tok_ok");
    unknown["more"] = json!(1);
    for (body, pointer) in [
        (negative, "#/amount/amount"),
        (currency, "#/amount/currency"),
        (unknown, "#/more"),
        (request("", "tok_ok"), "#/merchantReference"),
        (request("p1", "a token"), "#/token"),
    ] {
        let got = stage.post_with_key("/psp/authorizations", &body, "k").await;
        assert_eq!((got.status.as_u16(), got.json()["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{}", got.json());
    }
    for path in [
        "/psp/authorizations?merchantReference=nobody",
        "/psp/authorizations/x",
        "/psp/authorizations/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22",
    ] {
        assert_eq!(stage.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let got = stage
        .send_bytes(Method::POST, "/psp/authorizations", b"{".to_vec(), &[("content-type", "application/json"), ("idempotency-key", "k")])
        .await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    assert!(truth(&stage).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_truth_log_does_not_change() {
    let (stage, _) = stage().await;
    authorize(&stage, "p1", "tok_ok").await;
    let db = stage.world.db("psp").unwrap();
    for statement in ["UPDATE psp_events SET amount = 1", "DELETE FROM psp_events"] {
        assert!(db.run_script(statement).await.is_err(), "{statement}");
    }
    let facts = stage.facts("psp-truth").await;
    assert_eq!(facts.len(), 1);
    assert_eq!((&facts[0]["paymentId"], &facts[0]["amount"], &facts[0]["currency"]), (&json!("p1"), &json!(1_000), &json!("USD")));
}
