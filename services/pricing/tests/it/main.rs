//! pricing through its doors: HTTP, events and facts, in a simulated world.

mod carts;
mod promotions;
mod quotes;
mod rates;
mod rules;

use platform::testing::Stage;
use serde_json::{Value as Json, json};

/// A world with pricing in it, and prices in its books.
async fn stage() -> Stage {
    let stage = Stage::with(&[&pricing::MANIFEST]).await;
    for (sku, amount) in [("LAMP", 2_000), ("CHAIR", 5_000), ("PEN", 99)] {
        price(&stage, sku, amount, "USD").await;
    }
    stage
}

/// Sets a price in the currency's book.
async fn price(stage: &Stage, sku: &str, amount: i64, currency: &str) {
    let path = format!("/pricing/books/standard-{}/entries/{sku}", currency.to_lowercase());
    let got = stage.put(&path, &json!({"unitPrice": {"amount": amount, "currency": currency}})).await;
    assert_eq!(got.status, 201, "{:?}", got.json());
}

/// A rule that takes `percentOff` basis points from a lamp, with `more` laid over it.
fn lamp_rule(priority: i32, basis_points: u32, more: Json) -> Json {
    let mut rule = json!({"name": format!("rule {priority}"), "sku": "LAMP", "priority": priority, "effect": {"percentOff": basis_points}});
    merge(&mut rule, more);
    rule
}

fn merge(into: &mut Json, more: Json) {
    if let (Some(into), Json::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// Posts something that must be made.
async fn made(stage: &Stage, path: &str, body: &Json) -> Json {
    let got = stage.post(path, body).await;
    assert_eq!(got.status, 201, "{:?}", got.json());
    got.json()
}

/// Where a refused body was wrong.
fn pointers(body: &Json) -> Vec<&str> {
    body["errors"].as_array().map(|errors| errors.iter().filter_map(|error| error["pointer"].as_str()).collect()).unwrap_or_default()
}

/// A promotion that began before the simulated time did and ends long after.
fn campaign(more: Json) -> Json {
    let mut campaign = json!({
        "name": "a campaign", "effect": {"percentOff": 1000},
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2027-01-01T00:00:00Z",
    });
    merge(&mut campaign, more);
    campaign
}
