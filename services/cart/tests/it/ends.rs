//! The other ends: time, and a customer who wants to be forgotten.

use std::{sync::atomic::Ordering, time::Duration};

use platform::fault::{Fault, Rule, Scope};
use serde_json::json;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_cart_that_nobody_changes_expires_by_itself() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.stage.pass(72 * HOUR).await;
    shop.stage.pass(Duration::from_secs(1)).await;
    let facts = shop.stage.facts("carts").await;
    assert_eq!((&facts[0]["status"], &facts[0]["version"]), (&json!("EXPIRED"), &json!(4)), "nobody has asked for it");
    assert_eq!(shop.log(&cart).await.last().map(String::as_str), Some("expired"));
    assert_eq!(shop.cart(&cart).await.status.as_str(), "EXPIRED");
    let refused = [
        shop.add(&cart, "LAMP", 1).await,
        shop.check_out(&cart, "k").await,
        shop.freeze(&cart).await,
        shop.stage.delete(&format!("/carts/{}/items/LAMP", cart.id)).await,
    ];
    for got in refused {
        assert_eq!((got.status.as_u16(), got.slug()), (409, "cart-expired".into()));
    }
    assert_eq!(shop.orders.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_change_extends_the_life_of_a_cart_and_a_look_does_not() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    shop.stage.pass(71 * HOUR).await;
    let changed: Cart = shop.add(&cart, "LAMP", 1).await.view();
    assert_eq!(changed.expires_at, cart.expires_at.plus(71 * HOUR));
    shop.stage.pass(71 * HOUR).await;
    assert_eq!(shop.cart(&cart).await.status.as_str(), "OPEN");
    shop.stage.pass(HOUR - Duration::from_secs(5)).await;
    assert_eq!(shop.cart(&cart).await.status.as_str(), "OPEN", "and in the cache from here on");
    shop.stage.pass(Duration::from_secs(5)).await;
    assert_eq!(shop.cart(&cart).await.status.as_str(), "EXPIRED", "to the moment");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_cart_has_expired_gets_a_new_one() {
    let shop = Shop::open().await;
    let body = json!({"sessionToken": "browser-1"});
    let first = shop.stage.post("/carts", &body).await;
    shop.stage.pass(73 * HOUR).await;
    assert_eq!(shop.stage.get("/carts/by-session/browser-1").await.json()["status"], "EXPIRED");
    let second = shop.stage.post("/carts", &body).await;
    assert_eq!(second.status, 201);
    assert_ne!(first.json()["id"], second.json()["id"]);
}

#[tokio::test(start_paused = true)]
async fn many_carts_expire_in_steps_and_others_stay() {
    let shop = Shop::open().await;
    for _ in 0..450 {
        shop.new_cart().await;
    }
    shop.stage.pass(HOUR).await;
    let young = shop.new_cart().await;
    shop.stage.pass(71 * HOUR + Duration::from_secs(60)).await;
    let facts = shop.stage.facts("carts").await;
    assert_eq!(facts.iter().filter(|fact| fact["status"] == "EXPIRED").count(), 450);
    assert_eq!(shop.cart(&young).await.status.as_str(), "OPEN");
}

#[tokio::test(start_paused = true)]
async fn waiting_costs_next_to_nothing() {
    let shop = Shop::open().await;
    shop.new_cart().await;
    let statements = || shop.stage.world.db("cart").unwrap().counters().statements.load(Ordering::Relaxed);
    let before = statements();
    shop.stage.pass(10 * HOUR).await;
    // The relay's own look every half minute is the platform's.
    assert!(statements() - before <= 10 * (2 + 1 + 120) + 10, "{}", statements() - before);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_customer_leaves_neither_name_nor_address() {
    let shop = Shop::open().await;
    let customer = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    let other = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e33";
    let mut carts = Vec::new();
    for owner in [customer, customer, other] {
        let cart: Cart = shop.stage.post("/carts", &json!({"customerId": owner})).await.view();
        shop.add(&cart, "LAMP", 1).await;
        assert_eq!(shop.cart(&cart).await.customer_id.map(|id| id.to_string()).as_deref(), Some(owner));
        carts.push(cart);
    }
    let fault = Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: Some(5.0) };
    shop.stage.world.faults().set("call.order", fault).unwrap();
    assert_eq!(shop.check_out(&carts[0], "buy").await.status, 503);
    let path = format!("/carts/customers/{customer}/erasure");
    let got = shop.stage.post(&path, &json!({})).await;
    assert_eq!((got.status.as_u16(), got.json()), (200, json!({"records": 2})));
    for (cart, version) in [(&carts[0], 4), (&carts[1], 3)] {
        let shown = shop.cart(cart).await;
        assert_eq!((shown.customer_id, shown.version), (None, version), "also in the cache");
    }
    let frozen = shop.freeze(&carts[0]).await.json();
    assert_eq!((&frozen["checkout"], &frozen["erased"]), (&json!(null), &json!(true)), "an order that comes late is told");
    assert!(shop.cart(&carts[2]).await.customer_id.is_some());
    assert_eq!(shop.stage.post(&path, &json!({})).await.json(), json!({"records": 0}), "a repeat finds nothing");
    assert_eq!(shop.add(&carts[1], "DESK", 1).await.status, 200, "the cart lives on as a guest's");
}

#[tokio::test(start_paused = true)]
async fn answers_about_a_forgotten_customers_carts_are_forgotten_too() {
    let shop = Shop::open().await;
    let (customer, other) = ("0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22", "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e33");
    let stored = async || {
        let db = shop.stage.world.db("cart").unwrap();
        let read = db.read(async |tx: &mut platform::db::Tx<'_>| {
            tx.fetch_all::<String>("SELECT token FROM cart_idempotency ORDER BY token", vec![]).await
        });
        read.await.unwrap()
    };
    for (owner, name) in [(Some(customer), "own"), (Some(other), "other"), (None, "guest")] {
        let cart: Cart = shop.stage.post_with_key("/carts", &json!({"customerId": owner}), &format!("{name}-open")).await.view();
        let items = format!("/carts/{}/items", cart.id);
        shop.stage.post_with_key(&items, &json!({"sku": "LAMP", "quantity": 1}), &format!("{name}-add")).await;
        assert_eq!(shop.check_out(&cart, &format!("{name}-buy")).await.status, 202);
    }
    assert_eq!(stored().await.len(), 9);
    let path = format!("/carts/customers/{customer}/erasure");
    assert_eq!(shop.stage.post(&path, &json!({})).await.json(), json!({"records": 1}));
    let left = ["guest-add", "guest-buy", "guest-open", "other-add", "other-buy", "other-open"];
    assert_eq!(stored().await, left, "and no other's");
}

#[tokio::test(start_paused = true)]
async fn a_checkout_that_is_under_way_while_the_customer_is_forgotten_leaves_no_address() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let customer = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    let cart: Cart = shop.stage.post("/carts", &json!({"customerId": customer})).await.view();
    shop.add(&cart, "LAMP", 1).await;
    shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    shop.prices.redeem_millis.store(200, Ordering::Relaxed);
    let forgetting = async {
        shop.stage.pass(Duration::from_millis(50)).await;
        shop.stage.post(&format!("/carts/customers/{customer}/erasure"), &json!({})).await
    };
    let (checked_out, forgotten) = futures::future::join(shop.check_out(&cart, "k"), forgetting).await;
    assert_eq!((forgotten.status.as_u16(), checked_out.status.as_u16()), (200, 404), "{:?}", checked_out.json());
    assert_eq!((shop.orders.count(), shop.prices.used("SAVE")), (0, 0));
    assert_eq!(shop.cart(&cart).await.status.as_str(), "OPEN");
}
