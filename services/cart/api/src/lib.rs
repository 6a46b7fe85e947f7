//! What others may know of the cart: requests, views, events, and a typed client.

pub mod client;
pub mod events;

pub use client::Carts;
use serde::{Deserialize, Serialize};
use types::{Address, CartId, Currency, CustomerId, Money, OrderId, Quantity, Region, Sku, Timestamp};
use utoipa::ToSchema;

types::words! {
    /// What a cart is; the table is `types/states.toml`.
    CartStatus { Open = "OPEN", CheckedOut = "CHECKED_OUT", Expired = "EXPIRED" }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCart {
    /// Left out, the cart is a guest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// Made when left out; an open cart with this token is given back instead of a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Sku>,
    /// The region's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// US when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddItem {
    pub sku: Sku,
    pub quantity: Quantity,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetQuantity {
    pub quantity: Quantity,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyCoupon {
    pub code: Sku,
}

/// How an order is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentMethod {
    #[serde(rename = "type")]
    pub kind: MethodKind,
    /// What the PSP gave the shop's page for the card.
    pub token: Sku,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MethodKind {
    Card,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkout {
    pub payment_method: PaymentMethod,
    pub shipping_address: Address,
}

/// 202: the order is there, and its saga goes on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedOut {
    pub cart_id: CartId,
    pub order_id: OrderId,
    /// The order's state.
    pub status: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub id: CartId,
    pub customer_id: Option<CustomerId>,
    pub session_token: String,
    pub status: CartStatus,
    pub region: Region,
    pub currency: Currency,
    pub coupon: Option<Sku>,
    pub items: Vec<CartItem>,
    pub subtotal: Money,
    pub discounts: Money,
    pub tax: Money,
    pub shipping: Money,
    /// subtotal − discounts + tax + shipping
    pub total: Money,
    pub version: i64,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartItem {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
    /// The part of the cart's discounts that falls on this line.
    pub discount: Money,
    pub tax: Money,
    pub quote: QuoteSnapshot,
}

/// The price as it was quoted, kept with the item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuoteSnapshot {
    pub list_price: Money,
    pub quoted_at: Timestamp,
    pub valid_until: Timestamp,
}

/// A cart that was frozen for its order: what order-service is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenCart {
    pub cart: Cart,
    /// How it is paid and where it goes, if the buyer said so to the cart.
    pub checkout: Option<Checkout>,
    /// Its customer was erased after the checkout: whoever makes an order of it keeps nothing personal.
    #[serde(default)]
    pub erased: bool,
}
