//! What pricing announces.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{Currency, Sku, Timestamp};

/// A price or a rule changed: ask again for these SKUs (for none named, for all).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.pricing")]
pub struct PricingUpdated {
    /// The rule's id, or the book's name and the SKU.
    pub subject: String,
    pub skus: Vec<Sku>,
    pub reason: String,
    pub at: Timestamp,
}

impl Event for PricingUpdated {
    const TOPIC: &'static str = "pricing.updated.v1";
    fn key(&self) -> String {
        self.subject.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.pricing")]
pub struct PromotionActivated {
    pub promotion_id: String,
    pub code: Option<String>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub at: Timestamp,
}

impl Event for PromotionActivated {
    const TOPIC: &'static str = "promotion.activated.v1";
    fn key(&self) -> String {
        self.promotion_id.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.pricing")]
pub struct FxRateChanged {
    pub base: Currency,
    pub currency: Currency,
    /// Millionths of the other currency's major unit for one major unit of the base.
    pub rate_micros: i64,
    pub at: Timestamp,
}

impl Event for FxRateChanged {
    const TOPIC: &'static str = "fx.rate.changed.v1";
    fn key(&self) -> String {
        format!("{}-{}", self.base, self.currency)
    }
}
