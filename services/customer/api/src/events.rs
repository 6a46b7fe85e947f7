//! What customer-service announces. An event says that something about a customer changed and where to ask, never what it is now.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{CustomerId, Region, Timestamp};

use crate::{CustomerField, CustomerStatus, Segment};

types::words! {
    /// Why a customer has the segments it has.
    SegmentsBy {
        /// Somebody said so.
        Assigned = "ASSIGNED",
        /// They follow from the customer's orders.
        Recalculated = "RECALCULATED",
    }
}

/// A customer was made, changed or erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.customer")]
pub struct CustomerUpdated {
    pub customer_id: CustomerId,
    /// 1 for a new one; grows by one with each change, also with one of the segments.
    pub version: i64,
    pub status: CustomerStatus,
    pub region: Region,
    /// The names of the fields that changed, never what they hold.
    pub changed: Vec<CustomerField>,
    pub at: Timestamp,
}

impl Event for CustomerUpdated {
    const TOPIC: &'static str = "customer.updated.v1";
    fn key(&self) -> String {
        self.customer_id.to_string()
    }
}

/// A customer has other segments than before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.customer")]
pub struct CustomerSegmentRecalculated {
    pub customer_id: CustomerId,
    pub version: i64,
    pub previous: Vec<Segment>,
    pub segments: Vec<Segment>,
    pub by: SegmentsBy,
    pub at: Timestamp,
}

impl Event for CustomerSegmentRecalculated {
    const TOPIC: &'static str = "customer.segment.recalculated.v1";
    fn key(&self) -> String {
        self.customer_id.to_string()
    }
}
