//! Payments, for those who call them. Every call carries a key: said again, it is not done again.

use std::time::Duration;

use platform::{
    client::{CallError, Client},
    http::Page,
};
use types::{OrderId, PaymentId};

use crate::{CreatePayment, Payment, RefundRequest};

/// A typed client; made from `env.client("payment")`.
#[derive(Clone, Debug)]
pub struct Payments(pub Client);

impl Payments {
    pub async fn get(&self, id: PaymentId) -> Result<Payment, CallError> {
        self.0.get(format!("/payments/{id}")).send_json().await
    }

    /// An order's payment, if it has one.
    pub async fn of_order(&self, order: OrderId) -> Result<Option<Payment>, CallError> {
        let page: Page<Payment> = self.0.get(format!("/payments?orderId={order}")).send_json().await?;
        Ok(page.items.into_iter().next())
    }

    pub async fn create(&self, payment: &CreatePayment, key: &str) -> Result<Payment, CallError> {
        self.0.post("/payments").json(payment).idempotency_key(key).send_json().await
    }

    /// Asks the PSP to authorize. The answer may be `PROCESSING`: an event tells the outcome. `patience` is how long to wait at most.
    pub async fn confirm(&self, id: PaymentId, key: &str, patience: Duration) -> Result<Payment, CallError> {
        self.0.post(format!("/payments/{id}/confirm")).idempotency_key(key).timeout(patience).send_json().await
    }

    pub async fn capture(&self, id: PaymentId, key: &str) -> Result<Payment, CallError> {
        self.0.post(format!("/payments/{id}/capture")).idempotency_key(key).send_json().await
    }

    /// Gives an authorization back, or keeps one that is under way from ever taking effect.
    pub async fn void(&self, id: PaymentId, key: &str) -> Result<Payment, CallError> {
        self.0.post(format!("/payments/{id}/void")).idempotency_key(key).send_json().await
    }

    pub async fn refund(&self, id: PaymentId, refund: &RefundRequest, key: &str) -> Result<Payment, CallError> {
        self.0.post(format!("/payments/{id}/refund")).json(refund).idempotency_key(key).send_json().await
    }
}
