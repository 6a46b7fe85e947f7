//! What is asked wrongly is refused with its reason and changes nothing.

use http::{Method, StatusCode};
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_order_has_one_payment() {
    let stage = stage().await;
    let first = stage.post_with_key("/payments", &request(1, "tok_ok"), "a").await;
    assert_eq!((first.status, status(&first)), (StatusCode::CREATED, "REQUIRES_CONFIRMATION".into()));
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), Some(format!("/payments/{id}").as_str()));
    assert_eq!(first.header("etag"), Some("\"1\""));
    let replayed = stage.post_with_key("/payments", &request(1, "tok_ok"), "a").await;
    assert_eq!((replayed.status, &replayed.body, replayed.header("location")), (first.status, &first.body, first.header("location")));
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    let same = stage.post_with_key("/payments", &request(1, "tok_ok"), "b").await;
    assert_eq!((same.status, same.json()["id"].as_str()), (StatusCode::OK, Some(id.as_str())), "another key, the same payment");
    let other_body = stage.post_with_key("/payments", &request(2, "tok_ok"), "a").await;
    assert_eq!((other_body.status.as_u16(), other_body.slug().as_str()), (422, "idempotency-key-reused"));
    let mut dearer = request(1, "tok_ok");
    dearer["amount"]["amount"] = json!(2_000);
    for other in [dearer, request(1, "tok_late_1")] {
        let refused = stage.post_with_key("/payments", &other, "c").await;
        assert_eq!((refused.status, refused.slug().as_str()), (StatusCode::CONFLICT, "payment-exists"));
        assert_eq!(refused.json()["paymentId"], id.as_str());
    }
    // A day later the key is forgotten, the order is not.
    stage.pass(seconds(25 * 3_600)).await;
    let late = stage.post_with_key("/payments", &request(1, "tok_ok"), "a").await;
    assert_eq!((late.status, late.json()["id"].as_str()), (StatusCode::OK, Some(id.as_str())));
    assert_eq!(stage.facts("payments").await.len(), 1);
    let found = stage.get(&format!("/payments?orderId={}", order(1))).await.json();
    assert_eq!((found["items"][0]["id"].as_str(), &found["nextCursor"]), (Some(id.as_str()), &json!(null)));
    assert_eq!(stage.get(&format!("/payments?orderId={}", order(2))).await.json()["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn many_at_once_make_one_payment() {
    let stage = stage().await;
    let asked: Vec<_> = (0..20).map(|n| (request(1, "tok_ok"), format!("k{n}"))).collect();
    let made = all(asked.iter().map(|(body, key)| stage.post_with_key("/payments", body, key))).await;
    assert_eq!(made.iter().filter(|got| got.status == StatusCode::CREATED).count(), 1);
    assert!(made.iter().all(|got| got.json()["id"] == made[0].json()["id"]));
    assert_eq!(stage.facts("payments").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_payment_is_refused_with_a_pointer() {
    let stage = stage().await;
    let with = |pointer: &str, value: serde_json::Value| {
        let mut body = request(1, "tok_ok");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let mut more = request(1, "tok_ok");
    more["tip"] = json!(1);
    for (body, pointer) in [
        (with("/amount/amount", json!(-1)), "#/amount/amount"),
        (with("/amount/amount", json!("1")), "#/amount/amount"),
        (with("/amount/currency", json!("XXX")), "#/amount/currency"),
        (with("/orderId", json!("x")), "#/orderId"),
        (with("/method/type", json!("cash")), "#/method/type"),
        (with("/method/token", json!("a b")), "#/method/token"),
        (more, "#/tip"),
    ] {
        let got = stage.post_with_key("/payments", &body, "k").await;
        assert_eq!((got.status.as_u16(), got.json()["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{}", got.json());
    }
    let keyless = stage.post("/payments", &request(1, "tok_ok")).await;
    assert_eq!((keyless.status.as_u16(), keyless.slug().as_str()), (400, "idempotency-key-required"));
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    assert_eq!(stage.send_bytes(Method::POST, "/payments", b"{".to_vec(), &headers).await.status, StatusCode::BAD_REQUEST);
    assert!(stage.facts("payments").await.is_empty());
    assert_eq!(stage.get("/payments").await.status.as_u16(), 422, "the order must be said");
    assert_eq!(stage.get("/payments?orderId=x").await.status.as_u16(), 422);
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_is_not_there_is_404() {
    let stage = stage().await;
    for id in ["0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22", "x"] {
        assert_eq!(stage.get(&format!("/payments/{id}")).await.status, StatusCode::NOT_FOUND);
        for what in ["confirm", "capture", "void"] {
            assert_eq!(step(&stage, id, what).await.status, StatusCode::NOT_FOUND, "{what} {id}");
        }
        assert_eq!(refund(&stage, id, None, "k").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_order_is_paid_by_nothing() {
    let stage = stage().await;
    let mut body = request(1, "tok_ok");
    body["amount"]["amount"] = json!(0);
    let id = create_as(&stage, 1, body).await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "AUTHORIZED");
    assert_eq!(status(&step(&stage, &id, "capture").await), "CAPTURED");
    let refunded = refund(&stage, &id, None, "r").await;
    assert_eq!((refunded.status, status(&refunded)), (StatusCode::OK, "REFUNDED".into()), "{}", refunded.json());
    assert!(stage.facts("ledger").await.is_empty());
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_amount_is_one_like_any_other() {
    let stage = stage().await;
    let mut body = request(1, "tok_ok");
    body["amount"]["amount"] = json!(i64::MAX);
    let id = create_as(&stage, 1, body).await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "AUTHORIZED");
    assert_eq!(status(&step(&stage, &id, "capture").await), "CAPTURED");
    assert_eq!(refund(&stage, &id, Some(i64::MAX - 1), "r").await.status, StatusCode::OK);
    assert_eq!(refund(&stage, &id, Some(2), "s").await.status.as_u16(), 422);
    assert_eq!(status(&refund(&stage, &id, None, "t").await), "REFUNDED");
    let lines = stage.facts("ledger").await;
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0]["debit"], json!(i64::MAX));
}
