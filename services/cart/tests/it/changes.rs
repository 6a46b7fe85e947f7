//! Opening a cart and changing what is in it.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use platform::fault::{Fault, Rule, Scope};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_cart_is_open_and_empty() {
    let shop = Shop::open().await;
    let got = shop.stage.post("/carts", &json!({"region": "EU"})).await;
    let cart: Cart = got.view();
    assert_eq!((got.status.as_u16(), got.header("location")), (201, Some(format!("/carts/{}", cart.id).as_str())));
    assert_eq!(got.header("etag"), Some("\"1\""));
    let json = got.json();
    assert_eq!((&json["status"], &json["currency"], &json["version"]), (&json!("OPEN"), &json!("EUR"), &json!(1)));
    assert_eq!((&json["items"], &json["total"]), (&json!([]), &json!({"amount": 0, "currency": "EUR"})));
    assert_eq!(cart.expires_at, shop.stage.world.clock().now().plus(Duration::from_secs(72 * 3_600)));
    assert!(!cart.session_token.is_empty());
    assert_eq!(shop.cart(&cart).await, cart);
    let with_both: Cart = shop.stage.post("/carts", &json!({"region": "APAC", "currency": "VND"})).await.view();
    assert_eq!((with_both.region.code(), with_both.currency.code()), ("APAC", "VND"));
}

