//! Who has which SKU. No other product or variant may have it, and the document store cannot promise that: it writes one document at a
//! time. So a SKU is claimed here before the document is written. A claim whose document does not have the SKU (the write failed, the
//! process died in between, the SKU was given up) lapses after [`LEASE`] and may be taken over.

use std::time::Duration;

use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{ProductId, Sku, Timestamp};

/// How long a claim holds without a document that has the SKU. No request takes as long.
pub const LEASE: Duration = Duration::from_secs(60);

/// A claim of somebody else's.
#[derive(Clone, Debug)]
pub struct Claim {
    pub sku: Sku,
    pub holder: ProductId,
    version: i64,
    request_key: Option<String>,
    claimed_at: Timestamp,
}

impl Claim {
    /// Whether this is the same claim, unchanged.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.sku == other.sku && self.holder == other.holder && self.version == other.version
    }

    /// Whether it may be taken over, if its holder's document does not have the SKU: it is old, or was made by this very request when
    /// it was sent before.
    #[must_use]
    pub fn may_lapse(&self, request_key: Option<&str>, now: Timestamp) -> bool {
        now.since(self.claimed_at) >= LEASE || self.is_of(request_key)
    }

    /// Whether this very request has made it, when it was sent before.
    #[must_use]
    pub fn is_of(&self, request_key: Option<&str>) -> bool {
        request_key.is_some() && self.request_key.as_deref() == request_key
    }
}

impl FromRow for Claim {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            sku: row.parse("sku")?,
            holder: row.id("product_id")?,
            version: row.get("version")?,
            request_key: row.get("request_key")?,
            claimed_at: row.get("claimed_at")?,
        })
    }
}

/// Who claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    pub product: ProductId,
    pub request_key: Option<String>,
    pub now: Timestamp,
}

const INSERT: &str = "INSERT INTO product_skus (sku, product_id, version, request_key, claimed_at) VALUES (?, ?, 1, ?, ?)";

/// Claims a SKU for a product; a claim of its own is made anew. `lapsed` are claims that were found to hold nothing. Gives back the
/// claim that stands in the way.
pub async fn claim(tx: &mut Tx<'_>, sku: &Sku, claimant: &Claimant, lapsed: &[Claim]) -> Result<Option<Claim>, DbError> {
    let Claimant { product, request_key, now } = claimant;
    if tx.insert_new(INSERT, values![sku, *product, request_key.clone(), *now]).await? {
        return Ok(None);
    }
    let query = "SELECT sku, product_id, version, request_key, claimed_at FROM product_skus WHERE sku = ?";
    let standing: Claim = tx.fetch_one(query, values![sku]).await?;
    if standing.holder != *product && !lapsed.iter().any(|claim| claim.is(&standing)) {
        return Ok(Some(standing));
    }
    let update = "UPDATE product_skus SET product_id = ?, version = version + 1, request_key = ?, claimed_at = ? WHERE sku = ?";
    tx.execute(update, values![*product, request_key.clone(), *now, sku]).await?;
    Ok(None)
}

/// Notes a SKU of a document that was written past this service, unless somebody has it.
pub async fn note(tx: &mut Tx<'_>, sku: &Sku, product: ProductId, now: Timestamp) -> Result<(), DbError> {
    tx.insert_new(INSERT, values![sku, product, None::<String>, now]).await.map(|_| ())
}

/// Gives up every SKU of a product that is deleted.
pub async fn release_all(tx: &mut Tx<'_>, product: ProductId) -> Result<(), DbError> {
    tx.execute("DELETE FROM product_skus WHERE product_id = ?", values![product]).await.map(|_| ())
}

/// Which product has claimed this SKU.
pub async fn holder(tx: &mut Tx<'_>, sku: &Sku) -> Result<Option<ProductId>, DbError> {
    Ok(tx.fetch_optional::<types::id::Uuid>("SELECT product_id FROM product_skus WHERE sku = ?", values![sku]).await?.map(ProductId))
}
