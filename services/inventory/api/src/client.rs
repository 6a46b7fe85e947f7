//! Inventory, for those who call it. Every call that changes something carries a key: said again, it is not done again.

use platform::client::{CallError, Client};
use types::{ReservationId, Sku};

use crate::{Adjust, Claim, Extend, Release, Reservation, Reserve, Stock};

/// A typed client; made from `env.client("inventory")`.
#[derive(Clone, Debug)]
pub struct Inventory(pub Client);

impl Inventory {
    /// 409 `insufficient-stock` with what there is.
    pub async fn reserve(&self, request: &Reserve, key: &str) -> Result<Reservation, CallError> {
        self.0.post("/inventory/reserve").json(request).idempotency_key(key).send_json().await
    }

    /// 409 `hold-expired`, `stale-token`.
    pub async fn claim(&self, request: &Claim, key: &str) -> Result<Reservation, CallError> {
        self.0.post("/inventory/claim").json(request).idempotency_key(key).send_json().await
    }

    /// 409 `hold-expired`, `stale-token`.
    pub async fn extend(&self, request: &Extend, key: &str) -> Result<Reservation, CallError> {
        self.0.post("/inventory/extend").json(request).idempotency_key(key).send_json().await
    }

    /// Ends a hold, or gives a claim back to the stock.
    pub async fn release(&self, request: &Release, key: &str) -> Result<Reservation, CallError> {
        self.0.post("/inventory/release").json(request).idempotency_key(key).send_json().await
    }

    pub async fn adjust(&self, request: &Adjust, key: &str) -> Result<Stock, CallError> {
        self.0.post("/inventory/adjust").json(request).idempotency_key(key).send_json().await
    }

    pub async fn stock(&self, sku: &Sku) -> Result<Stock, CallError> {
        self.0.get(format!("/inventory/{sku}")).send_json().await
    }

    pub async fn reservation(&self, id: ReservationId) -> Result<Reservation, CallError> {
        self.0.get(format!("/inventory/reservations/{id}")).send_json().await
    }
}
