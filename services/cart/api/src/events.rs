//! What the cart announces.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{CartId, CustomerId, Money, Quantity, Sku, Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.cart")]
pub struct CartItemAdded {
    pub cart_id: CartId,
    pub customer_id: Option<CustomerId>,
    pub sku: Sku,
    /// How many were added now.
    pub quantity: Quantity,
    pub unit_price: Money,
    pub version: i64,
    pub at: Timestamp,
}

impl Event for CartItemAdded {
    const TOPIC: &'static str = "cart.item.added.v1";
    fn key(&self) -> String {
        self.cart_id.to_string()
    }
}

/// The cart is closed and its order is due. Order-service has usually been called already; this is the echo that repairs a lost call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.cart")]
pub struct CartCheckedOut {
    pub cart_id: CartId,
    pub customer_id: Option<CustomerId>,
    pub total: Money,
    pub lines: Vec<CheckedOutLine>,
    pub version: i64,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.cart")]
pub struct CheckedOutLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
}

impl Event for CartCheckedOut {
    const TOPIC: &'static str = "cart.checkedout.v1";
    fn key(&self) -> String {
        self.cart_id.to_string()
    }
}
