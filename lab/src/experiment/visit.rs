//! What a buyer does: he fills a cart a little before his moment, checks out at his moment, and by his name every hop of what is done for him
//! draws its time. In the same way everything that chance decides about him has a stream of its own, named by him and the purpose.

use std::time::Duration;

use serde_json::json;
use types::Timestamp;

use crate::target::{Request, Target, TargetError};

/// Microseconds since the demand began, or between two moments.
pub type Micros = i64;

/// How long before his moment a buyer fills his cart.
pub const CART_LEAD: Duration = Duration::from_secs(5);

/// The same as a length of time; none for what is negative.
#[must_use]
pub fn span(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What a buyer is called: in the names of chance, and as the correlation id of his calls.
#[must_use]
pub fn buyer_name(number: usize) -> String {
    format!("buyer-{number}")
}

/// The token of a card whose payment takes this long: `tok_slow_2.043871`.
#[must_use]
pub fn card_token(latency: Micros) -> String {
    format!("tok_slow_{}.{:06}", latency / 1_000_000, latency % 1_000_000)
}

/// One buyer of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// When he checks out.
    pub arrival: Micros,
    /// The token of his card.
    pub card: String,
    /// When everything about him is decided, after his arrival.
    pub decided: Micros,
}

/// A buyer at the door.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    pub target: &'a dyn Target,
    pub sku: &'a str,
    pub number: usize,
    pub visit: &'a Visit,
    /// When the demand began.
    pub began: Timestamp,
}

impl std::fmt::Debug for Visitor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visitor({}, {:?})", self.number, self.visit)
    }
}

impl Visitor<'_> {
    /// The request as his.
    #[must_use]
    pub fn by(&self, request: Request) -> Request {
        request.header("x-correlation-id", buyer_name(self.number))
    }

    /// Fills a cart a little before his moment and checks out then; the order's id.
    pub async fn buy(&self) -> Result<String, TargetError> {
        let arrival = self.began.plus(span(self.visit.arrival));
        self.target.sleep_until(arrival.minus(CART_LEAD)).await;
        let cart = self.fill_cart().await?;
        self.target.sleep_until(arrival).await;
        self.check_out(&cart).await
    }

    /// Puts one unit into a new cart; the cart's id.
    pub async fn fill_cart(&self) -> Result<String, TargetError> {
        let cart = self.target.must(self.by(Request::post("/carts", json!({"region": "US", "currency": "USD"})))).await?;
        let cart = cart["id"].as_str().unwrap_or_default();
        self.target.must(self.by(Request::post(format!("/carts/{cart}/items"), json!({"sku": self.sku, "quantity": 1})))).await?;
        Ok(cart.to_owned())
    }

    /// Checks a cart out; the order's id.
    pub async fn check_out(&self, cart: &str) -> Result<String, TargetError> {
        let checkout = json!({
            "paymentMethod": {"type": "card", "token": self.visit.card},
            "shippingAddress": {"line1": "1 Example Street", "city": "Springfield", "postalCode": "01101", "country": "US"},
        });
        let accepted = self.target.must(self.by(Request::post(format!("/carts/{cart}/checkout"), checkout))).await?;
        Ok(accepted["orderId"].as_str().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_the_latency_to_the_microsecond() {
        assert_eq!(card_token(2_043_871), "tok_slow_2.043871");
        assert_eq!(card_token(150_000_005), "tok_slow_150.000005");
    }
}
