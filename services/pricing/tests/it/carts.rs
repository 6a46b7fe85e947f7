//! What a cart costs: its sums, its coupons, and what is refused.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value as Json, json};

use crate::{campaign, lamp_rule, made, pointers, price, stage};

const PATH: &str = "/pricing/carts/price";

fn cart(lines: &[(&str, u32)], more: Json) -> Json {
    let lines: Vec<Json> = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    let mut cart = json!({"currency": "USD", "region": "US", "lines": lines});
    crate::merge(&mut cart, more);
    cart
}

fn sums(body: &Json) -> [i64; 5] {
    ["subtotal", "discounts", "tax", "shipping", "total"].map(|name| body[name]["amount"].as_i64().unwrap_or(i64::MIN))
}

#[tokio::test(start_paused = true)]
async fn a_carts_lines_are_priced_by_their_quantity_and_added_up() {
    let stage = stage().await;
    made(&stage, "/pricing/rules", &lamp_rule(1, 1_000, json!({"when": {"gte": ["quantity", 2]}}))).await;
    let got = stage.post(PATH, &cart(&[("LAMP", 2), ("PEN", 1), ("LAMP", 1)], json!({}))).await;
    assert_eq!(got.status, 200, "{:?}", got.json());
    let body = got.json();
    // 2 × 1800 + 99 + 2000 = 5699; tax 8.25 % by line: 297 + 8.1675 → 8 + 165 = 470; shipping 599.
    assert_eq!(sums(&body), [5_699, 0, 470, 599, 6_768]);
    assert_eq!((&body["lines"][0]["unitPrice"]["amount"], &body["lines"][0]["listPrice"]["amount"]), (&json!(1800), &json!(2000)));
    assert_eq!(body["lines"][0]["appliedRules"][0]["name"], "rule 1");
    assert_eq!(body["lines"][2]["appliedRules"], json!([]));
    let unit = stage.get("/pricing/LAMP?quantity=2").await.json();
    assert_eq!(unit["unitPrice"], body["lines"][0]["unitPrice"]);
}

#[tokio::test(start_paused = true)]
async fn promotions_and_a_coupon_come_off_the_subtotal_and_fall_on_the_lines() {
    let stage = stage().await;
    made(&stage, "/promotions", &campaign(json!({"when": {"gte": ["quantity", 3]}}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "FIVE", "effect": {"amountOff": {"amount": 500, "currency": "USD"}}}))).await;
    let lines = [("LAMP", 1), ("CHAIR", 1), ("PEN", 1)];
    let body = stage.post(PATH, &cart(&lines, json!({"coupon": "FIVE"}))).await.json();
    // 7099: a tenth is 709.9 → 710, and 500 for the coupon.
    assert_eq!(sums(&body)[..2], [7_099, 1_210]);
    let of_lines =
        |name: &str| body["lines"].as_array().into_iter().flatten().filter_map(|line| line[name]["amount"].as_i64()).sum::<i64>();
    assert_eq!((of_lines("discount"), of_lines("tax")), (1_210, sums(&body)[2]));
    let two = stage.post(PATH, &cart(&lines[..2], json!({}))).await.json();
    assert_eq!(sums(&two)[1], 0, "the promotion wants three units");
    let euros = json!({"coupon": "FIVE", "currency": "EUR"});
    price(&stage, "LAMP", 1_900, "EUR").await;
    let other = stage.post(PATH, &cart(&[("LAMP", 1)], euros)).await.json();
    assert_eq!(sums(&other)[1], 0, "five dollars are not five euros");
    made(&stage, "/promotions", &campaign(json!({"code": "HUGE", "effect": {"amountOff": {"amount": i64::MAX, "currency": "USD"}}}))).await;
    let free = stage.post(PATH, &cart(&lines, json!({"coupon": "HUGE"}))).await.json();
    assert_eq!(sums(&free), [7_099, 7_099, 0, 599, 599], "never more than there is");
}

