//! I20: campaigns begin once, and a coupon is never used more often than it may be.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value as Json, json};

use crate::{campaign, made, pointers, stage};

fn cart(number: u32) -> Json {
    json!({"cartId": format!("0195f3a2-7c11-7d3e-8a11-{number:012x}")})
}

#[tokio::test(start_paused = true)]
async fn a_promotion_is_made_once_and_found_by_code_and_id() {
    let stage = stage().await;
    let got = stage.post("/promotions", &campaign(json!({"code": "TEN", "usageLimit": 5}))).await;
    assert_eq!((got.status.as_u16(), got.header("location")), (201, Some("/promotions/TEN")));
    let made = got.json();
    assert_eq!((&made["used"], &made["usageLimit"]), (&json!(0), &json!(5)));
    assert_eq!(stage.get("/promotions/TEN").await.json(), made);
    assert_eq!(stage.get(&format!("/promotions/{}", made["id"].as_str().unwrap_or_default())).await.json(), made);
    let taken = stage.post("/promotions", &campaign(json!({"code": "TEN"}))).await;
    assert_eq!((taken.status.as_u16(), taken.slug().as_str()), (409, "promotion-code-taken"));
    assert_eq!(stage.get("/promotions/ELEVEN").await.status, 404);
    assert_eq!(stage.get("/promotions/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22").await.status, 404);
    assert_eq!(stage.facts("promotions").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn promotions_are_listed_page_by_page_in_the_order_in_which_they_were_made() {
    let stage = stage().await;
    assert_eq!(stage.get("/promotions").await.json(), json!({"items": [], "nextCursor": null}));
    let mut all = Vec::new();
    for code in [json!("ZEBRA"), json!(null), json!("APE"), json!("OVER")] {
        let mut campaign = campaign(json!({"endsAt": if code == "OVER" { "2026-01-02T00:00:00Z" } else { "2030-01-01T00:00:00Z" }}));
        if !code.is_null() {
            campaign["code"] = code;
        }
        all.push(made(&stage, "/promotions", &campaign).await);
    }
    let (mut listed, mut path) = (Vec::new(), "/promotions?limit=3".to_owned());
    let mut pages = 0;
    loop {
        let page = stage.get(&path).await.json();
        listed.extend(page["items"].as_array().unwrap_or(&Vec::new()).iter().cloned());
        pages += 1;
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/promotions?limit=3&cursor={cursor}");
    }
    assert_eq!((pages, listed), (2, all), "with code and without, over and not begun");
    for wrong in ["limit=0", "limit=201", "cursor=x", "code=APE"] {
        assert_eq!(stage.get(&format!("/promotions?{wrong}")).await.status, 422, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_promotion_is_refused() {
    let stage = stage().await;
    let cases = [
        (json!({"effect": {"fixedPrice": {"amount": 1, "currency": "USD"}}}), "#/effect/fixedPrice"),
        (json!({"effect": {"percentOff": 20_000}}), "#/effect/percentOff"),
        (json!({"usageLimit": 0, "code": "A"}), "#/usageLimit"),
        (json!({"usageLimit": 3}), "#/usageLimit"),
        (json!({"endsAt": "2025-01-01T00:00:00Z"}), "#/endsAt"),
        (json!({"code": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"}), "#/code"),
        (json!({"code": "a b"}), "#/code"),
        (json!({"when": {"eq": ["region", "MOON"]}}), "#/when/eq/1"),
    ];
    for (more, pointer) in cases {
        let got = stage.post("/promotions", &campaign(more.clone())).await;
        assert_eq!(got.status, 422, "{more}");
        assert_eq!(pointers(&got.json())[0], pointer, "{more}");
    }
    assert!(stage.facts("promotions").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_promotion_is_announced_once_when_it_begins() {
    let stage = stage().await;
    let in_seconds = |seconds: u64| stage.world.clock().now().plus(Duration::from_secs(seconds));
    made(&stage, "/promotions", &campaign(json!({"code": "NOW"}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "SOON", "startsAt": in_seconds(5_000)}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "SOONER", "startsAt": in_seconds(100)}))).await;
    made(&stage, "/promotions", &campaign(json!({"code": "OVER", "endsAt": "2026-01-02T00:00:00Z"}))).await;
    let codes = async || {
        let events = stage.events("promotion.activated.v1").await;
        let mut codes: Vec<String> = events.iter().map(|event| event["code"].to_string()).collect();
        codes.sort();
        codes
    };
    stage.pass(Duration::from_secs(50)).await;
    assert_eq!(codes().await.len(), 1, "{:?}", codes().await);
    stage.pass(Duration::from_secs(51)).await;
    assert_eq!(codes().await.len(), 2, "the bell was rung for the one that comes first: {:?}", codes().await);
    stage.world.kill("pricing", 0);
    stage.pass(Duration::from_secs(5_000)).await;
    assert_eq!(codes().await.len(), 2, "nobody was there");
    stage.world.start(&pricing::MANIFEST, 0).await.expect("starts again");
    stage.pass(Duration::from_secs(20_000)).await;
    assert!(codes().await.iter().all(|code| !code.contains("OVER")));
    assert_eq!(codes().await.len(), 3, "made up for, and not said again: {:?}", codes().await);
}

#[tokio::test(start_paused = true)]
async fn a_cart_uses_a_coupon_once_however_often_it_is_said() {
    let stage = stage().await;
    made(&stage, "/promotions", &campaign(json!({"code": "TEN", "usageLimit": 2}))).await;
    for _ in 0..3 {
        let got = stage.post("/promotions/TEN/redemptions", &cart(1)).await;
        assert_eq!((got.status.as_u16(), &got.json()["used"]), (200, &json!(1)));
    }
    assert_eq!(stage.post("/promotions/TEN/redemptions", &cart(2)).await.json()["used"], 2);
    let over = stage.post("/promotions/TEN/redemptions", &cart(3)).await;
    assert_eq!((over.status.as_u16(), over.slug().as_str()), (409, "coupon-exhausted"));
    assert_eq!(stage.post("/promotions/TEN/redemptions", &cart(2)).await.status, 200, "who has used it is told so");
    assert_eq!(stage.post("/promotions/NONE/redemptions", &cart(1)).await.status, 404);
    assert_eq!(stage.post("/promotions/TEN/redemptions", &json!({"cartId": "x"})).await.status, 422);
    let facts = stage.facts("redemptions").await;
    assert_eq!((facts.len(), &facts[0]["kind"], &facts[0]["code"]), (2, &json!("redemption"), &json!("TEN")));
    assert_eq!(facts[0]["cartId"], cart(1)["cartId"]);
    assert_eq!(stage.facts("promotions").await[0]["used"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_use_that_is_given_back_is_free_again_and_an_old_key_does_not_hide_it() {
    let stage = stage().await;
    made(&stage, "/promotions", &campaign(json!({"code": "ONE", "usageLimit": 1}))).await;
    let redeem = async |number: u32, key: &str| stage.post_with_key("/promotions/ONE/redemptions", &cart(number), key).await;
    let back = format!("/promotions/ONE/redemptions/{}", cart(1)["cartId"].as_str().unwrap_or_default());
    assert_eq!(redeem(1, "redeem-1").await.status, 200);
    assert_eq!(redeem(1, "redeem-1").await.header("idempotency-replayed"), Some("true"));
    for _ in 0..2 {
        assert_eq!(stage.delete(&back).await.status, 204);
        assert_eq!(stage.get("/promotions/ONE").await.json()["used"], 0);
    }
    assert_eq!(redeem(1, "redeem-1").await.status, 200);
    assert_eq!(stage.get("/promotions/ONE").await.json()["used"], 1, "the old answer does not stand for a new use");
    assert_eq!(stage.delete(&back).await.status, 204);
    assert_eq!(redeem(2, "redeem-2").await.status, 200);
    let refused = redeem(1, "redeem-1").await;
    assert_eq!((refused.status.as_u16(), refused.slug().as_str()), (409, "coupon-exhausted"), "nor for one that is gone");
    assert_eq!(stage.facts("redemptions").await.len(), 1);
    assert_eq!(stage.delete("/promotions/NONE/redemptions/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_coupon_outside_its_time_is_not_used() {
    let stage = stage().await;
    let starts_at = stage.world.clock().now().plus(Duration::from_secs(60));
    let ends_at = stage.world.clock().now().plus(Duration::from_secs(120));
    made(&stage, "/promotions", &campaign(json!({"code": "MINUTE", "startsAt": starts_at, "endsAt": ends_at}))).await;
    let redeem = async |number: u32| {
        let got = stage.post("/promotions/MINUTE/redemptions", &cart(number)).await;
        (got.status.as_u16(), got.slug())
    };
    assert_eq!(redeem(1).await, (409, "promotion-not-active".into()));
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(redeem(1).await.0, 200);
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(redeem(2).await, (409, "promotion-not-active".into()));
    assert_eq!(redeem(1).await.0, 200, "who used it in time has used it");
    assert_eq!(stage.facts("redemptions").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_when_many_come_at_once() {
    let stage = stage().await;
    made(&stage, "/promotions", &campaign(json!({"code": "RUSH", "usageLimit": 7}))).await;
    // Two hundred carts, each three times, all at once.
    let all = (0..600).map(|number| {
        let stage = &stage;
        async move { stage.post("/promotions/RUSH/redemptions", &cart(number % 200)).await.status.as_u16() }
    });
    let statuses = join_all(all).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(409)), (21, 579), "seven carts, each told three times");
    assert_eq!(stage.get("/promotions/RUSH").await.json()["used"], 7);
    let facts = stage.facts("redemptions").await;
    let carts: std::collections::BTreeSet<_> = facts.iter().filter_map(|fact| fact["cartId"].as_str()).collect();
    assert_eq!((facts.len(), carts.len()), (7, 7));
}
