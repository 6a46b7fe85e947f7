//! C-02, C-05: segments, said or derived.

use customer_api::Customer;
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value as Json, json};

use crate::stage::{Mode, Shop};

const TOPIC: &str = "customer.segment.recalculated.v1";

#[tokio::test(start_paused = true)]
async fn assigned_segments_replace_those_there_are_and_are_announced_once() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/segments", mai.id);
    let got = shop.post(&path, &json!({"segments": ["VIP", "B2B", "VIP"]})).await;
    assert_eq!((got.status, got.header("etag"), &got.json()["segments"]), (StatusCode::OK, Some("\"2\""), &json!(["B2B", "VIP"])));
    assert_eq!(shop.post(&path, &json!({"segments": ["VIP", "B2B"]})).await.json(), got.json(), "the same set is no change");
    let got = shop.post(&path, &json!({"segments": []})).await;
    assert_eq!(got.json()["segments"], json!([]));
    assert_eq!(shop.get(&format!("/customers/{}", mai.id)).await.json(), got.json());
    shop.seconds(1).await;
    let told: Vec<_> = shop
        .events(TOPIC)
        .await
        .into_iter()
        .map(|event| (event["previous"].clone(), event["segments"].clone(), event["by"].clone(), event["version"].clone()))
        .collect();
    assert_eq!(
        told,
        [(json!([]), json!(["B2B", "VIP"]), json!("ASSIGNED"), json!(2)), (json!(["B2B", "VIP"]), json!([]), json!("ASSIGNED"), json!(3)),]
    );
    assert_eq!(shop.facts("customers").await[0]["segments"], json!([]));
    assert_eq!(shop.order.calls(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn recalculated_segments_follow_from_the_orders() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/segments", mai.id);
    shop.post(&path, &json!({"segments": ["B2B"]})).await;
    for (orders, spent, segment) in [
        (0, json!([]), "NEW"),
        (1, json!([{"amount": 99_999, "currency": "USD"}]), "GENERAL"),
        (1, json!([{"amount": 1, "currency": "EUR"}, {"amount": 150_000, "currency": "JPY"}]), "VIP"),
        (9, json!([{"amount": 5_000, "currency": "VND"}]), "GENERAL"),
        (10, json!([{"amount": 5_000, "currency": "VND"}]), "VIP"),
    ] {
        shop.order.has_sold(orders, spent);
        let got = shop.post(&path, &json!({"recalculate": true})).await;
        assert_eq!((got.status, &got.json()["segments"]), (StatusCode::OK, &json!([segment])), "{orders}");
    }
    assert_eq!(shop.order.calls(), vec![format!("GET /orders/customers/{}/summary", mai.id); 5]);
    assert_eq!(shop.facts("customers").await[0]["segments"], json!(["VIP"]));
    shop.seconds(1).await;
    let last = shop.events(TOPIC).await.pop().unwrap();
    assert_eq!((&last["by"], &last["segments"], &last["version"]), (&json!("RECALCULATED"), &json!(["VIP"]), &json!(7)));
}

#[tokio::test(start_paused = true)]
async fn neither_both_nor_none_nor_what_is_no_segment() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let wrong: Vec<(Json, &str)> = vec![
        (json!({}), "#/segments"),
        (json!({"recalculate": false}), "#/segments"),
        (json!({"segments": null}), "#/segments"),
        (json!({"segments": ["VIP"], "recalculate": true}), "#/recalculate"),
        (json!({"segments": ["vip"]}), "#/segments/0"),
        (json!({"segments": "VIP"}), "#/segments"),
        (json!({"segments": (0..21).map(|n| format!("S{n}")).collect::<Vec<_>>()}), "#/segments"),
        (json!({"recalculate": "yes"}), "#/recalculate"),
        (json!({"segment": ["VIP"]}), "#/segment"),
    ];
    for (body, pointer) in wrong {
        let got = shop.post(&format!("/customers/{}/segments", mai.id), &body).await;
        assert_eq!((got.status.as_u16(), &got.json()["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}: {}", got.json());
    }
    assert_eq!(shop.get(&format!("/customers/{}", mai.id)).await.view::<Customer>(), mai);
}

#[tokio::test(start_paused = true)]
async fn without_order_service_nothing_is_recalculated_and_the_rest_goes_on() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/segments", mai.id);
    for mode in [Mode::Answering(503), Mode::Silent] {
        shop.order.set(mode);
        let got = shop.post_with_key(&path, &json!({"recalculate": true}), "k").await;
        assert_eq!((got.status.as_u16(), got.slug().as_str(), got.header("retry-after")), (503, "unavailable", Some("1")));
        assert_eq!(shop.get(&format!("/customers/{}", mai.id)).await.view::<Customer>(), mai);
    }
    assert_eq!(shop.post(&path, &json!({"segments": ["VIP"]})).await.status, StatusCode::OK);
    shop.order.set(Mode::Well);
    let got = shop.post_with_key(&path, &json!({"recalculate": true}), "k").await;
    assert_eq!((got.status, &got.json()["segments"]), (StatusCode::OK, &json!(["NEW"])), "the key was not used up by a refusal");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_recalculates_once() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/segments", mai.id);
    let body = json!({"recalculate": true});
    let first = shop.post_with_key(&path, &body, "k").await;
    shop.order.has_sold(10, json!([]));
    let again = shop.post_with_key(&path, &body, "k").await;
    assert_eq!((again.status, &again.body, again.header("etag")), (first.status, &first.body, first.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(shop.order.calls().len(), 1);
    assert_eq!(shop.post_with_key(&path, &json!({"segments": []}), "k").await.slug(), "idempotency-key-reused");
}

#[tokio::test(start_paused = true)]
async fn many_at_once_leave_one_of_the_sets_and_a_version_for_each_change() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/segments", mai.id);
    let bodies: Vec<Json> = (0..10).map(|n| json!({"segments": [format!("S{n}")]})).collect();
    let answers = join_all(bodies.iter().map(|body| shop.post(&path, body))).await;
    assert!(answers.iter().all(|got| got.status == StatusCode::OK));
    let now: Customer = shop.get(&format!("/customers/{}", mai.id)).await.view();
    assert_eq!((now.version, now.segments.len()), (11, 1));
    shop.seconds(1).await;
    let versions: Vec<_> = shop.events(TOPIC).await.iter().map(|event| event["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, (2..=11).collect::<Vec<_>>());
}
