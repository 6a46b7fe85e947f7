//! What others may know of customers: requests, views, events, and a typed client.
//!
//! Who a customer is stays in customer-service: events carry ids and the names of fields, and `Debug` of everything here that holds
//! personal data shows none of it.

pub mod client;
pub mod events;
pub mod text;

use std::{collections::BTreeMap, fmt};

pub use client::Customers;
use serde::{Deserialize, Serialize};
pub use text::{DerivedSegment, Locale, Phone, Segment};
use types::{CustomerId, Email, Region, ShortText, Timestamp, place::Country};
use utoipa::ToSchema;

types::id!(
    /// The job that erases one customer; there is one for each customer at most.
    ErasureJobId
);

types::words! {
    /// What a customer is.
    CustomerStatus {
        Active = "ACTIVE",
        /// Who it was is gone; the id stays, so that orders and figures still add up.
        Erased = "ERASED",
    }
}

types::words! {
    /// The fields of a customer, by the names they have in JSON.
    CustomerField {
        Email = "email",
        FullName = "fullName",
        Phone = "phone",
        Region = "region",
        Locale = "locale",
        Addresses = "addresses",
        Segments = "segments",
        Status = "status",
    }
}

types::words! {
    /// How far an erasure is.
    ErasureStatus {
        Queued = "QUEUED",
        /// Some services have erased, some have not yet.
        Running = "RUNNING",
        /// Every service has.
        Completed = "COMPLETED",
    }
}

types::words! {
    /// How far an erasure is in one service. One that does not answer is asked again until it does.
    ServiceErasure { Pending = "PENDING", Done = "DONE" }
}

/// A customer to be made, or what one is to be from now on: an update replaces the whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerInput {
    /// Belongs to one customer at a time; kept in lower case.
    #[schema(example = "mai@example.com")]
    pub email: Email,
    #[schema(example = "Mai Nguyễn")]
    pub full_name: ShortText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    pub region: Region,
    /// The region's own when left out: `en-US`, `de-DE`, `ja-JP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// At most [`CustomerInput::ADDRESSES_MAX`]; kept in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub addresses: Vec<CustomerAddress>,
}

impl CustomerInput {
    pub const ADDRESSES_MAX: usize = 20;
}

impl fmt::Debug for CustomerInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerInput({})", self.region)
    }
}

/// A postal address with the name that the customer gave it: `home`, `office`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerAddress {
    pub label: ShortText,
    pub line1: ShortText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<ShortText>,
    pub city: ShortText,
    pub postal_code: ShortText,
    /// ISO 3166-1 alpha-2.
    #[schema(min_length = 2, max_length = 2, pattern = "^[A-Z]{2}$")]
    pub country: Country,
}

impl fmt::Debug for CustomerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerAddress({})", self.country.as_str())
    }
}

/// Either the segments that the customer is to have, or the wish to have them derived; both or none is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetSegments {
    /// Replaces the segments that the customer has; `[]` takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20)]
    pub segments: Option<Vec<Segment>>,
    /// Replaces them by what follows from the customer's orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalculate: Option<bool>,
}

impl SetSegments {
    pub const SEGMENTS_MAX: usize = 20;
}

/// A customer. One that was erased is not shown: its address answers 410.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    pub id: CustomerId,
    pub email: Email,
    pub full_name: ShortText,
    pub phone: Option<Phone>,
    pub region: Region,
    pub locale: Locale,
    /// In alphabetical order.
    pub segments: Vec<Segment>,
    pub addresses: Vec<CustomerAddress>,
    pub status: CustomerStatus,
    /// Grows by one with each change; also the `ETag`.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Customer({} version {})", self.id, self.version)
    }
}

/// 202: the erasure is queued, or was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureTaken {
    pub job_id: ErasureJobId,
    pub status: ErasureStatus,
}

/// How far an erasure is, in all and in each service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    pub job_id: ErasureJobId,
    pub status: ErasureStatus,
    /// By the name of the service: `{"customer": "DONE", "order": "DONE", "cart": "PENDING"}`.
    pub services: BTreeMap<String, ServiceErasure>,
    pub requested_at: Timestamp,
    /// When the last service had erased.
    pub finished_at: Option<Timestamp>,
}
