//! What the system tests share: the whole system in a simulated world, set up with something to sell.

pub mod contract;
pub mod samples;
pub mod trade;

use http::Method;
use platform::{
    Settings,
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};

/// Every service, each answer held against its document, two SKUs with a price and stock in one warehouse.
pub async fn shop(seed: u64) -> Stage {
    shop_with(seed, |settings| settings).await
}

pub async fn shop_with(seed: u64, change: impl FnOnce(Settings) -> Settings) -> Stage {
    let stage = Stage::of(contract::watched(), seed, change).await;
    for (sku, price, stock) in [("LAMP-RED-L", 1999, 100), ("DESK-OAK", 24_900, 10)] {
        let entry = json!({"unitPrice": {"amount": price, "currency": "USD"}});
        expect(stage.put(&format!("/pricing/books/standard-usd/entries/{sku}"), &entry).await, 201);
        let adjust = json!({"sku": sku, "warehouse": "us-east", "delta": stock, "reason": "received"});
        expect(stage.post("/inventory/adjust", &adjust).await, 200);
    }
    stage
}

/// The answer, if its status is this one.
///
/// # Panics
/// When it is another: a test has failed.
#[expect(clippy::panic, reason = "for tests")]
pub fn expect(got: Got, status: u16) -> Got {
    if got.status.as_u16() != status {
        panic!("expected {status}, got {}: {}", got.status, String::from_utf8_lossy(&got.body));
    }
    got
}

/// A cart with one line.
pub async fn cart_with(stage: &Stage, sku: &str, quantity: u32) -> String {
    let cart = expect(stage.post("/carts", &json!({"region": "US"})).await, 201).json();
    let id = cart["id"].as_str().unwrap_or_default().to_owned();
    expect(stage.post(&format!("/carts/{id}/items"), &json!({"sku": sku, "quantity": quantity})).await, 200);
    id
}

/// What a checkout is told.
#[must_use]
pub fn checkout_body(token: &str) -> Json {
    json!({
        "paymentMethod": {"type": "card", "token": token},
        "shippingAddress": {"line1": "1 Harbour Road", "city": "Huế", "postalCode": "53000", "country": "VN"},
    })
}

/// Checks a cart out; the order's id.
pub async fn checkout(stage: &Stage, cart: &str, token: &str, correlation: &str) -> String {
    let headers = [("idempotency-key", cart), ("x-correlation-id", correlation)];
    let got = stage.send(Method::POST, &format!("/carts/{cart}/checkout"), Some(&checkout_body(token)), &headers).await;
    expect(got, 202).json()["orderId"].as_str().unwrap_or_default().to_owned()
}

/// An order as it stands.
pub async fn order(stage: &Stage, id: &str) -> Json {
    expect(stage.get(&format!("/orders/{id}")).await, 200).json()
}
