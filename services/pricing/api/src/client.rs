//! Pricing, for those who call it.

use platform::client::{CallError, Client};
use types::{CartId, Sku};

use crate::{PriceCart, PricedCart, Promotion, Redeem};

/// A typed client; made from `env.client("pricing")`.
#[derive(Clone, Debug)]
pub struct Pricing(pub Client);

impl Pricing {
    pub async fn price_cart(&self, cart: &PriceCart) -> Result<PricedCart, CallError> {
        // It changes nothing, so it may be said again.
        self.0.post("/pricing/carts/price").json(cart).repeatable().send_json().await
    }

    /// As [`Self::price_cart`], for a cart that may have used its coupon already: that use is not held against it.
    pub async fn price_cart_of(&self, cart_id: CartId, cart: &PriceCart) -> Result<PricedCart, CallError> {
        self.0.post(format!("/pricing/carts/price?cartId={cart_id}")).json(cart).repeatable().send_json().await
    }

    /// Uses a coupon up for this cart; 409 `coupon-exhausted` when its limit is reached.
    pub async fn redeem(&self, code: &Sku, cart_id: CartId) -> Result<Promotion, CallError> {
        let path = format!("/promotions/{code}/redemptions");
        self.0.post(path).json(&Redeem { cart_id }).idempotency_key(format!("redeem-{cart_id}")).send_json().await
    }

    /// Gives a use of a coupon back; nothing happens when there was none.
    pub async fn give_back(&self, code: &Sku, cart_id: CartId) -> Result<(), CallError> {
        self.0.delete(format!("/promotions/{code}/redemptions/{cart_id}")).send().await.map(|_| ())
    }
}
