//! The cart, for those who call it.

use platform::client::{CallError, Client};
use types::{CartId, CustomerId};

use crate::{Cart, FrozenCart};

/// A typed client; made from `env.client("cart")`.
#[derive(Clone, Debug)]
pub struct Carts(pub Client);

impl Carts {
    pub async fn get(&self, id: CartId) -> Result<Cart, CallError> {
        self.0.get(format!("/carts/{id}")).send_json().await
    }

    /// Closes the cart for its order and gives its content, the same however often it is asked. An open cart is checked first: 409
    /// `price-changed`, 409 `cart-expired`, 422 for an empty one. With `buyer`, 404 for a cart that is not this customer's.
    pub async fn freeze(&self, id: CartId, buyer: Option<CustomerId>) -> Result<FrozenCart, CallError> {
        let of = buyer.map(|buyer| format!("?customerId={buyer}")).unwrap_or_default();
        self.0.post(format!("/carts/{id}/freeze{of}")).idempotency_key(format!("freeze-{id}")).send_json().await
    }

    /// Removes what is personal from this customer's carts, and that they were this customer's.
    pub async fn erase(&self, customer: CustomerId) -> Result<Erased, CallError> {
        self.0.post(format!("/carts/customers/{customer}/erasure")).idempotency_key(format!("erase-{customer}")).send_json().await
    }
}

/// How many carts of a customer were made anonymous.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    pub records: u32,
}