#[tokio::test(start_paused = true)]
async fn tax_and_shipping_are_the_regions() {
    let stage = stage().await;
    let of = async |lines: &[(&str, u32)], more: Json| sums(&stage.post(PATH, &cart(lines, more)).await.json());
    assert_eq!(of(&[("LAMP", 1)], json!({"region": "EU"})).await, [2_000, 0, 400, 699, 3_099]);
    assert_eq!(of(&[("LAMP", 1)], json!({"region": "APAC"})).await, [2_000, 0, 200, 899, 3_099]);
    assert_eq!(of(&[("CHAIR", 2)], json!({"region": "EU"})).await, [10_000, 0, 2_000, 0, 12_000], "free above the threshold");
    assert_eq!(of(&[], json!({})).await, [0; 5], "an empty cart costs nothing");
    price(&stage, "LAMP", 3_333, "JPY").await;
    assert_eq!(of(&[("LAMP", 1)], json!({"region": "APAC", "currency": "JPY"})).await, [3_333, 0, 333, 800, 4_466]);
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_cannot_be_used_is_refused_at_its_place() {
    let stage = stage().await;
    let starts_at = stage.world.clock().now().plus(Duration::from_secs(60));
    made(&stage, "/promotions", &campaign(json!({"code": "LATER", "startsAt": starts_at}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "OVER", "endsAt": "2026-01-02T00:00:00Z"}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "ONE", "usageLimit": 1}))).await;
    let own = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    assert_eq!(stage.post(PATH, &cart(&[("LAMP", 1)], json!({"coupon": "ONE"}))).await.status, 200);
    assert_eq!(stage.post("/promotions/ONE/redemptions", &json!({"cartId": own})).await.status, 200);
    for coupon in ["NONE", "LATER", "OVER", "ONE"] {
        let got = stage.post(PATH, &cart(&[("LAMP", 1)], json!({"coupon": coupon}))).await;
        assert_eq!((got.status.as_u16(), pointers(&got.json())), (422, vec!["#/coupon"]), "{coupon}");
    }
    let mine = stage.post(&format!("{PATH}?cartId={own}"), &cart(&[("LAMP", 1)], json!({"coupon": "ONE"}))).await;
    assert_eq!((mine.status.as_u16(), sums(&mine.json())[1]), (200, 200), "the cart that used it may be priced again");
    let until = mine.json()["validUntil"].clone();
    assert_eq!(until, json!(stage.world.clock().now().plus(Duration::from_secs(900))));
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(stage.post(PATH, &cart(&[("LAMP", 1)], json!({"coupon": "LATER"}))).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_carts_price_holds_until_a_promotion_begins() {
    let stage = stage().await;
    let starts_at = stage.world.clock().now().plus(Duration::from_secs(60));
    made(&stage, "/promotions", &campaign(json!({"startsAt": starts_at}))).await;
    let before = stage.post(PATH, &cart(&[("LAMP", 1)], json!({}))).await.json();
    assert_eq!((sums(&before)[1], &before["validUntil"]), (0, &json!(starts_at)));
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(sums(&stage.post(PATH, &cart(&[("LAMP", 1)], json!({}))).await.json())[1], 200);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_cart_is_refused() {
    let stage = stage().await;
    price(&stage, "GOLD", i64::MAX / 2, "USD").await;
    let refused = async |body: Json| {
        let got = stage.post(PATH, &body).await;
        (got.status.as_u16(), pointers(&got.json()).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let unknown = cart(&[("LAMP", 1), ("NONE", 1), ("PEN", 1), ("NOR-THIS", 2)], json!({}));
    assert_eq!(refused(unknown).await, (422, vec!["#/lines/1/sku".into(), "#/lines/3/sku".into()]));
    assert_eq!(refused(cart(&[("GOLD", 3)], json!({}))).await, (422, vec!["#/lines".into()]), "an overflow is an answer");
    assert_eq!(refused(cart(&[("GOLD", 1), ("GOLD", 1), ("CHAIR", 1)], json!({}))).await, (422, vec!["#/lines".into()]));
    assert_eq!(refused(cart(&[("GOLD", 1), ("GOLD", 1)], json!({}))).await, (422, vec!["#/lines".into()]), "with its tax");
    assert_eq!(refused(cart(&[("PEN", 1); 101], json!({}))).await, (422, vec!["#/lines".into()]));
    assert_eq!(refused(cart(&[("PEN", 0)], json!({}))).await, (422, vec!["#/lines/0/quantity".into()]));
    assert_eq!(refused(cart(&[("PEN", 1)], json!({"region": "MOON"}))).await, (422, vec!["#/region".into()]));
    assert_eq!(stage.post(PATH, &cart(&[("PEN", 1); 100], json!({}))).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_cart_is_priced_in_four_statements_whatever_its_size() {
    let stage = stage().await;
    made(&stage, "/promotions", &campaign(json!({"code": "TEN"}))).await;
    // Until the relay has carried what was just announced and says nothing more.
    stage.pass(Duration::from_secs(1)).await;
    let db = stage.world.db("pricing").expect("a store");
    let count = || db.counters().statements.load(Ordering::Relaxed);
    for lines in [vec![("LAMP", 1)], vec![("LAMP", 1), ("CHAIR", 2), ("PEN", 3)]] {
        let before = count();
        assert_eq!(stage.post(PATH, &cart(&lines, json!({"coupon": "TEN"}))).await.status, 200);
        assert_eq!(count() - before, 4);
    }
    let before = count();
    assert_eq!(stage.get("/pricing/LAMP").await.status, 200);
    assert_eq!(count() - before, 2, "and a quote in two");
}
