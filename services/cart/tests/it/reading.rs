//! Reads, the cache, and the coherence of the two.

use std::{sync::atomic::Ordering, time::Duration};

use http::Request;
use serde_json::json;
use tower::ServiceExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_session_finds_its_open_cart_or_its_newest() {
    let shop = Shop::open().await;
    let body = json!({"sessionToken": "browser-1"});
    let path = "/carts/by-session/browser-1";
    assert_eq!(shop.stage.get(path).await.status, 404);
    let first: Cart = shop.stage.post("/carts", &body).await.view();
    shop.add(&first, "LAMP", 1).await;
    let found = shop.stage.get(path).await;
    assert_eq!((found.json()["version"].clone(), found.header("etag")), (json!(2), Some("\"2\"")));
    shop.check_out(&first, "k").await;
    let found: Cart = shop.stage.get(path).await.view();
    assert_eq!((found.id, found.status.as_str()), (first.id, "CHECKED_OUT"), "the newest");
    let second: Cart = shop.stage.post("/carts", &body).await.view();
    assert_eq!(shop.stage.get(path).await.view::<Cart>().id, second.id, "the open one");
    assert_eq!(shop.stage.get("/carts/by-session/a%20b").await.status, 404);
}

/// What each of the two instances shows of a cart.
async fn shown_by_each(shop: &Shop, cart: &Cart) -> Vec<i64> {
    let mut versions = Vec::new();
    for _ in 0..2 {
        // The gateway takes turns.
        versions.push(shop.cart(cart).await.version);
    }
    versions
}

#[tokio::test(start_paused = true)]
async fn a_change_through_one_instance_is_seen_by_the_other_at_once() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.new_cart().await;
    for round in 1..20 {
        assert_eq!(shown_by_each(&shop, &cart).await, [round, round]);
        shop.add(&cart, "LAMP", 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn readers_never_see_less_than_what_was_answered() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.new_cart().await;
    let answered = std::cell::Cell::new(1);
    let done = std::cell::Cell::new(false);
    let writer = async {
        for _ in 0..40 {
            let version = shop.add(&cart, "LAMP", 1).await.json()["version"].as_i64().unwrap();
            answered.set(version);
        }
        done.set(true);
    };
    let reader = || async {
        while !done.get() {
            let before = answered.get();
            let seen = shop.cart(&cart).await.version;
            assert!(seen >= before, "{before} was answered, {seen} is shown");
            shop.stage.pass(Duration::from_micros(13)).await;
        }
    };
    futures::join!(writer, reader(), reader(), reader());
    assert_eq!(shop.cart(&cart).await.version, 41);
}

#[tokio::test(start_paused = true)]
async fn a_second_read_comes_from_the_cache() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let db = shop.stage.world.db("cart").unwrap();
    let statements = || db.counters().statements.load(Ordering::Relaxed);
    let first = shop.cart(&cart).await;
    let before = statements();
    assert_eq!(shop.cart(&cart).await, first);
    assert_eq!(statements(), before);
    shop.stage.pass(Duration::from_secs(601)).await;
    assert_eq!(shop.cart(&cart).await, first);
    assert!(statements() > before, "its time in the cache is over");
    let metrics = shop.stage.world.metrics().encode(Some("cart"));
    assert!(metrics.contains("cart_cache_reads_total{service=\"cart\",outcome=\"hit\"} 2"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_dies_before_it_answers_leaves_nothing_stale() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    // Dies at every moment of the change, a little later each time.
    for delay in 0..60 {
        let before = shop.cart(&cart).await;
        let request = shop.add(&cart, "LAMP", 1);
        let end = async {
            shop.stage.pass(Duration::from_micros(delay * 20)).await;
            shop.stage.world.kill("cart", 0);
        };
        futures::join!(request, end);
        shop.stage.world.start(&MANIFEST, 0).await.unwrap();
        let stored = shop.stage.facts("carts").await[0]["version"].as_i64().unwrap();
        let shown = shop.cart(&cart).await;
        assert_eq!(shown.version, stored, "after {delay}");
        assert!([before.version, before.version + 1].contains(&stored));
    }
    assert!(shop.cart(&cart).await.version > 1, "some of the changes were saved");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_dies_between_its_commit_and_the_cache_leaves_nothing_stale() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.stage.pass(Duration::from_secs(1)).await;
    assert_eq!(shop.cart(&cart).await.version, 3, "it is in the cache");
    let db = shop.stage.world.db("cart").unwrap();
    let commits = || db.counters().commits.load(Ordering::Relaxed);
    let before = commits();
    let crash = async {
        // Looks between any two steps of the request, so that it sees the commit before anything else can happen.
        while commits() == before {
            for _ in 0..20 {
                tokio::task::yield_now().await;
                if commits() != before {
                    break;
                }
            }
            if commits() == before {
                shop.stage.pass(Duration::from_micros(1)).await;
            }
        }
        shop.stage.world.kill("cart", 0);
    };
    let (got, ()) = futures::join!(shop.add(&cart, "LAMP", 1), crash);
    assert_eq!(got.status, 503, "it died before it could answer");
    shop.stage.world.start(&MANIFEST, 0).await.unwrap();
    assert_eq!(shop.stage.facts("carts").await[0]["version"], 4, "it was saved");
    assert_eq!(shop.cart(&cart).await.version, 4);
}

#[tokio::test(start_paused = true)]
async fn everything_is_there_after_a_restart() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.stage.world.kill("cart", 0);
    assert_eq!(shop.stage.get(&format!("/carts/{}", cart.id)).await.status, 503);
    shop.stage.world.start(&MANIFEST, 0).await.unwrap();
    assert_eq!(shop.cart(&cart).await, cart);
    let facts = shop.stage.facts("carts").await;
    let fact = &facts[0];
    assert_eq!((&fact["kind"], &fact["id"], &fact["status"]), (&json!("cart"), &json!(cart.id), &json!("OPEN")));
    assert_eq!((&fact["total"], &fact["currency"], &fact["version"]), (&json!(8_200), &json!("USD"), &json!(3)));
    assert!(fact["at"].is_string() && fact["seq"].is_i64());
}

#[tokio::test(start_paused = true)]
async fn every_path_is_documented() {
    let shop = Shop::open().await;
    let router = shop.stage.world.router("cart").unwrap();
    let response = router.oneshot(Request::get("/openapi.json").body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let document: Json = serde_json::from_slice(&bytes).unwrap();
    for (path, methods) in [
        ("/carts", &["post"][..]),
        ("/carts/{id}", &["get"]),
        ("/carts/by-session/{token}", &["get"]),
        ("/carts/{id}/items", &["post"]),
        ("/carts/{id}/items/{sku}", &["put", "delete"]),
        ("/carts/{id}/apply-coupon", &["post"]),
        ("/carts/{id}/coupon", &["delete"]),
        ("/carts/{id}/checkout", &["post"]),
        ("/carts/{id}/freeze", &["post"]),
        ("/carts/customers/{customer}/erasure", &["post"]),
    ] {
        for method in methods {
            assert!(document["paths"][path][method].is_object(), "{method} {path}");
        }
    }
}
