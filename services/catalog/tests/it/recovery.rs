//! What a crash between two stores leaves behind, and how it is made good.

use std::time::Duration;

use catalog::MANIFEST;
use http::Method;
use platform::{
    db::{DbError, Tx},
    testing::Stage,
    values,
};
use serde_json::{Value as Json, json};
use types::id::Uuid;

use crate::{create, lamp, path, skus, stage, text};

/// Kills the service after so many microseconds of a request, and starts it again.
async fn killed_during(stage: &Stage, micros: u64, body: &Json, key: &str) {
    let headers = [("idempotency-key", key)];
    let request = stage.send(Method::POST, "/products", Some(body), &headers);
    let _ = stage.world.clock().timeout(Duration::from_micros(micros), request).await;
    stage.world.kill("catalog", 0);
    stage.world.start(&MANIFEST, 0).await.expect("started");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_was_cut_off_anywhere_is_made_whole_when_it_is_said_again() {
    for micros in 0..60 {
        let stage = Stage::of(&[&MANIFEST], 100 + micros, |settings| settings).await;
        let hold = json!({"rule": "delay", "millis": 1, "share": 0.5, "scope": {"service": "catalog"}, "for": 1});
        stage.admin(Method::PUT, "/lab/faults/store.commit", Some(&hold)).await;
        killed_during(&stage, micros * 60, &lamp("A"), "k").await;
        // The key of a request that was cut off is in use until its lease has run out.
        let made = loop {
            let got = stage.post_with_key("/products", &lamp("A"), "k").await;
            if got.status == 201 {
                break got.json();
            }
            assert_eq!(got.slug(), "idempotency-key-in-use", "{}", got.json());
            stage.pass(Duration::from_secs(5)).await;
        };
        stage.pass(Duration::from_secs(31)).await;
        assert_eq!(skus(&stage.get("/products?q=lamp").await.json()), ["A"], "after {micros}");
        assert_eq!(stage.get("/products/by-sku/A").await.json(), made);
        assert_eq!(stage.facts("outbox").await.len(), 1, "it was told once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_missed_a_change_is_made_good_from_the_feed() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let db = stage.world.db("catalog").expect("a store");
    stage.pass(Duration::from_secs(1)).await;
    db.run_script("DELETE FROM product_tokens; DELETE FROM product_index; DELETE FROM product_skus; DELETE FROM feed_progress")
        .await
        .expect("lost");
    assert!(skus(&stage.get("/products").await.json()).is_empty());
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(skus(&stage.get("/products?q=lamp").await.json()), ["A"]);
    assert_eq!(stage.get("/products/by-sku/A").await.json()["id"], product["id"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_no_document_backs_lapses() {
    let stage = stage().await;
    let db = stage.world.db("catalog").expect("a store");
    let (holder, now) = (Uuid::from_u128(0x0195_f3a2_7c11_7d3e_8a11_3f2f_0c9b_1e22), stage.world.clock().now());
    let claim = "INSERT INTO product_skus (sku, product_id, version, request_key, claimed_at) VALUES ('A', ?, 1, NULL, ?)";
    let claimed = db.write(async move |tx: &mut Tx<'_>| tx.execute(claim, values![holder, now]).await);
    claimed.await.unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(stage.post("/products", &lamp("A")).await.slug(), "sku-taken", "its request may still be on its way");
    assert_eq!(stage.get("/products/by-sku/A").await.status, 404);
    stage.pass(Duration::from_secs(60)).await;
    create(&stage, &lamp("A")).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_refuses_and_recovers() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let fault = json!({"rule": "fail", "scope": {"service": "catalog"}, "for": 5});
    stage.admin(Method::PUT, "/lab/faults/store.commit", Some(&fault)).await;
    let refused = stage.post_with_key("/products", &lamp("B"), "k").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(stage.put(&path(&product), &json!({"sku": "A", "title": "x", "rev": product["rev"]})).await.status, 503);
    assert_eq!(stage.get(&path(&product)).await.json(), product);
    stage.pass(Duration::from_secs(10)).await;
    assert_eq!(stage.post_with_key("/products", &lamp("B"), "k").await.status, 201);
    assert_eq!(text(&stage.get("/products/by-sku/B").await.json()["sku"]), "B");
}

#[tokio::test(start_paused = true)]
async fn old_answers_are_forgotten() {
    let stage = stage().await;
    stage.post_with_key("/products", &lamp("A"), "k").await;
    stage.pass(Duration::from_secs(26 * 3600)).await;
    let left: i64 = stage
        .world
        .db("catalog")
        .expect("a store")
        .read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT count(*) FROM catalog_idempotency", vec![]).await)
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(left, 0);
    assert_eq!(stage.post_with_key("/products", &lamp("A"), "k").await.slug(), "sku-taken", "the SKU still refuses a second one");
}
