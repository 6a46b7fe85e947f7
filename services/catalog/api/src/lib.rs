//! What others may know of the catalog: requests, views, events, and a typed client.
//!
//! Reading order: this file (products, categories, media), [`attribute`] (what a product can be described by), [`events`], [`client`].

pub mod attribute;
pub mod client;
pub mod events;
pub mod slug;

use std::collections::BTreeMap;

pub use attribute::{AttributeName, AttributeValue, Attributes};
pub use client::Catalog;
use platform::blob::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
pub use slug::Slug;
use types::{CategoryId, MediaId, ProductId, ShortText, Sku, Timestamp};
use utoipa::ToSchema;

/// A new product, or all that is to be kept of one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductRequest {
    /// No other product or variant has it.
    pub sku: Sku,
    pub title: ShortText,
    /// At most 10,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 10_000)]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<CategoryId>,
    /// At most 64.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AttributeValue>)]
    pub attributes: Attributes,
    /// At most 100; their SKUs are as unique as the product's own.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Which of the product's media to keep, in this order. Left out, they stay as they are; a new product has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Vec<MediaRef>>,
    /// The revision that this replaces (for `PUT`, unless `If-Match` says it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
}

/// One form of a product: a colour, a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    pub sku: Sku,
    pub title: ShortText,
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AttributeValue>)]
    pub attributes: Attributes,
}

/// A medium of the product that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaRef {
    pub media_id: MediaId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub id: ProductId,
    /// The revision, `N-HASH`: hand it back with a change.
    pub rev: String,
    pub sku: Sku,
    pub title: ShortText,
    pub description: Option<String>,
    pub category_id: Option<CategoryId>,
    #[schema(value_type = BTreeMap<String, AttributeValue>)]
    pub attributes: Attributes,
    pub variants: Vec<Variant>,
    /// What is there and checked; an upload under way is not here yet.
    pub media: Vec<ProductMedia>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An image of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductMedia {
    pub media_id: MediaId,
    pub file_name: String,
    pub content_type: String,
    /// In bytes.
    pub size: u64,
    /// Of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

types::words! {
    /// How far an upload is.
    MediaStatus {
        /// Nothing was received yet, or it was not looked at.
        Pending = "PENDING",
        /// It was checked and belongs to the product.
        Available = "AVAILABLE",
        /// It was not what was announced, or never came; `reason` says why.
        Rejected = "REJECTED",
        /// It was taken from the product, or the product was deleted.
        Removed = "REMOVED",
    }
}

/// An upload that is to come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaRequest {
    pub file_name: ShortText,
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub content_type: String,
}

/// A file and its way: while it is `PENDING` how to send it, once it is `AVAILABLE` how to fetch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    pub media_id: MediaId,
    pub product_id: ProductId,
    pub status: MediaStatus,
    pub file_name: String,
    pub content_type: String,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the bytes are to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_url: Option<String>,
    /// The method of the signed call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// The address of the signed call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the signed call must send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Until when it may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A new category, or all that is to be kept of one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CategoryRequest {
    /// Its name in addresses; no other category has it.
    pub slug: Slug,
    pub name: ShortText,
    /// Left out, it stands at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Category {
    pub id: CategoryId,
    pub slug: Slug,
    pub name: ShortText,
    pub parent_id: Option<CategoryId>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A document that was not published, because it is no product as this service knows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    pub product_id: ProductId,
    pub rev: String,
    /// What is wrong with its shape.
    pub reason: String,
    /// The document as it stands.
    #[schema(value_type = Object)]
    pub document: Json,
    pub at: Timestamp,
}
