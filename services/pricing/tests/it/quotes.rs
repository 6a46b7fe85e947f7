//! what a SKU costs, and why.

use serde_json::json;

use crate::{lamp_rule, made, pointers, price, stage};

#[tokio::test(start_paused = true)]
async fn a_quote_is_the_books_price_with_the_rules_that_hold() {
    let stage = stage().await;
    let vip = made(&stage, "/pricing/rules", &lamp_rule(10, 1_000, json!({"when": {"eq": ["segment", "VIP"]}}))).await;
    let plain = stage.get("/pricing/LAMP").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.json()["unitPrice"], json!({"amount": 2000, "currency": "USD"}));
    assert_eq!(plain.json()["appliedRules"], json!([]));
    let got = stage.get("/pricing/LAMP?customerSegment=VIP&currency=USD&region=EU&channel=web&quantity=3").await.json();
    assert_eq!(got["unitPrice"]["amount"], 1800);
    assert_eq!(got["listPrice"]["amount"], 2000);
    assert_eq!(got["appliedRules"], json!([{"ruleId": vip["id"], "name": "rule 10", "effect": {"percentOff": 1000}}]));
    assert!(got["validUntil"].as_str() > got["quotedAt"].as_str());
}

#[tokio::test(start_paused = true)]
async fn rules_apply_by_priority_and_an_exclusive_one_is_the_last() {
    let stage = stage().await;
    made(&stage, "/pricing/rules", &lamp_rule(1, 5_000, json!({}))).await;
    made(&stage, "/pricing/rules", &lamp_rule(20, 1_000, json!({"effect": {"amountOff": {"amount": 500, "currency": "USD"}}}))).await;
    // 2000 − 500, then half of that.
    assert_eq!(stage.get("/pricing/LAMP").await.json()["unitPrice"]["amount"], 750);
    let exclusive = lamp_rule(10, 2_000, json!({"exclusive": true, "when": {"gte": ["quantity", 10]}}));
    made(&stage, "/pricing/rules", &exclusive).await;
    assert_eq!(stage.get("/pricing/LAMP?quantity=9").await.json()["unitPrice"]["amount"], 750);
    let ten = stage.get("/pricing/LAMP?quantity=10").await.json();
    assert_eq!(ten["unitPrice"]["amount"], 1200, "the half is behind the exclusive rule");
    assert_eq!(ten["appliedRules"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_sku_without_a_price_is_unknown_unless_a_rule_names_its_price() {
    let stage = stage().await;
    assert_eq!(
        (stage.get("/pricing/NONE").await.status.as_u16(), stage.get("/pricing/LAMP?currency=EUR").await.status.as_u16()),
        (404, 404)
    );
    let fixed = |more| {
        let mut rule = json!({"name": "fixed", "priority": 1, "effect": {"fixedPrice": {"amount": 700, "currency": "EUR"}}});
        crate::merge(&mut rule, more);
        rule
    };
    made(&stage, "/pricing/rules", &fixed(json!({"when": {"eq": ["region", "EU"]}, "sku": "NONE"}))).await;
    made(&stage, "/pricing/rules", &fixed(json!({}))).await;
    assert_eq!(stage.get("/pricing/NONE?currency=EUR&region=EU").await.status, 404, "with a condition, or for all, it makes nothing known");
    made(&stage, "/pricing/rules", &fixed(json!({"skus": ["NONE", "OTHER"]}))).await;
    let got = stage.get("/pricing/NONE?currency=EUR").await.json();
    assert_eq!((got["listPrice"]["amount"].as_i64(), got["unitPrice"]["amount"].as_i64()), (Some(700), Some(700)));
    assert_eq!(stage.get("/pricing/NONE").await.status, 404, "not in dollars");
}

#[tokio::test(start_paused = true)]
async fn a_quote_ends_where_a_rule_for_it_starts_or_ends() {
    let stage = stage().await;
    let seconds = |body: &serde_json::Value| {
        let moment = |name: &str| body[name].as_str().and_then(|text| text.parse::<types::Timestamp>().ok()).map(types::Timestamp::seconds);
        moment("validUntil").zip(moment("quotedAt")).map(|(until, at)| until - at)
    };
    assert_eq!(seconds(&stage.get("/pricing/LAMP").await.json()), Some(900), "the setting");
    let starts = stage.world.clock().now().plus(std::time::Duration::from_secs(600));
    made(&stage, "/pricing/rules", &lamp_rule(1, 1_000, json!({"startsAt": starts}))).await;
    assert_eq!(seconds(&stage.get("/pricing/LAMP").await.json()), Some(600));
    let literal = stage.world.clock().now().plus(std::time::Duration::from_secs(300)).to_string();
    made(&stage, "/pricing/rules", &lamp_rule(2, 1_000, json!({"when": {"not": {"gte": ["time", literal]}}}))).await;
    assert_eq!(seconds(&stage.get("/pricing/LAMP").await.json()), Some(300), "a condition's own time counts");
    assert_eq!(seconds(&stage.get("/pricing/CHAIR").await.json()), Some(900), "another SKU's rules do not");
    assert_eq!(stage.get("/pricing/LAMP").await.json()["unitPrice"]["amount"], 1800);
    stage.pass(std::time::Duration::from_secs(300)).await;
    assert_eq!(stage.get("/pricing/LAMP").await.json()["unitPrice"]["amount"], 2000, "at its end the rule is over");
    stage.pass(std::time::Duration::from_secs(300)).await;
    assert_eq!(stage.get("/pricing/LAMP").await.json()["unitPrice"]["amount"], 1800, "the other has begun");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_question_is_told_where_it_is_wrong() {
    let stage = stage().await;
    for (query, pointer) in [
        ("quantity=0", "#/quantity"),
        ("quantity=x", "#/quantity"),
        ("currency=XXX", "#/currency"),
        ("region=MOON", "#/region"),
        ("sort=up", "#"),
        (&format!("customerSegment={}", "x".repeat(65)), "#/customerSegment"),
    ] {
        let got = stage.get(&format!("/pricing/LAMP?{query}")).await;
        assert_eq!(got.status, 422, "{query}");
        assert!(pointers(&got.json())[0].starts_with(pointer), "{query}: {:?}", got.json());
    }
    assert_eq!(stage.get("/pricing/a%20b").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_simulation_explains_every_rule_and_agrees_with_the_quote() {
    let stage = stage().await;
    price(&stage, "LAMP", 1_500, "EUR").await;
    let when = json!({"all": [{"eq": ["region", "EU"]}, {"any": [{"gte": ["quantity", 10]}, {"in": ["segment", ["VIP", "STAFF"]]}]}]});
    let rule = made(&stage, "/pricing/rules", &lamp_rule(10, 1_000, json!({"when": when, "exclusive": true}))).await;
    made(&stage, "/pricing/rules", &lamp_rule(5, 2_000, json!({}))).await;
    made(&stage, "/pricing/rules", &lamp_rule(4, 2_000, json!({"endsAt": "2026-01-02T00:00:00Z"}))).await;
    made(&stage, "/pricing/rules", &lamp_rule(3, 1, json!({"effect": {"amountOff": {"amount": 1, "currency": "JPY"}}}))).await;
    let contexts = json!([
        {"region": "EU", "quantity": 10, "currency": "EUR"},
        {"region": "EU", "quantity": 2, "customerSegment": "VIP"},
        {"region": "EU", "quantity": 2},
        {"at": "2026-01-01T12:00:00Z"},
    ]);
    let draft = json!({"name": "draft", "sku": "LAMP", "priority": 100, "effect": {"amountOff": {"amount": 100, "currency": "USD"}}});
    let stranger = json!({"name": "for chairs", "sku": "CHAIR", "priority": 99, "effect": {"percentOff": 5000}});
    let got = stage.post("/pricing/LAMP/simulate", &json!({"contexts": contexts, "draftRules": [draft, stranger]})).await;
    assert_eq!(got.status, 200, "{:?}", got.json());
    let quotes = got.json()["quotes"].clone();
    let amount = |index: usize| quotes[index]["unitPrice"]["amount"].as_i64();
    assert_eq!([amount(0), amount(1), amount(2), amount(3)], [Some(1350), Some(1710), Some(1520), Some(1216)]);
    let verdict = |index: usize, priority: i32| {
        let rules = quotes[index]["rules"].as_array().cloned().unwrap_or_default();
        rules.into_iter().find(|rule| rule["priority"] == priority).unwrap_or_default()
    };
    assert_eq!(verdict(0, 100)["reason"], "Its amount is in USD, the price in EUR.");
    assert_eq!(verdict(0, 5)["reason"], "An exclusive rule before it applied.");
    assert_eq!(verdict(1, 10)["ruleId"], rule["id"]);
    assert_eq!(verdict(1, 10)["unitPriceAfter"]["amount"], 1710);
    assert_eq!((&verdict(2, 10)["applied"], &verdict(2, 10)["condition"]), (&json!(false), &json!("#/when/all/1/any")));
    assert_eq!(verdict(2, 10)["reason"], "Its condition does not hold: none of its 2 parts holds.");
    assert_eq!(verdict(3, 10)["reason"], "Its condition does not hold: region is not known, not EU.");
    assert_eq!(verdict(2, 4)["reason"], "It ended at 2026-01-02T00:00:00.000000Z.");
    assert_eq!(verdict(3, 4)["applied"], true, "it had not ended then");
    assert_eq!(verdict(2, 100)["draft"], true);
    assert_eq!((&verdict(2, 99)["applied"], &verdict(2, 99)["reason"]), (&json!(false), &json!("It is about other SKUs.")));
    let quote = stage.get("/pricing/LAMP?region=EU&quantity=2").await.json();
    assert_eq!(quote["unitPrice"]["amount"], 1600, "a draft is not in force");
    let without = stage.post("/pricing/LAMP/simulate", &json!({"contexts": [{"region": "EU", "quantity": 2}]})).await.json();
    assert_eq!(without["quotes"][0]["unitPrice"], quote["unitPrice"]);
    assert_eq!(without["quotes"][0]["appliedRules"], quote["appliedRules"]);
    let replaced =
        json!({"id": rule["id"], "name": "stronger", "sku": "LAMP", "priority": 10, "effect": {"percentOff": 9000}, "exclusive": true});
    let got = stage.post("/pricing/LAMP/simulate", &json!({"contexts": [{}], "draftRules": [replaced]})).await.json();
    assert_eq!(got["quotes"][0]["unitPrice"]["amount"], 200, "a draft stands in the place of the rule of its id");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_simulation_is_refused() {
    let stage = stage().await;
    let refused = async |body: serde_json::Value| {
        let got = stage.post("/pricing/LAMP/simulate", &body).await;
        (got.status.as_u16(), pointers(&got.json()).first().copied().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(json!({"contexts": []})).await, (422, "#/contexts".into()));
    assert_eq!(refused(json!({"contexts": [{"quantity": 0}]})).await, (422, "#/contexts/0/quantity".into()));
    assert_eq!(refused(json!({"contexts": [{}, {"currency": "EUR"}]})).await, (422, "#/contexts/1/currency".into()));
    assert_eq!(refused(json!({"contexts": [{"currency": "EUR"}]})).await.0, 404);
    let draft = lamp_rule(1, 0, json!({}));
    assert_eq!(refused(json!({"contexts": [{}], "draftRules": [draft]})).await, (422, "#/draftRules/0/effect/percentOff".into()));
    let got = stage.post_with_key("/pricing/LAMP/simulate", &json!({"contexts": [{}]}), "k").await;
    let again = stage.post_with_key("/pricing/LAMP/simulate", &json!({"contexts": [{}]}), "k").await;
    assert_eq!((got.body, again.header("idempotency-replayed")), (again.body.clone(), Some("true")));
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_is_documented_and_a_words_path_is_no_sku() {
    let stage = stage().await;
    let document = stage.world.openapi("pricing").and_then(|document| serde_json::to_value(document).ok()).unwrap_or_default();
    let paths: Vec<&str> = document["paths"].as_object().into_iter().flatten().map(|(path, _)| path.as_str()).collect();
    for path in [
        "/pricing/{sku}",
        "/pricing/{sku}/simulate",
        "/pricing/rules",
        "/pricing/rules/{id}",
        "/pricing/books/{book}/entries",
        "/pricing/books/{book}/entries/{sku}",
        "/pricing/carts/price",
        "/promotions",
        "/promotions/{name}",
        "/promotions/{code}/redemptions",
        "/promotions/{code}/redemptions/{cart}",
        "/fx/{base}",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    assert!(stage.get("/pricing/rules").await.json()["items"].is_array());
    let metrics = stage.world.metrics().encode(Some("pricing"));
    assert!(metrics.contains("pricing_redemptions_total"), "{metrics}");
}
