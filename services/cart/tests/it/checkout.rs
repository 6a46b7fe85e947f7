//! The end of a cart by its checkout, and everything that can go wrong on the way.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use order_api::OrderStatus;
use platform::fault::{Fault, Rule, Scope};
use serde_json::json;

use super::*;

const CHECKED_OUT: &str = "cart.checkedout.v1";

fn for_seconds(rule: Rule, seconds: f64) -> Fault {
    Fault { rule, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: Some(seconds) }
}

/// A shop in which prices hold for a quarter of an hour, and a cart whose quotes have just ended.
async fn after_a_quarter() -> (Shop, Cart) {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.stage.pass(Duration::from_secs(901)).await;
    (shop, cart)
}

#[tokio::test(start_paused = true)]
async fn a_checkout_closes_the_cart_and_answers_with_its_order() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let asked = shop.prices.asked();
    let got = shop.check_out(&cart, "buy").await;
    let order = shop.orders.of(cart.id).unwrap();
    assert_eq!((got.status.as_u16(), got.header("location")), (202, Some(format!("/orders/{order}").as_str())));
    assert_eq!(got.json(), json!({"cartId": cart.id, "orderId": order, "status": "PENDING"}));
    let closed = shop.cart(&cart).await;
    assert_eq!((closed.status.as_str(), closed.version, closed.total), ("CHECKED_OUT", 4, cart.total));
    assert_eq!(shop.prices.asked(), asked, "the quotes hold");
    let events = shop.stage.events(CHECKED_OUT).await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["total"]["amount"], &events[0]["version"]), (&json!(8_200), &json!(4)));
    assert_eq!(events[0]["lines"].as_array().map(Vec::len), Some(2));
    assert!(!events[0].to_string().contains("Main Street"), "events carry ids, not people");
    let facts = shop.stage.facts("carts").await;
    assert_eq!((&facts[0]["status"], &facts[0]["version"]), (&json!("CHECKED_OUT"), &json!(4)));
}

