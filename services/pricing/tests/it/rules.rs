//! books and rules are written, read, paged and announced.

use futures::future::join_all;
use http::Method;
use serde_json::json;

use crate::{lamp_rule, made, pointers, stage};

#[tokio::test(start_paused = true)]
async fn a_rule_is_made_read_replaced_and_announced() {
    let stage = stage().await;
    let got = stage.post("/pricing/rules", &lamp_rule(1, 1_000, json!({"when": {"eq": ["channel", "web"]}}))).await;
    assert_eq!((got.status.as_u16(), got.header("etag")), (201, Some("\"1\"")));
    let rule = got.json();
    let path = format!("/pricing/rules/{}", rule["id"].as_str().unwrap_or_default());
    assert_eq!(got.header("location"), Some(path.as_str()));
    assert_eq!(stage.get(&path).await.json(), rule);
    let id = json!({"id": rule["id"]});
    let mut same = lamp_rule(1, 1_000, json!({"when": {"eq": ["channel", "web"]}}));
    crate::merge(&mut same, id.clone());
    let again = stage.post("/pricing/rules", &same).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, rule.clone()), "the same again changes nothing");
    let mut other = json!({"name": "for chairs", "sku": "CHAIR", "priority": 3, "effect": {"percentOff": 2000}});
    crate::merge(&mut other, id);
    let replaced = stage.post("/pricing/rules", &other).await;
    assert_eq!((replaced.status.as_u16(), replaced.header("etag")), (200, Some("\"2\"")));
    assert_eq!(replaced.json()["when"], json!(null));
    assert_eq!(stage.get("/pricing/LAMP").await.json()["unitPrice"]["amount"], 2000);
    assert_eq!(stage.get("/pricing/CHAIR").await.json()["unitPrice"]["amount"], 4000);
    stage.pass(std::time::Duration::from_secs(1)).await;
    let events = stage.events("pricing.updated.v1").await;
    let of_rule: Vec<_> = events.iter().filter(|event| event["subject"] == rule["id"]).collect();
    assert_eq!(of_rule.len(), 2);
    assert_eq!((&of_rule[0]["reason"], &of_rule[0]["skus"]), (&json!("rule-created"), &json!(["LAMP"])));
    assert_eq!((&of_rule[1]["reason"], &of_rule[1]["skus"]), (&json!("rule-replaced"), &json!(["CHAIR", "LAMP"])));
    let missing = stage.get("/pricing/rules/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22").await;
    assert_eq!((missing.status.as_u16(), missing.slug().as_str()), (404, "not-found"));
}