#[tokio::test(start_paused = true)]
async fn a_session_has_one_open_cart() {
    let shop = Shop::open().await;
    let body = json!({"sessionToken": "browser-1"});
    let open = || shop.stage.post("/carts", &body);
    let all = join_all((0..5).map(|_| open())).await;
    let ids: Vec<_> = all.iter().map(|got| got.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let created = all.iter().filter(|got| got.status == 201).count();
    assert_eq!((created, all.iter().filter(|got| got.status == 200).count()), (1, 4));
    let cart: Cart = all[0].view();
    shop.add(&cart, "LAMP", 1).await;
    shop.check_out(&cart, "k").await;
    let next = open().await;
    assert_eq!(next.status, 201, "the first one is closed");
    assert_ne!(next.json()["id"], ids[0]);
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused_with_a_pointer() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    for (body, at) in [
        (json!({"customerId": "x"}), "#/customerId"),
        (json!({"sessionToken": "a b"}), "#/sessionToken"),
        (json!({"currency": "usd"}), "#/currency"),
        (json!({"region": "MOON"}), "#/region"),
        (json!({"more": 1}), "#/more"),
    ] {
        let got = shop.stage.post("/carts", &body).await;
        assert_eq!((got.status.as_u16(), pointer(&got)), (422, at.to_owned()), "{body}");
    }
    for (body, at) in [
        (json!({"sku": "LAMP", "quantity": 0}), "#/quantity"),
        (json!({"sku": "LAMP", "quantity": 10_001}), "#/quantity"),
        (json!({"sku": "no sku", "quantity": 1}), "#/sku"),
        (json!({"sku": "UNHEARD-OF", "quantity": 1}), "#/sku"),
        (json!({"quantity": 1}), "#"),
    ] {
        let got = shop.stage.post(&format!("/carts/{}/items", cart.id), &body).await;
        assert_eq!((got.status.as_u16(), pointer(&got)), (422, at.to_owned()), "{body}");
    }
    assert_eq!(
        shop.stage.post("/carts/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22/items", &json!({"sku": "LAMP", "quantity": 1})).await.status,
        404
    );
    assert_eq!(shop.stage.get("/carts/no-id").await.status, 404);
    assert_eq!(shop.cart(&cart).await, cart, "nothing has changed");
    assert!(shop.stage.events("cart.item.added.v1").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn goods_are_priced_by_pricing_and_the_quote_is_kept() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    let asked = shop.prices.asked();
    let got = shop.add(&cart, "LAMP", 2).await;
    assert_eq!((got.status.as_u16(), got.header("etag"), shop.prices.asked() - asked), (200, Some("\"2\""), 1));
    let json = got.json();
    let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
    assert_eq!(json["items"][0]["unitPrice"], usd(1_000));
    assert_eq!(json["items"][0]["quote"]["listPrice"], usd(1_000));
    let valid_until: types::Timestamp = serde_json::from_value(json["items"][0]["quote"]["validUntil"].clone()).unwrap();
    assert!(valid_until > shop.stage.world.clock().now());
    let totals = ["subtotal", "discounts", "tax", "shipping", "total"].map(|name| json[name]["amount"].as_i64().unwrap());
    assert_eq!(totals, [2_000, 0, 200, 500, 2_700]);
    shop.add(&cart, "LAMP", 3).await;
    let path = format!("/carts/{}/items/LAMP", cart.id);
    assert_eq!(shop.cart(&cart).await.items[0].quantity.get(), 5, "they add up");
    let set: Cart = shop.stage.put(&path, &json!({"quantity": 1})).await.view();
    assert_eq!((set.items[0].quantity.get(), set.total.amount, set.version), (1, 1_600, 4));
    let removed = shop.stage.delete(&path).await;
    assert_eq!((removed.status.as_u16(), removed.json()["items"].clone(), removed.json()["total"].clone()), (200, json!([]), usd(0)));
    assert_eq!(shop.stage.delete(&path).await.status, 404);
    assert_eq!(shop.stage.put(&path, &json!({"quantity": 1})).await.status, 404);
    assert_eq!(shop.log(&cart).await, ["created", "item-added", "item-added", "quantity-set", "item-removed"]);
    let events = shop.stage.events("cart.item.added.v1").await;
    let told: Vec<_> = events.iter().map(|event| (event["quantity"].as_i64(), event["version"].as_i64())).collect();
    assert_eq!(told, [(Some(2), Some(2)), (Some(3), Some(3))]);
    assert_eq!((&events[0]["sku"], &events[0]["unit_price"]["amount"]), (&json!("LAMP"), &json!(1_000)));
}

#[tokio::test(start_paused = true)]
async fn a_line_and_a_cart_have_a_limit() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    shop.add(&cart, "LAMP", 10_000).await;
    let got = shop.add(&cart, "LAMP", 1).await;
    assert_eq!((got.status.as_u16(), pointer(&got)), (422, "#/quantity".into()));
    for number in 1..100 {
        shop.prices.set(&format!("S{number}"), Some(100));
        assert_eq!(shop.add(&cart, &format!("S{number}"), 1).await.status, 200);
    }
    let got = shop.add(&cart, "DESK", 1).await;
    assert_eq!((got.status.as_u16(), pointer(&got)), (422, "#/sku".into()));
    assert_eq!(shop.cart(&cart).await.items.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_stale_version_is_refused_on_every_change() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let path = |rest: &str| format!("/carts/{}/{rest}", cart.id);
    let all = [
        (Method::POST, path("items"), Some(json!({"sku": "LAMP", "quantity": 1}))),
        (Method::PUT, path("items/LAMP"), Some(json!({"quantity": 7}))),
        (Method::DELETE, path("items/LAMP"), None),
        (Method::POST, path("apply-coupon"), Some(json!({"code": "SAVE"}))),
        (Method::DELETE, path("coupon"), None),
        (Method::POST, path("checkout"), Some(checkout())),
    ];
    for (method, path, body) in &all {
        let got = shop.seeing("\"2\"", method.clone(), path, body.as_ref()).await;
        assert_eq!((got.status.as_u16(), got.slug()), (412, "stale-version".into()), "{method} {path}");
    }
    assert_eq!(shop.cart(&cart).await, cart);
    for (method, path, body) in &all {
        let version = shop.cart(&cart).await.version;
        let got = shop.seeing(&format!("\"{version}\""), method.clone(), path, body.as_ref()).await;
        assert!(got.status.is_success(), "{method} {path} {:?}", got.json());
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_adds_once() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    let path = format!("/carts/{}/items", cart.id);
    let body = json!({"sku": "LAMP", "quantity": 2});
    let all = join_all((0..4).map(|_| shop.stage.post_with_key(&path, &body, "once"))).await;
    let later = shop.stage.post_with_key(&path, &body, "once").await;
    assert!(all.iter().chain([&later]).all(|got| got.status == 200 && got.body == all[0].body && got.header("etag") == Some("\"2\"")));
    assert_eq!(later.header("idempotency-replayed"), Some("true"));
    assert_eq!(shop.cart(&cart).await.items[0].quantity.get(), 2);
    assert_eq!(shop.stage.events("cart.item.added.v1").await.len(), 1);
    let other = shop.stage.post_with_key(&path, &json!({"sku": "DESK", "quantity": 1}), "once").await;
    assert_eq!((other.status.as_u16(), other.slug()), (422, "idempotency-key-reused".into()));
    let opened = shop.stage.post_with_key("/carts", &json!({}), "open").await;
    let again = shop.stage.post_with_key("/carts", &json!({}), "open").await;
    assert_eq!((again.status.as_u16(), &again.body, again.header("location")), (201, &opened.body, opened.header("location")));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_takes_something_off_until_it_is_taken_off_itself() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let path = format!("/carts/{}/apply-coupon", cart.id);
    let bad = shop.stage.post(&path, &json!({"code": "NONE"})).await;
    assert_eq!((bad.status.as_u16(), pointer(&bad)), (422, "#/code".into()));
    let with: Cart = shop.stage.post(&path, &json!({"code": "SAVE"})).await.view();
    assert_eq!((with.discounts.amount, with.total.amount, with.coupon.as_ref().map(types::Sku::as_str)), (700, 7_430, Some("SAVE")));
    assert_eq!(with.items.iter().map(|item| item.discount.amount).collect::<Vec<_>>(), [200, 500]);
    let path = format!("/carts/{}/coupon", cart.id);
    let without: Cart = shop.stage.delete(&path).await.view();
    assert_eq!((without.discounts.amount, without.total, without.coupon), (0, cart.total, None));
    assert_eq!(shop.stage.delete(&path).await.status, 404);
    let empty = shop.new_cart().await;
    let got = shop.stage.post(&format!("/carts/{}/apply-coupon", empty.id), &json!({"code": "SAVE"})).await;
    assert_eq!((got.status.as_u16(), got.slug()), (422, "cart-empty".into()));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_has_ended_does_not_stand_in_the_way() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    shop.prices.end_coupon("SAVE");
    let got = shop.add(&cart, "LAMP", 1).await;
    assert_eq!(
        (got.status.as_u16(), got.json()["coupon"].clone(), got.json()["discounts"]["amount"].clone()),
        (200, json!(null), json!(0))
    );
    assert_eq!(shop.log(&cart).await.split_off(4), ["coupon-dropped", "item-added"]);
}

#[tokio::test(start_paused = true)]
async fn goods_that_lost_their_price_are_named_and_can_be_removed() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.add(&cart, "SOFA", 1).await;
    shop.prices.set("LAMP", None);
    shop.prices.set("DESK", None);
    let got = shop.add(&cart, "SOFA", 1).await;
    assert_eq!((got.status.as_u16(), got.slug(), got.json()["skus"].clone()), (409, "item-unavailable".into(), json!(["LAMP", "DESK"])));
    let left: Cart = shop.stage.delete(&format!("/carts/{}/items/LAMP", cart.id)).await.view();
    assert_eq!(left.items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(), ["SOFA"], "one does not hold the other back");
    assert_eq!(shop.log(&cart).await.split_off(4), ["item-dropped", "item-removed"]);
}

#[tokio::test(start_paused = true)]
async fn without_pricing_nothing_changes() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let fault = |rule| Fault { rule, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: Some(1.0) };
    for rule in [Rule::Fail, Rule::Drop] {
        shop.stage.world.faults().set("call.pricing", fault(rule)).unwrap();
        let got = shop.add(&cart, "LAMP", 1).await;
        assert_eq!((got.status.as_u16(), got.slug(), got.header("retry-after")), (503, "unavailable".into(), Some("1")));
        assert_eq!(shop.cart(&cart).await, cart);
        shop.stage.pass(Duration::from_secs(2)).await;
    }
    assert_eq!(shop.add(&cart, "LAMP", 1).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_nothing_changes_and_what_is_shown_stays_true() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let fault = Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: Some(1.0) };
    shop.stage.world.faults().set("store.commit", fault).unwrap();
    for got in [shop.add(&cart, "LAMP", 1).await, shop.check_out(&cart, "k").await] {
        assert_eq!((got.status.as_u16(), got.slug(), got.header("retry-after")), (503, "unavailable".into(), Some("1")));
    }
    shop.stage.pass(Duration::from_secs(60)).await;
    assert_eq!((shop.cart(&cart).await, shop.orders.count()), (cart.clone(), 0));
    assert_eq!(shop.stage.events("cart.item.added.v1").await.len(), 2);
    assert_eq!(shop.add(&cart, "LAMP", 1).await.json()["version"], 4);
    assert_eq!(shop.cart(&cart).await.version, 4);
}

#[tokio::test(start_paused = true)]
async fn of_fifty_adds_at_once_every_one_counts() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.new_cart().await;
    let asked = shop.prices.asked();
    let all = join_all((0..50).map(|_| shop.add(&cart, "LAMP", 1))).await;
    assert!(all.iter().all(|got| got.status == 200), "{:?}", all.iter().map(|got| got.status).collect::<Vec<_>>());
    let after = shop.cart(&cart).await;
    assert_eq!((after.items[0].quantity.get(), after.version), (50, 51));
    let mut versions: Vec<_> = shop.stage.events("cart.item.added.v1").await.iter().map(|event| event["version"].as_i64()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=51).map(Some).collect::<Vec<_>>());
    // Turns within an instance keep most of the quotes from being asked for in vain.
    assert!(shop.prices.asked() - asked <= 150, "{}", shop.prices.asked() - asked);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_saw_the_same_version_one_is_told() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.filled_cart().await;
    shop.prices.millis.store(20, std::sync::atomic::Ordering::Relaxed);
    let (path, body) = (format!("/carts/{}/items", cart.id), json!({"sku": "LAMP", "quantity": 1}));
    let all = join_all((0..2).map(|_| shop.seeing("\"3\"", Method::POST, &path, Some(&body)))).await;
    let mut statuses: Vec<_> = all.iter().map(|got| got.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(shop.cart(&cart).await.version, 4);
}