#[tokio::test(start_paused = true)]
async fn a_closed_cart_refuses_changes_and_a_second_checkout() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.check_out(&cart, "buy").await;
    let closed = shop.cart(&cart).await;
    let path = |rest: &str| format!("/carts/{}/{rest}", cart.id);
    let refused = [
        shop.add(&cart, "LAMP", 1).await,
        shop.stage.put(&path("items/LAMP"), &json!({"quantity": 1})).await,
        shop.stage.delete(&path("items/LAMP")).await,
        shop.stage.post(&path("apply-coupon"), &json!({"code": "SAVE"})).await,
        shop.stage.delete(&path("coupon")).await,
        shop.check_out(&cart, "another").await,
        shop.stage.post(&path("checkout"), &checkout()).await,
    ];
    for got in refused {
        assert_eq!((got.status.as_u16(), got.slug()), (409, "cart-checked-out".into()), "{:?}", got.json());
    }
    assert_eq!((shop.cart(&cart).await, shop.orders.count()), (closed, 1));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_answered_the_same_however_far_the_order_has_come() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let first = shop.check_out(&cart, "buy").await;
    *shop.orders.status.lock().unwrap() = Some(OrderStatus::Confirmed);
    let again = shop.check_out(&cart, "buy").await;
    assert_eq!((again.status, &again.body, again.header("location")), (first.status, &first.body, first.header("location")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let path = format!("/carts/{}/checkout", cart.id);
    let mut other = checkout();
    other["shippingAddress"]["city"] = json!("Shelbyville");
    let got = shop.stage.post_with_key(&path, &other, "buy").await;
    assert_eq!((got.status.as_u16(), got.slug()), (422, "idempotency-key-reused".into()));
    assert_eq!((shop.orders.count(), shop.stage.events(CHECKED_OUT).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn of_many_checkouts_at_once_there_is_one_order() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.filled_cart().await;
    let keys: Vec<_> = (0..10).map(|number| format!("buyer-{}", number % 2)).collect();
    let all = join_all(keys.iter().map(|key| shop.check_out(&cart, key))).await;
    let winners: Vec<_> = all.iter().filter(|got| got.status == 202).collect();
    assert_eq!(winners.len(), 5, "all that came with the first one's key");
    assert!(winners.iter().all(|got| got.body == winners[0].body));
    assert!(all.iter().filter(|got| got.status != 202).all(|got| got.slug() == "cart-checked-out"));
    assert_eq!((shop.orders.count(), shop.stage.events(CHECKED_OUT).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_bought_is_refused_and_stays_open() {
    let shop = Shop::open().await;
    let cart = shop.new_cart().await;
    let got = shop.check_out(&cart, "k").await;
    assert_eq!((got.status.as_u16(), got.slug()), (422, "cart-empty".into()));
    assert_eq!((shop.freeze(&cart).await.status.as_u16(), shop.freeze(&cart).await.slug()), (422, "cart-empty".into()));
    let path = format!("/carts/{}/checkout", cart.id);
    let mut wrong = checkout();
    wrong["shippingAddress"]["country"] = json!("USA");
    let got = shop.stage.post(&path, &wrong).await;
    assert_eq!((got.status.as_u16(), pointer(&got)), (422, "#/shippingAddress/country".into()));
    let got = shop.stage.post(&path, &json!({})).await;
    assert_eq!(got.status, 422);
    assert_eq!((shop.cart(&cart).await, shop.orders.count()), (cart, 0));
}

#[tokio::test(start_paused = true)]
async fn a_quote_that_holds_is_the_price_whatever_pricing_says_by_now() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    shop.prices.set("LAMP", Some(2_000));
    assert_eq!(shop.check_out(&cart, "k").await.status, 202);
    assert_eq!(shop.cart(&cart).await.total, cart.total);
}

#[tokio::test(start_paused = true)]
async fn a_total_that_rose_since_it_was_quoted_is_told_and_shown() {
    let (shop, cart) = after_a_quarter().await;
    shop.prices.set("LAMP", Some(2_000));
    let got = shop.check_out(&cart, "k").await;
    assert_eq!((got.status.as_u16(), got.slug()), (409, "price-changed".into()));
    let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
    assert_eq!((&got.json()["oldTotal"], &got.json()["newTotal"]), (&usd(8_200), &usd(10_400)));
    let shown = shop.cart(&cart).await;
    assert_eq!((shown.status.as_str(), shown.total.amount, shown.version), ("OPEN", 10_400, 4));
    assert_eq!((shop.orders.count(), shop.stage.events(CHECKED_OUT).await.len()), (0, 0));
    assert_eq!(shop.check_out(&cart, "k").await.status, 202, "the buyer has seen it");
    assert_eq!(shop.cart(&cart).await.total.amount, 10_400);
}

#[tokio::test(start_paused = true)]
async fn a_total_that_did_not_rise_goes_through_at_the_new_prices() {
    let (shop, cart) = after_a_quarter().await;
    shop.prices.set("LAMP", Some(900));
    assert_eq!(shop.check_out(&cart, "k").await.status, 202);
    let closed = shop.cart(&cart).await;
    assert_eq!((closed.total.amount, closed.items[0].unit_price.amount, closed.version), (7_980, 900, 4));
    assert!(closed.items.iter().all(|item| item.quote.valid_until > shop.stage.world.clock().now()), "charged by a quote that holds");
    assert_eq!(shop.log(&cart).await.split_off(3), ["repriced", "checked-out"]);
}

#[tokio::test(start_paused = true)]
async fn without_pricing_a_cart_with_old_quotes_stays_open() {
    let (shop, cart) = after_a_quarter().await;
    shop.stage.world.faults().set("call.pricing", for_seconds(Rule::Fail, 5.0)).unwrap();
    let got = shop.check_out(&cart, "k").await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, Some("1")));
    shop.prices.set("DESK", None);
    shop.stage.pass(Duration::from_secs(60)).await;
    let got = shop.check_out(&cart, "k").await;
    assert_eq!((got.slug(), got.json()["skus"].clone()), ("item-unavailable".into(), json!(["DESK"])));
    assert_eq!((shop.cart(&cart).await, shop.orders.count()), (cart, 0));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_is_used_up_by_the_checkout_and_not_before() {
    let shop = Shop::open().await;
    let (first, second) = (shop.filled_cart().await, shop.filled_cart().await);
    for cart in [&first, &second] {
        shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    }
    assert_eq!(shop.prices.used("SAVE"), 0);
    assert_eq!(shop.check_out(&first, "a").await.status, 202);
    assert_eq!(shop.prices.used("SAVE"), 1);
    let before = shop.cart(&second).await;
    let got = shop.check_out(&second, "b").await;
    assert_eq!((got.status.as_u16(), got.slug()), (409, "coupon-exhausted".into()));
    shop.prices.end_coupon("SAVE");
    let got = shop.check_out(&second, "b").await;
    assert_eq!((got.status.as_u16(), got.slug()), (409, "coupon-refused".into()));
    assert_eq!(shop.cart(&second).await, before, "unchanged");
    shop.stage.delete(&format!("/carts/{}/coupon", second.id)).await;
    assert_eq!(shop.check_out(&second, "b").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_coupon_of_a_checkout_that_was_not_saved_is_given_back() {
    let shop = Shop::open().await;
    let (first, second) = (shop.filled_cart().await, shop.filled_cart().await);
    for cart in [&first, &second] {
        shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    }
    let of_cart = Scope { service: Some("cart".into()), ..Scope::default() };
    let fault = Fault { scope: of_cart, ..for_seconds(Rule::Fail, 5.0) };
    shop.stage.world.faults().set("store.commit", fault).unwrap();
    assert_eq!(shop.check_out(&first, "a").await.status, 503);
    assert_eq!((shop.cart(&first).await.status.as_str(), shop.prices.used("SAVE")), ("OPEN", 0));
    shop.stage.pass(Duration::from_secs(10)).await;
    assert_eq!(shop.check_out(&second, "b").await.status, 202, "it is free for another cart");
    assert_eq!(shop.prices.used("SAVE"), 1);
    let late = shop.check_out(&first, "a").await;
    assert_eq!((late.status.as_u16(), late.slug()), (409, "coupon-exhausted".into()));
    assert_eq!(shop.prices.used("SAVE"), 1, "what the other one has used stays used");
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_was_taken_off_while_it_was_used_up_is_given_back() {
    let shop = Shop::open().await;
    shop.stage.world.start(&MANIFEST, 1).await.unwrap();
    let cart = shop.filled_cart().await;
    shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    shop.prices.redeem_millis.store(200, std::sync::atomic::Ordering::Relaxed);
    let taking_off = async {
        shop.stage.pass(Duration::from_millis(50)).await;
        // Through the other instance, which does not wait for the checkout.
        shop.stage.delete(&format!("/carts/{}/coupon", cart.id)).await
    };
    let (checked_out, taken_off) = futures::future::join(shop.check_out(&cart, "k"), taking_off).await;
    assert_eq!((checked_out.status.as_u16(), taken_off.status.as_u16()), (202, 200));
    let closed = shop.cart(&cart).await;
    assert_eq!((closed.coupon, closed.discounts.amount), (None, 0));
    assert_eq!((shop.prices.used("SAVE"), shop.orders.count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_a_lost_checkout_of_this_cart_used_up_still_counts_for_it() {
    let (shop, cart) = after_a_quarter().await;
    shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    shop.prices.use_up("SAVE", cart.id);
    shop.stage.pass(Duration::from_secs(901)).await;
    let changed: Cart = shop.add(&cart, "LAMP", 1).await.view();
    assert_eq!(changed.coupon.map(String::from).as_deref(), Some("SAVE"), "it does not leave at a change");
    shop.stage.pass(Duration::from_secs(901)).await;
    assert_eq!(shop.check_out(&cart, "k").await.status, 202, "nor when it is priced anew at the checkout");
    let closed = shop.cart(&cart).await;
    assert_eq!((closed.coupon.map(String::from).as_deref(), shop.prices.used("SAVE")), (Some("SAVE"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_ended_with_the_quotes_is_a_total_that_rose() {
    let (shop, cart) = after_a_quarter().await;
    shop.stage.post(&format!("/carts/{}/apply-coupon", cart.id), &json!({"code": "SAVE"})).await;
    shop.stage.pass(Duration::from_secs(901)).await;
    shop.prices.end_coupon("SAVE");
    assert_eq!(shop.check_out(&cart, "k").await.slug(), "price-changed");
    let shown = shop.cart(&cart).await;
    assert_eq!((shown.coupon, shown.total.amount), (None, 8_200));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_cart_is_the_same_however_often_it_is_asked() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let first = shop.freeze(&cart).await;
    assert_eq!((first.status.as_u16(), first.json()["checkout"].clone()), (200, json!(null)), "nobody told the cart how it is paid");
    assert_eq!((&first.json()["cart"]["status"], &first.json()["cart"]["version"]), (&json!("CHECKED_OUT"), &json!(4)));
    let again = join_all((0..3).map(|_| shop.freeze(&cart))).await;
    assert!(again.iter().all(|got| got.body == first.body));
    assert_eq!(shop.stage.events(CHECKED_OUT).await.len(), 1);
    assert_eq!(shop.check_out(&cart, "late").await.slug(), "cart-checked-out");
    assert_eq!(shop.stage.post("/carts/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22/freeze", &json!({})).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_order_of_the_cart_is_named() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let order = shop.orders.make(cart.id, "not-the-cart");
    let got = shop.check_out(&cart, "k").await;
    assert_eq!((got.status.as_u16(), got.slug(), got.json()["orderId"].clone()), (409, "cart-checked-out".into(), json!(order)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_order_call_is_told_and_found_again_with_the_same_key() {
    for rule in [Rule::Fail, Rule::Drop] {
        let shop = Shop::open().await;
        let cart = shop.filled_cart().await;
        shop.stage.world.faults().set("call.order", for_seconds(rule, 10.0)).unwrap();
        let got = shop.check_out(&cart, "buy").await;
        assert_eq!((got.status.as_u16(), got.slug(), got.header("retry-after")), (503, "unavailable".into(), Some("1")), "{rule:?}");
        assert_eq!(shop.cart(&cart).await.status.as_str(), "CHECKED_OUT");
        assert_eq!(shop.freeze(&cart).await.json()["checkout"], checkout(), "who is told by the event finds how it is paid");
        let mut other = checkout();
        other["paymentMethod"]["token"] = json!("tok_other");
        let reused = shop.stage.post_with_key(&format!("/carts/{}/checkout", cart.id), &other, "buy").await;
        assert_eq!((reused.status.as_u16(), reused.slug()), (422, "idempotency-key-reused".into()));
        shop.stage.pass(Duration::from_secs(60)).await;
        let got = shop.check_out(&cart, "buy").await;
        assert_eq!((got.status.as_u16(), got.json()["orderId"].clone()), (202, json!(shop.orders.of(cart.id).unwrap())));
        assert_eq!((shop.orders.count(), shop.stage.events(CHECKED_OUT).await.len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_the_order_is_asked_for_loses_no_checkout() {
    let shop = Shop::open().await;
    let cart = shop.filled_cart().await;
    let come = Arc::new(tokio::sync::Notify::new());
    *shop.orders.silent.lock().unwrap() = Some(come.clone());
    let crash = async {
        come.notified().await;
        shop.stage.world.kill("cart", 0);
    };
    let (got, ()) = futures::join!(shop.check_out(&cart, "buy"), crash);
    assert_eq!(got.status, 503, "nobody is there to answer");
    *shop.orders.silent.lock().unwrap() = None;
    shop.stage.world.start(&MANIFEST, 0).await.unwrap();
    shop.stage.pass(Duration::from_secs(1)).await;
    let events = shop.stage.events(CHECKED_OUT).await;
    assert_eq!((events.len(), &events[0]["cart_id"]), (1, &json!(cart.id)));
    assert_eq!(shop.freeze(&cart).await.json()["checkout"], checkout());
    let got = shop.check_out(&cart, "buy").await;
    assert_eq!((got.status.as_u16(), got.json()["orderId"].clone()), (202, json!(shop.orders.of(cart.id).unwrap())));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_leaves_a_cart_that_is_open_or_closed_and_told() {
    let shop = Shop::open().await;
    let mut ends = [0, 0];
    for delay in 0..60 {
        let cart = shop.filled_cart().await;
        let crash = async {
            shop.stage.pass(Duration::from_micros(delay * 15)).await;
            shop.stage.world.kill("cart", 0);
        };
        futures::join!(shop.check_out(&cart, "buy"), crash);
        shop.stage.world.start(&MANIFEST, 0).await.unwrap();
        shop.stage.pass(Duration::from_secs(1)).await;
        let told = |events: Vec<Json>| events.iter().filter(|event| event["cart_id"] == json!(cart.id)).count();
        let is_closed = shop.cart(&cart).await.status.as_str() == "CHECKED_OUT";
        assert_eq!(told(shop.stage.events(CHECKED_OUT).await) == 1, is_closed, "after {delay}");
        if is_closed {
            assert_eq!(shop.freeze(&cart).await.json()["checkout"], checkout(), "after {delay}");
        }
        ends[usize::from(is_closed)] += 1;
        let got = shop.check_out(&cart, "buy").await;
        assert_eq!((got.status.as_u16(), got.json()["orderId"].clone()), (202, json!(shop.orders.of(cart.id).unwrap())), "after {delay}");
        assert_eq!(told(shop.stage.events(CHECKED_OUT).await), 1);
    }
    assert!(ends.iter().all(|count| *count > 0), "both ends were seen: {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn order_service_makes_a_lost_order_by_the_event_and_the_cart_forgets_the_address() {
    let stage = Stage::with(&[&MANIFEST, &order::MANIFEST]).await;
    let prices = Prices::new(stage.world.clock());
    stage.neighbour("pricing", prices.router());
    let shop = Shop { stage, prices, orders: Orders::default() };
    let cart = shop.filled_cart().await;
    shop.stage.world.faults().set("call.order", for_seconds(Rule::Fail, 3.0)).unwrap();
    assert_eq!(shop.check_out(&cart, "buy").await.status, 503);
    shop.stage.pass(Duration::from_secs(30)).await;
    let orders = shop.stage.facts("orders").await;
    assert_eq!((orders.len(), &orders[0]["cartId"], &orders[0]["total"]), (1, &json!(cart.id), &json!(8_200)));
    assert_eq!(shop.stage.facts("carts").await[0]["orderId"], orders[0]["id"]);
    assert_eq!(shop.freeze(&cart).await.json()["checkout"], json!(null), "the order knows it now");
    let other = shop.check_out(&cart, "another").await;
    assert_eq!((other.slug(), other.json()["orderId"].clone()), ("cart-checked-out".into(), orders[0]["id"].clone()));
    let got = shop.check_out(&cart, "buy").await;
    assert_eq!((got.status.as_u16(), got.json()["orderId"].clone()), (202, orders[0]["id"].clone()));
    assert_eq!(shop.stage.facts("orders").await.len(), 1);
    // The other way round: order-service is asked first, and asks for the cart.
    let cart = shop.filled_cart().await;
    let mut request = checkout();
    request["cartId"] = json!(cart.id);
    let got = shop.stage.post_with_key("/orders", &request, "direct").await;
    assert_eq!((got.status.as_u16(), got.json()["total"]["amount"].clone()), (201, json!(8_200)));
    assert_eq!(shop.cart(&cart).await.status.as_str(), "CHECKED_OUT");
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_stale_price_an_ended_quote_is_charged_as_it_was() {
    let (shop, cart) = after_a_quarter().await;
    shop.stage.world.set_rung("stale-price", "R0").unwrap();
    shop.prices.set("LAMP", Some(2_000));
    let asked = shop.prices.asked();
    assert_eq!(shop.check_out(&cart, "k").await.status, 202);
    let closed = shop.cart(&cart).await;
    assert_eq!((closed.total, shop.prices.asked()), (cart.total, asked), "nobody looks what it costs by now");
    assert!(closed.items.iter().all(|item| item.quote.valid_until <= shop.stage.world.clock().now()));
}

#[tokio::test(start_paused = true)]
async fn on_r1_of_stale_price_an_ended_quote_is_refused_once_whatever_it_costs_now() {
    for price in [900, 1_000, 2_000] {
        let (shop, cart) = after_a_quarter().await;
        shop.stage.world.set_rung("stale-price", "R1").unwrap();
        shop.prices.set("LAMP", Some(price));
        assert_eq!(shop.check_out(&cart, "k").await.slug(), "price-changed", "{price}");
        let shown = shop.cart(&cart).await;
        assert_eq!((shown.status.as_str(), shown.items[0].unit_price.amount), ("OPEN", price));
        assert_eq!(shop.check_out(&cart, "k").await.status, 202, "{price}: the buyer has seen it");
        assert_eq!(shop.cart(&cart).await.total, shown.total);
    }
}