#[tokio::test(start_paused = true)]
async fn an_id_of_the_callers_makes_a_rule_and_a_key_repeats_its_answer() {
    let stage = stage().await;
    let id = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    let rule = lamp_rule(1, 1_000, json!({"id": id}));
    let first = stage.post_with_key("/pricing/rules", &rule, "one").await;
    let again = stage.post_with_key("/pricing/rules", &rule, "one").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(
        (&first.body, first.header("location"), first.header("etag")),
        (&again.body, again.header("location"), again.header("etag"))
    );
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let reused = stage.post_with_key("/pricing/rules", &lamp_rule(2, 1_000, json!({})), "one").await;
    assert_eq!((reused.status.as_u16(), reused.slug().as_str()), (422, "idempotency-key-reused"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_rule_is_refused_with_a_pointer_into_its_expression() {
    let stage = stage().await;
    let mut deep = json!({"eq": ["channel", "web"]});
    for _ in 0..16 {
        deep = json!({"not": deep});
    }
    let wide = json!({"all": vec![json!({"eq": ["channel", "web"]}); 200]});
    let cases = [
        (json!({"when": {"all": [{"eq": ["region", "EU"]}, {"eq": ["quantity", "ten"]}]}}), "#/when/all/1/eq/1"),
        (json!({"when": {"eq": ["region", "MOON"]}}), "#/when/eq/1"),
        (json!({"when": {"in": ["currency", ["USD", "XXX"]]}}), "#/when/in/1/1"),
        (json!({"when": {"not": {"gte": ["time", "yesterday"]}}}), "#/when/not/gte/1"),
        (json!({"when": {"lt": ["segment", "VIP"]}}), "#/when/lt/0"),
        (json!({"when": {"eq": ["channel", 3]}}), "#/when/eq/1"),
        (json!({"when": {"any": [{"eq": ["colour", "red"]}]}}), "#/when/any/0/eq/0"),
        (json!({"when": {"eq": ["channel", "web"], "lt": ["quantity", 3]}}), "#/when"),
        (json!({"when": deep}), "#/when"),
        (json!({"when": wide}), "#/when"),
        (json!({"effect": {"percentOff": 0}}), "#/effect/percentOff"),
        (json!({"effect": {"percentOff": 10_001}}), "#/effect/percentOff"),
        (json!({"effect": {"percentOff": -1}}), "#/effect/percentOff"),
        (json!({"effect": {"amountOff": {"amount": 0, "currency": "USD"}}}), "#/effect/amountOff/amount"),
        (json!({"effect": {"fixedPrice": {"amount": -1, "currency": "USD"}}}), "#/effect/fixedPrice/amount"),
        (json!({"effect": {"percentOff": 1, "fixedPrice": {"amount": 1, "currency": "USD"}}}), "#/effect"),
        (json!({"skus": ["CHAIR"]}), "#/skus"),
        (json!({"sku": "rules"}), "#/sku"),
        (json!({"startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-02-01T00:00:00Z"}), "#/endsAt"),
        (json!({"name": " "}), "#/name"),
        (json!({"colour": "red"}), "#"),
    ];
    for (more, pointer) in cases {
        let got = stage.post("/pricing/rules", &lamp_rule(1, 1_000, more.clone())).await;
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (422, "invalid"), "{more}");
        assert!(pointers(&got.json())[0].starts_with(pointer), "{more}: {:?}", got.json());
    }
    assert_eq!(stage.get("/pricing/rules").await.json()["items"], json!([]), "nothing was kept");
}

#[tokio::test(start_paused = true)]
async fn rules_come_in_pages() {
    let stage = stage().await;
    for priority in 0..5 {
        made(&stage, "/pricing/rules", &lamp_rule(priority, 100, json!({}))).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stage.get(&format!("/pricing/rules?limit=2{cursor}")).await.json();
        seen.extend(page["items"].as_array().into_iter().flatten().filter_map(|rule| rule["priority"].as_i64()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(stage.get("/pricing/rules?limit=0").await.status, 422);
    assert_eq!(stage.get("/pricing/rules?cursor=x").await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn a_sku_has_no_more_rules_than_can_be_looked_at() {
    let stage = stage().await;
    for priority in 0..200 {
        made(&stage, "/pricing/rules", &lamp_rule(priority, 1, json!({}))).await;
    }
    let got = stage.post("/pricing/rules", &lamp_rule(1, 1, json!({}))).await;
    assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "too-many-rules"));
    let got = stage.post("/pricing/rules", &json!({"name": "x", "sku": "CHAIR", "priority": 1, "effect": {"percentOff": 1}})).await;
    assert_eq!(got.status, 201, "others have room");
    let rule = stage.get("/pricing/rules?limit=1").await.json()["items"][0].clone();
    let mut ended = lamp_rule(0, 1, json!({"endsAt": "2026-01-01T00:00:00Z"}));
    crate::merge(&mut ended, json!({"id": rule["id"]}));
    assert_eq!(stage.post("/pricing/rules", &ended).await.status, 200, "a rule in force can be ended");
    assert_eq!(stage.post("/pricing/rules", &lamp_rule(1, 1, json!({}))).await.status, 201, "an ended one leaves room");
}

#[tokio::test(start_paused = true)]
async fn a_books_price_is_set_seen_and_announced() {
    let stage = stage().await;
    let path = "/pricing/books/standard-eur/entries/LAMP";
    let euros = |amount: i64| json!({"unitPrice": {"amount": amount, "currency": "EUR"}});
    assert_eq!(stage.get(path).await.status, 404);
    let stale = stage.send(Method::PUT, path, Some(&euros(1_800)), &[("if-match", "\"1\"")]).await;
    assert_eq!((stale.status.as_u16(), stale.slug().as_str()), (412, "stale-version"), "nothing was there to be seen");
    let first = stage.put(path, &euros(1_800)).await;
    assert_eq!((first.status.as_u16(), first.header("etag"), first.header("location")), (201, Some("\"1\""), Some(path)));
    let same = stage.put(path, &euros(1_800)).await;
    assert_eq!((same.status.as_u16(), same.header("etag")), (200, Some("\"1\"")));
    let changed = stage.send(Method::PUT, path, Some(&euros(1_700)), &[("if-match", "\"1\"")]).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"2\"")));
    assert_eq!(stage.send(Method::PUT, path, Some(&euros(1_600)), &[("if-match", "\"1\"")]).await.status, 412);
    let got = stage.get(path).await;
    assert_eq!(got.json(), json!({"book": "standard-eur", "sku": "LAMP", "unitPrice": {"amount": 1700, "currency": "EUR"}, "version": 2}));
    assert_eq!(stage.get("/pricing/LAMP?currency=EUR").await.json()["unitPrice"]["amount"], 1700);
    stage.pass(std::time::Duration::from_secs(1)).await;
    let events = stage.events("pricing.updated.v1").await;
    let reasons: Vec<_> = events.iter().filter(|event| event["subject"] == "standard-eur/LAMP").map(|event| &event["reason"]).collect();
    assert_eq!(reasons, [&json!("entry-created"), &json!("entry-changed")]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_price_is_refused() {
    let stage = stage().await;
    let refused = async |book: &str, sku: &str, amount: i64, currency: &str| {
        let body = json!({"unitPrice": {"amount": amount, "currency": currency}});
        let got = stage.put(&format!("/pricing/books/{book}/entries/{sku}"), &body).await;
        (got.status.as_u16(), pointers(&got.json()).first().copied().unwrap_or_default().to_owned())
    };
    assert_eq!(refused("standard-usd", "PEN", -1, "USD").await, (422, "#/unitPrice/amount".into()));
    assert_eq!(refused("standard-usd", "PEN", 1, "EUR").await, (422, "#/unitPrice/currency".into()));
    assert_eq!(refused("standard-usd", "books", 1, "USD").await.0, 422);
    assert_eq!(refused("standard-gbp", "PEN", 1, "USD").await.0, 404);
    assert_eq!(stage.get("/pricing/PEN").await.json()["unitPrice"]["amount"], 99);
}

#[tokio::test(start_paused = true)]
async fn a_book_comes_in_pages_and_outlives_a_crash() {
    let stage = stage().await;
    stage.world.kill("pricing", 0);
    stage.world.start(&pricing::MANIFEST, 0).await.expect("starts again");
    let page = stage.get("/pricing/books/standard-usd/entries?limit=2").await.json();
    assert_eq!((&page["items"][0]["sku"], &page["items"][1]["sku"]), (&json!("CHAIR"), &json!("LAMP")));
    let next = page["nextCursor"].as_str().unwrap_or_default();
    let page = stage.get(&format!("/pricing/books/standard-usd/entries?limit=2&cursor={next}")).await.json();
    assert_eq!((&page["items"][0]["sku"], &page["nextCursor"]), (&json!("PEN"), &json!(null)));
    assert_eq!(stage.get("/pricing/books/none/entries").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_set_a_price_at_once_each_is_seen_in_a_version() {
    let stage = stage().await;
    let path = "/pricing/books/standard-usd/entries/LAMP";
    let puts = (1..=20).map(|amount| {
        let stage = &stage;
        async move { stage.put(path, &json!({"unitPrice": {"amount": amount, "currency": "USD"}})).await.status.as_u16() }
    });
    let statuses = join_all(puts).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(stage.get(path).await.json()["version"], 21);
}
