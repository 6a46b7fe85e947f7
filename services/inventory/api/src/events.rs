//! What inventory announces. Events of a reservation are keyed by it, events of stock by the SKU.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{OrderId, Quantity, ReservationId, Sku, Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct EventLine {
    pub sku: Sku,
    pub warehouse: Sku,
    pub quantity: Quantity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct InventoryReserved {
    pub reservation_id: ReservationId,
    pub order_id: OrderId,
    pub fencing_token: i64,
    pub expires_at: Timestamp,
    pub lines: Vec<EventLine>,
    pub at: Timestamp,
}

impl Event for InventoryReserved {
    const TOPIC: &'static str = "inventory.reserved.v1";
    fn key(&self) -> String {
        self.reservation_id.to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct InventoryClaimed {
    pub reservation_id: ReservationId,
    pub order_id: OrderId,
    pub fencing_token: i64,
    pub lines: Vec<EventLine>,
    pub at: Timestamp,
}

impl Event for InventoryClaimed {
    const TOPIC: &'static str = "inventory.claimed.v1";
    fn key(&self) -> String {
        self.reservation_id.to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct InventoryReleased {
    pub reservation_id: ReservationId,
    pub order_id: OrderId,
    /// `released`, `expired`, or `returned` (the order was cancelled after the claim).
    pub reason: String,
    pub lines: Vec<EventLine>,
    pub at: Timestamp,
}

impl Event for InventoryReleased {
    const TOPIC: &'static str = "inventory.released.v1";
    fn key(&self) -> String {
        self.reservation_id.to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct InventoryAdjusted {
    pub sku: Sku,
    pub warehouse: Sku,
    pub delta: i64,
    pub on_hand: i64,
    pub reason: String,
    pub at: Timestamp,
}

impl Event for InventoryAdjusted {
    const TOPIC: &'static str = "inventory.adjusted.v1";
    fn key(&self) -> String {
        self.sku.to_string()
    }
}

/// More is held or claimed than is there, because somebody adjusted the stock below it knowingly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.inventory")]
pub struct InventoryShortfall {
    pub sku: Sku,
    pub warehouse: Sku,
    pub missing: i64,
    pub at: Timestamp,
}

impl Event for InventoryShortfall {
    const TOPIC: &'static str = "inventory.shortfall.v1";
    fn key(&self) -> String {
        self.sku.to_string()
    }
}
