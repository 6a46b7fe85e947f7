//! Carts and orders of the scripted system: as much of them as a buyer sees.

use http::StatusCode;
use serde_json::{Value, json};
use types::Timestamp;

use super::{Kept, Mood, found, problem};
use crate::shop::Answer;

impl Kept {
    pub(super) fn sell(&mut self, method: &str, parts: &[&str], body: &Value, mood: &Mood, now: Timestamp) -> Answer {
        match (method, parts) {
            ("GET", ["carts", "by-session", token]) => found(self.get("cart", token)),
            ("POST", ["carts"]) => self.open_cart(body, now),
            ("POST", ["carts", id, "items"]) => self.add(id, body),
            ("POST", ["carts", id, "apply-coupon"]) => {
                if self.get("promotion", body["code"].as_str().unwrap_or_default()).is_none() {
                    return problem(422, "invalid", "no such coupon");
                }
                self.with_cart(id, |cart| cart["coupon"] = body["code"].clone())
            }
            ("POST", ["carts", id, "checkout"]) => self.check_out(id, body, now),
            ("GET", ["orders", id]) => self.look_at_order(id, mood, now),
            _ => problem(404, "not-found", "no such path"),
        }
    }

    fn open_cart(&mut self, body: &Value, now: Timestamp) -> Answer {
        let token = body["sessionToken"].as_str().map_or_else(|| format!("guest-{}", self.next_id), str::to_owned);
        if let Some(cart) = self.get("cart", &token) {
            return Answer::new(StatusCode::OK, cart.clone());
        }
        let currency = body["currency"].as_str().unwrap_or("USD");
        let none = json!({"amount": 0, "currency": currency});
        let cart = json!({
            "id": self.id(), "customerId": body["customerId"], "sessionToken": token, "status": "OPEN",
            "region": body["region"].as_str().unwrap_or("US"), "currency": currency, "coupon": null, "items": [],
            "subtotal": none, "discounts": none, "tax": none, "shipping": none, "total": none, "version": 1, "expiresAt": now,
        });
        self.keep("cart", &token, cart)
    }

    /// Each unit costs a thousand minor units, whatever it is.
    fn add(&mut self, id: &str, body: &Value) -> Answer {
        self.with_cart(id, |cart| {
            let currency = cart["currency"].clone();
            let price = |amount: i64| json!({"amount": amount, "currency": currency});
            let at = cart["expiresAt"].clone();
            let quote = json!({"listPrice": price(1_000), "quotedAt": at, "validUntil": at});
            let item = json!({
                "sku": body["sku"], "quantity": body["quantity"], "unitPrice": price(1_000), "discount": price(0), "tax": price(0), "quote": quote,
            });
            let total = cart["total"]["amount"].as_i64().unwrap_or(0) + 1_000 * body["quantity"].as_i64().unwrap_or(0);
            cart["total"] = price(total);
            cart["subtotal"] = price(total);
            if let Some(items) = cart["items"].as_array_mut() {
                items.push(item);
            }
        })
    }

    fn with_cart(&mut self, id: &str, change: impl FnOnce(&mut Value)) -> Answer {
        match self.by_id("cart", id) {
            Some(cart) if cart["status"] == "OPEN" => {
                change(cart);
                cart["version"] = json!(cart["version"].as_i64().unwrap_or(0) + 1);
                Answer::new(StatusCode::OK, cart.clone())
            }
            Some(_) => problem(409, "cart-checked-out", "the cart was checked out"),
            None => problem(404, "not-found", "no such cart"),
        }
    }

    fn check_out(&mut self, id: &str, body: &Value, now: Timestamp) -> Answer {
        let closed = self.with_cart(id, |cart| cart["status"] = json!("CHECKED_OUT"));
        if !closed.status.is_success() {
            return closed;
        }
        let order = self.id();
        let token = body["paymentMethod"]["token"].as_str().unwrap_or_default();
        let kept = json!({
            "id": order, "cartId": id, "total": closed.body["total"], "status": "PENDING", "token": token, "polls": 0,
            "timeline": [{"status": "PENDING", "at": now}],
        });
        self.keep("order", &order, kept);
        Answer::new(StatusCode::ACCEPTED, json!({"cartId": id, "orderId": order, "status": "PENDING"}))
    }

    /// An order settles after it was looked at often enough, by its payment token.
    fn look_at_order(&mut self, id: &str, mood: &Mood, now: Timestamp) -> Answer {
        let Some(order) = self.by_id("order", id) else { return problem(404, "not-found", "no such order") };
        let polls = order["polls"].as_u64().unwrap_or(0) + 1;
        order["polls"] = json!(polls);
        if polls > u64::from(mood.polls_until_settled) && order["status"] == "PENDING" {
            let is_declined = order["token"].as_str().is_some_and(|token| token.starts_with("tok_decline"));
            let (status, reason) = if is_declined { ("CANCELLED", Some("declined")) } else { ("FULFILLED_READY", None) };
            order["status"] = json!(status);
            if let Some(timeline) = order["timeline"].as_array_mut() {
                timeline.push(json!({"status": status, "at": now, "reason": reason}));
            }
        }
        Answer::new(StatusCode::OK, order.clone())
    }
}
