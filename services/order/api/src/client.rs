//! Orders, for those who call them.

use platform::client::{CallError, Client};
use types::{CustomerId, OrderId};

use crate::{CreateOrder, Order};

/// A typed client; made from `env.client("order")`.
#[derive(Clone, Debug)]
pub struct Orders(pub Client);

impl Orders {
    pub async fn get(&self, id: OrderId) -> Result<Order, CallError> {
        self.0.get(format!("/orders/{id}")).send_json().await
    }

    /// Makes the order of a cart; there is one for each, however often it is said.
    pub async fn create(&self, order: &CreateOrder) -> Result<Order, CallError> {
        self.0.post("/orders").json(order).idempotency_key(format!("checkout-{}", order.cart_id)).send_json().await
    }

    /// How many orders of this customer were not cancelled, and what they spent in all, per currency.
    pub async fn of_customer(&self, customer: CustomerId) -> Result<CustomerSummary, CallError> {
        self.0.get(format!("/orders/customers/{customer}/summary")).send_json().await
    }

    /// Removes what is personal from this customer's orders.
    pub async fn erase(&self, customer: CustomerId) -> Result<Erased, CallError> {
        self.0.post(format!("/orders/customers/{customer}/erasure")).idempotency_key(format!("erase-{customer}")).send_json().await
    }
}

/// What customer-service derives segments from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSummary {
    pub orders: u32,
    pub spent: Vec<types::Money>,
}

/// How many records of a customer were made anonymous.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    pub records: u32,
}
