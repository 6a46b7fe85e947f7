//! What the catalog announces.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{ProductId, Timestamp};

types::words! {
    /// What became of a product.
    ProductChange {
        Created = "CREATED",
        Updated = "UPDATED",
        Deleted = "DELETED",
    }
}

/// A product was made, changed or deleted. Changes in quick succession may be told as one; the diff is always between what was told
/// last and what is told now, so whoever applies the diffs in order has the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.catalog")]
pub struct ProductUpdated {
    pub product_id: ProductId,
    /// As the document has it.
    pub sku: String,
    pub rev: String,
    /// The revision that was told before; none for the first.
    pub previous_rev: Option<String>,
    pub change: ProductChange,
    pub changes: Vec<FieldChange>,
    pub at: Timestamp,
}

/// One place in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.catalog")]
pub struct FieldChange {
    /// A JSON pointer: `/attributes/colour`.
    pub path: String,
    /// JSON text; none where nothing stood there.
    pub before: Option<String>,
    /// JSON text; none where nothing stands there any more.
    pub after: Option<String>,
}

impl Event for ProductUpdated {
    const TOPIC: &'static str = "catalog.product.updated.v1";
    fn key(&self) -> String {
        self.product_id.to_string()
    }
}
