//! What others may know of inventory: requests, views, events, and a typed client.

pub mod client;
pub mod events;

pub use client::Inventory;
use serde::{Deserialize, Serialize};
use types::{OrderId, Quantity, Region, ReservationId, ShortText, Sku, Timestamp};
use utoipa::ToSchema;

types::words! {
    /// Where a reservation is; the table is `types/states.toml`.
    ReservationStatus {
        Held = "HELD",
        Claimed = "CLAIMED",
        Released = "RELEASED",
        Expired = "EXPIRED",
        Shipped = "SHIPPED",
        ReturnedToStock = "RETURNED_TO_STOCK",
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reserve {
    /// One live reservation for each order.
    pub order_id: OrderId,
    /// All or nothing; 1 to 100 lines, each SKU once.
    pub items: Vec<ReserveItem>,
    /// Asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<Sku>,
    /// Where it goes: the nearest warehouse is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The setting's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReserveItem {
    pub sku: Sku,
    pub quantity: Quantity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    pub reservation_id: ReservationId,
    pub order_id: OrderId,
    pub status: ReservationStatus,
    /// Higher than that of any earlier hold on the same SKUs.
    pub fencing_token: i64,
    pub expires_at: Timestamp,
    pub items: Vec<ReservedItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedItem {
    pub sku: Sku,
    pub quantity: Quantity,
    pub warehouse: Sku,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    pub reservation_id: ReservationId,
    pub fencing_token: i64,
    /// When, by the caller's clock, what the hold was for had come. Whether the hold is over is for this service's clock to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extend {
    pub reservation_id: ReservationId,
    pub fencing_token: i64,
    /// From now.
    pub ttl_seconds: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    pub reservation_id: ReservationId,
    /// Left out by an operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adjust {
    pub sku: Sku,
    pub warehouse: Sku,
    /// What comes (positive) or goes (negative); not 0, at most a million either way.
    pub delta: i64,
    pub reason: ShortText,
    /// Below what is held or claimed only with this.
    #[serde(default)]
    pub allow_shortfall: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    pub sku: Sku,
    pub warehouses: Vec<WarehouseStock>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarehouseStock {
    pub warehouse: Sku,
    pub on_hand: i64,
    pub held: i64,
    pub claimed: i64,
    /// on hand − held − claimed
    pub available: i64,
}
