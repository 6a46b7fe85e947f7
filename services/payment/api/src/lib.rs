//! What others may know of payments: requests, views, events, and a typed client.

pub mod client;
pub mod events;

pub use cart_api::{MethodKind, PaymentMethod};
pub use client::Payments;
use serde::{Deserialize, Serialize};
use types::{CustomerId, Money, OrderId, PaymentId, ShortText, Timestamp, id::Uuid};
use utoipa::ToSchema;

types::words! {
    /// Where a payment is; the table is `types/states.toml`.
    PaymentStatus {
        RequiresConfirmation = "REQUIRES_CONFIRMATION",
        /// The PSP was asked and has not answered yet.
        Processing = "PROCESSING",
        /// The PSP's answer was lost: it is asked by reference.
        Unknown = "UNKNOWN",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        Refunded = "REFUNDED",
        Failed = "FAILED",
        Voided = "VOIDED",
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreatePayment {
    /// One payment for each order.
    pub order_id: OrderId,
    /// Whose order it is; none for a guest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    pub amount: Money,
    pub method: PaymentMethod,
    /// The PSP takes the money with the authorization, instead of when it is told to.
    #[serde(default)]
    pub capture_at_once: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundRequest {
    /// All that is left when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    pub amount: Money,
    pub captured: Money,
    pub refunded: Money,
    pub status: PaymentStatus,
    /// Why it failed: `insufficient_funds`, `lost_card`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    pub refunds: Vec<Refund>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

types::words! {
    RefundStatus { Pending = "PENDING", Succeeded = "SUCCEEDED", Failed = "FAILED" }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    pub id: Uuid,
    pub amount: Money,
    pub status: RefundStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub at: Timestamp,
}
