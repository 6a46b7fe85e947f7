//! What others may know of orders: requests, views, events, and a typed client.

pub mod client;
pub mod events;

pub use cart_api::{MethodKind, PaymentMethod};
pub use client::Orders;
use serde::{Deserialize, Serialize};
use types::{Address, CartId, CreditId, CustomerId, Money, OrderId, PaymentId, Quantity, Region, ShortText, Sku, Timestamp};
use utoipa::ToSchema;

types::words! {
    /// Where an order is in its life; the table is `types/states.toml`.
    OrderStatus {
        Pending = "PENDING",
        /// Its stock is held.
        Reserved = "RESERVED",
        /// Its payment is authorized; the payment says whether it is captured.
        Paid = "PAID",
        Confirmed = "CONFIRMED",
        FulfilledReady = "FULFILLED_READY",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        Closed = "CLOSED",
        Cancelled = "CANCELLED",
        ReturnRequested = "RETURN_REQUESTED",
        Returned = "RETURNED",
    }
}

impl OrderStatus {
    /// Whether nothing more happens to the order by itself until somebody ships it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Reserved | Self::Paid | Self::Confirmed)
    }
}

types::words! {
    /// Why an order was cancelled.
    CancelReason {
        Declined = "declined",
        NoStock = "no-stock",
        /// The hold had ended when the payment came; it was voided.
        HoldExpired = "hold-expired",
        /// The payment did not answer in time; it was voided.
        Timeout = "timeout",
        Customer = "customer",
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateOrder {
    pub cart_id: CartId,
    pub payment_method: PaymentMethod,
    pub shipping_address: Address,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelOrder {
    /// In the customer's words; kept with the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// What a shop gives back to make up for something: a late parcel, a scratch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantCredit {
    /// At least 1, in the order's currency; all credits of an order together are at most its total.
    pub amount: Money,
    /// For those who look after the order; it is told to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// A credit that was granted. The money goes back by itself; the payment tells of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credit {
    pub id: CreditId,
    pub order_id: OrderId,
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub granted_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: OrderId,
    pub cart_id: CartId,
    pub customer_id: Option<CustomerId>,
    pub region: Region,
    pub status: OrderStatus,
    pub items: Vec<OrderItem>,
    pub subtotal: Money,
    pub discounts: Money,
    pub tax: Money,
    pub shipping: Money,
    pub total: Money,
    pub payment: Option<OrderPayment>,
    pub shipment: OrderShipment,
    pub timeline: Vec<TimelineEntry>,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    pub id: PaymentId,
    /// What order-service last heard of it: `AUTHORIZED`, `CAPTURED`, `VOIDED`, `FAILED`, …
    pub status: String,
    /// What has gone back of it, as far as order-service has heard.
    pub refunded: Money,
}

/// Empty until something is shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderShipment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_number: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub status: OrderStatus,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
