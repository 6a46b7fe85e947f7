//! What a buyer does: a cart, what he wishes, perhaps a coupon, the checkout; afterwards he looks at his order, changes his mind, or gets money
//! back. He behaves as a good client does: every change has a key, and what has no answer, or is refused for the moment, he says again under
//! the same key.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::plan::{SKUS, Shopper};
use crate::target::{Reply, Request, Target, TargetError};

/// How often something is said again, and after how long at first.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A client of the system: a session with its calls.
pub(super) struct Session<'a> {
    target: &'a dyn Target,
    name: String,
    repeats: bool,
}

/// Whether the same request may be answered otherwise a little later.
fn is_of_the_moment(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        || (reply.status == StatusCode::CONFLICT && reply.slug() == "idempotency-key-in-use")
}

impl<'a> Session<'a> {
    pub(super) fn new(target: &'a dyn Target, name: String, repeats: bool) -> Self {
        Self { target, name, repeats }
    }

    /// Says it until there is an answer that stands; none when the client's patience ends first.
    async fn say(&self, request: &Request, key: Option<&str>) -> Result<Option<Reply>, TargetError> {
        let mut request = request.clone().header("x-correlation-id", &self.name);
        if let Some(key) = key {
            request = request.header("idempotency-key", format!("{}-{key}", self.name));
        }
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            let reply = self.target.call(request.clone()).await?;
            if !is_of_the_moment(&reply) {
                return Ok(Some(reply));
            }
            self.target.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(None)
    }

    /// A change, said once more if that is his manner.
    pub(super) async fn change(&self, request: Request, key: &str) -> Result<Option<Json>, TargetError> {
        let said = self.say(&request, Some(key)).await?;
        if self.repeats && said.as_ref().is_some_and(|reply| reply.status.is_success()) {
            self.say(&request, Some(key)).await?;
        }
        Ok(said.filter(|reply| reply.status.is_success()).map(|reply| reply.json()))
    }

    pub(super) async fn look(&self, path: String) -> Result<Option<Json>, TargetError> {
        Ok(self.say(&Request::get(path), None).await?.filter(|reply| reply.status.is_success()).map(|reply| reply.json()))
    }
}

fn id(json: &Json, field: &str) -> Option<String> {
    json[field].as_str().map(str::to_owned)
}

/// One buyer from his cart to his order's end. `checked_out` is told when the checkout is said for the first time.
pub(super) async fn buy(
    target: &dyn Target,
    shopper: &Shopper,
    customer: Option<String>,
    checked_out: impl FnOnce(),
) -> Result<(), TargetError> {
    let session = Session::new(target, format!("shopper-{}", shopper.number), shopper.repeats);
    let mut wanted = json!({"region": "US", "currency": "USD"});
    if let Some(customer) = customer {
        wanted["customerId"] = json!(customer);
    }
    let Some(cart) = session.change(Request::post("/carts", wanted), "cart").await?.and_then(|cart| id(&cart, "id")) else { return Ok(()) };
    for (line, wish) in shopper.wishes.iter().enumerate() {
        let item = json!({"sku": SKUS.get(wish.sku).map_or("SIM-LAMP", |(sku, _)| sku), "quantity": wish.quantity});
        session.change(Request::post(format!("/carts/{cart}/items"), item), &format!("item-{line}")).await?;
        session.look(format!("/carts/{cart}")).await?;
    }
    if shopper.with_coupon {
        session.change(Request::post(format!("/carts/{cart}/apply-coupon"), json!({"code": "SIMULATE"})), "coupon").await?;
    }
    target.sleep(shopper.thinks).await;
    let checkout = json!({
        "paymentMethod": {"type": "card", "token": shopper.token},
        "shippingAddress": {"line1": "1 Example Street", "city": "Springfield", "postalCode": "01101", "country": "US"},
    });
    checked_out();
    let mut placed = None;
    // Refused because a price rose, he sees the new one and says it again: that is another request.
    for attempt in 0..3 {
        let said =
            session.change(Request::post(format!("/carts/{cart}/checkout"), checkout.clone()), &format!("checkout-{attempt}")).await?;
        placed = said.and_then(|answer| id(&answer, "orderId"));
        if placed.is_some() {
            break;
        }
    }
    let Some(order) = placed else { return Ok(()) };
    session.look(format!("/orders/{order}")).await?;
    if let Some(after) = shopper.cancels {
        target.sleep(after).await;
        session.change(Request::post(format!("/orders/{order}/cancel"), json!({"reason": "changed my mind"})), "cancel").await?;
    }
    for _ in 0..6 {
        target.sleep(Duration::from_secs(20)).await;
        let Some(seen) = session.look(format!("/orders/{order}")).await? else { continue };
        if matches!(seen["status"].as_str(), Some("FULFILLED_READY" | "CONFIRMED"))
            && let (Some(percent), Some(payment)) = (shopper.refunded_percent, id(&seen["payment"], "id"))
        {
            let amount = seen["total"]["amount"].as_i64().unwrap_or(0) * percent / 100;
            let refund = json!({"amount": {"amount": amount.max(1), "currency": "USD"}, "reason": "damaged"});
            session.change(Request::post(format!("/payments/{payment}/refund"), refund), "refund").await?;
            session.look(format!("/payments/{payment}")).await?;
            break;
        }
    }
    Ok(())
}
