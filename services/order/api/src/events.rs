//! What order-service announces. Events carry ids, not people: the address stays with the order.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{CartId, CreditId, CustomerId, Money, OrderId, Quantity, Region, Sku, Timestamp};

use crate::OrderStatus;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
pub struct OrderCreated {
    pub order_id: OrderId,
    pub cart_id: CartId,
    pub customer_id: Option<CustomerId>,
    pub region: Region,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
pub struct OrderLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
}

impl Event for OrderCreated {
    const TOPIC: &'static str = "order.created.v1";
    fn key(&self) -> String {
        self.order_id.to_string()
    }
}

/// One step of an order's life; the first has no `previous`. Versions of one order grow by one, without gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
pub struct OrderStatusChanged {
    pub order_id: OrderId,
    pub customer_id: Option<CustomerId>,
    pub previous: Option<OrderStatus>,
    pub status: OrderStatus,
    pub reason: Option<String>,
    pub version: i64,
    pub at: Timestamp,
}

impl Event for OrderStatusChanged {
    const TOPIC: &'static str = "order.status.changed.v1";
    fn key(&self) -> String {
        self.order_id.to_string()
    }
}

/// Something of what an order cost is to go back, to make up for something. Payment-service sees to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
pub struct OrderCreditGranted {
    pub credit_id: CreditId,
    pub order_id: OrderId,
    pub amount: Money,
    pub at: Timestamp,
}

impl Event for OrderCreditGranted {
    const TOPIC: &'static str = "order.credit.granted.v1";
    fn key(&self) -> String {
        self.order_id.to_string()
    }
}
