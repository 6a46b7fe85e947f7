//! A small trade over the whole system, as its users see it: what every check of the lab is shown on, with a bug planted and without. It says
//! some things twice under one key, and looks at what it has changed, so that the checks that rest on what clients saw have something to
//! rest on.

use std::time::Duration;

use lab::target::{Reply, Request, Target, TargetError};
use serde_json::{Value as Json, json};

use crate::checkout_body;

/// Whoever goes on when a bug has taken away what he needs has nothing to say any more.
type Said = Result<(), TargetError>;

/// After this everything that is due has happened: the longest that anything may take is the inquiry about a payment.
pub const SETTLED: Duration = Duration::from_secs(1_500);

/// Three orders that end well (the first with a coupon), one that is declined, one that its buyer cancels; then a rest.
pub async fn trade(target: &dyn Target, rest: Duration) {
    // With some bugs a call is refused. That is the bug's effect, and the others go on.
    drop(stock(target).await);
    for (number, token) in ["tok_ok", "tok_ok", "tok_ok", "tok_decline_lost", "tok_ok"].iter().enumerate() {
        drop(buy(target, number, token).await);
        target.sleep(Duration::from_secs(2)).await;
    }
    drop(stock(target).await);
    target.sleep(rest).await;
}

async fn call(target: &dyn Target, session: &str, key: Option<&str>, request: Request) -> Result<Reply, TargetError> {
    let request = request.header("x-correlation-id", session);
    let request = if let Some(key) = key { request.header("idempotency-key", key) } else { request };
    target.call(request).await
}

/// Prices, a coupon and stock; said again, it is the same stock.
async fn stock(target: &dyn Target) -> Said {
    for (sku, stock) in [("LAMP", 100), ("DESK", 10)] {
        let entry = json!({"unitPrice": {"amount": 1999, "currency": "USD"}});
        call(target, "keeper", None, Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), entry)).await?;
        let receipt = json!({"sku": sku, "warehouse": "us-east", "delta": stock, "reason": "received"});
        call(target, "keeper", Some(&format!("receipt-{sku}")), Request::post("/inventory/adjust", receipt)).await?;
    }
    let coupon = json!({
        "code": "LIGHT", "name": "Light for less", "effect": {"percentOff": 1000}, "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2027-01-01T00:00:00Z", "usageLimit": 10,
    });
    call(target, "keeper", Some("coupon"), Request::post("/promotions", coupon)).await.map(drop)
}

async fn buy(target: &dyn Target, number: usize, token: &str) -> Said {
    let name = format!("buyer-{number}");
    let cart = call(target, &name, None, Request::post("/carts", json!({"region": "US"}))).await?.json();
    let cart = id_of(&cart["id"]);
    let look = || call(target, &name, None, Request::get(format!("/carts/{cart}")));
    look().await?;
    let item = json!({"sku": if number < 3 { "LAMP" } else { "DESK" }, "quantity": 2});
    call(target, &name, None, Request::post(format!("/carts/{cart}/items"), item)).await?;
    if number == 0 {
        call(target, &name, None, Request::post(format!("/carts/{cart}/apply-coupon"), json!({"code": "LIGHT"}))).await?;
    }
    look().await?;
    let check_out = || call(target, &name, Some(&cart), Request::post(format!("/carts/{cart}/checkout"), checkout_body(token)));
    let order = id_of(&check_out().await?.json()["orderId"]);
    target.sleep(Duration::from_secs(1)).await;
    call(target, &name, None, Request::get(format!("/orders/{order}"))).await?;
    check_out().await?;
    if number == 4 {
        let why = json!({"reason": "found it cheaper"});
        call(target, &name, Some("changed my mind"), Request::post(format!("/orders/{order}/cancel"), why)).await?;
    }
    call(target, &name, None, Request::get(format!("/orders/{order}"))).await.map(drop)
}

fn id_of(id: &Json) -> String {
    id.as_str().unwrap_or("nothing").to_owned()
}
